//! Where the time goes: each step's share of a frame.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// A step of a frame, in the order they run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Waiting for the source and reading the frame.
    Read,
    /// Looking for faces.
    Detect,
    /// Matching detections to tracks, and following tracks between them.
    Track,
    /// Judging and aligning faces.
    Align,
    /// The expression net.
    Classify,
    /// Smoothing and what else a record needs.
    Smooth,
    /// Handing records on: journal, indicator, telemetry.
    Record,
}

impl Step {
    const ALL: [Step; 7] =
        [Step::Read, Step::Detect, Step::Track, Step::Align, Step::Classify, Step::Smooth, Step::Record];

    fn name(self) -> &'static str {
        match self {
            Step::Read => "read",
            Step::Detect => "detect",
            Step::Track => "track",
            Step::Align => "align",
            Step::Classify => "classify",
            Step::Smooth => "smooth",
            Step::Record => "record",
        }
    }
}

/// Time and count by step.
#[derive(Debug, Clone)]
pub struct Profile {
    started: Instant,
    steps: [(Duration, u64); Step::ALL.len()],
    frames: u64,
    faces: u64,
    first_record: Option<Duration>,
}

impl Profile {
    /// Counting from `started`, the start of the program.
    pub fn new(started: Instant) -> Profile {
        Profile { started, steps: Default::default(), frames: 0, faces: 0, first_record: None }
    }

    /// Runs a step and adds its time.
    pub fn time<T>(&mut self, step: Step, body: impl FnOnce() -> T) -> T {
        let before = Instant::now();
        let result = body();
        let (time, count) = &mut self.steps[step as usize];
        *time += before.elapsed();
        *count += 1;
        result
    }

    /// A frame with so many faces is done.
    pub fn frame(&mut self, faces: usize) {
        self.frames += 1;
        self.faces += faces as u64;
        if faces > 0 && self.first_record.is_none() {
            self.first_record = Some(self.started.elapsed());
        }
    }

    /// Frames that are done.
    pub fn frames(&self) -> u64 {
        self.frames
    }

    /// Everything by name. Times are in milliseconds.
    pub fn report(&self) -> Value {
        let milliseconds = |time: Duration| (time.as_secs_f64() * 1e6).round() / 1e3;
        let total: Duration = self.steps.iter().map(|(time, _)| *time).sum();
        let share = |time: Duration| time.as_secs_f64() / total.as_secs_f64().max(1e-9);
        let steps = Step::ALL.iter().map(|step| {
            let (time, count) = self.steps[*step as usize];
            let each = milliseconds(time) / (count.max(1) as f64);
            let value = json!({ "runs": count, "ms_each": each, "ms_a_frame": milliseconds(time) / self.frames.max(1) as f64,
                "share": share(time) });
            (step.name().to_owned(), value)
        });
        json!({
            "frames": self.frames,
            "faces": self.faces,
            "frames_per_second": self.frames as f64 / total.as_secs_f64().max(1e-9),
            "start_to_first_record_ms": self.first_record.map(milliseconds),
            "peak_memory_bytes": expression_engine::memory::peak(),
            "steps": Value::Object(steps.collect()),
        })
    }

    /// The report as a table.
    pub fn table(&self) -> String {
        let report = self.report();
        let number = |value: &Value| value.as_f64().unwrap_or(0.0);
        let mut rows = vec!["step         runs   ms each  ms a frame   share".to_owned()];
        for step in Step::ALL {
            let of = &report["steps"][step.name()];
            let (each, frame, share) =
                (number(&of["ms_each"]), number(&of["ms_a_frame"]), 100.0 * number(&of["share"]));
            rows.push(format!("{:<10} {:>6} {each:>9.3} {frame:>11.3} {share:>6.1}%", step.name(), of["runs"]));
        }
        rows.push(format!(
            "frames {}, faces {}, frames a second {:.1}",
            self.frames,
            self.faces,
            number(&report["frames_per_second"])
        ));
        if let Some(first) = self.first_record {
            rows.push(format!("start to first record {:.0} ms", first.as_secs_f64() * 1e3));
        }
        if let Some(bytes) = report["peak_memory_bytes"].as_f64() {
            rows.push(format!("peak memory {:.1} MiB", bytes / f64::from(1 << 20)));
        }
        rows.join("\n")
    }
}
