//! Oulu-CASIA: visible light, strong.

use super::{Artist, Shot};

/// Subjects of the set.
const SUBJECTS: usize = 80;
/// Share of the expression in each frame.
const FRAMES: [f32; 5] = [0.0, 0.4, 0.8, 0.9, 1.0];

pub fn write(artist: &Artist) -> crate::Result<()> {
    let names = ["Anger", "Disgust", "Fear", "Happiness", "Sadness", "Surprise"];
    let mut shots = Vec::new();
    for subject in 0..artist.subjects(SUBJECTS) {
        for (name, label) in names.iter().filter_map(|name| Some((name, expression_core::Label::from_name(name)?))) {
            shots.extend((0..).zip(FRAMES).map(|(frame, share)| Shot {
                path: format!("OriginalImg/VL/Strong/P{:03}/{name}/{frame:03}.jpeg", subject + 1),
                subject,
                label,
                variation: 0,
                share,
                grey: false,
            }));
        }
    }
    artist.shoot(&shots, 0.6, 128, |_, _| Ok(()))
}
