//! A V4L2 camera: rendered frames go through the kernel's virtual camera in two formats; then the camera is lost and comes back.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::fault::Fault;
use crate::files::empty_folder;
use crate::frames;
use crate::guest::Guest;
use crate::lab::Lab;
use crate::machine::Board;
use crate::output::{self, EXPORT_EVENTS, Event, Face, Frame};
use crate::suite::Figures;

const BOARD: Board = Board::Virt("cortex-a72");
/// Pictures that go through the camera.
const STILLS: usize = 2;
/// Frames of each picture.
const FRAMES: usize = 2;
/// How long the program may take to notice a change.
const CHANGE: Duration = Duration::from_secs(60);

/// Runs the suite.
pub fn run(lab: &Lab) -> Result<Vec<Figures>> {
    let work = lab.folder.join("camera");
    empty_folder(&work)?;
    let luma = frames::luma(&work, 20)?;
    let mut payload = lab.payload()?;
    let mut expected = Vec::new();
    for number in 0..STILLS {
        let frame = &luma[(number * 2 + 1) * luma.len() / (STILLS * 2)];
        let seen = frames::seen_by_host(lab, &work, frame, FRAMES)?;
        expected.push(first_faces(seen).context("the host saw no face")?);
        let mut sent = frame.clone();
        if lab.has(Fault::Picture) {
            sent.rotate_left(frames::SIZE.0 * 8);
        }
        // YUYV alternates luma and chroma, which is grey.
        let yuyv: Vec<u8> = sent.iter().flat_map(|luma| [*luma, 128]).collect();
        payload.file(&format!("payload/{number}.yuyv"), &yuyv, false);
        // NV12 is luma, then a plane of chroma of half its size.
        let mut nv12 = sent;
        nv12.resize(nv12.len() * 3 / 2, 128);
        payload.file(&format!("payload/{number}.nv12"), &nv12, false);
    }
    let mut machine = lab.machine(BOARD, "camera", &payload);
    machine.modules = &["vivid"];
    let mut guest = machine.boot()?;
    guest.run("loop-video")?;
    let mut compared = 0;
    for (format, pixel_format) in [("yuyv", "YUYV"), ("nv12", "NV12")] {
        for (number, expected) in expected.iter().enumerate() {
            let picture = format!("/payload/{number}.{format}");
            let output = guest.run(&format!("send-picture {picture} {format} {pixel_format} {FRAMES}"))?;
            let seen = first_faces(output::json_lines(&output)?)
                .with_context(|| format!("{format}: no face came through the camera: {output}"))?;
            ensure!(seen == *expected, "{format}, picture {number}: the board saw {seen:?}, the host {expected:?}");
            compared += expected.len();
        }
    }
    let gap_ms = lose_camera(&mut guest)?;
    let text = format!(
        "YUYV and NV12, {STILLS} pictures each through /dev/video0: boxes and scores of {compared} faces equal the host's; \
         driver unbound and bound: camera lost, back after {:.1} s, frames continue",
        gap_ms as f64 / 1e3
    );
    Ok(vec![Figures { board: BOARD.name(), text }])
}

/// Returns the faces of the first frame that has any. A slow board sees so few frames per second that it tracks no face, so that
/// a later frame may differ. Labels are smoothed over frames and are not compared.
fn first_faces(frames: Vec<Frame>) -> Option<Vec<Face>> {
    let faces = frames.into_iter().map(|frame| frame.faces).find(|faces| !faces.is_empty())?;
    Some(faces.into_iter().map(|face| Face { label: None, ..face }).collect())
}

/// Unbinds the camera's driver while the camera is watched, and binds it again. Returns how long the program had no camera.
fn lose_camera(guest: &mut Guest) -> Result<u64> {
    guest.run("watch-in-background")?;
    guest.run("echo vivid.0 >/sys/bus/platform/drivers/vivid/unbind")?;
    await_event(guest, "camera_lost")?;
    sleep(Duration::from_secs(3));
    guest.run("kill -0 $(pidof edge-runtime) && echo vivid.0 >/sys/bus/platform/drivers/vivid/bind")?;
    let back = await_event(guest, "camera_back")?;
    guest.run("await-frames 6")?;
    guest.run("stop-and-verify /tmp/j.sqlite")?;
    let gap = back.detail("gap_ms").and_then(|gap| gap.as_u64());
    gap.with_context(|| format!("the event has no gap_ms: {back:?}"))
}

/// Waits until the journal has an event, and returns it.
fn await_event(guest: &mut Guest, name: &str) -> Result<Event> {
    let begun = Instant::now();
    loop {
        let events: Vec<Event> = output::json_lines(&guest.run(&format!("{EXPORT_EVENTS} /tmp/j.sqlite"))?)?;
        ensure!(begun.elapsed() < CHANGE, "no event {name}: {events:?}");
        if let Some(event) = events.into_iter().find(|event| event.event == name) {
            return Ok(event);
        }
        sleep(Duration::from_millis(500));
    }
}
