//! CK+: sequences from neutral to apex, emotion codes and landmarks.

use expression_core::Label;

use super::{Artist, Shot, landmarks, shuffled};

/// Subjects of the set.
const SUBJECTS: usize = 118;
/// Labelled sequences of each emotion code, from 0.
const SEQUENCES: [(Label, usize); 8] = [
    (Label::Neutral, 0),
    (Label::Anger, 45),
    (Label::Contempt, 18),
    (Label::Disgust, 59),
    (Label::Fear, 25),
    (Label::Happiness, 69),
    (Label::Sadness, 28),
    (Label::Surprise, 83),
];
/// Share of the expression in each frame.
const FRAMES: [f32; 5] = [0.0, 0.4, 0.8, 0.9, 1.0];
/// Every so many sequences one comes without a label, as in the set.
const UNLABELLED: usize = 10;

pub fn write(artist: &Artist) -> crate::Result<()> {
    let labels = SEQUENCES.iter().flat_map(|(label, count)| vec![*label; *count]).collect();
    let mut labels = shuffled(labels, artist.plan.seed);
    labels.truncate(artist.pictures(labels.len(), SUBJECTS));
    let subjects = artist.subjects(SUBJECTS);
    let mut shots = Vec::new();
    for (number, label) in labels.into_iter().enumerate() {
        let (subject, sequence) = (number % subjects, 1 + number / subjects);
        shots.extend(frames(subject, sequence, label));
        let code = SEQUENCES.iter().position(|(known, _)| *known == label).unwrap_or_default();
        let (last, folder) = (FRAMES.len(), format!("Emotion/S{subject:03}/{sequence:03}"));
        let name = format!("{folder}/S{subject:03}_{sequence:03}_{last:08}_emotion.txt");
        artist.put(&name, format!("   {code}.0000000e+00\n").as_bytes())?;
        if number % UNLABELLED == 0 {
            // Beyond the number of any labelled one.
            shots.extend(frames(subject, 100 + sequence, label));
        }
    }
    artist.shoot(&shots, 0.6, 128, |shot, face| {
        let name = shot.path.replace("cohn-kanade-images", "Landmarks").replace(".png", "_landmarks.txt");
        let points: String = landmarks(face).iter().map(|[x, y]| format!("   {x:.7e}   {y:.7e}\n")).collect();
        artist.put(&name, points.as_bytes())
    })
}

fn frames(subject: usize, sequence: usize, label: Label) -> impl Iterator<Item = Shot> {
    let place = format!("cohn-kanade-images/S{subject:03}/{sequence:03}/S{subject:03}_{sequence:03}");
    (1..).zip(FRAMES).map(move |(frame, share)| Shot {
        path: format!("{place}_{frame:08}.png"),
        subject,
        label,
        variation: sequence as u64,
        share,
        grey: true,
    })
}
