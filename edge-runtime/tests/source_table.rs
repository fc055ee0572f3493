//! Each command of the table in docs/sources.md gives frames, from programs that stand in for the real ones.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use edge_runtime::camera::{CameraOptions, Next, Spec, open};
use edge_runtime::frame::Frame;

const DOCS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/sources.md");
/// Tells the child where the stand-ins are.
const FOLDER: &str = "SOURCE_TABLE_FOLDER";

/// Writes three frames of the size that its flags say, rows padded to 64 bytes as the Raspberry Pi's are.
const RPICAM: &str = r#"
while [ $# -gt 0 ]; do
    case $1 in --width) w=$2;; --height) h=$2;; --codec) [ "$2" = yuv420 ] || exit 9;; esac
    shift
done
stride=$(( (w + 63) / 64 * 64 ))
for frame in 1 2 3; do head -c $((stride * h * 3 / 2)) /dev/zero | tr '\0' a; done
sleep 60
"#;
/// Writes three frames as y4m if it is asked to.
const FFMPEG: &str = r#"
case "$*" in *"-f yuv4mpegpipe"*" -") ;; *) exit 9;; esac
printf 'YUV4MPEG2 W8 H4 Cmono\n'
for frame in 1 2 3; do printf 'FRAME\naaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'; done
case "$*" in *rtsp*|*http*) sleep 60;; esac
"#;
/// Writes three I420 frames of 640x480.
const GSTREAMER: &str = r#"
case "$*" in *format=I420,width=640,height=480*fdsink) ;; *) exit 9;; esac
for frame in 1 2 3; do head -c $((640 * 480 * 3 / 2)) /dev/zero | tr '\0' a; done
sleep 60
"#;

/// The commands of the table.
fn commands() -> Vec<String> {
    let docs = fs::read_to_string(DOCS).unwrap();
    let rows = docs.lines().filter(|line| line.starts_with('|'));
    let commands = rows.filter_map(|line| line.split('`').find(|part| part.starts_with("--source ")));
    commands.map(str::to_owned).collect()
}

#[test]
fn every_command_of_the_table_gives_frames() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        return run(Path::new(&folder));
    }
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [("rpicam-vid", RPICAM), ("ffmpeg", FFMPEG), ("gst-launch-1.0", GSTREAMER)] {
        let path = folder.path().join(name);
        fs::write(&path, format!("#!/bin/sh\n{text}")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    for number in 0..3 {
        image::GrayImage::from_pixel(8, 4, image::Luma([b'a']))
            .save(folder.path().join(format!("{number}.png")))
            .unwrap();
    }
    let video = b"YUV4MPEG2 W8 H4 Cmono\nFRAME\naaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa".to_vec();
    let more = b"FRAME\naaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa".repeat(2);
    fs::write(folder.path().join("film.y4m"), [video, more].concat()).unwrap();
    fs::write(folder.path().join("film.mp4"), b"read by the stand-in").unwrap();
    // Again, with the stand-ins before all other programs.
    let path = format!("{}:{}", folder.path().display(), std::env::var("PATH").unwrap());
    let mut again = Command::new(std::env::current_exe().unwrap());
    again.args(["--exact", "every_command_of_the_table_gives_frames", "--nocapture"]);
    let done = again.env("PATH", path).env(FOLDER, folder.path()).output().unwrap();
    let text = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{text}");
}

fn run(folder: &Path) {
    let commands = commands();
    assert!(commands.len() >= 8, "{commands:?}");
    for kind in ["v4l2:", "rpicam-vid", "gst-launch", "rtsp:", "http:", ".mp4", "y4m:", "dir:", "images:"] {
        assert!(commands.iter().any(|command| command.contains(kind)), "no command with {kind}");
    }
    for command in commands {
        let words: Vec<String> = shlex::split(&command).unwrap();
        let flag = |name: &str| words.windows(2).find(|pair| pair[0] == name).map(|pair| pair[1].as_str());
        let source = flag("--source").unwrap().replace("/home/pi", folder.to_str().unwrap());
        let spec: Spec = source.parse().unwrap_or_else(|error| panic!("{command}: {error}"));
        if let Spec::V4l2 { .. } = spec {
            // A camera of the kernel is not to be had here: the emulated boards read one.
            continue;
        }
        let size = flag("--frame-size").map(|size| {
            let (width, height) = size.split_once('x').unwrap();
            [width.parse().unwrap(), height.parse().unwrap()]
        });
        let format = flag("--frame-format").map(|format| format.parse().unwrap());
        let mut source = open(&spec, &CameraOptions { size, format, ..CameraOptions::default() })
            .unwrap_or_else(|error| panic!("{command}: {error}"));
        let (mut frame, mut frames) = (Frame::default(), 0);
        let patience = Instant::now() + Duration::from_secs(60);
        while frames < 3 {
            assert!(Instant::now() < patience, "{command}: {frames} frames");
            match source.next(&mut frame).unwrap() {
                Next::Frame => {
                    let view = frame.view().unwrap();
                    assert_eq!(view.luma(view.width() - 1, view.height() - 1), b'a', "{command}");
                    frames += 1;
                }
                Next::Waiting => {}
                other => panic!("{command}: {other:?} after {frames} frames"),
            }
        }
    }
}
