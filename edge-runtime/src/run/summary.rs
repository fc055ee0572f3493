//! What a run came to, for people.

use std::fmt;

use expression_core::{Label, Quality};

use crate::frame::Observation;

/// What a run came to. Displays as a few words on one line.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Summary {
    /// Frames that the source delivered.
    pub delivered: u64,
    /// Frames that were processed.
    pub frames: u64,
    /// Faces, counted in every frame.
    pub faces: u64,
    /// Faces by [`Quality`].
    pub qualities: [u64; Quality::ALL.len()],
    /// Labels by [`Label`], counted in every frame.
    pub labels: [u64; Label::COUNT],
    /// Frames that were not processed, the damaged ones among them.
    pub dropped: u64,
    /// Frames or pictures that were damaged.
    pub skipped: u64,
    /// Seconds from the first call of the source to the last.
    pub seconds: f64,
    /// Why the run ended.
    pub reason: String,
    /// What the journal holds of it, if one was written.
    pub journal: Option<JournalSummary>,
}

/// What a journal holds of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct JournalSummary {
    /// Records that are safe on the disk.
    pub records: u64,
    /// Records that were lost.
    pub lost: u64,
}

impl Summary {
    /// Counts a frame.
    pub(super) fn count(&mut self, observation: &Observation) {
        self.frames += 1;
        self.faces += observation.faces.len() as u64;
        for face in &observation.faces {
            self.qualities[face.quality as usize] += 1;
            if let Some(label) = face.label {
                self.labels[label as usize] += 1;
            }
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rate = self.frames as f64 / self.seconds.max(1e-3);
        write!(f, "{} frames in {:.1} s ({rate:.1} frames/s), {} faces", self.frames, self.seconds, self.faces)?;
        let counted = |counts: &[u64], name: &dyn Fn(usize) -> &'static str| -> Vec<String> {
            let seen = counts.iter().enumerate().filter(|(_, count)| **count > 0);
            seen.map(|(index, count)| format!("{} {count}", name(index))).collect()
        };
        let unread = counted(&self.qualities[1..], &|index| Quality::ALL[index + 1].name());
        if !unread.is_empty() {
            write!(f, " (not read: {})", unread.join(", "))?;
        }
        let labels = counted(&self.labels, &|index| Label::ALL[index].name());
        write!(f, "; labels: {}", if labels.is_empty() { "none".to_owned() } else { labels.join(", ") })?;
        if self.dropped > 0 {
            write!(f, "; {} frames not processed, {} of them damaged", self.dropped, self.skipped)?;
        }
        if let Some(journal) = self.journal {
            write!(f, "; journal: {} records written, {} lost", journal.records, journal.lost)?;
        }
        write!(f, "; ended by: {}", self.reason)
    }
}

#[cfg(test)]
mod tests {
    use expression_core::Record;

    use super::*;

    #[test]
    fn a_summary_counts_faces_labels_and_what_was_left_out() {
        let face = |quality, label| Record {
            track: 1,
            bounds: Default::default(),
            quality,
            scores: None,
            label,
            confidence: 200,
        };
        let mut summary =
            Summary { seconds: 2.0, dropped: 3, skipped: 1, reason: "signal".into(), ..Summary::default() };
        let faces = vec![face(Quality::Good, Some(Label::Fear)), face(Quality::Turned, None)];
        summary.count(&Observation { faces, ..Observation::default() });
        summary.count(&Observation::default());
        summary.journal = Some(JournalSummary { records: 2, lost: 0 });
        assert_eq!(
            summary.to_string(),
            "2 frames in 2.0 s (1.0 frames/s), 2 faces (not read: turned 1); labels: fear 1; 3 frames not processed, 1 of \
             them damaged; journal: 2 records written, 0 lost; ended by: signal"
        );
    }
}
