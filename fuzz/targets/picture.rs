//! Picture files: JPEG, PNG, WebP, TIFF, GIF, BMP, PNM, with EXIF.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::video::picture(bytes));
