//! What the tests of telemetry share: synthetic frames, a feeder, and a plain HTTP client.
#![allow(dead_code, reason = "each test takes what it needs")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use edge_runtime::frame::{Frame, Luma, Observation};
use edge_runtime::telemetry::{About, Telemetry, TelemetryOptions};
use expression_core::{Bounds, Label, Quality, Record, Stamp};

/// Nothing here takes so long; a test that waits longer has failed.
pub const LONG: Duration = Duration::from_secs(60);
pub const TOKEN: &str = "a-token-for-the-tests";

pub fn about() -> About {
    About {
        bundle: "ferplus-test".into(),
        model: "0123abcd".into(),
        source: "test".into(),
        journal: None,
        score_scale: 0.05,
        labels: [true; 8],
    }
}

pub fn start(options: TelemetryOptions) -> Arc<Telemetry> {
    Arc::new(Telemetry::start(options, about(), None).unwrap())
}

/// A grey frame of 320x240 with a bright square that moves.
pub fn frame(sequence: u64) -> Frame {
    let (width, height) = (320, 240);
    let mut bytes = vec![40u8; width * height];
    let left = (sequence as usize * 3) % (width - 80);
    for y in 60..160 {
        bytes[y * width + left..y * width + left + 80].fill(210);
    }
    let luma = Luma { width, height, offset: 0, step: 1, stride: width };
    Frame { bytes, luma, sequence, stamp: stamp(), ..Frame::default() }
}

fn stamp() -> Stamp {
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Stamp { monotonic_ns: wall.as_nanos() as u64, wall_us: wall.as_micros() as i64 }
}

/// Two faces: one that can be read and whose scores move, one that is too small.
pub fn observation(sequence: u64) -> Observation {
    let left = ((sequence * 3) % 240) as i16;
    let wave = |phase: f64| (128.0 + 100.0 * (sequence as f64 / 20.0 + phase).sin()) as u8;
    let scores: [u8; 8] = std::array::from_fn(|index| wave(index as f64));
    let top = (0..8).max_by_key(|index| scores[*index]).unwrap();
    let faces = vec![
        Record {
            track: 1,
            bounds: Bounds { left, top: 60, width: 80, height: 100 },
            quality: Quality::Good,
            scores: Some(scores),
            label: Label::from_index(top),
            confidence: 200,
        },
        Record {
            track: 2,
            bounds: Bounds { left: 270, top: 20, width: 24, height: 30 },
            quality: Quality::Small,
            scores: None,
            label: None,
            confidence: 0,
        },
    ];
    Observation {
        stamp: stamp(),
        sequence,
        name: None,
        size: [320, 240],
        faces,
        latency_us: 7_300,
        millicelsius: Some(51_250),
    }
}

/// Feeds synthetic frames from a thread until it is dropped.
pub struct Feeder {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Feeder {
    pub fn new(telemetry: &Arc<Telemetry>) -> Feeder {
        let (stop, telemetry) = (Arc::new(AtomicBool::new(false)), telemetry.clone());
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || {
            for sequence in 0.. {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                telemetry.observe(&frame(sequence), &observation(sequence));
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        Feeder { stop, thread: Some(thread) }
    }
}

impl Drop for Feeder {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.thread.take().unwrap().join();
    }
}

/// A connection whose reads and writes fail in the end.
pub fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    stream.set_write_timeout(Some(LONG)).unwrap();
    stream
}

/// An answer's head and, where it has an end, its body.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// Asks for `path` by `GET` with more headers (`Name: value`), and reads the whole answer.
pub fn get(address: SocketAddr, path: &str, headers: &[&str]) -> Answer {
    request(address, "GET", path, headers, "")
}

pub fn request(address: SocketAddr, method: &str, path: &str, headers: &[&str], body: &str) -> Answer {
    let mut stream = connect(address);
    send(&mut stream, address, method, path, headers, body);
    let mut reader = BufReader::new(stream);
    let mut answer = head(&mut reader);
    match answer.header("content-length").map(|length| length.parse().unwrap()) {
        Some(0) => {}
        Some(_) if method == "HEAD" => {}
        Some(length) => {
            answer.body = vec![0; length];
            reader.read_exact(&mut answer.body).unwrap();
        }
        None if answer.status == 204 => {}
        None => drop(reader.read_to_end(&mut answer.body).unwrap()),
    }
    answer
}

pub fn send(stream: &mut TcpStream, address: SocketAddr, method: &str, path: &str, headers: &[&str], body: &str) {
    let mut text = format!("{method} {path} HTTP/1.1\r\n");
    if !headers.iter().any(|line| line.to_lowercase().starts_with("host:")) {
        text += &format!("Host: {address}\r\n");
    }
    if !body.is_empty() || method == "POST" {
        text += &format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len());
    }
    headers.iter().for_each(|line| text += &format!("{line}\r\n"));
    text += "\r\n";
    text += body;
    stream.write_all(text.as_bytes()).unwrap();
}

/// Reads the head of an answer.
pub fn head(reader: &mut impl BufRead) -> Answer {
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    let status = line.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or_else(|| panic!("head {line:?}"));
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.push((name.to_lowercase(), value.trim().to_owned()));
    }
    Answer { status, headers, body: Vec::new() }
}

/// Asks again and again until an answer comes up to what is wanted.
pub fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = std::time::Instant::now() + LONG;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(std::time::Instant::now() < deadline, "waited in vain for: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Whether a program is there; says that the test is skipped if it is not.
pub fn has(program: &str, package: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let sbin = ["/usr/sbin", "/usr/local/sbin"].map(Into::into);
    let found =
        std::env::split_paths(&path).chain(sbin).any(|folder: std::path::PathBuf| folder.join(program).is_file());
    if !found {
        eprintln!("skipped: {program} is not installed (Debian: apt-get install {package})");
    }
    found
}
