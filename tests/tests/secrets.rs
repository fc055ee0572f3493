//! Tokens and passwords stay where they were put: not in the log, not in the process list, not in the journal.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use system_tests::{program, shipped_bundle};

const TOKEN: &str = "a-token-that-must-stay-secret";
const PASSWORD: &str = "a-password-that-must-stay-secret";
/// Nothing here takes so long.
const LONG: Duration = Duration::from_secs(60);

/// Ends the program if a test fails before.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The status and body of an answer to `GET /api/state`; `None` while nobody listens.
fn ask(port: u16, headers: &str) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(LONG)).ok()?;
    write!(stream, "GET /api/state HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

#[test]
fn secrets_are_neither_logged_nor_listed_nor_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("token"), format!("{TOKEN}\n")).unwrap();
    std::fs::write(path("password"), format!("{PASSWORD}\n")).unwrap();
    let bundle = shipped_bundle(folder.path());
    // A port that is free now; nobody answers at the broker's.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut command = program("edge-runtime");
    command.args([
        "run",
        "-vvv",
        "--board",
        "generic-x86-64",
        "--source",
        "y4m:-",
        "--mqtt",
        "mqtt://user@127.0.0.1:9",
    ]);
    command.args(["--preview", &format!("0.0.0.0:{port}")]).arg("--bundle").arg(&bundle);
    command.arg("--preview-token-file").arg(path("token")).arg("--mqtt-password-file").arg(path("password"));
    command.arg("--journal").arg(path("journal.db")).stdin(Stdio::piped()).stderr(Stdio::piped());
    let mut running = Running(command.spawn().unwrap());
    let mut stdin = running.0.stdin.take().unwrap();
    let mut log = BufReader::new(running.0.stderr.take().unwrap());
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        while log.read_line(&mut text).is_ok_and(|count| count > 0) {}
        text
    });
    stdin.write_all(b"YUV4MPEG2 W64 H48 F10:1 Cmono\n").unwrap();
    stdin.write_all(&[&b"FRAME\n"[..], &[128; 64 * 48]].concat()).unwrap();
    let started = Instant::now();
    let refused = loop {
        match ask(port, "") {
            Some(answer) => break answer,
            None => assert!(started.elapsed() < LONG, "the preview does not answer"),
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    assert!(refused.starts_with("HTTP/1.1 401 "), "{refused}");
    let near = format!("Authorization: Bearer {}x\r\n", &TOKEN[..TOKEN.len() - 1]);
    assert!(ask(port, &near).unwrap().starts_with("HTTP/1.1 401 "));
    let let_in = ask(port, &format!("Authorization: Bearer {TOKEN}\r\n")).unwrap();
    assert!(let_in.starts_with("HTTP/1.1 200 ") && !let_in.contains(TOKEN) && !let_in.contains(PASSWORD), "{let_in}");
    let _ = ask(port, &format!("Cookie: edge-runtime-{port}={TOKEN}\r\n"));
    for listed in ["cmdline", "environ", "comm"] {
        let text = std::fs::read(format!("/proc/{}/{listed}", running.0.id())).unwrap();
        let text = String::from_utf8_lossy(&text).into_owned();
        assert!(!text.contains(TOKEN) && !text.contains(PASSWORD), "{listed}: {text}");
    }
    drop(stdin);
    assert!(running.0.wait().unwrap().success());
    let log = reader.join().unwrap();
    assert!(log.contains("sandbox"), "{log}");
    assert!(!log.contains(TOKEN) && !log.contains(PASSWORD), "{log}");
    for entry in std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()) {
        let name = entry.file_name().unwrap().to_string_lossy().into_owned();
        if name.starts_with("journal") {
            let text = String::from_utf8_lossy(&std::fs::read(&entry).unwrap()).into_owned();
            assert!(!text.contains(TOKEN) && !text.contains(PASSWORD), "{name}");
        }
    }
}
