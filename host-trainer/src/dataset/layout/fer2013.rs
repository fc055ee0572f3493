//! FER2013: one CSV file of grey pictures of 48 pixels.

use std::fmt::Write;

use image::DynamicImage;

use super::super::class_names::Numbering;
use super::{Artist, Shot};

/// Usage of each part and its pictures, a few of the set's 28,709, 3,589 and 3,589.
const PARTS: [(&str, usize); 3] = [("Training", 896), ("PublicTest", 224), ("PrivateTest", 224)];
/// Subjects of each part.
const SUBJECTS: usize = 128;

pub fn write(artist: &Artist) -> crate::Result<()> {
    let labels = Numbering::Fer2013.labels();
    let subjects = artist.subjects(SUBJECTS);
    let mut table = String::from("emotion,pixels,Usage\n");
    for (part, (usage, pictures)) in PARTS.iter().enumerate() {
        for number in 0..artist.pictures(*pictures, SUBJECTS) {
            let code = number % labels.len();
            let subject = part * subjects + number / labels.len() % subjects;
            let (path, label) = (String::new(), labels[code]);
            let shot = Shot { path, subject, label, variation: number as u64, share: 1.0, grey: true };
            let grey = DynamicImage::ImageRgb8(artist.face(&shot, 1.0, 48)?.image).into_luma8();
            let pixels = grey.as_raw().iter().map(u8::to_string).collect::<Vec<_>>().join(" ");
            writeln!(table, "{code},{pixels},{usage}")?;
        }
    }
    artist.put("fer2013.csv", table.as_bytes())
}
