//! A bundle's manifest, up to a line of dashes, and behind it its self-test vectors.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::bundle(bytes));
