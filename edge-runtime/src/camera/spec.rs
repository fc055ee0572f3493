//! The text of `--source`.

use std::path::PathBuf;
use std::str::FromStr;

use expression_engine::files::from_home;

use super::secret::without_password;
use super::{CameraError, Format, Wish, media, shell};

/// What frames are to come from: the parsed text of `--source`.
#[derive(Debug, Clone, PartialEq)]
pub enum Spec {
    /// `v4l2:/dev/video0`, and what it is asked for: `?size=640x480&format=YUYV&fps=30`.
    V4l2 {
        /// The device file.
        device: PathBuf,
        /// What it is asked for.
        wish: Wish,
    },
    /// `command:PROGRAM ARGUMENTS`: a program that writes frames to its stdout.
    Command {
        /// The program and its arguments; no shell reads them.
        words: Vec<String>,
    },
    /// `rtsp://...`, `http://...` or a video file such as `film.mp4`: what ffmpeg or GStreamer reads.
    Media {
        /// The address or the file.
        address: String,
    },
    /// `y4m:FILE`, or `y4m:-` for stdin.
    Y4m {
        /// The file; `None` is stdin.
        file: Option<PathBuf>,
    },
    /// `dir:FOLDER`: its pictures, sorted by name.
    Dir {
        /// The folder.
        folder: PathBuf,
    },
    /// `images:PATTERN`: the pictures that a pattern such as `faces/*.png` names, sorted by path.
    Images {
        /// The pattern.
        pattern: String,
    },
}

const KINDS: &str = "write v4l2:/dev/video0, command:\"PROGRAM ARGUMENTS\", rtsp://CAMERA/PATH, FILE.mp4, y4m:FILE, y4m:- (stdin), dir:FOLDER \
     or images:PATTERN";

impl FromStr for Spec {
    type Err = CameraError;

    fn from_str(text: &str) -> Result<Spec, CameraError> {
        let wrong =
            |reason: String| CameraError::Spec { text: without_password(text), reason: without_password(&reason) };
        const NAMES: [&str; 5] = ["v4l2", "command", "y4m", "dir", "images"];
        let known = text.split_once(':').filter(|(kind, _)| NAMES.contains(kind));
        let file = media::from_file_address(text);
        let named = file.as_deref().unwrap_or(text);
        if known.is_none() && !named.is_empty() && (file.is_some() || media::is_media(named)) {
            return Ok(Spec::Media { address: from_home(named) });
        }
        let Some((kind, rest)) = text.split_once(':') else { return Err(wrong(KINDS.into())) };
        if rest.is_empty() {
            return Err(wrong(format!("nothing follows {kind}:; {KINDS}")));
        }
        match kind {
            "v4l2" => v4l2(rest).map_err(wrong),
            "command" => Ok(Spec::Command { words: words(rest).map_err(wrong)? }),
            "y4m" => Ok(Spec::Y4m { file: (rest != "-").then(|| from_home(rest).into()) }),
            "dir" => Ok(Spec::Dir { folder: from_home(rest).into() }),
            "images" => Ok(Spec::Images { pattern: from_home(rest) }),
            _ => Err(wrong(format!("no source is called {kind}; {KINDS}"))),
        }
    }
}

fn v4l2(text: &str) -> Result<Spec, String> {
    let (device, query) = text.split_once('?').unwrap_or((text, ""));
    if device.is_empty() {
        return Err("the device is missing, such as /dev/video0".into());
    }
    let mut wish = Wish::default();
    for part in query.split('&').filter(|part| !part.is_empty()) {
        match part.split_once('=') {
            Some(("size", size)) => wish.size = Some(parse_size(size)?),
            Some(("format", format)) => match format.parse()? {
                Format::Y4m => return Err("no camera gives y4m".into()),
                format => wish.format = Some(format),
            },
            Some(("fps", rate)) => wish.rate = Some(parse_rate(rate)?),
            _ => {
                return Err(format!(
                    "{part} is not known; after ? come size=640x480, format=YUYV, fps=30, joined by &"
                ));
            }
        }
    }
    Ok(Spec::V4l2 { device: device.into(), wish })
}

/// Width and height of `640x480`.
fn parse_size(text: &str) -> Result<[u32; 2], String> {
    let side = |text: &str| text.parse::<u32>().ok();
    let size = text.split_once('x').and_then(|(width, height)| Some([side(width)?, side(height)?]));
    size.filter(|[width, height]| expression_engine::picture::is_size_supported(*width as usize, *height as usize))
        .ok_or_else(|| format!("invalid size {text}: expected width and height in pixels, such as 640x480"))
}

fn parse_rate(text: &str) -> Result<u32, String> {
    let rate = text.parse().ok().filter(|rate| (1..=1000).contains(rate));
    rate.ok_or_else(|| format!("invalid rate {text}: expected frames per second, 1 to 1000"))
}

/// The words of a command. The whole may stand in quotes of its own, as it does in a configuration file.
fn words(text: &str) -> Result<Vec<String>, String> {
    let split = |text: &str| shlex::split(text).ok_or("a quote or backslash has no end; write them as for a shell");
    let (mut words, mut text) = (split(text)?, text.to_owned());
    if let [whole] = words.as_slice()
        && whole.contains(char::is_whitespace)
    {
        text.clone_from(whole);
        words = split(whole)?;
    }
    if let Some(syntax) = shell::syntax(&text) {
        return Err(match syntax.strip_suffix('=') {
            Some(name) => format!("no shell runs the command to set {name}; write command:env {name}=VALUE PROGRAM"),
            None => format!(
                "{syntax} has a meaning only in a shell, and no shell runs the command; write command:sh -c 'THE COMMAND', or put \
                 {syntax} in quotes to pass it to the program"
            ),
        });
    }
    let words: Vec<String> = words.iter().map(|word| from_home(word)).collect();
    match words.first().is_some_and(|program| !program.is_empty()) {
        true => Ok(words),
        false => Err("the program is missing".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        text.parse::<Spec>().unwrap_err().to_string()
    }

    #[test]
    fn every_kind_of_source_parses() {
        let camera = "v4l2:/dev/video2?size=800x600&format=yuyv&fps=15".parse::<Spec>().unwrap();
        let wish = Wish { size: Some([800, 600]), format: Some(Format::Yuyv), rate: Some(15) };
        assert_eq!(camera, Spec::V4l2 { device: "/dev/video2".into(), wish });
        let plain = "v4l2:/dev/v4l/by-id/usb:1".parse::<Spec>().unwrap();
        assert_eq!(plain, Spec::V4l2 { device: "/dev/v4l/by-id/usb:1".into(), wish: Wish::default() });
        assert_eq!("y4m:-".parse::<Spec>().unwrap(), Spec::Y4m { file: None });
        assert_eq!("y4m:a:b.y4m".parse::<Spec>().unwrap(), Spec::Y4m { file: Some("a:b.y4m".into()) });
        assert_eq!("dir:faces".parse::<Spec>().unwrap(), Spec::Dir { folder: "faces".into() });
        assert_eq!("images:a/*.png".parse::<Spec>().unwrap(), Spec::Images { pattern: "a/*.png".into() });
    }

    #[test]
    fn streams_and_video_files_need_no_prefix() {
        for text in ["rtsp://me:secret@camera/1", "http://camera/video.mjpg", "film.mp4", "/films/a b.MKV", "a:b.avi"] {
            assert_eq!(text.parse::<Spec>().unwrap(), Spec::Media { address: text.into() });
        }
        let film = |path: &str| Spec::Media { address: path.into() };
        assert_eq!("file:///films/a%20b.mp4".parse::<Spec>().unwrap(), film("/films/a b.mp4"));
        assert_eq!("file:film.mp4".parse::<Spec>().unwrap(), film("film.mp4"));
        // A file that is named as such may have any ending.
        assert_eq!("file:film.bin".parse::<Spec>().unwrap(), film("film.bin"));
        assert_eq!("tape.VOB".parse::<Spec>().unwrap(), film("tape.VOB"));
        assert_eq!("y4m:film.mp4".parse::<Spec>().unwrap(), Spec::Y4m { file: Some("film.mp4".into()) });
    }

    #[test]
    fn a_tilde_behind_a_colon_is_the_home_folder() {
        let home = std::env::var("HOME").unwrap();
        assert_eq!("dir:~/pics".parse::<Spec>().unwrap(), Spec::Dir { folder: format!("{home}/pics").into() });
        assert_eq!("dir:~".parse::<Spec>().unwrap(), Spec::Dir { folder: home.clone().into() });
        assert_eq!("y4m:~/a".parse::<Spec>().unwrap(), Spec::Y4m { file: Some(format!("{home}/a").into()) });
        assert_eq!("images:~/*.png".parse::<Spec>().unwrap(), Spec::Images { pattern: format!("{home}/*.png") });
        assert_eq!("~/a.mp4".parse::<Spec>().unwrap(), Spec::Media { address: format!("{home}/a.mp4") });
        assert_eq!(
            "command:~/cam ~/x".parse::<Spec>().unwrap(),
            Spec::Command { words: vec![format!("{home}/cam"), format!("{home}/x")] }
        );
        assert_eq!("dir:a~b".parse::<Spec>().unwrap(), Spec::Dir { folder: "a~b".into() });
    }

    #[test]
    fn commands_are_split_without_a_shell() {
        let words = |text: &str| match text.parse() {
            Ok(Spec::Command { words }) => words,
            other => panic!("{other:?}"),
        };
        assert_eq!(words("command:cat a.yuv"), ["cat", "a.yuv"]);
        assert_eq!(words("command:\"cat a.yuv\""), ["cat", "a.yuv"]);
        assert_eq!(words("command:sh -c 'cat a.yuv; echo $HOME'"), ["sh", "-c", "cat a.yuv; echo $HOME"]);
        assert_eq!(words("command:\"sh -c 'cat a|head'\""), ["sh", "-c", "cat a|head"]);
        assert_eq!(words("command:ffmpeg -i rtsp://h/x?a=1&b=2 -"), ["ffmpeg", "-i", "rtsp://h/x?a=1&b=2", "-"]);
    }

    #[test]
    fn bad_sources_are_told_what_to_write() {
        for (text, part) in [
            ("", "v4l2:/dev/video0"),
            ("/dev/video0", "v4l2:/dev/video0"),
            ("rtsp:somewhere", "no source is called rtsp"),
            ("dir:", "nothing follows dir:"),
            ("file://", "no source is called file"),
            ("v4l2:?size=1x1", "device is missing"),
            ("v4l2:/dev/video0?size=640", "640x480"),
            ("v4l2:/dev/video0?size=0x480", "640x480"),
            ("v4l2:/dev/video0?size=99999x99999", "640x480"),
            ("v4l2:/dev/video0?format=h264", "mjpeg"),
            ("v4l2:/dev/video0?format=y4m", "no camera"),
            ("v4l2:/dev/video0?fps=0", "1 to 1000"),
            ("v4l2:/dev/video0?zoom=2", "size=640x480"),
            (
                "command:cat a | head",
                "| has a meaning only in a shell, and no shell runs the command; write command:sh -c ",
            ),
            ("command:cat 'a' > b", "sh -c "),
            ("command:cat a|head", "or put | in quotes to pass it to the program"),
            ("command:\"cat 'a'; head\"", "; has a meaning only in a shell"),
            ("command:PASSWORD=x cat a", "no shell runs the command to set PASSWORD; write command:env PASSWORD=VALUE"),
            ("command:cat $HOME/x", "$ has a meaning only in a shell"),
            ("command:'cat", "no end"),
            ("command:''", "program is missing"),
            ("foo://u:hunter2@h/x", "no source is called foo"),
            ("command:curl -u me:hunter2 http://h | head", "sh -c "),
        ] {
            assert!(refused(text).contains(part), "{text}: {}", refused(text));
            assert!(!refused(text).contains("hunter2"), "{}", refused(text));
        }
    }
}
