//! The smallest inputs that are right.

use std::collections::HashMap;
use std::fs;
use std::io::{self, Cursor};
use std::path::Path;

use crate::{BETWEEN, graphs, http, journal};
use edge_runtime::journal::Config;
use expression_engine::selftest;
use image::codecs::{jpeg::JpegEncoder, png::PngEncoder, webp::WebPEncoder};
use image::{ExtendedColorType, GrayImage, ImageEncoder, ImageFormat, Luma};
use safetensors::tensor::{Dtype, TensorView};
use serde_json::json;

/// Writes a folder of seeds for each target.
///
/// # Errors
/// Of the file system.
pub fn write_to(seeds: &Path) -> io::Result<()> {
    let write = |target: &str, name: &str, bytes: &[u8]| {
        fs::create_dir_all(seeds.join(target))?;
        fs::write(seeds.join(target).join(name), bytes)
    };
    write("onnx", "int8", &graphs::bytes(&graphs::int8()))?;
    write("onnx", "float", &graphs::bytes(&graphs::float()))?;
    write("detector", "detector", &graphs::bytes(&graphs::detector()))?;
    let manifest = toml::to_string(&graphs::manifest()).map_err(io::Error::other)?;
    let (faces, scores) = ([vec![77; graphs::SIDE * graphs::SIDE]], [vec![3, 4]]);
    let vectors = selftest::file(&graphs::manifest(), &faces, &scores).map_err(io::Error::other)?;
    write("bundle", "bundle", &[manifest.as_bytes(), BETWEEN, &vectors].concat())?;
    write("y4m", "mono", b"\x03YUV4MPEG2 W4 H2 F25:1 Ip A1:1 Cmono\nFRAME\n01234567FRAME Ip\n89abcdef")?;
    write("y4m", "colour", b"\xffYUV4MPEG2 W2 H2\nFRAME\nabcduvFRAME\nefghuv")?;
    write("raw", "yuyv", &[&[3, 2, 2, 6][..], b"0123456789abcdef"].concat())?;
    let jpeg = picture(ImageFormat::Jpeg)?;
    write("mjpeg", "two", &[&[99][..], &jpeg, b"between", &jpeg].concat())?;
    write("mjpeg", "without_tables", &[&[99][..], &without_tables(&jpeg)].concat())?;
    for format in [
        ImageFormat::Jpeg,
        ImageFormat::Png,
        ImageFormat::Bmp,
        ImageFormat::Pnm,
        ImageFormat::Tiff,
        ImageFormat::Gif,
        ImageFormat::WebP,
    ] {
        write("picture", format.extensions_str()[0], &picture(format)?)?;
    }
    for (name, bytes) in turned()? {
        write("picture", name, &bytes)?;
    }
    for name in ["generic-x86-64", "raspberry-pi-4b"] {
        let board = Path::new(env!("CARGO_MANIFEST_DIR")).join("../boards").join(name).with_extension("toml");
        write("board", name, &fs::read(board)?)?;
    }
    write("board", "journal", toml::to_string(&Config::default()).map_err(io::Error::other)?.as_bytes())?;
    for (name, text) in [
        ("camera", "\0v4l2:/dev/video0?size=640x480&format=YUYV&fps=30"),
        ("command", "\0command:\"rpicam-vid --codec 'yuv420' -o -\""),
        ("broker", "\u{1}mqtts://user@host:8883/prefix"),
        ("broker_address", "\u{1}mqtt://[::1]"),
        ("time", "\u{2}2026-11-25T10:00:00.25+01:00"),
        ("ago", "\u{2}1d 12h ago"),
        ("token", "\u{3}0123456789abcdef-._~"),
    ] {
        write("flag", name, text.as_bytes())?;
    }
    let token = http::TOKEN;
    for (name, how, requests) in [
        (
            "page",
            255,
            "GET / HTTP/1.1\r\nHost: localhost\r\n\r\nGET /metrics HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n".into(),
        ),
        (
            "state",
            9,
            "GET /api/state HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\nHEAD /events HTTP/1.1\r\nHost: localhost\r\n\r\n".into(),
        ),
        ("picture", 255, "GET /frame.jpg?after=6 HTTP/1.0\r\nHost: localhost\r\n\r\n".into()),
        (
            "body",
            255,
            "POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n".into(),
        ),
        ("query", 254, format!("GET /?token={token} HTTP/1.1\r\n\r\n")),
        ("bearer", 254, format!("GET /events HTTP/1.1\r\nAuthorization: Bearer {token}\r\n\r\n")),
        ("cookie", 254, "GET /stream.mjpg HTTP/1.1\r\nCookie: a=b; edge-runtime-8080=0\r\n\r\n".into()),
    ] as [(&str, u8, String); 7]
    {
        write("http", name, &[&[how], requests.as_bytes()].concat())?;
    }
    write("mqtt", "session", MQTT)?;
    write("mat", "two_faces", &two_faces())?;
    write("fer2013", "table", b"emotion,pixels,Usage\n3,1 2 3 4,Training\n0,0 0 0 255,PublicTest\n")?;
    let columns = host_trainer::dataset::votes::COLUMNS.join(",");
    let votes = format!("{columns}\nPublicTest,fer0.png,6,0,2,1,0,0,0,0,1,0\nTraining,,0,0,0,0,0,0,0,0,0,9\n");
    write("ferplus", "votes", votes.as_bytes())?;
    write("checkpoint", "tensor", &checkpoint()?)?;
    let model = json!({
        "modelTopology": {"node": [{"name": "y", "op": "Conv2D", "input": ["x:0", "w", "^x"], "attr": {
            "padding": {"s": "U0FNRQ=="}, "strides": {"list": {"i": ["1", 2]}},
            "fused_ops": {"list": {"s": ["UmVsdQ=="]}}, "epsilon": {"f": 0.5}}}]},
        "weightsManifest": [{"paths": ["m.bin"], "weights": [
            {"name": "w", "shape": [2], "dtype": "float32", "quantization": {"dtype": "uint8", "scale": 0.5, "min": -1}}]}],
    });
    write("tfjs", "model", &[model.to_string().as_bytes(), BETWEEN, &[3, 4]].concat())?;
    let preset = Path::new(env!("CARGO_MANIFEST_DIR")).join("../host-trainer/presets/smoke.toml");
    write("preset", "smoke", &fs::read(preset)?)?;
    write("classes", "pairs", b"happy=happiness,angry=anger,0 = neutral\n")?;
    // The last byte says how it is read.
    write("journal", "journal", &[&journal::whole()?[..], &[0]].concat())
}

/// What a broker may send: an acknowledged connection and subscription, a message, acknowledgements, an answer to a ping.
const MQTT: &[u8] = b"\x20\x02\0\0\x90\x03\0\x01\x01\x32\x0b\0\x05topic\0\x07ab\x40\x02\0\x07\xb0\x02\0\x01\xd0\0";

/// EXIF data that holds nothing but an orientation: turned by 90 degrees.
const EXIF: &[u8] = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";

/// Pictures with an orientation, in each format that has one of its own.
fn turned() -> io::Result<[(&'static str, Vec<u8>); 3]> {
    fn written(make: impl FnOnce(&mut Vec<u8>) -> image::ImageResult<()>) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        make(&mut bytes).map_err(io::Error::other)?;
        Ok(bytes)
    }
    fn encode(mut encoder: impl ImageEncoder) -> image::ImageResult<()> {
        encoder.set_exif_metadata(EXIF.to_vec()).map_err(image::ImageError::Unsupported)?;
        encoder.write_image(&[7; 3 * 8], 4, 2, ExtendedColorType::Rgb8)
    }
    Ok([
        ("turned.jpg", written(|bytes| encode(JpegEncoder::new(bytes)))?),
        ("turned.png", written(|bytes| encode(PngEncoder::new(bytes)))?),
        ("turned.webp", written(|bytes| encode(WebPEncoder::new_lossless(bytes)))?),
    ])
}

/// A MATLAB file of two faces of 2x2 pixels with the variables of the Toronto Face Database.
fn two_faces() -> Vec<u8> {
    let mut file = [&[b' '; 124][..], &[0, 1, b'I', b'M']].concat();
    let doubles = |values: &[f64]| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>();
    for (name, class, format, shape, data) in [
        ("labs_ex", 6u32, 9u32, &[2u32, 1][..], doubles(&[4.0, -1.0])),
        ("labs_id", 6, 9, &[2, 1], doubles(&[1.0, 2.0])),
        ("folds", 6, 9, &[2, 5], doubles(&[1.0, 2.0, 3.0, 1.0, 2.0, 3.0, 1.0, 2.0, 3.0, 1.0])),
        ("images", 9, 2, &[2, 2, 2], vec![9, 8, 7, 6, 5, 4, 3, 2]),
    ] {
        let shape = shape.iter().flat_map(|side| side.to_le_bytes()).collect();
        let flags = [class.to_le_bytes(), [0; 4]].concat();
        let mut body = Vec::new();
        for (kind, part) in [(6u32, flags), (5, shape), (1, name.as_bytes().to_vec()), (format, data)] {
            body.extend([kind.to_le_bytes(), (part.len() as u32).to_le_bytes()].as_flattened());
            body.extend(part);
            body.resize(body.len().next_multiple_of(8), 0);
        }
        file.extend([14u32.to_le_bytes(), (body.len() as u32).to_le_bytes()].as_flattened());
        file.extend(body);
    }
    file
}

/// A checkpoint of one tensor.
fn checkpoint() -> io::Result<Vec<u8>> {
    let numbers = [0; 8];
    let tensor = TensorView::new(Dtype::F32, vec![2], &numbers).map_err(io::Error::other)?;
    let about = HashMap::from([("owner".to_owned(), "owner".to_owned()), ("curve".to_owned(), "[]".to_owned())]);
    safetensors::serialize([("weight/a", tensor)], Some(about)).map_err(io::Error::other)
}

/// A grey picture of 9x9 pixels.
pub fn picture(format: ImageFormat) -> io::Result<Vec<u8>> {
    let grey = GrayImage::from_fn(9, 9, |x, y| Luma([(x * 20 + y * 5) as u8]));
    let mut bytes = Cursor::new(Vec::new());
    let picture = image::DynamicImage::from(grey);
    let picture =
        if format == ImageFormat::WebP || format == ImageFormat::Gif { picture.into_rgb8().into() } else { picture };
    picture.write_to(&mut bytes, format).map_err(io::Error::other)?;
    Ok(bytes.into_inner())
}

/// A JPEG picture without its Huffman tables, as cameras send them.
fn without_tables(jpeg: &[u8]) -> Vec<u8> {
    let (mut kept, mut rest) = (jpeg[..2].to_vec(), &jpeg[2..]);
    while let [0xFF, code, high, low, ..] = *rest
        && code != 0xDA
    {
        let (segment, after) = rest.split_at(2 + usize::from(u16::from_be_bytes([high, low])));
        kept.extend_from_slice(if code == 0xC4 { &[] } else { segment });
        rest = after;
    }
    kept.extend_from_slice(rest);
    kept
}
