//! What a model says of a face, for a labeller who asks.

use std::path::Path;

use expression_core::Label;
use expression_engine::{Engine, EngineOptions, Picture};
use serde::Serialize;

use super::Face;

/// Probabilities of the labels, the likeliest first.
#[derive(Debug, Serialize)]
pub struct Suggestion {
    /// Which model said it.
    pub by: String,
    /// Labels and their probabilities.
    pub scores: Vec<(&'static str, f32)>,
}

/// Answers what a model says of a face.
pub struct Suggester {
    model: Option<(String, Engine)>,
}

impl Suggester {
    /// Suggests what a bundle says, or without one what the board's model said when the face was kept.
    ///
    /// # Errors
    /// Returns an error if the bundle is refused.
    pub fn new(bundle: Option<&Path>) -> crate::Result<Suggester> {
        let Some(folder) = bundle else { return Ok(Suggester { model: None }) };
        let (bundle, engine) = expression_engine::selftest::open(folder, EngineOptions::default())?;
        Ok(Suggester { model: Some((bundle.manifest().name.clone(), engine)) })
    }

    /// What the model says of a face whose picture lies at `path`; `None` if there is no model that could.
    ///
    /// # Errors
    /// Returns an error if the picture cannot be read.
    pub fn suggest(&self, face: &Face, path: &Path) -> crate::Result<Option<Suggestion>> {
        let (by, mut scores) = match &self.model {
            Some((name, engine)) => {
                let scores = engine.classify(&Picture::open(path)?.aligned_face(engine.input())?)?;
                (name.clone(), engine.labels().iter().copied().zip(scores.probability).collect::<Vec<_>>())
            }
            None if face.logged.is_empty() => return Ok(None),
            None => ("the board".to_owned(), face.logged.clone()),
        };
        scores.sort_by(|(_, left), (_, right)| right.total_cmp(left));
        Ok(Some(Suggestion { by, scores: scores.iter().map(|(label, score)| (Label::name(*label), *score)).collect() }))
    }
}
