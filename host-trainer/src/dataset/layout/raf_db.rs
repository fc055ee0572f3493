//! RAF-DB: aligned pictures of 100 pixels and a list of labels.

use std::fmt::Write;

use super::super::class_names::Numbering;
use super::{Artist, Shot};

/// Parts and their pictures, a few of the set's 12,271 and 3,068.
const PARTS: [(&str, usize); 2] = [("train", 1024), ("test", 256)];
/// Subjects of each part.
const SUBJECTS: usize = 128;

pub fn write(artist: &Artist) -> crate::Result<()> {
    let labels = Numbering::RafDb.labels();
    let subjects = artist.subjects(SUBJECTS);
    let (mut list, mut shots) = (String::new(), Vec::new());
    for (part, (name, pictures)) in PARTS.iter().enumerate() {
        for number in 0..artist.pictures(*pictures, SUBJECTS) {
            let place = number % labels.len();
            let subject = part * subjects + number / labels.len() % subjects;
            writeln!(list, "{name}_{number:05}.jpg {}", place + 1)?;
            let path = format!("basic/Image/aligned/{name}_{number:05}_aligned.jpg");
            let label = labels[place];
            shots.push(Shot { path, subject, label, variation: number as u64, share: 1.0, grey: false });
        }
    }
    artist.put("basic/EmoLabel/list_patition_label.txt", list.as_bytes())?;
    artist.shoot(&shots, 0.8, 100, |_, _| Ok(()))
}
