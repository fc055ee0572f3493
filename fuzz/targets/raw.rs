//! Frames with nothing between them.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::video::raw(bytes));
