//! The nets that examples measure: the shapes of our presets and bundles, with random weights.

use expression_kernels::{Convolution, Layer, MaxPool, Shape, Window};

/// Nets: name, input channels, side, output channels of each convolution and whether a max-pool follows it, hidden neurons.
const NETS: [(&str, usize, usize, Convolutions, usize); 4] = [
    ("fer48", 1, 48, &[(32, true), (64, false), (64, true), (128, false), (128, true), (256, false), (256, true)], 128),
    ("edge64", 1, 64, &[(32, true), (64, true), (128, true), (256, true), (256, true)], 128),
    ("edge96", 1, 96, &[(32, true), (64, true), (128, true), (256, true), (256, true)], 128),
    ("paper224", 3, 224, &[(64, true), (128, true), (256, true), (512, true), (512, true)], 256),
];

type Convolutions = &'static [(usize, bool)];

/// A net.
pub struct Net {
    pub name: &'static str,
    pub shape: Shape,
    pub layers: Vec<Layer>,
}

/// Returns all nets.
pub fn all() -> Vec<Net> {
    NETS.map(|(name, channels, side, convolutions, hidden)| {
        let input = Shape { channels, height: side, width: side };
        let (mut shape, mut layers) = (input, Vec::new());
        for (to, pooled) in convolutions {
            layers.push(Layer::Convolution(convolution(shape.channels, *to, 3, 1)));
            shape.channels = *to;
            if *pooled {
                let odd = shape.height % 2;
                let window = Window { kernel: [3, 3], stride: [2, 2], before: [0, 0], after: [1 - odd, 1 - odd] };
                layers.push(Layer::MaxPool(MaxPool { window }));
                (shape.height, shape.width) = (shape.height.div_ceil(2), shape.width.div_ceil(2));
            }
        }
        layers.push(Layer::Convolution(convolution(shape.channels, shape.channels, 1, 0)));
        layers.push(Layer::Convolution(convolution(shape.channels, hidden, shape.height, 0)));
        layers.push(Layer::Convolution(convolution(hidden, 8, 1, 0)));
        Net { name, shape: input, layers }
    })
    .into()
}

/// Weights about as large as those of trained nets.
fn convolution(from: usize, to: usize, side: usize, border: usize) -> Convolution {
    let mut state = 1u32;
    let mut random = move || {
        state = state.wrapping_mul(1664525).wrapping_add(1013904223);
        (state >> 24) as i8
    };
    let window = Window { kernel: [side; 2], stride: [1; 2], before: [border; 2], after: [border; 2] };
    let weight = (0..to * from * side * side).map(|_| random() / 4).collect();
    let multiplier = vec![1.0 / 512.0 / (from as f32 * (side * side) as f32).sqrt(); to];
    Convolution { from, to, window, weight, bias: vec![0; to], multiplier, input_zero: 0, output_zero: 0 }
}

/// Returns random bytes.
pub fn noise(len: usize, seed: u32) -> Vec<u8> {
    let mut state = seed;
    let mut random = || {
        state = state.wrapping_mul(1664525).wrapping_add(1013904223);
        (state >> 24) as u8
    };
    (0..len).map(|_| random()).collect()
}
