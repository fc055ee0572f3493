//! What Home Assistant is told, so that the board appears there with its sensors.
//!
//! See <https://www.home-assistant.io/integrations/mqtt/#mqtt-discovery>.

use expression_core::Label;
use serde::Serialize;

use super::identity::{Identity, Topics};
use crate::telemetry::about::About;

/// A topic and what is published there, retained.
pub type Announcement = (String, String);

/// An entity as Home Assistant reads it.
#[derive(Serialize, Default)]
struct Entity<'a> {
    #[serde(skip)]
    component: &'static str,
    #[serde(skip)]
    key: String,
    name: String,
    value_template: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    device_class: Option<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    options: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unit_of_measurement: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    state_class: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    entity_category: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    icon: Option<&'static str>,
    unique_id: String,
    state_topic: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    command_topic: Option<&'a str>,
    availability: Vec<Availability<'a>>,
    /// `all`: the entity is available if each of `availability` says so.
    availability_mode: &'static str,
    device: Option<&'a Device<'a>>,
}

#[derive(Serialize)]
struct Availability<'a> {
    topic: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    value_template: Option<&'static str>,
}

#[derive(Serialize)]
struct Device<'a> {
    identifiers: [&'a str; 1],
    name: &'a str,
    model: &'a str,
    manufacturer: &'static str,
    sw_version: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    configuration_url: Option<&'a str>,
}

/// One entity for whether there is a face, one for the label, one for each expression that the model has, and some for the board.
/// What is said of faces is unavailable while the camera is lost; a problem entity says why. `page` is the address of the
/// preview; `pauses`: there is a switch that pauses recording. What an earlier run may have announced and is no more gets an empty
/// message, upon which Home Assistant removes it.
pub fn announcements(
    discovery: &str,
    identity: &Identity,
    about: &About,
    page: Option<&str>,
    pauses: bool,
) -> Vec<Announcement> {
    let Identity { id, name, topics, .. } = identity;
    let device = Device {
        identifiers: [id],
        name,
        model: &about.bundle,
        manufacturer: "edge-runtime",
        sw_version: env!("CARGO_PKG_VERSION"),
        configuration_url: page,
    };
    let seen = faces(about).into_iter().map(|entity| (entity, true));
    let switch = pauses.then(|| pause(&topics.pause));
    let board = board().into_iter().chain(switch).map(|entity| (entity, false));
    let topic = |component: &str, key: &str| format!("{discovery}/{component}/{id}/{key}/config");
    let announce = |(entity, needs_camera): (Entity, bool)| {
        let topic = topic(entity.component, &entity.key);
        let config = serde_json::to_string(&Entity {
            unique_id: format!("{id}_{}", entity.key),
            state_topic: &topics.state,
            availability: availability(topics, needs_camera),
            availability_mode: "all",
            device: Some(&device),
            ..entity
        });
        (topic, config.unwrap_or_default())
    };
    let unknown = Label::ALL.iter().zip(about.labels).filter(|(_, known)| !known);
    let labels = unknown.map(|(label, _)| topic("sensor", &score_key(label.name())));
    let removed = labels.chain((!pauses).then(|| topic("switch", PAUSE))).map(|topic| (topic, String::new()));
    seen.chain(board).map(announce).chain(removed).collect()
}

/// The key of the switch.
const PAUSE: &str = "pause";

/// The key of an expression's sensor.
fn score_key(label: &str) -> String {
    format!("score_{label}")
}

fn availability(topics: &Topics, needs_camera: bool) -> Vec<Availability<'_>> {
    let mut needed = vec![Availability { topic: &topics.status, value_template: None }];
    if needs_camera {
        let template = "{{ 'online' if value_json.camera.up else 'offline' }}";
        needed.push(Availability { topic: &topics.state, value_template: Some(template) });
    }
    needed
}

/// What is said of faces.
fn faces(about: &About) -> Vec<Entity<'static>> {
    let mut entities = vec![
        Entity {
            device_class: Some("occupancy"),
            ..entity(
                "binary_sensor",
                "face",
                "Face",
                "{{ None if value_json.face_count is none else 'ON' if value_json.face_count > 0 else 'OFF' }}",
            )
        },
        Entity {
            icon: Some("mdi:account-multiple"),
            state_class: Some("measurement"),
            ..entity("sensor", "faces", "Faces", "{{ value_json.face_count }}")
        },
        // An enum has no word for nothing; `None` is how Home Assistant writes "unknown".
        Entity {
            device_class: Some("enum"),
            options: about.label_names().collect(),
            icon: Some("mdi:emoticon-outline"),
            ..entity("sensor", "expression", "Expression", "{{ value_json.face.label if value_json.face else None }}")
        },
        Entity {
            unit_of_measurement: Some("%"),
            state_class: Some("measurement"),
            icon: Some("mdi:percent"),
            ..entity(
                "sensor",
                "confidence",
                "Confidence",
                "{{ (value_json.face.confidence * 100) | round(1) if value_json.face and value_json.face.label else None }}",
            )
        },
    ];
    entities.extend(about.label_names().map(|name| {
        let template = format!(
            "{{{{ (value_json.face.scores.{name} * 100) | round(1) if value_json.face and value_json.face.scores else None }}}}"
        );
        Entity {
            unit_of_measurement: Some("%"),
            state_class: Some("measurement"),
            icon: Some("mdi:chart-bar"),
            ..entity("sensor", &score_key(name), &capital(name), &template)
        }
    }));
    entities
}

/// What is said of the board.
fn board() -> Vec<Entity<'static>> {
    vec![
        Entity {
            device_class: Some("problem"),
            entity_category: Some("diagnostic"),
            ..entity("binary_sensor", "camera_problem", "Camera", "{{ 'OFF' if value_json.camera.up else 'ON' }}")
        },
        Entity {
            device_class: Some("problem"),
            entity_category: Some("diagnostic"),
            ..entity(
                "binary_sensor",
                "journal_problem",
                "Journal",
                "{{ 'ON' if value_json.journal.failing_since else 'OFF' }}",
            )
        },
        Entity {
            icon: Some("mdi:account-arrow-right"),
            state_class: Some("total_increasing"),
            ..entity("sensor", "visits_today", "Visits today", "{{ value_json.today.visits }}")
        },
        Entity {
            icon: Some("mdi:emoticon-happy-outline"),
            state_class: Some("total_increasing"),
            ..entity("sensor", "smiles_today", "Smiles today", "{{ value_json.today.smiles }}")
        },
        Entity {
            icon: Some("mdi:emoticon-happy-outline"),
            state_class: Some("measurement"),
            ..entity("sensor", "smiles_last_hour", "Smiles in the last hour", "{{ value_json.today.smiles_last_hour }}")
        },
        Entity {
            device_class: Some("temperature"),
            unit_of_measurement: Some("°C"),
            state_class: Some("measurement"),
            entity_category: Some("diagnostic"),
            ..entity("sensor", "temperature", "Temperature", "{{ value_json.celsius }}")
        },
        Entity {
            unit_of_measurement: Some("fps"),
            state_class: Some("measurement"),
            entity_category: Some("diagnostic"),
            icon: Some("mdi:speedometer"),
            ..entity(
                "sensor",
                "frames_per_second",
                "Frames per second",
                "{{ value_json.frames_per_second | round(1) }}",
            )
        },
    ]
}

/// The switch that pauses recording. Its state is that of the board, so it turns back if the board refuses.
fn pause(topic: &str) -> Entity<'_> {
    Entity {
        command_topic: Some(topic),
        entity_category: Some("config"),
        icon: Some("mdi:eye-off"),
        ..entity("switch", PAUSE, "Pause", "{{ 'ON' if value_json.paused else 'OFF' }}")
    }
}

fn entity(component: &'static str, key: &str, name: &str, template: &str) -> Entity<'static> {
    Entity {
        component,
        key: key.to_owned(),
        name: name.to_owned(),
        value_template: template.to_owned(),
        ..Entity::default()
    }
}

fn capital(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map(|first| first.to_ascii_uppercase().to_string() + letters.as_str()).unwrap_or_default()
}
