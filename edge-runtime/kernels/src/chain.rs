//! A chain of layers, planned once and run without allocating.

use crate::buffer::Buffer;
use crate::direct::Direct;
use crate::entry::Entry;
use crate::kernel::Kernel;
use crate::layer::{Convolution, Layer, MaxPool, Shape};
use crate::map::Layout;
use crate::threads::{Progress, Threads};
use crate::winograd;

/// The most bytes of working memory that a chain may need: far more than nets for boards do.
const MAX_MEMORY: usize = 256 << 20;

/// Layers of so many products of a weight and an output pixel work on more than caches hold: it then pays to transform their weights
/// in each run, and not to read transformed ones.
const MIN_FRESH_PRODUCTS: usize = 16 << 20;

/// Fewer channels than this are not left to Winograd's algorithm, whose transforms they would have to make up for.
const MIN_CHANNELS: usize = 16;

/// Why a chain cannot be planned.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// A layer that does not fit the map before it, or whose parts do not fit each other.
    #[error("layer {layer}: {reason}")]
    Layer {
        /// Its number, from 1.
        layer: usize,
        /// What does not fit.
        reason: &'static str,
    },
    /// Maps that need too much memory.
    #[error("its maps need more than {} MiB of memory", MAX_MEMORY >> 20)]
    Memory,
    /// No threads.
    #[error("cannot start {threads} threads: {reason}")]
    Threads {
        /// How many were asked for.
        threads: usize,
        /// What the system said.
        reason: String,
    },
}

/// How convolutions are computed. It changes no bit of a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Algorithm {
    /// Each as it is faster on the kernel at hand.
    #[default]
    Fastest,
    /// All by direct convolution.
    Direct,
    /// By Winograd's algorithm wherever it comes out exact, with stored transformed weights.
    Winograd,
    /// The same with weights that are transformed in each run.
    FreshWinograd,
}

/// A chain of layers, ready to run.
pub struct Chain {
    pub(crate) kernel: &'static dyn Kernel,
    pub(crate) entry: Entry,
    pub(crate) steps: Vec<Step>,
    /// Before the first step, and after each.
    pub(crate) maps: Vec<Map>,
}

/// A map's layout, and what its border holds and its bytes are exclusive-or.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Map {
    pub layout: Layout,
    pub border: u8,
    pub flip: u8,
}

pub(crate) enum Step {
    Direct(Direct),
    Winograd(winograd::Layer),
    MaxPool(MaxPool),
}

/// The working memory of one run at a time.
pub struct Workspace {
    /// Each holds a map of every image.
    pub(crate) maps: Vec<Buffer>,
    /// One per thread.
    pub(crate) scratch: Vec<Scratch>,
    pub(crate) images: usize,
    /// Of copying the input, and of each step.
    pub(crate) progress: Vec<Progress>,
    /// The number of the last run.
    pub(crate) round: u32,
}

/// What a thread works with alone.
pub(crate) struct Scratch {
    /// A row of a map, while it is pooled.
    pub line: Buffer,
    /// See [`winograd::Run`].
    pub values: Buffer,
    /// See [`winograd::Run`].
    pub sums: Buffer,
    /// See [`winograd::Run`].
    pub weights: Buffer,
}

// Engines share them between threads.
const _: () = {
    const fn is_shared<T: Send + Sync>() {}
    is_shared::<Chain>();
    is_shared::<Threads>();
    is_shared::<Workspace>();
};

impl Threads {
    /// Starts threads that share the work of a chain; with one, the caller's own does it.
    ///
    /// # Errors
    /// Returns [`PlanError::Threads`] if the system refuses.
    pub fn new(threads: usize) -> Result<Threads, PlanError> {
        Threads::start(threads).map_err(|error| PlanError::Threads { threads, reason: error.to_string() })
    }
}

impl Chain {
    /// Plans `layers` on maps of `shape` for `kernel`.
    ///
    /// # Errors
    /// Returns [`PlanError`] if layers do not fit each other or need too much memory.
    pub fn new(shape: Shape, layers: &[Layer], kernel: &'static dyn Kernel) -> Result<Chain, PlanError> {
        Chain::with_algorithm(shape, layers, kernel, Algorithm::Fastest)
    }

    /// Plans a chain as [`Chain::new`] does, and computes convolutions by `algorithm`.
    ///
    /// # Errors
    /// Returns [`PlanError`] if layers do not fit each other or need too much memory.
    pub fn with_algorithm(
        shape: Shape,
        layers: &[Layer],
        kernel: &'static dyn Kernel,
        algorithm: Algorithm,
    ) -> Result<Chain, PlanError> {
        let shapes = shapes(shape, layers)?;
        let algorithms: Vec<Algorithm> =
            layers.iter().zip(&shapes[1..]).map(|(layer, to)| choose(layer, *to, kernel, algorithm)).collect();
        let mut maps: Vec<Map> = shapes
            .iter()
            .enumerate()
            .map(|(index, shape)| match layers.get(index) {
                Some(Layer::Convolution(Convolution { window, input_zero, .. })) => {
                    let mut after = window.after;
                    if algorithms[index] != Algorithm::Direct {
                        // Tiles read beyond what the window covers.
                        let (from, to) = ([shape.height, shape.width], shapes[index + 1]);
                        for (axis, side) in [to.height, to.width].into_iter().enumerate() {
                            let reach = winograd::reach(side).saturating_sub(window.before[axis] + from[axis]);
                            after[axis] = after[axis].max(reach);
                        }
                    }
                    Map {
                        layout: Layout { shape: *shape, before: window.before, after },
                        border: input_zero ^ kernel.flip(),
                        flip: kernel.flip(),
                    }
                }
                _ => Map { layout: Layout::bare(*shape), border: 0, flip: 0 },
            })
            .collect();
        let mut entry = Entry::plain(shape);
        let mut first = None;
        if let (Some(Layer::Convolution(convolution)), [map, ..], [Algorithm::Direct, ..]) =
            (layers.first(), &mut maps[..], &algorithms[..])
            && let Some((folded, layout, convolution)) = Entry::folded(shape, convolution, kernel.granule())
        {
            (entry, map.layout, first) = (folded, layout, Some(Layer::Convolution(convolution)));
        }
        let bytes = maps.iter().try_fold(0usize, |sum, map| sum.checked_add(map.layout.bytes()?));
        bytes.filter(|bytes| *bytes <= MAX_MEMORY).ok_or(PlanError::Memory)?;
        let layers = first.iter().chain(&layers[usize::from(first.is_some())..]);
        let steps = layers.zip(maps.windows(2)).zip(algorithms).map(|((layer, maps), algorithm)| match layer {
            Layer::MaxPool(pool) => Step::MaxPool(*pool),
            Layer::Convolution(convolution) if algorithm != Algorithm::Direct => {
                let flips = [maps[0].flip, maps[1].flip];
                let layouts = (&maps[0].layout, &maps[1].layout);
                let arithmetic = (kernel.winograd(), algorithm == Algorithm::FreshWinograd);
                Step::Winograd(winograd::Layer::new(convolution, arithmetic, layouts, flips))
            }
            Layer::Convolution(convolution) => {
                let direct = Direct::new(convolution, kernel, (&maps[0].layout, &maps[1].layout), maps[1].flip);
                let within = |reach: usize, map: &Map| map.layout.bytes().is_some_and(|bytes| reach <= bytes);
                assert!(
                    within(direct.reach()[0], &maps[0]) && within(direct.reach()[1], &maps[1]),
                    "a layer in its maps"
                );
                Step::Direct(direct)
            }
        });
        Ok(Chain { kernel, entry, steps: steps.collect(), maps })
    }

    /// Returns the kernel that it was planned for.
    pub fn kernel(&self) -> &'static dyn Kernel {
        self.kernel
    }

    /// Returns the shape of the map that it takes.
    pub fn input(&self) -> Shape {
        self.entry.shape
    }

    /// Returns the shape of the map that it gives.
    pub fn output(&self) -> Shape {
        self.maps[self.maps.len() - 1].layout.shape
    }

    /// Returns the shape of the map that a layer gives; layers are numbered from 0.
    ///
    /// # Panics
    /// Panics if there is no such layer.
    pub fn shape(&self, layer: usize) -> Shape {
        self.maps[layer + 1].layout.shape
    }

    /// Returns the bytes of packed weights that it keeps. Winograd's algorithm takes 8 times as many as direct convolution where it
    /// stores them transformed: 36 integers of 16 bits in place of 9 of 8 bits.
    pub fn weight_bytes(&self) -> usize {
        let bytes = self.steps.iter().map(|step| match step {
            Step::Direct(direct) => direct.weight_bytes(),
            Step::Winograd(layer) => layer.weight_bytes(),
            Step::MaxPool(_) => 0,
        });
        bytes.sum()
    }

    /// Returns for each layer by what it is computed.
    pub fn algorithms(&self) -> Vec<Algorithm> {
        let algorithm = |step: &Step| match step {
            Step::Winograd(layer) if layer.is_fresh() => Algorithm::FreshWinograd,
            Step::Winograd(_) => Algorithm::Winograd,
            Step::Direct(_) | Step::MaxPool(_) => Algorithm::Direct,
        };
        self.steps.iter().map(algorithm).collect()
    }

    /// Returns working memory for runs of one image at a time with so many threads.
    pub fn workspace(&self, threads: usize) -> Workspace {
        self.batch_workspace(threads, 1)
    }

    /// Returns working memory for runs of up to `images` images at a time with so many threads.
    pub fn batch_workspace(&self, threads: usize, images: usize) -> Workspace {
        let images = images.max(1);
        let maps = self.maps.iter().map(|map| Buffer::new(images * map.layout.bytes().unwrap_or(0), map.border));
        let longest = self.maps.iter().map(|map| map.layout.row()).max().unwrap_or(0);
        let most = |size: fn(&winograd::Layer) -> usize| {
            let sizes = self.steps.iter().map(|step| if let Step::Winograd(layer) = step { size(layer) } else { 0 });
            sizes.max().unwrap_or(0)
        };
        let (values, sums) = (2 * most(winograd::Layer::values), 4 * most(winograd::Layer::sums));
        let weights = 2 * most(winograd::Layer::fresh_weights);
        let scratch = || Scratch {
            line: Buffer::new(longest, 0),
            values: Buffer::new(values, 0),
            sums: Buffer::new(sums, 0),
            weights: Buffer::new(weights, 0),
        };
        Workspace {
            maps: maps.collect(),
            scratch: (0..threads.max(1)).map(|_| scratch()).collect(),
            images,
            progress: (0..=self.steps.len()).map(|_| Progress::new(threads.max(1))).collect(),
            round: 0,
        }
    }
}

impl Workspace {
    /// Returns how many bytes it takes.
    pub fn bytes(&self) -> usize {
        let scratch =
            self.scratch.iter().flat_map(|scratch| [&scratch.line, &scratch.values, &scratch.sums, &scratch.weights]);
        self.maps.iter().chain(scratch).map(Buffer::len).sum()
    }
}

/// The shapes of the maps before the first layer and after each.
fn shapes(shape: Shape, layers: &[Layer]) -> Result<Vec<Shape>, PlanError> {
    let mut shapes = vec![shape];
    for (index, layer) in layers.iter().enumerate() {
        let wrong = |reason| PlanError::Layer { layer: index + 1, reason };
        let before = shapes[index];
        let (window, channels) = match layer {
            Layer::Convolution(convolution) => {
                check(convolution, before).map_err(wrong)?;
                (convolution.window, convolution.to)
            }
            Layer::MaxPool(pool) => (pool.window, before.channels),
        };
        let sides = window.output([before.height, before.width]);
        let [height, width] = sides.ok_or_else(|| wrong("its window does not fit the map"))?;
        shapes.push(Shape { channels, height, width });
    }
    Ok(shapes)
}

/// By what a layer is computed, whose output has the shape `to`; never [`Algorithm::Fastest`].
fn choose(layer: &Layer, to: Shape, kernel: &dyn Kernel, algorithm: Algorithm) -> Algorithm {
    let Layer::Convolution(layer) = layer else { return Algorithm::Direct };
    let (weights, pixels) = (layer.from.saturating_mul(layer.to), to.height.saturating_mul(to.width));
    let chosen = match algorithm {
        Algorithm::Fastest if layer.from.min(layer.to) < MIN_CHANNELS => Algorithm::Direct,
        Algorithm::Fastest => {
            let is_large = weights.saturating_mul(pixels) >= MIN_FRESH_PRODUCTS;
            match kernel.min_fresh_winograd_pixels() {
                Some(least) if is_large && pixels >= least => Algorithm::FreshWinograd,
                _ if weights <= kernel.max_winograd_weights().saturating_mul(pixels) => Algorithm::Winograd,
                _ => Algorithm::Direct,
            }
        }
        given => given,
    };
    if winograd::fits(layer, kernel.flip()) { chosen } else { Algorithm::Direct }
}

fn check(layer: &Convolution, before: Shape) -> Result<(), &'static str> {
    let [rows, columns] = layer.window.kernel;
    let weights = [layer.from, rows, columns].iter().try_fold(layer.to, |product, side| product.checked_mul(*side));
    let requires = |holds: bool, reason| if holds { Ok(()) } else { Err(reason) };
    requires(layer.from == before.channels, "its channels are not those of the map before it")?;
    requires(
        weights.is_some_and(|count| count == layer.weight.len() && count > 0),
        "the number of its weights is not the product of its channels and its window",
    )?;
    requires(layer.bias.len() == layer.to, "it needs one bias per output channel")?;
    requires(layer.multiplier.len() == layer.to, "it needs one multiplier per output channel")?;
    requires(layer.multiplier.iter().all(|multiplier| multiplier.is_finite()), "a multiplier is not a finite number")
}
