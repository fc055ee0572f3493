//! The loop of `run`, driven by frames, faces, lights and a service manager of the tests' own.
#![cfg(all(feature = "preview", feature = "metrics", feature = "mqtt"))]

mod journal_common;
#[path = "telemetry_support/mod.rs"]
mod support;

use std::collections::VecDeque;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use edge_runtime::board::thermal::{Sensors, Thermometer};
use edge_runtime::camera::{CameraError, Next, Source};
use edge_runtime::event::{Event, Rate, Throttling};
use edge_runtime::frame::{Frame, Observation};
use edge_runtime::journal::{Config, Reader, Writer};
use edge_runtime::pipeline::{Observe, Profile};
use edge_runtime::run::{Indicate, Notify, PauseMarker, Run, Sinks, Summary};
use edge_runtime::service::{Progress, Stop};
use edge_runtime::telemetry::{self, Telemetry, mqtt};
use expression_core::indicator::State;
use expression_core::{FaceInput, Label, Record};
use expression_engine::EngineError;
use journal_common::{child, child_path, config, events, limit_files_to, open};
use support::{about, frame, get, has, until};

/// Lights that remember what they showed, and a button that is pressed by the test.
#[derive(Clone, Default)]
struct Lights(Arc<Mutex<(Vec<State>, u32)>>);

impl Lights {
    fn shown(&self) -> Vec<State> {
        self.0.lock().unwrap().0.clone()
    }

    fn press(&self) {
        self.0.lock().unwrap().1 += 1;
    }
}

impl Indicate for Lights {
    fn show(&self, state: State) {
        self.0.lock().unwrap().0.push(state);
    }

    fn show_rate(&self, _: f32) {}

    fn take_press(&self) -> bool {
        let presses = &mut self.0.lock().unwrap().1;
        let pressed = *presses > 0;
        *presses = presses.saturating_sub(1);
        pressed
    }
}

/// A service manager that remembers what it was told.
#[derive(Clone, Default)]
struct Manager(Arc<Mutex<Vec<String>>>);

impl Manager {
    fn told(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    fn last(&self) -> String {
        self.told().pop().unwrap_or_default()
    }
}

impl Notify for Manager {
    fn status(&self, status: &str) {
        self.0.lock().unwrap().push(status.to_owned());
    }

    fn stopping(&self) {
        self.0.lock().unwrap().push("STOPPING".into());
    }
}

/// A source that gives what it was told to, and then the same for ever.
struct Script {
    steps: VecDeque<Next>,
    end: Next,
    sequence: u64,
    pause: Duration,
    skipped: u64,
}

impl Script {
    fn new(steps: impl IntoIterator<Item = Next>) -> Script {
        Script {
            steps: steps.into_iter().collect(),
            end: Next::Frame,
            sequence: 0,
            pause: Duration::from_millis(1),
            skipped: 0,
        }
    }
}

impl Source for Script {
    fn next(&mut self, into: &mut Frame) -> Result<Next, CameraError> {
        let next = self.steps.pop_front().unwrap_or_else(|| self.end.clone());
        if next == Next::Frame {
            *into = frame(self.sequence);
            self.sequence += 1;
        }
        std::thread::sleep(self.pause);
        Ok(next)
    }

    fn describe(&self) -> String {
        "a script".into()
    }

    fn skipped(&self) -> u64 {
        self.skipped
    }
}

/// Sees the two faces of [`support::observation`] in every frame.
struct Faces;

impl Observe for Faces {
    fn observe(
        &mut self,
        frame: &Frame,
        into: &mut Observation,
        _: &mut Profile,
        _: &mut dyn FnMut(&Record, &[u8]),
    ) -> Result<(), EngineError> {
        *into = support::observation(frame.sequence);
        Ok(())
    }

    fn forget(&mut self) {}

    fn input(&self) -> FaceInput {
        FaceInput { channels: 1, aligned: 48, size: 48 }
    }
}

struct Ends {
    lights: Lights,
    manager: Manager,
    stop: Stop,
}

/// A run of a script over faces, with ends that can be looked at.
fn run(script: Script, journal: Option<Writer>, telemetry: Telemetry) -> (Run<Faces, Lights, Manager>, Ends) {
    let ends = Ends { lights: Lights::default(), manager: Manager::default(), stop: Stop::default() };
    let run = Run {
        source: Box::new(script),
        pipeline: Faces,
        sinks: Sinks::new(journal.map(Arc::new), telemetry, ends.lights.clone(), ends.manager.clone()),
        on_observation: Box::new(|_| Ok(())),
        policy: None,
        thermometer: Thermometer::start(Sensors::default()),
        progress: Progress::default(),
        stop: ends.stop.clone(),
        profile: Profile::new(std::time::Instant::now()),
        max_frames: u64::MAX,
        still: false,
        start_paused: false,
        pause_marker: PauseMarker::default(),
    };
    (run, ends)
}

/// A preview, which also serves the metrics, on a free port.
fn preview() -> telemetry::TelemetryOptions {
    telemetry::TelemetryOptions {
        preview: Some("127.0.0.1:0".parse().unwrap()),
        preview_rate: 10,
        ..Default::default()
    }
}

/// A sample of `/metrics`.
fn metric(address: std::net::SocketAddr, name: &str) -> Option<f64> {
    let text = get(address, "/metrics", &[]).text();
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
}

fn every_event() -> Vec<Event> {
    let hot = Throttling { to: Some(Rate::Half), millicelsius: Some(81_500), ..Throttling::default() };
    vec![
        Event::Start,
        Event::CameraLost { reason: "unplugged".into() },
        Event::CameraBack { gap_ms: 1500 },
        Event::FramesDropped { frames: 3 },
        Event::Throttled(hot),
        Event::Unthrottled(Throttling { to: Some(Rate::Full), ..hot }),
        Event::RecordingPaused { by: "button".into() },
        Event::RecordingResumed { by: "button".into() },
        Event::WritingFailed { cause: "disk_full".into(), message: "no room".into() },
        Event::WritingRecovered { seconds: 2.5 },
        Event::RecordsLost { records: 4, events: 1, seconds: 2.0 },
        Event::JournalCommitted { batches: 1, records: 12 },
        Event::JournalDamaged { reason: "bits".into(), moved_to: "journal.damaged-1".into() },
        Event::KeepFaces { on: true, which: Some("unsure".into()) },
        Event::FacesDeleted { faces: 3, by: "age".into() },
        Event::ClockChanged { synchronised: true, step_ms: 5 },
        Event::OlderBundle { key: "D59B8CDFD7893007".into(), sequence: 5, newest: 6 },
        Event::Stop { reason: "test".into() },
    ]
}

/// Fails to compile when an event is added, so that it is walked through the sinks as well.
fn index(event: &Event) -> usize {
    match event {
        Event::Start => 0,
        Event::CameraLost { .. } => 1,
        Event::CameraBack { .. } => 2,
        Event::FramesDropped { .. } => 3,
        Event::Throttled(_) => 4,
        Event::Unthrottled(_) => 5,
        Event::RecordingPaused { .. } => 6,
        Event::RecordingResumed { .. } => 7,
        Event::WritingFailed { .. } => 8,
        Event::WritingRecovered { .. } => 9,
        Event::RecordsLost { .. } => 10,
        Event::JournalCommitted { .. } => 11,
        Event::JournalDamaged { .. } => 12,
        Event::KeepFaces { .. } => 13,
        Event::FacesDeleted { .. } => 14,
        Event::ClockChanged { .. } => 15,
        Event::OlderBundle { .. } => 16,
        Event::Stop { .. } => 17,
    }
}

#[test]
fn every_event_reaches_every_sink_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let telemetry = Telemetry::start(preview(), about(), None).unwrap();
    let address = telemetry.preview_address().unwrap();
    let (lights, manager) = (Lights::default(), Manager::default());
    let writer = open(&path, Config { keep_faces: false, ..config() });
    let mut sinks = Sinks::new(Some(Arc::new(writer)), telemetry, lights.clone(), manager.clone());
    let all = every_event();
    assert!(all.iter().map(index).eq(0..18));
    for event in &all {
        sinks.send(event.clone());
        let (shown, told) = (lights.shown(), manager.last());
        let state = get(address, "/api/state", &[]).json();
        let lines = state["events"].as_array().unwrap();
        let newest = lines.last().map_or("", |event| event["line"].as_str().unwrap());
        match event.line() {
            Some(line) => assert_eq!(newest, line, "the preview shows it"),
            None => assert!(!newest.is_empty(), "{event:?} is only counted"),
        }
        match event {
            Event::Start => assert_eq!(shown, [State::Watching]),
            Event::CameraLost { .. } => {
                assert_eq!(shown.last(), Some(&State::Fault));
                assert!(told.contains("camera lost: unplugged"), "{told}");
                assert!(state["status"]["camera"]["lost_since"].is_string());
                assert_eq!(metric(address, "edge_runtime_camera_up"), Some(0.0));
                assert_eq!(metric(address, "edge_runtime_faces"), None, "nothing is known about faces");
            }
            Event::CameraBack { .. } => {
                assert_eq!((shown.last(), told.as_str()), (Some(&State::Watching), "watching"));
                assert!(state["status"]["camera"]["lost_since"].is_null());
            }
            Event::RecordingPaused { .. } => {
                assert_eq!((shown.last(), told.as_str()), (Some(&State::Paused), "paused"));
                assert_eq!(metric(address, "edge_runtime_paused"), Some(1.0));
            }
            Event::RecordingResumed { .. } => assert_eq!(shown.last(), Some(&State::Watching)),
            Event::WritingFailed { .. } => {
                assert!(told.contains("journal cannot be written: no room"), "{told}");
                assert_eq!(state["status"]["journal"]["failing_because"], "no room");
                assert_eq!(metric(address, "edge_runtime_journal_failing"), Some(1.0));
            }
            Event::WritingRecovered { .. } => assert!(state["status"]["journal"]["failing_because"].is_null()),
            Event::RecordsLost { .. } => assert_eq!(metric(address, "edge_runtime_journal_dropped_total"), Some(4.0)),
            Event::JournalCommitted { .. } => {
                assert_eq!(metric(address, "edge_runtime_journal_records_total"), Some(12.0));
            }
            Event::Stop { .. } => assert_eq!(told, "STOPPING"),
            _ => {}
        }
    }
    sinks.close("test").unwrap();
    let expected: Vec<String> = ["start"]
        .into_iter()
        .map(String::from)
        .chain(all.iter().filter(|event| !event.is_from_journal()).map(|event| event.to_parts().0))
        .chain(["stop".to_owned()])
        .collect();
    assert_eq!(events(&path), expected, "the journal's own events are written by its writer alone");
}

#[test]
fn the_page_about_the_journal_has_every_event_with_its_fields() {
    // Flags above the table have names of events.
    let (_, page) = include_str!("../../docs/journal.md").split_once("| kind | fields of `detail` |").unwrap();
    for event in every_event().iter().filter(|event| !matches!(event, Event::JournalCommitted { .. })) {
        let (kind, detail) = event.to_parts();
        let row = page.lines().find(|line| line.starts_with(&format!("| `{kind}` |"))).unwrap_or_default();
        let fields: serde_json::Value = serde_json::from_str(&detail.unwrap_or_else(|| "{}".into())).unwrap();
        let missing: Vec<&String> =
            fields.as_object().unwrap().keys().filter(|field| !row.contains(&format!("`{field}`"))).collect();
        assert!(!row.is_empty() && missing.is_empty(), "{kind}: {missing:?} in {row:?}");
    }
}

#[test]
fn while_the_camera_is_lost_nothing_stale_is_told() {
    let telemetry = Telemetry::start(preview(), about(), None).unwrap();
    let address = telemetry.preview_address().unwrap();
    let lost = Next::Lost { reason: "the plug was pulled".into() };
    let script = Script { end: Next::Waiting, ..Script::new(std::iter::repeat_n(Next::Frame, 5).chain([lost])) };
    let (run, ends) = run(script, None, telemetry);
    let thread = std::thread::spawn(move || run.run().map(|outcome| outcome.summary).unwrap());
    let state = until("the loss to be told", || {
        let state = get(address, "/api/state", &[]).json();
        state["status"]["camera"]["lost_since"].is_string().then_some(state)
    });
    assert!(state["observation"].is_null(), "{state}");
    assert_eq!(metric(address, "edge_runtime_camera_up"), Some(0.0));
    assert_eq!(metric(address, "edge_runtime_faces"), None);
    until("the status", || ends.manager.last().contains("camera lost: the plug was pulled").then_some(()));
    assert_eq!(ends.lights.shown().last(), Some(&State::Fault));
    ends.stop.ask();
    let summary: Summary = thread.join().unwrap();
    assert_eq!((summary.frames, summary.faces, summary.reason.as_str()), (5, 10, "signal"));
}

#[test]
fn the_button_pauses_and_damaged_frames_at_the_end_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let telemetry = Telemetry::start(telemetry::TelemetryOptions::default(), about(), None).unwrap();
    let script = Script { skipped: 2, ..Script::new(std::iter::repeat_n(Next::Frame, 4).chain([Next::End])) };
    let (run, ends) = run(script, Some(open(&path, config())), telemetry);
    ends.lights.press();
    let summary = run.run().unwrap().summary;
    assert_eq!((summary.delivered, summary.frames, summary.skipped, summary.dropped), (4, 0, 2, 2));
    assert_eq!(events(&path), ["start", "recording_paused", "frames_dropped", "stop"]);
    assert!(ends.lights.shown().contains(&State::Paused));
}

#[test]
fn what_the_button_paused_only_the_button_resumes() {
    for (button, asked, start_paused, expected) in [
        (false, Some(true), false, &["recording_paused"][..]),
        (false, Some(false), false, &[]),
        (true, Some(false), false, &["recording_paused"]),
        (false, Some(false), true, &["recording_paused", "recording_resumed"]),
        (false, None, true, &["recording_paused"]),
        (true, None, true, &["recording_paused", "recording_resumed"]),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let telemetry = Telemetry::start(telemetry::TelemetryOptions::default(), about(), None).unwrap();
        let script = Script::new(std::iter::repeat_n(Next::Frame, 4).chain([Next::End]));
        let (mut run, ends) = run(script, Some(open(&path, config())), telemetry);
        run.start_paused = start_paused;
        if button {
            ends.lights.press();
        }
        if let Some(pauses) = asked {
            run.sinks.telemetry.request_pause(pauses);
        }
        let summary = run.run().unwrap().summary;
        let ends_paused = expected.last() == Some(&"recording_paused");
        assert_eq!(summary.frames, if ends_paused { 0 } else { 4 }, "{button} {asked:?} {start_paused}");
        let wanted = ["start"].iter().chain(expected).chain(&["stop"]).copied().collect::<Vec<_>>();
        assert_eq!(events(&path), wanted, "{button} {asked:?} {start_paused}");
    }
}

#[test]
fn a_pause_outlives_the_run_until_it_is_ended() {
    let folder = tempfile::tempdir().unwrap();
    let marker = PauseMarker::new(Some(folder.path().join("paused")));
    let journal = folder.path().join("journal");
    // Pressed; started again; asked by the broker, which may not; pressed again; started again.
    for (pressed, asked, frames) in
        [(true, false, 0), (false, false, 0), (false, true, 0), (true, false, 4), (false, false, 4)]
    {
        let telemetry = Telemetry::start(telemetry::TelemetryOptions::default(), about(), None).unwrap();
        let script = Script::new(std::iter::repeat_n(Next::Frame, 4).chain([Next::End]));
        let (mut run, ends) = run(script, Some(open(&journal, config())), telemetry);
        run.pause_marker = marker.clone();
        if pressed {
            ends.lights.press();
        }
        if asked {
            run.sinks.telemetry.request_pause(false);
        }
        assert_eq!(run.run().unwrap().summary.frames, frames, "{pressed} {asked}");
    }
    assert_eq!(marker.paused_by(), None);
}

#[test]
fn labels_and_records_are_summed_up() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let telemetry = Telemetry::start(telemetry::TelemetryOptions::default(), about(), None).unwrap();
    let script = Script::new(std::iter::repeat_n(Next::Frame, 6).chain([Next::End]));
    let (run, _) = run(script, Some(open(&path, config())), telemetry);
    let summary = run.run().unwrap().summary;
    assert_eq!((summary.frames, summary.faces, summary.labels.iter().sum::<u64>()), (6, 12, 6));
    assert_eq!(summary.journal.unwrap().records, 12);
    assert_eq!(Reader::open(&path).unwrap().records_after(0, 100).unwrap().len(), 12);
    assert_eq!(Label::COUNT, summary.labels.len());
}

/// A mosquitto on a free port, and what its topic of states holds.
struct Broker(std::process::Child, u16);

impl Broker {
    fn start(folder: &Path) -> Option<Broker> {
        if !has("mosquitto", "mosquitto") || !has("mosquitto_sub", "mosquitto-clients") {
            return None;
        }
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        fs::write(folder.join("conf"), format!("listener {port} 127.0.0.1\nallow_anonymous true\n")).unwrap();
        let sbin = "/usr/sbin/mosquitto";
        let program = if Path::new(sbin).exists() { sbin } else { "mosquitto" };
        let child = Command::new(program).arg("-c").arg(folder.join("conf")).stderr(Stdio::null()).spawn().unwrap();
        until("the broker to listen", || std::net::TcpStream::connect(("127.0.0.1", port)).ok());
        Some(Broker(child, port))
    }

    fn options(&self) -> mqtt::BrokerOptions {
        let address = mqtt::Address::parse(&format!("mqtt://127.0.0.1:{}/board", self.1)).unwrap();
        mqtt::BrokerOptions { period: Duration::from_millis(20), ..mqtt::BrokerOptions::new(address) }
    }

    fn state(&self) -> Option<serde_json::Value> {
        let port = self.1.to_string();
        let output = Command::new("mosquitto_sub")
            .args(["-h", "127.0.0.1", "-p", &port, "-t", "board/state", "-C", "1", "-W", "10"])
            .output()
            .unwrap();
        serde_json::from_slice(&output.stdout).ok()
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Limits of a process hold for all of its threads, so this runs in a process of its own.
#[test]
fn full_disk_child() {
    let Some(folder) = child_path() else { return };
    let broker = Broker::start(&folder);
    limit_files_to(300 << 10);
    let path = folder.join("journal");
    let writer = open(&path, Config { queue_bytes: 64 << 10, ..config() });
    let options = telemetry::TelemetryOptions { mqtt: broker.as_ref().map(Broker::options), ..preview() };
    let telemetry = Telemetry::start(options, about(), None).unwrap();
    let address = telemetry.preview_address().unwrap();
    let (run, ends) = run(Script { pause: Duration::from_micros(50), ..Script::new([]) }, Some(writer), telemetry);
    let thread = std::thread::spawn(move || run.run().map(|outcome| outcome.summary).unwrap());

    let dropped = || metric(address, "edge_runtime_journal_dropped_total").unwrap();
    let first = until("records to be dropped", || Some(dropped()).filter(|count| *count > 0.0));
    until("more of them to be dropped", || (dropped() > first).then_some(()));
    // On a slow disk the queue overflows before the file is full.
    until("the journal to fail", || (metric(address, "edge_runtime_journal_failing") == Some(1.0)).then_some(()));
    let journal = get(address, "/api/state", &[]).json()["status"]["journal"].clone();
    assert!(journal["failing_because"].is_string() && journal["dropped"].as_u64() > Some(0), "{journal}");
    until("the status", || ends.manager.last().contains("journal cannot be written").then_some(()));
    if let Some(broker) = &broker {
        let told = until("the broker to be told", || {
            broker.state().filter(|state| state["journal"]["failing_because"].is_string())
        });
        assert!(told["journal"]["dropped"].as_u64() > Some(0), "{told}");
    }

    limit_files_to(libc::RLIM_INFINITY);
    until("the journal to be written again", || {
        (metric(address, "edge_runtime_journal_failing") == Some(0.0)).then_some(())
    });
    until("the status to be good again", || (!ends.manager.last().contains("cannot be written")).then_some(()));
    ends.stop.ask();
    let summary = thread.join().unwrap();
    let journal = summary.journal.unwrap();
    assert!(journal.lost as f64 >= first);
    assert_eq!(journal.records + journal.lost, summary.faces, "every record is written or counted as lost");
}

#[test]
fn a_full_disk_under_a_running_loop_reaches_everybody() {
    let folder = tempfile::tempdir().unwrap();
    let output = child("full_disk_child", folder.path()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}
