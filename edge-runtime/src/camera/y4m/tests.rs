use proptest::prelude::*;

use super::*;
use crate::camera::reader::{Got, Reader};
use crate::frame::Frame;

fn parse(line: &str) -> Result<Header, String> {
    Header::parse(line.as_bytes())
}

/// Luma of all frames, and what ended the video.
fn frames(mut video: &[u8]) -> (Vec<Vec<u8>>, Result<(), String>) {
    let (mut reader, mut frame, mut lumas) = (Reader::new(Framer::default()), Frame::default(), Vec::new());
    loop {
        match reader.next(&mut video, &mut frame, Duration::from_secs(9)) {
            Ok(Got::Frame) => {
                let view = frame.view().unwrap();
                let places = (0..view.height()).flat_map(|y| (0..view.width()).map(move |x| (x, y)));
                lumas.push(places.map(|(x, y)| view.luma(x, y)).collect());
            }
            Ok(Got::Waiting) => {}
            Ok(Got::End) => return (lumas, Ok(())),
            Err(fault) => return (lumas, Err(fault.to_string())),
        }
    }
}

#[test]
fn every_eight_bit_variant_has_its_size() {
    for (chroma, bytes) in [
        ("", 15 + 12),
        (" Cmono", 15),
        (" C420", 15 + 12),
        (" C420jpeg", 15 + 12),
        (" C420mpeg2", 15 + 12),
        (" C420paldv", 15 + 12),
        (" C411", 15 + 12),
        (" C422", 15 + 18),
        (" C444", 45),
        (" C444alpha", 60),
    ] {
        let header = parse(&format!("YUV4MPEG2 W5 H3 F30000:1001 Ip A1:1{chroma} XCOLORRANGE=FULL")).unwrap();
        assert_eq!(
            header,
            Header { width: 5, height: 3, rate: [30000, 1001], pixel: [1, 1], depth: 8, bytes },
            "{chroma}"
        );
        let luma: Vec<u8> = (1..=15).collect();
        let mut video = format!("YUV4MPEG2 W5 H3 F30000:1001 Ip A1:1{chroma}\n").into_bytes();
        for line in ["FRAME\n", "FRAME Ixyz Xcomment\n", "FRAME\n"] {
            video.extend(line.as_bytes());
            video.extend(&luma);
            video.resize(video.len() + bytes - 15, 200);
        }
        assert_eq!(frames(&video), (vec![luma; 3], Ok(())), "{chroma}");
    }
}

#[test]
fn deep_videos_give_their_highest_eight_bits() {
    for (chroma, depth, samples) in [
        ("420p10", 10, 27),
        ("420p12", 12, 27),
        ("422p10", 10, 33),
        ("444p10", 10, 45),
        ("mono10", 10, 15),
        ("mono12", 12, 15),
        ("420p9", 9, 27),
        ("420p16", 16, 27),
    ] {
        let header = parse(&format!("YUV4MPEG2 W5 H3 C{chroma} XYSCSS=420P10")).unwrap();
        assert_eq!((header.depth, header.bytes), (depth, 2 * samples), "{chroma}");
        let luma: Vec<u8> = (1..=15).map(|value| value * 16).collect();
        let mut video = format!("YUV4MPEG2 W5 H3 C{chroma}\n").into_bytes();
        for line in ["FRAME\n", "FRAME Ip\n"] {
            video.extend(line.as_bytes());
            let start = video.len();
            video.extend(luma.iter().flat_map(|value| ((u16::from(*value) << (depth - 8)) + 1).to_le_bytes()));
            video.resize(start + 2 * samples, 200);
        }
        // The lowest bit that was added is only seen in 8 bits.
        assert_eq!(frames(&video), (vec![luma; 2], Ok(())), "{chroma}");
    }
}

#[test]
fn lines_may_end_as_on_windows() {
    let video = b"YUV4MPEG2 W2 H1 Cmono F25:1\r\nFRAME\r\nabFRAME\ncdFRAME Ip\r\nef";
    assert_eq!(frames(video), (vec![b"ab".to_vec(), b"cd".to_vec(), b"ef".to_vec()], Ok(())));
    // Frames as short as that: the end of a line is not looked for in the pixels.
    assert_eq!(frames(b"YUV4MPEG2 W1 H1 Cmono\r\nFRAME\r\nxFRAME\n\n").0, [b"x", b"\n"]);
    assert!(frames(b"YUV4MPEG2 W1 H1 Cmono\nFRAME\rx\ny").1.unwrap_err().contains("does not begin with FRAME"));
}

#[test]
fn comments_may_hold_anything_and_are_as_long_as_they_like() {
    let long =
        [b"YUV4MPEG2 W2 H1 X\xe9t\xe9\x1b X".as_slice(), &[b'x'; 60_000], b" Cmono XYSCSS=\xff\nFRAME\nab"].concat();
    assert_eq!(frames(&long), (vec![b"ab".to_vec()], Ok(())));
}

#[test]
fn a_comment_tells_the_colour_space_if_nothing_else_does() {
    let bytes = |fields: &str| parse(&format!("YUV4MPEG2 W4 H2 {fields}")).map(|header| header.bytes);
    assert_eq!(bytes("XYSCSS=444"), Ok(24));
    assert_eq!(bytes("XYSCSS=420JPEG"), Ok(12));
    assert_eq!(bytes("XYSCSS=422P10"), Ok(32));
    assert_eq!(bytes("Cmono XYSCSS=444"), Ok(8));
    assert!(bytes("XYSCSS=RGB").unwrap_err().contains("convert"));
}

#[test]
fn frames_have_times() {
    let header = parse("YUV4MPEG2 W5 H3 F30000:1001").unwrap();
    assert_eq!(header.time(0), Duration::ZERO);
    assert_eq!(header.time(30000), Duration::from_secs(1001));
    assert_eq!(parse("YUV4MPEG2 W5 H3").unwrap().time(25), Duration::from_secs(1));
    assert_eq!(parse("YUV4MPEG2 W5 H3 F0:0").unwrap().time(25), Duration::from_secs(1));
    parse("YUV4MPEG2 W5 H3 F1:4294967295").unwrap().time(u64::MAX);
}

#[test]
fn videos_may_follow_one_another() {
    let videos = b"YUV4MPEG2 W2 H1 F10:1 Cmono\nFRAME\nabFRAME\ncdYUV4MPEG2 W1 H1 F1:1 C420\nFRAME\nexxFRAME\nfxx\
                   YUV4MPEG2 W2 H1 Cmono\nYUV4MPEG2 W2 H1 F10:1 Cmono\r\nFRAME\nghFRAME\nij";
    let lumas = [&b"ab"[..], b"cd", b"e", b"f", b"gh", b"ij"].map(<[u8]>::to_vec);
    assert_eq!(frames(videos), (lumas.to_vec(), Ok(())));
    let (mut reader, mut frame, mut bytes) = (Reader::new(Framer::default()), Frame::default(), &videos[..]);
    let times: Vec<_> = (0..6)
        .map(|count| {
            assert_eq!(reader.next(&mut bytes, &mut frame, Duration::from_secs(9)).unwrap(), Got::Frame);
            reader.framing.time(count).unwrap().as_millis()
        })
        .collect();
    assert_eq!(times, [0, 100, 200, 1200, 2200, 2300]);
    for (video, part) in [
        (&b"YUV4MPEG2 W2 H1 Cmono\nFRAME\nabYUV4MPEG2 W2"[..], "ends within a frame"),
        (b"YUV4MPEG2 W2 H1 Cmono\nFRAME\nabYUV4MPEG2 H1\nFRAME\ncd", "no width"),
    ] {
        let (lumas, end) = frames(video);
        assert_eq!(lumas, [b"ab"]);
        assert!(end.as_ref().is_err_and(|reason| reason.contains(part)), "{end:?}");
    }
}

#[test]
fn pixels_that_are_not_square_are_told() {
    let squeezed = |fields: &str| parse(&format!("YUV4MPEG2 W4 H2 {fields}")).unwrap().squeezed();
    for fields in ["", "A1:1", "A0:0", "A100:101", "A", "A4", "A4:x", "A4:0"] {
        assert_eq!(squeezed(fields), None, "{fields}");
    }
    for fields in ["A4:3", "A8:9", "A59:54", "A4294967295:1"] {
        let reason = squeezed(fields).unwrap();
        assert!(reason.contains(fields) && reason.contains("setsar=1"), "{reason}");
    }
}

#[test]
fn bad_headers_are_refused_with_the_reason() {
    for (line, part) in [
        ("", "does not start with YUV4MPEG2"),
        ("YUV4MPEG3 W5 H3", "does not start with YUV4MPEG2"),
        ("YUV4MPEG2W5 H3", "does not start with YUV4MPEG2"),
        ("YUV4MPEG2 H3", "no width"),
        ("YUV4MPEG2 W5", "no height"),
        ("YUV4MPEG2 W-5 H3", "-5"),
        ("YUV4MPEG2 W99999999999999999999 H3", "expected a number of pixels"),
        ("YUV4MPEG2 W0 H3", "0x3"),
        ("YUV4MPEG2 W8192 H8192", "8192x8192"),
        ("YUV4MPEG2 W4294967296 H4294967296", "cannot have"),
        ("YUV4MPEG2 W5 H3 F30", "invalid frame rate 30"),
        ("YUV4MPEG2 W5 H3 C420p11", "8-bit"),
        ("YUV4MPEG2 W5 H3 Cmono17", "8-bit"),
    ] {
        let reason = parse(line).unwrap_err();
        assert!(reason.contains(part), "{line}: {reason}");
    }
    for line in
        [&b"YUV4MPEG2 W\xff H3"[..], b"YUV4MPEG2 W5\x1b[2J H3", b"YUV4MPEG2 W5 H3 F25:1\x07", b"YUV4MPEG2 W5 H3 C\r4"]
    {
        let reason = Header::parse(line).unwrap_err();
        assert!(!reason.contains(char::is_control), "{reason:?}");
    }
}

#[test]
fn damaged_videos_give_the_frames_before_the_damage() {
    let good = b"YUV4MPEG2 W2 H1 Cmono\nFRAME\nabFRAME\ncd";
    assert_eq!(frames(good), (vec![b"ab".to_vec(), b"cd".to_vec()], Ok(())));
    for (video, count, part) in [
        (&good[..good.len() - 1], 1, "ends within a frame"),
        (&good[..good.len() - 4], 1, "ends within a frame"),
        (&good[..10], 0, "ends within a frame"),
        (b"YUV4MPEG2 W2 H1 Cmono\nFRAME\nabFRUME\ncd", 1, "does not begin with FRAME"),
        (b"YUV4MPEG2 W2 H1 Cmono\nFRAMEX\nab", 0, "does not begin with FRAME"),
        (b"RIFF....AVI ", 0, "does not start with YUV4MPEG2, but with \"RIFF...."),
    ] {
        let (lumas, end) = frames(video);
        let reason = end.unwrap_err();
        assert_eq!(lumas.len(), count, "{}: {reason}", video.escape_ascii());
        assert!(reason.contains(part), "{}: {reason}", video.escape_ascii());
    }
    assert_eq!(frames(b""), (vec![], Ok(())));
    let endless = [b"YUV4MPEG2 ".as_slice(), &[b'X'; 3 * MAX_FIRST_LINE]].concat();
    assert!(frames(&endless).1.unwrap_err().contains("does not end"));
    let endless = [b"YUV4MPEG2 W2 H1 Cmono\nFRAME ".as_slice(), &[b'X'; 3 * MAX_FIRST_LINE]].concat();
    assert!(frames(&endless).1.unwrap_err().contains("does not end"));
}

proptest! {
    #[test]
    fn any_header_is_read_or_refused(line in "(YUV4MPEG2)?( [WHFCIAX][0-9a-z:.]{0,12}){0,6}\\PC{0,8}") {
        if let Ok(header) = Header::parse(line.as_bytes()) {
            prop_assert!(header.width * header.height <= header.bytes && header.bytes <= 8 * MAX_PIXELS);
            header.time(u64::MAX);
        }
    }

    #[test]
    fn any_damage_ends_the_video_or_leaves_its_luma(
        at in 0usize..120, byte: u8, cut in 0usize..120, chroma in prop::sample::select(vec!["mono", "420", "444"])
    ) {
        let header = parse(&format!("YUV4MPEG2 W4 H3 C{chroma}")).unwrap();
        let mut video = format!("YUV4MPEG2 W4 H3 C{chroma}\n").into_bytes();
        let first = video.len();
        for _ in 0..3 {
            video.extend(b"FRAME\n");
            video.resize(video.len() + header.bytes, 9);
        }
        let whole = video.len();
        if let Some(place) = video.get_mut(at) {
            *place = byte;
        }
        video.truncate(whole - cut.min(whole));
        let (lumas, end) = frames(&video);
        // A damaged first line may well describe another video.
        if at >= first {
            let frame = 6 + header.bytes;
            prop_assert!(lumas.iter().all(|luma| luma.iter().filter(|value| **value != 9).count() <= 1));
            let whole_frames = video.len().saturating_sub(first) / frame;
            prop_assert!(lumas.len() <= whole_frames);
            if end.is_ok() {
                prop_assert_eq!(lumas.len(), whole_frames);
            }
        }
    }
}
