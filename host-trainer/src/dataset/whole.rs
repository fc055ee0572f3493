//! `--split all`: every sample of a data set, whatever part it belongs to.

use super::{
    Collection, DataSet, Part, Protocol, Request, Source, Split, collect, fer2013, ferplus, folder, labelled, load,
};

/// Returns all samples of a data set as one part: those of FER+ whose pictures were made, of other sets all that take part in
/// their protocol.
///
/// # Errors
/// Returns an error if the data set is missing, empty or damaged.
pub fn whole(source: &Source, request: Request) -> crate::Result<Part> {
    let part = match source {
        Source::Folder(path, classes) => folder::whole(path, classes)?,
        Source::Fer2013(file) => fer2013::whole(file)?,
        Source::Labelled(path) => labelled::whole(path)?,
        Source::FerPlus(path) => {
            let mut whole = ferplus::part(path, Split::Train)?;
            for split in [Split::Valid, Split::Test] {
                if !ferplus::is_made(path, split) {
                    tracing::warn!("{}: the {split} part has no pictures and is left out", path.display());
                    continue;
                }
                let part = ferplus::part(path, split)?;
                whole.samples.extend(part.samples);
                whole.skipped.extend(part.skipped);
            }
            whole.name = "FER+ all".into();
            whole
        }
        Source::Rendered(_) => {
            let DataSet { name, source, train, calibration, test, skipped } = load(source, request)?;
            let samples = [train, calibration, test].concat();
            Part { name: format!("{name} all"), source, samples, skipped, copies: Vec::new() }
        }
        _ => {
            let Collection { name, source, samples, skipped, .. } = collect(source, Protocol::of(source), request)?;
            Part { name: format!("{name} all"), source, samples, skipped, copies: Vec::new() }
        }
    };
    part.checked()
}

#[cfg(test)]
mod tests {
    use super::super::layout::Layout;
    use super::super::layout::tests::{REQUEST, assert_refused, drawn};
    use super::*;

    #[test]
    fn every_part_of_a_set_is_in_the_whole() {
        let folder = drawn(Layout::Fer2013, 2, 48);
        let file = folder.path().join("fer2013.csv");
        let part = |split| fer2013::part(&file, split).unwrap().unwrap().samples.len();
        let parts = [Split::Train, Split::Valid, Split::Test].map(part);
        assert!(parts.iter().all(|count| *count > 0), "{parts:?}");
        let all = |source: &Source| whole(source, REQUEST).map(|part| part.samples.len());
        assert_eq!(all(&Source::Fer2013(file)).unwrap(), parts.iter().sum::<usize>());

        let folder = drawn(Layout::Ferplus, 2, 32);
        let source = Source::FerPlus(folder.path().into());
        let part = |split| ferplus::part(folder.path(), split).unwrap().samples.len();
        assert_eq!(all(&source).unwrap(), part(Split::Train) + part(Split::Valid));
        // Pictures without rows are an error of that part, and not passed over.
        let test = folder.path().join("data/FER2013Test");
        std::fs::create_dir(&test).unwrap();
        image::GrayImage::new(48, 48).save(test.join("fer0.png")).unwrap();
        assert_refused(all(&source), &["no usable PrivateTest rows"]);
    }
}
