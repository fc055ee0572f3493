//! A broker that takes everything and acknowledges no publication: recording goes on, and memory stays.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use edge_runtime::journal::Reader;
use test_support::promise::{count, measured, times};

use super::journal_common::damage;
use super::scene::{Held, Running, Scene, metric, recorder_of_all};

/// By how many KiB memory may grow while nothing is acknowledged: the program may wait for 64 entries.
const MEMORY_TOLERANCE: u64 = 2048;

/// A broker that accepts connections and subscriptions, and acknowledges no publication. Counts connections and publications.
struct Deaf {
    port: u16,
    connections: Arc<AtomicU64>,
    publications: Arc<AtomicU64>,
}

impl Deaf {
    fn start() -> Deaf {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (connections, publications) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let (counted, taken) = (connections.clone(), publications.clone());
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                counted.fetch_add(1, Ordering::Relaxed);
                let taken = taken.clone();
                thread::spawn(move || listen(client, &taken));
            }
        });
        Deaf { port, connections, publications }
    }
}

/// Types of packets, in the higher half of their first byte.
const CONNECT: u8 = 1;
const PUBLISH: u8 = 3;
const SUBSCRIBE: u8 = 8;
const PING: u8 = 12;

fn listen(mut client: TcpStream, publications: &AtomicU64) {
    while let Ok((kind, body)) = read_packet(&mut client) {
        let answer = match kind {
            CONNECT => vec![0x20, 2, 0, 0],
            SUBSCRIBE => {
                // Identifier, then each filter: length, text and quality of service.
                let (mut at, mut granted) = (2, Vec::new());
                while at < body.len() {
                    at += 3 + usize::from(u16::from_be_bytes([body[at], body[at + 1]]));
                    granted.push(1);
                }
                [&[0x90, 2 + granted.len() as u8, body[0], body[1]], &granted[..]].concat()
            }
            PING => vec![0xd0, 0],
            _ => Vec::new(),
        };
        publications.fetch_add(u64::from(kind == PUBLISH), Ordering::Relaxed);
        if client.write_all(&answer).is_err() {
            return;
        }
    }
}

fn read_packet(client: &mut TcpStream) -> io::Result<(u8, Vec<u8>)> {
    let mut byte = [0];
    client.read_exact(&mut byte)?;
    let kind = byte[0] >> 4;
    let (mut length, mut shift) = (0, 0);
    loop {
        client.read_exact(&mut byte)?;
        length |= usize::from(byte[0] & 0x7f) << shift;
        shift += 7;
        if byte[0] & 0x80 == 0 {
            break;
        }
    }
    let mut body = vec![0; length];
    client.read_exact(&mut body)?;
    Ok((kind, body))
}

#[test]
fn a_broker_that_acknowledges_no_publication_stops_nothing() {
    let frames = times(300);
    let Some(scene) = Scene::load() else { return };
    let folder = tempfile::tempdir().unwrap();
    let journal = folder.path().join("journal");
    let broker = Deaf::start();
    let mut run = recorder_of_all(&journal);
    run.args(["--mqtt", &format!("mqtt://127.0.0.1:{}/test", broker.port)]);
    let mut run = Running::start(run, scene, Duration::from_millis(1));
    run.await_frames(frames / 5);
    let early = Held::of(&run.process);
    let mut late = early;
    for _ in 0..20 {
        run.await_frames(frames / 25);
        late = late.max(Held::of(&run.process));
    }
    assert!(late.memory_kib <= early.memory_kib + MEMORY_TOLERANCE, "{early:?} became {late:?}");
    assert_eq!(metric(run.address, "edge_runtime_mqtt_published_total"), 0.0, "nothing was acknowledged");
    assert_eq!(metric(run.address, "edge_runtime_journal_dropped_total"), 0.0);
    run.finish();

    let publications = broker.publications.load(Ordering::Relaxed);
    assert!(publications > 0, "the broker was sent nothing; this shows nothing");
    assert_eq!(damage(&journal), [""; 0]);
    let reader = Reader::open(&journal).unwrap();
    let records = reader.records_after(0, usize::MAX).unwrap().len() as u64;
    let counted: u64 = reader.minutes(&Default::default()).unwrap().iter().map(|minute| minute.with_faces).sum();
    assert_eq!(records, counted, "a record for every frame with a face");
    measured(
        format!(
            "{} frames; the broker took {} publications over {} connections",
            count(counted),
            count(publications),
            broker.connections.load(Ordering::Relaxed)
        ),
        format!(
            "0 of {} records; memory at most {} KiB more than at first",
            count(records),
            late.memory_kib - early.memory_kib
        ),
    );
}
