//! The texts of flags: sources, brokers, times, tokens.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::texts::flag(bytes));
