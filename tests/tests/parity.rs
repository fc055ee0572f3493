//! The parity ladder over nets of several shapes, on faces and on noise. Rungs 3 and 6 need a trained bundle: `run_all.rs`.

use expression_core::Label;
use expression_engine::Engine;
use expression_engine::EngineOptions;
use host_trainer::config::{Config, WeightScales};
use host_trainer::net::ExpressionNet;
use host_trainer::onnx::{builder, qdq};
use host_trainer::quantize::{FloatNet, IntegerNet, graph, quantize};
use host_trainer::train::stage_two;
use host_trainer::{export, parity};
use tch::{Device, Kind, Tensor};

/// Channels of the adapter, as the face net's would be.
const ADAPTER: i64 = 96;

struct Case {
    name: &'static str,
    config: Config,
}

/// Shapes that differ in all that the graphs know: channels, crop, pools, batch norm, granularity of scales.
fn cases() -> Vec<Case> {
    let edit = |name: &'static str, preset: &str, change: &dyn Fn(&mut Config)| {
        let mut config = Config::preset(preset).unwrap();
        change(&mut config);
        Case { name, config }
    };
    vec![
        edit("edge", "edge", &|_| {}),
        edit("edge, per tensor", "edge", &|config| config.quantize.weights = WeightScales::PerTensor),
        edit("RGB, cropped, odd sides, no batch norm", "smoke", &|config| {
            (config.net.channels, config.net.aligned, config.net.size) = (3, 44, 37);
            (config.net.convolutions, config.net.pools, config.net.batch_norm) = (vec![5, 17, 9], vec![1, 3], false);
        }),
    ]
}

/// A net with random weights, and batch norm's statistics as if it had seen faces.
fn net(config: &Config, faces: &Tensor) -> ExpressionNet {
    tch::manual_seed(11);
    let net = ExpressionNet::new(&config.net, ADAPTER, Label::COUNT as i64, Kind::Float, Device::Cpu);
    let input = host_trainer::net::expression_net::normalised(faces);
    for _ in 0..10 {
        let _ = tch::no_grad(|| net.logits(&input, true));
    }
    net
}

struct Built {
    torch: Tensor,
    float_onnx: Vec<u8>,
    int8: IntegerNet,
    int8_onnx: Vec<u8>,
    faces: Vec<Vec<u8>>,
    engine: Engine,
}

fn build(config: &Config) -> Built {
    let input = config.face_input();
    let faces = export::self_test_faces(input, 5).expect("assets are set up");
    let shape = [faces.len(), input.channels, input.size, input.size].map(|side| side as i64);
    let tensor = Tensor::from_data_size(&faces.concat(), &shape, Kind::Uint8);
    let net = net(config, &tensor);
    let folded = FloatNet::fold(&net, input.channels, input.size).unwrap();
    let int8 = quantize(&folded, &tensor, &config.quantize).unwrap();
    let int8_onnx = builder::bytes(&graph::int8(&int8));
    let manifest = export::manifest(config, "test", &Label::ALL, &int8, faces.len());
    let engine = Engine::from_bytes(&int8_onnx, &manifest, EngineOptions::default()).unwrap();
    let torch = stage_two::logits(&net, &tensor, input.size as i64);
    Built { torch, float_onnx: builder::bytes(&graph::float(&folded)), int8, int8_onnx, faces, engine }
}

#[test]
fn rung_1_libtorch_and_tract_agree_in_float() {
    for Case { name, config } in cases() {
        let built = build(&config);
        let (rung, _) = parity::float(&built.torch, &built.float_onnx, &built.faces, config.face_input()).unwrap();
        assert!(rung.holds, "{name}: {rung:?}");
        // The rung can fail: logits that are off by one part in a hundred are seen.
        for off in [1.01, f64::NAN] {
            let off = &built.torch * off;
            let (rung, _) = parity::float(&off, &built.float_onnx, &built.faces, config.face_input()).unwrap();
            assert!(!rung.holds, "{name}: {rung:?}");
        }
    }
}

#[test]
fn rung_2_the_integer_reference_and_the_edge_engine_agree_to_the_bit() {
    for Case { name, config } in cases() {
        let mut built = build(&config);
        let (rung, scores) = parity::integer(&built.int8, &built.engine, &built.faces).unwrap();
        assert!(rung.holds, "{name}: {rung:?}");
        let mut different: Vec<_> = scores.clone();
        different.sort();
        different.dedup();
        assert!(different.len() > scores.len() / 2, "{name}: a net that always says the same proves nothing");
        // The rung can fail: one weight that is off by a few steps is seen.
        let weight = &mut built.int8.layers.last_mut().unwrap().weight[0];
        *weight = weight.wrapping_add(64);
        let (rung, _) = parity::integer(&built.int8, &built.engine, &built.faces).unwrap();
        assert!(!rung.holds, "{name}: {rung:?}");
    }
}

#[test]
fn rung_2_every_kernel_and_stock_tract_give_the_same_integers() {
    for Case { name, config } in cases() {
        let built = build(&config);
        let manifest = export::manifest(&config, "test", &Label::ALL, &built.int8, built.faces.len());
        assert_eq!(built.engine.not_fused(), [], "{name}");
        let kernels = expression_kernels::kernel::all().into_iter().map(Some).chain([None]);
        for (kernel, threads) in kernels.flat_map(|kernel| [(kernel, 1), (kernel, 3)]) {
            let engine = Engine::from_bytes(&built.int8_onnx, &manifest, EngineOptions { kernel, threads }).unwrap();
            let (rung, _) = parity::integer(&built.int8, &engine, &built.faces).unwrap();
            let kernel = kernel.map_or("stock tract", |kernel| kernel.name());
            assert!(rung.holds, "{name}, {kernel}, {threads} threads: {rung:?}");
        }
    }
}

/// On x86-64 without VNNI onnxruntime adds pairs of u8 x s8 products in 16 bits, which saturate, unless this is set.
const EXACT_WITHOUT_VNNI: (&str, &str) = ("session.x64quantprecision", "1");

#[test]
fn rung_2_onnxruntime_gives_the_same_integers() {
    let library = host_trainer::assets::folder().join("onnxruntime/libonnxruntime.so");
    let environment = ort::init_from(&library)
        .unwrap_or_else(|error| panic!("{}: {error}; run `cargo xtask setup`", library.display()))
        .build()
        .unwrap();
    for Case { name, config } in cases() {
        let built = build(&config);
        let qdq = qdq::from_int8(&built.int8_onnx, |model| model).unwrap();
        let (input, output) = (config.face_input(), built.int8.output());
        // The exported QDQ form may be computed in float, and round a half to the other side.
        for (onnx, tolerance, form) in [(&built.int8_onnx, 0, "int8"), (&qdq, qdq::TOLERANCE, "QDQ")] {
            let builder = ort::session::Session::builder(&environment).unwrap();
            let builder = builder.with_config_entry(EXACT_WITHOUT_VNNI.0, EXACT_WITHOUT_VNNI.1).unwrap();
            let mut session = { builder }.commit_from_memory(onnx).unwrap();
            let mut most = 0;
            for face in &built.faces {
                let shape = [1, input.channels, input.size, input.size];
                let tensor = ort::value::Tensor::from_array((shape, face.clone())).unwrap();
                let outputs = session.run(ort::inputs![tensor]).unwrap();
                let (_, logits) = outputs[0].try_extract_tensor::<f32>().unwrap();
                let step = |logit: &f32| (logit / output.scale + f32::from(output.zero_point)).round() as u8;
                let expected = built.int8.scores(face);
                assert_eq!(logits.len(), expected.len());
                most = logits.iter().map(step).zip(expected).map(|(a, b)| a.abs_diff(b)).fold(most, u8::max);
            }
            assert!(most <= tolerance, "{name}, {form}: {most} steps");
        }
    }
}

#[test]
fn rung_5_aligned_faces_survive_the_way_through_picture_files() {
    use expression_engine::Picture;
    let config = Config::preset("edge").unwrap();
    let input = config.face_input();
    let renderer = host_trainer::dataset::rendered::open().expect("assets are set up");
    let samples = host_trainer::dataset::rendered::draw(&renderer, 3, 0..2);
    let pictures: Vec<&Picture> = samples.iter().map(|sample| &sample.picture).collect();
    let faces: Vec<Vec<u8>> = pictures.iter().map(|picture| picture.aligned_face(input).unwrap()).collect();
    assert!(parity::aligned_faces(&pictures, &faces, input).unwrap().holds);
    // The rung can fail: a single bit is seen.
    let mut altered = faces.clone();
    altered[7][100] ^= 1;
    assert!(!parity::aligned_faces(&pictures, &altered, input).unwrap().holds);
}
