//! A broker of the test's own, and who listens to it.

use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use edge_runtime::telemetry::mqtt::{Address, BrokerOptions};

use super::support::*;

/// A mosquitto of the test's own, with its state in a folder.
pub struct Broker {
    pub folder: tempfile::TempDir,
    pub port: u16,
    child: Option<Child>,
}

impl Broker {
    /// Starts it on a free port; `more` is added to its configuration.
    pub fn new(more: impl Fn(&Path) -> String) -> Broker {
        let folder = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let path = folder.path().display();
        let user =
            if Command::new("id").arg("-u").output().is_ok_and(|id| id.stdout == b"0\n") { "user root\n" } else { "" };
        let text = format!(
            "{user}listener {port} 127.0.0.1\npersistence true\npersistence_location {path}/\nmax_queued_messages 0\n{}",
            more(folder.path())
        );
        std::fs::write(folder.path().join("conf"), text).unwrap();
        let mut broker = Broker { folder, port, child: None };
        broker.start();
        broker
    }

    pub fn anonymous() -> Broker {
        Broker::new(|_| "allow_anonymous true\n".into())
    }

    pub fn start(&mut self) {
        let program = if Path::new("/usr/sbin/mosquitto").exists() { "/usr/sbin/mosquitto" } else { "mosquitto" };
        let log = std::fs::File::create(self.folder.path().join("log")).unwrap();
        let child = Command::new(program)
            .arg("-c")
            .arg(self.folder.path().join("conf"))
            .stderr(log)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        self.child = Some(child);
        until("the broker to listen", || TcpStream::connect(("127.0.0.1", self.port)).ok());
    }

    /// Ends it as an orderly shutdown does, so that what it has acknowledged is on its disk.
    pub fn stop(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
        child.wait().unwrap();
    }

    pub fn options(&self) -> BrokerOptions {
        let address = Address::parse(&format!("mqtt://127.0.0.1:{}/test/board", self.port)).unwrap();
        BrokerOptions {
            period: Duration::from_millis(20),
            pause: Duration::from_millis(20),
            longest_pause: Duration::from_millis(200),
            patience: Duration::from_secs(5),
            ..BrokerOptions::new(address)
        }
    }

    /// Listens to `topic` with a session that outlives the broker's restarts.
    pub fn listen(&self, topic: &str, more: &[&str]) -> Listener {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let id = format!("listener-{}", COUNT.fetch_add(1, Ordering::Relaxed));
        // Its lines would stay in a buffer: a pipe is no terminal.
        let mut child = Command::new("stdbuf")
            .args(["-oL", "mosquitto_sub"])
            .args(["-h", "127.0.0.1", "-p", &self.port.to_string(), "-t", topic, "-q", "1", "-i", &id, "-c", "-d"])
            .args(["-F", "%t %p"])
            .args(more)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (sender, lines) = mpsc::channel();
        let output = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            output.lines().map_while(Result::ok).for_each(|line| drop(sender.send(line)));
        });
        let mut listener =
            Listener { child, lines, topic_root: topic.trim_end_matches('#').to_owned(), early: Vec::new() };
        listener.until_subscribed();
        listener
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.stop();
    }
}

pub struct Listener {
    child: Child,
    lines: mpsc::Receiver<String>,
    topic_root: String,
    early: Vec<(String, String)>,
}

impl Listener {
    fn until_subscribed(&mut self) {
        loop {
            let line = self.lines.recv_timeout(LONG).expect("mosquitto_sub subscribes");
            self.early.extend(self.message(&line));
            if line.contains("received SUBACK") {
                return;
            }
        }
    }

    fn message(&self, line: &str) -> Option<(String, String)> {
        let (topic, payload) = line.split_once(' ')?;
        topic.starts_with(&self.topic_root).then(|| (topic.to_owned(), payload.to_owned()))
    }

    /// The next message: topic and payload.
    pub fn next(&mut self) -> (String, String) {
        if !self.early.is_empty() {
            return self.early.remove(0);
        }
        loop {
            let line = self.lines.recv_timeout(LONG).expect("a message");
            if let Some(message) = self.message(&line) {
                return message;
            }
        }
    }

    /// The first payload under a topic that comes up to what is wanted; others are kept for later.
    pub fn find(&mut self, topic: &str, wanted: impl Fn(&str) -> bool) -> String {
        let mut others = Vec::new();
        loop {
            let (found, payload) = self.next();
            if found == topic && wanted(&payload) {
                others.append(&mut self.early);
                self.early = others;
                return payload;
            }
            others.push((found, payload));
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether the programs of the broker are missing, which is said.
pub fn skipped() -> bool {
    !has("mosquitto", "mosquitto") || !has("mosquitto_sub", "mosquitto-clients")
}
