//! CK+: sequences from neutral to apex, emotion codes and landmarks.

use expression_core::Label;

use super::{Artist, Shot, shuffled};
use crate::render::Face;

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
        artist.put(&name, landmarks(face).as_bytes())
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

/// The 68 points around the key points that the renderer knows: outlines of jaw, brows, nose, eyes and mouth.
fn landmarks(face: &Face) -> String {
    let [right, left, nose, mouth, ..] = face.key_points;
    let unit = (left[0] - right[0]).hypot(left[1] - right[1]);
    // `count` points around `centre` from `start` degrees over `arc`, `wide` and `high` in distances of the eyes.
    let around = |centre: [f32; 2], [wide, high]: [f32; 2], [start, arc]: [f32; 2], count: usize| {
        (0..count).map(move |number| {
            let angle = (start + arc * number as f32 / count as f32).to_radians();
            [centre[0] + unit * wide * angle.cos(), centre[1] + unit * high * angle.sin()]
        })
    };
    let points = around(nose, [1.1, 1.3], [180.0, -190.0], 17)
        .chain(around(right, [0.35, 0.35], [210.0, 150.0], 5))
        .chain(around(left, [0.35, 0.35], [210.0, 150.0], 5))
        .chain((0..4).map(|step| [nose[0], nose[1] - unit * (0.45 - 0.15 * step as f32)]))
        .chain(around(nose, [0.2, 0.1], [180.0, -225.0], 5))
        .chain(around(right, [0.18, 0.08], [180.0, 360.0], 6))
        .chain(around(left, [0.18, 0.08], [180.0, 360.0], 6))
        .chain(around(mouth, [0.4, 0.2], [180.0, 360.0], 12))
        .chain(around(mouth, [0.3, 0.08], [180.0, 360.0], 8));
    points.map(|[x, y]| format!("   {x:.7e}   {y:.7e}\n")).collect()
}
