//! Errors of TOML files in plain words, for board files, presets and fleets alike.

/// The key of a value, by the text before it; `None` if there is none in this line.
pub fn key_before(before: &str) -> Option<&str> {
    let (keys, _) = before.lines().last().filter(|_| !before.ends_with('\n'))?.rsplit_once('=')?;
    let is_part = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    keys.trim_end().rsplit(|c: char| !is_part(c)).next().filter(|key| !key.is_empty())
}

/// What serde says of a value of another type, without the names of Rust's types. `None` for other messages.
pub fn in_plain_words(message: &str) -> Option<String> {
    let wrong = message.strip_prefix("invalid type: ").or_else(|| message.strip_prefix("invalid value: "))?;
    let (found, expected) = wrong.rsplit_once(", expected ")?;
    let is_too_large = found.starts_with("integer ") && !found.contains('-') && message.starts_with("invalid value");
    let expected = match expected {
        "u8" if is_too_large => "a whole number from 0 to 255",
        "u16" if is_too_large => "a whole number from 0 to 65535",
        "u32" if is_too_large => "a whole number from 0 to 4294967295",
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number, not negative",
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number",
        "f32" | "f64" => "a number",
        "a boolean" => "true or false",
        "a string" | "path string" => "text in quotation marks",
        "a sequence" => "a list",
        text if text.starts_with("struct ") || text == "a map" => "a table",
        text => text,
    };
    let found = match (found.strip_prefix("string "), found.split_once('`')) {
        (Some(text), _) => format!("the text {text}"),
        // "integer `3`", "floating point `3.5`"
        (_, Some((_, value))) => value.trim_end_matches('`').to_owned(),
        _ if found == "sequence" => "a list".to_owned(),
        _ if found == "map" => "a table".to_owned(),
        _ => found.to_owned(),
    };
    Some(format!("expected {expected}, found {found}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_told_in_plain_words_and_keys_found() {
        let plain = |message| in_plain_words(message).unwrap();
        assert_eq!(plain("invalid type: string \"x\", expected a sequence"), "expected a list, found the text \"x\"");
        assert_eq!(
            plain("invalid type: floating point `1.5`, expected u64"),
            "expected a whole number, not negative, found 1.5"
        );
        assert_eq!(
            plain("invalid value: integer `300`, expected u8"),
            "expected a whole number from 0 to 255, found 300"
        );
        assert_eq!(
            plain("invalid value: integer `-3`, expected u64"),
            "expected a whole number, not negative, found -3"
        );
        assert_eq!(in_plain_words("duplicate key"), None);
        assert_eq!(key_before("[a]\nkeys = "), Some("keys"));
        assert_eq!(key_before("[a]\n"), None);
    }
}
