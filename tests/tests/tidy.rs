//! The tidy test: what the compiler does not check about this house, read from its manifests, sources and pages.
//!
//! * [`edges`]: dependencies point up the picture in `wiki/Architecture.md`, and libraries stay in their rooms.
//! * [`ratchet`]: the longest function and file of each room may only shrink.
//! * [`words`]: no `unwrap()` outside tests, no TODO without its reason.
//! * [`pages`]: paths and links in pages exist, and a page has one title.
//! * [`rocksdb_once`]: every cargo command that we document builds the same RocksDB.
//!
//! Every scanner has a saboteur: a fixture that it must flag.

#[path = "tidy/edges.rs"]
mod edges;
#[path = "tidy/pages.rs"]
mod pages;
#[path = "tidy/ratchet.rs"]
mod ratchet;
#[path = "tidy/repo.rs"]
mod repo;
#[path = "tidy/rocksdb_once.rs"]
mod rocksdb_once;
#[path = "tidy/rust.rs"]
mod rust;
#[path = "tidy/words.rs"]
mod words;
