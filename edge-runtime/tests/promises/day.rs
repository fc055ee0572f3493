//! As many frames as a day at 15 frames per second has, through the whole program as fast as it takes them. The frames bear the
//! video's times, so the journal sees a day too.

use std::fs;
use std::io::{BufWriter, Write};
use std::time::Duration;

use edge_runtime::journal::Reader;
use test_support::promise::{count, measured, times};

use super::journal_common::{bytes, damage};
use super::scene::{Held, STDIN, Scene, metric, recorder, watched};

/// Frames per second of the video.
const RATE: u32 = 15;
/// Somebody is there for the first 3 of every 20 s.
const PERIOD: u64 = 20 * RATE as u64;
const VISIT: u64 = 3 * RATE as u64;
/// How many samples are taken; those of the fourth tenth, when the journal has its full size, are compared with those of the last.
const SAMPLES: u64 = 100;
/// By how many KiB the largest of the last samples may exceed the largest of the first ones.
const MEMORY_TOLERANCE: u64 = 1024;
/// Size of the journal, MiB: less than a day needs, so that old records are deleted.
const JOURNAL_MIB: u64 = 1;

#[test]
fn a_day_of_frames_leaves_memory_descriptors_and_threads_as_they_were() {
    let frames = times(2400).max(SAMPLES);
    let Some(scene) = Scene::load() else { return };
    let folder = tempfile::tempdir().unwrap();
    let journal = folder.path().join("journal");
    let mut run = recorder(STDIN, &journal);
    run.args(["--journal-size", &JOURNAL_MIB.to_string()]);
    let (mut process, address) = watched(run);
    let mut video = BufWriter::new(process.stdin.take().unwrap());
    Scene::write_head(&mut video, RATE).unwrap();
    let mut samples = Vec::new();
    for frame in 0..frames {
        scene.write_frame(&mut video, frame % PERIOD < VISIT).unwrap();
        if (frame + 1).is_multiple_of(frames / SAMPLES) {
            assert!(metric(address, "edge_runtime_frames_total") <= (frame + 1) as f64);
            samples.push(Held::of(&process));
        }
    }
    video.flush().unwrap();
    drop(video);
    assert!(process.wait().unwrap().success());

    let largest = |part: &[Held]| part.iter().copied().fold(Held::default(), Held::max);
    let tenth = samples.len() / 10;
    let (early, late) = (largest(&samples[3 * tenth..4 * tenth]), largest(&samples[samples.len() - tenth..]));
    assert!(late.memory_kib <= early.memory_kib + MEMORY_TOLERANCE, "memory grew from {early:?} to {late:?}");
    assert!(late.descriptors <= early.descriptors && late.threads <= early.threads, "{early:?} became {late:?}");

    assert_eq!(damage(&journal), [""; 0]);
    let reader = Reader::open(&journal).unwrap();
    let (oldest, newest) = reader.ids().unwrap().unwrap();
    assert!(newest as u64 > frames / PERIOD, "only {newest} records and events of {} visits", frames / PERIOD);
    let minutes = reader.minutes(&Default::default()).unwrap();
    let last = minutes.iter().map(|minute| minute.minute).max().unwrap();
    let started = reader.sessions().unwrap()[0].started_wall_us.div_euclid(60_000_000);
    if oldest == 1 {
        let counted: u64 = minutes.iter().map(|minute| minute.frames).sum();
        assert_eq!(counted, frames, "frames are counted, recorded or not");
    }
    assert!(bytes(&journal) <= JOURNAL_MIB << 20, "{} bytes", bytes(&journal));
    let span = Duration::from_secs(frames / u64::from(RATE));
    assert!((last - started).unsigned_abs() >= span.as_secs() / 60, "the journal saw {} minutes", last - started);
    measured(
        format!(
            "{} frames, {:.1} hours of the video's time; {} records and events, of which the journal keeps the last {}",
            count(frames),
            span.as_secs_f64() / 3600.0,
            count(newest as u64),
            count((newest - oldest + 1) as u64),
        ),
        format!(
            "memory {} KiB in the fourth tenth, {} KiB in the last; {} descriptors, {} threads in both",
            count(early.memory_kib),
            count(late.memory_kib),
            late.descriptors,
            late.threads
        ),
    );
    fs::remove_dir_all(folder).unwrap();
}
