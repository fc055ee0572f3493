//! Every page of this program: axe-core finds nothing in it, nothing is wider than the screen, and tables break no words, in light
//! and dark, on a phone, a tablet and a desktop. `SCREENSHOTS=FOLDER` writes a picture of each.
#![cfg(feature = "preview")]

mod journal_common;
#[path = "telemetry_support/mod.rs"]
mod support;

use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use edge_runtime::event::{Event, Rate, Throttling};
use edge_runtime::frame::Observation;
use edge_runtime::telemetry::{TelemetryOptions, Token};
use expression_core::{Bounds, Label, Quality, Record, Stamp};
use support::*;
use test_support::axe::Axe;
use test_support::browser::{Browser, is_missing};

fn options(address: &str) -> TelemetryOptions {
    TelemetryOptions { preview: Some(address.parse().unwrap()), preview_rate: 10, ..TelemetryOptions::default() }
}

fn axe() -> Option<Axe> {
    if is_missing() { None } else { Axe::open() }
}

#[test]
fn the_live_page_in_each_of_its_states() {
    let Some(axe) = axe() else { return };
    let telemetry = start(options("127.0.0.1:0"));
    let browser = Browser::open(1440, 900);
    browser.visit(&format!("http://{}/", telemetry.preview_address().unwrap()));
    browser.until("document.getElementById('state').textContent === 'no frames'");
    axe.hold(&browser, "live-waiting", || ());

    let feeder = Feeder::new(&telemetry);
    browser.until("document.querySelectorAll('.face').length === 2");
    browser.until("Number(document.getElementById('plot').dataset.points) >= 3");
    telemetry.event(&Event::Throttled(Throttling { to: Some(Rate::Half), ..Throttling::default() }));
    telemetry.event(&Event::WritingFailed { cause: "disk_full".into(), message: "no space left on device".into() });
    browser.until("document.getElementById('trouble').textContent.includes('no space')");
    axe.hold(&browser, "live-faces", || ());
    telemetry.event(&Event::WritingRecovered { seconds: 2.5 });
    telemetry.event(&Event::Unthrottled(Throttling::default()));

    telemetry.event(&Event::RecordingPaused { by: "button".into() });
    drop(feeder);
    browser.until("document.getElementById('state').textContent === 'recording paused'");
    axe.hold(&browser, "live-paused", || ());
    telemetry.event(&Event::RecordingResumed { by: "button".into() });

    telemetry.observe(&frame(100_000), &Observation { faces: Vec::new(), ..observation(100_000) });
    browser.until("document.querySelectorAll('.face').length === 0");
    axe.hold(&browser, "live-nobody", || ());

    telemetry.event(&Event::CameraLost { reason: "unplugged".into() });
    browser.until("document.body.classList.contains('lost')");
    axe.hold(&browser, "live-lost", || ());
    drop(telemetry);
    browser.until("document.getElementById('state').textContent === 'not connected'");
    axe.hold(&browser, "live-away", || ());
}

#[test]
fn the_page_that_asks_for_the_token() {
    let Some(axe) = axe() else { return };
    let telemetry = start(TelemetryOptions { token: Token::new(TOKEN), ..options("0.0.0.0:0") });
    let browser = Browser::open(1440, 900);
    browser.visit(&format!("http://127.0.0.1:{}/", telemetry.preview_address().unwrap().port()));
    browser.until("document.querySelector('input[name=token]') !== null");
    axe.hold(&browser, "token", || ());
}

const SECOND: i64 = 1_000_000;
const HOUR: i64 = 3600 * SECOND;

/// The last 42 hours: people come and go, two nights and a lost camera in between.
fn journal(path: &std::path::Path) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros() as i64;
    let first = now - 42 * HOUR;
    // Hours after the start, and whether a program of its own.
    let stretches = [(0.0, 5.0, true), (14.0, 18.5, true), (19.5, 24.0, false), (33.0, 42.0, true)];
    let (mut writer, mut sequence, mut random) = (None, 0, 1u64);
    let mut dice = move || {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (random >> 33) as f64 / f64::from(1u32 << 31)
    };
    let mut track = 0;
    for (from, until, restarts) in stretches {
        if restarts {
            let config = edge_runtime::journal::Config { max_records_per_second: f32::INFINITY, ..Default::default() };
            // The one before is closed first.
            drop(writer.take());
            writer = Some(journal_common::open(path, config));
        }
        let writer = writer.as_ref().unwrap();
        let (mut at, end) = (first + (from * HOUR as f64) as i64, first + (until * HOUR as f64) as i64);
        let (mut stays, mut label) = (0, Label::Neutral);
        while at < end {
            if stays == 0 && dice() < 0.08 {
                (stays, track) = (5 + (dice() * 120.0) as u32, track + 1);
            }
            if dice() < 0.15 {
                let usual = [Label::Neutral, Label::Happiness, Label::Neutral, Label::Surprise, Label::Happiness];
                label = usual[(dice() * 5.0) as usize];
            }
            let readable = dice() < 0.9;
            let face = Record {
                track,
                bounds: Bounds { left: 200, top: 120, width: 140, height: 180 },
                quality: if readable { Quality::Good } else { Quality::Turned },
                scores: readable.then_some([9; 8]),
                label: (readable && dice() < 0.85).then_some(label),
                confidence: 200,
            };
            sequence += 1;
            writer.observe(&Observation {
                stamp: Stamp { monotonic_ns: 1_000_000_000_000 + (at - first) as u64 * 1000, wall_us: at },
                sequence,
                name: None,
                size: [640, 480],
                faces: if stays > 0 { vec![face] } else { Vec::new() },
                latency_us: 9_000 + (dice() * 4_000.0) as u32 + if dice() < 0.03 { 20_000 } else { 0 },
                millicelsius: Some(52_000),
            });
            stays = stays.saturating_sub(1);
            at += if stays > 0 { 2 } else { 8 } * SECOND;
            if sequence % 2000 == 0 {
                writer.flush(journal_common::PATIENCE);
            }
        }
        writer.event(Event::CameraLost {
            reason: "the device has gone: no such device (ENODEV), tried every 5 s".into(),
        });
        writer.event(Event::CameraBack { gap_ms: 3_600_000 });
    }
}

#[test]
fn the_report_of_42_hours_of_journal() {
    let Some(axe) = axe() else { return };
    let folder = tempfile::tempdir().unwrap();
    let [path, page] = ["kitchen.db", "journal.html"].map(|name| folder.path().join(name));
    journal(&path);
    let mut report = Command::new(env!("CARGO_BIN_EXE_edge-runtime"));
    report.env("TZ", "Europe/Berlin").args(["log", "report", "--journal"]).arg(&path).arg("--output").arg(&page);
    assert!(report.status().unwrap().success());
    let browser = Browser::open(1440, 900);
    browser.visit(&format!("file://{}", page.display()));
    axe.hold(&browser, "journal", || ());
    assert_eq!(browser.console(), Vec::<String>::new());
}
