//! Progress: a bar on a terminal, plain lines elsewhere.

use std::time::Duration;

use indicatif::{HumanDuration, ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A bar of `length` steps with the time left. Elsewhere than on a terminal it is silent: [`line`] speaks there.
pub fn bar(length: u64, what: &str) -> ProgressBar {
    let template = "{msg:24} [{bar:32}] {pos}/{len} {elapsed} left {eta}";
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::with_draw_target(Some(length), ProgressDrawTarget::stderr());
    bar.set_style(style.progress_chars("=> "));
    bar.set_message(what.to_owned());
    bar
}

/// Says a line above the bar, or plainly where there is no terminal.
pub fn line(bar: &ProgressBar, text: &str) {
    if bar.is_hidden() { eprintln!("{text}") } else { bar.println(text) }
}

/// The time left, after `done` of `all` steps in `elapsed`.
pub fn left(done: usize, all: usize, elapsed: Duration) -> String {
    let left = elapsed.mul_f64(all.saturating_sub(done) as f64 / done.max(1) as f64);
    HumanDuration(Duration::from_secs(left.as_secs())).to_string()
}
