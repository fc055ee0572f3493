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

/// Writes the aligned faces that `run --keep-faces` kept, as PNG files: TIME_session-S_track-T_LABEL_ID.png.
///
/// TIME is UTC with - for :, LABEL is `unsure` where nothing was likely enough, ID the record's number in `log export`.
#[derive(clap::Args)]
pub struct Cmd {
    #[command(flatten)]
    source: Source,
    /// The folder to write to; made where it is not there.
    #[arg(short, long, value_name = "FOLDER")]
    output: PathBuf,
}

impl Cmd {
    /// Runs the command; the number of files goes to stdout.
    ///
    /// # Errors
    /// Where the journal is refused, a time is none, no face was kept in it, or a file cannot be written.
    pub fn run(&self) -> Result<()> {
        let (reader, range) = self.source.open()?;
        match write(&reader, &range, &self.output)? {
            0 => Err(Error::bad_input("the journal keeps no faces of that time; `run --keep-faces` keeps them")),
            count => expression_engine::error::print(&format!("{count} faces in {}", self.output.display())),
        }
    }
}

/// Writes the faces of a range; gives how many there are.
fn write(reader: &Reader, range: &Range, folder: &Path) -> Result<u64> {
    let mut count = 0;
    reader.each_record(range, |row| -> Result<()> {
        let Some((channels, size, pixels)) = reader.face(row.id)? else { return Ok(()) };
        let Some(png) = png(channels, size, &pixels) else {
            tracing::warn!("the face of record {} is left out: it is no picture", row.id);
            return Ok(());
        };
        if count == 0 {
            fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
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

/// The name of a record's face: sorted by name, faces are sorted by time.
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

/// A face, u8 `[channels, size, size]`, as PNG; `None` where its bytes are no such face.
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
    fn planes_become_pixels_and_what_is_no_face_is_left_out() {
        let decode = |png: Option<Vec<u8>>| image::load_from_memory(&png.unwrap()).unwrap();
        assert_eq!(decode(png(1, 2, &[1, 2, 3, 4])).into_luma8().into_raw(), [1, 2, 3, 4]);
        let planes = [1, 2, 3, 4, 11, 12, 13, 14, 21, 22, 23, 24];
        let pixels = [1, 11, 21, 2, 12, 22, 3, 13, 23, 4, 14, 24];
        assert_eq!(decode(png(3, 2, &planes)).into_rgb8().into_raw(), pixels);
        assert!([png(2, 1, &[1, 2]), png(1, 2, &[1, 2, 3]), png(1, 0, &[])].iter().all(Option::is_none));
    }
}
