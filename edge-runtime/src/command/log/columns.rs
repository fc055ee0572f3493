//! The columns of an export, declared once for every format. `docs/journal.md` explains each.

use std::borrow::Cow;

use expression_core::Label;
use jiff::tz::TimeZone;
use serde_json::{Map, Value as Json};

use super::moment;
use super::period::Period;
use crate::journal::visit::Visit;
use crate::journal::{EventRow, Row, Session, SessionRow};

/// A value of a column.
#[derive(Debug, Clone, PartialEq)]
pub enum Value<'a> {
    /// No value.
    Null,
    /// A whole number.
    Int(i64),
    /// A number.
    Float(f64),
    /// Yes or no.
    Bool(bool),
    /// Text.
    Text(Cow<'a, str>),
    /// Unix time in microseconds.
    Time(i64),
}

/// The type of a column's values, which only Parquet must know; each value may be null.
#[cfg(feature = "parquet")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// [`Value::Int`].
    Int,
    /// [`Value::Float`].
    Float,
    /// [`Value::Bool`].
    Bool,
    /// [`Value::Text`].
    Text,
    /// [`Value::Time`].
    Time,
}

/// A row with the session it belongs to.
pub type WithSession<'a, R> = (&'a R, &'a SessionRow);

/// A column of an export.
pub struct Column<R: 'static> {
    /// The heading.
    pub name: &'static str,
    /// The type of its values.
    #[cfg(feature = "parquet")]
    pub kind: Kind,
    /// Returns the value of a row.
    pub value: for<'a> fn(WithSession<'a, R>) -> Value<'a>,
}

fn text(text: &str) -> Value<'_> {
    Value::Text(text.into())
}

fn score(row: &Row, label: Label) -> Value<'static> {
    let score = row.record.scores.and_then(|scores| scores.get(label as usize).copied());
    score.map_or(Value::Null, |score| Value::Int(score.into()))
}

/// The fields of an event; what is not a JSON object, in a damaged journal, is a field `text`.
fn fields(row: &EventRow) -> Map<String, Json> {
    let Some(detail) = &row.detail else { return Map::new() };
    serde_json::from_str(detail).unwrap_or_else(|_| Map::from_iter([("text".to_owned(), detail.as_str().into())]))
}

/// The field that a column `detail_FIELD` holds.
fn detail(row: &EventRow, name: &str) -> Value<'static> {
    match fields(row).shift_remove(name) {
        Some(Json::Bool(value)) => Value::Bool(value),
        Some(Json::Number(number)) => match number.as_i64() {
            // A number of seconds is a float even if it is whole.
            Some(whole) if name != "seconds" => Value::Int(whole),
            _ => number.as_f64().map_or(Value::Null, Value::Float),
        },
        Some(Json::String(value)) => Value::Text(value.into()),
        _ => Value::Null,
    }
}

/// The fields that have no column, as a JSON object: events of a newer program have some.
fn other_details(row: &EventRow) -> Value<'static> {
    let mut fields = fields(row);
    fields.retain(|name, _| !EVENT.iter().any(|column| column.name.strip_prefix("detail_") == Some(name)));
    if fields.is_empty() { Value::Null } else { Value::Text(Json::Object(fields).to_string().into()) }
}

fn probability(row: &Row, session: &SessionRow, label: Label) -> Value<'static> {
    let scores = row.record.scores.zip(session.scale.as_ref()).map(|(scores, scale)| scale.probabilities(&scores));
    let found = scores.and_then(|scores| scores.0.into_iter().find(|(known, _)| *known == label));
    found.map_or(Value::Null, |(_, share)| Value::Float(share))
}

macro_rules! columns {
    ($row:ident: $type:ty, $session:ident; $($name:literal $kind:ident $value:expr;)*) => {
        &[$(Column {
            name: $name,
            #[cfg(feature = "parquet")]
            kind: Kind::$kind,
            value: |($row, $session): WithSession<'_, $type>| { let _ = ($row, $session); $value },
        },)*]
    };
}

/// The columns of records.
pub const RECORD: &[Column<Row>] = columns! {
    row: Row, session;
    "id" Int Value::Int(row.id);
    "time" Time Value::Time(row.stamp.wall_us);
    "clock_synchronised" Bool Value::Bool(row.synchronised);
    "monotonic_us" Int Value::Int((row.stamp.monotonic_ns / 1000) as i64);
    "boot_id" Text text(&session.session.boot_id);
    "session" Int Value::Int(row.session);
    "frame" Int Value::Int(row.sequence as i64);
    "file" Text row.name.as_deref().map_or(Value::Null, text);
    "frame_width" Int Value::Int(row.size[0].into());
    "frame_height" Int Value::Int(row.size[1].into());
    "track" Int Value::Int(row.record.track.into());
    "left" Int Value::Int(row.record.bounds.left.into());
    "top" Int Value::Int(row.record.bounds.top.into());
    "width" Int Value::Int(row.record.bounds.width.into());
    "height" Int Value::Int(row.record.bounds.height.into());
    "quality" Text text(row.record.quality.name());
    "label" Text row.record.label.map_or(Value::Null, |label| text(label.name()));
    "confidence" Float Value::Float((f64::from(row.record.confidence) / 255.0 * 1e4).round() / 1e4);
    "score_neutral" Int score(row, Label::Neutral);
    "score_happiness" Int score(row, Label::Happiness);
    "score_surprise" Int score(row, Label::Surprise);
    "score_sadness" Int score(row, Label::Sadness);
    "score_anger" Int score(row, Label::Anger);
    "score_disgust" Int score(row, Label::Disgust);
    "score_fear" Int score(row, Label::Fear);
    "score_contempt" Int score(row, Label::Contempt);
    "probability_neutral" Float probability(row, session, Label::Neutral);
    "probability_happiness" Float probability(row, session, Label::Happiness);
    "probability_surprise" Float probability(row, session, Label::Surprise);
    "probability_sadness" Float probability(row, session, Label::Sadness);
    "probability_anger" Float probability(row, session, Label::Anger);
    "probability_disgust" Float probability(row, session, Label::Disgust);
    "probability_fear" Float probability(row, session, Label::Fear);
    "probability_contempt" Float probability(row, session, Label::Contempt);
    "latency_ms" Float Value::Float(f64::from(row.latency_us) / 1e3);
    "celsius" Float row.millicelsius.map_or(Value::Null, |millicelsius| Value::Float(f64::from(millicelsius) / 1e3));
    "bundle" Text text(&session.session.bundle);
    "model_sha256" Text text(&session.session.model_sha256);
};

/// The columns of events. Those of `detail_` hold the fields of the events that have them.
pub const EVENT: &[Column<EventRow>] = columns! {
    row: EventRow, session;
    "id" Int Value::Int(row.id);
    "time" Time Value::Time(row.stamp.wall_us);
    "monotonic_us" Int Value::Int((row.stamp.monotonic_ns / 1000) as i64);
    "boot_id" Text text(&session.session.boot_id);
    "session" Int Value::Int(row.session);
    "event" Text text(&row.kind);
    "detail_reason" Text detail(row, "reason");
    "detail_gap_ms" Int detail(row, "gap_ms");
    "detail_frames" Int detail(row, "frames");
    "detail_from" Text detail(row, "from");
    "detail_to" Text detail(row, "to");
    "detail_millicelsius" Int detail(row, "millicelsius");
    "detail_firmware" Int detail(row, "firmware");
    "detail_by" Text detail(row, "by");
    "detail_cause" Text detail(row, "cause");
    "detail_message" Text detail(row, "message");
    "detail_seconds" Float detail(row, "seconds");
    "detail_records" Int detail(row, "records");
    "detail_events" Int detail(row, "events");
    "detail_moved_to" Text detail(row, "moved_to");
    "detail_on" Bool detail(row, "on");
    "detail_which" Text detail(row, "which");
    "detail_faces" Int detail(row, "faces");
    "detail_synchronised" Bool detail(row, "synchronised");
    "detail_step_ms" Int detail(row, "step_ms");
    "detail_other" Text other_details(row);
};

/// Microseconds as seconds.
fn seconds(microseconds: i64) -> Value<'static> {
    Value::Float(microseconds as f64 / 1e6)
}

/// The columns of visits; those named like a label are seconds.
pub const VISIT: &[Column<Visit>] = columns! {
    row: Visit, session;
    "session" Int Value::Int(row.session);
    "track" Int Value::Int(row.track.into());
    "first" Time Value::Time(row.first_us);
    "last" Time Value::Time(row.last_us);
    "records" Int Value::Int(row.records as i64);
    "seconds" Float seconds(row.present_us());
    "neutral" Float seconds(row.by_label[Label::Neutral as usize]);
    "happiness" Float seconds(row.by_label[Label::Happiness as usize]);
    "surprise" Float seconds(row.by_label[Label::Surprise as usize]);
    "sadness" Float seconds(row.by_label[Label::Sadness as usize]);
    "anger" Float seconds(row.by_label[Label::Anger as usize]);
    "disgust" Float seconds(row.by_label[Label::Disgust as usize]);
    "fear" Float seconds(row.by_label[Label::Fear as usize]);
    "contempt" Float seconds(row.by_label[Label::Contempt as usize]);
    "unsure" Float seconds(row.by_label[Label::COUNT]);
    "longest_smile" Float seconds(row.longest_smile_us);
};

/// The columns of hours and days; those named like a label are seconds.
pub const PERIOD: &[Column<Period>] = columns! {
    row: Period, session;
    "start" Time Value::Time(row.start_us);
    "visits" Int Value::Int(row.tracks.len() as i64);
    "seconds" Float seconds(row.present_us());
    "neutral" Float seconds(row.by_label[Label::Neutral as usize]);
    "happiness" Float seconds(row.by_label[Label::Happiness as usize]);
    "surprise" Float seconds(row.by_label[Label::Surprise as usize]);
    "sadness" Float seconds(row.by_label[Label::Sadness as usize]);
    "anger" Float seconds(row.by_label[Label::Anger as usize]);
    "disgust" Float seconds(row.by_label[Label::Disgust as usize]);
    "fear" Float seconds(row.by_label[Label::Fear as usize]);
    "contempt" Float seconds(row.by_label[Label::Contempt as usize]);
    "unsure" Float seconds(row.by_label[Label::COUNT]);
    "longest_smile" Float seconds(row.longest_smile_us);
};

/// What stands for the session of rows that need none.
pub static NO_SESSION: SessionRow = SessionRow {
    id: 0,
    started_wall_us: 0,
    started_monotonic_us: 0,
    session: Session {
        bundle: String::new(),
        model_sha256: String::new(),
        program: String::new(),
        board: String::new(),
        boot_id: String::new(),
        clock_synchronised: false,
        kernels: String::new(),
        configuration: String::new(),
        score_step: None,
        labels: String::new(),
        signature: None,
    },
    scale: None,
};

impl Value<'_> {
    /// Returns the value as a field of CSV, with times in `zone`, or in UTC if it is `None`; null is empty.
    pub fn to_text(&self, zone: Option<&TimeZone>) -> Cow<'_, str> {
        match self {
            Value::Null => "".into(),
            Value::Int(value) => value.to_string().into(),
            Value::Float(value) => value.to_string().into(),
            Value::Bool(value) => value.to_string().into(),
            Value::Text(value) => value.as_ref().into(),
            Value::Time(value) => moment::text_in(*value, zone).into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use expression_core::Stamp;

    use super::*;

    fn event(kind: &str, detail: Option<&str>) -> Vec<(&'static str, String)> {
        let row = EventRow {
            id: 1,
            session: 1,
            stamp: Stamp { monotonic_ns: 0, wall_us: 0 },
            kind: kind.into(),
            detail: detail.map(str::to_owned),
        };
        let session =
            SessionRow { id: 1, started_wall_us: 0, started_monotonic_us: 0, session: Session::default(), scale: None };
        let values = EVENT.iter().map(|column| (column.name, (column.value)((&row, &session))));
        let shown = values.filter(|(name, value)| name.starts_with("detail_") && *value != Value::Null);
        shown.map(|(name, value)| (name, format!("{value:?}"))).collect()
    }

    #[test]
    fn the_fields_of_an_event_are_columns() {
        assert_eq!(event("start", None), []);
        let throttled = r#"{"from":"half","to":"paused","millicelsius":81500,"firmware":327685}"#;
        assert_eq!(
            event("throttled", Some(throttled)),
            [
                ("detail_from", "Text(\"half\")".to_owned()),
                ("detail_to", "Text(\"paused\")".to_owned()),
                ("detail_millicelsius", "Int(81500)".to_owned()),
                ("detail_firmware", "Int(327685)".to_owned()),
            ]
        );
        let lost = r#"{"records":3,"events":0,"seconds":2}"#;
        assert!(event("records_lost", Some(lost)).contains(&("detail_seconds", "Float(2.0)".to_owned())));
        assert_eq!(event("keep_faces", Some(r#"{"on":true}"#)), [("detail_on", "Bool(true)".to_owned())]);
    }

    #[test]
    fn fields_without_a_column_and_damaged_details_are_kept() {
        let newer = event("teleported", Some(r#"{"by":"hand","distance":{"m":3}}"#));
        let other = r#"Text("{\"distance\":{\"m\":3}}")"#.to_owned();
        assert_eq!(newer, [("detail_by", "Text(\"hand\")".to_owned()), ("detail_other", other)]);
        let damaged = event("stop", Some("not json"));
        assert_eq!(damaged, [("detail_other", r#"Text("{\"text\":\"not json\"}")"#.to_owned())]);
    }
}
