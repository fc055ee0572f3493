//! Publishing to a real broker: mosquitto, started, stopped and cut off by the test.
#![cfg(feature = "mqtt")]

#[path = "telemetry_support/schema.rs"]
mod schema;
#[path = "telemetry_support/mod.rs"]
mod support;

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use edge_runtime::event::Event;
use edge_runtime::telemetry::mqtt::{Address, BrokerOptions};
use edge_runtime::telemetry::{About, Backlog, BacklogEntry, Telemetry, TelemetryOptions};
use support::*;

/// A backlog in memory that outlives the publisher, and counts how often it was told a position.
#[derive(Clone, Default)]
struct Fake(Arc<Mutex<Store>>);

#[derive(Default)]
struct Store {
    entries: Vec<BacklogEntry>,
    position: i64,
    told: usize,
    largest_batch: usize,
}

impl Fake {
    fn add(&self, count: i64) {
        let mut store = self.0.lock().unwrap();
        let next = store.entries.last().map_or(1, |entry| entry.id + 1);
        // Ids are not without gaps, in journals neither.
        store.entries.extend((0..count).map(|n| {
            let id = next + 2 * n;
            BacklogEntry { id, payload: format!("{{\"id\":{id}}}") }
        }));
    }

    fn position(&self) -> i64 {
        self.0.lock().unwrap().position
    }

    fn ids(&self) -> BTreeSet<i64> {
        self.0.lock().unwrap().entries.iter().map(|entry| entry.id).collect()
    }

    fn last(&self) -> i64 {
        self.0.lock().unwrap().entries.last().map_or(0, |entry| entry.id)
    }

    fn until_published(&self) {
        until("every entry to be acknowledged", || (self.position() == self.last()).then_some(()));
    }
}

impl Backlog for Fake {
    fn after(&mut self, position: i64, limit: usize) -> expression_engine::error::Result<Vec<BacklogEntry>> {
        let mut store = self.0.lock().unwrap();
        let found: Vec<_> = store.entries.iter().filter(|entry| entry.id > position).take(limit).cloned().collect();
        store.largest_batch = store.largest_batch.max(found.len());
        Ok(found)
    }

    fn position(&mut self) -> expression_engine::error::Result<i64> {
        Ok(Fake::position(self))
    }

    fn set_position(&mut self, position: i64) -> expression_engine::error::Result<()> {
        let mut store = self.0.lock().unwrap();
        assert!(position > store.position, "from {} back to {position}", store.position);
        store.position = position;
        store.told += 1;
        Ok(())
    }
}

/// A mosquitto of the test's own, with its state in a folder.
struct Broker {
    folder: tempfile::TempDir,
    port: u16,
    child: Option<Child>,
}

impl Broker {
    /// Starts it on a free port; `more` is added to its configuration.
    fn new(more: impl Fn(&Path) -> String) -> Broker {
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

    fn anonymous() -> Broker {
        Broker::new(|_| "allow_anonymous true\n".into())
    }

    fn start(&mut self) {
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
    fn stop(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
        child.wait().unwrap();
    }

    fn options(&self) -> BrokerOptions {
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
    fn listen(&self, topic: &str, more: &[&str]) -> Listener {
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

struct Listener {
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
    fn next(&mut self) -> (String, String) {
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
    fn find(&mut self, topic: &str, wanted: impl Fn(&str) -> bool) -> String {
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

    /// Takes in messages until all ids have come; how many messages that took.
    fn until_all(&mut self, ids: &BTreeSet<i64>) -> usize {
        let (mut seen, mut messages) = (BTreeSet::new(), 0);
        while !ids.is_subset(&seen) {
            let (_, payload) = self.next();
            let value: serde_json::Value = serde_json::from_str(&payload).unwrap();
            seen.insert(value["id"].as_i64().unwrap());
            messages += 1;
        }
        messages
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn publish(options: BrokerOptions, backlog: &Fake) -> Arc<Telemetry> {
    let options = TelemetryOptions { mqtt: Some(options), ..TelemetryOptions::default() };
    Arc::new(Telemetry::start(options, about(), Some(Box::new(backlog.clone()))).unwrap())
}

fn skipped() -> bool {
    !has("mosquitto", "mosquitto") || !has("mosquitto_sub", "mosquitto-clients")
}

#[test]
fn entries_arrive_and_the_position_follows_in_batches() {
    if skipped() {
        return;
    }
    let broker = Broker::anonymous();
    let mut listener = broker.listen("test/board/records", &[]);
    let backlog = Fake::default();
    backlog.add(300);
    let telemetry = publish(broker.options(), &backlog);
    assert_eq!(listener.until_all(&backlog.ids()), 300);
    backlog.until_published();
    let (told, largest) = {
        let store = backlog.0.lock().unwrap();
        (store.told, store.largest_batch)
    };
    assert!(largest <= 64 && told <= 300 / 64 + 1, "{told} positions, batches up to {largest}");
    // A second run goes on where the first ended.
    drop(telemetry);
    backlog.add(5);
    let _telemetry = publish(broker.options(), &backlog);
    let new: BTreeSet<_> = backlog.ids().into_iter().rev().take(5).collect();
    assert_eq!(listener.until_all(&new), 5);
}

#[test]
fn a_broker_that_goes_and_comes_back_loses_nothing() {
    if skipped() {
        return;
    }
    let mut broker = Broker::anonymous();
    let mut listener = broker.listen("test/board/records", &[]);
    let backlog = Fake::default();
    let _telemetry = publish(broker.options(), &backlog);
    let adding = {
        let backlog = backlog.clone();
        std::thread::spawn(move || {
            for _ in 0..400 {
                backlog.add(10);
                std::thread::sleep(Duration::from_millis(2));
            }
        })
    };
    for _ in 0..3 {
        let before = backlog.position();
        until("some entries to be published", || {
            (backlog.position() > before || backlog.position() == backlog.last()).then_some(())
        });
        broker.stop();
        backlog.add(50);
        std::thread::sleep(Duration::from_millis(100));
        broker.start();
    }
    adding.join().unwrap();
    let messages = listener.until_all(&backlog.ids());
    backlog.until_published();
    assert_eq!(backlog.ids().len(), 4_150);
    eprintln!("{} entries arrived as {messages} messages", backlog.ids().len());
}

#[test]
fn connections_that_break_anywhere_lose_nothing() {
    if skipped() {
        return;
    }
    let broker = Broker::anonymous();
    let mut listener = broker.listen("test/board/records", &[]);
    let proxy = Proxy::new(broker.port);
    let backlog = Fake::default();
    backlog.add(1_000);
    let mut options = broker.options();
    options.address.port = proxy.port;
    let _telemetry = publish(options, &backlog);
    let messages = listener.until_all(&backlog.ids());
    backlog.until_published();
    let cuts = proxy.cuts.load(Ordering::Relaxed);
    assert!(cuts >= 10, "the connection was cut {cuts} times only");
    eprintln!("1000 entries arrived as {messages} messages over {cuts} cuts");
}

/// Between publisher and broker: cuts each connection after some bytes from the broker, each later than the one before.
struct Proxy {
    port: u16,
    cuts: Arc<AtomicUsize>,
}

impl Proxy {
    fn new(broker: u16) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let cuts = Arc::new(AtomicUsize::new(0));
        let counted = cuts.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let Ok(server) = TcpStream::connect(("127.0.0.1", broker)) else { continue };
                // CONNACK and PUBACKs have four bytes each: cuts fall into announcements at first, then into batches.
                let allowed = 2 + 29 * counted.load(Ordering::Relaxed);
                let (mut from, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                std::thread::spawn(move || drop(std::io::copy(&mut from, &mut to)));
                let (mut from, mut to, counted) = (server, client, counted.clone());
                std::thread::spawn(move || {
                    let mut left = allowed;
                    let mut buffer = [0; 64];
                    while left > 0 {
                        let wanted = left.min(buffer.len());
                        match from.read(&mut buffer[..wanted]) {
                            Ok(count) if count > 0 && to.write_all(&buffer[..count]).is_ok() => left -= count,
                            _ => break,
                        }
                    }
                    counted.fetch_add(1, Ordering::Relaxed);
                    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
                });
            }
        });
        Proxy { port, cuts }
    }
}

#[test]
fn home_assistant_is_told_of_the_board_and_its_state() {
    if skipped() {
        return;
    }
    let broker = Broker::anonymous();
    let telemetry = publish(broker.options(), &Fake::default());
    let mut listener = broker.listen("test/board/#", &[]);
    listener.find("test/board/status", |payload| payload == "online");
    // No face while there is no frame.
    let state = listener.find("test/board/state", |_| true);
    let state: serde_json::Value = serde_json::from_str(&state).unwrap();
    assert_eq!((&state["face"], &state["face_count"], &state["camera"]["up"]), (&json(), &json(), &false.into()));
    telemetry.observe(&frame(1), &observation(1));
    let state = listener.find("test/board/state", |payload| payload.contains("\"face_count\":2"));
    let state: serde_json::Value = serde_json::from_str(&state).unwrap();
    let expected = observation(1).faces[0].label.unwrap().name();
    schema::hold("status", &state);
    let face = &state["face"];
    assert_eq!((face["label"].as_str(), face["track"].as_i64()), (Some(expected), Some(1)));
    assert_eq!((&state["celsius"], &state["camera"]["up"]), (&51.25.into(), &true.into()));
    assert_eq!(face["scores"].as_object().unwrap().len(), 8);
    // Nothing stale is told while the camera is lost.
    telemetry.event(&Event::CameraLost { reason: "unplugged".into() });
    let lost = listener.find("test/board/state", |payload| payload.contains("\"up\":false"));
    let lost: serde_json::Value = serde_json::from_str(&lost).unwrap();
    schema::hold("status", &lost);
    assert_eq!((&lost["face"], &lost["face_count"]), (&json(), &json()));
    assert!(lost["camera"]["lost_since"].is_string());
    telemetry.event(&Event::WritingFailed { cause: "disk_full".into(), message: "disk full".into() });
    listener.find("test/board/state", |payload| payload.contains("\"failing_because\":\"disk full\""));

    // Retained: who comes later learns it too.
    let mut late = broker.listen("homeassistant/#", &[]);
    let mut entities = std::collections::BTreeMap::new();
    while entities.len() < 19 {
        let (topic, payload) = late.next();
        let config: serde_json::Value = serde_json::from_str(&payload).unwrap();
        assert_eq!(config["state_topic"], "test/board/state");
        let camera = config["availability"][1]["value_template"].as_str().unwrap_or_default();
        assert_eq!(config["availability"][0]["topic"], "test/board/status");
        assert_eq!(config["device"]["name"], "board");
        let parts: Vec<_> = topic.split('/').collect();
        assert!(parts.len() == 5 && parts[4] == "config", "{topic}");
        assert!(topic.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/_-".contains(&byte)), "{topic}");
        // What a day has brought and the switch are of the board, too.
        let of_day = ["visits_today", "smiles_today", "pause"].contains(&parts[3]);
        let of_board = config["entity_category"] == "diagnostic" || of_day;
        assert_eq!(camera.contains("value_json.camera.up"), !of_board, "{topic}");
        entities.insert(format!("{}/{}", parts[1], parts[3]), config);
    }
    let ids: BTreeSet<_> = entities.values().map(|config| config["unique_id"].to_string()).collect();
    assert_eq!(ids.len(), entities.len());
    assert!(entities.contains_key("binary_sensor/face"));
    assert_eq!(entities["binary_sensor/camera_problem"]["device_class"], "problem");
    assert_eq!(entities["sensor/expression"]["options"].as_array().unwrap().len(), 8);
    assert!(
        entities["sensor/score_happiness"]["value_template"]
            .as_str()
            .unwrap()
            .contains("value_json.face.scores.happiness")
    );

    assert_eq!(entities["switch/pause"]["command_topic"], "test/board/pause/set");
    assert!(entities["switch/pause"]["device"].get("configuration_url").is_none(), "nobody else reaches the preview");

    // A stop on purpose is told.
    drop(telemetry);
    listener.find("test/board/status", |payload| payload == "offline");
}

/// The version of Home Assistant that `telemetry_support/home_assistant.py` was written for: it reads parts that are not its API.
const HOME_ASSISTANT: &str = "2026.11.0";

/// The wheel of Home Assistant, downloaded once for all runs of the tests; `None` if pip does not find it.
fn home_assistant() -> Option<std::path::PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("home-assistant");
    let wheel = || {
        let files = std::fs::read_dir(&folder).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
        let name = format!("homeassistant-{HOME_ASSISTANT}-");
        let is_it =
            |path: &std::path::PathBuf| path.file_name().is_some_and(|file| file.to_string_lossy().starts_with(&name));
        files.filter(|path| path.extension().is_some_and(|extension| extension == "whl")).find(is_it)
    };
    if wheel().is_none() {
        let mut pip = Command::new("python3");
        let wanted = format!("homeassistant=={HOME_ASSISTANT}");
        pip.args(["-m", "pip", "download", &wanted, "--no-deps", "--ignore-requires-python", "--quiet"]);
        pip.args(["--only-binary=:all:", "--disable-pip-version-check", "--dest"]).arg(&folder).stderr(Stdio::null());
        let _ = pip.status();
    }
    let found = wheel();
    if found.is_none() {
        eprintln!("skipped: pip cannot download homeassistant, whose schemas the announcements are held to");
    }
    found
}

#[test]
fn announcements_fit_the_schemas_of_home_assistant() {
    if skipped() {
        return;
    }
    let Some(wheel) = home_assistant() else { return };
    let broker = Broker::anonymous();
    let options = TelemetryOptions {
        preview: Some("0.0.0.0:0".parse().unwrap()),
        preview_rate: 10,
        mqtt: Some(broker.options()),
        ..TelemetryOptions::default()
    };
    let _telemetry = Telemetry::start(options, about(), None).unwrap();
    let mut listener = broker.listen("homeassistant/#", &[]);
    let mut messages = std::collections::BTreeMap::new();
    while messages.len() < 19 {
        let (topic, payload) = listener.next();
        let config: serde_json::Value = serde_json::from_str(&payload).unwrap();
        messages.insert(topic.strip_prefix("homeassistant/").unwrap().to_owned(), config);
    }
    let check = |messages: &[(&String, &serde_json::Value)]| {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/telemetry_support/home_assistant.py");
        let mut python = Command::new("python3");
        python.arg(script).arg(&wheel).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut python = python.spawn().unwrap();
        python.stdin.take().unwrap().write_all(serde_json::to_string(messages).unwrap().as_bytes()).unwrap();
        let output = python.wait_with_output().unwrap();
        match output.status.success() {
            true => Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned()),
            false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        }
    };
    let all: Vec<_> = messages.iter().collect();
    assert_eq!(check(&all), Ok("19".to_owned()));
    // What it finds wrong.
    let (topic, config) = all[0];
    for (key, value) in [("icno", "mdi:eye"), ("device_class", "trouble"), ("entity_category", "config")] {
        let mut wrong = config.clone();
        wrong[key] = value.into();
        let refused = check(&[(topic, &wrong)]);
        assert!(refused.is_err(), "{key} = {value} is not refused");
    }
}

#[test]
fn the_broker_asks_for_a_pause_unless_only_the_button_may() {
    if skipped() {
        return;
    }
    let broker = Broker::anonymous();
    let send = |payload: &str, more: &[&str]| {
        let port = broker.port.to_string();
        let mut command = Command::new("mosquitto_pub");
        command.args(["-h", "127.0.0.1", "-p", &port, "-q", "1", "-t", "test/board/pause/set", "-m", payload]);
        assert!(command.args(more).status().unwrap().success());
    };
    // A request from the past, which the broker has kept.
    send("ON", &["-r"]);
    let telemetry = publish(broker.options(), &Fake::default());
    let mut listener = broker.listen("test/board/#", &[]);
    listener.find("test/board/status", |payload| payload == "online");
    assert_eq!(telemetry.take_pause_request(), None);
    for (payload, asked) in [("ON", true), ("OFF", false)] {
        send("pause", &[]);
        send(payload, &[]);
        assert_eq!(until("a request", || telemetry.take_pause_request()), asked);
        assert_eq!(telemetry.take_pause_request(), None, "it is told once");
    }
    drop(telemetry);
    let options = BrokerOptions { pauses: false, ..broker.options() };
    let telemetry = publish(options, &Fake::default());
    listener.find("test/board/status", |payload| payload == "online");
    send("ON", &[]);
    // The broker hands messages on in order: once this entry is there, the request would be, too.
    let state = broker.listen("test/board/state", &[]).find("test/board/state", |_| true);
    assert!(state.contains("\"paused\":false"), "{state}");
    assert_eq!(telemetry.take_pause_request(), None);
}

/// What a field is that has no value.
fn json() -> serde_json::Value {
    serde_json::Value::Null
}

/// A publisher that watches a source of its own.
fn publish_from(source: &str, options: BrokerOptions) -> Telemetry {
    let options = TelemetryOptions { mqtt: Some(options), ..TelemetryOptions::default() };
    Telemetry::start(options, About { source: source.into(), ..about() }, None).unwrap()
}

/// Times that the broker's log has a line with these words.
fn logged(broker: &Broker, words: &str) -> usize {
    std::fs::read_to_string(broker.folder.path().join("log")).unwrap().matches(words).count()
}

#[test]
fn two_cameras_on_one_machine_are_two_devices() {
    if skipped() {
        return;
    }
    let broker = Broker::anonymous();
    let mut listener = broker.listen("edge-runtime/#", &[]);
    let options = || {
        let address = Address::parse(&format!("mqtt://127.0.0.1:{}", broker.port)).unwrap();
        BrokerOptions { address, ..broker.options() }
    };
    let (_one, _other) = (publish_from("/dev/video0", options()), publish_from("/dev/video2", options()));
    let mut online = BTreeSet::new();
    while online.len() < 2 {
        let (topic, payload) = listener.next();
        if topic.ends_with("/status") && payload == "online" {
            online.insert(topic);
        }
    }
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(logged(&broker, "already connected"), 0);
}

#[test]
fn a_run_whose_topics_another_takes_over_does_not_fight() {
    if skipped() {
        return;
    }
    let broker = Broker::anonymous();
    let mut listener = broker.listen("test/board/run", &[]);
    // The same source: the same id, so the broker ends the first one's connection. Another source: the same topics alone.
    for source in ["/dev/video0", "/dev/video2"] {
        let one = publish_from("/dev/video0", broker.options());
        let first = listener.next().1;
        let other = publish_from(source, broker.options());
        let second = listener.next().1;
        assert_ne!(first, second);
        let told = |telemetry: &Telemetry, words: &str| telemetry.connected_to_broker() == Some(words == "online");
        // Two that fight would go on throwing each other out.
        until("the first to step back for good and the other to stay", || {
            let before = logged(&broker, "already connected");
            std::thread::sleep(Duration::from_secs(1));
            let quiet = logged(&broker, "already connected") == before;
            (quiet && told(&one, "offline") && told(&other, "online")).then_some(())
        });
        drop((one, other));
    }
}

#[test]
fn who_vanishes_is_offline_by_the_last_will() {
    if skipped() {
        return;
    }
    let broker = Broker::anonymous();
    let proxy = OneShot::new(broker.port);
    let mut options = broker.options();
    options.address.port = proxy.port;
    let _telemetry = publish(options, &Fake::default());
    let mut listener = broker.listen("test/board/status", &[]);
    listener.find("test/board/status", |payload| payload == "online");
    proxy.cut();
    listener.find("test/board/status", |payload| payload == "offline");
}

/// Lets one connection through, until it is cut.
struct OneShot {
    port: u16,
    streams: Arc<Mutex<Vec<TcpStream>>>,
}

impl OneShot {
    fn new(broker: u16) -> OneShot {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let streams = Arc::new(Mutex::new(Vec::new()));
        let kept = streams.clone();
        std::thread::spawn(move || {
            let (client, _) = listener.accept().unwrap();
            let server = TcpStream::connect(("127.0.0.1", broker)).unwrap();
            kept.lock().unwrap().extend([client.try_clone().unwrap(), server.try_clone().unwrap()]);
            let (mut from, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            std::thread::spawn(move || drop(std::io::copy(&mut from, &mut to)));
            let (mut from, mut to) = (server, client);
            drop(std::io::copy(&mut from, &mut to));
        });
        OneShot { port, streams }
    }

    fn cut(&self) {
        self.streams.lock().unwrap().iter().for_each(|stream| drop(stream.shutdown(Shutdown::Both)));
    }
}

#[test]
fn a_password_opens_and_a_wrong_one_does_not() {
    if skipped() || !has("mosquitto_passwd", "mosquitto") {
        return;
    }
    let broker = Broker::new(|folder| {
        let file = folder.join("passwords");
        let made = Command::new("mosquitto_passwd").arg("-c").arg("-b").arg(&file).args(["board", "right"]).status();
        assert!(made.unwrap().success());
        format!("allow_anonymous false\npassword_file {}\n", file.display())
    });
    let mut listener = broker.listen("test/board/records", &["-u", "board", "-P", "right"]);
    let options = |password: Option<&str>| {
        let mut options = broker.options();
        options.address.user = Some("board".into());
        options.password = password.map(str::to_owned);
        options
    };
    let backlog = Fake::default();
    backlog.add(10);
    for password in [Some("wrong"), None] {
        let telemetry = publish(options(password), &backlog);
        until("refusals", || {
            let log = std::fs::read_to_string(broker.folder.path().join("log")).unwrap();
            (log.matches("not authorised").count() >= 2).then_some(())
        });
        drop(telemetry);
        assert_eq!(backlog.position(), 0);
    }
    let _telemetry = publish(options(Some("right")), &backlog);
    assert_eq!(listener.until_all(&backlog.ids()), 10);
}

#[test]
fn what_no_broker_takes_does_not_hold_up_the_rest() {
    if skipped() {
        return;
    }
    let broker = Broker::anonymous();
    let mut listener = broker.listen("test/board/records", &[]);
    let backlog = Fake::default();
    backlog.add(3);
    backlog.0.lock().unwrap().entries[1].payload = "x".repeat(200_000);
    let _telemetry = publish(broker.options(), &backlog);
    let ids = backlog.ids();
    let taken = BTreeSet::from([*ids.first().unwrap(), *ids.last().unwrap()]);
    assert_eq!(listener.until_all(&taken), 2);
    backlog.until_published();
}

#[cfg(feature = "mqtt-tls")]
#[test]
fn tls_trusts_the_named_authority_and_no_other() {
    if skipped() || !has("openssl", "openssl") {
        return;
    }
    let openssl = |folder: &Path, line: &str| {
        let done = Command::new("openssl").args(line.split(' ')).current_dir(folder).stderr(Stdio::null()).status();
        assert!(done.unwrap().success(), "openssl {line}");
    };
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let broker = Broker::new(|folder| {
        for name in ["ca", "other"] {
            openssl(
                folder,
                &format!(
                    "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN={name} -keyout {name}.key -out {name}.pem"
                ),
            );
        }
        openssl(folder, "req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout server.key -out server.csr");
        std::fs::write(folder.join("names"), "subjectAltName=DNS:localhost,IP:127.0.0.1").unwrap();
        openssl(
            folder,
            "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names -out server.pem",
        );
        let path = folder.display();
        format!(
            "allow_anonymous true\nlistener {port} 127.0.0.1\ncafile {path}/ca.pem\ncertfile {path}/server.pem\n\
             keyfile {path}/server.key\n"
        )
    });
    let mut listener = broker.listen("test/board/records", &[]);
    let options = |authority: &str| {
        let mut options = broker.options();
        options.address = Address::parse(&format!("mqtts://localhost:{port}/test/board")).unwrap();
        options.authority = Some(std::fs::read(broker.folder.path().join(authority)).unwrap());
        options
    };
    let backlog = Fake::default();
    backlog.add(10);
    let telemetry = publish(options("other.pem"), &backlog);
    until("a handshake that fails", || {
        let log = std::fs::read_to_string(broker.folder.path().join("log")).unwrap();
        log.to_lowercase().contains("alert").then_some(())
    });
    drop(telemetry);
    assert_eq!(backlog.position(), 0);
    let _telemetry = publish(options("ca.pem"), &backlog);
    assert_eq!(listener.until_all(&backlog.ids()), 10);

    let refused = TelemetryOptions { mqtt: Some(options("server.key")), ..TelemetryOptions::default() };
    let error = Telemetry::start(refused, about(), None).err().unwrap().to_string();
    assert!(error.contains("--mqtt-ca-file"), "{error}");
}
