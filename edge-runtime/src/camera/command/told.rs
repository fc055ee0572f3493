//! What the flags of the Raspberry Pi's camera programs tell of what they write.

use std::path::Path;

use super::super::{CameraOptions, Format};

/// The Raspberry Pi's camera pads the rows of raw frames to a multiple of this many bytes.
const PI_ALIGNMENT: usize = 64;

/// Programs that start the one that follows their own flags.
const WRAPPERS: [&str; 9] = ["env", "nice", "ionice", "timeout", "stdbuf", "sudo", "taskset", "chrt", "setsid"];

/// How frames are written, as far as it is known.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Written {
    pub format: Option<Format>,
    pub size: Option<[u32; 2]>,
    pub stride: Option<usize>,
}

fn file_name(program: &str) -> &str {
    Path::new(program).file_name().and_then(|name| name.to_str()).unwrap_or_default()
}

/// Returns the name and the arguments of the Raspberry Pi's camera program, if it is the one that a command starts, alone or behind
/// one such as `env`.
fn camera_program<'a>(program: &'a str, arguments: &'a [String]) -> Option<(&'a str, &'a [String])> {
    let is_camera = |word: &str| matches!(file_name(word), "rpicam-vid" | "libcamera-vid");
    if is_camera(program) {
        return Some((file_name(program), arguments));
    }
    let at = arguments.iter().position(|word| is_camera(word)).filter(|_| WRAPPERS.contains(&file_name(program)))?;
    Some((file_name(&arguments[at]), &arguments[at + 1..]))
}

/// Returns the value of a flag: the last one, behind an equals sign or in a word of its own.
fn value(arguments: &[String], flag: &str) -> Option<String> {
    let with = |argument: &String| Some(argument.strip_prefix(flag)?.strip_prefix('=')?.to_owned());
    let joined = arguments.iter().rev().find_map(with);
    let apart = || arguments.windows(2).rev().find(|pair| pair[0] == flag).map(|pair| pair[1].clone());
    joined.or_else(apart)
}

/// Says what to do if the Raspberry Pi's camera program has ended without an error: it does so after 5 s unless it is told otherwise.
pub fn advice(program: &str, arguments: &[String]) -> Option<&'static str> {
    let (_, arguments) = camera_program(program, arguments)?;
    let time = value(arguments, "--timeout").or_else(|| value(arguments, "-t"));
    let is_endless = time.is_some_and(|time| time == "0") || arguments.iter().any(|argument| argument == "-t0");
    let has_file = ["--config", "-c"].iter().any(|flag| value(arguments, flag).is_some());
    (!is_endless && !has_file).then_some("give it -t 0, without which it ends by itself")
}

/// What the flags of a program tell.
#[derive(Debug, Default, PartialEq)]
pub struct Told {
    /// Width and height.
    sides: [Option<u32>; 2],
    format: Option<Format>,
    /// Whether rows of raw frames are padded.
    is_padded: bool,
}

impl Told {
    /// # Errors
    /// Says what to change if the flags have the program write what cannot be read.
    pub fn from_flags(program: &str, arguments: &[String]) -> Result<Told, String> {
        let Some((name, arguments)) = camera_program(program, arguments) else { return Ok(Told::default()) };
        let value = |flag: &str| value(arguments, flag);
        let side = |flag: &str| value(flag)?.parse::<u32>().ok();
        let has_file = value("--config").or_else(|| value("-c")).is_some();
        let format = match value("--codec").map(|codec| codec.to_ascii_lowercase()).as_deref() {
            Some("yuv420") => Some(Format::I420),
            Some("mjpeg") => Some(Format::Mjpeg),
            Some("h264") => {
                return Err(format!("{name} writes H.264 with --codec h264; write --codec yuv420 (or mjpeg) instead"));
            }
            None if !has_file => {
                return Err(format!(
                    "{name} writes H.264 unless it is told otherwise; add --codec yuv420 (or mjpeg) to it"
                ));
            }
            _ => None,
        };
        Ok(Told { sides: [side("--width"), side("--height")], format, is_padded: true })
    }

    /// Joins it with what was said about the frames.
    ///
    /// # Errors
    /// Says what contradicts the flags of the program.
    pub fn with(self, options: &CameraOptions) -> Result<Written, String> {
        let Told { sides, format, is_padded } = self;
        match (format, options.format) {
            // Luma lies the same in these two.
            (Some(Format::I420), Some(Format::Nv12)) => {}
            (Some(told), Some(said)) if told != said => {
                return Err(format!(
                    "the program writes {told} by its --codec, not {said}; leave out --frame-format {said}"
                ));
            }
            _ => {}
        }
        let format = options.format.or(format);
        let told = if let [Some(width), Some(height)] = sides { Some([width, height]) } else { None };
        let is_raw = !matches!(format, Some(Format::Mjpeg | Format::Y4m));
        if let Some([width, height]) = options.size
            && is_raw
            && sides.iter().zip([width, height]).any(|(told, said)| told.is_some_and(|told| told != said))
        {
            let flags =
                ["--width", "--height"].iter().zip(sides).filter_map(|(flag, side)| Some(format!("{flag} {}", side?)));
            let flags = flags.collect::<Vec<_>>().join(" ");
            return Err(format!(
                "--frame-size {width}x{height} contradicts {flags} of the program; leave out --frame-size"
            ));
        }
        let size = options.size.or(told);
        let padded = size.filter(|_| is_padded && matches!(format, Some(Format::I420 | Format::Nv12)));
        let stride = options.stride.or(padded.map(|[width, _]| (width as usize).next_multiple_of(PI_ALIGNMENT)));
        Ok(Written { format, size, stride })
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::Spec;
    use super::*;

    fn written(text: &str, options: &CameraOptions) -> Result<Written, String> {
        match format!("command:{text}").parse().unwrap() {
            Spec::Command { words } => Told::from_flags(&words[0], &words[1..])?.with(options),
            other => panic!("{other:?}"),
        }
    }

    fn options(format: Option<Format>, size: Option<[u32; 2]>) -> CameraOptions {
        CameraOptions { format, size, ..CameraOptions::default() }
    }

    #[test]
    fn the_flags_of_rpicam_vid_tell_size_and_format() {
        let none = CameraOptions::default();
        let unknown = Written { size: None, format: None, stride: None };
        let raw = |width, height, stride| Written {
            size: Some([width, height]),
            format: Some(Format::I420),
            stride: Some(stride),
        };
        for (text, wanted) in [
            ("rpicam-vid --codec yuv420 --width 640 --height 480 -t 0 -o -", raw(640, 480, 640)),
            ("/usr/bin/libcamera-vid --codec=yuv420 --width=780 --height=360", raw(780, 360, 832)),
            ("rpicam-vid --codec YUV420 --width 640 --height 480 -o -", raw(640, 480, 640)),
            ("rpicam-vid --codec mjpeg -o -", Written { format: Some(Format::Mjpeg), ..unknown }),
            ("rpicam-vid --config cam.txt -o -", unknown),
            ("rpicam-vid --codec libav -o -", unknown),
            ("cat --codec yuv420 --width 640 --height 480", unknown),
            ("cat rpicam-vid --codec yuv420 --width 640 --height 480", unknown),
            ("env LIBCAMERA_LOG_LEVELS=3 rpicam-vid --codec yuv420 --width 780 --height 360", raw(780, 360, 832)),
            ("nice -n 5 /usr/bin/rpicam-vid --codec yuv420 --width 640 --height 480", raw(640, 480, 640)),
        ] {
            assert_eq!(written(text, &none).unwrap(), wanted, "{text}");
        }
        let size = options(None, Some([780, 360]));
        assert_eq!(written("rpicam-vid --codec yuv420 -o -", &size).unwrap(), raw(780, 360, 832));
        assert_eq!(written("rpicam-vid --codec yuv420 --width 780 -o -", &size).unwrap(), raw(780, 360, 832));
    }

    #[test]
    fn a_time_limit_of_rpicam_vid_is_told() {
        let advice = |text: &str| {
            let words: Vec<String> = text.split(' ').map(str::to_owned).collect();
            advice(&words[0], &words[1..]).is_some()
        };
        for text in
            ["rpicam-vid --codec mjpeg -o -", "rpicam-vid -t 5000 -o -", "env A=1 libcamera-vid --timeout=9s -o -"]
        {
            assert!(advice(text), "{text}");
        }
        for text in
            ["rpicam-vid -t 0 -o -", "rpicam-vid --timeout=0", "rpicam-vid -t0", "rpicam-vid -c a.txt", "cat -t 5"]
        {
            assert!(!advice(text), "{text}");
        }
    }

    #[test]
    fn what_rpicam_vid_does_not_write_is_refused_with_what_to_change() {
        let (grey, size) = (options(Some(Format::Grey), Some([640, 480])), options(None, Some([780, 360])));
        for (text, options, part) in [
            ("rpicam-vid --width 640 --height 480 -o -", &CameraOptions::default(), "add --codec yuv420"),
            ("rpicam-vid -o -", &grey, "add --codec yuv420"),
            ("rpicam-vid --codec h264 -o -", &grey, "--codec yuv420 (or mjpeg)"),
            ("libcamera-vid --codec=H264 -o -", &size, "--codec yuv420 (or mjpeg)"),
            ("rpicam-vid --codec yuv420 --width 640 --height 480", &grey, "leave out --frame-format gray"),
            (
                "rpicam-vid --codec yuv420 --width 1296 --height 972",
                &size,
                "--frame-size 780x360 contradicts --width 1296 --height 972",
            ),
            ("rpicam-vid --codec yuv420 --height 972", &size, "contradicts --height 972 of"),
        ] {
            let error = written(text, options).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
        assert!(written("rpicam-vid --codec mjpeg --width 1296 --height 972", &size).is_ok());
    }
}
