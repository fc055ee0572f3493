//! Runs a planned chain.

use std::ops::Range;
use std::time::{Duration, Instant};

use crate::buffer::Buffer;
use crate::chain::{Chain, Step, Workspace};
use crate::layer::MaxPool;
use crate::threads::{Member, Threads, share};
use crate::{map, pool, winograd};

/// Parts of a step per thread: if one thread is late, the others do more of them.
const PARTS: usize = 2;

/// How a step is cut into parts.
#[derive(Clone, Copy)]
struct Split {
    parts: usize,
    /// Whether each part computes other channels of all places.
    by_channels: bool,
}

impl Chain {
    /// Runs it: `input` and `output` are `[channels, height, width]`. Allocates nothing; the number of threads changes no bit.
    ///
    /// # Panics
    /// Panics if input, output or `workspace` are not this chain's, or if `workspace` is for fewer threads.
    pub fn run(&self, threads: &Threads, workspace: &mut Workspace, input: &[u8], output: &mut [u8]) {
        self.run_batch(threads, workspace, &[input], output);
    }

    /// Runs it for several inputs, of which each layer's weights are read once for as many as `workspace` has room for.
    /// `output` gets the outputs one after the other: the same bytes as by a [`Chain::run`] for each. Allocates nothing.
    ///
    /// # Panics
    /// As [`Chain::run`].
    pub fn run_batch(&self, threads: &Threads, workspace: &mut Workspace, inputs: &[&[u8]], output: &mut [u8]) {
        let (from, to) = (self.input().len(), self.output().len());
        assert!(inputs.iter().all(|input| input.len() == from), "an input of a chain");
        assert_eq!(output.len(), inputs.len() * to, "output of a chain");
        self.check(workspace, threads.count());
        let images = workspace.images;
        for (inputs, output) in inputs.chunks(images).zip(output.chunks_mut(images * to)) {
            workspace.round = workspace.round.wrapping_add(1);
            let workspace = &*workspace;
            threads.run(&|member| self.steps(member, workspace, inputs));
            let last = self.maps.len() - 1;
            let bytes = self.map_bytes(last);
            for (image, output) in output.chunks_exact_mut(to).enumerate() {
                // SAFETY: all threads have finished.
                let map = unsafe { workspace.maps[last].slice(image * bytes, bytes) };
                map::leave(map, self.output(), output);
            }
        }
    }

    /// Panics if the memory is not as [`Chain::batch_workspace`] makes it: all bounds of a run but those that planning has seen.
    fn check(&self, workspace: &Workspace, threads: usize) {
        assert!(workspace.scratch.len() >= threads, "a workspace for fewer threads");
        assert_eq!(workspace.progress.len(), self.steps.len() + 1, "a workspace of another chain");
        let maps = workspace.maps.len() == self.maps.len()
            && (0..self.maps.len()).all(|map| workspace.maps[map].len() == workspace.images * self.map_bytes(map));
        let scratch = workspace.scratch.iter().all(|scratch| {
            self.steps.iter().all(|step| match step {
                Step::Winograd(layer) => {
                    2 * layer.values() <= scratch.values.len()
                        && 4 * layer.sums() <= scratch.sums.len()
                        && 2 * layer.fresh_weights() <= scratch.weights.len()
                }
                _ => true,
            })
        });
        assert!(maps && scratch, "a workspace of another chain");
    }

    /// Bytes from an image to the next.
    fn map_bytes(&self, map: usize) -> usize {
        self.maps[map].layout.bytes().unwrap_or(0)
    }

    /// Runs it for one input on the caller's thread, and returns how long each layer took.
    ///
    /// # Panics
    /// As [`Chain::run`].
    pub fn step_times(&self, workspace: &mut Workspace, input: &[u8]) -> Vec<Duration> {
        assert_eq!(input.len(), self.input().len(), "an input of a chain");
        self.check(workspace, 1);
        self.enter(workspace, &[input], 0..self.maps[0].layout.shape.height);
        let step = |index| {
            let start = Instant::now();
            self.part(workspace, (0, 1), index, (0, Split { parts: 1, by_channels: false }));
            start.elapsed()
        };
        (0..self.steps.len()).map(step).collect()
    }

    /// What one of the threads does.
    fn steps(&self, member: &Member, workspace: &Workspace, inputs: &[&[u8]]) {
        let (first, rest) = workspace.progress.split_at(1);
        let rows = self.maps[0].layout.shape.height;
        let parts = rows.min(member.count);
        let round = workspace.round;
        member.step(&first[0], round, parts, |part| self.enter(workspace, inputs, share(part, parts, rows)));
        for (index, progress) in rest.iter().enumerate() {
            let split = self.split(index, inputs.len(), member.count);
            member.step(progress, round, split.parts, |part| {
                self.part(workspace, (member.index, inputs.len()), index, (part, split));
            });
        }
    }

    /// How a step is cut into parts: by places, or by channels if there are few places.
    fn split(&self, step: usize, images: usize, threads: usize) -> Split {
        let (places, group, channels) = match &self.steps[step] {
            Step::MaxPool(_) => (self.maps[step + 1].layout.shape.height, 1, 1),
            Step::Direct(direct) => (images * direct.places(), direct.tile(), direct.panels()),
            Step::Winograd(layer) => (images * layer.tiles(), layer.group(), layer.blocks()),
        };
        // Each part of such a layer transforms the weights of its channels.
        let is_fresh = matches!(&self.steps[step], Step::Winograd(layer) if layer.is_fresh());
        if threads == 1 {
            Split { parts: 1, by_channels: false }
        } else if is_fresh {
            let by_channels = channels.is_multiple_of(threads);
            Split { parts: if by_channels { threads } else { places.min(threads) }, by_channels }
        } else if places < threads * group && channels > 1 {
            // Each part of a Winograd layer transforms all of its inputs, so a thread gets one part.
            Split { parts: channels.min(threads), by_channels: true }
        } else {
            Split { parts: (places / group).clamp(1, PARTS * threads), by_channels: false }
        }
    }

    /// Computes a part of a step.
    fn part(
        &self,
        workspace: &Workspace,
        (thread, images): (usize, usize),
        step: usize,
        (part, split): (usize, Split),
    ) {
        let input = (workspace.maps[step].pointer().cast_const(), self.map_bytes(step));
        let output = (workspace.maps[step + 1].pointer(), self.map_bytes(step + 1));
        let scratch = &workspace.scratch[thread];
        let ranges = |places: usize, channels: usize| {
            if split.by_channels {
                (0..places, share(part, split.parts, channels))
            } else {
                (share(part, split.parts, places), 0..channels)
            }
        };
        match &self.steps[step] {
            Step::MaxPool(pool) => {
                let rows = share(part, split.parts, self.maps[step + 1].layout.shape.height);
                self.pool(workspace, &scratch.line, images, (step, pool), rows);
            }
            Step::Direct(direct) => {
                let (places, panels) = ranges(images * direct.places(), direct.panels());
                let places = direct.cut(places.start)..direct.cut(places.end);
                // SAFETY: planning has compared reach and maps; parts do not overlap, and a step begins when all parts of the
                // one before are done.
                unsafe { direct.compute(input, output, places, panels) };
            }
            Step::Winograd(layer) => {
                let (values, sums) = (scratch.values.pointer().cast(), scratch.sums.pointer().cast());
                let weights = scratch.weights.pointer().cast();
                let run = winograd::Run { layer, images, input, output, values, sums, weights };
                let (tiles, blocks) = ranges(run.tiles(), layer.blocks());
                // SAFETY: as above; `check` has seen the scratch memory, which is this thread's alone.
                unsafe { run.compute(tiles, blocks) };
            }
        }
    }

    /// Copies rows of the images into the first map.
    fn enter(&self, workspace: &Workspace, inputs: &[&[u8]], rows: Range<usize>) {
        let (map, bytes) = (&self.maps[0], self.map_bytes(0));
        let row = map.layout.row();
        for (image, input) in inputs.iter().enumerate() {
            let first = image * bytes + (map.layout.before[0] + rows.start) * row;
            // SAFETY: parts have rows that do not overlap, and nobody reads before all are done.
            let into = unsafe { workspace.maps[0].slice_mut(first, rows.len() * row) };
            self.entry.enter(input, &map.layout, map.flip, rows.clone(), into);
        }
    }

    /// Computes rows of a max-pool.
    fn pool(
        &self,
        workspace: &Workspace,
        line: &Buffer,
        images: usize,
        (step, pool): (usize, &MaxPool),
        rows: Range<usize>,
    ) {
        let (source, target) = (&self.maps[step], &self.maps[step + 1]);
        let row = target.layout.row();
        for image in 0..images {
            let bytes = self.map_bytes(step);
            let first = image * self.map_bytes(step + 1) + (target.layout.before[0] + rows.start) * row;
            // SAFETY: the map that is read is written by nobody in this step; parts have rows that do not overlap, and each
            // thread its own line.
            unsafe {
                let from = workspace.maps[step].slice(image * bytes, bytes);
                let into = workspace.maps[step + 1].slice_mut(first, rows.len() * row);
                let line = line.slice_mut(0, line.len());
                pool::rows(
                    pool,
                    (source.layout.shape, from),
                    (&target.layout, into),
                    rows.clone(),
                    (target.flip, line),
                );
            }
        }
    }
}
