//! Stands in for `edge-runtime` on a board of a simulated fleet: as large as a shell, and it starts as fast. The board file says
//! how it behaves, as with `systemctl.sh`. `rustc` compiles it; it uses nothing but the standard library.

use std::fs;
use std::path::Path;
use std::process::exit;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let value = |flag: &str| words.iter().position(|word| word == flag).and_then(|at| words.get(at + 1)).map(String::as_str);
    match words.first().map(String::as_str) {
        Some("--version") => println!("edge-runtime 0.1.0 (stand-in)"),
        Some("doctor") => {
            let board = fs::read_to_string(value("--board").unwrap()).unwrap();
            match board.contains("refused by the doctor") {
                true => println!("fail  bundle    this board cannot run it"),
                false => println!("ok    bundle    loads"),
            }
        }
        Some("selftest") => println!("equal"),
        Some("health") if value("--help").is_none() && !words.contains(&"--help".to_owned()) => {
            let socket = Path::new(value("--socket").unwrap());
            health(socket.ancestors().nth(3).unwrap(), value("--model"), &words);
        }
        Some("health") => {}
        _ => exit(2),
    }
}

/// The board's files say how its service is: whether one runs, and whether its camera was unplugged.
fn health(root: &Path, model: Option<&str>, words: &[String]) {
    let read = |path: &str| fs::read_to_string(root.join(path)).unwrap_or_default();
    if !root.join("active").exists() {
        eprintln!("error: no answer; is the service running?");
        exit(1);
    }
    let note = read("etc/edge-runtime/board.toml");
    let sees = !root.join("unplugged").exists() && !note.contains("cannot open the camera");
    if words.contains(&"--json".to_owned()) {
        println!(
            r#"{{"healthy":{sees},"version":"0.1.0","model":"abcdef","uptime_s":61,"frames_per_second":25.0,"faces_today":3,"celsius":40.5,"journal":{{"bytes":4096}},"last_error":null}}"#
        );
    } else {
        println!("{}", if sees { "ok    camera   25 frames/s" } else { "fail  camera   no frame has come yet" });
    }
    let is_ignored = words.windows(2).any(|pair| pair[0] == "--ignore" && pair[1] == "camera");
    if !sees && !is_ignored {
        eprintln!("error: camera: no frame has come yet");
        exit(1);
    }
    if model.is_some_and(|model| !read("usr/share/edge-runtime/bundle/manifest.toml").contains(model)) {
        eprintln!("error: model: another one runs");
        exit(1);
    }
}
