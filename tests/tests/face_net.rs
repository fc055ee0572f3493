//! The face nets: MobileNetV1 from the fetched file, VGG-16 from a file of the user's, and tuning.

use std::path::Path;

use expression_engine::error::{Classify, ErrorKind};
use host_trainer::config::{self, Config};
use host_trainer::dataset::rendered;
use host_trainer::net::FaceNet;
use host_trainer::train::checkpoint::CheckpointPlace;
use host_trainer::train::face_net_tuning::FaceClassifier;
use host_trainer::train::faces::{Faces, face_net_input};
use host_trainer::train::teacher::Teacher;
use host_trainer::train::views::{self, View, Views};
use tch::{Device, Kind, Tensor};

/// The embeddings of two faces of one person are closer than those of two people: the file was read as it was meant.
#[test]
fn mobilenet_tells_identities_apart() {
    let config = Config::preset("edge").unwrap();
    let net = FaceNet::open(&config.face_net, Device::Cpu).unwrap();
    let renderer = rendered::open().expect("assets are set up");
    let samples = rendered::draw(&renderer, 9, 0..10);
    let chosen: Vec<_> = samples.iter().step_by(4).collect();
    let pictures: Vec<_> = chosen.iter().map(|sample| &sample.picture).collect();
    let input = face_net_input(&pictures, 224, Device::Cpu).unwrap();
    let maps = tch::no_grad(|| net.maps(&input, "conv_pw_13_relu", Kind::Float)).unwrap();
    assert_eq!(maps.size(), [chosen.len() as i64, 1024, 7, 7]);
    let embedding = maps.mean_dim([2i64, 3].as_slice(), false, Kind::Float);
    let embedding = &embedding / embedding.norm_scalaropt_dim(2, [1i64].as_slice(), true);
    let likeness = embedding.matmul(&embedding.tr());
    let (mut same, mut other) = (Vec::new(), Vec::new());
    for a in 0..chosen.len() {
        for b in 0..a {
            let value = likeness.double_value(&[a as i64, b as i64]);
            if chosen[a].subject == chosen[b].subject { same.push(value) } else { other.push(value) }
        }
    }
    let above = same.iter().map(|a| other.iter().filter(|b| a > b).count()).sum::<usize>();
    let area = above as f64 / (same.len() * other.len()) as f64;
    println!("area under the curve, same against other identities: {area:.3}");
    assert!(area > 0.9, "{area}");
}

/// Tuning begins with batch norm between the layers, and yet from what the net knows.
#[test]
fn batch_norm_leaves_the_answers_to_the_measured_faces_as_they_were() {
    let mut net = FaceNet::open(&Config::preset("edge").unwrap().face_net, Device::Cpu).unwrap();
    let samples = rendered::draw(&rendered::open().expect("assets are set up"), 9, 0..1);
    let pictures: Vec<_> = samples.iter().map(|sample| &sample.picture).collect();
    let input = face_net_input(&pictures, 112, Device::Cpu).unwrap();
    let maps = |net: &FaceNet| tch::no_grad(|| net.maps(&input, net.last(), Kind::Float)).unwrap();
    let before = maps(&net);
    let variables = net.store().len();
    net.normalise(&input);
    assert!(net.store().len() > variables);
    let difference = (maps(&net) - &before).abs().max().double_value(&[]);
    assert!(difference < 1e-3 * before.max().double_value(&[]), "{difference}");
}

/// A VGG-16 of the right shape with few channels, under torchvision's names.
fn write_vgg(path: &Path) {
    tch::manual_seed(2);
    let (mut tensors, mut from) = (Vec::new(), 3);
    for index in [0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28] {
        let to = 4 + index / 10;
        let spread = (2.0 / (9 * from) as f64).sqrt();
        tensors.push((
            format!("features.{index}.weight"),
            Tensor::randn([to, from, 3, 3], (Kind::Float, Device::Cpu)) * spread,
        ));
        tensors.push((format!("features.{index}.bias"), Tensor::zeros([to], (Kind::Float, Device::Cpu))));
        from = to;
    }
    Tensor::write_safetensors(&tensors, path).unwrap();
}

fn vgg(path: &Path, layer: &str) -> host_trainer::Result<FaceNet> {
    let weights = path.display().to_string();
    FaceNet::open(
        &config::FaceNet { model: config::FaceNetModel::Vgg16, weights, layer: layer.into(), size: 224 },
        Device::Cpu,
    )
}

#[test]
fn vgg_is_read_from_a_file_of_the_users_and_tuned() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vgg.safetensors");
    write_vgg(&path);
    let mut net = vgg(&path, "pool5").unwrap();
    assert_eq!(net.channels("pool5").unwrap(), 6);

    let mut config = Config::preset("smoke").unwrap();
    config.face_net.layer = "pool5".into();
    (config.face_net_tuning.epochs, config.face_net_tuning.batch) = (1, 8);
    let samples = rendered::draw(&rendered::open().expect("assets are set up"), 4, 0..2);
    let (train, held_out) = samples.split_at(24);
    let faces = |samples| Faces::new(samples, config.face_input(), Device::Cpu).unwrap();
    let pictures: Vec<_> = held_out.iter().map(|sample| &sample.picture).collect();
    let input = face_net_input(&pictures, 224, Device::Cpu).unwrap();
    let before = tch::no_grad(|| net.maps(&input, "pool5", Kind::Float)).unwrap();
    assert_eq!(before.size(), [8, 6, 7, 7]);
    let checkpoint = CheckpointPlace { path: folder.path().join("face-net.safetensors"), owner: "a run".into() };
    let parts = ((train, &faces(train)), (held_out, &faces(held_out)));
    let classifier = FaceClassifier::new(&mut net, &config, train).unwrap();
    let curve = classifier.train(parts.0, parts.1, 1, &checkpoint).unwrap();
    assert_eq!(curve.len(), 1);
    let after = tch::no_grad(|| net.maps(&input, "pool5", Kind::Float)).unwrap();
    assert!((&after - &before).abs().max().double_value(&[]) > 0.0, "tuning changes nothing");

    // Another net goes on from the checkpoint to the same weights, without an epoch of its own.
    let mut resumed = vgg(&path, "pool5").unwrap();
    let parts = ((train, &faces(train)), (held_out, &faces(held_out)));
    FaceClassifier::new(&mut resumed, &config, train).unwrap().train(parts.0, parts.1, 1, &checkpoint).unwrap();
    let again = tch::no_grad(|| resumed.maps(&input, "pool5", Kind::Float)).unwrap();
    assert_eq!(again, after);

    // Case 15: runs of other data took up each other's checkpoints.
    let elsewhere = CheckpointPlace { owner: "another run".into(), ..checkpoint };
    let mut other = vgg(&path, "pool5").unwrap();
    let classifier = FaceClassifier::new(&mut other, &config, train).unwrap();
    let refused = classifier.train(parts.0, parts.1, 1, &elsewhere).unwrap_err();
    assert!(refused.to_string().contains("other settings or data"), "{refused}");
}

#[test]
fn a_teacher_answers_each_view_as_the_face_net_does_and_keeps_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = Config::preset("smoke").unwrap();
    (config.face_net.size, config.augment.mirror) = (64, true);
    (config.stage_two.teacher, config.stage_two.teacher_views) = (1.0, 3);
    let mut net = FaceNet::open(&config.face_net, Device::Cpu).unwrap();
    let samples = rendered::draw(&rendered::open().expect("assets are set up"), 4, 0..3);
    let classifier = FaceClassifier::new(&mut net, &config, &samples).unwrap();
    let answered = |view: View, sample: usize| {
        classifier.logits(&samples[sample..=sample], view).unwrap().softmax(-1, Kind::Float)
    };

    let kept = folder.path().join("teacher-answers.f32");
    let teacher = Teacher::load_or_compute(&classifier, &samples, 1, &kept).unwrap();
    let ranges = Views::new(&config.augment, &config.net);
    let batch: Vec<i64> = (0..samples.len() as i64).collect();
    let draw = |teacher: &Teacher| teacher.draw(&batch, &ranges, 0.0, &mut host_trainer::random::rng(1, "test", 0));
    let (views, answers) = draw(&teacher);
    for (sample, view) in views.iter().enumerate() {
        let expected = (answered(*view, sample) + answered(views::mirrored(*view), sample)) / 2.0;
        let difference = (answers.get(sample as i64) - expected).abs().max().double_value(&[]);
        assert!(difference < 1e-5, "sample {sample}: {difference}");
    }
    assert!(answers.std_dim([0i64].as_slice(), true, false).max().double_value(&[]) > 1e-3, "all answers are the same");

    // What is kept is taken as it is.
    let bytes = std::fs::read(&kept).unwrap();
    std::fs::write(&kept, [&bytes[..64], &vec![0; bytes.len() - 64]].concat()).unwrap();
    let (_, blank) = draw(&Teacher::load_or_compute(&classifier, &samples, 1, &kept).unwrap());
    assert_eq!(blank.abs().max().double_value(&[]), 0.0);
}

#[test]
fn weights_that_do_not_fit_are_bad_input() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vgg.safetensors");
    write_vgg(&path);
    let bytes = std::fs::read(&path).unwrap();
    let cut = folder.path().join("cut.safetensors");
    std::fs::write(&cut, &bytes[..bytes.len() / 2]).unwrap();
    let other = folder.path().join("other.safetensors");
    Tensor::write_safetensors(&[("conv.weight", Tensor::zeros([1], (Kind::Float, Device::Cpu)))], &other).unwrap();
    for (result, expected) in [
        (vgg(&path, "pool6"), "no layer"),
        (vgg(&cut, "pool5"), "safetensors"),
        (vgg(&other, "pool5"), "features.0.weight"),
        (vgg(&folder.path().join("none"), "pool5"), "no such file"),
        (vgg(Path::new(""), "pool5"), "--face-net-weights"),
    ] {
        let error = result.err().expect("it is refused");
        let line = error.to_string();
        assert_eq!(error.kind(), ErrorKind::BadInput, "{line}");
        assert!(line.contains(expected), "{line}");
    }
}
