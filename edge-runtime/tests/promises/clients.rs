//! Many clients of the preview that are silent, slow, rude or that read nothing: recording goes on, and memory stays.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use edge_runtime::journal::Reader;
use test_support::http;
use test_support::promise::{count, measured, times};

use super::journal_common::damage;
use super::scene::{Held, Random, Running, Scene, metric, recorder_of_all};

/// Clients at a time: more than have a place.
const CROWD: u64 = 40;
/// By how many KiB memory may grow: pictures and buffers of the 16 clients that have a place.
const MEMORY_TOLERANCE: u64 = 8192;

/// Connects in one of several bad ways; returns the connection if it is to stay open.
fn annoy(address: SocketAddr, random: &mut Random) -> Option<TcpStream> {
    let mut stream = TcpStream::connect_timeout(&address, http::LONG).ok()?;
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n").into_bytes();
    // The server may close before all is written: that is its right.
    let _ = match random.below(8) {
        0 => Ok(()),
        1 => stream.write_all(b"GET / HTTP/1.1\r\nHo"),
        2 => stream.write_all(&get("/stream.mjpg")),
        3 => stream.write_all(&get("/events")),
        4 => stream.write_all(&get("/api/state").repeat(50)),
        5 => stream.write_all(&[b'A'; 20_000]),
        6 => stream.write_all(&get("/frame.jpg")).and_then(|()| stream.shutdown(Shutdown::Write)),
        _ => {
            let _ = stream.write_all(&get("/metrics"));
            return None;
        }
    };
    Some(stream)
}

#[test]
fn many_bad_clients_stop_nothing() {
    let clients = times(160);
    let Some(scene) = Scene::load() else { return };
    let folder = tempfile::tempdir().unwrap();
    let journal = folder.path().join("journal");
    let run = recorder_of_all(&journal);
    let mut run = Running::start(run, scene, Duration::from_millis(20));
    let mut random = Random::seeded();
    run.await_frames(20);
    // A picture stream has been served once, so that its buffers are there.
    let mut first = http::connect(run.address);
    http::send(&mut first, run.address, "GET", "/stream.mjpg", &[], "");
    first.read_exact(&mut [0; 1000]).unwrap();
    drop(first);
    let early = Held::of(&run.process);
    let mut late = early;
    let mut crowd: Vec<TcpStream> = Vec::new();
    let (begun, mut left) = (run.fed(), clients);
    while left > 0 {
        let now = left.min(CROWD);
        // The former crowd stays until the next one has come.
        let next = (0..now).filter_map(|_| annoy(run.address, &mut random)).collect();
        drop(std::mem::replace(&mut crowd, next));
        run.await_frames(5);
        late = late.max(Held::of(&run.process));
        left -= now;
    }
    let during = run.fed() - begun;
    drop(crowd);
    let answer = http::until("an answer for somebody else", || {
        let mut stream = http::connect(run.address);
        let _ = stream.write_all(
            format!("GET /icon.svg HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", run.address).as_bytes(),
        );
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        answer.starts_with(b"HTTP/1.1 200").then_some(answer)
    });
    assert!(!answer.is_empty());
    http::until("their connections to be closed", || {
        (Held::of(&run.process).descriptors <= early.descriptors).then_some(())
    });
    assert!(late.memory_kib <= early.memory_kib + MEMORY_TOLERANCE, "{early:?} became {late:?}");
    assert_eq!(late.threads, early.threads);
    assert_eq!(metric(run.address, "edge_runtime_journal_dropped_total"), 0.0);
    run.finish();

    assert_eq!(damage(&journal), [""; 0]);
    let reader = Reader::open(&journal).unwrap();
    let records = reader.records_after(0, usize::MAX).unwrap().len() as u64;
    let counted: u64 = reader.minutes(&Default::default()).unwrap().iter().map(|minute| minute.with_faces).sum();
    assert_eq!(records, counted, "a record for every frame with a face");
    measured(
        format!("{} clients, {CROWD} at a time, while {} frames came", count(clients), count(during)),
        format!(
            "0 of {} records; memory at most {} KiB more than before",
            count(records),
            late.memory_kib - early.memory_kib
        ),
    );
}
