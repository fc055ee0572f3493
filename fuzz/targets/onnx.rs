//! The expression net's graphs: int8 by our kernels and by stock tract, or in float.
#![no_main]

libfuzzer_sys::fuzz_target!(|onnx: &[u8]| fuzz::nets(onnx));
