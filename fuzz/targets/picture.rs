//! Picture files: PNG, JPEG, BMP, PNM.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::video::picture(bytes));
