//! Graphs that are right but for a few edits: these reach behind what refuses random bytes.
#![no_main]

use fuzz::edits::{Edit, Graph};

libfuzzer_sys::fuzz_target!(|input: (Graph, Vec<Edit>)| {
    let (graph, edits) = input;
    let onnx = graph.edited(&edits);
    match graph {
        Graph::Detector => fuzz::detector(&onnx),
        Graph::Int8 | Graph::Float => fuzz::nets(&onnx),
    }
});
