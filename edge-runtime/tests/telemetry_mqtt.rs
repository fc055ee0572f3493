//! Publishing to a real broker: mosquitto, started, stopped and cut off by the test.
#![cfg(feature = "mqtt")]

#[path = "telemetry_support/broker.rs"]
mod broker;
#[path = "telemetry_support/mod.rs"]
mod support;

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use broker::{Broker, Listener, skipped};
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
    looks: usize,
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
        store.looks += 1;
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
/// Takes in messages until all ids have come; how many messages that took.
fn until_all(listener: &mut Listener, ids: &BTreeSet<i64>) -> usize {
    let (mut seen, mut messages) = (BTreeSet::new(), 0);
    while !ids.is_subset(&seen) {
        let (_, payload) = listener.next();
        let value: serde_json::Value = serde_json::from_str(&payload).unwrap();
        seen.insert(value["id"].as_i64().unwrap());
        messages += 1;
    }
    messages
}

fn publish(options: BrokerOptions, backlog: &Fake) -> Arc<Telemetry> {
    let options = TelemetryOptions { mqtt: Some(options), ..TelemetryOptions::default() };
    Arc::new(Telemetry::start(options, about(), Some(Box::new(backlog.clone()))).unwrap())
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
    assert_eq!(until_all(&mut listener, &backlog.ids()), 300);
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
    assert_eq!(until_all(&mut listener, &new), 5);
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
    let messages = until_all(&mut listener, &backlog.ids());
    backlog.until_published();
    assert_eq!(backlog.ids().len(), 4_150);
    eprintln!("{} entries arrived as {messages} messages", backlog.ids().len());
}

#[test]
fn a_run_that_ends_publishes_what_is_left() {
    if skipped() {
        return;
    }
    let broker = Broker::anonymous();
    let mut listener = broker.listen("test/board/records", &[]);
    let mut told = broker.listen("test/board/status", &[]);
    let backlog = Fake::default();
    // The next look at the backlog would come after the test.
    let options = BrokerOptions { period: Duration::from_secs(3600), ..broker.options() };
    let telemetry = publish(options, &backlog);
    told.find("test/board/status", |payload| payload == "online");
    until("the first look at the backlog", || (backlog.0.lock().unwrap().looks > 0).then_some(()));
    backlog.add(10);
    drop(telemetry);
    assert_eq!(backlog.position(), backlog.last());
    assert_eq!(until_all(&mut listener, &backlog.ids()), 10);
}

/// A backlog that no broker has seen: it begins at its end when it is first asked for its position.
struct Unseen(Fake, bool);

impl Backlog for Unseen {
    fn after(&mut self, position: i64, limit: usize) -> expression_engine::error::Result<Vec<BacklogEntry>> {
        self.0.after(position, limit)
    }

    fn position(&mut self) -> expression_engine::error::Result<i64> {
        if !std::mem::replace(&mut self.1, true) {
            let last = self.0.last();
            self.0.0.lock().unwrap().position = last;
        }
        Ok(Fake::position(&self.0))
    }

    fn set_position(&mut self, position: i64) -> expression_engine::error::Result<()> {
        self.0.set_position(position)
    }
}

#[test]
fn what_is_recorded_before_the_first_connection_is_published() {
    if skipped() {
        return;
    }
    let mut broker = Broker::anonymous();
    let mut listener = broker.listen("test/board/records", &[]);
    broker.stop();
    let backlog = Fake::default();
    backlog.add(3);
    let options = TelemetryOptions { mqtt: Some(broker.options()), ..TelemetryOptions::default() };
    let _telemetry = Telemetry::start(options, about(), Some(Box::new(Unseen(backlog.clone(), false)))).unwrap();
    until("the beginning to be known", || (backlog.position() == backlog.last()).then_some(()));
    backlog.add(5);
    let new: BTreeSet<_> = backlog.ids().into_iter().rev().take(5).collect();
    broker.start();
    assert_eq!(until_all(&mut listener, &new), 5);
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
    let messages = until_all(&mut listener, &backlog.ids());
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
fn a_broker_that_remembers_an_earlier_run_is_told_again() {
    if skipped() {
        return;
    }
    let broker = Broker::anonymous();
    let mut listener = broker.listen("test/board/run", &[]);
    let telemetry = publish_from("/dev/video0", broker.options());
    let own = listener.next().1;
    // What a broker has after it was restored to an earlier state, again and again, and after somebody deleted the message.
    let restored = &["-m", "4711-1000"][..];
    for more in [restored, restored, restored, &["-n"]] {
        let port = broker.port.to_string();
        let mut command = Command::new("mosquitto_pub");
        command.args(["-h", "127.0.0.1", "-p", &port, "-q", "1", "-r", "-t", "test/board/run"]).args(more);
        assert!(command.status().unwrap().success());
        listener.find("test/board/run", |payload| payload == own);
        assert_eq!(telemetry.connected_to_broker(), Some(true));
    }
}

#[cfg(feature = "preview")]
#[test]
fn a_broker_that_acknowledges_what_it_drops_is_named() {
    if skipped() {
        return;
    }
    let broker = Broker::new(|folder| {
        let list = folder.join("access");
        std::fs::write(&list, "topic read #\n").unwrap();
        // With a queue without a limit, mosquitto 2.0.11 ends the connection at each message that it denies.
        format!("allow_anonymous true\nmax_queued_messages 1000\nacl_file {}\n", list.display())
    });
    let options = TelemetryOptions {
        mqtt: Some(broker.options()),
        preview: Some("127.0.0.1:0".parse().unwrap()),
        preview_rate: 10,
        ..TelemetryOptions::default()
    };
    let telemetry = start(options);
    let address = telemetry.preview_address().unwrap();
    until("a line about the access list", || {
        let state = get(address, "/api/state", &[]).text();
        state.contains("does not give back what is published under test/board").then_some(())
    });
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
    assert_eq!(until_all(&mut listener, &backlog.ids()), 10);
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
    assert_eq!(until_all(&mut listener, &taken), 2);
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
    assert_eq!(until_all(&mut listener, &backlog.ids()), 10);

    let refused = TelemetryOptions { mqtt: Some(options("server.key")), ..TelemetryOptions::default() };
    let error = Telemetry::start(refused, about(), None).err().unwrap().to_string();
    assert!(error.contains("--mqtt-ca-file"), "{error}");
}
