//! Holds values to a JSON schema.
//!
//! The keywords that our schemas use are checked here, and any other fails: the crates for JSON Schema enable features of crates
//! that tract uses too, so tract would be built twice.

use std::collections::BTreeSet;

use serde_json::Value;

/// Whether a text has the form of 2026-11-25T10:00:00.000000Z.
fn is_time(text: &str) -> bool {
    let form = "0000-00-00T00:00:00.000000Z";
    let fits = |(c, form): (char, char)| if form == '0' { c.is_ascii_digit() } else { c == form };
    text.len() == form.len() && text.chars().zip(form.chars()).all(fits)
}

/// The names of the properties that the schema has checked; an error says where the value differs.
///
/// `root` is the schema that `$ref` refers to.
pub fn check(root: &Value, schema: &Value, value: &Value, at: &str) -> Result<BTreeSet<String>, String> {
    let mut known = BTreeSet::new();
    let keywords = schema.as_object().ok_or_else(|| format!("{at}: not a schema"))?;
    let fail = |what: &str| Err(format!("{at}: {value} is not {what}"));
    for (keyword, wanted) in keywords {
        match keyword.as_str() {
            "$ref" => {
                let name = wanted.as_str().and_then(|path| path.strip_prefix("#/$defs/")).unwrap();
                known.extend(check(root, &root["$defs"][name], value, at)?);
            }
            "allOf" => {
                for part in wanted.as_array().unwrap() {
                    known.extend(check(root, part, value, at)?);
                }
            }
            "anyOf" => {
                let tried: Vec<_> =
                    wanted.as_array().unwrap().iter().map(|part| check(root, part, value, at)).collect();
                match tried.iter().position(Result::is_ok) {
                    Some(fits) => known.extend(tried.into_iter().nth(fits).unwrap()?),
                    None => return fail(&wanted.to_string()),
                }
            }
            "type" => {
                let is = |name: &Value| match name.as_str().unwrap() {
                    "null" => value.is_null(),
                    "boolean" => value.is_boolean(),
                    "integer" => value.is_i64() || value.is_u64(),
                    "number" => value.is_number(),
                    "string" => value.is_string(),
                    "array" => value.is_array(),
                    "object" => value.is_object(),
                    other => panic!("type {other}"),
                };
                let fits = wanted.as_array().map_or_else(|| is(wanted), |names| names.iter().any(is));
                if !fits {
                    return fail(&wanted.to_string());
                }
            }
            "enum" if !wanted.as_array().unwrap().contains(value) => return fail(&wanted.to_string()),
            "minimum" if value.as_f64().is_some_and(|number| number < wanted.as_f64().unwrap()) => {
                return fail(&format!("at least {wanted}"));
            }
            "maximum" if value.as_f64().is_some_and(|number| number > wanted.as_f64().unwrap()) => {
                return fail(&format!("at most {wanted}"));
            }
            "minItems" if value.as_array().is_some_and(|items| (items.len() as u64) < wanted.as_u64().unwrap()) => {
                return fail(&format!("{wanted} items or more"));
            }
            "maxItems" if value.as_array().is_some_and(|items| items.len() as u64 > wanted.as_u64().unwrap()) => {
                return fail(&format!("{wanted} items or fewer"));
            }
            "format" if wanted == "date-time" => {
                if !value.as_str().is_some_and(is_time) {
                    return fail("a time");
                }
            }
            "items" => {
                for item in value.as_array().into_iter().flatten() {
                    check(root, wanted, item, &format!("{at}[]"))?;
                }
            }
            "prefixItems" => {
                for (part, item) in wanted.as_array().unwrap().iter().zip(value.as_array().into_iter().flatten()) {
                    check(root, part, item, &format!("{at}[]"))?;
                }
            }
            "properties" => {
                for (name, part) in wanted.as_object().unwrap() {
                    if let Some(field) = value.get(name) {
                        check(root, part, field, &format!("{at}.{name}"))?;
                        known.insert(name.clone());
                    }
                }
            }
            "required" => {
                let missing =
                    wanted.as_array().unwrap().iter().find(|name| value.get(name.as_str().unwrap()).is_none());
                if let Some(name) = missing {
                    return fail(&format!("with {name}"));
                }
            }
            // Checked below, once all properties are known.
            "additionalProperties" | "unevaluatedProperties" if wanted == false => {}
            "additionalProperties" => {
                for (name, field) in value.as_object().into_iter().flatten() {
                    check(root, wanted, field, &format!("{at}.{name}"))?;
                    known.insert(name.clone());
                }
            }
            "enum" | "minimum" | "maximum" | "minItems" | "maxItems" => {}
            "$schema" | "$defs" | "title" | "description" => {}
            other => panic!("{at}: the keyword {other} is not checked"),
        }
    }
    let closed = ["additionalProperties", "unevaluatedProperties"]
        .iter()
        .any(|keyword| schema.get(*keyword) == Some(&Value::Bool(false)));
    let fields = value.as_object().into_iter().flat_map(|fields| fields.keys());
    match fields.into_iter().find(|name| closed && !known.contains(*name)) {
        Some(name) => Err(format!("{at}: the field {name} is not in the schema")),
        None => Ok(known),
    }
}
