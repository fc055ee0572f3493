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
use crate::progress;
use crate::render::{Face, Renderer};

mod ck_plus;
mod classes;
mod ferplus;
mod oulu_casia;
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
    /// One folder a class, 16 pictures of each label by each of 8 subjects.
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
    fn face(&self, shot: &Shot, zoom: f32, size: u32) -> Face {
        let key = [self.plan.seed, shot.subject as u64, shot.label as u64, shot.variation];
        self.renderer.draw_frame(key, shot.share, zoom, self.plan.size.unwrap_or(size))
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
            let face = self.face(shot, zoom, size);
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

#[cfg(test)]
pub(super) mod tests;
