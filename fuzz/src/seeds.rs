//! The smallest inputs that are right.

use std::fs;
use std::io::{self, Cursor};
use std::path::Path;

use crate::{BETWEEN, graphs, http, journal};
use edge_runtime::journal::Config;
use expression_engine::selftest;
use image::{GrayImage, ImageFormat, Luma};

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
    for format in [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::Bmp, ImageFormat::Pnm] {
        write("picture", format.extensions_str()[0], &picture(format)?)?;
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
    // The last byte says how it is read.
    write("journal", "journal", &[&journal::whole()?[..], &[0]].concat())
}

/// A grey picture of 9x9 pixels.
fn picture(format: ImageFormat) -> io::Result<Vec<u8>> {
    let grey = GrayImage::from_fn(9, 9, |x, y| Luma([(x * 20 + y * 5) as u8]));
    let mut bytes = Cursor::new(Vec::new());
    grey.write_to(&mut bytes, format).map_err(io::Error::other)?;
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
