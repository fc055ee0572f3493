//! Requests to preview and metrics.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::http::http(bytes));
