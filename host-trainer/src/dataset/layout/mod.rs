//! Rendered faces in the original layouts of the data sets: to walk a protocol before the agreement with a set's owners is
//! signed, and to test the readers. By default as many pictures as the set has.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use expression_core::Label;
use image::{DynamicImage, ImageFormat};
use rayon::prelude::*;

use super::{rendered, shuffled};
use crate::error::{Context, Error};
use crate::interrupt;
use crate::progress;
use crate::render::{Face, Renderer};

mod affectnet;
mod ck_plus;
mod classes;
mod fer2013;
mod ferplus;
mod oulu_casia;
mod posed;
mod raf_db;
mod tfd;

/// Whose layout is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Layout {
    /// 327 labelled sequences of 118 subjects, with landmarks.
    CkPlus,
    /// Six sequences of each of 80 subjects.
    OuluCasia,
    /// TFD_48x48.mat: 4,178 labelled faces and some without a label.
    Tfd,
    /// 958 and 436 pictures in class folders.
    Sfew,
    /// 1,024 and 256 pictures with a table of votes.
    Ferplus,
    /// fer2013.csv: 896, 224 and 224 grey pictures.
    Fer2013,
    /// 1,024 and 256 aligned pictures with a list of labels.
    RafDb,
    /// 1,024 and 512 pictures with lists of labels and landmarks.
    Affectnet,
    /// Seven expressions in each of two sessions of 70 subjects.
    Kdef,
    /// Three pictures of each of seven expressions by ten subjects.
    Jaffe,
    /// One folder per class, 16 pictures of each label by each of 8 subjects.
    Folder,
}

/// What is drawn.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Decides who is drawn.
    pub seed: u64,
    /// How many people; the layout's own number where none is given, and fewer pictures for fewer people.
    pub subjects: Option<usize>,
    /// Side of a picture in pixels; the layout's own where none is given.
    pub size: Option<u32>,
}

/// Writes faces in a layout to the new folder `out`: whole, or not at all.
///
/// # Errors
/// [`Error::BadInput`] where `out` holds something already, or the renderer's assets are missing; of the file system.
pub fn write(layout: Layout, out: &Path, plan: Plan) -> crate::Result<()> {
    let free = match fs::read_dir(out) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    };
    if !free {
        return Err(Error::BadInput(format!("{}: not an empty folder; give a new one", out.display())));
    }
    let renderer = rendered::open()?;
    let parent = out.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let place = || format!("cannot write {}", out.display());
    fs::create_dir_all(parent).with_context(place)?;
    let draft = tempfile::Builder::new().prefix(".drawing-").tempdir_in(parent).with_context(place)?;
    let artist = Artist { renderer, plan, folder: draft.path().to_owned() };
    match layout {
        Layout::CkPlus => ck_plus::write(&artist)?,
        Layout::OuluCasia => oulu_casia::write(&artist)?,
        Layout::Tfd => tfd::write(&artist)?,
        Layout::Sfew => classes::write_sfew(&artist)?,
        Layout::Ferplus => ferplus::write(&artist)?,
        Layout::Fer2013 => fer2013::write(&artist)?,
        Layout::RafDb => raf_db::write(&artist)?,
        Layout::Affectnet => affectnet::write(&artist)?,
        Layout::Kdef => posed::write_kdef(&artist)?,
        Layout::Jaffe => posed::write_jaffe(&artist)?,
        Layout::Folder => classes::write_folder(&artist)?,
    }
    fs::set_permissions(draft.path(), fs::Permissions::from_mode(0o755)).with_context(place)?;
    // Takes the place of an empty folder, and of nothing else.
    fs::rename(draft.path(), out).with_context(place)?;
    // The draft is the layout now: nothing is left to remove.
    let _ = draft.keep();
    Ok(())
}

/// Draws what a layout asks for, into its folder.
struct Artist {
    renderer: Renderer,
    plan: Plan,
    folder: PathBuf,
}

/// A picture to be drawn.
struct Shot {
    /// Below the layout's folder; the ending tells the format.
    path: String,
    subject: usize,
    label: Label,
    /// Tells pictures or sequences of one person with one expression apart.
    variation: u64,
    /// Share of the expression that is shown.
    share: f32,
    grey: bool,
}

impl Artist {
    /// How many people, where the set has `usual` of them.
    fn subjects(&self, usual: usize) -> usize {
        self.plan.subjects.unwrap_or(usual)
    }

    /// How many of the set's `usual` pictures, where it has so many subjects.
    fn pictures(&self, usual: usize, subjects: usize) -> usize {
        (usual * self.subjects(subjects)).div_ceil(subjects)
    }

    /// The face of a shot.
    ///
    /// # Errors
    /// Returns an error after Ctrl-C, with which the draft goes.
    fn face(&self, shot: &Shot, zoom: f32, size: u32) -> crate::Result<Face> {
        interrupt::check_signal().map_err(|_| Error::Failed("interrupted; nothing was written".into()))?;
        let key = [self.plan.seed, shot.subject as u64, shot.label as u64, shot.variation];
        Ok(self.renderer.draw_frame(key, shot.share, zoom, self.plan.size.unwrap_or(size)))
    }

    /// Draws and writes the shots, `size` pixels a side where the plan says nothing else, and hands each face to `also`.
    fn shoot(
        &self,
        shots: &[Shot],
        zoom: f32,
        size: u32,
        also: impl Fn(&Shot, &Face) -> crate::Result<()> + Sync,
    ) -> crate::Result<()> {
        let bar = progress::bar(shots.len() as u64, "drawing faces");
        shots.par_iter().try_for_each(|shot| {
            let face = self.face(shot, zoom, size)?;
            let path = self.folder.join(&shot.path);
            also(shot, &face)?;
            let colour = DynamicImage::ImageRgb8(face.image);
            let picture = if shot.grey { DynamicImage::ImageLuma8(colour.into_luma8()) } else { colour };
            let mut bytes = io::Cursor::new(Vec::new());
            picture.write_to(&mut bytes, ImageFormat::from_path(&path)?)?;
            self.put(&shot.path, bytes.get_ref())?;
            bar.inc(1);
            Ok(())
        })
    }

    /// Writes a file below the layout's folder.
    fn put(&self, path: &str, bytes: &[u8]) -> crate::Result<()> {
        let path = self.folder.join(path);
        let written = fs::create_dir_all(path.parent().unwrap_or(&self.folder)).and_then(|()| fs::write(&path, bytes));
        written.with_context(|| format!("cannot write {}", path.display()))
    }
}

/// The 68 points around the key points that the renderer knows: outlines of jaw, brows, nose, eyes and mouth.
fn landmarks(face: &Face) -> Vec<[f32; 2]> {
    let [right, left, nose, mouth, ..] = face.key_points;
    let unit = (left[0] - right[0]).hypot(left[1] - right[1]);
    // `count` points around `centre` from `start` degrees over `arc`, `wide` and `high` in distances of the eyes.
    let around = |centre: [f32; 2], [wide, high]: [f32; 2], [start, arc]: [f32; 2], count: usize| {
        (0..count).map(move |number| {
            let angle = (start + arc * number as f32 / count as f32).to_radians();
            [centre[0] + unit * wide * angle.cos(), centre[1] + unit * high * angle.sin()]
        })
    };
    around(nose, [1.1, 1.3], [180.0, -190.0], 17)
        .chain(around(right, [0.35, 0.35], [210.0, 150.0], 5))
        .chain(around(left, [0.35, 0.35], [210.0, 150.0], 5))
        .chain((0..4).map(|step| [nose[0], nose[1] - unit * (0.45 - 0.15 * step as f32)]))
        .chain(around(nose, [0.2, 0.1], [180.0, -225.0], 5))
        .chain(around(right, [0.18, 0.08], [180.0, 360.0], 6))
        .chain(around(left, [0.18, 0.08], [180.0, 360.0], 6))
        .chain(around(mouth, [0.4, 0.2], [180.0, 360.0], 12))
        .chain(around(mouth, [0.3, 0.08], [180.0, 360.0], 8))
        .collect()
}

#[cfg(test)]
pub(super) mod tests;
