//! AffectNet's first form: whole pictures, and lists with landmarks.

use std::sync::Mutex;

use super::super::class_names::Numbering;
use super::{Artist, Shot, landmarks};

/// Lists and their pictures, a few of the set's 287,651 and 4,000.
const PARTS: [(&str, usize); 2] = [("training.csv", 1024), ("validation.csv", 512)];
/// Subjects of each part.
const SUBJECTS: usize = 128;
/// Where the pictures lie.
const PICTURES: &str = "Manually_Annotated/Manually_Annotated_Images";
const HEADER: &str =
    "subDirectory_filePath,face_x,face_y,face_width,face_height,facial_landmarks,expression,valence,arousal\n";

pub fn write(artist: &Artist) -> crate::Result<()> {
    let labels = Numbering::AffectNet.labels();
    let subjects = artist.subjects(SUBJECTS);
    for (part, (list, pictures)) in PARTS.iter().enumerate() {
        let shots: Vec<Shot> = (0..artist.pictures(*pictures, SUBJECTS))
            .map(|number| Shot {
                path: format!("{PICTURES}/{}/{part}{number:06}.jpg", 1 + part),
                subject: part * subjects + number / labels.len() % subjects,
                label: labels[number % labels.len()],
                variation: number as u64,
                share: 1.0,
                grey: false,
            })
            .collect();
        let lines = Mutex::new(Vec::new());
        artist.shoot(&shots, 0.6, 224, |shot, face| {
            let points = landmarks(face).iter().map(|[x, y]| format!("{x:.2};{y:.2}")).collect::<Vec<_>>().join(";");
            let code = labels.iter().position(|label| *label == shot.label).unwrap_or_default();
            let name = shot.path.trim_start_matches(PICTURES).trim_start_matches('/');
            let side = face.image.width();
            let line = format!("{name},0,0,{side},{side},{points},{code},0.0,0.0\n");
            lines.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(line);
            Ok(())
        })?;
        let mut lines = lines.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        lines.sort();
        artist.put(list, format!("{HEADER}{}", lines.concat()).as_bytes())?;
    }
    Ok(())
}
