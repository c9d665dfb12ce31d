#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| flotilla_raft_store::fuzzing::raft(data));
