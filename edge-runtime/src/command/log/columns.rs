//! The columns of an export, declared once for every format.

use std::borrow::Cow;

use expression_core::Label;

use super::moment;
use crate::journal::{EventRow, Row, SessionRow};

/// A value of a column.
#[derive(Debug, Clone, PartialEq)]
pub enum Value<'a> {
    /// None.
    Null,
    /// A whole number.
    Int(i64),
    /// A number.
    Float(f64),
    /// Whether.
    Bool(bool),
    /// Text.
    Text(Cow<'a, str>),
    /// Unix time in microseconds.
    Time(i64),
}

/// What the values of a column are, apart from null.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(not(feature = "parquet"), allow(dead_code, reason = "Parquet alone asks what a column holds"))]
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

/// A row with its session.
pub type Of<'a, R> = (&'a R, &'a SessionRow);

/// A column: its name, what it holds, and its value in a row.
pub struct Column<R: 'static> {
    /// The heading.
    pub name: &'static str,
    /// What it holds.
    #[cfg_attr(not(feature = "parquet"), allow(dead_code, reason = "Parquet alone asks what a column holds"))]
    pub kind: Kind,
    /// The value.
    pub of: for<'a> fn(Of<'a, R>) -> Value<'a>,
}

fn text(text: &str) -> Value<'_> {
    Value::Text(text.into())
}

fn score(row: &Row, label: Label) -> Value<'static> {
    let score = row.record.scores.and_then(|scores| scores.get(label as usize).copied());
    score.map_or(Value::Null, |score| Value::Int(score.into()))
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
            kind: Kind::$kind,
            of: |($row, $session): Of<'_, $type>| { let _ = ($row, $session); $value },
        },)*]
    };
}

/// Of records. `docs/journal.md` explains each.
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

/// Of events.
pub const EVENT: &[Column<EventRow>] = columns! {
    row: EventRow, session;
    "id" Int Value::Int(row.id);
    "time" Time Value::Time(row.stamp.wall_us);
    "monotonic_us" Int Value::Int((row.stamp.monotonic_ns / 1000) as i64);
    "boot_id" Text text(&session.session.boot_id);
    "session" Int Value::Int(row.session);
    "event" Text text(&row.kind);
    "detail" Text row.detail.as_deref().map_or(Value::Null, text);
};

impl Value<'_> {
    /// As a field of CSV; null is empty.
    pub fn to_text(&self) -> Cow<'_, str> {
        match self {
            Value::Null => "".into(),
            Value::Int(value) => value.to_string().into(),
            Value::Float(value) => value.to_string().into(),
            Value::Bool(value) => value.to_string().into(),
            Value::Text(value) => value.as_ref().into(),
            Value::Time(value) => moment::text(*value).into(),
        }
    }
}
