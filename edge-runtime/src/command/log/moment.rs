//! Moments as people write them and as files hold them.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};

/// Returns the Unix time in microseconds of an RFC 3339 time, a date with or without a time of day in `zone`, the word
/// `now`, or a time span such as `2h` or `3d`, which is subtracted from `now`.
///
/// # Errors
/// Returns a sentence that says which forms are accepted.
pub fn parse(text: &str, now: Timestamp, zone: &TimeZone) -> Result<i64, String> {
    let text = text.trim();
    let unclear = || {
        "not a time; expected 2026-11-25T10:00:00Z, 2026-11-25 10:00, 2026-11-25, or how long ago: 90s, 15m, 2h, 3d, 1w"
            .to_owned()
    };
    let moment = if text == "now" {
        now
    } else if let Ok(moment) = text.parse::<Timestamp>() {
        moment
    } else if let Ok(civil) = text.parse::<DateTime>() {
        let zoned = civil.to_zoned_datetime(zone.clone()).map_err(|error| error.to_string())?;
        zoned.timestamp()
    } else {
        let span: Span = text.parse().map_err(|_| unclear())?;
        let zoned = now.to_zoned_datetime(zone.clone());
        // Both `2h` and `2h ago` mean the past.
        zoned.checked_sub(span.abs()).map_err(|error| error.to_string())?.timestamp()
    };
    Ok(moment.as_microsecond())
}

/// Returns a moment in RFC 3339, in UTC, to the microsecond; the bare number if its year cannot be written.
pub fn text(wall_us: i64) -> String {
    crate::record::time(wall_us)
}

/// Returns the same as [`text`] with the offset of a time zone, or in UTC if there is none.
pub fn text_in(wall_us: i64, zone: Option<&TimeZone>) -> String {
    match (zone, Timestamp::from_microsecond(wall_us)) {
        (Some(zone), Ok(moment)) => format!("{:.6}", moment.display_with_offset(zone.to_offset(moment))),
        _ => text(wall_us),
    }
}

/// Returns a moment by the clock of a time zone, to the second.
pub fn short(wall_us: i64, zone: &TimeZone) -> String {
    match Timestamp::from_microsecond(wall_us) {
        Ok(moment) => moment.to_zoned_datetime(zone.clone()).strftime("%Y-%m-%d %H:%M:%S").to_string(),
        Err(_) => wall_us.to_string(),
    }
}

/// Returns a moment by the clock of a time zone for the axis of a plot: its day and minute, or only its time of day if the
/// plot spans less than an hour.
pub fn mark(wall_us: i64, span_us: i64, zone: &TimeZone) -> String {
    let form = if span_us < 3_600_000_000 { "%H:%M:%S" } else { "%m-%d %H:%M" };
    match Timestamp::from_microsecond(wall_us) {
        Ok(moment) => moment.to_zoned_datetime(zone.clone()).strftime(form).to_string(),
        Err(_) => wall_us.to_string(),
    }
}

/// Returns a length of time in its two largest units.
pub fn length(microseconds: i64) -> String {
    let seconds = microseconds.max(0) / 1_000_000;
    match seconds {
        0 => format!("{} ms", microseconds.max(0) / 1000),
        1..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_in_every_form() {
        let now: Timestamp = "2026-11-25T12:00:00Z".parse().unwrap();
        let zone = TimeZone::fixed(jiff::tz::offset(2));
        for (written, expected) in [
            ("2026-11-25T10:00:00Z", "2026-11-25T10:00:00Z"),
            ("2026-11-25T10:00:00.25+01:00", "2026-11-25T09:00:00.25Z"),
            ("2026-11-25 10:00", "2026-11-25T08:00:00Z"),
            ("2026-11-25T10:00:30", "2026-11-25T08:00:30Z"),
            ("2026-11-25", "2026-11-24T22:00:00Z"),
            ("now", "2026-11-25T12:00:00Z"),
            ("90s", "2026-11-25T11:58:30Z"),
            ("15m", "2026-11-25T11:45:00Z"),
            ("2h", "2026-11-25T10:00:00Z"),
            ("2h ago", "2026-11-25T10:00:00Z"),
            ("1d 12h", "2026-11-24T00:00:00Z"),
            (" 3d ", "2026-11-22T12:00:00Z"),
            ("1w", "2026-11-18T12:00:00Z"),
        ] {
            let expected = expected.parse::<Timestamp>().unwrap().as_microsecond();
            assert_eq!(parse(written, now, &zone), Ok(expected), "{written}");
        }
        for wrong in ["", "yesterday", "2026-13-01", "2026-02-30", "5", "h", "99999999999d", "9999999y", "\u{1f600}"] {
            assert!(parse(wrong, now, &zone).is_err(), "{wrong}");
        }
    }

    #[test]
    fn moments_are_written_as_they_are_read() {
        let us = 1_795_600_800_000_250;
        assert_eq!(parse(&text(us), Timestamp::UNIX_EPOCH, &TimeZone::UTC), Ok(us));
        let zone = TimeZone::fixed(jiff::tz::offset(2));
        assert_eq!(text_in(us, Some(&zone)), "2026-11-25T12:00:00.000250+02:00");
        assert_eq!(parse(&text_in(us, Some(&zone)), Timestamp::UNIX_EPOCH, &TimeZone::UTC), Ok(us));
        assert_eq!(text_in(us, None), text(us));
        assert_eq!(short(us, &zone), "2026-11-25 12:00:00");
        assert_eq!(short(i64::MAX, &zone), i64::MAX.to_string());
        assert_eq!([1, i64::MAX].map(|span| mark(us, span, &zone)), ["12:00:00", "11-25 12:00"]);
        assert_eq!(mark(i64::MAX, 1, &zone), i64::MAX.to_string());
        assert_eq!(text(i64::MAX), i64::MAX.to_string());
        assert_eq!([250_000, 61_000_000, 90_000_000_000].map(length), ["250 ms", "1 min 1 s", "1 d 1 h"]);
    }
}
