//! Synthetic activations where the right answer is known.

use tch::{Device, Kind};

use super::*;

/// Faces of so many of each label, in turn: face `i` is grey `i` everywhere, in two channels that differ by 2.
fn faces(each: usize) -> (Tensor, Vec<Label>) {
    let count = each * Label::COUNT;
    let labels: Vec<Label> = (0..count).map(|number| Label::ALL[number % Label::COUNT]).collect();
    let grey = Tensor::arange(count as i64, (Kind::Float, Device::Cpu)).view([-1, 1, 1, 1]);
    let channels = Tensor::from_slice(&[0f32, 2.0]).view([1, 2, 1, 1]);
    ((grey + channels).expand([count as i64, 2, 6, 6], false).to_kind(Kind::Uint8), labels)
}

/// One neuron by its activation on each face.
fn entropy(labels: &[Label], ranked: usize, activation: impl Fn(usize, Label) -> f32) -> f64 {
    let activations: Vec<f32> = labels.iter().enumerate().map(|(place, label)| activation(place, *label)).collect();
    neurons::label_entropy(&activations, labels, ranked)
}

#[test]
fn label_entropy_of_neurons_that_are_known() {
    let (_, labels) = faces(20);
    let one = |place: usize, label: Label| if label == Label::Fear { 1.0 + place as f32 } else { 0.1 };
    assert_eq!(entropy(&labels, 20, one), 0.0);
    // Uniformly: the strongest sixteen have each label twice.
    assert!((entropy(&labels, 16, |place, _| -(place as f32)) - 3.0).abs() < 1e-12);
    let two = |_, label| if matches!(label, Label::Fear | Label::Anger) { 1.0 } else { 0.0 };
    assert!((entropy(&labels, 40, two) - 1.0).abs() < 1e-12);
    // One rank is for a face of neutral; the other is shared by the 159 faces left, 19 of neutral and 20 of each other label.
    let shares = [(1.0 + 19.0 / 159.0) / 2.0, 10.0 / 159.0];
    let expected = -shares[0] * f64::log2(shares[0]) - 7.0 * shares[1] * f64::log2(shares[1]);
    let few = entropy(&labels, 2, |place, _| if place == 0 { 1.0 } else { 0.0 });
    assert!((few - expected).abs() < 1e-12, "{few}, {expected}");
}

#[test]
fn a_silent_neuron_tells_nothing_whatever_the_order_of_the_set() {
    let (_, mut labels) = faces(20);
    labels.sort_by_key(|label| *label as usize);
    assert!((entropy(&labels, 20, |_, _| 0.0) - 3.0).abs() < 1e-12);
}

#[test]
fn the_average_is_of_the_faces_that_excite_most() {
    let (faces, labels) = faces(4);
    let activations: Vec<f32> =
        (0..labels.len()).map(|place| if place == 10 || place == 21 { place as f32 } else { 0.0 }).collect();
    let top = neurons::top(&activations, 2);
    assert_eq!(top, [21, 10]);
    let average = neurons::average(&faces, &top).unwrap();
    assert_eq!(average.dimensions(), (6, 6));
    // Faces 21 and 10, channels 0 and 2: (21 + 23 + 10 + 12) / 4 = 16.5, and halves go to the even.
    assert!(average.pixels().all(|pixel| pixel.0 == [16]), "{average:?}");
}

#[test]
fn the_maximum_is_over_places() {
    let maps = Tensor::from_slice(&[1f32, 5.0, -2.0, 0.0, -4.0, -3.0, -9.0, -8.0]).view([1, 2, 2, 2]);
    let maxima: Vec<f32> = neurons::spatial_maximum(&maps).view(-1).try_into().unwrap();
    assert_eq!(maxima, [5.0, -3.0]);
}

/// A layer of two neurons: the first answers to anything alike, the second to one label.
fn layer(labels: &[Label]) -> Tensor {
    let values: Vec<f32> = labels.iter().flat_map(|label| [0.5, f32::from(*label == Label::Disgust)]).collect();
    Tensor::from_slice(&values).view([-1, 2])
}

#[test]
fn nets_are_shown_side_by_side_and_small_sets_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let (faces, labels) = faces(20);
    let net = |name: &str| Inspected {
        name: name.into(),
        layers: vec![("conv1".into(), layer(&labels) * 0.0), ("conv2".into(), layer(&labels))],
    };
    let nets = [net("scratch"), net("<fn2en>")];
    let Findings { inspection, grids } =
        inspect(&nets, &faces, &labels, InspectionSettings::default(), folder.path()).unwrap();
    assert_eq!((inspection.faces, inspection.ranked, inspection.asked), (160, 20, 100));
    assert!((inspection.set_entropy - 3.0).abs() < 1e-12);
    assert_eq!(inspection.nets[0].shown, [1, 0], "the neuron of lowest entropy comes first");
    assert_eq!(inspection.nets[1].layers[1].entropy[1], 0.0);
    assert!((inspection.nets[1].layers[1].mean - 1.5).abs() < 1e-12);

    let picture = image::open(folder.path().join("neurons.png")).unwrap().to_rgb8();
    // Two blocks of two neurons of 64 pixels with 2 between, 16 between the blocks.
    assert_eq!(picture.dimensions(), (2 * 130 + 16, 64));
    // The faces of disgust are 5, 13, ... : the mean of the first sixteen is 65, and 66 with the second channel.
    assert_eq!((picture.get_pixel(10, 10).0, picture.get_pixel(138, 10).0), ([66; 3], [255; 3]));
    // Two nets, two layers: of the second layer one neuron is at 0 bits and one at 3; of the first both are at 3.
    let picture = image::open(folder.path().join("entropy.png")).unwrap().to_rgb8();
    assert_eq!(picture.dimensions(), (2 * 192 + 16, 2 * 112));
    let blue = |x, y| picture.get_pixel(x, y).0 == [47, 127, 201];
    assert!(blue(188, 2) && !blue(3, 95) && blue(3, 112 + 95) && blue(188, 112 + 95) && blue(208 + 3, 112 + 95));
    assert!(!blue(188, 112 + 40), "half as high: one of two neurons");
    let page = crate::report::inspection::page(&inspection, &grids);
    for text in ["over 20 faces, not 100", "scratch", "&lt;fn2en&gt;", "conv2", "data:image/png", "1.50 bits"] {
        assert!(page.contains(text), "{text}");
    }
    assert!(!page.contains("<fn2en>") && !page.contains("http") && !page.contains("NaN"));
    let json = std::fs::read(folder.path().join("inspect.json")).unwrap();
    assert_eq!(serde_json::from_slice::<Inspection>(&json).unwrap().nets[1].shown, [1, 0]);
}

#[test]
fn what_does_not_fit_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let (faces, labels) = faces(20);
    let run = |layers, labels: &[Label]| {
        let net = Inspected { name: "a".into(), layers };
        inspect(&[net], &faces, labels, InspectionSettings::default(), folder.path())
            .err()
            .expect("it is refused")
            .to_string()
    };
    assert!(run(vec![("conv1".into(), layer(&labels[1..]))], &labels).contains("159"));
    assert!(run(vec![("conv1".into(), layer(&labels))], &labels[1..]).contains("159 labels"));
    assert!(run(Vec::new(), &labels).contains("no layers"));
}

#[test]
fn the_layers_of_an_expression_net_end_in_the_maps_that_stage_one_trains() {
    let config = crate::config::Config::preset("smoke").unwrap();
    tch::manual_seed(3);
    let net = crate::net::ExpressionNet::new(&config.net, 24, Label::COUNT as i64, Kind::Float, Device::Cpu);
    let side = config.net.size as i64;
    let shape = [130, config.net.channels as i64, config.net.aligned as i64, config.net.aligned as i64];
    let aligned = Tensor::randint(256, shape, (Kind::Uint8, Device::Cpu));
    let inspected = layers::of_expression_net("a net", &net, &aligned, side).unwrap();
    let names: Vec<&str> = inspected.layers.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["conv1", "conv2", "conv3", "conv4", "adapter"]);
    for ((_, activations), channels) in inspected.layers.iter().zip([16, 32, 48, 64, 24]) {
        assert_eq!(activations.size(), [130, channels]);
    }
    let input = crate::net::expression_net::normalised(&crate::train::views::centre(&aligned, side));
    let maps = tch::no_grad(|| neurons::spatial_maximum(&net.maps(&input, false)));
    assert!((&maps - &inspected.layers[4].1).abs().max().double_value(&[]) < 1e-4);
}

#[test]
fn the_chosen_layers_of_a_face_net() {
    let mut config = crate::config::Config::preset("smoke").unwrap().face_net;
    config.layer = "conv_pw_3_relu".into();
    let net = crate::net::FaceNet::open(&config, Device::Cpu).expect("assets are set up");
    let batch = |faces: i64| Tensor::rand([faces, 3, 224, 224], (Kind::Float, Device::Cpu)) * 255.0;
    let names = ["conv_pw_1_relu", "conv_pw_3_relu"];
    let inspect = |layers: &[&str]| {
        layers::of_face_net("the face net", &net, layers, [3, 2].map(|faces| Ok(batch(faces))).into_iter(), Kind::Float)
    };
    let inspected = inspect(&names).unwrap();
    let found: Vec<_> = inspected.layers.iter().map(|(name, values)| (name.as_str(), values.size()[0])).collect();
    assert_eq!(found, [(names[0], 5), (names[1], 5)]);
    assert_eq!(inspected.layers[1].1.size()[1], net.channels(names[1]).unwrap());
    assert!(inspect(&["pool9"]).is_err());
}
