//! Board files, and the journal's part of them.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::texts::board(bytes));
