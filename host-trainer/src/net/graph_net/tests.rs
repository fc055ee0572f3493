use std::io::Write;

use rand::RngExt;
use tch::Tensor;
use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::prelude::*;

use super::*;
use crate::onnx::builder::{self, Builder, attribute, integer, integer_list, value_info};

fn window(kernel: i64, stride: i64, padding: i64) -> Vec<tract_onnx::pb::AttributeProto> {
    vec![
        integer_list("kernel_shape", &[kernel; 2]),
        integer_list("strides", &[stride; 2]),
        integer_list("pads", &[padding; 4]),
    ]
}

/// A small graph of every operator: `[1, 3, 16, 16]` to `[1, 5]`; always the same, by a generator of its own, since tests beside this
/// one draw from torch's.
fn graph() -> ModelProto {
    let mut generator = crate::random::rng(3, "graph", 0);
    let mut onnx = Builder::default();
    let mut random = |onnx: &mut Builder, name: &str, shape: &[usize]| {
        let from = if name.ends_with("variance") { 0.5 } else { -0.4 };
        let values: Vec<f32> =
            (0..shape.iter().product()).map(|_| from + generator.random_range(0.0..1.0f32)).collect();
        onnx.float(name, shape, &values)
    };
    let mut weights = Vec::new();
    for (name, shape) in [
        ("stem", &[6, 3, 3, 3][..]),
        ("stem_bias", &[6]),
        ("gain", &[6]),
        ("offset", &[6]),
        ("mean", &[6]),
        ("variance", &[6]),
        ("grouped", &[4, 3, 1, 1]),
        ("late", &[7, 10, 3, 3]),
        ("weight", &[5, 7]),
        ("bias", &[5]),
    ] {
        weights.push(random(&mut onnx, name, shape));
    }
    onnx.push("Conv", ["picture", "stem", "stem_bias"], "a", window(3, 2, 1));
    onnx.push("MaxPool", ["a"], "b", window(3, 2, 1));
    let epsilon = attribute("epsilon", AttributeType::Float, |it| it.f = 1e-3);
    onnx.push("BatchNormalization", ["b", "gain", "offset", "mean", "variance"], "c", vec![epsilon]);
    onnx.push("Relu", ["c"], "d", vec![]);
    let groups = [window(1, 1, 0), vec![integer("group", 2)]].concat();
    onnx.push("Conv", ["d", "grouped"], "e", groups);
    onnx.push("Concat", ["b", "e"], "f", vec![integer("axis", 1)]);
    onnx.push("AveragePool", ["f"], "g", window(2, 2, 0));
    onnx.push("Conv", ["g", "late"], "h", window(3, 1, 1));
    onnx.push("GlobalAveragePool", ["h"], "i", vec![]);
    onnx.push("Flatten", ["i"], "j", vec![integer("axis", 1)]);
    onnx.push("Gemm", ["j", "weight", "bias"], "answer", vec![integer("transB", 1)]);
    onnx.finish(
        "all",
        vec![value_info("picture", DataType::Float, &[1, 3, 16, 16])],
        vec![value_info("answer", DataType::Float, &[1, 5])],
    )
}

/// What tract says of a graph's bytes.
fn tract(onnx: &[u8], input: &Tensor) -> Vec<f32> {
    let model = tract_onnx::onnx().model_for_read(&mut &onnx[..]).unwrap().into_optimized().unwrap();
    let shape: Vec<usize> = input.size().iter().map(|side| *side as usize).collect();
    let values: Vec<f32> = input.contiguous().view(-1).try_into().unwrap();
    let input = tract_onnx::prelude::Tensor::from_shape(&shape, &values).unwrap();
    let given = model.into_runnable().unwrap().run(tvec!(input.into())).unwrap();
    given[0].to_plain_array_view::<f32>().unwrap().iter().copied().collect()
}

/// The largest difference between two answers, as a share of the largest value.
fn far(found: &Tensor, expected: &[f32]) -> f32 {
    let found: Vec<f32> = found.contiguous().view(-1).try_into().unwrap();
    assert_eq!(found.len(), expected.len());
    let largest = expected.iter().fold(0f32, |most, value| most.max(value.abs()));
    found.iter().zip(expected).fold(0f32, |most, (a, b)| most.max((a - b).abs())) / largest
}

#[test]
fn a_graph_of_all_operators_answers_as_tract_does() {
    let bytes = builder::bytes(&graph());
    let input = Tensor::randn([1, 3, 16, 16], (Kind::Float, Device::Cpu));
    let net = GraphNet::read(&bytes, None, Device::Cpu).unwrap();
    let found = tch::no_grad(|| net.forward(&input, Kind::Float, false));
    assert!(far(&found, &tract(&bytes, &input)) < 1e-5);
}

/// The pinned file of the teacher, against tract.
#[test]
fn densenet_answers_as_tract_does() {
    let path = crate::assets::folder().join("densenet/fr_expression.onnx");
    let Ok(bytes) = std::fs::read(&path) else {
        let _ = writeln!(std::io::stderr(), "skipped: no {}; run `cargo xtask setup`", path.display());
        return;
    };
    tch::manual_seed(4);
    let input = Tensor::rand([1, 3, 224, 224], (Kind::Float, Device::Cpu));
    let net = GraphNet::read(&bytes, None, Device::Cpu).unwrap();
    let found = tch::no_grad(|| net.forward(&input, Kind::Float, false));
    let difference = far(&found, &tract(&bytes, &input));
    assert!(difference < 1e-4, "{difference}");
}

#[test]
fn frozen_nodes_keep_weights_and_statistics() {
    let bytes = builder::bytes(&graph());
    let mut net = GraphNet::read(&bytes, Some(&[Some(4), None, Some(0)]), Device::Cpu).unwrap();
    net.freeze(1).unwrap();
    assert!(net.freeze(2).unwrap_err().to_string().contains("frozen = 2"));
    let input = Tensor::randn([4, 3, 16, 16], (Kind::Float, Device::Cpu));
    let before: Vec<(String, Tensor)> =
        net.store().variables().into_iter().map(|(name, value)| (name, value.detach().copy())).collect();
    net.forward(&input, Kind::Float, true).square().sum(Kind::Float).backward();
    for (name, old) in before {
        let now = &net.store().variables()[&name];
        let number: usize = name.strip_prefix("node").unwrap().split('.').next().unwrap().parse().unwrap();
        assert_eq!(*now, old, "{name} changed");
        let is_trained = now.requires_grad() && now.grad().defined();
        assert_eq!(is_trained, number > 6, "{name}: the average pool is node 6");
        assert_eq!(net.is_of_last_layer(&name), number == 10, "{name}");
    }
}

#[test]
fn outputs_are_chosen_and_new_ones_begin_below_the_others() {
    let bytes = builder::bytes(&graph());
    let input = Tensor::randn([1, 3, 16, 16], (Kind::Float, Device::Cpu)) * 0.0;
    let of = |outputs| {
        let net = GraphNet::read(&bytes, outputs, Device::Cpu).unwrap();
        Vec::<f32>::try_from(tch::no_grad(|| net.forward(&input, Kind::Float, false)).view(-1)).unwrap()
    };
    let all = of(None);
    let chosen = of(Some(&[Some(4), None, Some(0)]));
    // The sums of a product of another shape are added in another order.
    let near = |a: f32, b: f32| (a - b).abs() < 1e-5;
    assert!(near(chosen[0], all[4]) && near(chosen[2], all[0]), "{chosen:?} of {all:?}");
    let bias = graph().graph.unwrap().initializer.into_iter().find(|it| it.name == "bias").unwrap().raw_data;
    let lowest = bias.chunks_exact(4).map(|it| f32::from_le_bytes(it.try_into().unwrap())).fold(f32::MAX, f32::min);
    assert!((chosen[1] - (lowest - 2.0)).abs() < 1e-6, "{chosen:?}");
}

#[test]
fn what_is_not_known_is_refused() {
    let refused = |change: &dyn Fn(&mut tract_onnx::pb::GraphProto)| {
        let mut model = graph();
        change(model.graph.as_mut().unwrap());
        match GraphNet::read(&builder::bytes(&model), None, Device::Cpu) {
            Err(Error::BadInput(line)) => line,
            Err(other) => panic!("{other:?}"),
            Ok(_) => panic!("not refused"),
        }
    };
    let no_file = GraphNet::read(b"no file", None, Device::Cpu);
    assert!(no_file.is_err_and(|error| error.to_string().contains("ONNX")));
    assert!(refused(&|graph| graph.node[3].op_type = "Gelu".into()).contains("Gelu"));
    assert!(refused(&|graph| graph.node[0].input[1] = "nowhere".into()).contains("no weights"));
    assert!(refused(&|graph| graph.node[5].input[0] = "later".into()).contains("no node before"));
    assert!(refused(&|graph| graph.initializer[0].raw_data.truncate(8)).contains("whole f32"));
    assert!(refused(&|graph| graph.initializer[2].dims = vec![3, 2]).contains("different shapes"));
    assert!(refused(&|graph| graph.initializer[0].dims = vec![6, 3, 9, 1]).contains("not square"));
    assert!(refused(&|graph| graph.node[1].attribute[0].ints = vec![3, 2]).contains("not square"));
    assert!(refused(&|graph| graph.node[6].attribute[2].ints = vec![1; 4]).contains("padding"));
    assert!(refused(&|graph| graph.node[10].attribute.clear()).contains("transposed"));
    assert!(refused(&|graph| graph.output[0].name = "another".into()).contains("no node makes"));
    assert!(refused(&|graph| graph.node.clear()).contains("no node makes"));
}
