//! FER+: grey pictures of 48 pixels, and a table of votes.

use std::fmt::Write;

use expression_core::Label;

use super::{Artist, Shot};

/// Usage in the table, folder and pictures of each part.
const PARTS: [(&str, &str, usize); 2] =
    [("Training", "data/FER2013Train", 1024), ("PublicTest", "data/FER2013Valid", 256)];
/// Subjects of each part.
const SUBJECTS: usize = 128;

pub fn write(artist: &Artist) -> crate::Result<()> {
    let subjects = artist.subjects(SUBJECTS);
    let mut table =
        String::from("Usage,Image name,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF\n");
    let (mut shots, mut row) = (Vec::new(), 0);
    for (part, (usage, folder, pictures)) in PARTS.iter().enumerate() {
        for number in 0..artist.pictures(*pictures, SUBJECTS) {
            let label = Label::ALL[number % Label::COUNT];
            let subject = part * subjects + number / Label::COUNT % subjects;
            let name = format!("fer{row:07}.png");
            // Ten votes: some are for the label's neighbour, and one in a while for "unknown".
            let mut votes = [0; 10];
            votes[label as usize] = 8 - number % 3;
            votes[(label as usize + 1) % Label::COUNT] = 2;
            votes[8] = number % 3;
            let votes = votes.map(|count: usize| count.to_string()).join(",");
            writeln!(table, "{usage},{name},{votes}")?;
            let path = format!("{folder}/{name}");
            shots.push(Shot { path, subject, label, variation: number as u64, share: 1.0, grey: true });
            row += 1;
        }
    }
    artist.put("fer2013new.csv", table.as_bytes())?;
    artist.shoot(&shots, 1.0, 48, |_, _| Ok(()))
}
