//! What a file is, by its first bytes: names of files are often wrong.

use image::ImageFormat;

/// Bytes that tell the kind of a file.
pub const HEAD: usize = 512;

/// The kind of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A JPEG picture.
    Jpeg,
    /// A picture in another format that is read.
    Readable(ImageFormat),
    /// Something else that is known: what it is, and what to do.
    Other(&'static str, &'static str),
    /// Nothing that is known.
    Unknown,
}

/// What to do about a picture in another format.
pub const CONVERT: &str = "convert it to JPEG or PNG, for example with `magick FILE out.png`";
/// What to do about a photograph as the sensor of a camera gave it.
pub const DEVELOP: &str =
    "develop it to JPEG, for example with `darktable-cli FILE out.jpg`, or take the JPEG that lies beside it";
const DOWNLOAD: &str = "download the picture itself";

impl Kind {
    /// Returns the kind of a file that begins with `head`.
    pub fn from_head(head: &[u8]) -> Kind {
        let brand = (head.get(4..8) == Some(b"ftyp")).then(|| head.get(8..12)).flatten();
        if let Some(brand) = brand {
            return match brand {
                b"avif" | b"avis" => Kind::Other("an AVIF picture", CONVERT),
                b"heic" | b"heix" | b"heim" | b"heis" | b"hevc" | b"hevx" | b"mif1" | b"msf1" => Kind::Other(
                    "a HEIC picture",
                    "convert it to JPEG, for example with `heif-convert FILE out.jpg`, or set the phone to \"most compatible\"",
                ),
                b"crx " => Kind::Other("a raw photograph", DEVELOP),
                _ => Kind::Other("a video", "give it to `edge-runtime run --source FILE`"),
            };
        }
        let begins = |magic: &[u8]| head.starts_with(magic);
        match head {
            [] => Kind::Other("an empty file", "copy or download it again"),
            [0xFF, 0xD8, ..] => Kind::Jpeg,
            [b'P', b'1'..=b'7', space, ..] if space.is_ascii_whitespace() || *space == b'#' => {
                Kind::Readable(ImageFormat::Pnm)
            }
            _ if begins(b"\x89PNG\r\n\x1A\n") => Kind::Readable(ImageFormat::Png),
            _ if begins(b"GIF87a") || begins(b"GIF89a") => Kind::Readable(ImageFormat::Gif),
            _ if begins(b"RIFF") && head.get(8..12) == Some(b"WEBP") => Kind::Readable(ImageFormat::WebP),
            _ if begins(b"RIFF") => Kind::Other("a video or sound file", "give pictures, or convert it with ffmpeg"),
            _ if begins(b"II*\0") || begins(b"MM\0*") || begins(b"II+\0") || begins(b"MM\0+") => {
                Kind::Readable(ImageFormat::Tiff)
            }
            _ if begins(b"BM") => Kind::Readable(ImageFormat::Bmp),
            _ if begins(b"%PDF") => {
                Kind::Other("a PDF document", "extract its pictures, for example with `pdfimages -png`")
            }
            _ if begins(b"\0\0\0\x0CJXL ") || begins(b"\xFF\x0A") => Kind::Other("a JPEG XL picture", CONVERT),
            _ if begins(b"\0\0\0\x0CjP  ") || begins(b"\xFF\x4F\xFF\x51") => {
                Kind::Other("a JPEG 2000 picture", CONVERT)
            }
            _ if begins(b"8BPS") => Kind::Other("a Photoshop document", CONVERT),
            _ if begins(b"\0\0\x01\0") => Kind::Other("an icon", CONVERT),
            _ if begins(b"\x76\x2F\x31\x01") || begins(b"#?RADIANCE") => {
                Kind::Other("a high dynamic range picture", CONVERT)
            }
            _ if begins(b"qoif") || begins(b"DDS ") || begins(b"farbfeld") => {
                Kind::Other("a picture in a format that is not read", CONVERT)
            }
            _ if begins(b"YUV4MPEG2") => Kind::Other("a video", "give it to `edge-runtime run --source y4m:FILE`"),
            _ if begins(b"PK\x03\x04") => Kind::Other("a ZIP archive", "unpack it"),
            _ if begins(b"version https://git-lfs") => Kind::Other("a Git LFS pointer", "run `git lfs pull`"),
            _ => Kind::of_text(head),
        }
    }

    /// Returns the kind of a file that may be text: a vector drawing, or a web page that was saved in place of a picture.
    fn of_text(head: &[u8]) -> Kind {
        let text = String::from_utf8_lossy(head).to_ascii_lowercase();
        let text = text.trim_start_matches('\u{FEFF}').trim_start();
        match text {
            _ if text.starts_with("<svg") || (text.starts_with("<?xml") && text.contains("<svg")) => {
                Kind::Other("an SVG drawing", "render it to PNG, for example with `rsvg-convert FILE -o out.png`")
            }
            _ if text.starts_with("<!doctype") || text.starts_with("<html") => Kind::Other("a web page", DOWNLOAD),
            _ => Kind::Unknown,
        }
    }

    /// Whether the bytes say beyond doubt that the file is a picture, whatever its name.
    pub fn is_surely_picture(self) -> bool {
        // Two letters begin many a text.
        !matches!(self, Kind::Unknown | Kind::Other(..) | Kind::Readable(ImageFormat::Bmp | ImageFormat::Pnm))
    }
}
