//! The face detector's graph.
#![no_main]

libfuzzer_sys::fuzz_target!(|onnx: &[u8]| fuzz::detector(onnx));
