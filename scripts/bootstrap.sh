#!/usr/bin/env bash
# Makes a bare Debian machine able to build Flotilla: checks every tool, installs what it may, and says exactly
# what to install otherwise. Run by `make up`, `make test` and `.ci/run`; harmless to repeat, silent work in
# well under a second when nothing is missing.
#
#   scripts/bootstrap.sh            what building needs
#   scripts/bootstrap.sh --tests    also what the tests need: a word list (wamerican) and a browser (chromium)
#   scripts/bootstrap.sh --bench    also whom benchmarks compare with: etcd-server and redis-server
#
# What a shell must know to build here (a PATH, where libclang is) is written to .tools/env, which the Makefile
# reads; it is empty on an ordinary machine. Nothing outside .tools/ is touched except through apt-get and rustup.
# Our .proto files are compiled by protox, which is Rust. The build of the etcd client (for `flotilla bench`) asks for protoc: where it
# is not here and cannot be installed, the program of protox takes its place.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly RUST_MIN=1.95.0             # rust-toolchain.toml pins the same
readonly GXX_MIN=11                  # RocksDB 11 is C++20
readonly DISK_FREE_GB_MIN=6          # a first build writes about 4 GB
readonly PROTOX=0.10.0               # understands protoc's arguments, as far as prost uses them
readonly LIBCLANG_WHEEL=libclang==18.1.1
readonly WORDS=/usr/share/dict/american-english

with_tests=false
with_peers=false
case "${1-}" in
    "") ;;
    --tests) with_tests=true ;;
    --bench) with_peers=true ;;
    *)
        echo "bootstrap: unknown argument '$1'; there are --tests and --bench" >&2
        exit 2
        ;;
esac

# A shell that has already read .tools/env must not make us believe that libclang is the system's.
[ "${LIBCLANG_PATH-}" != "$PWD/.tools/libclang/clang/native" ] || unset LIBCLANG_PATH

problems=0
exports=()

say() { echo "bootstrap: $*" >&2; }

# One thing that keeps the build from working, and what to do about it.
problem() {
    problems=$((problems + 1))
    echo >&2
    echo "bootstrap: MISSING: $1" >&2
    shift
    printf '    %s\n' "$@" >&2
}

have() { command -v "$1" >/dev/null 2>&1; }

# version_at_least FOUND WANTED
version_at_least() { [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]; }

# Prints how to run apt-get without asking anybody, or fails if we may not.
apt_prefix() {
    have apt-get || return 1
    if [ "$(id -u)" = 0 ]; then
        echo "env DEBIAN_FRONTEND=noninteractive"
    elif have sudo && sudo -n true 2>/dev/null; then
        echo "sudo -n env DEBIAN_FRONTEND=noninteractive"
    else
        return 1
    fi
}

apt_updated=false
# apt_install PACKAGE: installs a Debian package if we may; fails, having said why, if not.
apt_install() {
    local prefix
    prefix=$(apt_prefix) || return 1
    say "installing Debian package $1 (apt-get)"
    if ! $apt_updated; then
        $prefix apt-get update -qq </dev/null >&2 || say "apt-get update failed; trying with the lists that are there"
        apt_updated=true
    fi
    $prefix apt-get install -y -qq --no-install-recommends "$1" </dev/null >&2 || {
        say "apt-get could not install $1"
        return 1
    }
}

# need TOOL PACKAGE WHY: a program, from the package if we may install it.
need() {
    have "$1" && return
    apt_install "$2" && have "$1" && return
    problem "$1 ($3)" "install it as root:  apt-get install -y $2"
}

check_compiler() {
    need g++ g++ "RocksDB is C++"
    need make make "the Makefile is how Flotilla is built"
    have g++ || return 0
    local version
    version=$(g++ -dumpfullversion -dumpversion)
    version_at_least "$version" "$GXX_MIN" ||
        problem "g++ $GXX_MIN or newer (found $version; RocksDB needs C++20)" \
            "install it as root:  apt-get install -y g++    (Debian 12 has 12.2)"
}

check_rust() {
    if ! have cargo && [ -x "$HOME/.cargo/bin/cargo" ]; then
        PATH="$HOME/.cargo/bin:$PATH"
        exports+=("export PATH=\"\$HOME/.cargo/bin:\$PATH\"")
    fi
    if ! have cargo; then
        problem "cargo (Rust $RUST_MIN)" \
            "install Rust from https://rustup.rs :" \
            "curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y --default-toolchain $RUST_MIN"
        return
    fi
    local version
    if ! version=$(cargo --version 2>/dev/null); then
        install_toolchain || return 0
        version=$(cargo --version)
    fi
    version=$(echo "$version" | cut -d' ' -f2)
    version_at_least "$version" "$RUST_MIN" ||
        problem "Rust $RUST_MIN (found cargo $version)" "install rustup (https://rustup.rs); it reads rust-toolchain.toml"
}

# rustup is here, but not the toolchain that rust-toolchain.toml pins.
install_toolchain() {
    say "installing Rust $RUST_MIN, which rust-toolchain.toml pins (rustup)"
    if have rustup && rustup toolchain install "$RUST_MIN" --no-self-update --profile minimal -c rustfmt -c clippy </dev/null >&2; then
        return
    fi
    problem "Rust $RUST_MIN (pinned by rust-toolchain.toml; cargo cannot run here without it)" \
        "rustup toolchain install $RUST_MIN --profile minimal --component rustfmt --component clippy"
    return 1
}

# Where libclang is, as bindgen's loader looks for it: the dynamic linker's list, LLVM's own folders, ours.
find_libclang() {
    local dir
    if [ -n "${LIBCLANG_PATH-}" ]; then
        { [ -f "$LIBCLANG_PATH" ] || has_libclang "$LIBCLANG_PATH"; } && echo "$LIBCLANG_PATH" && return
    fi
    for dir in $(linker_dirs) /usr/lib/llvm-*/lib /usr/local/llvm*/lib /usr/lib /usr/lib64 /usr/lib/*-linux-gnu /usr/local/lib; do
        has_libclang "$dir" && echo "$dir" && return
    done
    return 1
}

linker_dirs() {
    { PATH="$PATH:/sbin:/usr/sbin" ldconfig -p 2>/dev/null || true; } |
        sed -n 's|.*libclang[-.0-9]*\.so.* => \(.*\)/[^/]*$|\1|p' | sort -u
}

has_libclang() {
    local file
    for file in "$1"/libclang.so "$1"/libclang.so.* "$1"/libclang-*.so "$1"/libclang-*.so.*; do
        case "$file" in *libclang-cpp*) continue ;; esac
        [ -f "$file" ] && return 0
    done
    return 1
}

# libclang without clang's own headers (stddef.h, stdbool.h) reads g++'s instead, if it is told where they are.
has_clang_headers() {
    local dir
    for dir in /usr/lib/llvm-*/lib/clang/*/include /usr/lib/clang/*/include /usr/local/lib/clang/*/include; do
        [ -f "$dir/stdbool.h" ] && return 0
    done
    return 1
}

export_gcc_headers() {
    have g++ || return 0
    local args
    args="-isystem $(g++ -print-file-name=include)"
    exports+=("export BINDGEN_EXTRA_CLANG_ARGS=\"\${BINDGEN_EXTRA_CLANG_ARGS-$args}\"")
}

check_libclang() {
    local dir
    if dir=$(find_libclang); then
        has_clang_headers || export_gcc_headers
        return
    fi
    dir=.tools/libclang/clang/native
    if ! has_libclang "$dir"; then
        say "libclang is not here; RocksDB's bindings are generated with it at build time"
        apt_install libclang-dev && find_libclang >/dev/null && return
        wheel_libclang && has_libclang "$dir" || {
            explain_libclang
            return 0
        }
    fi
    exports+=("export LIBCLANG_PATH=\"\${LIBCLANG_PATH-$PWD/$dir}\"")
    export_gcc_headers
}

# Without root: PyPI's libclang wheel is one shared library; it goes into .tools/ and nowhere else.
wheel_libclang() {
    local pip
    for pip in "python3 -m pip" pip3 pip; do
        $pip --version >/dev/null 2>&1 || continue
        say "no root: fetching $LIBCLANG_WHEEL from PyPI into .tools/libclang ($pip)"
        $pip install --quiet --no-deps --upgrade --target .tools/libclang "$LIBCLANG_WHEEL" </dev/null >&2 && return
    done
    return 1
}

explain_libclang() {
    problem "libclang (RocksDB's bindings are generated with it at build time)" \
        "either, as root:  apt-get install -y libclang-dev" \
        "or, without root, with Python's pip (apt-get install -y python3-pip, or any other pip):" \
        "    pip install --no-deps --target .tools/libclang $LIBCLANG_WHEEL" \
        "    and run this again; by hand, the two variables that the build then needs are" \
        "    export LIBCLANG_PATH=$PWD/.tools/libclang/clang/native" \
        "    export BINDGEN_EXTRA_CLANG_ARGS=\"-isystem \$(g++ -print-file-name=include)\""
}

check_protoc() {
    have protoc && return
    apt_install protobuf-compiler && have protoc && return
    local root=.tools/protox
    if [ ! -x "$root/bin/protox" ]; then
        say "protoc is not here: building protox $PROTOX in its place, into $root (cargo)"
        have cargo && CARGO_TARGET_DIR="$root/target" cargo install --quiet --locked protox --version "$PROTOX" --features bin \
            --root "$root" </dev/null >&2 && rm -rf "$root/target"
    fi
    if [ -x "$root/bin/protox" ]; then
        exports+=("export PROTOC=\"\${PROTOC-$PWD/$root/bin/protox}\"")
    else
        problem "protoc (the etcd client's messages are generated with it)" "install it as root:  apt-get install -y protobuf-compiler"
    fi
}

check_disk() {
    local target="${CARGO_TARGET_DIR:-target}" place free_gb
    # Once RocksDB's archive is there, most of the space has been spent.
    compgen -G "$target/release/build/librocksdb-sys-*/out/librocksdb.a" >/dev/null && return
    place=$target
    while [ ! -d "$place" ]; do place=$(dirname "$place"); done
    free_gb=$(($(df -Pk "$place" | awk 'NR == 2 { print $4 }') / 1024 / 1024))
    [ "$free_gb" -ge "$DISK_FREE_GB_MIN" ] ||
        problem "disk space: $free_gb GB free under $place, a first build needs $DISK_FREE_GB_MIN GB" \
            "free some, or put the build elsewhere:  export CARGO_TARGET_DIR=/a/roomier/place"
}

check_words() {
    [ -r "$WORDS" ] && return
    apt_install wamerican && [ -r "$WORDS" ] && return
    problem "$WORDS (the word list that a test imports)" "install it as root:  apt-get install -y wamerican"
}

# Without it, the tests that open report pages say that they were skipped.
check_chromium() {
    have chromium || have chromium-browser || apt_install chromium \
        || say "chromium is missing: report pages are not opened by a test"
}

# A peer that is missing is left out of the comparison, and named.
check_peers() {
    local peer
    for peer in etcd redis-server; do
        have "$peer" || apt_install "${peer%-server}-server" || say "$peer is missing: it is left out of the benchmark"
    done
}

# Only writes when something changed, so that nothing depending on the file is made again.
write_env() {
    mkdir -p .tools
    local text="# Written by scripts/bootstrap.sh; read by the Makefile."
    [ ${#exports[@]} = 0 ] || text+=$'\n'$(printf '%s\n' "${exports[@]}")
    [ -f .tools/env ] && [ "$(cat .tools/env)" = "$text" ] || printf '%s\n' "$text" >.tools/env
}

check_compiler
check_rust
check_libclang
check_protoc
check_disk
if $with_tests; then check_words && check_chromium; fi
if $with_peers; then check_peers; fi

if [ "$problems" -gt 0 ]; then
    echo >&2
    say "$problems missing; nothing was built"
    exit 1
fi
write_env
