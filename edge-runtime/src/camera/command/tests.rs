use std::fs;
use std::path::Path;
use std::time::Instant;

use super::*;
use crate::camera::{Next, Source};

/// A folder with a script `camera`: shell text that can use the functions `frame BYTE` (writes a grey frame of 8x4 pixels)
/// and `run` (how often the script ran before).
fn script(folder: &Path, body: &str) -> Vec<String> {
    let path = folder.join("camera");
    let text = format!(
        "cd '{}'\nframe() {{ printf \"%032d\" 0 | tr 0 \"$1\"; }}\nrun() {{ cat runs 2>/dev/null | wc -l; }}\n{body}\n",
        folder.display()
    );
    fs::write(&path, text).unwrap();
    vec!["sh".into(), path.to_str().unwrap().into()]
}

fn options() -> CameraOptions {
    CameraOptions {
        size: Some([8, 4]),
        format: Some(Format::Grey),
        stall: Some(Duration::from_secs(60)),
        first_retry: Duration::from_millis(1),
        longest_retry: Duration::from_millis(20),
        ..CameraOptions::default()
    }
}

/// What the source says until it gave so many frames: the first byte of a frame, or the first words of anything else.
fn said(source: &mut dyn Source, frames: usize) -> Vec<String> {
    let (mut frame, mut said, mut left) = (Frame::default(), Vec::new(), frames);
    let patience = Instant::now() + Duration::from_secs(120);
    while left > 0 && Instant::now() < patience {
        match source.next(&mut frame).unwrap() {
            Next::Waiting => {}
            Next::Frame => {
                assert!(frame.bytes.iter().all(|byte| *byte == frame.bytes[0]) && frame.bytes.len() == 32);
                said.push(format!("{} {}", frame.sequence, char::from(frame.bytes[0])));
                left -= 1;
            }
            Next::Lost { reason } => said.push(reason),
            Next::Back { .. } => said.push("back".into()),
            Next::End => {
                said.push("end".into());
                break;
            }
        }
    }
    said
}

#[test]
fn a_program_that_dies_is_started_again_and_its_last_words_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let body = "n=$(run); echo x >> runs; frame a; frame b\n\
                if [ $n = 0 ]; then echo starting >&2; echo 'no sensor found' >&2; echo >&2; exit 3; fi\n\
                if [ $n = 1 ]; then exit 0; fi\n\
                sleep 60";
    let mut source = open(&script(folder.path(), body), &options()).unwrap();
    let said = said(&mut source, 6);
    assert_eq!(said[..2], ["0 a", "1 b"]);
    assert_eq!(said[2], "command sh gives no more frames: it ended (exit status: 3); it said: no sensor found");
    assert_eq!(said[3..6], ["back", "2 a", "3 b"]);
    assert_eq!(said[6], "command sh gives no more frames: it ended (exit status: 0)");
    assert_eq!(said[7..], ["back", "4 a", "5 b"]);
}

#[test]
fn a_program_that_falls_silent_is_killed_with_all_it_started() {
    let folder = tempfile::tempdir().unwrap();
    // The second sleep ignores the polite signal.
    let body = "echo x >> runs; frame a\n\
                sleep 1000 & echo $! >> started; sh -c 'trap \"\" TERM; echo $$ >> started; exec sleep 1000' & wait";
    let options = CameraOptions { stall: Some(Duration::from_secs(1)), ..options() };
    let mut source = open(&script(folder.path(), body), &options).unwrap();
    let said = said(&mut source, 2);
    assert!(said.contains(&"command sh gave no frame for 1.0s".into()) && said.contains(&"back".into()), "{said:?}");
    assert_eq!(said.last().map(String::as_str), Some("1 a"), "{said:?}");
    drop(source);
    let started = fs::read_to_string(folder.path().join("started")).unwrap();
    assert!(started.lines().count() >= 2, "{started}");
    for pid in started.lines() {
        // Gone, or a zombie that waits for init to reap it.
        let state = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        assert!(state.is_empty() || state.contains(") Z "), "{state}");
    }
}

#[test]
fn an_end_with_success_may_be_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let options = CameraOptions { end_with_command: true, ..options() };
    let mut source = open(&script(folder.path(), "frame a; frame b"), &options).unwrap();
    assert_eq!(said(&mut source, 3), ["0 a", "1 b", "end"]);
    let mut source = open(&script(folder.path(), "frame a; echo x >> runs; exit $(run)"), &options).unwrap();
    assert!(said(&mut source, 2)[1].contains("exit status: 1"));
    // Cut off within a frame is no success.
    let mut source = open(&script(folder.path(), "frame a; printf aaa"), &options).unwrap();
    assert!(said(&mut source, 2)[1].contains("ends within a frame; it ended (exit status: 0)"));
}

#[test]
fn a_program_that_gives_one_picture_is_told_how_to_repeat_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut source = open(&script(folder.path(), "frame a"), &options()).unwrap();
    let lost = said(&mut source, 2).remove(1);
    assert!(lost.contains("it gave one frame only") && lost.contains("while curl -fsS ADDRESS"), "{lost}");
    let mut source = open(&script(folder.path(), "frame a; frame b"), &options()).unwrap();
    let lost = said(&mut source, 3).remove(2);
    assert!(lost.ends_with("it ended (exit status: 0)"), "{lost}");
}

#[test]
fn frames_of_a_recording_are_stamped_by_its_rate() {
    let folder = tempfile::tempdir().unwrap();
    let body = "echo 'YUV4MPEG2 W8 H4 F10:1 Cmono'; for n in a b c; do echo FRAME; frame $n; done";
    let options = CameraOptions { format: Some(Format::Y4m), once: true, end_with_command: true, ..options() };
    let mut source = open(&script(folder.path(), body), &options).unwrap();
    let (mut frame, mut stamps) = (Frame::default(), Vec::new());
    loop {
        match source.next(&mut frame).unwrap() {
            Next::Frame => stamps.push(frame.stamp),
            Next::End => break,
            other => assert_eq!(other, Next::Waiting),
        }
    }
    assert_eq!(stamps.len(), 3);
    for pair in stamps.windows(2) {
        assert_eq!(pair[1].monotonic_ns - pair[0].monotonic_ns, 100_000_000);
        assert_eq!(pair[1].wall_us - pair[0].wall_us, 100_000);
    }
}

#[test]
fn talk_on_stderr_neither_blocks_the_frames_nor_fills_the_memory() {
    let folder = tempfile::tempdir().unwrap();
    let body = "yes 'a long line of talk' | head -c 300000 >&2; frame a; yes | tr -d '\\n' | head -c 300000 >&2; frame b; sleep 60";
    let mut source = open(&script(folder.path(), body), &options()).unwrap();
    assert_eq!(said(&mut source, 2), ["0 a", "1 b"]);
}

#[test]
fn y4m_and_jpeg_need_no_size() {
    let folder = tempfile::tempdir().unwrap();
    let options = |format| CameraOptions { size: None, format: Some(format), ..options() };
    let body = "printf 'YUV4MPEG2 W8 H4 Cmono\\n'; echo FRAME; frame a; echo FRAME; frame b; sleep 60";
    let mut source = open(&script(folder.path(), body), &options(Format::Y4m)).unwrap();
    let mut frame = Frame::default();
    while source.next(&mut frame).unwrap() != Next::Frame {}
    assert_eq!(frame.view().unwrap().luma(7, 3), b'a');
    let grey = image::GrayImage::from_pixel(16, 8, image::Luma([77]));
    grey.save(folder.path().join("grey.jpg")).unwrap();
    let mut source = open(&script(folder.path(), "cat grey.jpg grey.jpg; sleep 60"), &options(Format::Mjpeg)).unwrap();
    while source.next(&mut frame).unwrap() != Next::Frame {}
    assert!(frame.view().unwrap().luma(15, 7).abs_diff(77) <= 1);
}

#[test]
fn what_cannot_be_started_or_is_not_known_is_refused() {
    let refused = |words: &[&str], options: &CameraOptions| {
        let words: Vec<String> = words.iter().map(|word| word.to_string()).collect();
        open(&words, options).err().unwrap().to_string()
    };
    assert!(refused(&["no-such-camera-program"], &options()).contains("no such program"));
    assert!(refused(&["/"], &options()).contains("cannot open command /"));
    let blank = CameraOptions { size: None, format: None, ..options() };
    assert!(refused(&["cat", "x"], &blank).contains("--frame-format"));
    assert!(
        refused(&["cat", "x"], &CameraOptions { format: Some(Format::I420), ..blank.clone() }).contains("--frame-size")
    );
    let huge = CameraOptions { size: Some([90000, 2]), ..options() };
    assert!(refused(&["cat"], &huge).contains("90000x2"));
    assert!(refused(&[], &blank).contains("missing"));
}

#[test]
fn the_padded_rows_of_rpicam_vid_are_read_as_they_lie() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("rpicam-vid");
    // 70x2 pixels in rows of 128 bytes: each row one letter, padded with zeros; its chroma is half of that.
    let text = "#!/bin/sh\nrow() { printf \"%0$2d\" 0 | tr 0 \"$1\"; printf \"%0$3d\" 0 | tr 0 '\\000'; }\n\
                row a 70 58; row b 70 58; row u 35 29; row v 35 29\nrow c 70 58; row d 70 58; row u 35 29; row v 35 29\nsleep 60\n";
    fs::write(&program, text).unwrap();
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let words = [program.to_str().unwrap(), "--codec", "yuv420", "--width", "70", "--height", "2", "-o", "-"];
    let words = words.map(str::to_owned);
    let options = CameraOptions { size: None, format: None, ..options() };
    let mut source = open(&words, &options).unwrap();
    let mut frame = Frame::default();
    for rows in [b"ab", b"cd"] {
        while source.next(&mut frame).unwrap() != Next::Frame {}
        let view = frame.view().unwrap();
        assert_eq!([view.width(), view.height()], [70, 2]);
        assert!((0..140).all(|at| view.luma(at % 70, at / 70) == rows[at / 70]));
    }
    // Other programs are told by a flag.
    let words = ["cat", program.to_str().unwrap()].map(str::to_owned);
    let narrow = CameraOptions { stride: Some(4), ..super::tests::options() };
    assert!(open(&words, &narrow).err().unwrap().to_string().contains("--frame-stride"));
}

#[test]
fn a_required_program_that_ends_without_a_frame_is_an_error() {
    let words = ["sh", "-c", "exit 3"].map(str::to_owned);
    let options = CameraOptions { format: Some(Format::Y4m), fail_without_frame: true, ..CameraOptions::default() };
    let mut source = open(&words, &options).unwrap();
    let mut frame = Frame::default();
    let error = loop {
        match source.next(&mut frame) {
            Ok(next) => assert_eq!(next, Next::Waiting),
            Err(error) => break error.to_string(),
        }
    };
    assert!(error.contains("exit status: 3"), "{error}");
    assert_eq!(source.next(&mut frame).unwrap(), Next::End);
}

/// What a source answers in the end.
fn outcome(source: &mut dyn Source) -> Result<u64, String> {
    let (mut frame, mut count) = (Frame::default(), 0);
    loop {
        match source.next(&mut frame) {
            Ok(Next::Frame) => count += 1,
            Ok(Next::Waiting) => {}
            Ok(Next::End) => return Ok(count),
            Ok(other) => return Err(format!("{other:?}")),
            Err(error) => return Err(error.to_string()),
        }
    }
}

#[test]
fn a_program_that_reads_a_recording_ends_once() {
    let folder = tempfile::tempdir().unwrap();
    let options = CameraOptions { once: true, end_with_command: true, wait_for_camera: true, ..options() };
    for (body, wanted) in [
        ("frame a; frame b", Ok(2)),
        // It went on, but said that something is wrong.
        ("frame a; echo overread >&2", Ok(1)),
        ("frame a; echo cut off >&2; exit 1", Err("frame 1: it ended (exit status: 1); it said: cut off")),
        ("frame a; printf aaa", Err("frame 1: what it writes: ends within a frame; it ended")),
        (
            "echo no stream >&2; exit 1",
            Err("no frame of it can be read: it ended (exit status: 1); it said: no stream"),
        ),
        ("exit 0", Err("no frame of it can be read")),
    ] {
        let mut source = open(&script(folder.path(), body), &options).unwrap();
        match (outcome(&mut source), wanted) {
            (Ok(count), Ok(wanted)) => assert_eq!(count, wanted, "{body}"),
            (Err(error), Err(part)) => assert!(error.contains(part), "{body}: {error}"),
            (got, _) => panic!("{body}: {got:?}"),
        }
        assert_eq!(source.next(&mut Frame::default()).unwrap(), Next::End, "{body}");
    }
}

#[test]
fn another_way_to_call_a_program_is_tried_before_it_counts_as_lost() {
    let folder = tempfile::tempdir().unwrap();
    let first = script(folder.path(), "if [ \"$1\" = again ]; then frame b; sleep 60; fi; echo no stream >&2; exit 1");
    let other = [first.clone(), vec!["again".into()]].concat();
    let options = CameraOptions { fail_without_frame: true, ..options() };
    let mut source = open_as("x", &first, std::slice::from_ref(&other), Vec::new(), &options).unwrap();
    assert_eq!(said(&mut source, 1), ["0 b"]);
    // A recording too.
    let ends = script(folder.path(), "if [ \"$1\" = again ]; then frame b; exit 3; fi; echo no stream >&2; exit 1");
    let other_end = [ends.clone(), vec!["again".into()]].concat();
    let recording = CameraOptions { once: true, ..options.clone() };
    let mut source = open_as("x", &ends, &[other_end], Vec::new(), &recording).unwrap();
    assert_eq!(said(&mut source, 1), ["0 b"]);
    let error = outcome(&mut source).unwrap_err();
    assert!(error.contains("frame 1: ") && !error.contains("no stream"), "{error}");
    // If none helps, the reason is that of the first.
    let mut source = open_as("x", &first, &[vec!["false".into()]], Vec::new(), &options).unwrap();
    let error = outcome(&mut source).unwrap_err();
    assert!(error.contains("it said: no stream"), "{error}");
}

#[test]
fn raw_frames_that_are_of_another_format_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let options = CameraOptions { fail_without_frame: true, ..options() };
    for (body, part) in [
        ("echo 'YUV4MPEG2 W8 H4 Cmono'; frame a", "it writes y4m, not gray; give --frame-format y4m"),
        ("printf '\\377\\330\\377\\340'; frame a", "it writes mjpeg, not gray; give --frame-format mjpeg"),
        ("echo Setting pipeline to PAUSED ...; frame a", "text before its frames: Setting pipeline to PAUSED ...;"),
    ] {
        let error = outcome(&mut open(&script(folder.path(), body), &options).unwrap()).unwrap_err();
        assert!(error.contains(part), "{body}: {error}");
    }
}

#[test]
fn jpeg_that_is_none_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let options = CameraOptions { format: Some(Format::Mjpeg), fail_without_frame: true, ..options() };
    for (body, part) in [
        ("frame a; frame b", "no whole JPEG picture was found in 64 bytes; check what it writes, or --frame-format"),
        ("printf '\\377\\330'; frame a; printf '\\377\\331'", "found in 36 bytes"),
        ("yes", "no whole JPEG picture was found in "),
        // A picture with arithmetic coding, up to its scan.
        (
            "printf '\\377\\330\\377\\311\\0\\013\\010\\0\\010\\0\\010\\001\\001\\021\\0\\377\\332\\0\\010\\001\\001\\0\\0\\077\\0ab\\377\\331'",
            " bytes (of the last one: ",
        ),
    ] {
        let error = outcome(&mut open(&script(folder.path(), body), &options).unwrap()).unwrap_err();
        assert!(error.contains(part), "{body}: {error}");
    }
}
