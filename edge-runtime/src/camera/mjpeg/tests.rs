use std::time::Duration;

use image::{GrayImage, ImageEncoder, RgbImage};
use proptest::prelude::*;

use super::*;
use crate::camera::reader::{Got, Reader};

const SIZE: [u32; 2] = [50, 38];

fn grey(brightness: u8) -> GrayImage {
    GrayImage::from_fn(SIZE[0], SIZE[1], |x, y| image::Luma([(2 * x + 3 * y) as u8 / 2 + brightness]))
}

fn jpeg(pixels: &[u8], colour: image::ExtendedColorType) -> Vec<u8> {
    let mut bytes = Vec::new();
    let encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut bytes, 95);
    encoder.write_image(pixels, SIZE[0], SIZE[1], colour).unwrap();
    bytes
}

fn grey_jpeg(brightness: u8) -> Vec<u8> {
    jpeg(grey(brightness).as_raw(), image::ExtendedColorType::L8)
}

/// The grey picture as RGB: its luma is the same.
fn colour_jpeg(brightness: u8) -> Vec<u8> {
    let grey = grey(brightness);
    let colour = RgbImage::from_fn(SIZE[0], SIZE[1], |x, y| image::Rgb([grey.get_pixel(x, y).0[0]; 3]));
    jpeg(colour.as_raw(), image::ExtendedColorType::Rgb8)
}

/// The picture without its Huffman tables, as many cameras send it.
fn without_tables(jpeg: &[u8]) -> Vec<u8> {
    let (mut out, mut at) = (jpeg[..2].to_vec(), 2);
    while jpeg[at + 1] != 0xDA {
        let end = at + 2 + usize::from(u16::from_be_bytes([jpeg[at + 2], jpeg[at + 3]]));
        if jpeg[at + 1] != 0xC4 {
            out.extend(&jpeg[at..end]);
        }
        at = end;
    }
    out.extend(&jpeg[at..]);
    out
}

fn furthest(frame: &Frame, brightness: u8) -> u8 {
    let view = frame.view().unwrap();
    assert_eq!([view.width() as u32, view.height() as u32], SIZE);
    let places = grey(brightness);
    places.enumerate_pixels().map(|(x, y, p)| view.luma(x as usize, y as usize).abs_diff(p.0[0])).max().unwrap()
}

/// The brightness of each picture that comes out of a stream, and how many were damaged.
fn stream(mut bytes: &[u8]) -> (Vec<u8>, u64) {
    let (mut reader, mut frame, mut found) = (Reader::new(Framer::default()), Frame::default(), Vec::new());
    while let Ok(got) = reader.next(&mut bytes, &mut frame, Duration::from_secs(9)) {
        match got {
            // Damage to a header can give another size.
            Got::Frame if [frame.luma.width as u32, frame.luma.height as u32] != SIZE => {}
            Got::Frame => found.extend((0..160).step_by(20).find(|b| furthest(&frame, *b) < 8)),
            Got::Waiting => {}
            Got::End => break,
        }
    }
    (found, reader.skipped)
}

#[test]
fn luma_comes_out_as_it_went_in() {
    let mut frame = Frame::default();
    for jpeg in [grey_jpeg(20), colour_jpeg(20)] {
        Decoder::default().decode_first(&jpeg, &mut frame).unwrap();
        assert!(furthest(&frame, 20) <= 4, "{}", furthest(&frame, 20));
    }
}

#[test]
fn pictures_without_luma_are_read() {
    // Adobe's segment says that the three components are red, green and blue.
    let adobe = b"\xFF\xEE\0\x0EAdobe\0\x64\0\0\0\0\0";
    let colour = colour_jpeg(20);
    let rgb = [&START, &adobe[..], &colour[2..]].concat();
    // Its red is the luma of the other one, and the two others are the middle.
    let wanted = decoded(&colour).into_iter().map(|red| ((77 * u32::from(red) + 179 * 128 + 128) >> 8) as u8);
    let (found, wanted) = (decoded(&rgb), wanted.collect::<Vec<u8>>());
    assert_eq!(found.len(), wanted.len());
    let furthest = found.iter().zip(&wanted).map(|(one, other)| one.abs_diff(*other)).max();
    assert!(furthest <= Some(2), "{furthest:?}");
    // If most of its rows are missing, it is left out as any other.
    let missing = parts(&rgb).1.len() * 9 / 10;
    assert_eq!(try_decoded(&rgb[..rgb.len() - missing]), None);
}

#[test]
fn pictures_without_huffman_tables_mean_the_usual_ones() {
    let (whole, bare) = (colour_jpeg(20), without_tables(&colour_jpeg(20)));
    assert!(bare.len() + 400 < whole.len());
    let (mut from_whole, mut from_bare) = (Frame::default(), Frame::default());
    Decoder::default().decode_first(&whole, &mut from_whole).unwrap();
    Decoder::default().decode_first(&bare, &mut from_bare).unwrap();
    assert_eq!(from_whole.bytes, from_bare.bytes);
}

#[test]
fn pictures_follow_one_another_with_rubbish_between_them() {
    let rubbish = b"\r\n--boundary\r\nContent-Type: image/jpeg\r\n\r\n";
    let parts = [rubbish, &grey_jpeg(0)[..], &colour_jpeg(40), b"\xFF", rubbish, &grey_jpeg(80)];
    assert_eq!(stream(&parts.concat()), (vec![0, 40, 80], 0));
}

/// The segments of a picture before its pixels, and its pixels with its end.
fn parts(jpeg: &[u8]) -> (Vec<Vec<u8>>, Vec<u8>) {
    let (mut walker, mut found) = (Walker::new(), Vec::new());
    loop {
        match walker.next(jpeg) {
            Part::Segment { start, end, .. } => found.push(jpeg[start..end].to_vec()),
            Part::Pixels { start, .. } => return (found, jpeg[start..].to_vec()),
            other => panic!("{other:?}"),
        }
    }
}

/// The picture with bytes put before each of its segments and before its pixels.
fn with_between(jpeg: &[u8], between: &[u8]) -> Vec<u8> {
    let (segments, pixels) = parts(jpeg);
    let segments: Vec<u8> = segments.iter().flat_map(|segment| [between, segment].concat()).collect();
    [&START, segments.as_slice(), &pixels].concat()
}

fn try_decoded(buffer: &[u8]) -> Option<Vec<u8>> {
    let mut frame = Frame::default();
    Decoder::default().decode_first(buffer, &mut frame).ok().map(|()| frame.bytes)
}

fn decoded(buffer: &[u8]) -> Vec<u8> {
    try_decoded(buffer).unwrap()
}

#[test]
fn a_picture_that_is_cut_off_is_left_out() {
    let (first, second) = (grey_jpeg(0), grey_jpeg(40));
    for cut in [first.len() / 2, 200, 20, 3] {
        let (found, skipped) = stream(&[&first[..cut], &second].concat());
        assert!(found == [40], "{found:?} after a cut at {cut}");
        assert!(skipped >= 1 || cut < 4, "{skipped} after a cut at {cut}");
        assert!(Decoder::default().decode_first(&first[..cut], &mut Frame::default()).is_err(), "{cut}");
    }
}

#[test]
fn a_picture_that_is_cut_off_and_then_ended_is_left_out() {
    let flat = jpeg(&[128; (SIZE[0] * SIZE[1]) as usize], image::ExtendedColorType::L8);
    let mut frame = Frame::default();
    Decoder::default().decode_first(&flat, &mut frame).unwrap();
    for first in [grey_jpeg(0), colour_jpeg(0), without_tables(&colour_jpeg(0)), with_between(&colour_jpeg(0), b"\xFF")]
    {
        let (head, pixels) = (first.len() - parts(&first).1.len(), parts(&first).1.len() - END.len());
        for share in [0, 1, 10, 25] {
            let cut = [&first[..head + pixels * share / 100], &END].concat();
            let (found, skipped) = stream(&[&cut[..], &grey_jpeg(40)].concat());
            assert_eq!((found, skipped), (vec![40], 1), "{share} %");
            assert!(Decoder::default().decode_first(&cut, &mut frame).is_err(), "{share} %");
        }
        let most = [&first[..head + pixels * 9 / 10], &END].concat();
        assert!(Decoder::default().decode_first(&most, &mut frame).is_ok());
        assert_eq!(stream(&[&most[..], &first].concat()).1, 0);
    }
}

/// The picture with the Huffman tables that `keep` chooses by their number, luma before chroma.
fn with_tables(jpeg: &[u8], keep: &dyn Fn(u8) -> bool) -> Vec<u8> {
    let (segments, pixels) = parts(jpeg);
    let kept = segments.iter().filter(|segment| segment[1] != 0xC4 || keep(segment[4]));
    [&START, kept.flatten().copied().collect::<Vec<u8>>().as_slice(), &pixels].concat()
}

#[test]
fn missing_huffman_tables_are_the_usual_ones() {
    let whole = colour_jpeg(20);
    let choices: [&dyn Fn(u8) -> bool; 4] = [&|id| id & 1 == 0, &|id| id >= 0x10, &|id| id < 0x10, &|id| id == 0x11];
    for keep in choices {
        let some = with_tables(&whole, keep);
        assert!(some.len() < whole.len());
        assert_eq!(decoded(&some), decoded(&whole));
        assert_eq!(stream(&[&some[..], &some].concat()), (vec![20, 20], 0));
    }
}

#[test]
fn huffman_tables_of_the_first_picture_hold_for_those_that_have_none() {
    // Its tables have the numbers of the usual ones for chroma, which are others.
    let usual = grey_jpeg(40);
    let (mut segments, pixels) = parts(&usual);
    for segment in &mut segments {
        match segment[1] {
            0xC4 => segment[4] |= 1,
            0xDA => segment[6] = 0x11,
            _ => {}
        }
    }
    let other = [&START, segments.concat().as_slice(), &pixels].concat();
    assert_eq!(decoded(&other), decoded(&usual));
    let bare = with_tables(&other, &|_| false);
    assert_ne!(Some(decoded(&usual)), try_decoded(&bare));
    assert_eq!(stream(&[&other[..], &bare, &bare].concat()), (vec![40, 40, 40], 0));
    // The last ones hold, of pictures that were whole.
    let cut = &usual[..usual.len() - pixels.len() / 2];
    assert_eq!(stream(&[&other[..], cut, &bare].concat()).0.last(), Some(&40));
    let mut decoder = Decoder::default();
    let mut frame = Frame::default();
    for jpeg in [&other, &grey_jpeg(80)] {
        decoder.decode_first(jpeg, &mut frame).unwrap();
    }
    let plain = with_tables(&usual, &|_| false);
    decoder.decode_first(&plain, &mut frame).unwrap();
    assert_eq!(frame.bytes, decoded(&usual));
}

#[test]
fn pictures_without_an_end_are_pictures() {
    let (first, second) = (grey_jpeg(0), colour_jpeg(40));
    for cut in [1, 2] {
        let first_cut = &first[..first.len() - cut];
        assert_eq!(decoded(first_cut), decoded(&first), "{cut}");
        assert_eq!(decoded(&[first_cut, &[0; 500]].concat()), decoded(&first), "{cut}, padded");
        let second_cut = &second[..second.len() - cut];
        let (found, skipped) = stream(&[first_cut, second_cut, first_cut].concat());
        assert_eq!((found, skipped), (vec![0, 40, 0], 0), "{cut}");
    }
    let bare = without_tables(&second);
    assert_eq!(decoded(&bare[..bare.len() - 2]), decoded(&second));
}

#[test]
fn a_picture_of_which_most_is_there_becomes_a_frame_unless_a_whole_one_follows() {
    let (first, second) = (grey_jpeg(0), grey_jpeg(40));
    let pixels = parts(&first).1.len();
    let most = &first[..first.len() - pixels / 5];
    let (got, whole) = (decoded(most), decoded(&first));
    let rows = SIZE[0] as usize * 16;
    assert_eq!(got[..rows], whole[..rows]);
    assert_ne!(got, whole);
    assert_eq!(decoded(&[most, &second].concat()), decoded(&second));
}

#[test]
fn buffers_are_searched_beyond_what_is_damaged() {
    let (first, second) = (colour_jpeg(0), grey_jpeg(40));
    let wanted = decoded(&second);
    for cut in [first.len() / 2, 300, 200, 20, 10, 3] {
        assert_eq!(decoded(&[&first[..cut], &second].concat()), wanted, "a cut at {cut}");
    }
    for before in [&b"\xFF\xD8"[..], b"\xFF\xD8\xFF\xD9", b"\xFF\xD8\xFF\xD8", b"\0\0\0", b"--boundary\r\n\r\n"] {
        assert_eq!(decoded(&[before, &second].concat()), wanted, "{}", before.escape_ascii());
        assert_eq!(stream(&[before, &second, before, &second].concat()).0, [40, 40], "{}", before.escape_ascii());
    }
}

#[test]
fn fill_bytes_garbage_and_wrong_lengths_between_segments_do_no_harm() {
    for jpeg in [colour_jpeg(80), without_tables(&colour_jpeg(80))] {
        for between in
            [&b"\xFF"[..], b"\xFF\xFF\xFF\xFF", b"\0\0", b"garbage \xFF\0", b"\xFF\xEC\0\0", b"\xFF\xE1\0\x03ABC"]
        {
            let odd = with_between(&jpeg, between);
            assert_eq!(decoded(&odd), decoded(&jpeg), "{}", between.escape_ascii());
            assert_eq!(stream(&[&odd[..], &odd].concat()), (vec![80, 80], 0), "{}", between.escape_ascii());
            let endless = &odd[..odd.len() - 2];
            assert_eq!(stream(&[endless, endless].concat()), (vec![80, 80], 0), "{}", between.escape_ascii());
        }
    }
}

#[test]
fn a_thumbnail_is_not_the_picture() {
    let mut thumbnail = Vec::new();
    image::codecs::jpeg::JpegEncoder::new(&mut thumbnail)
        .write_image(&[9; 64], 8, 8, image::ExtendedColorType::L8)
        .unwrap();
    let length = (thumbnail.len() as u16 + 2).to_be_bytes();
    let picture = grey_jpeg(40);
    let with = [&START, &[0xFF, 0xE1], &length[..], &thumbnail, b"\0\0", &picture[2..]].concat();
    assert_eq!(decoded(&with), decoded(&picture));
    assert_eq!(stream(&[&with[..], &with[..with.len() - 2]].concat()), (vec![40, 40], 0));
}

#[test]
fn what_is_no_picture_is_refused() {
    let mut frame = Frame::default();
    let mut huge = grey_jpeg(0);
    let start = huge.windows(2).position(|pair| pair == [0xFF, 0xC0]).unwrap();
    huge[start + 5..start + 9].copy_from_slice(&[0x1F, 0xFF, 0x1F, 0xFF]); // 8191 x 8191
    for bytes in [&b""[..], b"\xFF", b"\xFF\xD8", b"\xFF\xD8\xFF\xD9", b"GIF89a", &[0; 4096], &huge] {
        assert!(Decoder::default().decode_first(bytes, &mut frame).is_err());
    }
    assert!(frame.bytes.len() <= 8191, "{}", frame.bytes.len());
}

proptest! {
    #[test]
    fn no_damage_makes_the_decoder_panic(at in 2usize..1500, byte: u8, more in 2usize..1500) {
        let mut damaged = colour_jpeg(20);
        let length = damaged.len();
        damaged[at % length] = byte;
        damaged[more % length] ^= byte;
        _ = Decoder::default().decode_first(&damaged, &mut Frame::default());
        let (found, _) = stream(&[&damaged[..], &grey_jpeg(80)].concat());
        prop_assert!(found.len() <= 3);
    }

    #[test]
    fn no_bytes_make_the_framer_panic(bytes in prop::collection::vec(prop::sample::select(
        vec![0xFFu8, 0xD8, 0xD9, 0xDA, 0xC4, 0, 1, 4, 0xE0, 0xD3]), 0..300)) {
        stream(&bytes);
    }
}

#[test]
fn pictures_with_a_scan_for_each_colour_are_left_out() {
    // The decoder panics on such a picture if chroma has half the rows.
    let mut bytes = colour_jpeg(0);
    let frame = bytes.windows(2).position(|pair| pair == [0xFF, 0xC0]).unwrap();
    (bytes[frame + 11], bytes[frame + 14], bytes[frame + 17]) = (0x12, 0x11, 0x11);
    let scan = bytes.windows(2).position(|pair| pair == [0xFF, 0xDA]).unwrap();
    let length = 2 + usize::from(u16::from_be_bytes([bytes[scan + 2], bytes[scan + 3]]));
    drop(bytes.splice(scan..scan + length, [0xFF, 0xDA, 0, 8, 1, bytes[frame + 10], 0, 0, 63, 0]));
    let error = Decoder::default().decode_first(&bytes, &mut Frame::default()).unwrap_err();
    assert!(error.contains("a scan for each colour"), "{error}");
    assert_eq!(stream(&[bytes, grey_jpeg(20)].concat()), (vec![20], 1));
}

#[test]
fn frames_are_turned_the_way_that_their_exif_orientation_says() {
    let mut frame = Frame::default();
    let turns = [(0, false), (0, true), (2, false), (2, true), (1, true), (1, false), (3, true), (3, false)];
    for (tag, (quarters, mirrored)) in (1..).zip(turns) {
        let entry = [0x12, 1, 3, 0, 1, 0, 0, 0, tag, 0, 0, 0];
        let exif = [b"\xFF\xE1\0\x22Exif\0\0II*\0\x08\0\0\0\x01\0".as_slice(), &entry, &[0; 4]].concat();
        let whole = grey_jpeg(20);
        Decoder::default().decode_first(&[&START, exif.as_slice(), &whole[2..]].concat(), &mut frame).unwrap();
        assert_eq!((frame.turn.quarters, frame.turn.mirrored), (quarters, mirrored), "{tag}");
        // The next one says nothing.
        Decoder::default().decode_first(&whole, &mut frame).unwrap();
        assert_eq!(frame.turn, expression_core::Turn::default());
    }
}
