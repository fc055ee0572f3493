//! Network cameras and video files, read through ffmpeg or GStreamer: whichever is installed is started by itself.

use std::path::Path;
use std::process::{Command, Stdio};

use super::secret::{escaped, secrets, shown};
use super::{CameraError, CameraOptions, Format, command, live::Live};

/// Endings of the names of video files, in lower case.
const VIDEOS: [&str; 33] = [
    "mp4", "m4v", "mov", "mkv", "webm", "avi", "mpg", "mpeg", "ts", "mts", "m2ts", "h264", "264", "h265", "hevc",
    "flv", "wmv", "3gp", "ogv", "mjpeg", "mjpg", "m3u8", "265", "3g2", "asf", "av1", "dav", "dv", "ivf", "m2v", "mpe",
    "mxf", "vob",
];
/// Schemes of addresses that ffmpeg and GStreamer read.
const SCHEMES: [&str; 9] = ["rtsp", "rtsps", "http", "https", "rtmp", "rtmps", "udp", "tcp", "srt"];

/// The flag of ffmpeg that says how frames are repeated and dropped, and its name before version 5.1.
const NEW_SYNC: &str = "-fps_mode";
const OLD_SYNC: &str = "-vsync";

/// The frame rate of a file. Browsers record videos that do not tell theirs, for which ffmpeg takes the unit of time: 1000 a second.
/// The filter of old versions, such as 4.2, knows no expressions, and then fails.
const FILE_RATE: &str = "fps='if(between(source_fps,0.00001,240),source_fps,30)'";
/// Makes pixels square: faces of DV, DVD, HDV and of some network cameras would be squeezed otherwise. Frames are only enlarged, and
/// not by what only a damaged file says.
const SQUARE: &str = "scale='round(iw*clip(sar,1,4))':'round(ih*clip(1/sar,1,4))',setsar=1";

/// Whether `text` is the address of a stream or the name of a video file.
pub fn is_media(text: &str) -> bool {
    is_address(text) || is_video(text)
}

fn is_video(name: &str) -> bool {
    let ending = Path::new(name).extension().and_then(|ending| ending.to_str());
    ending.is_some_and(|ending| VIDEOS.contains(&ending.to_ascii_lowercase().as_str()))
}

fn is_address(text: &str) -> bool {
    text.split_once("://").is_some_and(|(scheme, rest)| SCHEMES.contains(&scheme) && !rest.is_empty())
}

/// Whether a file is called a Motion JPEG video. Its pictures may differ in size, and with each change the filter of [`FILE_RATE`] loses
/// one; ffmpeg takes 25 a second in any case.
fn is_motion_jpeg(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name.ends_with(".mjpg") || name.ends_with(".mjpeg")
}

/// Whether an address is that of a video file on a web server, of which no frame is to be left out, not that of a camera.
fn is_film(address: &str) -> bool {
    let path = address.split(['?', '#']).next().unwrap_or_default().to_ascii_lowercase();
    path.starts_with("http") && is_video(&path) && !is_motion_jpeg(&path)
}

/// Starts what reads `address`.
///
/// # Errors
/// Says what to install if no program that reads it is there.
pub fn open(address: &str, options: &CameraOptions) -> Result<Live, CameraError> {
    let shown = shown(address);
    if !is_address(address) && !Path::new(address).is_file() {
        let reason = if Path::new(address).exists() { "it is not a regular file" } else { "there is no such file" };
        return Err(CameraError::Unavailable { what: shown, reason: reason.into() });
    }
    let sync = if is_installed("ffmpeg") { sync_flag() } else { NEW_SYNC };
    let understood = if is_address(address) { escaped(address) } else { address.to_owned() };
    let call = |demuxer| words(&understood, options.realtime, demuxer, sync, is_installed);
    let Some(words) = call(None) else {
        let reason =
            "ffmpeg reads it and is not installed; install it, for example with `sudo apt install ffmpeg`".into();
        return Err(CameraError::Unavailable { what: shown, reason });
    };
    let options = CameraOptions {
        format: Some(Format::Y4m),
        once: !is_address(address),
        // ffmpeg waits without end for a camera that accepts the connection and says nothing.
        starts_soon: is_address(address),
        newest: is_address(address) && !is_film(address),
        end_with_command: options.end_with_command || !is_address(address),
        ..options.clone()
    };
    // Parts of a stream that do not say that they are JPEG, or end their lines in another way, are found by their pictures alone.
    // GStreamer takes any address for such a stream first, and the frames of any file for ones that have a time.
    let others = if is_address(address) { address.starts_with("http") } else { words[0] != "ffmpeg" };
    let others: Vec<_> = others.then(|| call(Some("mjpeg"))).flatten().into_iter().collect();
    let secrets = [secrets(address), secrets(&understood)].concat();
    command::open_as(&format!("{shown} ({})", words[0]), &words, &others, secrets, &options)
}

/// Returns the path in a `file:` address such as `file:///films/a%20b.mp4`.
pub fn from_file_address(text: &str) -> Option<String> {
    let rest = text.strip_prefix("file:")?;
    let Some(path) = rest.strip_prefix("//") else { return Some(rest.to_owned()) };
    let path = path.strip_prefix("localhost").filter(|path| path.starts_with('/')).unwrap_or(path);
    let (mut bytes, mut rest) = (Vec::new(), path.as_bytes());
    while let [byte, after @ ..] = rest {
        let code = (*byte == b'%').then(|| after.get(..2)).flatten();
        let code = code.filter(|code| code.iter().all(u8::is_ascii_hexdigit));
        let code = code.and_then(|code| std::str::from_utf8(code).ok());
        match code.and_then(|code| u8::from_str_radix(code, 16).ok()) {
            Some(code) => {
                bytes.push(code);
                rest = &after[2..];
            }
            None => {
                bytes.push(*byte);
                rest = after;
            }
        }
    }
    // Paths of sources are text.
    Some(String::from_utf8(bytes).unwrap_or_else(|_| path.to_owned()))
}

/// Returns the name that the installed ffmpeg has for [`NEW_SYNC`]: version 9 no longer knows the old one.
fn sync_flag() -> &'static str {
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-nostdin", "-loglevel", "quiet", NEW_SYNC, "passthrough", "-version"]);
    let status = ffmpeg.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    if status.is_ok_and(|status| status.success()) { NEW_SYNC } else { OLD_SYNC }
}

/// The command that writes the luma of `address` as y4m, read as a format if one is given; `None` if neither program is installed.
/// GStreamer finds the format itself then, and takes the frames of a file as they come. `sync` is the result of [`sync_flag`].
fn words(
    address: &str,
    realtime: bool,
    demuxer: Option<&str>,
    sync: &str,
    is_installed: impl Fn(&str) -> bool,
) -> Option<Vec<String>> {
    let begins = |scheme: &str| is_address(address) && address.starts_with(scheme);
    let rtsp = begins("rtsp");
    let split = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<String>>();
    if is_installed("ffmpeg") {
        let mut words = split("ffmpeg -nostdin -loglevel error");
        if begins("http") {
            // Without a buffer ffmpeg gives no frame of a file that a web server holds.
            words.extend(split("-flags low_delay"));
        } else if is_address(address) {
            // Without these several seconds are buffered; UDP loses packets, which tears frames.
            words.extend(split("-fflags nobuffer -flags low_delay"));
        }
        if rtsp {
            // A camera without TCP gets UDP.
            words.extend(split("-rtsp_flags prefer_tcp"));
        }
        if realtime && !is_address(address) {
            words.push("-re".into());
        }
        words.extend(demuxer.into_iter().flat_map(|demuxer| ["-f".to_owned(), demuxer.to_owned()]));
        // A name that begins with a hyphen is no flag, and one with a colon no address.
        let input = if is_address(address) { address.to_owned() } else { format!("file:{address}") };
        words.extend(["-i".to_owned(), input]);
        words.extend(split("-an -sn -dn"));
        // Y4m has a constant rate. Frames of a camera with a variable one would be repeated and dropped to make it up; those of a
        // file are, as they are stamped by the rate.
        if is_address(address) {
            words.extend([sync, "passthrough"].map(str::to_owned));
        }
        let has_rate = is_address(address) || is_motion_jpeg(address);
        let rate = (!has_rate && sync == NEW_SYNC).then_some(FILE_RATE);
        let filters = rate.into_iter().chain([SQUARE]).collect::<Vec<_>>().join(",");
        words.extend(["-vf".to_owned(), filters]);
        words.extend(split("-pix_fmt gray -f yuv4mpegpipe -"));
        return Some(words);
    }
    if is_installed("gst-launch-1.0") {
        let mut words = split("gst-launch-1.0 -q");
        if rtsp {
            words.push("rtspsrc".into());
            words.push(format!("location={address}"));
            words.extend(split("latency=0 protocols=tcp ! decodebin"));
        } else if begins("http") && demuxer.is_none() {
            // uridecodebin waits for ever for a buffer that parts of a stream never fill.
            words.extend(["souphttpsrc".to_owned(), format!("location={address}")]);
            words.extend(split("is-live=true do-timestamp=true ! multipartdemux ! jpegdec"));
        } else if is_address(address) {
            words.extend(["uridecodebin".to_owned(), format!("uri={address}")]);
        } else {
            words.extend(["filesrc".to_owned(), format!("location={address}")]);
            words.extend(split("! decodebin"));
            if demuxer.is_none() {
                // Frames are stamped by the rate, so it has to be constant. Frames without a time cannot be brought to one.
                words.extend(split("! videorate"));
            }
        }
        let sink = if realtime { "fdsink sync=true" } else { "fdsink sync=false" };
        // Videos of phones say how they are to be turned. ffmpeg turns them unasked.
        words.extend(split("! videoconvert ! videoflip video-direction=auto ! videoscale !"));
        // y4menc writes rows that GStreamer has padded: frames of other sizes are scaled by a few pixels.
        let sizes = "width=[8,8192,8],height=[2,8192,2]";
        words.extend(split(&format!("video/x-raw,format=I420,{sizes},pixel-aspect-ratio=1/1 ! y4menc !")));
        words.extend(split(sink));
        return Some(words);
    }
    None
}

/// Whether a program is in one of the folders of `PATH`.
fn is_installed(program: &str) -> bool {
    let search = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&search).any(|folder| folder.join(program).is_file())
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::super::{Next, Source};
    use super::*;
    use crate::frame::Frame;

    #[test]
    fn streams_and_videos_are_read_by_what_is_installed() {
        let line = |address: &str, realtime, installed: &[&str]| {
            let is_installed = |program: &str| installed.contains(&program);
            words(address, realtime, None, OLD_SYNC, is_installed).map(|words| words.join(" "))
        };
        let both = ["ffmpeg", "gst-launch-1.0"];
        let rtsp = line("rtsp://camera/1", false, &both).unwrap();
        assert!(rtsp.starts_with("ffmpeg -nostdin ") && rtsp.ends_with(" -pix_fmt gray -f yuv4mpegpipe -"), "{rtsp}");
        assert!(rtsp.contains(" -vsync passthrough -vf scale="), "{rtsp}");
        assert!(
            rtsp.contains("-fflags nobuffer -flags low_delay -rtsp_flags prefer_tcp -i rtsp://camera/1 "),
            "{rtsp}"
        );
        let http = line("http://camera/video", false, &both).unwrap();
        assert!(http.contains("-flags low_delay -i http://") && !http.contains("nobuffer"), "{http}");
        assert!(!http.contains("rtsp"), "{http}");
        let file = line("-a film.mp4", true, &both).unwrap();
        assert!(file.contains("-re -i file:-a film.mp4 ") && !file.contains("nobuffer"), "{file}");
        // The filter of a version that does not know the new flag may know no expressions.
        assert!(!file.contains("passthrough") && file.contains(" -vf scale="), "{file}");
        let file = words("a.mp4", false, None, NEW_SYNC, |_| true).unwrap().join(" ");
        assert!(
            !file.contains("passthrough") && file.contains(" -vf fps='if(") && file.contains("',scale='"),
            "{file}"
        );
        let pictures = words("a.MJPEG", false, None, NEW_SYNC, |_| true).unwrap().join(" ");
        assert!(pictures.contains(" -vf scale="), "{pictures}");
        let gst = line("rtsp://camera/1", false, &both[1..]).unwrap();
        assert!(gst.starts_with("gst-launch-1.0 -q rtspsrc location=rtsp://camera/1 latency=0"), "{gst}");
        let gst_file = line("a.mp4", false, &both[1..]).unwrap();
        assert!(gst_file.contains("filesrc location=a.mp4 ! decodebin ! videorate ! videoconvert "), "{gst_file}");
        assert!(!gst.contains("videorate"), "{gst}");
        let other = words("a.mp4", false, Some("mjpeg"), OLD_SYNC, |program| program != "ffmpeg").unwrap().join(" ");
        assert!(other.contains("filesrc location=a.mp4 ! decodebin ! videoconvert "), "{other}");
        let caps = "video/x-raw,format=I420,width=[8,8192,8],height=[2,8192,2],pixel-aspect-ratio=1/1";
        assert!(gst.contains(&format!(" ! videoflip video-direction=auto ! videoscale ! {caps} ! y4menc ! ")), "{gst}");
        let gst = line("http://camera/video", false, &both[1..]).unwrap();
        assert!(gst.contains(" souphttpsrc location=http://camera/video is-live=true "), "{gst}");
        let other =
            words("http://camera/video", false, Some("mjpeg"), OLD_SYNC, |program| program != "ffmpeg").unwrap();
        assert!(other.join(" ").contains(" uridecodebin uri=http://camera/video ! "), "{other:?}");
        assert_eq!(line("a.mp4", false, &[]), None);
    }

    #[test]
    fn a_program_that_repeats_the_address_does_not_bring_its_password_to_the_log() {
        let address = "rtsp://me:secret@camera/1";
        let words = ["sh", "-c", "echo rtsp://me:secret@camera/1: 401 Unauthorized >&2; exit 1"].map(str::to_owned);
        let options = CameraOptions { format: Some(Format::Y4m), ..CameraOptions::default() };
        let mut source = command::open_as("x", &words, &[], secrets(address), &options).unwrap();
        let mut frame = Frame::default();
        let reason = loop {
            match source.next(&mut frame).unwrap() {
                Next::Lost { reason } => break reason,
                other => assert_eq!(other, Next::Waiting),
            }
        };
        assert!(reason.ends_with("it said: rtsp://camera/1: 401 Unauthorized"), "{reason}");
    }

    #[test]
    fn a_camera_that_accepts_and_says_nothing_is_lost_or_refused() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("rtsp://me:secret@{}/1", listener.local_addr().unwrap());
        let options = CameraOptions { first_frame: Duration::from_millis(100), ..CameraOptions::default() };
        let mut source = match open(&address, &options) {
            Ok(source) => source,
            Err(error) => {
                // Neither program is installed: nothing to test.
                assert!(error.to_string().contains("is not installed"), "{error}");
                return;
            }
        };
        // How it ends, which must not take for ever.
        let told = |source: &mut Live| {
            let (mut frame, begun) = (Frame::default(), Instant::now());
            while begun.elapsed() < Duration::from_secs(60) {
                match source.next(&mut frame) {
                    Ok(Next::Lost { reason }) => return reason,
                    Ok(other) => assert_eq!(other, Next::Waiting),
                    Err(error) => return error.to_string(),
                }
            }
            panic!("it is waited for without end");
        };
        let reason = told(&mut source);
        assert!(reason.starts_with("rtsp://") && reason.ends_with("gave no frame for 100.0ms"), "{reason}");
        assert!(!reason.contains("secret"), "{reason}");
        drop(source);
        let error = told(&mut open(&address, &CameraOptions { fail_without_frame: true, ..options }).unwrap());
        assert!(
            error.starts_with("cannot open rtsp://") && error.ends_with(": it gave no frame for 100.0ms"),
            "{error}"
        );
    }

    #[test]
    fn a_file_may_be_written_as_an_address() {
        for (text, path) in [
            ("file:///films/a%20b.mp4", "/films/a b.mp4"),
            ("file://localhost/a.mp4", "/a.mp4"),
            ("file:///100%/%zz%c3%a9%.mp4", "/100%/%zz\u{e9}%.mp4"),
            ("file://a.mp4", "a.mp4"),
            ("file:a%20b.mp4", "a%20b.mp4"),
        ] {
            assert_eq!(from_file_address(text).as_deref(), Some(path), "{text}");
        }
        assert_eq!(from_file_address("/file:/a.mp4"), None);
    }

    #[test]
    fn a_video_file_that_cannot_be_read_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("co:lon.mp4");
        std::fs::write(&path, b"text").unwrap();
        let options = CameraOptions { wait_for_camera: true, ..CameraOptions::default() };
        let mut source = match open(path.to_str().unwrap(), &options) {
            Ok(source) => source,
            Err(error) => {
                // Neither program is installed: nothing to test.
                assert!(error.to_string().contains("is not installed"), "{error}");
                return;
            }
        };
        let mut frame = Frame::default();
        let error = loop {
            match source.next(&mut frame) {
                Ok(next) => assert_eq!(next, Next::Waiting),
                Err(error) => break error.to_string(),
            }
        };
        assert!(error.contains("co:lon.mp4") && error.contains("no frame of it can be read"), "{error}");
        assert_eq!(source.next(&mut frame).unwrap(), Next::End);
    }

    #[test]
    fn a_folder_is_no_video() {
        let folder = tempfile::tempdir().unwrap();
        for (path, reason) in
            [(folder.path().to_owned(), "it is not a regular file"), (folder.path().join("a"), "no such file")]
        {
            let error = open(path.to_str().unwrap(), &CameraOptions::default()).err().unwrap().to_string();
            assert!(error.contains(reason), "{error}");
        }
    }

    #[test]
    fn no_frame_of_a_film_on_a_web_server_is_left_out() {
        for text in ["http://server/a.mp4", "https://server/a.MKV?token=1", "http://server/live.m3u8"] {
            assert!(is_film(text), "{text}");
        }
        for text in
            ["http://camera/video.mjpg", "http://camera/a?file=b.mp4", "http://192.168.1.5", "rtsp://camera/a.mp4"]
        {
            assert!(!is_film(text), "{text}");
        }
    }

    #[test]
    fn media_is_known_by_scheme_or_ending() {
        for text in ["rtsp://a", "https://a/b", "a.MP4", "/x/y z.mkv", "a:b.avi"] {
            assert!(is_media(text), "{text}");
        }
        for text in ["rtsp:a", "rtsp://", "a.png", "mp4", "ftp://a/b", "dir:a"] {
            assert!(!is_media(text), "{text}");
        }
    }
}
