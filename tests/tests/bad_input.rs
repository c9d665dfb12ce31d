//! Bad input, through the real binary and straight over gRPC: each a clear message and exit code, nothing lost, nothing
//! half-done.

#[path = "bad_input/directories.rs"]
mod directories;
#[path = "bad_input/requests.rs"]
mod requests;
#[path = "bad_input/strangers.rs"]
mod strangers;
