//! KDEF and JAFFE: posed faces named by subject and expression.

use expression_core::Label;

use super::{Artist, Shot};

/// Subjects of KDEF, half of them women.
const KDEF_SUBJECTS: usize = 70;
/// Subjects of JAFFE by their initials.
const JAFFE_SUBJECTS: [&str; 10] = ["KA", "KL", "KM", "KR", "MK", "NA", "NM", "TM", "UY", "YM"];
/// Pictures of each expression by a subject of JAFFE.
const JAFFE_PICTURES: u64 = 3;
/// What every subject shows, by KDEF's codes and JAFFE's.
const CODES: [(&str, &str, Label); 7] = [
    ("AF", "FE", Label::Fear),
    ("AN", "AN", Label::Anger),
    ("DI", "DI", Label::Disgust),
    ("HA", "HA", Label::Happiness),
    ("NE", "NE", Label::Neutral),
    ("SA", "SA", Label::Sadness),
    ("SU", "SU", Label::Surprise),
];

pub fn write_kdef(artist: &Artist) -> crate::Result<()> {
    let mut shots = Vec::new();
    for subject in 0..artist.subjects(KDEF_SUBJECTS) {
        let who = format!("{}{:02}", ["F", "M"][subject % 2], 1 + subject / 2);
        for (variation, session) in (0..).zip(["A", "B"]) {
            shots.extend(CODES.iter().map(|(code, _, label)| Shot {
                path: format!("KDEF/{session}{who}/{session}{who}{code}S.JPG"),
                subject,
                label: *label,
                variation,
                share: 1.0,
                grey: false,
            }));
        }
    }
    artist.shoot(&shots, 0.6, 192, |_, _| Ok(()))
}

pub fn write_jaffe(artist: &Artist) -> crate::Result<()> {
    let mut shots = Vec::new();
    let subjects = artist.subjects(JAFFE_SUBJECTS.len()).min(JAFFE_SUBJECTS.len());
    for (subject, who) in JAFFE_SUBJECTS[..subjects].iter().enumerate() {
        for variation in 0..JAFFE_PICTURES {
            for (_, code, label) in CODES {
                let (take, number) = (1 + variation, 1 + shots.len());
                let path = format!("jaffe/{who}.{code}{take}.{number}.tiff");
                shots.push(Shot { path, subject, label, variation, share: 1.0, grey: true });
            }
        }
    }
    artist.shoot(&shots, 0.6, 192, |_, _| Ok(()))
}
