//! `edge-runtime log faces`

use std::fs;
use std::path::{Path, PathBuf};

use expression_engine::Error;
use expression_engine::error::Context;
use expression_engine::error::Result;
use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder};

use super::{Source, moment};
use crate::journal::{Range, Reader, Row};

/// Export the aligned faces that `run --keep-faces` stored, as PNG files.
///
/// Files are named TIME_session-S_track-T_LABEL_ID.png. TIME is UTC with `-` in place of `:`; LABEL is `unsure` if no label
/// was likely enough, or the reason if the face could not be read; ID is the record's id in `log export`.
#[derive(clap::Args)]
pub struct Cmd {
    #[command(flatten)]
    source: Source,
    /// Folder to write to; created if it does not exist.
    #[arg(short, long, value_name = "FOLDER")]
    output: PathBuf,
}

impl Cmd {
    /// Writes the files and prints how many there are.
    ///
    /// # Errors
    /// Returns an error if the journal or a time is refused, if the journal has no faces in the range, or if a file cannot be
    /// written.
    pub fn run(&self) -> Result<()> {
        let (reader, range) = self.source.open()?;
        match write(&reader, &range, &self.output)? {
            0 => Err(Error::bad_input("the journal has no faces in this range; `run --keep-faces` stores them")),
            count => expression_engine::error::print(&format!("{count} faces in {}", self.output.display())),
        }
    }
}

/// Writes the faces of a range and returns how many there are.
fn write(reader: &Reader, range: &Range, folder: &Path) -> Result<u64> {
    let mut count = 0;
    reader.each_record(range, |row| -> Result<()> {
        let Some((channels, size, pixels)) = reader.face(row.id)? else { return Ok(()) };
        let Some(png) = png(channels, size, &pixels) else {
            tracing::warn!("skipped the face of record {}: its bytes are not a picture", row.id);
            return Ok(());
        };
        if count == 0 {
            fs::create_dir_all(folder).with_context(|| format!("cannot create the folder {}", folder.display()))?;
        }
        let path = folder.join(name(&row));
        fs::write(&path, png).with_context(|| {
            // Half a picture is worse than none.
            let _ = fs::remove_file(&path);
            format!("cannot write {}", path.display())
        })?;
        count += 1;
        Ok(())
    })?;
    Ok(count)
}

/// Returns the file name of a record's face. In the order of their names, faces are in the order of time.
fn name(row: &Row) -> String {
    let record = &row.record;
    let label = match (record.label, record.scores) {
        (Some(label), _) => label.name(),
        (None, Some(_)) => "unsure",
        (None, None) => record.quality.name(),
    };
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
    fn planes_become_pixels_and_other_bytes_are_skipped() {
        let decode = |png: Option<Vec<u8>>| image::load_from_memory(&png.unwrap()).unwrap();
        assert_eq!(decode(png(1, 2, &[1, 2, 3, 4])).into_luma8().into_raw(), [1, 2, 3, 4]);
        let planes = [1, 2, 3, 4, 11, 12, 13, 14, 21, 22, 23, 24];
        let pixels = [1, 11, 21, 2, 12, 22, 3, 13, 23, 4, 14, 24];
        assert_eq!(decode(png(3, 2, &planes)).into_rgb8().into_raw(), pixels);
        assert!([png(2, 1, &[1, 2]), png(1, 2, &[1, 2, 3]), png(1, 0, &[])].iter().all(Option::is_none));
    }
}
