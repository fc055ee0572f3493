//! The service as systemd sees it: this test stands in for systemd, and a child process for the runtime.

use std::env;
use std::io;
use std::os::unix::net::UnixDatagram;
use std::process::{Child, Command};
use std::thread::sleep;
use std::time::Duration;

use edge_runtime::service::{Progress, Service, Stop};
use rustix::process::{Pid, Signal, kill_process};

/// Tells the child what to do.
const PART: &str = "EDGE_RUNTIME_TEST_PART";
const SHORT: Duration = Duration::from_millis(5);

/// The child's side: a test that does nothing unless it was started as a child.
#[test]
fn child() {
    let Ok(part) = env::var(PART) else { return };
    let progress = Progress::default();
    let stop = Stop::on_signals().unwrap();
    let service = Service::start(progress.clone());
    service.ready("watching\nMAINPID=1");
    match part.as_str() {
        "hung" => sleep(Duration::from_millis(400)), // many times as long as the watchdog waits
        "working" => {
            while !stop.is_asked() {
                progress.made();
                sleep(SHORT);
            }
            service.stopping();
        }
        _ => {
            while !stop.is_asked() {
                sleep(SHORT);
            }
            service.stopping();
            loop {
                sleep(SHORT);
            }
        }
    }
}

/// What systemd holds of a service.
struct Systemd {
    socket: UnixDatagram,
    child: Child,
    _folder: tempfile::TempDir,
}

impl Systemd {
    fn start(part: &str) -> Systemd {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let child = Command::new(env::current_exe().unwrap())
            .args(["child", "--exact", "--nocapture"])
            .env(PART, part)
            .env("NOTIFY_SOCKET", &path)
            .env("WATCHDOG_USEC", "20000")
            .env_remove("WATCHDOG_PID")
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        Systemd { socket, child, _folder: folder }
    }

    fn message(&self) -> io::Result<String> {
        let mut bytes = [0; 1024];
        let length = self.socket.recv(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes[..length]).into_owned())
    }

    fn expect(&self, wanted: &str) {
        while self.message().unwrap_or_else(|error| panic!("{wanted} never came: {error}")) != wanted {}
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }
}

impl Drop for Systemd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const READY: &str = "READY=1\nSTATUS=watching MAINPID=1\n";

#[test]
fn a_working_service_is_ready_feeds_the_watchdog_and_stops_when_asked() {
    let mut systemd = Systemd::start("working");
    assert_eq!(systemd.message().unwrap(), READY);
    for _ in 0..3 {
        systemd.expect("WATCHDOG=1\n");
    }
    systemd.signal(Signal::TERM);
    systemd.expect("STOPPING=1\n");
    assert_eq!(systemd.child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_service_that_hangs_is_not_fed() {
    let mut systemd = Systemd::start("hung");
    assert_eq!(systemd.message().unwrap(), READY);
    systemd.socket.set_nonblocking(true).unwrap();
    // Read while it lives: a full socket would stop the one who feeds.
    let mut messages = Vec::new();
    while systemd.child.try_wait().unwrap().is_none() {
        messages.extend(systemd.message().ok());
        sleep(SHORT);
    }
    messages.extend(std::iter::from_fn(|| systemd.message().ok()));
    assert!(messages.is_empty() && systemd.child.wait().unwrap().success(), "{messages:?}");
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let mut systemd = Systemd::start("deaf");
    systemd.expect(READY);
    systemd.signal(Signal::INT);
    systemd.expect("STOPPING=1\n");
    systemd.signal(Signal::TERM);
    assert_eq!(systemd.child.wait().unwrap().code(), Some(1));
}
