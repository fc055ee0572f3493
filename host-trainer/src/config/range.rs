//! The ranges of a preset's numbers.

/// A number: its key, its value, the least and the most that it may be.
pub(super) type Range = (&'static str, f64, f64, f64);

/// The lowest learning rate: 0 would train nothing.
pub(super) const MIN_RATE: f64 = 1e-9;
/// The highest learning rate.
pub(super) const MAX_RATE: f64 = 10.0;
/// The largest momentum: with 1, steps never fade.
pub(super) const MAX_MOMENTUM: f64 = 0.9999;
/// The most epochs of a stage.
pub(super) const MAX_EPOCHS: f64 = 100_000.0;
/// The most samples of a batch.
pub(super) const MAX_BATCH: f64 = 10_000.0;
/// The most views of a sample.
pub(super) const MAX_VIEWS: f64 = 1000.0;
/// The most faces that are rendered or held out.
pub(super) const MAX_SAMPLES: f64 = 1_000_000.0;

/// Refuses what is out of range or not a number.
///
/// # Errors
/// Returns the key, the value and the range of the first such number.
pub(super) fn check(ranges: &[Range]) -> Result<(), String> {
    match ranges.iter().find(|(_, value, least, most)| !(least..=most).contains(&value)) {
        Some((key, value, least, most)) => Err(format!("{key}: {value} is out of range; give {least} to {most}")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Config, PRESETS};

    /// The text of a preset with another value for a key of a table.
    fn with(text: &str, table: &str, key: &str, value: &str) -> String {
        let at = text.find(&format!("\n[{table}]")).unwrap();
        let at = at + text[at..].find(&format!("\n{key} = ")).unwrap() + 1;
        let end = at + text[at..].find('\n').unwrap();
        format!("{}{key} = {value}{}", &text[..at], &text[end..])
    }

    #[test]
    fn every_number_has_a_range() {
        let smoke = PRESETS[5].1;
        let config = Config::parse(smoke).unwrap();
        for (key, value, ..) in config.ranges() {
            let (table, key) = key.split_once('.').unwrap();
            let is_whole = !toml::to_string(&config).unwrap().contains(&format!("\n{key} = {value:?}\n"));
            let wrong: &[&str] = if is_whole { &["-1", "9999999999"] } else { &["nan", "inf", "-inf", "-0.1", "1e9"] };
            for wrong in wrong {
                let told = Config::parse(&with(smoke, table, key, wrong)).unwrap_err().to_string();
                assert!(told.contains(key) && told.lines().count() == 1, "{table}.{key} = {wrong}: {told}");
            }
        }
        // None is forgotten: each number of the preset is in the list, or is checked with others.
        let together = ["net.channels", "net.aligned", "net.size", "stage_two.average"];
        let text: toml::Table = toml::from_str(smoke).unwrap();
        for (table, values) in &text {
            let numbers = values.as_table().unwrap().iter().filter(|(_, value)| value.is_integer() || value.is_float());
            for name in numbers.map(|(key, _)| format!("{table}.{key}")) {
                let listed = config.ranges().iter().any(|(key, ..)| *key == name);
                assert!(listed || together.contains(&name.as_str()), "{name}");
            }
        }
        let told = Config::parse(&with(smoke, "stage_two", "rate", "nan")).unwrap_err().to_string();
        assert_eq!(told, "stage_two.rate: NaN is out of range; give 0.000000001 to 10");
        let told = Config::parse(&with(smoke, "stage_two", "epochs", "\"3\"")).unwrap_err().to_string();
        assert!(told.ends_with(": epochs: expected a whole number, not negative, found the text \"3\""), "{told}");
    }
}
