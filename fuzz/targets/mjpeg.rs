//! Motion JPEG, arriving in pieces.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::video::mjpeg(bytes));
