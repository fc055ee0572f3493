//! Times each layer of our nets by direct convolution and by Winograd's algorithm, in turns, and whole nets by both and by the
//! rule that chooses. Prints medians and their ratios.
//!
//! `cargo run -p expression-kernels --example winograd -- [KERNEL] [THREADS] [IMAGES]`
//!
//! KERNEL is a name such as `avx512-vnni`; the best by default. Layers are timed on one thread with one image.

use std::time::Instant;

use expression_kernels::{
    Algorithm, Chain, Convolution, Kernel, Layer, MaxPool, Shape, Threads, Window, Workspace, kernel,
};

/// Nets: name, input channels, side, output channels of each convolution and whether a max-pool follows it, hidden neurons.
const NETS: [(&str, usize, usize, &[(usize, bool)], usize); 4] = [
    ("fer48", 1, 48, &[(32, true), (64, false), (64, true), (128, false), (128, true), (256, false), (256, true)], 128),
    ("edge64", 1, 64, &[(32, true), (64, true), (128, true), (256, true), (256, true)], 128),
    ("edge96", 1, 96, &[(32, true), (64, true), (128, true), (256, true), (256, true)], 128),
    ("paper224", 3, 224, &[(64, true), (128, true), (256, true), (512, true), (512, true)], 256),
];
/// Seconds that each comparison takes.
const SECONDS: f64 = 1.0;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let wanted = arguments.first().map(String::as_str);
    let kernel = kernel::all().into_iter().find(|kernel| wanted.is_none_or(|name| name == kernel.name()));
    let Some(kernel) = kernel else {
        eprintln!("no such kernel on this processor: {}", wanted.unwrap_or_default());
        std::process::exit(2);
    };
    let number = |index: usize| arguments.get(index).and_then(|text| text.parse().ok()).unwrap_or(1);
    let (threads, images) = (number(1), number(2));
    let threads = Threads::new(threads).expect("threads");
    println!("{}, {} threads, {images} images", kernel.name(), threads.count());
    println!("net      channels  side   MMAC direct us  winograd us, ratio, chosen");
    for (name, channels, side, convolutions, hidden) in NETS {
        let mut shape = Shape { channels, height: side, width: side };
        let mut layers = Vec::new();
        for (to, pooled) in convolutions {
            let layer = Layer::Convolution(convolution(shape.channels, *to, 3, 1));
            layers.push(layer);
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
        let input = Shape { channels, height: side, width: side };
        compare_layers(name, input, &layers, kernel);
        compare(name, input, &layers, kernel, &threads, images);
    }
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

fn compare(name: &str, shape: Shape, layers: &[Layer], kernel: &'static dyn Kernel, threads: &Threads, images: usize) {
    let algorithms = [Algorithm::Direct, Algorithm::Winograd, Algorithm::Fastest];
    let chains = algorithms.map(|algorithm| Chain::with_algorithm(shape, layers, kernel, algorithm).expect("a net"));
    let inputs: Vec<Vec<u8>> = (0..images).map(|image| noise(shape.len(), image as u32)).collect();
    let inputs: Vec<&[u8]> = inputs.iter().map(|input| &input[..]).collect();
    let mut output = vec![0; images * chains[0].output().len()];
    let mut spaces = chains.each_ref().map(|chain| chain.batch_workspace(threads.count(), images));
    let mut times = [const { Vec::<f64>::new() }; 3];
    let mut time = |chain: &Chain, workspace: &mut Workspace| {
        let start = Instant::now();
        chain.run_batch(threads, workspace, &inputs, &mut output);
        start.elapsed().as_secs_f64() * 1e6
    };
    let start = Instant::now();
    while start.elapsed().as_secs_f64() < SECONDS {
        for (index, chain) in chains.iter().enumerate() {
            time(chain, &mut spaces[index]);
            // Some in a row: each algorithm finds the caches as it leaves them.
            times[index].extend((0..5).map(|_| time(chain, &mut spaces[index])));
        }
    }
    let [direct, winograd, fastest] = times.map(|times| median(times) / images as f64);
    println!(
        "{name:8} direct {direct:.1} us, winograd {winograd:.1} us ({:.2}), chosen {fastest:.1} us ({:.2}); weights: direct \
         {} KiB, chosen {} KiB; workspace {} KiB",
        winograd / direct,
        fastest / direct,
        chains[0].weight_bytes() >> 10,
        chains[2].weight_bytes() >> 10,
        spaces[2].bytes() >> 10,
    );
}

fn compare_layers(name: &str, shape: Shape, layers: &[Layer], kernel: &'static dyn Kernel) {
    let algorithms = [Algorithm::Direct, Algorithm::Winograd, Algorithm::Fastest];
    let chains = algorithms.map(|algorithm| Chain::with_algorithm(shape, layers, kernel, algorithm).expect("a net"));
    let mut spaces = chains.each_ref().map(|chain| chain.workspace(1));
    let input = noise(shape.len(), 1);
    let mut times = [0, 1].map(|_| vec![Vec::<f64>::new(); layers.len()]);
    let start = Instant::now();
    while start.elapsed().as_secs_f64() < SECONDS {
        for (index, times) in times.iter_mut().enumerate() {
            for _ in 0..3 {
                let steps = chains[index].step_times(&mut spaces[index], &input);
                times.iter_mut().zip(steps).for_each(|(times, time)| times.push(time.as_secs_f64() * 1e6));
            }
        }
    }
    let [direct, winograd] = times.map(|times| times.into_iter().map(median).collect::<Vec<f64>>());
    for (index, layer) in layers.iter().enumerate() {
        let Layer::Convolution(layer) = layer else {
            println!("{name:8} pool {:29.1}", direct[index]);
            continue;
        };
        let of = chains[0].shape(index);
        let count = (layer.weight.len() * of.height * of.width) as f64 / 1e6;
        let ratio = winograd[index] / direct[index];
        let chosen = if chains[2].by_winograd()[index] { "winograd" } else { "direct" };
        println!(
            "{name:8} {:4} {:4} {:4} {count:6.1} {:9.1} {:9.1} {ratio:.2} {chosen}",
            layer.from, layer.to, of.height, direct[index], winograd[index]
        );
    }
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn noise(len: usize, seed: u32) -> Vec<u8> {
    let mut state = seed;
    let mut random = || {
        state = state.wrapping_mul(1664525).wrapping_add(1013904223);
        (state >> 24) as u8
    };
    (0..len).map(|_| random()).collect()
}
