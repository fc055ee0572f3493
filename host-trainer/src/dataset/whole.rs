//! `--split all`: every sample of a data set, whatever part it belongs to.

use super::{DataSet, Part, Request, Source, Split, ferplus, folder, load};

/// Returns all samples of a data set as one part: of a folder every picture, of FER+ the parts whose pictures are there, of other
/// sets the parts that [`load`] makes.
///
/// # Errors
/// Returns an error if the data set is missing, empty or damaged.
pub fn whole(source: &Source, request: Request) -> crate::Result<Part> {
    match source {
        Source::Folder(path, classes) => folder::whole(path, classes)?.checked(),
        Source::FerPlus(path) => {
            let mut whole = ferplus::part(path, Split::Train)?;
            // Parts whose pictures were never made are absent.
            for part in [Split::Valid, Split::Test].into_iter().filter_map(|split| ferplus::part(path, split).ok()) {
                whole.samples.extend(part.samples);
                whole.skipped.extend(part.skipped);
            }
            whole.name = "FER+ all".into();
            whole.checked()
        }
        _ => {
            let DataSet { name, source, train, calibration, test, skipped } = load(source, request)?;
            let samples = [train, calibration, test].concat();
            Part { name: format!("{name} all"), source, samples, skipped }.checked()
        }
    }
}
