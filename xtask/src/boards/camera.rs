//! A V4L2 camera: rendered frames through the kernel's virtual camera, in two formats; then the camera is taken away and comes back.

use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::{EVENTS, Fault, Figures, LIMIT, Lab, frames};
use crate::guest::Guest;
use crate::guest::console::Board;

const BOARD: Board = Board::Virt("cortex-a72");
/// The program, watching the virtual camera.
const WATCH: &str =
    "edge-runtime run --board generic-x86-64 --bundle /payload/bundle --source v4l2:/dev/video0 --frame-size 640x480";
/// Pictures that go through the camera.
const STILLS: usize = 2;
/// Frames of each.
const FRAMES: usize = 2;

pub fn run(lab: &Lab) -> Result<Vec<Figures>> {
    let work = lab.folder.join("camera");
    fs::create_dir_all(&work)?;
    let luma = frames::luma(&work, 20)?;
    let mut payload = lab.payload()?;
    let mut expected = Vec::new();
    for number in 0..STILLS {
        let frame = &luma[(number * 2 + 1) * luma.len() / (STILLS * 2)];
        let said = frames::host_says(lab, &work, frame, FRAMES)?;
        expected.push(first(&said).context("the host saw no face")?);
        let mut sent = frame.clone();
        if lab.has(Fault::Picture) {
            sent.rotate_left(frames::SIZE.0 * 8);
        }
        // YUYV: luma, and grey chroma between.
        let yuyv: Vec<u8> = sent.iter().flat_map(|luma| [*luma, 128]).collect();
        payload.file(&format!("payload/{number}.yuyv"), &yuyv, false);
        // NV12: luma, then a plane of grey chroma of half its size.
        let mut nv12 = sent;
        nv12.resize(nv12.len() * 3 / 2, 128);
        payload.file(&format!("payload/{number}.nv12"), &nv12, false);
    }
    let mut machine = lab.machine(BOARD, "camera", &payload);
    machine.modules = &["vivid"];
    let mut guest = machine.boot()?;
    // The output's picture comes back at the input: HDMI to HDMI, with the same timings of 640x480.
    guest.run(
        "set -e; \
         v4l2-ctl -d /dev/video0 --set-input 3 --set-dv-bt-timings index=0; \
         v4l2-ctl -d /dev/video1 --set-output 1 --set-dv-bt-timings index=0; \
         v4l2-ctl -d /dev/video0 --set-ctrl loop_video=1,osd_text_mode=2",
        LIMIT,
    )?;
    let mut compared = 0;
    for (format, code) in [("yuyv", "YUYV"), ("nv12", "NV12")] {
        for (number, expected) in expected.iter().enumerate() {
            let said = through(&mut guest, number, format, code)?;
            let seen = first(&said).with_context(|| format!("{format}: no face came through the camera: {said}"))?;
            ensure!(seen == *expected, "{format}, picture {number}: the board saw {seen:?}, the host {expected:?}");
            compared += expected.len();
        }
    }
    let gone = lost(&mut guest)?;
    let text = format!(
        "YUYV and NV12, {STILLS} pictures each through /dev/video0: {compared} faces, their boxes and scores equal the host's; {gone}"
    );
    Ok(vec![Figures { board: BOARD.name(), text }])
}

/// The faces of the first frame that has any: a slow board sees so few frames a second that it follows no face.
fn first(said: &str) -> Option<Vec<String>> {
    said.lines().filter(|line| line.starts_with('{')).map(faces).find(|faces| !faces.is_empty())
}

/// Box, quality and scores of each face of a line of `--print`.
fn faces(line: &str) -> Vec<String> {
    line.split("{\"track\":")
        .skip(1)
        .map(|face| {
            let part = |key: &str, end: char| {
                let (_, behind) = face.split_once(key).unwrap_or_default();
                behind.split(end).next().unwrap_or_default().to_owned()
            };
            format!("{} {} {}", part("\"box\":[", ']'), part("\"quality\":\"", '"'), part("\"integer_scores\":[", ']'))
        })
        .collect()
}

/// Sends a picture to the virtual camera again and again, and gives what the program says of the frames that it captures.
fn through(guest: &mut Guest, number: usize, format: &str, code: &str) -> Result<String> {
    guest.run(
        &format!(
            "cd /tmp; \
             for at in 1 2 3 4; do cat /payload/{number}.{format}; done >sent; \
             v4l2-ctl -d /dev/video1 --set-fmt-video-out=width=640,height=480,pixelformat={code} >/dev/null; \
             (v4l2-ctl -d /dev/video1 --stream-out-mmap=4 --stream-from=sent --stream-loop >/tmp/out 2>&1 &); \
             sleep 1; \
             {WATCH} --frame-format {format} --frames {FRAMES} --print 2>/tmp/said; \
             code=$?; \
             kill $(pidof v4l2-ctl); \
             sleep 0.5; \
             [ $code = 0 ] || cat /tmp/said /tmp/out; \
             exit $code"
        ),
        LIMIT,
    )
}

/// Takes the camera's driver away while it is watched, and gives it back.
fn lost(guest: &mut Guest) -> Result<String> {
    guest.run(
        &format!(
            "({WATCH} --frame-format yuyv --commit-every 1 --journal /tmp/j.sqlite --print >/tmp/seen 2>/tmp/said &); \
             until [ $(wc -l </tmp/seen) -gt 5 ]; do sleep 0.2; done"
        ),
        LIMIT,
    )?;
    guest.run("echo vivid.0 >/sys/bus/platform/drivers/vivid/unbind", LIMIT)?;
    await_event(guest, "camera_lost")?;
    sleep(Duration::from_secs(3));
    guest.run("kill -0 $(pidof edge-runtime) && echo vivid.0 >/sys/bus/platform/drivers/vivid/bind", LIMIT)?;
    let events = await_event(guest, "camera_back")?;
    guest.run("n=$(wc -l </tmp/seen); until [ $(wc -l </tmp/seen) -gt $((n + 5)) ]; do sleep 0.2; done", LIMIT)?;
    guest.run("kill -TERM $(pidof edge-runtime); sleep 3; edge-runtime log verify --journal /tmp/j.sqlite", LIMIT)?;
    let gap = events.split("gap_ms").nth(1).unwrap_or_default();
    let gap: String =
        gap.chars().skip_while(|letter| !letter.is_ascii_digit()).take_while(char::is_ascii_digit).collect();
    Ok(format!(
        "driver unbound and bound: lost, back after {:.1} s, frames go on",
        gap.parse::<f64>().unwrap_or(0.0) / 1000.0
    ))
}

fn await_event(guest: &mut Guest, name: &str) -> Result<String> {
    let begun = Instant::now();
    loop {
        let events = guest.run(&format!("{EVENTS} /tmp/j.sqlite"), LIMIT)?;
        if events.contains(&format!("\"event\":\"{name}\"")) {
            return Ok(events);
        }
        ensure!(begun.elapsed() < Duration::from_secs(60), "no event {name}: {events}");
        sleep(Duration::from_millis(500));
    }
}
