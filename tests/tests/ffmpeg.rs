//! Video files and network cameras through the real ffmpeg, which `edge-runtime` starts by itself: a film of rendered people as a
//! file, over HTTP and over RTSP.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;

use serde_json::Value;
use system_tests::video::{HEIGHT, RATE, Scene, WIDTH, write};
use system_tests::{json_lines, program, shipped_bundle, succeed};

/// Length of the film, seconds.
const SECONDS: u64 = 3;
/// Frames per second of a network camera.
const CAMERA_RATE: u64 = 8;
/// Frames that are read from a network camera.
const FRAMES: usize = 10;

/// A program that is ended with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Whether ffmpeg is there and encodes H.264. Says so if it does not.
fn is_installed() -> bool {
    let encoders = Command::new("ffmpeg").args(["-hide_banner", "-encoders"]).output();
    let found = encoders.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains("libx264"));
    if !found {
        // Past the capture of the test harness.
        let _ = writeln!(std::io::stderr(), "skipped: no ffmpeg with libx264 here; `apt-get install ffmpeg` brings it");
    }
    found
}

fn ffmpeg(arguments: &str) -> Command {
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-loglevel", "error"]).args(arguments.split_whitespace());
    command
}

/// The film, drawn once, beside the bundle.
fn lab() -> &'static (tempfile::TempDir, PathBuf, PathBuf) {
    static LAB: OnceLock<(tempfile::TempDir, PathBuf, PathBuf)> = OnceLock::new();
    LAB.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let bundle = shipped_bundle(folder.path());
        let (drawn, film) = (folder.path().join("drawn.y4m"), folder.path().join("film.mp4"));
        let mut file = std::io::BufWriter::new(std::fs::File::create(&drawn).unwrap());
        write(&Scene::new(1).unwrap(), SECONDS * RATE, false, &mut file, &mut Vec::new()).unwrap();
        drop(file);
        // Without frames that refer to later ones, as cameras encode.
        let mut encode = ffmpeg("-y -i");
        encode.arg(&drawn).args("-c:v libx264 -crf 18 -bf 0 -g 8 -pix_fmt yuv420p".split(' '));
        succeed(encode.arg(&film));
        (folder, bundle, film)
    })
}

fn run(bundle: &Path, source: &str) -> Command {
    let mut command = program("edge-runtime");
    command.args(["run", "--board", "generic-x86-64", "--print", "--source", source, "--bundle"]).arg(bundle);
    command
}

/// Checks that frames have the film's size, and that nearly all show both people.
fn hold_people(frames: &[Value]) {
    for frame in frames {
        assert_eq!([&frame["frame_width"], &frame["frame_height"]], [WIDTH, HEIGHT], "{frame}");
    }
    let both = frames.iter().filter(|frame| frame["faces"].as_array().unwrap().len() == 2).count();
    assert!(both * 10 >= frames.len() * 9, "both people are seen in {both} of {} frames", frames.len());
}

#[test]
fn a_video_file_is_read_to_its_end() {
    if !is_installed() {
        return;
    }
    let (folder, bundle, film) = lab();
    let frames = json_lines(&succeed(&mut run(bundle, film.to_str().unwrap())).stdout);
    assert_eq!(frames.len() as u64, SECONDS * RATE);
    hold_people(&frames);

    // A phone held upright: stored on its side, with a mark that says so. A name that a shell would take apart.
    let upright = folder.path().join("-on its side; 1.MOV");
    let turned = |before: &str, after: &str| {
        ffmpeg(&format!("-y {before} -i")).arg(film).args(after.split(' ')).arg("--").arg(&upright).output().unwrap()
    };
    // Versions before 6 have another way to say it.
    if !turned("-display_rotation 90", "-c copy").status.success() {
        assert!(turned("-noautorotate", "-c copy -metadata:s:v:0 rotate=90").status.success());
    }
    let frames = json_lines(&succeed(&mut run(bundle, upright.to_str().unwrap())).stdout);
    assert_eq!([&frames[0]["frame_width"], &frames[0]["frame_height"]], [HEIGHT, WIDTH], "{}", frames[0]);

    // Pixels that are twice as wide as high, as tapes and some network cameras have them: faces are not squeezed.
    let narrow = folder.path().join("narrow.mp4");
    let half = format!("-vf scale={}:{HEIGHT},setsar=2 -c:v libx264 -crf 18 -frames:v 30", WIDTH / 2);
    succeed(ffmpeg("-y -i").arg(film).args(half.split(' ')).arg(&narrow));
    hold_people(&json_lines(&succeed(&mut run(bundle, narrow.to_str().unwrap())).stdout));

    // A film whose rate nothing tells, as browsers record it: frames are not repeated a thousand times a second.
    let recorded = folder.path().join("recorded.mkv");
    let jitter = "-vf settb=1/1000,setpts=N*33+mod(N*N*7\\,13) -enc_time_base 1:1000";
    let encode = "-c:v libx264 -crf 18 -bf 0 -write_crc32 0";
    succeed(ffmpeg("-y -i").arg(film).args(jitter.split(' ')).args(encode.split(' ')).arg(&recorded));
    let mut bytes = std::fs::read(&recorded).unwrap();
    // The element that holds the time from frame to frame becomes one that holds nothing.
    let rate = bytes.windows(3).position(|code| code == [0x23, 0xE3, 0x83]).unwrap();
    let length = usize::from(bytes[rate + 3] & 0x7F);
    bytes[rate] = 0xEC;
    bytes[rate + 1] = 0x80 | (length as u8 + 2);
    std::fs::write(&recorded, bytes).unwrap();
    let frames = json_lines(&succeed(&mut run(bundle, recorded.to_str().unwrap())).stdout);
    assert!((frames.len() as u64).abs_diff(SECONDS * RATE) <= SECONDS * RATE / 10, "{} frames", frames.len());

    // Not a video at all: what ffmpeg says about it is told.
    let text = folder.path().join("text.mp4");
    std::fs::write(&text, "no film\n").unwrap();
    let output = run(bundle, text.to_str().unwrap()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(2) && said.contains("Invalid data found"), "{said}");
}

/// Serves the film as a network camera does, over and over, in real time.
fn camera(output: &str) -> Running {
    let (_, _, film) = lab();
    let mut command = ffmpeg("-re -stream_loop -1 -i");
    command.arg(film).args(output.split_whitespace());
    Running(command.stdout(Stdio::null()).stderr(Stdio::inherit()).spawn().unwrap())
}

/// A port that nobody uses.
fn port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[test]
fn a_network_camera_that_sends_mjpeg_over_http_is_read() {
    if !is_installed() {
        return;
    }
    let (_, bundle, _) = lab();
    let address = format!("http://127.0.0.1:{}/video.mjpg", port());
    let _camera = camera(&format!("-r {CAMERA_RATE} -c:v mjpeg -q:v 3 -f mpjpeg -listen 1 {address}"));
    // The first attempt may come before the camera listens: it is tried again.
    let frames = json_lines(&succeed(run(bundle, &address).args(["--frames", &FRAMES.to_string()])).stdout);
    assert_eq!(frames.len(), FRAMES);
    hold_people(&frames);
}

/// A client of the RTSP server: packets go to it between the answers to its requests.
type Client = Arc<Mutex<Option<TcpStream>>>;

/// An RTSP server for one camera: ffmpeg sends it RTP packets over UDP, and it hands them on within the connection of who plays
/// the stream, as cameras do.
fn serve(listener: TcpListener, packets: UdpSocket, description: String) {
    let client = Client::default();
    let player = client.clone();
    thread::spawn(move || {
        let mut packet = [0; 2048];
        while let Ok(length) = packets.recv(&mut packet) {
            let mut playing = player.lock().unwrap();
            if let Some(stream) = playing.as_mut() {
                let head = [b'$', 0, (length >> 8) as u8, length as u8];
                if stream.write_all(&[&head, &packet[..length]].concat()).is_err() {
                    *playing = None;
                }
            }
        }
    });
    for stream in listener.incoming().map_while(Result::ok) {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        while let Some((method, number)) = request(&mut reader) {
            let more = match method.as_str() {
                "OPTIONS" => "Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN\r\n\r\n".to_owned(),
                "DESCRIBE" => format!(
                    "Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{description}",
                    description.len()
                ),
                "SETUP" => "Session: 1\r\nTransport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n\r\n".to_owned(),
                _ => "Session: 1\r\n\r\n".to_owned(),
            };
            let mut playing = client.lock().unwrap();
            let answer = format!("RTSP/1.0 200 OK\r\nCSeq: {number}\r\n{more}");
            let mut stream = &stream;
            if stream.write_all(answer.as_bytes()).is_err() {
                break;
            }
            if method == "PLAY" {
                *playing = Some(stream.try_clone().unwrap());
            }
        }
        *client.lock().unwrap() = None;
    }
}

/// The method and number of the next request, behind reports of what was received.
fn request(reader: &mut BufReader<TcpStream>) -> Option<(String, String)> {
    let mut head = Vec::new();
    loop {
        let first = *reader.fill_buf().ok()?.first()?;
        if head.is_empty() && first == b'$' {
            let mut report = [0; 4];
            reader.read_exact(&mut report).ok()?;
            let length = usize::from(u16::from_be_bytes([report[2], report[3]]));
            reader.read_exact(&mut vec![0; length]).ok()?;
            continue;
        }
        reader.read_until(b'\n', &mut head).ok()?;
        if head.ends_with(b"\r\n\r\n") {
            let text = String::from_utf8_lossy(&head);
            let number = text.lines().find_map(|line| line.strip_prefix("CSeq: ")).unwrap_or("0");
            return Some((text.split(' ').next()?.to_owned(), number.trim().to_owned()));
        }
    }
}

#[test]
fn a_network_camera_that_sends_h264_over_rtsp_is_read() {
    if !is_installed() {
        return;
    }
    let (folder, bundle, _) = lab();
    let packets = UdpSocket::bind("127.0.0.1:0").unwrap();
    let description = folder.path().join("stream.sdp");
    let rtp = format!("rtp://127.0.0.1:{}", packets.local_addr().unwrap().port());
    let output = format!("-r {CAMERA_RATE} -c:v libx264 -crf 20 -tune zerolatency -g 8 -pix_fmt yuv420p -f rtp");
    let _camera = camera(&format!("{output} -sdp_file {} {rtp}", description.display()));
    // It is written when the stream begins.
    let described = loop {
        match std::fs::read_to_string(&description) {
            Ok(text) if text.contains("a=fmtp") => break text,
            _ => thread::sleep(std::time::Duration::from_millis(50)),
        }
    };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("rtsp://me:secret@{}/stream1", listener.local_addr().unwrap());
    let described = described.lines().filter(|line| !line.starts_with("SDP")).map(|line| format!("{line}\r\n"));
    let described = described.collect::<String>() + "a=control:track1\r\n";
    thread::spawn(move || serve(listener, packets, described));
    let output = succeed(run(bundle, &address).args(["--frames", &FRAMES.to_string()]));
    let frames = json_lines(&output.stdout);
    assert_eq!(frames.len(), FRAMES);
    hold_people(&frames);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!said.contains("secret"), "{said}");
    // Each frame is another one: none is repeated to make up a rate.
    let boxes: Vec<&Value> = frames.iter().map(|frame| &frame["faces"]).collect();
    let repeated = boxes.windows(2).filter(|pair| pair[0] == pair[1]).count();
    assert_eq!(repeated, 0, "frames that were seen twice");
}

#[test]
fn what_ffmpeg_says_is_told_without_the_password() {
    if !is_installed() {
        return;
    }
    let (_, bundle, _) = lab();
    let address = format!("rtsp://me:p@ss:word@127.0.0.1:{}/1", port());
    let mut command = run(bundle, &address);
    let mut child = Running(command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap());
    let mut said = BufReader::new(child.0.stderr.take().unwrap()).lines().map(Result::unwrap);
    let lost = said.find(|line| line.contains("camera lost")).unwrap();
    assert!(lost.contains("Connection refused") && !lost.contains("ss:word"), "{lost}");
}
