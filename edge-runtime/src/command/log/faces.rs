//! `edge-runtime log faces`

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use expression_core::Label;
use expression_engine::error::{Context, Result};
use expression_engine::line::tell;
use expression_engine::{Error, files};
use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder};

use super::export::Sessions;
use super::output::{files_of, is_stdout};
use super::{Source, moment};
use crate::journal::{Erased, Range, Reader, Row, SessionRow, erase_faces};
use crate::number::whole;

/// Export the aligned faces that `run --keep-faces` stored, as PNG files, or delete them.
///
/// Files are named TIME_session-S_track-T_LABEL_ID.png. TIME is UTC with `-` in place of `:`; LABEL is `unsure` if no label
/// was likely enough, or the reason if the face could not be read; ID is the record's id in `log export`. faces.csv, beside
/// them, has a row per face in the chosen order, with the probabilities of the labels; rows of earlier exports follow.
/// `host-trainer label` reads the folder.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  edge-runtime log faces --journal journal.db -o faces
  edge-runtime log faces --journal journal.db --unsure-first --limit 300 -o faces
  edge-runtime log faces --journal journal.db --until 30d --delete")]
pub struct Cmd {
    #[command(flatten)]
    source: Source,
    /// Folder to write to; created if it does not exist.
    #[arg(short, long, value_name = "FOLDER", required_unless_present = "delete")]
    output: Option<PathBuf>,
    /// Only faces of this track: its number, or SESSION.TRACK, as `log visits` prints it. With --delete the number alone is
    /// refused if several sessions have such a track.
    #[arg(long, value_name = "TRACK", value_parser = parse_track)]
    track: Option<TrackFilter>,
    /// Write each label's faces to a folder of its own.
    #[arg(long)]
    by_label: bool,
    /// Faces that the model was least sure of first, in faces.csv and for --limit, instead of the oldest.
    #[arg(long)]
    unsure_first: bool,
    /// Write or delete the first N faces only.
    #[arg(long, value_name = "N", value_parser = whole::<usize>("a whole number of faces", 0..=u64::MAX))]
    limit: Option<usize>,
    /// Delete the faces from the journal, after they were exported if -o is given. Records stay. What lay there is overwritten
    /// in the file; flash memory may hold old blocks until it reuses them.
    #[arg(long)]
    delete: bool,
}

/// A track by its number, in one session or in all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct TrackFilter {
    session: Option<i64>,
    track: u32,
}

fn parse_track(text: &str) -> Result<TrackFilter, String> {
    let (session, track) = match text.split_once('.') {
        Some((session, track)) => (Some(session.parse().ok()), track),
        None => (None, text),
    };
    match (session, track.parse()) {
        (None, Ok(track)) => Ok(TrackFilter { session: None, track }),
        (Some(Some(session)), Ok(track)) => Ok(TrackFilter { session: Some(session), track }),
        _ => Err("expected the number of a track, or SESSION.TRACK such as 3.17".to_owned()),
    }
}

impl Cmd {
    /// Writes the files, deletes the faces if that was asked for, and prints how many there are.
    ///
    /// # Errors
    /// Returns an error if the journal or a time is refused, if the journal has no such faces in the range, or if a file or
    /// the journal cannot be written.
    pub fn run(&self) -> Result<()> {
        let (reader, range) = self.source.open()?;
        if let Some(folder) = &self.output {
            if is_stdout(folder) {
                return Err(Error::bad_input(
                    "faces are files in a folder and cannot be written to stdout; name a folder",
                ));
            }
            files::refuse_overwriting(&folder.join(TABLE), files_of(reader.path()))?;
            if folder.exists() && !folder.is_dir() {
                let folder = folder.display();
                return Err(Error::bad_input(format!("cannot write faces to {folder}: it is a file; name a folder")));
            }
        }
        let chosen = self.choose(&reader, &range)?;
        if chosen.is_empty() {
            return Err(Error::bad_input(
                "the journal has no such faces in this range; `run --keep-faces` stores them",
            ));
        }
        self.refuse_other_sessions(&chosen)?;
        if let Some(folder) = &self.output {
            let count = self.export(&reader, &chosen, folder)?;
            expression_engine::error::print(&format!("{count} faces in {}", folder.display()))?;
        }
        if self.delete {
            let records: Vec<i64> = chosen.iter().map(|row| row.id).collect();
            let Erased { faces, pieces } = erase_faces(&reader, &records)?;
            expression_engine::error::print(&format!("{faces} faces deleted from {}", reader.path().display()))?;
            if pieces {
                let advice =
                    "the journal is in use, or the disk is full; stop `run` and give --delete again for others";
                tell(format_args!("pieces of these faces may remain in unused parts of the file: {advice}"));
            }
        }
        Ok(())
    }

    /// Refuses to delete by the number of a track alone if it has faces in several sessions: those are of other visits.
    fn refuse_other_sessions(&self, chosen: &[Row]) -> Result<()> {
        let Some(TrackFilter { session: None, track }) = self.track.filter(|_| self.delete) else { return Ok(()) };
        let sessions: BTreeSet<i64> = chosen.iter().map(|row| row.session).collect();
        match sessions.first() {
            Some(first) if sessions.len() > 1 => Err(Error::bad_input(format!(
                "{} sessions have a track {track}, each of another visit; nothing was deleted: give SESSION.TRACK, such as \
                 {first}.{track}",
                sessions.len()
            ))),
            _ => Ok(()),
        }
    }

    /// The records whose faces were asked for, in order.
    fn choose(&self, reader: &Reader, range: &Range) -> Result<Vec<Row>> {
        let mut chosen = Vec::new();
        reader.each_record(range, |row| -> Result<()> {
            let wanted = self.track.is_none_or(|filter| {
                filter.track == row.record.track && filter.session.is_none_or(|session| session == row.session)
            });
            if wanted && reader.has_face(row.id)? {
                chosen.push(row);
            }
            Ok(())
        })?;
        if self.unsure_first {
            // Faces that could not be read come last: nobody can label them.
            chosen.sort_by_key(|row| (row.record.scores.is_none(), row.record.label.is_some(), row.record.confidence));
        }
        chosen.truncate(self.limit.unwrap_or(usize::MAX));
        Ok(chosen)
    }

    /// Writes the faces and the table, and returns how many there are.
    fn export(&self, reader: &Reader, chosen: &[Row], folder: &Path) -> Result<u64> {
        let mut sessions = Sessions::read(reader)?;
        let earlier = earlier(&folder.join(TABLE))?;
        let mut table = csv::Writer::from_writer(Vec::new());
        table.write_record(head()).map_err(Error::failure)?;
        let mut written_now = BTreeSet::new();
        for row in chosen {
            // It may have been deleted meanwhile.
            let Some((channels, size, pixels)) = reader.face(row.id)? else { continue };
            let Some(png) = png(channels, size, &pixels) else {
                tracing::warn!("skipped the face of record {}: its bytes are not a picture", row.id);
                continue;
            };
            let name = if self.by_label { format!("{}/{}", label_of(row), name(row)) } else { name(row) };
            let path = folder.join(&name);
            let parent = path.parent().unwrap_or(folder);
            fs::create_dir_all(parent).with_context(|| format!("cannot create the folder {}", parent.display()))?;
            let written = File::create(&path).and_then(|mut file| {
                file.write_all(&png)?;
                // A power cut must not take the picture after the journal's copy of it is deleted.
                if self.delete { file.sync_all() } else { Ok(()) }
            });
            written.with_context(|| {
                // Half a picture is worse than none.
                let _ = fs::remove_file(&path);
                format!("cannot write {}", path.display())
            })?;
            table.write_record(fields(&name, row, sessions.get(reader, row.session)?)).map_err(Error::failure)?;
            written_now.insert(name);
        }
        if !written_now.is_empty() {
            // Those of other journals, and of faces that are deleted by now: nothing else knows their scores.
            for row in earlier.iter().filter(|row| row.get(0).is_some_and(|name| !written_now.contains(name))) {
                table.write_record(row).map_err(Error::failure)?;
            }
            let table = table.into_inner().map_err(|error| Error::failure(error.to_string()))?;
            files::write_bytes(&folder.join(TABLE), &table)?;
        }
        Ok(written_now.len() as u64)
    }
}

/// The table beside the pictures.
const TABLE: &str = "faces.csv";

/// The columns of the table.
fn head() -> Vec<&'static str> {
    let own = ["file", "id", "time", "session", "track", "quality", "label", "confidence"];
    own.into_iter().chain(Label::ALL.map(Label::name)).collect()
}

/// The rows of a table that an earlier export wrote; none if there is no such file.
///
/// # Errors
/// Returns an error if the file cannot be read, or is not such a table.
fn earlier(path: &Path) -> Result<Vec<csv::StringRecord>> {
    if !path.exists() {
        return Ok(Vec::new());
    }
    let text = files::read(path)?;
    let mut table = csv::Reader::from_reader(text.as_slice());
    let is_ours = table.headers().is_ok_and(|found| found.iter().eq(head()));
    let rows = table.records().collect::<csv::Result<Vec<_>>>().ok().filter(|_| is_ours);
    rows.ok_or_else(|| {
        let path = path.display();
        Error::bad_input(format!(
            "{path} is not a table that `log faces` wrote; it was left as it is: name another folder"
        ))
    })
}

/// The fields of a face in the table; probabilities are empty if they are not known.
fn fields(name: &str, row: &Row, session: &SessionRow) -> Vec<String> {
    let record = &row.record;
    let probabilities = record.scores.zip(session.scale.as_ref()).map(|(scores, scale)| scale.probabilities(&scores));
    let share = |label: Label| {
        let scores = probabilities.as_ref()?;
        let (_, share) = scores.0.iter().find(|(known, _)| *known == label)?;
        Some(share.to_string())
    };
    let own = [
        name.to_owned(),
        row.id.to_string(),
        moment::text(row.stamp.wall_us),
        row.session.to_string(),
        record.track.to_string(),
        record.quality.name().to_owned(),
        record.label.map_or_else(String::new, |label| label.name().to_owned()),
        format!("{:.4}", f64::from(record.confidence) / 255.0),
    ];
    own.into_iter().chain(Label::ALL.map(|label| share(label).unwrap_or_default())).collect()
}

/// The label of a record, `unsure`, or why its face could not be read.
fn label_of(row: &Row) -> &'static str {
    match (row.record.label, row.record.scores) {
        (Some(label), _) => label.name(),
        (None, Some(_)) => "unsure",
        (None, None) => row.record.quality.name(),
    }
}

/// Returns the file name of a record's face. In the order of their names, faces are in the order of time.
fn name(row: &Row) -> String {
    let (record, label) = (&row.record, label_of(row));
    let time = moment::text(row.stamp.wall_us).replace(':', "-");
    format!("{time}_session-{}_track-{}_{label}_{}.png", row.session, record.track, row.id)
}

/// Returns a face, u8 `[channels, size, size]`, as PNG, or `None` if its bytes are not such a face.
fn png(channels: u8, size: u16, pixels: &[u8]) -> Option<Vec<u8>> {
    let plane = usize::from(size) * usize::from(size);
    if plane == 0 || pixels.len() != plane * usize::from(channels) {
        return None;
    }
    let (colour, bytes) = match channels {
        1 => (ExtendedColorType::L8, pixels.to_vec()),
        3 => (ExtendedColorType::Rgb8, (0..plane).flat_map(|at| [0, 1, 2].map(|c| pixels[c * plane + at])).collect()),
        _ => return None,
    };
    let mut png = Vec::new();
    PngEncoder::new(&mut png).write_image(&bytes, size.into(), size.into(), colour).ok()?;
    Some(png)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_track_is_named_with_or_without_its_session() {
        assert_eq!(parse_track("17"), Ok(TrackFilter { session: None, track: 17 }));
        assert_eq!(parse_track("3.17"), Ok(TrackFilter { session: Some(3), track: 17 }));
        for wrong in ["", "x", "3.", ".3", "3.x", "-1", "1.2.3"] {
            assert!(parse_track(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn planes_become_pixels_and_other_bytes_are_skipped() {
        let decode = |png: Option<Vec<u8>>| image::load_from_memory(&png.unwrap()).unwrap();
        assert_eq!(decode(png(1, 2, &[1, 2, 3, 4])).into_luma8().into_raw(), [1, 2, 3, 4]);
        let planes = [1, 2, 3, 4, 11, 12, 13, 14, 21, 22, 23, 24];
        let pixels = [1, 11, 21, 2, 12, 22, 3, 13, 23, 4, 14, 24];
        assert_eq!(decode(png(3, 2, &planes)).into_rgb8().into_raw(), pixels);
        assert!([png(2, 1, &[1, 2]), png(1, 2, &[1, 2, 3]), png(1, 0, &[])].iter().all(Option::is_none));
    }
}
