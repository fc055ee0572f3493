//! Numbers on the command line: refused with what is expected, its unit and its range.

use std::ops::RangeInclusive;

/// Returns a parser for clap's `value_parser` that accepts whole numbers within `range`. `what` is the number with its unit, such as
/// `a whole number of threads`.
pub fn whole<T>(what: &'static str, range: RangeInclusive<u64>) -> impl Fn(&str) -> Result<T, String> + Clone
where
    T: TryFrom<u64>,
{
    move |text| {
        let number = text.parse::<u64>().ok().filter(|number| range.contains(number));
        number.and_then(|number| T::try_from(number).ok()).ok_or_else(|| {
            let (least, most) = (*range.start(), *range.end());
            let bounds = if most == u64::MAX { format!("{least} or more") } else { format!("{least} to {most}") };
            let nearest =
                meant(what, text).map(f64::round).filter(|number| (least as f64..=most as f64).contains(number));
            refusal(&format!("{what}, {bounds}"), nearest)
        })
    }
}

/// Returns a parser for clap's `value_parser` that accepts numbers for which `is_valid` holds. `what` is the number with its unit,
/// and `bounds` says what is valid, such as `0 to 3600`.
pub fn decimal(
    what: &'static str,
    bounds: &'static str,
    is_valid: fn(f64) -> bool,
) -> impl Fn(&str) -> Result<f64, String> + Clone {
    move |text| {
        let number = text.parse().ok().filter(|number| is_valid(*number));
        number
            .ok_or_else(|| refusal(&format!("{what}, {bounds}"), meant(what, text).filter(|number| is_valid(*number))))
    }
}

fn refusal(expected: &str, nearest: Option<f64>) -> String {
    let advice = nearest.map(|number| format!("; write {number}")).unwrap_or_default();
    format!("expected {expected}{advice}")
}

/// The number that a text probably means: one with decimals, an exponent or its unit.
fn meant(what: &str, text: &str) -> Option<f64> {
    let text = text.trim().to_ascii_lowercase();
    let unit = match what {
        _ if what.ends_with("per second") => "fps",
        _ if what.ends_with("seconds") => "s",
        _ if what.ends_with("MiB") => "mib",
        _ => "",
    };
    let number = text.strip_suffix(unit).unwrap_or(&text).trim_end();
    number.parse().ok().filter(|number: &f64| number.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_are_refused_with_unit_and_range_and_what_to_write() {
        let rate = whole::<u32>("whole frames per second", 1..=1000);
        assert_eq!(rate("30"), Ok(30));
        for (text, advice) in [
            ("29.97", "; write 30"),
            ("1e2", "; write 100"),
            ("25 fps", "; write 25"),
            (" 25", "; write 25"),
            ("0", ""),
            ("-1", ""),
            ("1001", ""),
            ("two", ""),
            ("", ""),
            ("nan", ""),
            ("30s", ""),
            ("99999999999999999999", ""),
        ] {
            assert_eq!(rate(text), Err(format!("expected whole frames per second, 1 to 1000{advice}")), "{text}");
        }
        let frames = whole::<u64>("a whole number of frames", 0..=u64::MAX);
        assert_eq!(frames("18446744073709551615"), Ok(u64::MAX));
        assert_eq!(frames("1e3"), Err("expected a whole number of frames, 0 or more; write 1000".into()));
    }

    #[test]
    fn decimals_may_have_no_unit() {
        let seconds = decimal("a number of seconds", "0 to 3600", |seconds| (0.0..=3600.0).contains(&seconds));
        assert_eq!(seconds("0.5"), Ok(0.5));
        for (text, advice) in [("5s", "; write 5"), ("0.5 s", "; write 0.5"), ("-1", ""), ("nan", ""), ("3601", "")] {
            assert_eq!(seconds(text), Err(format!("expected a number of seconds, 0 to 3600{advice}")), "{text}");
        }
    }
}
