//! Progress: a bar on a terminal, plain lines elsewhere.

use std::time::{Duration, Instant};

use expression_engine::line::tell;
use indicatif::{HumanDuration, ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Returns a bar of `length` steps with the time left. If stderr is not a terminal it is hidden, and [`line()`] prints instead.
pub fn bar(length: u64, what: &str) -> ProgressBar {
    let template = "{msg:24} [{bar:32}] {pos}/{len} {elapsed} left {eta}";
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::with_draw_target(Some(length), ProgressDrawTarget::stderr());
    bar.set_style(style.progress_chars("=> "));
    bar.set_message(what.to_owned());
    bar
}

/// Prints a line above the bar, or plainly if stderr is not a terminal.
pub fn line(bar: &ProgressBar, text: &str) {
    if bar.is_hidden() { tell(text) } else { bar.println(text) }
}

/// Counts what is done of a known number: a bar on a terminal, a line now and then elsewhere.
pub struct Counter {
    bar: ProgressBar,
    what: String,
    started: Instant,
    done: usize,
    all: usize,
}

impl Counter {
    /// Units between two lines.
    const BETWEEN: usize = 1024;

    /// A counter of `all` units.
    pub fn new(all: usize, what: &str) -> Counter {
        Counter { bar: bar(all as u64, what), what: what.to_owned(), started: Instant::now(), done: 0, all }
    }

    /// Counts `count` more units as done.
    pub fn add(&mut self, count: usize) {
        let before = self.done;
        self.done += count;
        self.bar.inc(count as u64);
        if self.bar.is_hidden() && before / Self::BETWEEN < self.done / Self::BETWEEN {
            let left = left(self.done, self.all, self.started.elapsed());
            tell(format_args!("{} {}/{}; {left} left", self.what, self.done, self.all));
        }
    }
}

impl Drop for Counter {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// The time left, after `done` of `all` steps in `elapsed`.
pub fn left(done: usize, all: usize, elapsed: Duration) -> String {
    let left = elapsed.mul_f64(all.saturating_sub(done) as f64 / done.max(1) as f64);
    HumanDuration(Duration::from_secs(left.as_secs())).to_string()
}
