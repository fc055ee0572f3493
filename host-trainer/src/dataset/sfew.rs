//! SFEW 2.0: Dhall et al., "Video and Image based Emotion Recognition Challenges in the Wild: EmotiW 2015", ICMI 2015:
//! `Train/Angry/*.png` and `Val/...`, or the faces that its owners aligned, `Train_Aligned_Faces/Angry/*.png`.

use std::path::{Path, PathBuf};

use super::cut::Finder;
use super::{ClassNames, Collection, Fold, Sample, folder, sample};
use crate::error::Error;

/// Reads SFEW in one fold: trained on its training part, reported on its validation part (958 and 436 pictures), since
/// the labels of its test part are not public. Aligned faces are taken where both parts have them; else faces are found
/// by the detector.
///
/// # Errors
/// [`Error::BadInput`] where a part is missing or empty, or a class folder's name is no label.
pub fn collect(folder: &Path) -> crate::Result<Collection> {
    let both = |places: &dyn Fn(&str) -> Vec<PathBuf>| {
        let part = |name| places(name).into_iter().map(|place| folder.join(place)).find(|place| place.is_dir());
        Some([part("Train")?, part("Val")?])
    };
    let (parts, finder) = if let Some(parts) = both(&aligned) {
        (parts, None)
    } else if let Some(parts) = both(&|part| vec![part.into()]) {
        (parts, Some(Finder::open()?))
    } else {
        // Its own folders are class folders too, of pictures of whole rooms.
        let advice = "give the folder that holds Train and Val, or Train_Aligned_Faces and Val_Aligned_Faces";
        let advice = format!("{advice}; {}", folder::advice(folder, "unpack both parts"));
        return Err(Error::BadInput(format!("{}: a part of SFEW is missing; {advice}", folder.display())));
    };
    let (mut samples, mut skipped, mut ends) = (Vec::new(), Vec::new(), Vec::new());
    let parts = parts.into_iter().map(folder::PartFolder::open).collect::<Result<Vec<_>, _>>()?;
    for items in folder::pictures(folder, &parts, &ClassNames::Common)? {
        let (read, unusable) = sample::read_all(
            &items,
            |(path, _)| path.clone(),
            |(_, label), path, picture| {
                let face = finder.as_ref().map_or(Ok(picture.clone()), |finder| finder.face(&picture))?;
                let name = path.strip_prefix(folder).unwrap_or(path).display().to_string();
                Ok(Sample::labelled(name, None, face, *label))
            },
        );
        samples.extend(read);
        skipped.extend(unusable);
        ends.push(samples.len());
    }
    let fold = Fold { train: (0..ends[0]).collect(), validation: Vec::new(), test: (ends[0]..ends[1]).collect() };
    let source = "SFEW 2.0 (Dhall et al. 2015); for research, by agreement with its owners".into();
    Ok(Collection { name: "SFEW 2.0".into(), source, samples, skipped, folds: vec![fold] })
}

/// Where the aligned faces of a part may lie.
fn aligned(part: &str) -> Vec<PathBuf> {
    let names = ["", "_new"].map(|end| format!("{part}_Aligned_Faces{end}"));
    names.iter().flat_map(|name| [PathBuf::from(name), Path::new(part).join(name)]).collect()
}

#[cfg(test)]
mod tests;
