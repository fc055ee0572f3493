use std::io::Cursor;

use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::PngEncoder;
use image::codecs::webp::WebPEncoder;
use image::{ExtendedColorType, GrayImage, ImageEncoder, Luma, Rgb, RgbImage};

use super::*;

const SIZE: [u32; 2] = [40, 24];

fn scene() -> RgbImage {
    RgbImage::from_fn(SIZE[0], SIZE[1], |x, y| Rgb([(x * 6) as u8, (y * 10) as u8, 90]))
}

/// EXIF data that holds the orientation alone.
fn exif(tag: u8, little: bool) -> Vec<u8> {
    match little {
        true => [b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0".as_slice(), &[tag, 0, 0, 0, 0, 0, 0, 0]].concat(),
        false => [b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01".as_slice(), &[0, tag, 0, 0, 0, 0, 0, 0]].concat(),
    }
}

/// The scene in a format, with an orientation.
fn file(format: ImageFormat, tag: Option<u8>) -> Vec<u8> {
    let (scene, mut bytes) = (scene(), Vec::new());
    let exif = tag.map(|tag| exif(tag, tag % 2 == 0));
    let write = |mut encoder: Box<dyn Encode>| encoder.encode(exif.clone(), scene.as_raw());
    match format {
        ImageFormat::Jpeg => write(Box::new(Some(JpegEncoder::new_with_quality(&mut bytes, 95)))),
        ImageFormat::Png => write(Box::new(Some(PngEncoder::new(&mut bytes)))),
        ImageFormat::WebP => write(Box::new(Some(WebPEncoder::new_lossless(&mut bytes)))),
        other => scene.write_to(&mut Cursor::new(&mut bytes), other).unwrap(),
    }
    bytes
}

/// Encoders consume themselves.
trait Encode {
    fn encode(&mut self, exif: Option<Vec<u8>>, pixels: &[u8]);
}

impl<E: ImageEncoder> Encode for Option<E> {
    fn encode(&mut self, exif: Option<Vec<u8>>, pixels: &[u8]) {
        let mut encoder = self.take().unwrap();
        if let Some(exif) = exif {
            encoder.set_exif_metadata(exif).unwrap();
        }
        encoder.write_image(pixels, SIZE[0], SIZE[1], ExtendedColorType::Rgb8).unwrap();
    }
}

fn read(bytes: &[u8]) -> Result<Picture, String> {
    Picture::read(Cursor::new(bytes), Path::new("x")).map_err(|error| error.to_string())
}

/// Where a pixel of the picture as it is to be shown lies in the file: TIFF 6.0, page 36.
fn stored(tag: u8, [x, y]: [usize; 2], [width, height]: [usize; 2]) -> [usize; 2] {
    let (right, bottom) = (width - 1, height - 1);
    match tag {
        2 => [right - x, y],
        3 => [right - x, bottom - y],
        4 => [x, bottom - y],
        5 => [y, x],
        6 => [y, bottom - x],
        7 => [right - y, bottom - x],
        8 => [right - y, x],
        _ => [x, y],
    }
}

#[test]
fn every_orientation_of_every_format_with_exif_is_applied() {
    for format in [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::WebP] {
        let plain = read(&file(format, None)).unwrap();
        assert_eq!([plain.width as u32, plain.height as u32], SIZE);
        for tag in 0..=9 {
            let turned = read(&file(format, Some(tag))).unwrap();
            let swapped = (5..=8).contains(&tag);
            let wanted = if swapped { [plain.height, plain.width] } else { [plain.width, plain.height] };
            assert_eq!([turned.width, turned.height], wanted, "{format:?} {tag}");
            let (from, to) = (plain.view().unwrap(), turned.view().unwrap());
            for (x, y) in (0..turned.height).flat_map(|y| (0..turned.width).map(move |x| (x, y))) {
                let [sx, sy] = stored(tag, [x, y], [plain.width, plain.height]);
                assert_eq!(to.at(x, y, 0), from.at(sx, sy, 0), "{format:?} {tag} at {x}, {y}");
                assert_eq!(to.at(x, y, 1), from.at(sx, sy, 1), "{format:?} {tag} at {x}, {y}");
            }
        }
    }
}

#[test]
fn an_orientation_of_another_type_than_the_standard_has_counts() {
    for (kind, little, big) in
        [(1u8, [6, 0, 0, 0], [6, 0, 0, 0]), (4, [6, 0, 0, 0], [0, 0, 0, 6]), (9, [6, 0, 0, 0], [0, 0, 0, 6])]
    {
        let data = [b"II*\0\x08\0\0\0\x01\0\x12\x01".as_slice(), &[kind, 0, 1, 0, 0, 0], &little].concat();
        assert_eq!(exif::orientation(&data), Some(Orientation::Rotate90), "{kind}");
        let data = [b"MM\0*\0\0\0\x08\0\x01\x01\x12".as_slice(), &[0, kind, 0, 0, 0, 1], &big].concat();
        assert_eq!(exif::orientation(&data), Some(Orientation::Rotate90), "{kind}");
        for cut in 0..data.len() {
            exif::orientation(&data[..cut]);
        }
    }
    // Text, two values, and a place beyond the end.
    for entry in [[2u8, 0, 1, 0, 0, 0, 6, 0, 0, 0], [3, 0, 2, 0, 0, 0, 6, 0, 6, 0], [4, 0, 1, 0, 0, 0, 0, 0, 0, 6]] {
        let data = [b"II*\0\x08\0\0\0\x01\0\x12\x01".as_slice(), &entry].concat();
        assert_eq!(exif::orientation(&data), None);
    }
    assert_eq!(exif::orientation(b"II*\0\xFF\xFF\xFF\xFF"), None);
}

#[test]
fn the_orientation_of_a_tiff_file_is_applied() {
    // Two grey pixels in one strip.
    let tiff = |kind: u16, orientation: u16| {
        let entries: [(u16, u16, u32); 8] = [
            (256, 3, 2),
            (257, 3, 1),
            (258, 3, 8),
            (259, 3, 1),
            (262, 3, 1),
            (273, 4, 8),
            (274, kind, orientation.into()),
            (279, 4, 2),
        ];
        let mut bytes = b"II*\0\x0C\0\0\0\x0A\xF0\0\0".to_vec();
        bytes.extend((entries.len() as u16).to_le_bytes());
        for (tag, kind, value) in entries {
            bytes.extend(tag.to_le_bytes());
            bytes.extend(kind.to_le_bytes());
            bytes.extend(1u32.to_le_bytes());
            bytes.extend(value.to_le_bytes());
        }
        bytes.extend([0; 4]);
        read(&bytes).unwrap()
    };
    assert_eq!(tiff(3, 1).data, [10, 240]);
    for kind in [1, 3, 4] {
        assert_eq!(tiff(kind, 3).data, [240, 10], "{kind}");
        assert_eq!([tiff(kind, 6).width, tiff(kind, 6).height], [1, 2], "{kind}");
    }
}

#[test]
fn raw_photographs_are_not_taken_for_their_previews() {
    let whole = file(ImageFormat::Tiff, None);
    let start = u32::from_le_bytes([whole[4], whole[5], whole[6], whole[7]]) as usize;
    let count = u16::from_le_bytes([whole[start], whole[start + 1]]);
    let with = |tag: u16, kind: u16, value: u32| {
        // The tags once more at the end, with one more in front.
        let mut bytes = whole.clone();
        bytes[4..8].copy_from_slice(&(whole.len() as u32).to_le_bytes());
        bytes.extend((count + 1).to_le_bytes());
        bytes.extend([tag.to_le_bytes(), kind.to_le_bytes()].concat());
        bytes.extend([1u32.to_le_bytes(), value.to_le_bytes()].concat());
        bytes.extend(&whole[start + 2..start + 2 + 12 * usize::from(count)]);
        bytes.extend([0; 4]);
        read(&bytes)
    };
    for (tag, kind, value) in [(254, 4, 1), (254, 3, 1), (50706, 1, 0x0401)] {
        let error = with(tag, kind, value).unwrap_err();
        assert!(error.contains("a raw photograph") && error.contains("preview"), "{tag} {kind}: {error}");
    }
    // A page of several.
    assert_eq!(with(254, 4, 2).unwrap(), read(&whole).unwrap());
}

#[test]
fn exif_behind_the_pixels_of_a_png_file_or_with_a_prefix_counts() {
    let plain = file(ImageFormat::Png, None);
    let end = plain.len() - 12;
    for data in [exif(6, true), [b"Exif\0\0".as_slice(), &exif(6, false)].concat()] {
        let mut chunk = (data.len() as u32).to_be_bytes().to_vec();
        chunk.extend(b"eXIf");
        chunk.extend(&data);
        chunk.extend([0; 4]); // nobody checks it behind the pixels
        let late = [&plain[..end], &chunk, &plain[end..]].concat();
        assert_eq!(read(&late).unwrap().width, SIZE[1] as usize);
    }
}

#[test]
fn every_format_is_read_by_its_content() {
    for format in [
        ImageFormat::Jpeg,
        ImageFormat::Png,
        ImageFormat::WebP,
        ImageFormat::Tiff,
        ImageFormat::Gif,
        ImageFormat::Bmp,
        ImageFormat::Pnm,
    ] {
        let picture = match format {
            ImageFormat::Gif => {
                let mut bytes = Vec::new();
                let frame = image::Frame::new(image::DynamicImage::from(scene()).into_rgba8());
                let mut encoder = image::codecs::gif::GifEncoder::new(&mut bytes);
                let other =
                    image::Frame::new(image::RgbaImage::from_pixel(SIZE[0], SIZE[1], image::Rgba([0, 0, 0, 255])));
                encoder.encode_frames([frame, other]).unwrap();
                drop(encoder);
                read(&bytes)
            }
            _ => read(&file(format, None)),
        };
        // The path, x, says nothing.
        let picture = picture.unwrap_or_else(|error| panic!("{format:?}: {error}"));
        assert_eq!((picture.width, picture.height, picture.channels), (SIZE[0] as usize, SIZE[1] as usize, 3));
        assert!(picture.view().unwrap().at(39, 12, 0).abs_diff(39 * 6) < 40, "{format:?}");
    }
}

#[test]
fn what_cannot_be_read_is_named_with_what_to_do() {
    for (bytes, parts) in [
        (&b""[..], ["an empty file", "again"]),
        (b"\0\0\0\x18ftypheic\0\0\0\0", ["a HEIC picture", "heif-convert"]),
        (b"\0\0\0\x18ftypavif\0\0\0\0", ["an AVIF picture", "magick"]),
        (b"\0\0\0\x18ftypisom\0\0\0\0", ["a video", "--source"]),
        (b"\0\0\0\x18ftypcrx \0\0\0\0", ["a raw photograph", "darktable-cli"]),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", ["an SVG drawing", "rsvg-convert"]),
        (b"<?xml version='1.0'?>\n<svg/>", ["an SVG drawing", "rsvg-convert"]),
        (b"<!DOCTYPE html><html>", ["a web page", "download"]),
        (b"%PDF-1.7", ["a PDF document", "pdfimages"]),
        (b"version https://git-lfs.github.com/spec/v1", ["a Git LFS pointer", "git lfs pull"]),
        (b"\xFF\x0A\0\0", ["a JPEG XL picture", "magick"]),
        (b"plain text", ["not that of a picture", "PNG"]),
    ] {
        let error = read(bytes).unwrap_err();
        assert!(parts.iter().all(|part| error.contains(part)), "{}: {error}", bytes.escape_ascii());
    }
}

#[test]
fn a_video_of_several_frames_is_no_picture() {
    let folder = tempfile::tempdir().unwrap();
    let frame = file(ImageFormat::Jpeg, None);
    let open = |name: &str, frames: usize| {
        let path = folder.path().join(name);
        std::fs::write(&path, frame.repeat(frames)).unwrap();
        Picture::open(&path).map_err(|error| error.to_string())
    };
    assert!(open("saved.mjpeg", 1).is_ok());
    assert!(open("photograph.jpg", 2).is_ok(), "phones put another picture behind the first");
    for name in ["video.mjpeg", "VIDEO.MJPG"] {
        let told = open(name, 2).unwrap_err();
        assert!(told.contains("it is a video; give it to `edge-runtime run"), "{name}: {told}");
    }
}

#[test]
fn jpeg_that_is_coded_in_another_way_is_named() {
    let whole = file(ImageFormat::Jpeg, None);
    let frame = whole.windows(2).position(|pair| pair == [0xFF, 0xC0]).unwrap();
    for (code, bits, part) in [
        (0xC9, 8, "arithmetic coding"),
        (0xCA, 8, "arithmetic coding"),
        (0xC3, 8, "a lossless JPEG picture"),
        (0xC5, 8, "hierarchical"),
        (0xF7, 8, "JPEG-LS"),
        (0xC1, 12, "12 bits per sample"),
    ] {
        let mut bytes = whole.clone();
        (bytes[frame + 1], bytes[frame + 4]) = (code, bits);
        let error = read(&bytes).unwrap_err();
        assert!(error.contains(part) && error.contains("magick") && !error.contains("cut off"), "{error}");
    }
}

#[test]
fn a_png_file_that_claims_too_much_is_told_its_size() {
    let mut bytes = file(ImageFormat::Png, None);
    bytes[16..24].copy_from_slice(&[0x7F, 0xFF, 0xFF, 0xFF, 0x7F, 0xFF, 0xFF, 0xFF]);
    let error = read(&bytes).unwrap_err();
    assert!(error.contains("2147483647x2147483647 pixels; scale it"), "{error}");
}

#[test]
fn big_tiff_is_read() {
    let mut bytes = b"II+\0\x08\0\0\0".to_vec();
    bytes.extend(18u64.to_le_bytes());
    bytes.extend([10, 240]);
    let entries: [(u16, u16, u64); 7] =
        [(256, 3, 2), (257, 3, 1), (258, 3, 8), (259, 3, 1), (262, 3, 1), (273, 16, 16), (279, 16, 2)];
    bytes.extend((entries.len() as u64).to_le_bytes());
    for (tag, kind, value) in entries {
        bytes.extend(tag.to_le_bytes());
        bytes.extend(kind.to_le_bytes());
        bytes.extend(1u64.to_le_bytes());
        bytes.extend(value.to_le_bytes());
    }
    bytes.extend([0; 8]);
    assert_eq!(read(&bytes).unwrap().data, [10, 240]);
}

#[test]
fn files_that_are_cut_off_are_refused_in_every_format() {
    let jpeg = file(ImageFormat::Jpeg, Some(1));
    // Only its end marker, or nothing but padding, is missing: the picture is whole.
    assert_eq!(read(&jpeg[..jpeg.len() - 2]).unwrap(), read(&jpeg).unwrap());
    for format in
        [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::WebP, ImageFormat::Tiff, ImageFormat::Gif, ImageFormat::Bmp]
    {
        let whole = file(format, None);
        for share in [10, 30, 50, 70, 90] {
            let cut = &whole[..whole.len() * share / 100];
            let error = read(cut).map(|picture| picture.data.len());
            assert!(error.as_ref().is_err_and(|error| error.contains("cut off")), "{format:?} {share} %: {error:?}");
        }
    }
}

#[test]
fn a_jpeg_file_that_was_cut_off_and_then_ended_is_refused() {
    let whole = file(ImageFormat::Jpeg, None);
    let cut = [&whole[..whole.len() - 60], &[0xFF, 0xD9]].concat();
    assert!(read(&cut).unwrap_err().contains("cut off"));
}

/// Finds the segments of a JPEG file up to its pixels: marker and content.
fn segments(jpeg: &[u8]) -> (Vec<Vec<u8>>, Vec<u8>) {
    let (mut walker, mut found) = (jpeg::Walker::new(), Vec::new());
    loop {
        match walker.next(jpeg) {
            jpeg::Part::Segment { start, end, .. } => found.push(jpeg[start..end].to_vec()),
            jpeg::Part::Pixels { start, .. } => return (found, jpeg[start..].to_vec()),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn jpeg_files_as_devices_save_them_are_read() {
    let whole = file(ImageFormat::Jpeg, Some(6));
    let wanted = read(&whole).unwrap();
    let (parts, pixels) = segments(&whole);
    let build = |between: &[u8], keep: fn(u8) -> bool, after: &[u8]| {
        let parts = parts.iter().filter(|part| keep(part[1]));
        let head: Vec<u8> = parts.flat_map(|part| [between, part].concat()).collect();
        read(&[&[0xFF, 0xD8], head.as_slice(), &pixels, after].concat()).unwrap()
    };
    assert_eq!(build(b"", |code| code != 0xC4, b""), wanted, "no Huffman tables");
    let tables: Vec<&Vec<u8>> = parts.iter().filter(|part| part[1] == 0xC4).collect();
    assert!(tables.len() > 1);
    for kept in tables {
        let head: Vec<u8> = parts.iter().filter(|part| part[1] != 0xC4 || *part == kept).flatten().copied().collect();
        let some = [&[0xFF, 0xD8], head.as_slice(), &pixels].concat();
        assert_eq!(read(&some).unwrap(), wanted, "one of its Huffman tables");
    }
    assert_eq!(build(b"\xFF\xFF\xFF", |_| true, b""), wanted, "fill bytes");
    assert_eq!(build(b"\0\0", |_| true, b""), wanted, "zeros between segments");
    assert_eq!(build(b"garbage \xFF\0", |_| true, b""), wanted, "garbage between segments");
    assert_eq!(build(b"\xFF\xEC\0\0", |_| true, b""), wanted, "a segment with a wrong length");
    assert_eq!(build(b"\xFF\xEC\0\x03ABCD", |_| true, b""), wanted, "a segment longer than it says");
    assert_eq!(build(b"", |_| true, b"\r\n--boundary\xFF\xD8\xFF"), wanted, "more behind the end");
    for before in [
        &b"\xFF\xD8"[..],
        b"\xFF\xD8\xFF\xD8",
        b"garbage \xFF\0",
        b"--boundary\r\nContent-Type: image/jpeg\r\n\r\n",
        &[7; 4000],
    ] {
        assert_eq!(read(&[before, &whole].concat()).unwrap(), wanted, "{} before it", before.escape_ascii());
    }
    assert!(read(&[&[7; 5000][..], &whole].concat()).is_err());
}

#[test]
fn a_jpeg_file_without_rows_is_damaged() {
    let mut bytes = file(ImageFormat::Jpeg, None);
    let frame = bytes.windows(2).position(|pair| pair == [0xFF, 0xC0]).unwrap();
    bytes[frame + 5..frame + 7].fill(0);
    assert!(read(&bytes).unwrap_err().contains("damaged"));
}

#[test]
fn jpeg_pixels_are_those_that_the_image_crate_decodes() {
    for (colour, pixels) in [
        (ExtendedColorType::Rgb8, scene().into_raw()),
        (ExtendedColorType::L8, GrayImage::from_fn(SIZE[0], SIZE[1], |x, y| Luma([(x * y) as u8])).into_raw()),
    ] {
        let mut bytes = Vec::new();
        JpegEncoder::new_with_quality(&mut bytes, 80).write_image(&pixels, SIZE[0], SIZE[1], colour).unwrap();
        assert_eq!(read(&bytes).unwrap().data, image::load_from_memory(&bytes).unwrap().into_bytes());
    }
}

#[test]
fn pictures_are_known_by_content_or_by_name() {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes, wanted) in [
        ("a.JPG", &b"damaged"[..], true),
        ("b.heic", b"?", true),
        ("c", &file(ImageFormat::WebP, None), true),
        ("d.dat", &file(ImageFormat::Jpeg, None), true),
        ("notes.txt", b"BMW", false),
        ("P1 list", b"P1 is one", false),
        ("empty", b"", false),
    ] {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        assert_eq!(looks_like_picture(&path), wanted, "{name}");
    }
    assert!(!looks_like_picture(folder.path()));
}

#[test]
fn a_file_without_end_and_without_markers_is_refused() {
    let endless = io::Read::chain(&b"\xff\xd8"[..], io::repeat(0));
    assert!(jpeg::read(endless).unwrap_err().contains("more than 64 MiB"));
}
