//! What Home Assistant is told, so that the board appears there with its sensors.
//!
//! See <https://www.home-assistant.io/integrations/mqtt/#mqtt-discovery>.

use expression_core::Label;
use serde_json::{Value, json};

use super::Topics;
use crate::telemetry::About;

/// A topic and what is published there, retained.
pub type Announcement = (String, String);

/// An entity for whether there is a face, one for the label, one for each expression that the model has, and some for the
/// board. `id` tells this board from others; `name` is what people call it.
pub fn announcements(discovery: &str, id: &str, name: &str, topics: &Topics, about: &About) -> Vec<Announcement> {
    let known: Vec<_> =
        Label::ALL.iter().zip(about.labels).filter_map(|(label, known)| known.then_some(label.name())).collect();
    let mut entities = vec![
        entity(
            "binary_sensor",
            "face",
            "Face",
            "{{ 'ON' if value_json.faces > 0 else 'OFF' }}",
            json!({
                "device_class": "occupancy",
            }),
        ),
        entity(
            "sensor",
            "faces",
            "Faces",
            "{{ value_json.faces }}",
            json!({
                "icon": "mdi:account-multiple", "state_class": "measurement",
            }),
        ),
        // An enum has no word for nothing; `None` is how Home Assistant writes "unknown".
        entity(
            "sensor",
            "expression",
            "Expression",
            "{{ value_json.label }}",
            json!({
                "device_class": "enum", "options": known, "icon": "mdi:emoticon-outline",
            }),
        ),
        entity(
            "sensor",
            "confidence",
            "Confidence",
            &percent("value_json.confidence"),
            json!({
                "unit_of_measurement": "%", "state_class": "measurement", "icon": "mdi:percent",
            }),
        ),
        entity(
            "sensor",
            "temperature",
            "Temperature",
            "{{ value_json.celsius }}",
            json!({
                "device_class": "temperature", "unit_of_measurement": "°C", "state_class": "measurement",
                "entity_category": "diagnostic",
            }),
        ),
        entity(
            "sensor",
            "frames_per_second",
            "Frames per second",
            "{{ value_json.frames_per_second | round(1) }}",
            json!({
                "unit_of_measurement": "fps", "state_class": "measurement", "entity_category": "diagnostic",
                "icon": "mdi:speedometer",
            }),
        ),
    ];
    for name in known {
        let template = percent(&format!("value_json.scores.{name}"));
        let more = json!({ "unit_of_measurement": "%", "state_class": "measurement", "icon": "mdi:chart-bar" });
        entities.push(entity("sensor", &format!("score_{name}"), &capital(name), &template, more));
    }
    let device = json!({
        "identifiers": [id],
        "name": name,
        "model": about.bundle,
        "manufacturer": "edge-runtime",
        "sw_version": env!("CARGO_PKG_VERSION"),
    });
    let complete = |Entity { kind, object, mut config }: Entity| {
        config["unique_id"] = format!("{id}_{object}").into();
        config["state_topic"] = topics.state.as_str().into();
        config["availability_topic"] = topics.status.as_str().into();
        config["device"] = device.clone();
        (format!("{discovery}/{kind}/{id}/{object}/config"), config.to_string())
    };
    entities.into_iter().map(complete).collect()
}

struct Entity {
    kind: &'static str,
    object: String,
    config: Value,
}

fn entity(kind: &'static str, object: &str, name: &str, template: &str, more: Value) -> Entity {
    let mut config = json!({ "name": name, "value_template": template });
    if let (Value::Object(config), Value::Object(more)) = (&mut config, more) {
        config.extend(more);
    }
    Entity { kind, object: object.into(), config }
}

/// A share as a percentage, and nothing where there is none.
fn percent(value: &str) -> String {
    format!("{{{{ ({value} * 100) | round(1) if {value} is not none else None }}}}")
}

fn capital(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map(|first| first.to_ascii_uppercase().to_string() + letters.as_str()).unwrap_or_default()
}
