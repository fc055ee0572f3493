//! Holds what the program writes to `docs/records.schema.json`.

use std::sync::LazyLock;

use serde_json::Value;

use crate::schema::check;

static SCHEMA: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(include_str!("../../../docs/records.schema.json")).unwrap());

/// Panics unless `value` is a record of this kind: a name under `$defs`.
pub fn hold(kind: &str, value: &Value) {
    let schema = &SCHEMA["$defs"][kind];
    assert!(schema.is_object(), "the schema has no {kind}");
    if let Err(why) = check(&SCHEMA, schema, value, kind) {
        panic!("{why}\nin {value:#}");
    }
}
