//! Figures as text, with their units.

/// Stands for a figure that does not exist: an en dash.
pub const NONE: &str = "\u{2013}";

/// Returns a share (0 to 1) in percent with one decimal, or [`NONE`] if it is not finite.
pub fn percent(share: f64) -> String {
    if share.is_finite() { format!("{:.1}\u{a0}%", 100.0 * share) } else { NONE.to_owned() }
}

/// Returns a difference of two shares in percentage points with its sign, or [`NONE`] if it is not finite.
pub fn points(difference: f64) -> String {
    // Adding zero turns a rounded -0.0 into +0.0.
    let rounded = (1000.0 * difference).round() / 10.0 + 0.0;
    if rounded.is_finite() { format!("{rounded:+.1}").replace('-', "\u{2212}") } else { NONE.to_owned() }
}

/// Returns a number with its digits in groups of three.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

/// Returns a duration in seconds in its two largest units, or [`NONE`] if it is not finite.
pub fn duration(seconds: f64) -> String {
    if !seconds.is_finite() {
        return NONE.to_owned();
    }
    let whole = seconds.round() as u64;
    match whole {
        0..10 => format!("{seconds:.1}\u{a0}s"),
        10..60 => format!("{whole}\u{a0}s"),
        60..3600 => format!("{}\u{a0}min {:02}\u{a0}s", whole / 60, whole % 60),
        _ => format!("{}\u{a0}h {:02}\u{a0}min", whole / 3600, whole % 3600 / 60),
    }
}

/// Returns a size in bytes, KiB, MiB or GiB, whichever gives a short number.
pub fn bytes(size: u64) -> String {
    let size = size as f64;
    match size {
        ..1024.0 => format!("{size}\u{a0}bytes"),
        ..1_048_576.0 => format!("{:.0}\u{a0}KiB", size / 1024.0),
        ..1_073_741_824.0 => format!("{:.2}\u{a0}MiB", size / 1_048_576.0),
        _ => format!("{:.2}\u{a0}GiB", size / 1_073_741_824.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_read_well() {
        assert_eq!((percent(0.91349).as_str(), percent(f64::NAN).as_str()), ("91.3\u{a0}%", NONE));
        assert_eq!((points(-0.0123).as_str(), points(-0.0001).as_str()), ("\u{2212}1.2", "+0.0"));
        assert_eq!((count(12), count(1_432_008)), ("12".into(), "1\u{202f}432\u{202f}008".into()));
        assert_eq!([4.26, 59.7, 3675.0].map(duration), ["4.3\u{a0}s", "1\u{a0}min 00\u{a0}s", "1\u{a0}h 01\u{a0}min"]);
        assert_eq!([512, 384_194, 3 << 30].map(bytes), ["512\u{a0}bytes", "375\u{a0}KiB", "3.00\u{a0}GiB"]);
    }
}
