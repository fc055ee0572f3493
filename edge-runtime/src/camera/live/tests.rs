use std::collections::VecDeque;
use std::sync::Mutex;

use super::*;

/// What a scripted camera does when asked for a frame: gives this number, which is its time too, or fails, or (at the
/// script's end) stays silent.
#[derive(Clone)]
enum Act {
    Frame(u64),
    Fail,
    /// Leaves a frame out.
    Damage,
    /// Says nothing for so many milliseconds.
    Wait(u64),
}

struct Scripted {
    acts: VecDeque<Act>,
    is_damaged: bool,
}

impl Stream for Scripted {
    fn next(&mut self, frame: &mut Frame, _: Duration) -> Result<Got, CameraError> {
        match self.acts.pop_front() {
            Some(Act::Frame(sequence)) => {
                self.is_damaged = false;
                frame.sequence = sequence;
                frame.stamp.monotonic_ns = sequence;
                Ok(Got::Frame)
            }
            Some(Act::Fail) => Err(gone()),
            Some(Act::Damage) => {
                self.is_damaged = true;
                Ok(Got::Waiting)
            }
            Some(Act::Wait(milliseconds)) => {
                thread::sleep(Duration::from_millis(milliseconds));
                Ok(Got::Waiting)
            }
            None => {
                thread::sleep(Duration::from_millis(1));
                Ok(Got::Waiting)
            }
        }
    }

    fn describe(&self) -> String {
        "scripted".into()
    }

    fn skipped(&self) -> u64 {
        1
    }

    fn complaint(&self) -> Option<&str> {
        self.is_damaged.then_some("it is cut off")
    }
}

fn gone() -> CameraError {
    CameraError::Gone { what: "scripted".into(), reason: "unplugged".into() }
}

fn quick() -> CameraOptions {
    let millisecond = Duration::from_millis(1);
    CameraOptions {
        stall: Some(20 * millisecond),
        first_retry: millisecond,
        longest_retry: 4 * millisecond,
        ..CameraOptions::default()
    }
}

/// Opens with one script after another; `None` is an attempt that fails, as do all after the last.
fn camera(scripts: Vec<Option<Vec<Act>>>, options: &CameraOptions) -> Result<Live, CameraError> {
    let scripts = Mutex::new(VecDeque::from(scripts));
    let opener = move || match scripts.lock().unwrap().pop_front().flatten() {
        Some(script) => Ok(Box::new(Scripted { acts: script.into(), is_damaged: false }) as Box<dyn Stream>),
        None => Err(gone()),
    };
    Live::open("scripted", Arc::new(opener), options)
}

/// All that a camera says until it gave so many frames, without the waiting.
fn said(live: &mut Live, frames: usize) -> Vec<String> {
    let (mut frame, mut said, mut left) = (Frame::default(), Vec::new(), frames);
    let patience = Instant::now() + Duration::from_secs(60);
    while left > 0 && Instant::now() < patience {
        match live.next(&mut frame).unwrap() {
            Next::Waiting => continue,
            Next::Frame => {
                said.push(frame.sequence.to_string());
                left -= 1;
            }
            Next::Lost { reason } => said.push(format!("lost: {reason}")),
            Next::Back { gap } => said.push(format!("back {}", gap > Duration::ZERO)),
            Next::End => said.push("end".into()),
        }
    }
    said
}

#[test]
fn a_camera_that_fails_is_opened_again() {
    use Act::{Fail, Frame};
    let scripts = vec![
        Some(vec![Frame(0), Frame(1), Frame(4), Fail]),
        None,
        None,
        Some(vec![Frame(7), Frame(9), Fail]),
        Some(vec![Frame(0)]),
    ];
    let mut live = camera(scripts, &quick()).unwrap();
    let lost = "lost: scripted gives no more frames: unplugged";
    // Lost is said once however many attempts fail; numbers go on, and tell of frames lost within a stream alone.
    assert_eq!(said(&mut live, 6), ["0", "1", "4", lost, "back true", "5", "7", lost, "back true", "8"]);
    assert_eq!(live.skipped(), 3);
}

#[test]
fn time_goes_on_where_a_new_stream_counts_it_anew() {
    use Act::{Fail, Frame};
    let scripts = vec![Some(vec![Frame(7), Frame(8), Fail]), Some(vec![Frame(0), Frame(9)])];
    let (mut live, mut times) = (camera(scripts, &quick()).unwrap(), Vec::new());
    let mut frame = crate::frame::Frame::default();
    while times.len() < 4 {
        if live.next(&mut frame).unwrap() == Next::Frame {
            times.push(frame.stamp.monotonic_ns);
        }
    }
    assert_eq!(times, [7, 8, 8, 9]);
}

#[test]
fn a_camera_that_falls_silent_is_opened_again() {
    let scripts = vec![Some(vec![Act::Frame(0)]), Some(vec![]), Some(vec![Act::Frame(0)])];
    let mut live = camera(scripts, &quick()).unwrap();
    assert_eq!(said(&mut live, 2), ["0", "lost: scripted gave no frame for 20.0ms", "back true", "1"]);
}

#[test]
fn a_camera_whose_frames_are_all_left_out_is_lost_with_the_reason() {
    use Act::{Damage, Frame};
    let scripts = vec![Some(vec![Frame(0), Damage, Damage]), Some(vec![Damage, Frame(0)]), Some(vec![Frame(0)])];
    let mut live = camera(scripts, &quick()).unwrap();
    let damaged = "lost: scripted gave no frame for 20.0ms; the last one was left out: it is cut off";
    let silent = "lost: scripted gave no frame for 20.0ms";
    assert_eq!(said(&mut live, 3), ["0", damaged, "back true", "1", silent, "back true", "2"]);
}

#[test]
fn the_first_frame_may_take_as_long_as_it_takes() {
    use Act::{Frame, Wait};
    for stall in [None, Some(Duration::from_millis(5))] {
        let options = CameraOptions { stall, first_frame: Duration::from_millis(10), ..quick() };
        let mut live = camera(vec![Some(vec![Wait(40), Wait(40), Frame(0)])], &options).unwrap();
        assert_eq!(said(&mut live, 1), ["0"], "{stall:?}");
        // A stream that is opened again may take as long as the slowest one did.
        let scripts = vec![Some(vec![Wait(80), Frame(0), Act::Fail]), Some(vec![Wait(40), Wait(40), Frame(0)])];
        let mut live = camera(scripts, &options).unwrap();
        live.pace.start = Some(Duration::from_secs(60));
        assert_eq!(said(&mut live, 2), ["0", "lost: scripted gives no more frames: unplugged", "back true", "1"]);
    }
}

#[test]
fn a_stall_is_judged_by_the_rate_that_was_seen() {
    let patience = |waits: &[f64], stall: Option<u64>, is_video| {
        let options = CameraOptions { stall: stall.map(Duration::from_secs), ..CameraOptions::default() };
        let mut live = camera(vec![Some(vec![])], &options).unwrap();
        waits.iter().for_each(|seconds| live.pace.note(Duration::from_secs_f64(*seconds)));
        live.patience(is_video).map(|patience| patience.as_secs_f64().round())
    };
    // From the opening to the first frame, then between frames, in seconds.
    assert_eq!(patience(&[], None, false), None);
    assert_eq!(patience(&[], None, true), Some(30.0));
    assert_eq!(patience(&[5.0], None, false), None);
    assert_eq!(patience(&[0.5], None, true), Some(30.0));
    assert_eq!(patience(&[0.5, 0.04, 0.04], None, true), Some(3.0));
    assert_eq!(patience(&[0.5, 4.0, 4.1], None, false), Some(21.0));
    assert_eq!(patience(&[3600.0, 3600.0, 3601.0], None, false), Some(5.0 * 3601.0));
    assert_eq!(patience(&[8.0, 43_200.0], None, false), Some(216_000.0));
    // One long pause is forgotten while frames come fast again.
    let paused: Vec<f64> = [0.5, 0.1, 60.0].into_iter().chain([0.1; 60]).collect();
    assert_eq!(patience(&paused, None, false), Some(3.0));
    assert_eq!(patience(&[0.5, 0.04], Some(60), false), Some(60.0));
    assert_eq!(patience(&[0.5], Some(2), false), Some(2.0));
    assert_eq!(patience(&[], Some(2), false), None);
    // A V4L2 camera that never gives a frame is opened again, whatever --stall says.
    assert_eq!(patience(&[], Some(2), true), Some(30.0));
    assert_eq!(patience(&[], Some(60), true), Some(60.0));
}

#[test]
fn an_address_that_gives_no_first_frame_is_lost_and_given_twice_the_time() {
    let options = CameraOptions { starts_soon: true, ..CameraOptions::default() };
    let mut live = camera(vec![Some(vec![])], &options).unwrap();
    let seconds = |seconds: u64| Some(Duration::from_secs(seconds));
    assert_eq!(live.patience(false), seconds(30));
    live.pace.give_up(Duration::from_secs(30));
    live.pace.restart();
    assert_eq!(live.patience(false), seconds(60));
    live.stall = seconds(2);
    assert_eq!(live.patience(false), seconds(60));
    // How long a second frame takes is not known: it may be at a time lapse.
    live.stall = None;
    live.pace.note(Duration::from_secs(40));
    assert_eq!(live.patience(false), None);
    let stall = Some(Duration::from_millis(1));
    let options = CameraOptions { starts_soon: true, first_frame: Duration::from_millis(10), stall, ..quick() };
    let mut live = camera(vec![Some(vec![]), Some(vec![Act::Frame(0)])], &options).unwrap();
    assert_eq!(said(&mut live, 1), ["lost: scripted gave no frame for 10.0ms", "back true", "0"]);
    let options = CameraOptions { fail_without_frame: true, ..options };
    let mut live = camera(vec![Some(vec![])], &options).unwrap();
    let error = loop {
        match live.next(&mut Frame::default()) {
            Ok(next) => assert_eq!(next, Next::Waiting),
            Err(error) => break error.to_string(),
        }
    };
    assert_eq!(error, "cannot open scripted: it gave no frame for 10.0ms");
}

#[test]
fn a_stream_that_was_opened_again_is_given_its_time() {
    let mut live = camera(vec![Some(vec![])], &CameraOptions::default()).unwrap();
    [100.0, 0.1].iter().for_each(|seconds| live.pace.note(Duration::from_secs_f64(*seconds)));
    live.pace.restart();
    assert_eq!(live.patience(false), Some(Duration::from_secs(200)));
    live.stall = Some(Duration::from_secs(500));
    assert_eq!(live.patience(false), Some(Duration::from_secs(500)));
}

/// How often a camera is lost that begins each stream with frames so many seconds apart and goes on with one every `slow`
/// seconds, until it has given three of those in a row.
fn losses(burst: &[f64], slow: f64, stall: Option<f64>) -> usize {
    let options = CameraOptions { stall: stall.map(Duration::from_secs_f64), ..CameraOptions::default() };
    let mut live = camera(vec![Some(vec![])], &options).unwrap();
    for losses in 0..30 {
        live.pace.restart();
        let waits = burst.iter().chain([&slow; 3]).map(|seconds| Duration::from_secs_f64(*seconds));
        let lost = waits.into_iter().find_map(|wait| match live.patience(false) {
            Some(patience) if wait >= patience => Some(patience),
            _ => {
                live.pace.note(wait);
                None
            }
        });
        match lost {
            Some(patience) => live.pace.give_up(patience),
            None => return losses,
        }
    }
    usize::MAX
}

#[test]
fn a_camera_that_slows_down_after_a_burst_is_given_more_and_more_time() {
    let long: Vec<f64> = std::iter::once(0.2).chain([0.1; 20]).collect();
    for burst in [&[0.2, 0.03, 0.03][..], &long[..]] {
        for (slow, most) in [(0.5, 0), (4.0, 1), (10.0, 2), (60.0, 5), (3600.0, 11)] {
            assert!(losses(burst, slow, None) <= most, "{slow}: {}", losses(burst, slow, None));
        }
    }
    // Frames that came fast for minutes before each pause.
    let minutes: Vec<f64> = std::iter::once(0.2).chain([0.1; 3000]).collect();
    assert_eq!(losses(&minutes, 4.0, None), 1);
    // What --stall says is kept to.
    assert_eq!(losses(&long, 4.0, Some(3.5)), usize::MAX);
    assert_eq!(losses(&long, 4.0, Some(5.0)), 0);
}

#[test]
fn a_first_frame_that_comes_late_only_after_a_restart_is_waited_for() {
    let mut live = camera(vec![Some(vec![])], &CameraOptions::default()).unwrap();
    live.pace.note(Duration::from_secs(1));
    live.pace.restart();
    let mut waits = Vec::new();
    for _ in 0..7 {
        let patience = live.patience(false).unwrap();
        waits.push(patience.as_secs());
        live.pace.give_up(patience);
        live.pace.restart();
    }
    assert_eq!(waits, [30, 60, 120, 240, 480, 600, 600]);
    // Once it came, the next restart is judged by how long it took.
    live.pace.note(Duration::from_secs(20));
    live.pace.restart();
    assert_eq!(live.patience(false), Some(Duration::from_secs(40)));
}

#[test]
fn a_camera_that_hangs_after_it_ran_well_is_not_waited_for_ever_longer() {
    let mut live = camera(vec![Some(vec![])], &CameraOptions::default()).unwrap();
    let mut run = |seconds: u64| {
        live.pace.restart();
        (0..seconds * 10).for_each(|_| live.pace.note(Duration::from_millis(100)));
        let patience = live.patience(false).unwrap();
        live.pace.give_up(patience);
        patience.as_secs()
    };
    assert_eq!([run(300), run(300), run(300), run(300)], [3, 6, 12, 24]);
    assert_eq!([run(400), run(400), run(400)], [30, 30, 30]);
    // Ten minutes without a long pause, and its rate alone counts.
    assert_eq!(run(700), 3);
    // One that hangs after some minutes, or after 20 s, is never waited for long.
    assert!((0..20).all(|_| run(250) <= 30) && (0..20).all(|_| run(20) <= 30));
}

#[test]
fn a_recording_is_opened_once_and_an_error_ends_it() {
    use Act::{Fail, Frame, Wait};
    for stall in [None, Some(Duration::from_millis(1))] {
        let options = CameraOptions { once: true, stall, ..quick() };
        let mut live = camera(vec![Some(vec![Frame(0), Wait(20), Frame(1)])], &options).unwrap();
        assert_eq!(said(&mut live, 2), ["0", "1"], "{stall:?}");
    }
    let options = CameraOptions { once: true, wait_for_camera: true, stall: None, ..quick() };
    assert!(camera(vec![None, Some(vec![Frame(0)])], &options).is_err());
    let mut live = camera(vec![Some(vec![Frame(0), Wait(20), Fail]), Some(vec![Frame(0)])], &options).unwrap();
    assert_eq!(said(&mut live, 1), ["0"]);
    let mut frame = crate::frame::Frame::default();
    assert_eq!(live.next(&mut frame).unwrap(), Next::Waiting);
    assert!(live.next(&mut frame).is_err());
    assert_eq!(live.next(&mut frame).unwrap(), Next::End);
    live.pace.frames = 5;
    live.pace.interval = Some(Duration::from_millis(1));
    assert_eq!(live.patience(false), None);
}

#[test]
fn a_camera_that_was_not_asked_is_not_silent() {
    let options = CameraOptions { stall: Some(Duration::from_secs(1)), ..quick() };
    let mut live = camera(vec![Some(vec![Act::Frame(0)])], &options).unwrap();
    assert_eq!(said(&mut live, 1), ["0"]);
    thread::sleep(Duration::from_secs(1));
    assert_eq!(live.next(&mut Frame::default()).unwrap(), Next::Waiting);
}

#[test]
fn a_camera_that_is_absent_at_the_start_is_refused_or_waited_for() {
    let scripts = || vec![None, Some(vec![Act::Frame(3)])];
    assert!(camera(scripts(), &quick()).is_err());
    let mut live = camera(scripts(), &CameraOptions { wait_for_camera: true, ..quick() }).unwrap();
    let lost = "lost: scripted gives no more frames: unplugged";
    assert_eq!(said(&mut live, 1), [lost, "back true", "0"]);
}

#[test]
fn attempts_are_paused_between_longer_and_longer() {
    let times = Arc::new(Mutex::new(Vec::new()));
    let noted = times.clone();
    let opener = move || {
        noted.lock().unwrap().push(Instant::now());
        Err(gone())
    };
    let millisecond = Duration::from_millis(1);
    let options = CameraOptions {
        wait_for_camera: true,
        first_retry: 4 * millisecond,
        longest_retry: 16 * millisecond,
        ..quick()
    };
    let mut live = Live::open("absent", Arc::new(opener), &options).unwrap();
    while times.lock().unwrap().len() < 6 {
        live.next(&mut Frame::default()).unwrap();
    }
    let times = times.lock().unwrap();
    let least = [4, 8, 16, 16, 16].map(|pause| pause * millisecond);
    for (pair, least) in times.windows(2).zip(least) {
        assert!(pair[1] - pair[0] >= least, "{:?} < {least:?}", pair[1] - pair[0]);
    }
}

#[test]
fn an_opening_that_hangs_does_not_hold_the_caller() {
    let (sender, receiver) = std::sync::mpsc::channel::<()>();
    let receiver = Mutex::new(receiver);
    let opener = move || {
        _ = receiver.lock().unwrap().recv();
        Err(gone())
    };
    let mut live = Live::open("hangs", Arc::new(opener), &CameraOptions { wait_for_camera: true, ..quick() }).unwrap();
    // Were the opening waited for, this would not return.
    for _ in 0..3 {
        assert_eq!(live.next(&mut Frame::default()).unwrap(), Next::Waiting);
    }
    // It is told once, and waited for on.
    live.first_frame = Duration::from_millis(1);
    let reason = "hangs has not been opened within 1.0ms".to_owned();
    assert_eq!(live.next(&mut Frame::default()).unwrap(), Next::Lost { reason });
    assert_eq!(live.next(&mut Frame::default()).unwrap(), Next::Waiting);
    drop(sender);
}
