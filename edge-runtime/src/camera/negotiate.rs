//! Which format and size a camera is asked for: a pure function over what it offers.

use super::Format;

/// The size that is asked for if none is named, in pixels.
const USUAL_SIZE: [u32; 2] = [640, 480];

/// What a camera is asked for; what is left open is chosen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Wish {
    /// Width and height in pixels; 640x480 if it is left open.
    pub size: Option<[u32; 2]>,
    /// The format.
    pub format: Option<Format>,
    /// Frames a second.
    pub rate: Option<u32>,
}

/// A format that a camera offers.
#[derive(Debug, Clone, PartialEq)]
pub struct FormatInfo {
    /// V4L2's code.
    pub fourcc: [u8; 4],
    /// What the driver calls it.
    pub description: String,
    /// The sizes that it comes in.
    pub sizes: Sizes,
}

/// Sizes that a camera offers a format in, in pixels.
#[derive(Debug, Clone, PartialEq)]
pub enum Sizes {
    /// These.
    Listed(Vec<Size>),
    /// All from the least to the most, in steps: width and height.
    Stepped {
        /// The smallest.
        least: [u32; 2],
        /// The largest.
        most: [u32; 2],
        /// Pixels from one to the next.
        step: [u32; 2],
    },
    /// The driver does not say.
    Unknown,
}

/// A size of a format.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Size {
    /// Width and height in pixels.
    pub size: [u32; 2],
    /// The most frames a second, where the driver says.
    pub rate: Option<f32>,
}

/// What to ask the camera for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Choice {
    /// The format.
    pub format: Format,
    /// V4L2's code: some formats have several.
    pub fourcc: [u8; 4],
    /// Width and height in pixels.
    pub size: [u32; 2],
}

impl FormatInfo {
    /// The format, where this program can read it.
    pub fn format(&self) -> Option<Format> {
        Format::from_fourcc(self.fourcc)
    }

    /// V4L2's code as text.
    pub fn code(&self) -> String {
        self.fourcc.escape_ascii().to_string()
    }
}

/// The ways to meet a wish, the best first: the size that comes nearest, smaller ones counting double; then what is fast
/// enough; then the format that needs the least work.
///
/// A wished format is never replaced by another one, so the list may be empty.
pub fn ranked(offers: &[FormatInfo], wish: &Wish) -> Vec<Choice> {
    let wanted = wish.size.unwrap_or(USUAL_SIZE);
    let mut candidates = Vec::new();
    for offer in offers {
        let Some(format) = offer.format().filter(|format| wish.format.is_none_or(|wished| wished == *format)) else {
            continue;
        };
        for size in offer.sizes.near(wanted) {
            let [width, height] = size.size.map(|side| side as usize);
            if expression_engine::picture::is_size_supported(width, height) {
                candidates.push((Choice { format, fourcc: offer.fourcc, size: size.size }, size.rate));
            }
        }
    }
    let too_slow = |rate: Option<f32>| match (wish.rate, rate) {
        // 29.97 is taken for 30.
        (Some(wished), Some(rate)) => rate < wished as f32 * 0.99,
        _ => false,
    };
    // MJPG is for video; JPEG may be the slower one for single pictures.
    let is_alias = |choice: &Choice| choice.format.fourcc() != Some(choice.fourcc);
    let rank = |format: Format| Format::ALL.iter().position(|other| *other == format);
    candidates.sort_by(|(a, a_rate), (b, b_rate)| {
        (distance(a.size, wanted).total_cmp(&distance(b.size, wanted)))
            .then(too_slow(*a_rate).cmp(&too_slow(*b_rate)))
            .then(rank(a.format).cmp(&rank(b.format)))
            .then(is_alias(a).cmp(&is_alias(b)))
    });
    candidates.into_iter().map(|(choice, _)| choice).collect()
}

impl Sizes {
    /// The sizes worth asking for where `wanted` is wanted.
    fn near(&self, wanted: [u32; 2]) -> Vec<Size> {
        match self {
            Sizes::Listed(sizes) => sizes.clone(),
            Sizes::Stepped { least, most, step } => {
                let side = |axis: usize| {
                    let (least, step) = (least[axis], step[axis].max(1));
                    // A driver may turn the two around.
                    let side = wanted[axis].min(most[axis]).max(least);
                    least + (side - least) / step * step
                };
                vec![Size { size: [side(0), side(1)], rate: None }]
            }
            Sizes::Unknown => vec![Size { size: wanted, rate: None }],
        }
    }
}

/// How far a size is from the wanted one: doublings of its sides, the smaller side counting double.
fn distance(size: [u32; 2], wanted: [u32; 2]) -> f64 {
    let axis = |axis: usize| {
        let doublings = (f64::from(size[axis].max(1)) / f64::from(wanted[axis].max(1))).log2();
        if doublings < 0.0 { -2.0 * doublings } else { doublings }
    };
    axis(0) + axis(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(fourcc: &[u8; 4], sizes: &[(u32, u32, f32)]) -> FormatInfo {
        let size = |&(width, height, rate): &(u32, u32, f32)| Size { size: [width, height], rate: Some(rate) };
        let sizes = Sizes::Listed(sizes.iter().map(size).collect());
        FormatInfo { fourcc: *fourcc, description: String::new(), sizes }
    }

    fn webcam() -> [FormatInfo; 3] {
        [
            listed(b"MJPG", &[(640, 480, 30.0), (1280, 720, 30.0), (1920, 1080, 30.0)]),
            listed(b"YUYV", &[(320, 240, 30.0), (640, 480, 30.0), (1280, 720, 10.0)]),
            listed(b"H264", &[(640, 480, 30.0)]),
        ]
    }

    fn first(offers: &[FormatInfo], wish: Wish) -> (Format, [u32; 2]) {
        let choice = ranked(offers, &wish)[0];
        (choice.format, choice.size)
    }

    #[test]
    fn uncompressed_luma_of_the_wanted_size_comes_first() {
        assert_eq!(first(&webcam(), Wish::default()), (Format::Yuyv, [640, 480]));
        let offers = [webcam().as_slice(), &[listed(b"GREY", &[(640, 480, 30.0)])]].concat();
        assert_eq!(first(&offers, Wish::default()), (Format::Grey, [640, 480]));
        let hd = Wish { size: Some([1280, 720]), ..Wish::default() };
        assert_eq!(first(&webcam(), hd), (Format::Yuyv, [1280, 720]));
    }

    #[test]
    fn a_wanted_rate_outweighs_the_work_of_decoding() {
        let hd = Wish { size: Some([1280, 720]), rate: Some(30), ..Wish::default() };
        assert_eq!(first(&webcam(), hd), (Format::Mjpeg, [1280, 720]));
        let slow = Wish { rate: Some(10), ..hd };
        assert_eq!(first(&webcam(), slow), (Format::Yuyv, [1280, 720]));
    }

    #[test]
    fn a_size_that_is_not_there_falls_back_to_the_nearest() {
        let size = |width, height| Wish { size: Some([width, height]), ..Wish::default() };
        assert_eq!(first(&webcam(), size(800, 600)).1, [1280, 720]);
        assert_eq!(first(&webcam(), size(420, 315)).1, [640, 480]);
        assert_eq!(first(&webcam(), size(330, 250)).1, [320, 240]);
        assert_eq!(first(&webcam(), size(3840, 2160)).1, [1920, 1080]);
    }

    #[test]
    fn a_wished_format_is_kept() {
        let wish = Wish { format: Some(Format::Mjpeg), ..Wish::default() };
        assert_eq!(first(&webcam(), wish), (Format::Mjpeg, [640, 480]));
        assert_eq!(ranked(&webcam(), &Wish { format: Some(Format::Nv12), ..wish }), []);
        assert_eq!(ranked(&[listed(b"BA81", &[(640, 480, 30.0)])], &Wish::default()), []);
    }

    #[test]
    fn codes_of_the_same_layout_of_luma_are_asked_for_as_they_are_offered() {
        for (code, format) in [
            (b"JPEG", Format::Mjpeg),
            (b"NV21", Format::Nv12),
            (b"YV12", Format::I420),
            (b"YVYU", Format::Yuyv),
            (b"VYUY", Format::Uyvy),
        ] {
            let offer = listed(code, &[(640, 480, 30.0)]);
            let wanted = Choice { format, fourcc: *code, size: [640, 480] };
            assert_eq!(ranked(std::slice::from_ref(&offer), &Wish::default()), [wanted]);
            // The usual code comes first.
            let usual = format.fourcc().unwrap();
            let offers = [offer, listed(&usual, &[(640, 480, 30.0)])];
            assert_eq!(ranked(&offers, &Wish::default())[0].fourcc, usual);
        }
    }

    #[test]
    fn stepped_and_unknown_sizes_are_asked_for_as_near_as_they_come() {
        let offer = |sizes| [FormatInfo { fourcc: *b"NV12", description: String::new(), sizes }];
        let stepped = |least, most, step| offer(Sizes::Stepped { least, most, step });
        let wish = Wish { size: Some([650, 490]), ..Wish::default() };
        assert_eq!(first(&stepped([32, 32], [4096, 4096], [16, 2]), wish).1, [640, 490]);
        assert_eq!(first(&stepped([16, 16], [320, 240], [0, 0]), wish).1, [320, 240]);
        assert_eq!(first(&stepped([800, 600], [1, 1], [1, 1]), wish).1, [800, 600]);
        assert_eq!(first(&offer(Sizes::Unknown), wish).1, [650, 490]);
        assert_eq!(ranked(&stepped([u32::MAX; 2], [u32::MAX; 2], [1, 1]), &wish), []);
    }
}
