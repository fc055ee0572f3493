//! Journals whose pages are right and whose values are not.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: (u8, Vec<fuzz::journal::Edit>)| fuzz::journal::rows(&input.1, input.0));
