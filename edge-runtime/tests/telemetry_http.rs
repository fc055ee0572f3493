//! The preview's server, asked by plain HTTP: who comes in, what is served, and what bad clients can do.
#![cfg(all(feature = "preview", feature = "metrics"))]

#[path = "telemetry_support/mod.rs"]
mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::time::Duration;

use edge_runtime::event::{Event, Rate, Throttling};
use edge_runtime::frame::{Frame, Luma};
use edge_runtime::telemetry::{ClientLimits, Telemetry, TelemetryError, TelemetryOptions, Token};
use expression_engine::error::{Classify, ErrorKind};
use support::*;

/// Any port of loopback.
fn options() -> TelemetryOptions {
    TelemetryOptions { preview: Some("127.0.0.1:0".parse().unwrap()), preview_rate: 20, ..TelemetryOptions::default() }
}

/// An address that asks for a token, reached over loopback.
fn guarded() -> (std::sync::Arc<Telemetry>, SocketAddr) {
    let preview = Some("0.0.0.0:0".parse().unwrap());
    let telemetry = start(TelemetryOptions { preview, token: Token::new(TOKEN), ..options() });
    let port = telemetry.preview_address().unwrap().port();
    (telemetry, SocketAddr::from(([127, 0, 0, 1], port)))
}

fn value(metrics: &str, name: &str) -> f64 {
    let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {name} in {metrics}")).parse().unwrap()
}

#[test]
fn the_page_comes_with_a_policy_that_allows_this_server_alone() {
    let telemetry = start(options());
    let page = get(telemetry.preview_address().unwrap(), "/", &[]);
    assert_eq!(page.status, 200);
    let policy = page.header("content-security-policy").unwrap();
    assert!(
        policy.starts_with("default-src 'none';") && !policy.contains("unsafe") && !policy.contains('*'),
        "{policy}"
    );
    assert!(policy.contains("frame-ancestors 'none'"));
    assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(page.header("cross-origin-resource-policy"), Some("same-origin"));
    assert_eq!(page.header("cache-control"), Some("no-store"));
    assert_eq!(page.header("set-cookie"), None);
    // The icon's namespace is a name, not an address that is asked for; the page has none at all.
    assert!(!page.text().contains("http://") && !page.text().contains("https://"));
}

#[test]
fn the_state_tells_what_was_observed() {
    let telemetry = start(options());
    let address = telemetry.preview_address().unwrap();
    assert!(get(address, "/api/state", &[]).json()["observation"].is_null());
    telemetry.observe(&frame(7), &observation(7));
    telemetry.event(&Event::CameraBack { gap_ms: 1500 });
    let state = get(address, "/api/state", &[]).json();
    let seen = &state["observation"];
    assert_eq!(seen["frame"], 7);
    assert_eq!((&seen["frame_width"], &seen["frame_height"]), (&320.into(), &240.into()));
    assert_eq!(seen["latency_ms"], 7.3);
    assert_eq!(seen["celsius"], 51.25);
    let face = &seen["faces"][0];
    assert_eq!(face["box"], serde_json::json!([21, 60, 80, 100]));
    let scores: Vec<f64> = face["scores"].as_object().unwrap().values().map(|score| score.as_f64().unwrap()).collect();
    assert!((scores.iter().sum::<f64>() - 1.0).abs() < 1e-3, "{scores:?}");
    assert_eq!(seen["faces"][1]["quality"], "small");
    assert!(seen["faces"][1]["scores"].is_null() && seen["faces"][1]["label"].is_null());
    assert_eq!(state["history"].as_array().unwrap().len(), 1);
    assert_eq!(state["events"][0]["line"], "camera back after 1.5 s");
}

#[test]
fn pictures_are_the_frames_and_are_made_only_for_those_who_watch() {
    let telemetry = start(options());
    let address = telemetry.preview_address().unwrap();
    for sequence in 0..50 {
        telemetry.observe(&frame(sequence), &observation(sequence));
    }
    let _feeder = Feeder::new(&telemetry);
    let metrics = || get(address, "/metrics", &[]).text();
    until("frames", || (value(&metrics(), "edge_runtime_frames_total") > 60.0).then_some(()));
    assert_eq!(value(&metrics(), "edge_runtime_preview_pictures_total"), 0.0);

    let answer = get(address, "/frame.jpg", &[]);
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("image/jpeg")));
    let sequence: u64 = answer.header("x-sequence").unwrap().parse().unwrap();
    let picture = image::load_from_memory(&answer.body).unwrap();
    assert_eq!(picture.color(), image::ColorType::L8);
    let (picture, expected) = (picture.to_luma8(), frame(sequence));
    assert_eq!(picture.dimensions(), (320, 240));
    let off = picture.as_raw().iter().zip(&expected.bytes).map(|(a, b)| u64::from(a.abs_diff(*b))).sum::<u64>();
    assert!(off < 2 * expected.bytes.len() as u64, "mean difference {}", off as f64 / expected.bytes.len() as f64);

    let next = get(address, &format!("/frame.jpg?after={sequence}"), &[]);
    assert_ne!(next.header("x-sequence"), answer.header("x-sequence"));
    assert!(value(&metrics(), "edge_runtime_preview_pictures_total") >= 2.0);
}

#[test]
fn without_frames_there_is_no_picture_rather_than_an_old_one() {
    let telemetry = start(options());
    let address = telemetry.preview_address().unwrap();
    {
        let _feeder = Feeder::new(&telemetry);
        assert_eq!(get(address, "/frame.jpg", &[]).status, 200);
    }
    std::thread::sleep(Duration::from_millis(1_100));
    assert_eq!(get(address, "/frame.jpg", &[]).status, 204);
}

#[test]
fn the_picture_stream_is_jpegs_between_boundaries() {
    let telemetry = start(options());
    let address = telemetry.preview_address().unwrap();
    let _feeder = Feeder::new(&telemetry);
    let mut stream = connect(address);
    send(&mut stream, address, "GET", "/stream.mjpg", &["Connection: close"], "");
    let mut reader = Chunked(BufReader::new(stream));
    let answer = head(&mut reader.0);
    assert_eq!(answer.header("content-type"), Some("multipart/x-mixed-replace; boundary=picture"));
    let mut sequences = Vec::new();
    let mut bytes = Vec::new();
    while sequences.len() < 3 {
        bytes.extend(reader.chunk());
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let Some(end) = text.find("\r\n\r\n") else { continue };
        let field = |name: &str| {
            text[..end].lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().parse::<usize>().unwrap()
        };
        assert!(text.starts_with("--picture\r\nContent-Type: image/jpeg\r\n"), "{:?}", &text[..end]);
        let (length, start) = (field("Content-Length:"), end + 4);
        while bytes.len() < start + length + 2 {
            bytes.extend(reader.chunk());
        }
        assert_eq!(image::load_from_memory(&bytes[start..start + length]).unwrap().width(), 320);
        sequences.push(field("X-Sequence:"));
        bytes.drain(..start + length + 2);
    }
    assert!(sequences.is_sorted_by(|a, b| a < b), "{sequences:?}");
}

/// The parts of a body of unknown length.
struct Chunked<R>(R);

impl<R: BufRead> Chunked<R> {
    fn chunk(&mut self) -> Vec<u8> {
        let mut size = String::new();
        self.0.read_line(&mut size).unwrap();
        let mut chunk = vec![0; usize::from_str_radix(size.trim(), 16).unwrap() + 2];
        self.0.read_exact(&mut chunk).unwrap();
        chunk.truncate(chunk.len() - 2);
        chunk
    }
}

#[test]
fn observations_and_events_are_sent_as_they_happen() {
    let telemetry = start(options());
    let address = telemetry.preview_address().unwrap();
    let mut stream = connect(address);
    send(&mut stream, address, "GET", "/events", &[], "");
    let mut reader = Chunked(BufReader::new(stream));
    assert_eq!(head(&mut reader.0).header("content-type"), Some("text/event-stream"));
    let hello = reader.chunk();
    assert!(hello.starts_with(b":"));
    telemetry.event(&Event::Stop { reason: "two\nlines".into() });
    telemetry.observe(&frame(3), &observation(3));
    let mut text = String::new();
    while text.matches("\n\n").count() < 2 {
        text += &String::from_utf8(reader.chunk()).unwrap();
    }
    let messages: Vec<_> =
        text.trim_end().split("\n\n").map(|message| message.split_once("\ndata: ").unwrap()).collect();
    assert_eq!(messages[0].0, "event: event");
    let event: serde_json::Value = serde_json::from_str(messages[0].1).unwrap();
    assert_eq!((&event["event"], &event["line"]), (&"stop".into(), &"stopped: two lines".into()));
    assert_eq!(event["status"]["camera"]["up"], false);
    assert_eq!(messages[1].0, "event: observation");
    let seen: serde_json::Value = serde_json::from_str(messages[1].1).unwrap();
    assert_eq!(seen["frame"], 3);
}

#[test]
fn on_loopback_only_this_machines_names_are_answered() {
    let telemetry = start(options());
    let address = telemetry.preview_address().unwrap();
    for path in ["/", "/api/state", "/frame.jpg", "/stream.mjpg", "/events", "/metrics"] {
        assert_eq!(get(address, path, &["Host: evil.example"]).status, 421, "{path}");
    }
    assert_eq!(get(address, "/api/state", &["Host: localhost:99"]).status, 200);
}

#[test]
fn on_loopback_allowed_names_are_answered_too() {
    let telemetry = start(TelemetryOptions { preview_hosts: vec!["cam.example".into()], ..options() });
    let address = telemetry.preview_address().unwrap();
    assert_eq!(get(address, "/api/state", &["Host: cam.example"]).status, 200);
    assert_eq!(get(address, "/api/state", &["Host: cam.example:8443"]).status, 200);
    let refused = get(address, "/api/state", &["Host: evil.example"]);
    assert_eq!(refused.status, 421);
    assert!(refused.text().contains("--preview-host"), "{}", refused.text());
}

#[test]
fn browsers_are_given_a_field_for_the_token() {
    let (_telemetry, address) = guarded();
    let page = get(address, "/", &["Accept: text/html,application/xhtml+xml"]);
    assert_eq!((page.status, page.header("content-type")), (401, Some("text/html; charset=utf-8")));
    assert!(page.text().contains("<input name=\"token\""), "{}", page.text());
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.contains("default-src 'none'") && policy.contains("form-action 'self'"), "{policy}");
    assert!(policy.contains("frame-ancestors 'none'") && page.header("x-frame-options") == Some("DENY"));
}

#[test]
fn only_named_origins_may_show_the_page_in_a_frame() {
    let origin = "http://ha.example:8123";
    let embedded = start(TelemetryOptions { preview_embedders: vec![origin.parse().unwrap()], ..options() });
    let page = get(embedded.preview_address().unwrap(), "/", &[]);
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.ends_with(&format!("frame-ancestors {origin}")), "{policy}");
    assert_eq!(page.header("x-frame-options"), None);
    let plain = start(options());
    let page = get(plain.preview_address().unwrap(), "/", &[]);
    assert!(page.header("content-security-policy").unwrap().ends_with("frame-ancestors 'none'"));
    assert_eq!(page.header("x-frame-options"), Some("DENY"));
}

#[test]
fn a_lost_camera_and_a_failing_journal_are_told_with_since_when() {
    let telemetry = start(options());
    let address = telemetry.preview_address().unwrap();
    let state = || get(address, "/api/state", &[]).json();
    telemetry.observe(&frame(1), &observation(1));
    assert_eq!((&state()["status"]["face_count"], &state()["status"]["camera"]["up"]), (&2.into(), &true.into()));
    telemetry.event(&Event::CameraLost { reason: "unplugged".into() });
    telemetry.event(&Event::WritingFailed { cause: "disk_full".into(), message: "no space left on device".into() });
    telemetry.event(&Event::RecordsLost { records: 3, events: 0, seconds: 1.0 });
    telemetry.event(&Event::Throttled(Throttling { to: Some(Rate::Half), ..Throttling::default() }));
    let lost = state();
    assert!(
        lost["observation"].is_null() && lost["status"]["face"].is_null() && lost["status"]["face_count"].is_null()
    );
    let status = &lost["status"];
    for since in [&status["camera"]["lost_since"], &status["journal"]["failing_since"]] {
        assert!(since.as_str().unwrap().parse::<jiff::Timestamp>().is_ok(), "{since}");
    }
    assert_eq!(status["journal"]["failing_because"], "no space left on device");
    assert_eq!((&status["journal"]["dropped"], &status["throttled_to"]), (&3.into(), &"half".into()));
    telemetry.event(&Event::CameraBack { gap_ms: 900 });
    telemetry.event(&Event::WritingRecovered { seconds: 2.5 });
    telemetry.event(&Event::Unthrottled(Throttling { to: Some(Rate::Full), ..Throttling::default() }));
    let back = state();
    assert!(back["status"]["camera"]["lost_since"].is_null() && back["status"]["journal"]["failing_since"].is_null());
    assert!(back["status"]["throttled_to"].is_null());
    let names: Vec<&str> =
        back["events"].as_array().unwrap().iter().map(|event| event["event"].as_str().unwrap()).collect();
    assert_eq!(
        names,
        [
            "camera_lost",
            "writing_failed",
            "records_lost",
            "throttled",
            "camera_back",
            "writing_recovered",
            "unthrottled"
        ]
    );
}

#[test]
fn elsewhere_a_token_is_asked_for() {
    let (_telemetry, address) = guarded();
    for path in [
        "/",
        "/?token=wrong-token-wrong",
        "/api/state",
        "/frame.jpg",
        "/stream.mjpg",
        "/events",
        "/metrics",
        "/icon.svg",
    ] {
        let answer = get(address, path, &["Host: localhost"]);
        assert_eq!((answer.status, answer.header("www-authenticate")), (401, Some("Bearer")), "{path}");
        assert!(!answer.text().contains(TOKEN));
    }
    assert_eq!(get(address, "/api/state", &["Authorization: Bearer wrong"]).status, 401);
    assert_eq!(get(address, "/api/state", &[&format!("Authorization: Bearer {TOKEN}")]).status, 200);
    assert_eq!(get(address, "/metrics", &[&format!("Authorization: Bearer {TOKEN}")]).status, 200);

    let page = get(address, &format!("/?token={TOKEN}"), &["Host: board.local"]);
    assert_eq!(page.status, 200);
    let cookie = page.header("set-cookie").unwrap();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict") && !cookie.contains(TOKEN), "{cookie}");
    let pair = cookie.split(';').next().unwrap();
    assert_eq!(get(address, "/api/state", &[&format!("Cookie: {pair}")]).status, 200);
    assert_eq!(get(address, "/api/state", &[&format!("Cookie: {pair}x")]).status, 401);
}

#[test]
fn a_token_is_made_where_none_is_given() {
    let preview = Some("0.0.0.0:0".parse().unwrap());
    let telemetry = start(TelemetryOptions { preview, ..options() });
    let port = telemetry.preview_address().unwrap().port();
    assert_eq!(get(SocketAddr::from(([127, 0, 0, 1], port)), "/", &[]).status, 401);
}

#[test]
fn metrics_have_a_listener_of_their_own_without_the_preview() {
    let telemetry =
        start(TelemetryOptions { metrics: Some("127.0.0.1:0".parse().unwrap()), ..TelemetryOptions::default() });
    assert_eq!(telemetry.preview_address(), None);
    let address = telemetry.metrics_address().unwrap();
    assert_eq!(get(address, "/metrics", &[]).status, 200);
    for path in ["/", "/frame.jpg", "/stream.mjpg", "/events", "/api/state"] {
        assert_eq!(get(address, path, &[]).status, 404, "{path}");
    }
}

#[test]
fn metrics_are_behind_a_proxy_too() {
    let telemetry = start(TelemetryOptions {
        metrics: Some("127.0.0.1:0".parse().unwrap()),
        preview_hosts: vec!["cam.example".into()],
        ..TelemetryOptions::default()
    });
    let address = telemetry.metrics_address().unwrap();
    assert_eq!(get(address, "/board/metrics", &["Host: cam.example"]).status, 200);
    assert_eq!(get(address, "/metrics", &["Host: evil.example"]).status, 421);
}

#[test]
fn an_address_that_is_taken_is_named() {
    let telemetry = start(options());
    let taken = telemetry.preview_address();
    let error = Telemetry::start(TelemetryOptions { preview: taken, ..options() }, about(), None).err().unwrap();
    assert!(matches!(error, TelemetryError::Listen { .. }));
    assert!(error.to_string().contains(&taken.unwrap().to_string()), "{error}");
    assert_eq!(Classify::kind(&error), ErrorKind::BadInput);
}

#[test]
fn only_get_and_head_are_understood() {
    let telemetry = start(options());
    let address = telemetry.preview_address().unwrap();
    for (method, path, status) in [
        ("POST", "/", 405),
        ("DELETE", "/api/state", 405),
        ("HEAD", "/", 200),
        ("HEAD", "/events", 405),
        ("GET", "/none", 404),
        ("GET", "/cam", 404),
        ("GET", "/cam/", 200),
        ("GET", "//api/state", 200),
    ] {
        let answer = request(address, method, path, &[], "");
        assert_eq!(answer.status, status, "{method} {path}");
        assert_eq!(answer.header("allow").is_some(), status == 405, "{method} {path}");
    }
}

#[test]
fn bad_requests_are_refused_and_the_next_one_is_served() {
    let telemetry = start(options());
    let address = telemetry.preview_address().unwrap();
    let long = "x".repeat(100_000);
    let many = "A: b\r\n".repeat(1_000);
    let bad = [
        "\0\u{1}\u{2}".to_owned(),
        "GET\r\n\r\n".into(),
        "GET / HTTP/9.9\r\n\r\n".into(),
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".into(),
        format!("GET /{long} HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        format!("GET / HTTP/1.1\r\nHost: localhost\r\nA: {long}\r\n\r\n"),
        format!("GET / HTTP/1.1\r\nHost: localhost\r\n{many}\r\n"),
        "GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n".into(),
        "GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n".into(),
    ];
    for text in bad {
        let mut stream = connect(address);
        // The server may close before it has read all.
        let _ = stream.write_all(text.as_bytes());
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let status = String::from_utf8_lossy(&answer).chars().skip(9).take(1).collect::<String>();
        assert!(
            answer.is_empty() || status == "4",
            "{:?}: {:?}",
            &text[..text.len().min(40)],
            String::from_utf8_lossy(&answer)
        );
    }
    assert_eq!(get(address, "/api/state", &["Host: \u{e9}"]).status, 421);
    assert_eq!(
        get(address, "/frame.jpg?after=-1&after=99999999999999999999&%%%&&=", &["Connection: close"]).status,
        204
    );
    assert_eq!(get(address, "/api/state", &[]).status, 200);
}

#[test]
fn slow_heads_are_cut_off_and_their_places_given_to_others() {
    let limits = ClientLimits { connections: 4, head: Duration::from_millis(500), ..ClientLimits::default() };
    let telemetry = start(TelemetryOptions { limits, ..options() });
    let address = telemetry.preview_address().unwrap();
    let mut slow: Vec<_> = (0..4)
        .map(|_| {
            let mut stream = connect(address);
            stream.write_all(b"GET / HTTP/1.1\r\nHost: local").unwrap();
            stream
        })
        .collect();
    // All places are taken: one more is turned away, or waits no longer than the slow ones are borne with.
    let mut turned_away = false;
    until("a place", || {
        let mut stream = connect(address);
        let _ = stream
            .write_all(format!("GET /icon.svg HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").as_bytes());
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        // 503, or a reset that overtakes it.
        turned_away |= !answer.starts_with(b"HTTP/1.1 200");
        answer.starts_with(b"HTTP/1.1 200").then_some(())
    });
    assert!(turned_away, "a fifth connection was served beside four");
    for stream in &mut slow {
        let mut rest = Vec::new();
        // Reset or closed, but ended.
        let _ = stream.read_to_end(&mut rest);
        assert!(!rest.starts_with(b"HTTP/1.1 200"));
    }
}

/// A frame whose JPEG is large.
fn noise(sequence: u64) -> Frame {
    let (width, height) = (960, 720);
    let mut state = sequence;
    let random = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    });
    let luma = Luma { width, height, offset: 0, step: 1, stride: width };
    Frame { bytes: random.take(width * height).collect(), luma, sequence, ..Frame::default() }
}

#[test]
fn a_client_that_reads_nothing_is_cut_off() {
    let limits = ClientLimits { connections: 1, stalled: Duration::from_millis(300), ..ClientLimits::default() };
    let telemetry = start(TelemetryOptions { limits, preview_rate: 60, ..options() });
    let address = telemetry.preview_address().unwrap();
    let mut stalled = connect(address);
    send(&mut stalled, address, "GET", "/stream.mjpg", &[], "");
    // It holds the only place until the buffers between are full and nothing has moved for a while.
    let mut sequence = 0;
    let answer = until("the place of the stalled client", || {
        sequence += 1;
        telemetry.observe(&noise(sequence), &observation(sequence));
        let mut stream = connect(address);
        let _ = stream
            .write_all(format!("GET /icon.svg HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").as_bytes());
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        answer.starts_with(b"HTTP/1.1 200").then_some(answer)
    });
    assert!(!answer.is_empty());
    drop(stalled);
}

#[test]
fn it_stops_while_clients_are_connected() {
    let telemetry = start(options());
    let address = telemetry.preview_address().unwrap();
    let mut stream = connect(address);
    send(&mut stream, address, "GET", "/events", &[], "");
    let mut reader = BufReader::new(stream);
    head(&mut reader);
    drop(telemetry);
    let mut rest = Vec::new();
    let _ = reader.read_to_end(&mut rest);
    assert!(std::net::TcpStream::connect(address).is_err(), "it still listens");
}
