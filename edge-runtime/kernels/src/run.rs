//! Runs a planned chain.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::chain::{Chain, Step, Workspace};
use crate::layer::MaxPool;
use crate::threads::{Member, Threads};
use crate::{map, pool, winograd};

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
        let maps = workspace.maps.len() == self.maps.len()
            && (0..self.maps.len()).all(|map| workspace.maps[map].len() == workspace.images * self.map_bytes(map));
        let scratch = workspace.scratch.iter().all(|scratch| {
            self.steps.iter().all(|step| match step {
                Step::Winograd(layer) => {
                    2 * layer.values() <= scratch.values.len() && 4 * layer.sums() <= scratch.sums.len()
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
        let threads = Threads::new(1).expect("the caller's thread");
        let times = Mutex::new(Vec::new());
        threads.run(&|member| {
            self.enter(member, workspace, &[input]);
            for index in 0..self.steps.len() {
                let start = Instant::now();
                self.step(member, workspace, 1, index);
                times.lock().unwrap_or_else(PoisonError::into_inner).push(start.elapsed());
            }
        });
        times.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// A thread's share of all steps.
    fn steps(&self, member: &Member, workspace: &Workspace, inputs: &[&[u8]]) {
        self.enter(member, workspace, inputs);
        for index in 0..self.steps.len() {
            member.wait();
            self.step(member, workspace, inputs.len(), index);
        }
    }

    /// A thread's share of a step.
    fn step(&self, member: &Member, workspace: &Workspace, images: usize, index: usize) {
        let input = (workspace.maps[index].pointer().cast_const(), self.map_bytes(index));
        let output = (workspace.maps[index + 1].pointer(), self.map_bytes(index + 1));
        let scratch = &workspace.scratch[member.index];
        match &self.steps[index] {
            Step::MaxPool(pool) => self.pool(member, workspace, images, index, pool),
            Step::Direct(direct) => {
                let places = direct.places() * images;
                // Few places: each thread computes other channels of all of them.
                let by_panels = places < member.count * direct.tile() && direct.panels() > 1;
                let (places, panels) = if by_panels {
                    (0..places, member.share(direct.panels()))
                } else {
                    (member.share(places), 0..direct.panels())
                };
                // SAFETY: planning has compared reach and maps; threads have shares that do not overlap, and wait for each
                // other before one reads what another has written.
                unsafe { direct.compute(input, output, places, panels) };
            }
            Step::Winograd(layer) => {
                let (values, sums) = (scratch.values.pointer().cast(), scratch.sums.pointer().cast());
                let run = winograd::Run { layer, images, input, output, values, sums };
                let by_blocks = run.tiles() < member.count * layer.group() && layer.blocks() > 1;
                let (tiles, blocks) = if by_blocks {
                    (0..run.tiles(), member.share(layer.blocks()))
                } else {
                    (member.share(run.tiles()), 0..layer.blocks())
                };
                // SAFETY: as above; `check` has seen the scratch memory, which is this thread's alone.
                unsafe { run.compute(tiles, blocks) };
            }
        }
    }

    /// A thread's share of the images' rows, copied into the first map.
    fn enter(&self, member: &Member, workspace: &Workspace, inputs: &[&[u8]]) {
        let (map, bytes) = (&self.maps[0], self.map_bytes(0));
        let rows = member.share(map.layout.shape.height);
        let row = map.layout.row();
        for (image, input) in inputs.iter().enumerate() {
            let first = image * bytes + (map.layout.before[0] + rows.start) * row;
            // SAFETY: threads have rows that do not overlap, and nobody reads before all have passed the barrier.
            let into = unsafe { workspace.maps[0].slice_mut(first, rows.len() * row) };
            self.entry.enter(input, &map.layout, map.flip, rows.clone(), into);
        }
    }

    /// A thread's share of a max-pool's rows.
    fn pool(&self, member: &Member, workspace: &Workspace, images: usize, index: usize, pool: &MaxPool) {
        let (source, target) = (&self.maps[index], &self.maps[index + 1]);
        let (height, row) = (target.layout.shape.height, target.layout.row());
        let rows = member.share(height);
        let line = &workspace.scratch[member.index].line;
        for image in 0..images {
            let bytes = self.map_bytes(index);
            let first = image * self.map_bytes(index + 1) + (target.layout.before[0] + rows.start) * row;
            // SAFETY: the map that is read is written by nobody in this step; threads have rows that do not overlap, and each
            // its own line.
            unsafe {
                let from = workspace.maps[index].slice(image * bytes, bytes);
                let into = workspace.maps[index + 1].slice_mut(first, rows.len() * row);
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
