//! A malformed or hostile ONNX gives an error: never a panic, never gigabytes.

mod graphs;

use std::panic::{AssertUnwindSafe, catch_unwind};

use expression_engine::Engine;
use expression_engine::detector::Detector;
use expression_engine::error::{Classify, ErrorKind};
use expression_engine::expression::{EngineOptions, FloatEngine};
use expression_engine::graph::{MAX_BYTES, MAX_STRUCTURE};
use graphs::{SIDE, bytes, manifest};
use test_support::CountingAllocator;
use tract_onnx::pb::{GraphProto, ModelProto};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator::new();

/// What any file here may take in memory while tests run side by side, in bytes.
const MAX_MEMORY: usize = 384 << 20;

/// Loads an int8 graph as the engine does and as stock tract does, and classifies a face by each: the first error.
fn int8(onnx: &[u8]) -> Result<(), String> {
    for options in [EngineOptions::default(), EngineOptions { kernel: None, threads: 1 }] {
        let engine = Engine::from_bytes(onnx, &manifest(), options).map_err(|error| error.to_string())?;
        engine.classify(&[77; SIDE * SIDE]).map_err(|error| error.to_string())?;
    }
    Ok(())
}

fn float(onnx: &[u8]) -> Result<(), String> {
    let engine = FloatEngine::from_bytes(onnx, manifest().face_input()).map_err(|error| error.to_string())?;
    engine.logits(&[77; SIDE * SIDE]).map(drop).map_err(|error| error.to_string())
}

fn detector(onnx: &[u8]) -> Result<(), String> {
    Detector::from_onnx(onnx).map(drop).map_err(|error| error.to_string())
}

/// One line that says `part`.
fn refuses(read: fn(&[u8]) -> Result<(), String>, onnx: &[u8], part: &str) {
    let message = read(onnx).expect_err(part);
    assert!(message.contains(part) && !message.contains('\n') && !message.contains("panicked"), "{part}: {message}");
    let most = ALLOCATOR.peak_bytes();
    assert!(most < MAX_MEMORY, "{part}: {} MiB", most >> 20);
}

fn edited(mut model: ModelProto, edit: impl FnOnce(&mut GraphProto)) -> Vec<u8> {
    edit(model.graph.as_mut().expect("a graph"));
    bytes(&model)
}

#[test]
fn the_graphs_that_the_others_are_made_of_run() {
    int8(&bytes(&graphs::int8())).unwrap();
    float(&bytes(&graphs::float())).unwrap();
    detector(&bytes(&graphs::detector())).unwrap();
}

#[test]
fn a_file_that_is_cut_off_anywhere_is_refused() {
    let (onnx, boxes) = (bytes(&graphs::int8()), bytes(&graphs::detector()));
    for length in 0..onnx.len() {
        refuses(int8, &onnx[..length], "");
    }
    for length in (0..boxes.len()).step_by(97) {
        refuses(detector, &boxes[..length], "copy the bundle again");
    }
}

#[test]
fn no_flipped_bit_makes_a_panic() {
    let onnx = bytes(&graphs::int8());
    // Every byte, and each of its bits in turn.
    for bit in (0..onnx.len()).map(|byte| byte * 8 + byte % 8) {
        let mut onnx = onnx.clone();
        onnx[bit / 8] ^= 1 << (bit % 8);
        let done = catch_unwind(AssertUnwindSafe(|| int8(&onnx)));
        let message = done.unwrap_or_else(|_| panic!("bit {bit}")).err().unwrap_or_default();
        assert!(!message.contains("panicked"), "bit {bit}: {message}");
    }
    assert!(ALLOCATOR.peak_bytes() < MAX_MEMORY);
}

#[test]
fn what_asks_for_too_much_is_refused() {
    refuses(int8, &vec![0; MAX_BYTES + 1], "its bytes");
    // Attributes that take two bytes in the file and hundreds in memory: tag 5 of a node, tag 1 of a graph, tag 7 of a model.
    let attributes = [0x2a, 0].repeat(8 << 20);
    let nested = [0x3a, 0x0a].iter().zip([attributes.len() + 5, attributes.len()]).flat_map(|(tag, length)| {
        let varint = (0..4).map(move |i| (length >> (7 * i)) as u8 & 0x7f | if i < 3 { 0x80 } else { 0 });
        std::iter::once(*tag).chain(varint)
    });
    let bomb: Vec<u8> = nested.chain(attributes).collect();
    refuses(int8, &bomb, "its bytes beside weights");
    refuses(int8, &bomb[..MAX_STRUCTURE], "cut off");
    let largest = [0x2a, 0].repeat(MAX_STRUCTURE / 2);
    refuses(int8, &largest, "");

    let wide = |graph: &mut GraphProto, side: i64| {
        graph.initializer[2].dims = vec![side; 4];
    };
    for (side, part) in
        [(1 << 40, "longest side"), (1 << 15, "values"), (-1, "below 0"), (0, "is empty"), (4, "raw bytes")]
    {
        refuses(int8, &edited(graphs::int8(), |graph| wide(graph, side)), part);
    }
    for (name, values, part) in [
        ("pads", vec![1 << 40; 4], "pads"),
        ("pads", vec![-1; 4], "pads"),
        ("pads", vec![3; 4], "as wide as its window"),
        ("pads", vec![1; 3], "pads"),
        ("strides", vec![0, 1], "strides"),
        ("strides", vec![1, i64::MAX], "strides"),
        ("dilations", vec![256, 256], "does not fit"),
        ("kernel_shape", vec![5, 5], "its weights [3, 3]"),
    ] {
        let edit = |graph: &mut GraphProto| {
            graph.node[0].attribute.retain(|attribute| attribute.name != name);
            graph.node[0].attribute.push(graphs::integers(name, &values));
        };
        refuses(int8, &edited(graphs::int8(), edit), part);
    }
    // A border that makes maps of gigabytes, one after the other.
    let border = |graph: &mut GraphProto| {
        graph.node.clear();
        let mut last = "face".to_owned();
        for turn in 0..500 {
            let (pads, name) = (format!("border{turn}"), format!("padded{turn}"));
            let raw = [0i64, 0, 200, 200, 0, 0, 200, 200].iter().flat_map(|side| side.to_le_bytes()).collect();
            graphs::constant(graph, &pads, expression_engine::graph::Kind::Int64, &[8], raw);
            graphs::push(graph, "Pad", &[&last, &pads], &name, vec![]);
            last = name;
        }
        graph.output[0].name = last;
    };
    refuses(float, &edited(graphs::float(), border), "values");
    let costly = |graph: &mut GraphProto| {
        let from = graph.node[0].input[0].clone();
        graph.node.clear();
        graphs::constant(graph, "wide", expression_engine::graph::Kind::Float, &[1024, 1, 3, 3], vec![0; 4 * 9 * 1024]);
        graphs::constant(graph, "back", expression_engine::graph::Kind::Float, &[1, 1024, 1, 1], vec![0; 4 * 1024]);
        let mut last = from;
        for turn in 0..300 {
            let pads = graphs::integers("pads", &[2, 2, 2, 2]);
            graphs::push(graph, "Conv", &[&last, "wide"], &format!("wide{turn}"), vec![pads]);
            graphs::push(graph, "Conv", &[&format!("wide{turn}"), "back"], &format!("back{turn}"), vec![]);
            last = format!("back{turn}");
        }
        graph.output[0].name = last;
    };
    refuses(float, &edited(graphs::float(), costly), "so far");
    let many = |graph: &mut GraphProto| graph.node = vec![graph.node[0].clone(); 3000];
    refuses(int8, &edited(graphs::int8(), many), "beside weights");
}

#[test]
fn what_is_of_the_wrong_kind_or_missing_is_refused() {
    type Edit = Box<dyn Fn(&mut GraphProto)>;
    let scale =
        |value: f32| -> Edit { Box::new(move |graph| graph.initializer[0].raw_data = value.to_le_bytes().into()) };
    let cases: Vec<(&str, Edit)> = vec![
        ("`first_weight`", Box::new(|graph| drop(graph.initializer.remove(2)))),
        (
            "type FLOAT",
            Box::new(|graph| {
                (graph.initializer[1].data_type, graph.initializer[1].raw_data) = (1, vec![0; 4]);
            }),
        ),
        ("type STRING", Box::new(|graph| graph.initializer[2].data_type = 8)),
        ("type 4711", Box::new(|graph| graph.initializer[2].data_type = 4711)),
        (
            "its input is FLOAT [1, 1, 9, 9], not UINT8 [1, 1, 9, 9]",
            Box::new(|graph| {
                graph.input = vec![graphs::info("face", expression_engine::graph::Kind::Float, &[1, 1, SIDE, SIDE])];
            }),
        ),
        (
            "its input is UINT8 [1, 1, 8, 9]",
            Box::new(|graph| {
                graph.input = vec![graphs::info("face", expression_engine::graph::Kind::Uint8, &[1, 1, 8, SIDE])];
            }),
        ),
        ("its input is not a tensor", Box::new(|graph| graph.input[0].r#type = None)),
        ("inputs, not one", Box::new(|graph| graph.input.clear())),
        ("0 outputs", Box::new(|graph| graph.output.clear())),
        ("no operator makes the output `nowhere`", Box::new(|graph| graph.output[0].name = "nowhere".into())),
        ("not supported", Box::new(|graph| graph.node[1].op_type = "Loop".into())),
        ("domain `com.microsoft`", Box::new(|graph| graph.node[1].domain = "com.microsoft".into())),
        ("unknown or twice", Box::new(|graph| graph.node[1].attribute.push(graphs::integer("ceil_mode", 1)))),
        ("unknown or twice", Box::new(|graph| graph.node[1].attribute[0].name = "body".into())),
        ("is not of type INTS", Box::new(|graph| graph.node[1].attribute[0].r#type = 2)),
        ("nothing before it makes its input `pooled`", Box::new(|graph| graph.node.swap(1, 2))),
        ("nothing before it makes its input `first`", Box::new(|graph| graph.node[0].input[0] = "first".into())),
        ("two tensors named `first`", Box::new(|graph| graph.node[1].output[0] = "first".into())),
        ("a tensor without a name", Box::new(|graph| graph.node[1].output[0].clear())),
        ("another file", Box::new(|graph| graph.initializer[2].data_location = Some(1))),
        (
            "it makes no integer scores",
            Box::new(|graph| {
                graph.node[2].output[0] = "other".into();
                graph.node[3].input[0] = "other".into();
            }),
        ),
        (
            "3 scores for 2 labels",
            Box::new(|graph| {
                graph.initializer[10].dims = vec![3, 2, 4, 4];
                graph.initializer[2].dims = vec![2, 1, 3, 3];
                graph.initializer[2].raw_data.truncate(18);
                for (index, size) in [(3, 4), (7, 4)] {
                    graph.initializer[index].dims = vec![2];
                    graph.initializer[index].raw_data.truncate(2 * size);
                }
                for index in [11, 15] {
                    graph.initializer[index].dims = vec![3];
                    graph.initializer[index].raw_data.extend([0, 0, 128, 61]);
                }
            }),
        ),
        (
            "output channel 1: weights, bias and scales allow numbers beyond 32 bits",
            Box::new(|graph| {
                let scales = [0.0625f32, 6.7e7, 0.0625];
                graph.initializer[3].raw_data = scales.iter().flat_map(|scale| scale.to_le_bytes()).collect();
            }),
        ),
        (
            "output channel 2: weights, bias and scales",
            Box::new(|graph| {
                let biases = [5, 5, i32::MIN];
                graph.initializer[7].raw_data = biases.iter().flat_map(|bias| bias.to_le_bytes()).collect();
            }),
        ),
        ("a scale of 0e0", scale(0.0)),
        ("a scale of NaN", scale(f32::NAN)),
        ("a scale of inf", scale(f32::INFINITY)),
        ("a scale of -1e0", scale(-1.0)),
    ];
    for (part, edit) in cases {
        refuses(int8, &edited(graphs::int8(), edit), part);
    }
    let mut old = graphs::int8();
    old.opset_import[0].version = 7;
    refuses(int8, &bytes(&old), "operator set 7");
    refuses(detector, &bytes(&graphs::float()), "no tensor face");
}

#[test]
fn what_is_no_detector_is_refused_without_much_memory() {
    let weight = |graph: &mut GraphProto, name: &str, dims: &[i64]| {
        let count = dims.iter().product::<i64>() as usize;
        let tensor = graph.initializer.iter_mut().find(|tensor| tensor.name == name).expect("a constant");
        (tensor.dims, tensor.raw_data) = (dims.to_vec(), vec![0; 4 * count]);
    };
    type Edit<'a> = Box<dyn Fn(&mut GraphProto) + 'a>;
    let cases: [(&str, Edit); 7] = [
        ("its channels", Box::new(|graph| weight(graph, "layer0_depthwise_weight", &[32, 1, 3, 3]))),
        ("its filters", Box::new(|graph| weight(graph, "layer0_weight", &[24, 32, 1, 1]))),
        ("its filters", Box::new(|graph| weight(graph, "stem_weight", &[24, 1, 5, 5]))),
        ("too many channels", Box::new(|graph| weight(graph, "layer0_weight", &[24, 4096, 1, 1]))),
        ("no constant bias", Box::new(|graph| graph.initializer.retain(|tensor| tensor.name != "bias"))),
        ("no output scores", Box::new(|graph| graph.node.retain(|node| node.name != "scores"))),
        ("a grid of", Box::new(|graph| weight(graph, "layer3_out_scores_weight", &[3, 24, 1, 1]))),
    ];
    for (part, edit) in cases {
        let onnx = edited(graphs::detector(), |graph| {
            edit(graph);
            if part == "a grid of" {
                weight(graph, "layer3_out_scores_bias", &[3]);
            }
        });
        refuses(detector, &onnx, part);
    }
    // The same constant again and again.
    let onnx = edited(graphs::detector(), |graph| {
        weight(graph, "layer0_weight", &[24, 1000, 1, 1]);
        let node = graph.node.iter().find(|node| node.name == "layer0_linear").expect("a node").clone();
        graph.node.splice(3..3, std::iter::repeat_n(node, 400));
    });
    refuses(detector, &onnx, "");
}

#[test]
fn a_refused_graph_is_bad_input() {
    let error = Engine::from_bytes(b"no graph", &manifest(), EngineOptions::default()).err().expect("an error");
    assert_eq!(Classify::kind(&error), ErrorKind::BadInput);
}
