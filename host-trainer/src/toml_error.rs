//! Errors of TOML files that say which key was probably meant.

use expression_engine::toml_error::{in_plain_words, key_before};

/// The reason of an error in a TOML text in one line: which line, which key, what was expected and what was found. For an
/// unknown key it names the known one that is nearest to it.
pub fn explained(error: &toml::de::Error, text: &str) -> String {
    let message = error.message();
    let reason = match (meant(message), message.strip_prefix("missing field ")) {
        (Some(meant), _) => {
            let key = message.split('`').nth(1).unwrap_or_default();
            format!("unknown key `{key}`; did you mean `{meant}`?")
        }
        (_, Some(key)) => format!("{key} is missing"),
        _ => in_plain_words(message).unwrap_or_else(|| message.replace('\n', ", ")),
    };
    let Some(start) = error.span().map(|span| span.start) else { return reason };
    let before = text.get(..start).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    // The list is read as the table's first value. If that is a word out of a few, toml counts the keys instead.
    let is_of_list = message.starts_with("invalid ") || message.starts_with("wanted exactly 1 element");
    if let Some(table) = text.lines().nth(line - 1).and_then(list_of_tables).filter(|_| is_of_list) {
        return format!(
            "line {line}: [[{table}]] begins a list; write [{table}], or [{table}.NAME] for a table by name"
        );
    }
    match key_before(before) {
        Some(key) if !reason.starts_with(&format!("{key}: ")) => format!("line {line}: {key}: {reason}"),
        _ => format!("line {line}: {reason}"),
    }
}

/// The name in a line such as `[[boards]]`, which begins a table of a list of tables.
fn list_of_tables(line: &str) -> Option<&str> {
    Some(line.trim_start().strip_prefix("[[")?.split_once("]]")?.0.trim())
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

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Table {
        _count: Option<u16>,
        _share: Option<f64>,
        _name: Option<String>,
        _is_on: Option<bool>,
        _list: Option<Vec<i64>>,
        _pair: Option<[f64; 2]>,
        _inner: Option<Box<Table>>,
        _run: Option<Run>,
    }

    #[derive(Debug, serde::Deserialize)]
    struct Run {
        _precision: Precision,
        _faces: u16,
    }

    #[derive(Debug, serde::Deserialize)]
    enum Precision {
        Auto,
    }

    #[test]
    fn what_is_wrong_is_told_in_plain_words() {
        for (text, expected) in [
            ("_count = \"3\"", "line 1: _count: expected a whole number, not negative, found the text \"3\""),
            ("_count = -3", "line 1: _count: expected a whole number, not negative, found -3"),
            ("_count = 3.5", "line 1: _count: expected a whole number, not negative, found 3.5"),
            ("\n_share = [1]", "line 2: _share: expected a number, found a list"),
            ("_name = 3", "line 1: _name: expected text in quotation marks, found 3"),
            ("_is_on = 1", "line 1: _is_on: expected true or false, found 1"),
            ("_list = { a = 1 }", "line 1: _list: expected a list, found a table"),
            ("_list = [\n1,\n\"2\"]", "line 3: expected a whole number, found the text \"2\""),
            ("_inner = 1", "line 1: _inner: expected a table, found 1"),
            ("_inner = { _share = true }", "line 1: _share: expected a number, found true"),
            ("[_inner]\n_shore = 1", "line 2: unknown key `_shore`; did you mean `_share`?"),
            (
                "\n[[_inner]]\n_share = 1",
                "line 2: [[_inner]] begins a list; write [_inner], or [_inner.NAME] for a table by name",
            ),
            (
                "[[_run]]\n_precision = \"Auto\"\n_faces = 3",
                "line 1: [[_run]] begins a list; write [_run], or [_run.NAME] for a table by name",
            ),
        ] {
            let error = toml::from_str::<Table>(text).unwrap_err();
            assert_eq!(explained(&error, text), expected);
        }
        for (text, words) in [
            ("_count = ", "line 1: _count: "),
            ("_count = 1\n_count = 2", "line 2: duplicate key"),
            ("\n\n_name = \"a", "line 3: "),
            ("_pair = [1.0]", "line 1: "),
            ("_count = 1 2", "line 1: "),
        ] {
            let told = explained(&toml::from_str::<Table>(text).unwrap_err(), text);
            assert!(told.starts_with(words) && !told.contains(['\n', '|']), "{told}");
        }
    }

    #[test]
    fn the_nearest_of_the_known_names_is_proposed() {
        let message = "unknown field `bundel`, expected one of `board`, `bundle`, `binary`";
        assert_eq!(meant(message), Some("bundle"));
        assert_eq!(meant("unknown field `x`, expected `y`"), Some("y"));
        assert_eq!(meant("unknown field `x`, there are no fields"), None);
        assert_eq!(meant("missing field `host`"), None);
    }
}
