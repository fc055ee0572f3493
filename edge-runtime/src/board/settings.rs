//! The settings of `edge-runtime run` that a board file can hold.
//!
//! One list says which key belongs to which flag. Keys that describe the board itself are fields of [`Board`](super::Board) and
//! are read with their types; the value of every other key is checked for its kind here, and then read by the flag that it stands
//! for, so that a file and a command line accept the same values and refuse them for the same reasons.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A key of a board file, and the flag of `run` that overrides it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setting {
    /// The key, such as `preview.rate`.
    pub key: &'static str,
    /// The flag without its dashes and with `_` for `-`, such as `preview_rate`.
    pub flag: &'static str,
    /// What its value may be.
    pub kind: Kind,
}

/// What the value of a setting may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A field of [`Board`](super::Board). One of the flag's unit has this many of the key's.
    OfBoard(u64),
    /// A field of [`Board`](super::Board) that is true if the flag is given.
    Given,
    /// Text.
    Text,
    /// A whole number.
    Integer,
    /// An address to listen on: text, or a port.
    Address,
    /// `true` or `false`.
    Switch,
    /// `true`, `false` or a path.
    SwitchOrPath,
    /// A list of texts.
    List,
}

impl Kind {
    /// Whether [`Board`](super::Board) has a field for it.
    pub const fn is_of_board(self) -> bool {
        matches!(self, Kind::OfBoard(_) | Kind::Given)
    }
}

/// Every setting of `run`. To add one, add a flag to `run` and a line here, and to `boards/board.schema.json`: tests compare them.
pub const SETTINGS: &[Setting] = &[
    setting("paths.bundle", "bundle", Kind::OfBoard(1)),
    setting("threads", "threads", Kind::OfBoard(1)),
    setting("camera.source", "source", Kind::OfBoard(1)),
    setting("camera.detect_every", "detect_every", Kind::OfBoard(1)),
    setting("camera.rotate", "rotate", Kind::OfBoard(1)),
    setting("camera.flip", "flip", Kind::OfBoard(1)),
    setting("camera.stall", "stall", Kind::OfBoard(1)),
    setting("source.size", "frame_size", Kind::Text),
    setting("source.format", "frame_format", Kind::Text),
    setting("source.stride", "frame_stride", Kind::Integer),
    setting("source.rate", "frame_rate", Kind::Integer),
    setting("source.realtime", "realtime", Kind::Switch),
    setting("source.required", "require_camera", Kind::Switch),
    setting("journal.record", "journal", Kind::SwitchOrPath),
    setting("journal.commit_every_seconds", "commit_every", Kind::OfBoard(1)),
    setting("journal.max_records_per_second", "records_per_second", Kind::OfBoard(1)),
    setting("journal.max_bytes", "journal_size", Kind::OfBoard(1 << 20)),
    setting("journal.keep_faces", "keep_faces", Kind::Given),
    setting("journal.keep_faces_which", "keep_faces", Kind::OfBoard(1)),
    setting("journal.keep_faces_per_track", "keep_faces_per_track", Kind::OfBoard(1)),
    setting("journal.keep_faces_per_day", "keep_faces_per_day", Kind::OfBoard(1)),
    setting("journal.keep_faces_days", "keep_faces_days", Kind::OfBoard(1)),
    setting("preview.address", "preview", Kind::Address),
    setting("preview.rate", "preview_rate", Kind::Integer),
    setting("preview.hosts", "preview_host", Kind::List),
    setting("preview.embed", "preview_embed", Kind::List),
    setting("preview.token_file", "preview_token_file", Kind::Text),
    setting("metrics.address", "metrics", Kind::Address),
    setting("mqtt.url", "mqtt", Kind::Text),
    setting("mqtt.password_file", "mqtt_password_file", Kind::Text),
    setting("mqtt.ca_file", "mqtt_ca_file", Kind::Text),
    setting("mqtt.discovery", "mqtt_discovery", Kind::Text),
    setting("privacy.start_paused", "start_paused", Kind::Switch),
    setting("privacy.local_pause_only", "local_pause_only", Kind::Switch),
];

const fn setting(key: &'static str, flag: &'static str, kind: Kind) -> Setting {
    Setting { key, flag, kind }
}

/// A key of a board file as it stands there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The key with its table, such as `preview.rate`.
    pub key: String,
    /// Its value as TOML.
    pub value: String,
    /// Its line, from 1.
    pub line: usize,
}

/// A setting of a board file that stands for flags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileSetting {
    /// Which one.
    pub setting: Setting,
    /// The flags that say the same; none for a switch that is off.
    pub flags: Vec<String>,
    /// Its line, from 1.
    pub line: usize,
}

impl FileSetting {
    /// The value of its flag; `None` for a switch.
    pub fn value(&self) -> Option<&str> {
        self.flags.first().and_then(|flag| flag.split_once('=')).map(|(_, value)| value)
    }
}

/// What is wrong with a key, and where in the text.
pub(super) type Wrong = (Range<usize>, String);

/// Takes the settings that stand for flags out of a board file, which leaves the keys that [`Board`](super::Board) has fields for.
///
/// # Errors
/// Returns an error if a value is of the wrong kind, or if one of their tables has a key that is unknown.
pub(super) fn take(file: &mut DeTable<'_>, text: &str) -> Result<Vec<FileSetting>, Wrong> {
    let mut taken = Vec::new();
    for setting in SETTINGS.iter().filter(|setting| !setting.kind.is_of_board()) {
        let Some((table, key)) = setting.key.split_once('.') else { continue };
        let Some(found) = file.get_mut(table) else { continue };
        let span = found.span();
        let DeValue::Table(found) = found.get_mut() else {
            return Err((span, format!("{table} is not a table; write [{table}]")));
        };
        let Some((name, value)) = found.remove_entry(key) else { continue };
        let flags = flags(setting, value.get_ref()).map_err(|reason| (name.span(), reason))?;
        taken.push(FileSetting { setting: *setting, flags, line: line(text, name.span().start) });
    }
    for table in tables().filter(|table| !is_of_board(table)) {
        let Some((_, found)) = file.remove_entry(table) else { continue };
        if let Some(unknown) = found.get_ref().as_table().and_then(|rest| rest.keys().next()) {
            let key = format!("{table}.{}", unknown.get_ref());
            let known = SETTINGS.iter().map(|setting| setting.key).filter(|known| known.starts_with(table));
            let known: Vec<_> = known.collect();
            let advice = match nearest(&key, known.iter().copied()) {
                Some(nearest) => format!("did you mean {nearest}?"),
                None => format!("there are {}", known.join(", ")),
            };
            return Err((unknown.span(), format!("unknown key {key}; {advice}")));
        }
    }
    Ok(taken)
}

/// Tables that settings are in, each as often as it has any.
fn tables() -> impl Iterator<Item = &'static str> {
    SETTINGS.iter().filter_map(|setting| Some(setting.key.split_once('.')?.0))
}

/// Whether [`Board`](super::Board) has fields in this table, too.
fn is_of_board(table: &str) -> bool {
    let is_here = |setting: &&Setting| setting.key.split_once('.').is_some_and(|(found, _)| found == table);
    SETTINGS.iter().filter(is_here).any(|setting| setting.kind.is_of_board())
}

/// The flags that say what a value says.
fn flags(setting: &Setting, value: &DeValue<'_>) -> Result<Vec<String>, String> {
    let name = format!("--{}", setting.flag.replace('_', "-"));
    let with = |value: &str| vec![format!("{name}={value}")];
    let wanted = match (setting.kind, value) {
        (Kind::Text | Kind::Address | Kind::SwitchOrPath, DeValue::String(text)) => return Ok(with(text)),
        (Kind::Integer | Kind::Address, DeValue::Integer(number)) => return Ok(with(&number.to_string())),
        (Kind::Switch | Kind::SwitchOrPath, DeValue::Boolean(true)) => return Ok(vec![name]),
        (Kind::Switch, DeValue::Boolean(false)) => return Ok(Vec::new()),
        (Kind::SwitchOrPath, DeValue::Boolean(false)) => return Ok(with("false")),
        (Kind::List, DeValue::Array(items)) => {
            let texts = items.iter().map(|item| item.get_ref().as_str().map(|text| format!("{name}={text}")));
            if let Some(flags) = texts.collect() {
                return Ok(flags);
            }
            "a list of texts"
        }
        (Kind::List, _) => "a list of texts",
        (Kind::Text | Kind::OfBoard(_) | Kind::Given, _) => "text in quotes",
        (Kind::Integer, _) => "a whole number",
        (Kind::Address, _) => "a port, or an address in quotes",
        (Kind::Switch, _) => "true or false",
        (Kind::SwitchOrPath, _) => "true, false or a path in quotes",
    };
    Err(format!("{}: expected {wanted}, found {}", setting.key, value.type_str()))
}

/// Every key of a board file with its value and its line, in the order of the file.
pub(super) fn entries(file: &DeTable<'_>, text: &str) -> Vec<Entry> {
    let mut entries = Vec::new();
    gather(file, "", text, &mut entries);
    entries.sort_by_key(|entry| entry.line);
    entries
}

fn gather(table: &DeTable<'_>, prefix: &str, text: &str, into: &mut Vec<Entry>) {
    for (name, value) in table {
        let key = format!("{prefix}{}", name.get_ref());
        let text_of = |value: &Spanned<DeValue<'_>>| text.get(value.span()).unwrap_or_default().to_owned();
        match value.get_ref() {
            // An inline table is a value.
            DeValue::Table(inner) if !text_of(value).starts_with('{') => gather(inner, &format!("{key}."), text, into),
            _ => into.push(Entry { key, value: text_of(value), line: line(text, name.span().start) }),
        }
    }
}

/// The line of a place in a text, from 1.
pub(super) fn line(text: &str, place: usize) -> usize {
    text.as_bytes().iter().take(place).filter(|byte| **byte == b'\n').count() + 1
}

/// Returns the name that an unknown one is probably meant to be.
pub fn nearest<'a>(unknown: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let (distance, name) = known.map(|name| (strsim::osa_distance(unknown, name), name)).min()?;
    (distance <= 1 + name.len() / 4).then_some(name)
}

/// Names the nearest key in serde's message about an unknown one, in place of all there are.
pub(super) fn with_nearest(message: &str) -> String {
    let mut names = message.split('`').skip(1).step_by(2);
    let Some(unknown) = names.next().filter(|_| message.starts_with("unknown field")) else {
        return message.to_owned();
    };
    let mut known: Vec<&str> = names.collect();
    let mut more = Vec::new();
    // At the top of the file there are the tables of settings, too.
    if known.contains(&"thermal") {
        for table in tables() {
            if !known.contains(&table) {
                known.push(table);
                more.push(format!(", `{table}`"));
            }
        }
    }
    match nearest(unknown, known.iter().copied()) {
        Some(nearest) => format!("unknown field `{unknown}`, did you mean `{nearest}`?"),
        None => format!("{message}{}", more.concat()),
    }
}
