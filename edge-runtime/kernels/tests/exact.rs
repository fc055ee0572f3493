//! Every kernel gives exactly the reference's integers, with any number of threads.

use expression_kernels::{Algorithm, Chain, Convolution, Layer, MaxPool, Shape, Threads, Window, kernel, reference};
use proptest::prelude::*;

/// A generator of bytes that depends on its seed alone.
struct Bytes(u64);

impl Bytes {
    fn next(&mut self) -> u8 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 56) as u8
    }

    fn word(&mut self) -> i32 {
        i32::from_le_bytes(std::array::from_fn(|_| self.next()))
    }
}

fn channels() -> impl Strategy<Value = usize> {
    prop_oneof![prop::sample::select(vec![1, 3, 5, 8, 16, 17, 32, 48, 64, 80, 96, 130]), 1..70usize]
}

/// A kernel and its stride; as often as not what Winograd's algorithm computes.
fn window() -> impl Strategy<Value = ([usize; 2], [usize; 2])> {
    prop_oneof![Just(([3, 3], [1, 1])), ([1..4usize, 1..4], [1..3usize, 1..3])]
}

fn convolution(from: usize) -> impl Strategy<Value = Convolution> {
    convolution_by(from, window())
}

fn convolution_by(
    from: usize,
    window: impl Strategy<Value = ([usize; 2], [usize; 2])>,
) -> impl Strategy<Value = Convolution> {
    let pairs = || [0..3usize, 0..3];
    (channels(), window, pairs(), pairs(), any::<[u8; 2]>(), any::<u64>(), 0..7usize).prop_map(
        move |(to, (kernel, stride), before, after, [input_zero, output_zero], seed, kind)| {
            let mut bytes = Bytes(seed);
            let count = to * from * kernel[0] * kernel[1];
            // Also the extremes alone, whose sums are the largest; and none of -128, for which there may be other code.
            let mut weight = || match kind {
                0 => [-128, 127][usize::from(bytes.next() & 1)],
                3 => [-127, 127][usize::from(bytes.next() & 1)],
                4 => bytes.next().cast_signed().max(-127),
                5 => -128,
                6 => 127,
                _ => bytes.next().cast_signed(),
            };
            let weight = (0..count).map(|_| weight()).collect();
            let mut bytes = Bytes(!seed);
            let bias = (0..to).map(|_| bytes.word() >> if kind == 1 { 0 } else { 16 }).collect();
            let size = (from * kernel[0] * kernel[1]) as f32 * 3000.0;
            // Also such that values leave the range of an i32, and negative ones.
            let factor = [1.0, 1.0, 1e9, -1.0, 1.0, 1.0, -1e9][kind];
            let multiplier = (0..to).map(|_| factor * f32::from(bytes.next()) / size.sqrt() / 256.0).collect();
            let window = Window { kernel, stride, before, after };
            Convolution { from, to, window, weight, bias, multiplier, input_zero, output_zero }
        },
    )
}

/// A pool each of whose windows covers something; as often as not the usual one, 3x3 with stride 2 and no border before the map.
fn pool() -> impl Strategy<Value = Layer> {
    let usual = any::<[bool; 2]>().prop_map(|[below, right]| ([3, 3], [2, 2], [false, false, below, right]));
    prop_oneof![usual, ([1..6usize, 1..6], [1..3usize, 1..3], any::<[bool; 4]>())].prop_map(
        |(kernel, stride, border)| {
            let side = |axis: usize, place: usize| usize::from(border[place] && kernel[axis] > 1);
            let window = Window { kernel, stride, before: [side(0, 0), side(1, 1)], after: [side(0, 2), side(1, 3)] };
            Layer::MaxPool(MaxPool { window })
        },
    )
}

fn layers() -> impl Strategy<Value = (Shape, Vec<Layer>, u64)> {
    let first = channels().prop_flat_map(|from| (Just(from), convolution(from)));
    let second = first.prop_flat_map(|(from, first)| {
        let to = first.to;
        (Just((from, first)), prop::option::of(pool()), prop::option::of(convolution(to)))
    });
    (second, 4..15usize, 4..15usize, any::<u64>()).prop_map(|(((from, first), pool, second), height, width, seed)| {
        let layers = [Layer::Convolution(first)].into_iter().chain(pool).chain(second.map(Layer::Convolution));
        (Shape { channels: from, height, width }, layers.collect(), seed)
    })
}

/// Rows of any length under windows three wide that move by one column. Over one channel, the rows of a window may be stored as
/// channels; over channels that are whole registers, places that follow each other in a row may share what they read.
fn long_rows() -> impl Strategy<Value = (Shape, Vec<Layer>, u64)> {
    let window =
        prop_oneof![Just(([3, 3], [1, 1])), (1..4usize, 1..3usize).prop_map(|(rows, down)| ([rows, 3], [down, 1]))];
    let first =
        prop::sample::select(vec![1, 16, 32, 48, 64]).prop_flat_map(move |from| convolution_by(from, window.clone()));
    (first, prop::option::of(pool()), 1..7usize, 1..51usize, any::<u64>()).prop_map(
        |(first, pool, height, width, seed)| {
            let shape = Shape { channels: first.from, height, width };
            (shape, [Layer::Convolution(first)].into_iter().chain(pool).collect(), seed)
        },
    )
}

/// Maps of all sorts: noise, and extremes.
fn map(shape: Shape, seed: u64) -> Vec<u8> {
    let mut bytes = Bytes(seed);
    let mut value = || match seed % 4 {
        0 => [0, 255][usize::from(bytes.next() & 1)],
        1 => 255,
        _ => bytes.next(),
    };
    (0..shape.len()).map(|_| value()).collect()
}

const ALGORITHMS: [Algorithm; 4] =
    [Algorithm::Fastest, Algorithm::Direct, Algorithm::Winograd, Algorithm::FreshWinograd];

fn every_kernel_is_exact(shape: Shape, layers: &[Layer], seed: u64) -> Result<(), TestCaseError> {
    let fits = Chain::new(shape, layers, kernel::best()).is_ok();
    prop_assume!(fits);
    let maps = [map(shape, seed), map(shape, seed.wrapping_add(1)), map(shape, !seed)];
    let expected = maps.each_ref().map(|map| reference::chain(layers, shape, map));
    let inputs = maps.each_ref().map(|map| &map[..]);
    for kernel in kernel::all() {
        for (algorithm, threads) in ALGORITHMS.into_iter().flat_map(|algorithm| [(algorithm, 1), (algorithm, 3)]) {
            let chain = Chain::with_algorithm(shape, layers, kernel, algorithm).unwrap();
            let (threads, mut workspace) = (Threads::new(threads).unwrap(), chain.batch_workspace(threads, 2));
            let context = format!("{}, {algorithm:?}, {} threads", kernel.name(), threads.count());
            // Three images, of which the workspace holds two; then one again, for what runs leave behind must not matter.
            let mut output = vec![0; 3 * chain.output().len()];
            chain.run_batch(&threads, &mut workspace, &inputs, &mut output);
            prop_assert!(output == expected.concat(), "{context}, three images");
            let output = &mut output[..chain.output().len()];
            chain.run(&threads, &mut workspace, inputs[0], output);
            prop_assert_eq!(&*output, &expected[0], "{}", context);
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn every_kernel_gives_the_integers_of_the_reference((shape, layers, seed) in layers()) {
        every_kernel_is_exact(shape, &layers, seed)?;
    }

    #[test]
    fn rows_of_any_length_give_the_integers_of_the_reference((shape, layers, seed) in long_rows()) {
        every_kernel_is_exact(shape, &layers, seed)?;
    }
}

/// A convolution of 3x3 over `from` channels, all of whose weights are `weight`.
fn uniform(from: usize, weight: i8, bias: i32) -> Layer {
    let window = Window { kernel: [3, 3], stride: [1, 1], before: [1, 1], after: [1, 1] };
    let weight = vec![weight; 16 * from * 9];
    // One step per 2^24 of a sum, so that the bytes show all of its range.
    let multiplier = vec![0.5f32.powi(24) * 128.0; 16];
    let (bias, input_zero, output_zero) = (vec![bias; 16], 0, 128);
    Layer::Convolution(Convolution { from, to: 16, window, weight, bias, multiplier, input_zero, output_zero })
}

/// Sums that no longer fit 64 times into 32 bits must not be left to Winograd's algorithm.
#[test]
fn layers_whose_sums_may_be_too_large_for_winograd_are_computed_directly() {
    // 255 * 128 * 9 * channels reaches 2^25 with 115 channels.
    for (from, weight, bias, exact) in [
        (114, -128, 0, true),
        (115, -128, 0, false),
        (114, 127, 0, true),
        (116, 127, 0, false),
        (8, 127, 30_000_000, true),
        (8, 127, 33_000_000, false),
        (8, -127, -33_000_000, false),
        (8, 1, i32::MAX, false),
        (8, -1, i32::MIN, false),
    ] {
        let (shape, layers) = (Shape { channels: from, height: 7, width: 5 }, [uniform(from, weight, bias)]);
        let map = vec![255; shape.len()];
        let expected = reference::chain(&layers, shape, &map);
        for kernel in kernel::all() {
            for wanted in [Algorithm::Winograd, Algorithm::FreshWinograd] {
                let chain = Chain::with_algorithm(shape, &layers, kernel, wanted).unwrap();
                let context = format!("{}, {wanted:?}: {from} channels of {weight}, {bias}", kernel.name());
                assert_eq!(chain.algorithms(), [if exact { wanted } else { Algorithm::Direct }], "{context}");
                let mut output = vec![0; chain.output().len()];
                chain.run(&Threads::new(1).unwrap(), &mut chain.workspace(1), &map, &mut output);
                assert_eq!(output, expected, "{context}");
            }
        }
    }
}

#[test]
fn convolutions_that_are_not_3x3_with_stride_1_are_computed_directly() {
    let shape = Shape { channels: 8, height: 9, width: 9 };
    let Layer::Convolution(good) = uniform(8, 3, 0) else { panic!("a convolution") };
    let planned = |convolution: Convolution| {
        let layers = [Layer::Convolution(convolution)];
        Chain::with_algorithm(shape, &layers, kernel::best(), Algorithm::Winograd).unwrap().algorithms()
    };
    assert_eq!(planned(good.clone()), [Algorithm::Winograd]);
    let window = good.window;
    assert_eq!(
        planned(Convolution { window: Window { stride: [1, 2], ..window }, ..good.clone() }),
        [Algorithm::Direct]
    );
    let weight = vec![3; 16 * 8 * 6];
    assert_eq!(
        planned(Convolution { window: Window { kernel: [3, 2], ..window }, weight, ..good.clone() }),
        [Algorithm::Direct]
    );
    // Multipliers whose products leave an i32, or of which a 64th loses bits.
    for multiplier in [1e6, 1e-40] {
        assert_eq!(planned(Convolution { multiplier: vec![multiplier; 16], ..good.clone() }), [Algorithm::Direct]);
    }
}

#[test]
fn layers_that_do_not_fit_are_refused() {
    let shape = Shape { channels: 2, height: 6, width: 6 };
    let window = Window { kernel: [3, 3], stride: [1, 1], before: [1, 1], after: [1, 1] };
    let good = Convolution {
        from: 2,
        to: 4,
        window,
        weight: vec![1; 72],
        bias: vec![0; 4],
        multiplier: vec![1.0; 4],
        input_zero: 0,
        output_zero: 0,
    };
    let plan = |layer: Convolution| Chain::new(shape, &[Layer::Convolution(layer)], kernel::best()).map(drop);
    assert!(plan(good.clone()).is_ok());
    for bad in [
        Convolution { from: 3, ..good.clone() },
        Convolution { weight: vec![1; 71], ..good.clone() },
        Convolution { bias: vec![0; 3], ..good.clone() },
        Convolution { multiplier: vec![1.0, 1.0, 1.0, f32::NAN], ..good.clone() },
        Convolution { window: Window { kernel: [9, 3], ..window }, ..good.clone() },
        Convolution { window: Window { stride: [0, 1], ..window }, ..good.clone() },
        Convolution { window: Window { before: [usize::MAX, 1], ..window }, ..good.clone() },
        Convolution { window: Window { before: [1 << 40, 1], ..window }, ..good },
    ] {
        assert!(plan(bad).is_err());
    }
}
