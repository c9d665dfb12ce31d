# Flotilla's front door. `make up` and `make test` work from a bare Debian machine with Rust and a C++ compiler.
#
# There is one build profile, release: `up`, `test`, `check` and CI share its artefacts, so RocksDB compiles once.
# CARGO_TARGET_DIR is honoured; CARGO_FLAGS (say, --locked) go to every cargo command; FLAGS go to `flotilla up`
# and `flotilla down`, as in: make up FLAGS="--nodes 5 --groups 4"

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

TARGET := $(or $(CARGO_TARGET_DIR),target)
FLOTILLA := $(TARGET)/release/flotilla
# What scripts/bootstrap.sh found out about this machine; empty on an ordinary one.
ENV := if [ -f .tools/env ]; then . ./.tools/env; fi;
CARGO_FLAGS ?=
FLAGS ?=

FUZZ_SECONDS ?= 10

.PHONY: help up down build test check fuzz sim chaos plants fmt-check clippy docs deny bench clean bootstrap bootstrap-tests bootstrap-bench

help: ## this list
	@echo "Flotilla: make <target>"
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/  \1|\2/p' $(MAKEFILE_LIST) | column -t -s '|' 2>/dev/null \
		|| sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/  \1  \2/p' $(MAKEFILE_LIST)

up: build ## build, start a three-node cluster on this machine, say what to try
	@$(FLOTILLA) up --detach $(FLAGS)

down: ## stop that cluster politely; its data stays
	@if [ -x $(FLOTILLA) ]; then $(FLOTILLA) down $(FLAGS); else echo "$(FLOTILLA) is not built; nothing was started from here"; fi

build: bootstrap ## only build the flotilla binary
	@$(ENV) scripts/progress.sh cargo build --release --workspace $(CARGO_FLAGS)

test: bootstrap-tests ## the whole test suite
	@$(ENV) scripts/progress.sh cargo test --release --workspace $(CARGO_FLAGS)

check: bootstrap fmt-check clippy docs deny ## the read-only gate: format, lints, docs, licences and advisories
	@echo "check: all passed"

fmt-check:
	@$(ENV) cargo fmt --all --check

clippy:
	@$(ENV) scripts/progress.sh cargo clippy --release --workspace --all-targets $(CARGO_FLAGS) -- -D warnings

docs:
	@$(ENV) RUSTDOCFLAGS="-D warnings" scripts/progress.sh cargo doc --release --workspace --no-deps $(CARGO_FLAGS)

deny:
	@$(ENV) if cargo deny --version >/dev/null 2>&1; then cargo deny check; else \
		echo "deny: cargo-deny is not installed, so licences and advisories were NOT checked (cargo install --locked cargo-deny)"; fi

fuzz: build ## search for inputs that break something, FUZZ_SECONDS (10) for each target; needs cargo-fuzz
	@$(ENV) scripts/fuzz.sh $(FUZZ_SECONDS)

sim: bootstrap ## whole clusters in one process each, from seeds: a minute of them, or FLAGS="--seed N", "--minutes M"
	@$(ENV) scripts/progress.sh cargo build --release -p flotilla-sim $(CARGO_FLAGS)
	@$(TARGET)/release/flotilla-sim $(or $(FLAGS),--minutes 1)

chaos: build ## faults on real processes, as root in network namespaces; FLAGS go to `flotilla chaos`
	@$(FLOTILLA) chaos $(FLAGS)

plants: bootstrap ## plant each known bug and count the seeds until it is found (builds apart; long)
	@$(ENV) CARGO_TARGET_DIR=$(TARGET)/planted scripts/progress.sh cargo build --release -p flotilla-sim --features planted $(CARGO_FLAGS)
	@$(TARGET)/planted/release/flotilla-sim --plants $(FLAGS)

bench: bootstrap-bench ## beside etcd and redis, into wiki/Performance.md; then start, idle cost, moves. BENCH_SECONDS (3), BENCH_ROUNDS (1)
	@$(ENV) scripts/progress.sh cargo build --release --workspace $(CARGO_FLAGS)
	@scripts/bench.sh $(FLOTILLA)

clean: ## remove what was built here (a target directory elsewhere stays)
	rm -rf target .tools

bootstrap:
	@scripts/bootstrap.sh

bootstrap-tests:
	@scripts/bootstrap.sh --tests

bootstrap-bench:
	@scripts/bootstrap.sh --bench
