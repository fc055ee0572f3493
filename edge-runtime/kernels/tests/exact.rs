//! Every kernel gives exactly the reference's integers, with any number of threads.

use expression_kernels::{Chain, Convolution, Layer, MaxPool, Shape, Threads, Window, kernel, reference};
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

fn convolution(from: usize) -> impl Strategy<Value = Convolution> {
    let pairs = || [0..3usize, 0..3];
    (channels(), [1..4usize, 1..4], [1..3usize, 1..3], pairs(), pairs(), any::<[u8; 2]>(), any::<u64>(), 0..5).prop_map(
        move |(to, kernel, stride, before, after, [input_zero, output_zero], seed, kind)| {
            let mut bytes = Bytes(seed);
            let count = to * from * kernel[0] * kernel[1];
            // Also the extremes alone, whose sums are the largest; and none of -128, for which there may be other code.
            let mut weight = || match kind {
                0 => [-128, 127][usize::from(bytes.next() & 1)],
                3 => [-127, 127][usize::from(bytes.next() & 1)],
                4 => bytes.next().cast_signed().max(-127),
                _ => bytes.next().cast_signed(),
            };
            let weight = (0..count).map(|_| weight()).collect();
            let mut bytes = Bytes(!seed);
            let bias = (0..to).map(|_| bytes.word() >> if kind == 1 { 0 } else { 16 }).collect();
            let size = (from * kernel[0] * kernel[1]) as f32 * 3000.0;
            let multiplier = (0..to).map(|_| f32::from(bytes.next()) / size.sqrt() / 256.0).collect();
            let window = Window { kernel, stride, before, after };
            Convolution { from, to, window, weight, bias, multiplier, input_zero, output_zero }
        },
    )
}

/// A pool each of whose windows covers something.
fn pool() -> impl Strategy<Value = Layer> {
    ([1..6usize, 1..6], [1..3usize, 1..3], any::<[bool; 4]>()).prop_map(|(kernel, stride, border)| {
        let side = |axis: usize, place: usize| usize::from(border[place] && kernel[axis] > 1);
        let window = Window { kernel, stride, before: [side(0, 0), side(1, 1)], after: [side(0, 2), side(1, 3)] };
        Layer::MaxPool(MaxPool { window })
    })
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

proptest! {
    #[test]
    fn every_kernel_gives_the_integers_of_the_reference((shape, layers, seed) in layers()) {
        let mut bytes = Bytes(seed);
        let mut value = || match seed % 2 {
            0 => [0, 255][usize::from(bytes.next() & 1)],
            _ => bytes.next(),
        };
        let map: Vec<u8> = (0..shape.len()).map(|_| value()).collect();
        let fits = Chain::new(shape, &layers, kernel::best()).is_ok();
        prop_assume!(fits);
        let expected = reference::chain(&layers, shape, &map);
        for kernel in kernel::all() {
            for threads in [1, 3] {
                let chain = Chain::new(shape, &layers, kernel).unwrap();
                let (threads, mut workspace) = (Threads::new(threads).unwrap(), chain.workspace(threads));
                let mut output = vec![0; chain.output().len()];
                // Twice: what the first run leaves behind must not matter.
                for _ in 0..2 {
                    chain.run(&threads, &mut workspace, &map, &mut output);
                    prop_assert_eq!(&output, &expected, "{} with {} threads", kernel.name(), threads.count());
                }
            }
        }
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
