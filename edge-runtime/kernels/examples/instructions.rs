//! Runs each net once by each algorithm between two calls of getppid(), at which a plugin of an emulator prints how many
//! instructions there have been; the differences are what one inference takes.
//!
//! `instructions [NET]`: all nets by default.

mod nets;

use expression_kernels::{Algorithm, Chain, Threads, kernel};

fn main() {
    let wanted = std::env::args().nth(1);
    let threads = Threads::new(1).expect("the caller's thread");
    for net in nets::all().into_iter().filter(|net| wanted.as_ref().is_none_or(|name| name == net.name)) {
        for algorithm in [Algorithm::Direct, Algorithm::Winograd, Algorithm::Fastest] {
            let chain = Chain::with_algorithm(net.shape, &net.layers, kernel::best(), algorithm).expect("a net");
            let (mut workspace, mut output) = (chain.workspace(1), vec![0; chain.output().len()]);
            let input = nets::noise(net.shape.len(), 1);
            chain.run(&threads, &mut workspace, &input, &mut output);
            eprintln!("{} {} {algorithm:?}", kernel::best().name(), net.name);
            let _ = std::os::unix::process::parent_id();
            chain.run(&threads, &mut workspace, &input, &mut output);
            let _ = std::os::unix::process::parent_id();
        }
    }
}
