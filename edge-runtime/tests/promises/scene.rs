//! What the program watches here: a video of one rendered face and of nobody, on its standard input.

use std::io::{self, BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use test_support::http;

/// Width and height of a frame in pixels.
const SIDE: u32 = 128;
/// Where the first face lies in the picture of rendered faces.
const FACE: (u32, u32) = (418, 228);

/// The frames.
pub struct Scene {
    face: Vec<u8>,
    nobody: Vec<u8>,
}

impl Scene {
    /// Returns the frames; `None`, and a line that says so, if the bundle has no detector.
    pub fn load() -> Option<Scene> {
        if !bundle().join("detector.onnx").is_file() {
            eprintln!("skipped: no detector beside the bundle (host-trainer detector models/ferplus-edge)");
            return None;
        }
        let faces = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/faces.jpg");
        let picture = image::open(faces).unwrap().to_luma8();
        let face = image::imageops::crop_imm(&picture, FACE.0, FACE.1, SIDE, SIDE).to_image().into_raw();
        Some(Scene { nobody: vec![128; face.len()], face })
    }

    /// Writes the head of a video with `rate` frames per second.
    pub fn write_head(video: &mut impl Write, rate: u32) -> io::Result<()> {
        writeln!(video, "YUV4MPEG2 W{SIDE} H{SIDE} F{rate}:1 Ip A1:1 Cmono")
    }

    /// Writes a frame, with a face or without.
    pub fn write_frame(&self, video: &mut impl Write, with_face: bool) -> io::Result<()> {
        video.write_all(b"FRAME\n")?;
        video.write_all(if with_face { &self.face } else { &self.nobody })
    }
}

/// The shipped bundle.
pub fn bundle() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/ferplus-edge")
}

/// A video on the program's standard input.
pub const STDIN: &str = "y4m:-";

/// Returns `edge-runtime run` on `source`, with a journal.
pub fn recorder(source: &str, journal: &Path) -> Command {
    let mut run = Command::new(env!("CARGO_BIN_EXE_edge-runtime"));
    run.args(["run", "--board", "generic-x86-64", "--source", source, "--detect-every", "15", "--bundle"]);
    run.arg(bundle()).arg("--journal").arg(journal).env_remove("RUST_LOG");
    run.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    run
}

/// Returns [`recorder`] of frames from standard input, which records each face of each frame and commits five times a second.
pub fn recorder_of_all(journal: &Path) -> Command {
    let mut run = recorder(STDIN, journal);
    run.args(["--records-per-second", "inf", "--commit-every", "0.2"]);
    run
}

/// Starts `run` with a preview, and returns its address.
pub fn watched(mut run: Command) -> (Child, SocketAddr) {
    let mut process = run.args(["--preview", "127.0.0.1:0"]).stderr(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(process.stderr.take().unwrap()).lines().map_while(Result::ok);
    let (sender, addresses) = mpsc::channel();
    // Reads on, because the program would block on a full pipe.
    thread::spawn(move || {
        for line in lines {
            if let Some(address) = line.strip_prefix("preview: http://") {
                let _ = sender.send(address.trim_end_matches('/').parse().unwrap());
            }
        }
    });
    let address = addresses.recv_timeout(http::LONG).expect("the program says where its page is");
    (process, address)
}

/// Returns the value of a metric.
pub fn metric(address: SocketAddr, name: &str) -> f64 {
    let text = http::get(address, "/metrics", &["Connection: close"]).text();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')).map(str::parse);
    line.unwrap_or_else(|| panic!("no metric {name}")).unwrap()
}

/// A run that watches a face. It is killed when this is dropped.
pub struct Running {
    pub process: Child,
    /// The address of its preview and metrics.
    pub address: SocketAddr,
    fed: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    feeder: Option<JoinHandle<()>>,
}

impl Running {
    /// Starts `run` and gives it a face in every frame until it is ended.
    pub fn start(run: Command, scene: Scene, pause: Duration) -> Running {
        let (mut process, address) = watched(run);
        let mut video = process.stdin.take().unwrap();
        let (fed, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (counted, stopped) = (fed.clone(), stop.clone());
        let feeder = thread::spawn(move || {
            let feed = |video: &mut ChildStdin| -> io::Result<()> {
                Scene::write_head(video, 15)?;
                while !stopped.load(Ordering::Relaxed) {
                    scene.write_frame(video, true)?;
                    counted.fetch_add(1, Ordering::Relaxed);
                    thread::sleep(pause);
                }
                Ok(())
            };
            // The program may end first.
            let _ = feed(&mut video);
        });
        Running { process, address, fed, stop, feeder: Some(feeder) }
    }

    /// Frames that it was given so far.
    pub fn fed(&self) -> u64 {
        self.fed.load(Ordering::Relaxed)
    }

    /// Waits until it has been given this many more frames.
    pub fn await_frames(&mut self, more: u64) {
        let wanted = self.fed() + more;
        while self.fed() < wanted {
            let before = self.fed();
            http::until("a frame to be taken", || {
                assert!(self.process.try_wait().unwrap().is_none(), "the program has ended");
                (self.fed() > before).then_some(())
            });
        }
    }

    /// Ends the video, and waits for the program.
    pub fn finish(mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.feeder.take().unwrap().join().unwrap();
        assert!(self.process.wait().unwrap().success());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What a process holds at a moment.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Held {
    /// Memory that is resident, KiB.
    pub memory_kib: u64,
    /// Open files.
    pub descriptors: usize,
    /// Threads.
    pub threads: usize,
}

impl Held {
    /// Asks the kernel.
    pub fn of(process: &Child) -> Held {
        let folder = PathBuf::from(format!("/proc/{}", process.id()));
        let status = std::fs::read_to_string(folder.join("status")).unwrap();
        let memory = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        let entries = |name| std::fs::read_dir(folder.join(name)).unwrap().count();
        Held {
            memory_kib: memory.trim().trim_end_matches("kB").trim().parse().unwrap(),
            descriptors: entries("fd"),
            threads: entries("task"),
        }
    }

    /// Returns the largest of each.
    pub fn max(self, other: Held) -> Held {
        Held {
            memory_kib: self.memory_kib.max(other.memory_kib),
            descriptors: self.descriptors.max(other.descriptors),
            threads: self.threads.max(other.threads),
        }
    }
}

/// Pseudo-random numbers whose seed is printed, so that a failure can be repeated with `PROMISE_SEED`.
pub struct Random(u64);

impl Random {
    /// Starts with the clock, or `PROMISE_SEED`.
    pub fn seeded() -> Random {
        let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64;
        let seed = std::env::var("PROMISE_SEED").map_or(now, |text| text.parse().expect("PROMISE_SEED is a number"));
        eprintln!("PROMISE_SEED={seed}");
        Random(seed)
    }

    /// Returns another sequence, for a thread of its own.
    pub fn fork(&mut self) -> Random {
        Random(self.next())
    }

    /// Returns a number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn next(&mut self) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}
