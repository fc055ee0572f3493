//! Errors of TOML files that say which key was probably meant.

/// The reason of an error in a TOML text, with its line, and for an unknown key the known one that is nearest to it.
pub fn explained(error: &toml::de::Error, text: &str) -> String {
    let mut reason = error.message().replace('\n', " ");
    if let Some(meant) = meant(error.message()) {
        let key = reason.split('`').nth(1).unwrap_or_default().to_owned();
        reason = format!("unknown key `{key}`; did you mean `{meant}`?");
    }
    match error.span() {
        Some(span) => {
            let before = text.as_bytes().iter().take(span.start).filter(|byte| **byte == b'\n').count();
            format!("line {}: {reason}", before + 1)
        }
        None => reason,
    }
}

/// The name that is nearest to another one; `None` if there are no names.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known.into_iter().min_by_key(|known| strsim::osa_distance(name, known))
}

/// serde says "unknown field `a`, expected `b`" or "expected one of `b`, `c`".
fn meant(message: &str) -> Option<&str> {
    let names = message.strip_prefix("unknown field `")?;
    let mut quoted = names.split('`').step_by(2);
    let key = quoted.next()?;
    nearest(key, quoted.filter(|name| !name.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_of_the_known_names_is_proposed() {
        let message = "unknown field `bundel`, expected one of `board`, `bundle`, `binary`";
        assert_eq!(meant(message), Some("bundle"));
        assert_eq!(meant("unknown field `x`, expected `y`"), Some("y"));
        assert_eq!(meant("unknown field `x`, there are no fields"), None);
        assert_eq!(meant("missing field `host`"), None);
    }
}
