//! Times each layer of our nets by direct convolution and by Winograd's algorithm, with stored weights and with weights that are
//! transformed in each run, in turns, and whole nets by these and by the rule that chooses. Prints medians and their ratios.
//!
//! `cargo run -p expression-kernels --example winograd -- [KERNEL] [THREADS] [IMAGES]`
//!
//! KERNEL is a name such as `avx512-vnni`; the best by default. Layers are timed on one thread with one image.

mod nets;

use std::time::Instant;

use expression_kernels::{Algorithm, Chain, Kernel, Layer, Threads, Workspace, kernel};
use nets::Net;

/// What is compared.
const ALGORITHMS: [Algorithm; 4] =
    [Algorithm::Direct, Algorithm::Winograd, Algorithm::FreshWinograd, Algorithm::Fastest];

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
    println!("net      channels  side   MMAC direct us  winograd us, ratio  fresh us, ratio, chosen");
    for net in nets::all() {
        compare_layers(&net, kernel);
        compare(&net, kernel, &threads, images);
    }
}

fn compare(net: &Net, kernel: &'static dyn Kernel, threads: &Threads, images: usize) {
    let Net { name, shape, layers } = net;
    let chains = ALGORITHMS.map(|algorithm| Chain::with_algorithm(*shape, layers, kernel, algorithm).expect("a net"));
    let inputs: Vec<Vec<u8>> = (0..images).map(|image| nets::noise(shape.len(), image as u32)).collect();
    let inputs: Vec<&[u8]> = inputs.iter().map(|input| &input[..]).collect();
    let mut output = vec![0; images * chains[0].output().len()];
    let mut spaces = chains.each_ref().map(|chain| chain.batch_workspace(threads.count(), images));
    let mut times = [const { Vec::<f64>::new() }; 4];
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
    let [direct, winograd, fresh, fastest] = times.map(|times| median(times) / images as f64);
    println!(
        "{name:8} direct {direct:.1} us, winograd {winograd:.1} us ({:.2}), fresh {fresh:.1} us ({:.2}), chosen {fastest:.1} us \
         ({:.2}); weights: direct {} KiB, chosen {} KiB; workspace {} KiB",
        winograd / direct,
        fresh / direct,
        fastest / direct,
        chains[0].weight_bytes() >> 10,
        chains[3].weight_bytes() >> 10,
        spaces[3].bytes() >> 10,
    );
}

fn compare_layers(net: &Net, kernel: &'static dyn Kernel) {
    let Net { name, shape, layers } = net;
    let chains = ALGORITHMS.map(|algorithm| Chain::with_algorithm(*shape, layers, kernel, algorithm).expect("a net"));
    let mut spaces = chains.each_ref().map(|chain| chain.workspace(1));
    let input = nets::noise(shape.len(), 1);
    let mut times = [0; 3].map(|_| vec![Vec::<f64>::new(); layers.len()]);
    let start = Instant::now();
    while start.elapsed().as_secs_f64() < SECONDS {
        for (index, times) in times.iter_mut().enumerate() {
            for _ in 0..3 {
                let steps = chains[index].step_times(&mut spaces[index], &input);
                times.iter_mut().zip(steps).for_each(|(times, time)| times.push(time.as_secs_f64() * 1e6));
            }
        }
    }
    let [direct, winograd, fresh] = times.map(|times| times.into_iter().map(median).collect::<Vec<f64>>());
    for (index, layer) in layers.iter().enumerate() {
        let Layer::Convolution(layer) = layer else {
            println!("{name:8} pool {:29.1}", direct[index]);
            continue;
        };
        let of = chains[0].shape(index);
        let count = (layer.weight.len() * of.height * of.width) as f64 / 1e6;
        let ratio = |times: &[f64]| times[index] / direct[index];
        println!(
            "{name:8} {:4} {:4} {:4} {count:6.1} {:9.1} {:9.1} {:.2} {:9.1} {:.2} {:?}",
            layer.from,
            layer.to,
            of.height,
            direct[index],
            winograd[index],
            ratio(&winograd),
            fresh[index],
            ratio(&fresh),
            chains[3].algorithms()[index]
        );
    }
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}
