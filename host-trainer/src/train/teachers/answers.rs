//! A teacher's answers to many views of each sample, cached view by view: at most one view's work is lost. The key is that of the
//! teacher, of whose settings and data its weights follow, and of the views: where all answers are there, the weights are not missed.

use std::path::{Path, PathBuf};

use expression_core::Label;
use expression_engine::files;
use tch::{Device, Kind, Tensor};

use super::classifier::Classifier;
use crate::config::TeacherNet;
use crate::dataset::Sample;
use crate::progress::Counter;
use crate::train::cache;
use crate::train::faces;
use crate::train::views::{self, View};

/// The shape of the answers to a view of each sample.
fn shape(views: &[View]) -> [i64; 2] {
    [views.len() as i64, Label::COUNT as i64]
}

/// Samples that go through the net at once.
const BATCH: usize = 64;

/// A tuned teacher that is asked.
pub struct Answers<'a> {
    pub net: &'a Classifier,
    pub settings: &'a TeacherNet,
    /// The arithmetic of its convolutions.
    pub kind: Kind,
    /// Where its answers are cached.
    pub folder: &'a Path,
    /// The teacher's key.
    pub owner: &'a str,
}

impl Answers<'_> {
    /// Logits, f32 `[samples * views, 8]` on the CPU, of `views`: by the view's number, then by sample. Of sample `i`, view `v` is at
    /// `i * views + v`. They have been through f16, as they are cached.
    ///
    /// # Errors
    /// Returns an error if the run is interrupted, a file cannot be read or written, or a picture is empty.
    pub fn logits(&self, samples: &[Sample], views: &[Vec<View>], part: &str) -> crate::Result<Tensor> {
        let what = format!("answers of teacher {}", self.settings.name);
        let mut counter = Counter::new(samples.len() * views.len(), &what);
        let of_view = |(number, of_samples): (usize, &Vec<View>)| {
            let compute = || self.answer(samples, of_samples, &mut counter);
            let (path, key) = (self.path(part, number), self.key(part, of_samples));
            cache::or_computed(&path, &key, (&shape(of_samples), Kind::Half), compute)
        };
        let of_views = views.iter().enumerate().map(of_view).collect::<crate::Result<Vec<Tensor>>>()?;
        Ok(Tensor::stack(&of_views, 1).flatten(0, 1).to_kind(Kind::Float))
    }

    /// Whether the answers to all `views` are cached.
    ///
    /// # Errors
    /// Returns an error if a file cannot be read or is cut off.
    pub fn are_cached(&self, views: &[Vec<View>], part: &str) -> crate::Result<bool> {
        for (number, of_samples) in views.iter().enumerate() {
            let key = self.key(part, of_samples);
            if cache::read(&self.path(part, number), &key, &shape(of_samples), Kind::Half)?.is_none() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn path(&self, part: &str, number: usize) -> PathBuf {
        self.folder.join(format!("answers-{part}-{number:02}.f16"))
    }

    fn key(&self, part: &str, views: &[View]) -> String {
        let values = views.as_flattened().iter().flat_map(|value| value.to_le_bytes());
        let text = self.owner.bytes().chain(part.bytes()).chain(values).collect::<Vec<u8>>();
        files::sha256(&text)
    }

    fn answer(&self, samples: &[Sample], views: &[View], counter: &mut Counter) -> crate::Result<Tensor> {
        let side = self.settings.size;
        let parts = samples.chunks(BATCH).zip(views.chunks(BATCH)).map(|(chunk, seen)| {
            crate::interrupt::check()?;
            let pictures: Vec<_> = chunk.iter().map(|sample| &sample.picture).collect();
            let input = faces::face_net_input(&pictures, side, self.net.store().device())?;
            let logits = self.net.forward(&views::sample(&input, seen, side), self.kind, false)?;
            counter.add(chunk.len());
            Ok(logits.to_device(Device::Cpu))
        });
        Ok(Tensor::cat(&parts.collect::<crate::Result<Vec<_>>>()?, 0))
    }
}
