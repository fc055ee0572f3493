//! Class folders: SFEW's two parts, and a folder of one's own.

use expression_core::Label;

use super::{Artist, Shot};

/// SFEW's parts and their pictures.
const SFEW: [(&str, usize); 2] = [("Train", 958), ("Val", 436)];
/// Subjects of each part of SFEW.
const SUBJECTS: usize = 100;
/// SFEW's classes.
const NAMES: [&str; 7] = ["Angry", "Disgust", "Fear", "Happy", "Neutral", "Sad", "Surprise"];
/// A folder's subjects, and pictures of each label by each of them.
const FOLDER: (usize, usize) = (8, 16);

pub fn write_sfew(artist: &Artist) -> crate::Result<()> {
    let subjects = artist.subjects(SUBJECTS);
    let mut shots = Vec::new();
    for (part, (name, pictures)) in SFEW.iter().enumerate() {
        for number in 0..artist.pictures(*pictures, SUBJECTS) {
            let class = NAMES[number % NAMES.len()];
            let Some(label) = Label::from_name(class) else { continue };
            // The parts show different people.
            let subject = part * subjects + number / NAMES.len() % subjects;
            let path = format!("{name}/{class}/movie{subject:03}_{number:04}.png");
            shots.push(Shot { path, subject, label, variation: number as u64, share: 1.0, grey: false });
        }
    }
    artist.shoot(&shots, 0.6, 128, |_, _| Ok(()))
}

pub fn write_folder(artist: &Artist) -> crate::Result<()> {
    let (subjects, each) = FOLDER;
    let mut shots = Vec::new();
    for subject in 0..artist.subjects(subjects) {
        for (label, variation) in
            Label::ALL.iter().flat_map(|label| (0..each as u64).map(move |number| (*label, number)))
        {
            let path = format!("{}/{subject:03}_{variation:02}.png", label.name());
            shots.push(Shot { path, subject, label, variation, share: 1.0, grey: false });
        }
    }
    artist.shoot(&shots, 1.0, 112, |_, _| Ok(()))
}
