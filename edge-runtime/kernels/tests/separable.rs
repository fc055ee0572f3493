//! Separable convolutions give the same bits on every kernel: those of sums written out one after another.

use expression_kernels::separable::{Map, Pointwise, Separable, Skip, Stem, heads, kernels};
use proptest::prelude::*;

/// Floats between -1 and 1 from a seed.
fn floats(seed: u64, count: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

fn filled(width: usize, height: usize, channels: usize, seed: u64) -> Map {
    let mut map = Map::default();
    map.resize(width, height, channels);
    for (y, row) in floats(seed, width * height * channels).chunks_exact(width * channels).enumerate() {
        map.row_mut(y).copy_from_slice(row);
    }
    map
}

fn at(map: &Map, x: isize, y: isize, channel: usize) -> f32 {
    let inside = x >= 0 && y >= 0 && x < map.width() as isize && y < map.height() as isize;
    if inside { map.row(y as usize)[x as usize * map.channels() + channel] } else { 0.0 }
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

fn dot(weight: &[f32], input: impl Iterator<Item = f32>, bias: f32) -> f32 {
    weight.iter().zip(input).fold(bias, |sum, (weight, value)| value.mul_add(*weight, sum))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn a_separable_convolution_is_its_sums_written_out(
        (width, height) in (1usize..6, 1usize..4),
        (from, to) in (1usize..4, 1usize..60),
        stride in 1usize..3,
        skip in any::<bool>(),
        seed in any::<u64>(),
    ) {
        let from = 8 * from;
        let skip = skip && to >= from;
        let input = filled(stride * width, stride * height, from, seed);
        let (depthwise, weight, bias) = (floats(seed ^ 1, 9 * from), floats(seed ^ 2, from * to), floats(seed ^ 3, to));
        let before = if stride == 1 { 1 } else { 0 };
        let expected = |x: usize, y: usize, channel: usize| {
            let deep = (0..from).map(|c| {
                let taps = (0..9).map(|tap| {
                    let [x, y] = [(x, tap % 3), (y, tap / 3)].map(|(at, tap)| (stride * at + tap) as isize - before);
                    at(&input, x, y, c)
                });
                dot(&depthwise[9 * c..9 * c + 9], taps, 0.0)
            });
            let mut sum = dot(&weight[channel * from..][..from], deep, bias[channel]);
            if skip && channel < from {
                let window = (0..stride * stride).map(|i| at(&input, (stride * x + i % stride) as isize, (stride * y + i / stride) as isize, channel));
                sum += window.fold(f32::MIN, f32::max);
            }
            if sum > 0.0 { sum } else { 0.0 }
        };
        let layer = Separable::new(&depthwise, Pointwise::new(&weight, &bias), stride, if skip { Skip::Input } else { Skip::None });
        for kernel in kernels() {
            let mut output = Map::default();
            output.resize(width, height, to.div_ceil(24) * 24);
            layer.run(kernel, &input, &mut output, &mut Vec::new());
            for y in 0..height {
                let found: Vec<f32> = (0..width).flat_map(|x| (0..to).map(move |c| (x, c))).map(|(x, c)| at(&output, x as isize, y as isize, c)).collect();
                let wanted: Vec<f32> = (0..width).flat_map(|x| (0..to).map(move |c| (x, c))).map(|(x, c)| expected(x, y, c)).collect();
                prop_assert_eq!(bits(&found), bits(&wanted), "{}", kernel.name());
            }
        }
    }

    #[test]
    fn a_first_layer_and_heads_are_their_sums_written_out((width, height) in (1usize..9, 1usize..4), side in 2usize..7, to in 1usize..30, seed in any::<u64>()) {
        let picture = floats(seed, 4 * width * height);
        let (weight, bias) = (floats(seed ^ 1, to * side * side), floats(seed ^ 2, to));
        let before = ((side - 2) / 2) as isize;
        let pixel = |x: isize, y: isize| {
            let inside = x >= 0 && y >= 0 && x < 2 * width as isize && y < 2 * height as isize;
            if inside { picture[y as usize * 2 * width + x as usize] } else { 0.0 }
        };
        let stored = to.div_ceil(24) * 24;
        let head = Pointwise::new(&floats(seed ^ 3, 5 * stored), &floats(seed ^ 4, 5));
        let stem = Stem::new(&weight, &bias, side);
        let mut answers = Vec::new();
        for kernel in kernels() {
            let mut output = Map::default();
            output.resize(width, height, stored);
            stem.run(kernel, &picture, &mut output, &mut Vec::new());
            for y in 0..height {
                for x in 0..width {
                    for c in 0..to {
                        let taps = (0..side * side).map(|tap| pixel((2 * x + tap % side) as isize - before, (2 * y + tap / side) as isize - before));
                        let sum = dot(&weight[c * side * side..][..side * side], taps, bias[c]);
                        let wanted = if sum > 0.0 { sum } else { 0.0 };
                        prop_assert_eq!(at(&output, x as isize, y as isize, c).to_bits(), wanted.to_bits(), "{}", kernel.name());
                    }
                }
            }
            let mut found = Vec::new();
            heads(kernel, &head, &output, &mut found);
            answers.push(bits(&found));
        }
        prop_assert!(answers.windows(2).all(|pair| pair[0] == pair[1]));
    }
}
