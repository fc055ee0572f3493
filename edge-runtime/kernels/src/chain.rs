//! A chain of layers, planned once and run without allocating.

use std::ops::Range;

use rayon::prelude::*;

use crate::entry::Entry;
use crate::kernel::{Kernel, MOST_PLACES, Tile};
use crate::layer::{Convolution, Layer, MaxPool, Shape, Window};
use crate::map::{self, Layout};
use crate::pack::{Panel, Reduction};
use crate::pool;

/// The most bytes of working memory that a chain may need: far more than nets for boards do.
const MOST_MEMORY: usize = 256 << 20;
/// Rows of input that a kernel works on with all its panels before it goes on: what fits into a first-level cache.
const BAND: usize = 24 << 10;

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
    #[error("its maps need more than {} MiB of memory", MOST_MEMORY >> 20)]
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

/// A chain of layers, ready to run.
pub struct Chain {
    kernel: &'static dyn Kernel,
    entry: Entry,
    steps: Vec<Step>,
    /// Before the first step, and after each.
    maps: Vec<Map>,
}

/// A map's layout, and what its border holds and its bytes are exclusive-or.
#[derive(Debug, Clone, Copy)]
struct Map {
    layout: Layout,
    border: u8,
    flip: u8,
}

enum Step {
    Convolution { panels: Vec<Panel>, reduction: Reduction, window: Window, zero: u8 },
    MaxPool(MaxPool),
}

/// The threads that share the rows of each map.
pub struct Threads(Option<rayon::ThreadPool>);

/// The working memory of one inference at a time.
pub struct Workspace {
    maps: Vec<Vec<u8>>,
    lines: Vec<Vec<u8>>,
}

impl Threads {
    /// So many; with one, the caller's own works.
    ///
    /// # Errors
    /// [`PlanError::Threads`] where the system refuses.
    pub fn new(threads: usize) -> Result<Threads, PlanError> {
        if threads <= 1 {
            return Ok(Threads(None));
        }
        let built = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        built.map(|pool| Threads(Some(pool))).map_err(|error| PlanError::Threads { threads, reason: error.to_string() })
    }

    /// How many.
    pub fn count(&self) -> usize {
        self.0.as_ref().map_or(1, rayon::ThreadPool::current_num_threads)
    }
}

impl Chain {
    /// Plans `layers` on maps of `shape` for `kernel`.
    ///
    /// # Errors
    /// [`PlanError`] where layers do not fit each other or need too much memory.
    pub fn new(shape: Shape, layers: &[Layer], kernel: &'static dyn Kernel) -> Result<Chain, PlanError> {
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
        let mut maps: Vec<Map> = shapes
            .iter()
            .enumerate()
            .map(|(index, shape)| match layers.get(index) {
                Some(Layer::Convolution(Convolution { window, input_zero, .. })) => Map {
                    layout: Layout { shape: *shape, before: window.before, after: window.after },
                    border: input_zero ^ kernel.flip(),
                    flip: kernel.flip(),
                },
                _ => Map { layout: Layout::bare(*shape), border: 0, flip: 0 },
            })
            .collect();
        let mut entry = Entry::plain(shape);
        let mut first = None;
        if let (Some(Layer::Convolution(convolution)), [map, ..]) = (layers.first(), &mut maps[..])
            && let Some((folded, layout, convolution)) = Entry::folded(shape, convolution, kernel.granule())
        {
            (entry, map.layout, first) = (folded, layout, Some(Layer::Convolution(convolution)));
        }
        let layers = first.iter().chain(&layers[usize::from(first.is_some())..]);
        let bytes = maps.iter().try_fold(0usize, |sum, map| sum.checked_add(map.layout.bytes()?));
        bytes.filter(|bytes| *bytes <= MOST_MEMORY).ok_or(PlanError::Memory)?;
        let steps = layers.zip(&maps).map(|(layer, from)| match layer {
            Layer::MaxPool(pool) => Step::MaxPool(*pool),
            Layer::Convolution(convolution) => {
                let reduction = Reduction::new(convolution, from.layout.row(), kernel.granule());
                let panels = Panel::all(convolution, &reduction, kernel);
                Step::Convolution { panels, reduction, window: convolution.window, zero: convolution.output_zero }
            }
        });
        Ok(Chain { kernel, entry, steps: steps.collect(), maps })
    }

    /// The kernel that it was planned for.
    pub fn kernel(&self) -> &'static dyn Kernel {
        self.kernel
    }

    /// The map that it takes.
    pub fn input(&self) -> Shape {
        self.entry.shape
    }

    /// The map that it gives.
    pub fn output(&self) -> Shape {
        self.maps[self.maps.len() - 1].layout.shape
    }

    /// Working memory for runs with so many threads.
    pub fn workspace(&self, threads: usize) -> Workspace {
        let maps = self.maps.iter().map(|map| vec![map.border; map.layout.bytes().unwrap_or(0)]).collect();
        let longest = self.maps.iter().map(|map| map.layout.row()).max().unwrap_or(0);
        Workspace { maps, lines: vec![vec![0; longest]; threads.max(1)] }
    }

    /// Runs it: `input` and `output` are `[channels, height, width]`. Allocates nothing; the number of threads changes no bit.
    ///
    /// # Panics
    /// Where input, output or `workspace` are not this chain's.
    pub fn run(&self, threads: &Threads, workspace: &mut Workspace, input: &[u8], output: &mut [u8]) {
        assert_eq!((input.len(), output.len()), (self.input().len(), self.output().len()), "maps of a chain");
        match &threads.0 {
            Some(pool) => pool.install(|| self.steps(threads.count(), workspace, input)),
            None => self.steps(1, workspace, input),
        }
        map::leave(&workspace.maps[self.steps.len()], self.output(), output);
    }

    fn steps(&self, threads: usize, workspace: &mut Workspace, input: &[u8]) {
        self.entry.enter(input, &self.maps[0].layout, self.maps[0].flip, &mut workspace.maps[0]);
        for (index, step) in self.steps.iter().enumerate() {
            let (before, after) = workspace.maps.split_at_mut(index + 1);
            let (from, into) = (&before[index][..], &mut after[0][..]);
            let (source, target) = (self.maps[index].layout, self.maps[index + 1]);
            let (height, row) = (target.layout.shape.height, target.layout.row());
            let into = &mut into[target.layout.before[0] * row..][..height * row];
            let part = |rows: Range<usize>, into: &mut [u8], line: &mut Vec<u8>| match step {
                Step::MaxPool(pool) => {
                    pool::rows(pool, (source.shape, from), (&target.layout, into), rows, (target.flip, line));
                }
                Step::Convolution { panels, reduction, window, zero } => {
                    let convolution = Rows { panels, reduction, window, zero: *zero, kernel: self.kernel };
                    convolution.run((&source, from), (&target, into), rows);
                }
            };
            let share = height.div_ceil(threads);
            if threads == 1 {
                part(0..height, into, &mut workspace.lines[0]);
                continue;
            }
            let parts = into.par_chunks_mut(share * row).zip(workspace.lines.par_iter_mut()).enumerate();
            parts.for_each(|(index, (into, line))| {
                part(index * share..((index + 1) * share).min(height), into, line);
            });
        }
    }
}

/// What some rows of a convolution's output need.
struct Rows<'a> {
    panels: &'a [Panel],
    reduction: &'a Reduction,
    window: &'a Window,
    zero: u8,
    kernel: &'static dyn Kernel,
}

impl Rows<'_> {
    /// Computes the rows `rows`; `into` holds them, with their border left and right.
    fn run(&self, (source, from): (&Layout, &[u8]), (target, into): (&Map, &mut [u8]), rows: Range<usize>) {
        let Shape { width, channels, .. } = target.layout.shape;
        let [down, right] = self.window.stride;
        let (row, step, place) = (source.row() * down, source.shape.channels * right, target.layout.row());
        let band = (BAND / (source.row() * down).max(1)).max(1);
        let left = target.layout.before[1] * channels;
        for first in rows.clone().step_by(band) {
            let count = band.min(rows.end - first) * width;
            for panel in self.panels {
                // Even tiles: 9 places are 5 and 4, not 6 and 3.
                let tiles = count.div_ceil(self.kernel.places(panel.blocks));
                let (mut y, mut x) = (first, 0);
                for tile in 0..tiles {
                    let places = (tile + 1) * count / tiles - tile * count / tiles;
                    let (mut input_at, mut output_at) = ([0; MOST_PLACES], [0; MOST_PLACES]);
                    for (input_at, output_at) in input_at.iter_mut().zip(&mut output_at).take(places) {
                        *input_at = y * row + x * step;
                        *output_at = (y - rows.start) * place + left + x * channels + panel.first;
                        x += 1;
                        if x == width {
                            (x, y) = (0, y + 1);
                        }
                    }
                    self.kernel.tile(&mut Tile {
                        input: from,
                        input_at,
                        output: into,
                        output_at,
                        places,
                        panel,
                        reduction: *self.reduction,
                        zero: self.zero,
                        flip: target.flip,
                    });
                }
            }
        }
    }
}

fn check(layer: &Convolution, before: Shape) -> Result<(), &'static str> {
    let [rows, columns] = layer.window.kernel;
    let weights = [layer.from, rows, columns].iter().try_fold(layer.to, |product, side| product.checked_mul(*side));
    let requires = |holds: bool, reason| if holds { Ok(()) } else { Err(reason) };
    requires(layer.from == before.channels, "its channels are not those of the map before it")?;
    requires(
        weights.is_some_and(|count| count == layer.weight.len() && count > 0),
        "its weights are not as many as said",
    )?;
    requires(layer.bias.len() == layer.to, "one bias an output channel")?;
    requires(layer.multiplier.len() == layer.to, "one multiplier an output channel")?;
    requires(layer.multiplier.iter().all(|multiplier| multiplier.is_finite()), "a multiplier that is no number")
}
