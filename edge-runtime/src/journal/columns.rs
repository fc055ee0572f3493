//! From the columns of the tables to values.

use std::sync::Arc;

use expression_core::{Bounds, Label, Quality, Record, Stamp};
use rusqlite::Row as Columns;

use super::{EventRow, Row, Session, SessionRow, Signature};
use crate::score::ScoreScale;

/// The columns that make a record.
pub(super) const RECORD: &str = "id, session, wall_us, monotonic_us, synchronised, frame, file, frame_width, frame_height, \
    track, left_px, top_px, width_px, height_px, quality, scores, label, confidence, latency_us, millicelsius";
/// The columns that make an event.
pub(super) const EVENT: &str = "id, session, wall_us, monotonic_us, kind, detail";
/// The columns that make a session, but for what the tables `model` and `signature` add.
pub(super) const SESSION: &str = "id, started_wall_us, started_monotonic_us, boot_id, clock_synchronised, bundle, \
    model_sha256, program, board, kernels, configuration";

/// Names the row, by its number in the first column, if `read` finds a value in it that the schema does not allow.
pub(super) fn named<T>(
    table: &'static str,
    read: impl Fn(&Columns) -> rusqlite::Result<T>,
) -> impl Fn(&Columns) -> rusqlite::Result<T> {
    use rusqlite::Error::{FromSqlConversionFailure, IntegralValueOutOfRange, InvalidColumnType, Utf8Error};
    move |row| {
        read(row).map_err(|error| {
            let is_value = matches!(
                error,
                Utf8Error(..) | InvalidColumnType(..) | IntegralValueOutOfRange(..) | FromSqlConversionFailure(..)
            );
            match row.get::<_, i64>(0) {
                Ok(id) if is_value => {
                    // With a column the text would begin with a type, which says nothing to a user.
                    let text = format!("{table} {id}: {error}");
                    FromSqlConversionFailure(usize::MAX, rusqlite::types::Type::Null, text.into())
                }
                _ => error,
            }
        })
    }
}

/// A row of [`RECORD`].
pub(super) fn record(row: &Columns) -> rusqlite::Result<Row> {
    let bounds = Bounds { left: row.get(10)?, top: row.get(11)?, width: row.get(12)?, height: row.get(13)? };
    let quality = Quality::ALL.get(usize::from(row.get::<_, u8>(14)?)).copied().unwrap_or_default();
    let record = Record {
        track: row.get(9)?,
        bounds,
        quality,
        scores: row.get(15)?,
        label: row.get::<_, Option<u8>>(16)?.and_then(|label| Label::from_index(label.into())),
        confidence: row.get(17)?,
    };
    Ok(Row {
        id: row.get(0)?,
        session: row.get(1)?,
        stamp: stamp(row.get(2)?, row.get(3)?),
        synchronised: row.get(4)?,
        sequence: row.get::<_, i64>(5)?.max(0) as u64,
        name: row.get::<_, Option<Arc<str>>>(6)?,
        size: [row.get(7)?, row.get(8)?],
        record,
        latency_us: row.get(18)?,
        millicelsius: row.get(19)?,
    })
}

/// A row of [`EVENT`].
pub(super) fn event(row: &Columns) -> rusqlite::Result<EventRow> {
    let stamp = stamp(row.get(2)?, row.get(3)?);
    Ok(EventRow { id: row.get(0)?, session: row.get(1)?, stamp, kind: row.get(4)?, detail: row.get(5)? })
}

/// A row of [`SESSION`], `score_step`, `labels`, and `state`, `signing_key` and `sequence` of the signature.
pub(super) fn session(row: &Columns) -> rusqlite::Result<SessionRow> {
    let session = Session {
        boot_id: row.get(3)?,
        clock_synchronised: row.get(4)?,
        bundle: row.get(5)?,
        model_sha256: row.get(6)?,
        program: row.get(7)?,
        board: row.get(8)?,
        kernels: row.get(9)?,
        configuration: row.get(10)?,
        score_step: row.get(11)?,
        labels: row.get::<_, Option<String>>(12)?.unwrap_or_default(),
        signature: match row.get(13)? {
            Some(state) => Some(Signature { state, key: row.get(14)?, sequence: row.get(15)? }),
            None => None,
        },
    };
    let scale = session.score_step.map(|step| ScoreScale::from_names(step, &session.labels));
    Ok(SessionRow { id: row.get(0)?, started_wall_us: row.get(1)?, started_monotonic_us: row.get(2)?, session, scale })
}

fn stamp(wall_us: i64, monotonic_us: i64) -> Stamp {
    Stamp { monotonic_ns: (monotonic_us.max(0) as u64).saturating_mul(1000), wall_us }
}
