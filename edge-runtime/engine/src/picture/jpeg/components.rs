//! How the components of a JPEG picture are sampled and spread over its scans.

use super::{CONVERT, Part, SOF2, SOS, Walker};

/// The marker of the frame header of a baseline picture; those of the other kinds that are decoded follow it.
const SOF0: u8 = 0xC0;

/// Refuses pictures whose components lie in a way that `zune-jpeg` (0.5.15) mixes up without an error, or that make it panic.
/// `luma_alone` says that only luma is decoded.
///
/// # Errors
/// Says what kind of picture it is, and what to do.
pub fn check_components(jpeg: &[u8], luma_alone: bool) -> Result<(), String> {
    let (mut walker, mut is_progressive) = (Walker::new(), false);
    let mut frame: &[u8] = &[];
    let scan = loop {
        match walker.next(jpeg) {
            Part::Segment { code: code @ SOF0..=SOF2, start, end } => {
                (frame, is_progressive) = (&jpeg[start + 4..end], code == SOF2);
            }
            Part::Segment { code: SOS, start, end } => break &jpeg[start + 4..end],
            Part::Segment { .. } => {}
            _ => return Ok(()),
        }
    };
    // Each component has a name, its sampling factors, and the number of its quantization table (ITU-T T.81, B.2.2).
    let components = frame.get(6..).unwrap_or_default().chunks_exact(3);
    let factors = components.clone().map(|component| [component[1] >> 4, component[1] & 0x0F]);
    let (Some(name), Some(first)) = (components.clone().next().map(|component| component[0]), factors.clone().next())
    else {
        return Ok(());
    };
    let most = factors.clone().fold([1u8, 1], |[h, v], [other_h, other_v]| [h.max(other_h), v.max(other_v)]);
    let is_split = !is_progressive && scan.first().is_some_and(|count| usize::from(*count) < components.len());
    let is_split_simply =
        scan.starts_with(&[1, name]) && most[1] == 1 && factors.skip(1).all(|factors| factors == [1, 1]);
    let what = match components.len() {
        1 => return Ok(()),
        _ if first != most => "a JPEG picture with less luma than chroma",
        _ if is_split && !is_split_simply => "a JPEG picture with a scan for each colour",
        _ if luma_alone && is_progressive && most == [1, 2] => {
            "a progressive JPEG picture with half the rows of chroma"
        }
        _ => return Ok(()),
    };
    Err(format!("it is {what}, which is not read; {CONVERT}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The head of a picture: its frame header's marker, the sampling factors of its components, and how many of them the first
    /// scan has.
    fn head(code: u8, factors: &[u8], scanned: u8) -> Vec<u8> {
        let mut frame = vec![8, 0, 16, 0, 16, factors.len() as u8];
        frame.extend((1..).zip(factors).flat_map(|(name, factors)| [name, *factors, 0]));
        let mut scan = vec![scanned];
        scan.extend((1..=scanned).flat_map(|name| [name, 0]).chain([0, 63, 0]));
        let segment = |code: u8, content: &[u8]| [&[0xFF, code, 0, content.len() as u8 + 2], content].concat();
        [&[0xFF, 0xD8], &segment(code, &frame)[..], &segment(SOS, &scan), &[0xFF, 0xD9]].concat()
    }

    #[test]
    fn only_what_the_decoder_mixes_up_is_refused() {
        for (code, factors, scanned, part) in [
            (SOF0, &[0x11, 0x11, 0x11][..], 3, None),
            (SOF0, &[0x22, 0x11, 0x11], 3, None),
            (SOF0, &[0x12, 0x11, 0x11], 3, None),
            (SOF0, &[0x22, 0x12, 0x21], 3, None),
            (SOF0, &[0x22], 1, None),
            (SOF0, &[0x22, 0x11, 0x11, 0x22], 4, None),
            (SOF0, &[0x11, 0x11, 0x11], 1, None),
            (SOF0, &[0x21, 0x11, 0x11], 1, None),
            (SOF2, &[0x22, 0x11, 0x11], 1, None),
            (SOF0, &[0x22, 0x11, 0x11], 1, Some("a scan for each colour")),
            (0xC1, &[0x12, 0x11, 0x11], 1, Some("a scan for each colour")),
            (SOF0, &[0x21, 0x11, 0x11], 2, Some("a scan for each colour")),
            (SOF0, &[0x21, 0x21, 0x21], 1, Some("a scan for each colour")),
            (SOF0, &[0x11, 0x21, 0x21], 3, Some("less luma than chroma")),
            (SOF2, &[0x11, 0x22, 0x22], 3, Some("less luma than chroma")),
        ] {
            let checked = check_components(&head(code, factors, scanned), false);
            let is_right = match part {
                None => checked.is_ok(),
                Some(part) => checked.as_ref().is_err_and(|error| error.contains(part) && error.contains("convert it")),
            };
            assert!(is_right, "{code:x} {factors:x?} {scanned}: {checked:?}");
        }
        let rotated = head(SOF2, &[0x12, 0x11, 0x11], 3);
        assert_eq!(check_components(&rotated, false), Ok(()));
        assert!(check_components(&rotated, true).is_err_and(|error| error.contains("half the rows of chroma")));
        // What has no scan, or no frame header, is for the decoder.
        for cut in 2..rotated.len() - 2 {
            assert_eq!(check_components(&rotated[..cut], true), Ok(()), "{cut}");
        }
        assert_eq!(check_components(b"\xFF\xD8\xFF\xDA\0\x02\xFF\xD9", true), Ok(()));
    }
}
