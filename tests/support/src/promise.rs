//! What tests share that measure a promise: `cargo xtask promises` tells them how often to try and reads what they found.
//! Without it they try a few times, so that they stay cheap.

use std::fmt::Display;
use std::io::Write;

/// The variable that says how often to try.
pub const TIMES: &str = "PROMISE_TIMES";

/// Returns how often a test tries: `PROMISE_TIMES`, or `few` if it is not set.
///
/// # Panics
/// Panics if the variable is not a number above zero.
pub fn times(few: u64) -> u64 {
    let Ok(text) = std::env::var(TIMES) else { return few };
    match text.parse() {
        Ok(times) if times > 0 => times,
        _ => panic!("invalid {TIMES} {text:?}: expected a number above zero"),
    }
}

/// Reports what was `tried` and what was `lost`: the two columns of the promise in `docs/promises.md`.
pub fn measured(tried: impl Display, lost: impl Display) {
    tell(&format!("promise measured: {tried} | {lost}"));
}

/// Reports a row of a promise's own table in `docs/promises.md`.
pub fn row(cells: &[&dyn Display]) {
    let cells: Vec<String> = cells.iter().map(ToString::to_string).collect();
    tell(&format!("promise row: {}", cells.join(" | ")));
}

/// Returns a number with commas between its thousands.
pub fn count(number: u64) -> String {
    indicatif::HumanCount(number).to_string()
}

/// Writes a line past the capture of the test harness.
fn tell(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
