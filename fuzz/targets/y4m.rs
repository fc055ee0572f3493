//! Videos, arriving in pieces.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::video::y4m(bytes));
