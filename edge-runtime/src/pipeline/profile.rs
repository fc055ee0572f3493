//! Where the time goes: the share of each step in a frame.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

use serde::Serialize;

/// A step of a frame, in the order they run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ProfileStep {
    /// Waiting for the source and reading the frame.
    Read,
    /// Detecting faces.
    Detect,
    /// Matching detections to tracks, and following tracks in between.
    Track,
    /// Judging and aligning faces.
    Align,
    /// The expression net.
    Classify,
    /// Smoothing labels.
    Smooth,
    /// Handing records to journal, telemetry and indicator.
    Record,
}

impl ProfileStep {
    const ALL: [ProfileStep; 7] = [
        ProfileStep::Read,
        ProfileStep::Detect,
        ProfileStep::Track,
        ProfileStep::Align,
        ProfileStep::Classify,
        ProfileStep::Smooth,
        ProfileStep::Record,
    ];

    fn name(self) -> &'static str {
        match self {
            ProfileStep::Read => "read",
            ProfileStep::Detect => "detect",
            ProfileStep::Track => "track",
            ProfileStep::Align => "align",
            ProfileStep::Classify => "classify",
            ProfileStep::Smooth => "smooth",
            ProfileStep::Record => "record",
        }
    }
}

/// Time and count by step.
#[derive(Debug, Clone)]
pub struct Profile {
    started: Instant,
    steps: [(Duration, u64); ProfileStep::ALL.len()],
    frames: u64,
    faces: u64,
    first_record: Option<Duration>,
}

impl Profile {
    /// Begins to count; `started` is the start of the program.
    pub fn new(started: Instant) -> Profile {
        Profile { started, steps: Default::default(), frames: 0, faces: 0, first_record: None }
    }

    /// Runs a step and adds its time.
    pub fn time<T>(&mut self, step: ProfileStep, body: impl FnOnce() -> T) -> T {
        let before = Instant::now();
        let result = body();
        let (time, count) = &mut self.steps[step as usize];
        *time += before.elapsed();
        *count += 1;
        result
    }

    /// Returns the time that a step took since an earlier state of this profile; `None` if it did not run.
    pub fn since(&self, earlier: &Profile, step: ProfileStep) -> Option<Duration> {
        let ((time, runs), (time_before, runs_before)) = (self.steps[step as usize], earlier.steps[step as usize]);
        (runs > runs_before).then(|| time.saturating_sub(time_before))
    }

    /// Counts a frame that is done, and its faces.
    pub fn frame(&mut self, faces: usize) {
        self.frames += 1;
        self.faces += faces as u64;
        if faces > 0 && self.first_record.is_none() {
            self.first_record = Some(self.started.elapsed());
        }
    }

    /// Returns the number of frames that are done.
    pub fn frames(&self) -> u64 {
        self.frames
    }

    /// Returns the report. Times are in milliseconds.
    pub fn report(&self) -> Report {
        let milliseconds = |time: Duration| (time.as_secs_f64() * 1e6).round() / 1e3;
        let total = self.steps.iter().map(|(time, _)| *time).sum::<Duration>().as_secs_f64().max(1e-9);
        let steps = ProfileStep::ALL.iter().map(|step| {
            let (time, runs) = self.steps[*step as usize];
            let report = StepReport {
                runs,
                ms_each: milliseconds(time) / runs.max(1) as f64,
                ms_a_frame: milliseconds(time) / self.frames.max(1) as f64,
                share: time.as_secs_f64() / total,
            };
            (*step, report)
        });
        Report {
            frames: self.frames,
            faces: self.faces,
            frames_per_second: self.frames as f64 / total,
            start_to_first_record_ms: self.first_record.map(milliseconds),
            peak_memory_bytes: expression_engine::memory::peak(),
            steps: steps.collect(),
        }
    }
}

/// Where the time went.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Frames that were processed.
    pub frames: u64,
    /// Faces, counted in every frame.
    pub faces: u64,
    /// Frames per second of the time in all steps.
    pub frames_per_second: f64,
    /// Milliseconds from the start of the program to the first face; `None` if there was none.
    pub start_to_first_record_ms: Option<f64>,
    /// Most memory used, in bytes; `None` if the system does not tell.
    pub peak_memory_bytes: Option<u64>,
    /// The steps in the order in which they run.
    pub steps: BTreeMap<ProfileStep, StepReport>,
}

/// One step's part of a [`Report`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct StepReport {
    /// How often it ran.
    pub runs: u64,
    /// Milliseconds of a run, on average.
    pub ms_each: f64,
    /// Milliseconds per frame, on average.
    pub ms_a_frame: f64,
    /// Share of the time of all steps, 0 to 1.
    pub share: f64,
}

impl fmt::Display for Report {
    /// A table.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "step         runs   ms each  ms/frame   share")?;
        for (step, StepReport { runs, ms_each, ms_a_frame, share }) in &self.steps {
            let share = 100.0 * share;
            writeln!(f, "{:<10} {runs:>6} {ms_each:>9.3} {ms_a_frame:>9.3} {share:>6.1}%", step.name())?;
        }
        write!(f, "{} frames, {} faces, {:.1} frames/s", self.frames, self.faces, self.frames_per_second)?;
        if let Some(first) = self.start_to_first_record_ms {
            write!(f, "\nstart to first record {first:.0} ms")?;
        }
        if let Some(bytes) = self.peak_memory_bytes {
            write!(f, "\npeak memory {:.1} MiB", bytes as f64 / f64::from(1 << 20))?;
        }
        Ok(())
    }
}
