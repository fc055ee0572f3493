//! Values of flags that are more than a number.

use std::time::Duration;

use expression_core::Turn;

use crate::number::decimal;

/// Reads degrees clockwise.
pub fn rotation(text: &str) -> Result<Turn, String> {
    let turn = text.parse().ok().and_then(Turn::from_degrees);
    turn.ok_or_else(|| "expected 0, 90, 180 or 270 degrees".into())
}

/// Reads the seconds of `--stall`.
pub fn seconds(text: &str) -> Result<Duration, String> {
    let is_valid = |seconds| seconds > 0.0 && Duration::try_from_secs_f64(seconds).is_ok();
    decimal("a number of seconds", "above 0", is_valid)(text).map(Duration::from_secs_f64)
}

/// Reads the seconds of `--commit-every`.
pub fn interval(text: &str) -> Result<Duration, String> {
    let is_valid = |seconds| (0.0..=3600.0).contains(&seconds);
    decimal("a number of seconds", "0 to 3600", is_valid)(text).map(Duration::from_secs_f64)
}

/// Reads records per second; `inf` is no limit.
pub fn record_rate(text: &str) -> Result<f32, String> {
    let is_valid = |rate| rate as f32 > 0.0;
    decimal("a number of records per second", "above 0, or inf", is_valid)(text).map(|rate| rate as f32)
}

/// Reads width and height in pixels, such as `640x480`.
pub fn size(text: &str) -> Result<[u32; 2], String> {
    let (width, height) = text.split_once(['x', 'X']).ok_or("expected WIDTHxHEIGHT in pixels, such as 640x480")?;
    let side = |name: &str, text: &str| {
        text.parse::<u32>().map_err(|_| format!("invalid {name} {text:?}: expected a number of pixels, as in 640x480"))
    };
    let [width, height] = [side("width", width)?, side("height", height)?];
    match expression_engine::picture::is_size_supported(width as usize, height as usize) {
        true => Ok([width, height]),
        false => Err(format!(
            "invalid size {text}: expected sides of 1 to {} pixels, such as 640x480",
            expression_engine::picture::MAX_SIDE
        )),
    }
}
