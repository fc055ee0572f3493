//! Reads a TensorFlow.js graph model: a JSON file (the graph, and a manifest of tensors) over flat `.bin` files.
//!
//! Source: tfjs-core `io/types.ts` (`WeightsManifestConfig`) and `io/io_utils.ts` (`decodeWeights`); the graph is
//! TensorFlow's `GraphDef` in protobuf's JSON form, with strings in base64 and 64-bit integers as strings.
//! Nothing in the files is trusted: every size is checked before it is used.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Map, Value};

mod weight;
use weight::Entry;
pub use weight::Weight;

/// The most bytes that are read of a file.
const MAX_BYTES: u64 = 64 << 20;

/// Why a graph model could not be read, in one line that says what to do.
#[derive(Debug, thiserror::Error)]
pub enum TfjsError {
    /// A file is absent or cannot be read.
    #[error("{source}; run `cargo xtask setup` to fetch it")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file is truncated, altered, or no tfjs graph model.
    #[error("{path} is truncated or altered ({reason}); delete it and run `cargo xtask setup`")]
    Broken {
        /// The JSON file of the model.
        path: PathBuf,
        /// What does not fit.
        reason: String,
    },
    /// The graph is sound but lacks what its reader needs.
    #[error("the graph has no {what}: it is not the pinned model; run `cargo xtask setup`")]
    Absent {
        /// Kind and name of what is missing.
        what: String,
    },
}

/// One operator of the graph.
#[derive(Debug, Clone, Deserialize)]
pub struct Node {
    /// Unique name; also the name of the node's (first) output.
    pub name: String,
    /// TensorFlow operator, for example `DepthwiseConv2dNative`.
    pub op: String,
    /// Names of the nodes that this one reads, without output index (`:0`) and without control inputs (`^name`).
    #[serde(rename = "input", default)]
    pub inputs: Vec<String>,
    /// Attributes as the file has them; read them through the methods below.
    #[serde(rename = "attr", default)]
    pub attributes: Map<String, Value>,
}

impl Node {
    /// A string attribute, for example `padding` (`SAME`, `VALID`).
    ///
    /// # Errors
    /// Returns `Absent` if there is no such attribute or it is no string.
    pub fn text(&self, attribute: &str) -> Result<String, TfjsError> {
        let value = self.attributes.get(attribute).and_then(|a| a.get("s"));
        value.and_then(decode_text).ok_or_else(|| self.absent(attribute))
    }

    /// A list of strings, for example `fused_ops` (`BiasAdd`, `Relu`).
    ///
    /// # Errors
    /// Returns `Absent` if there is no such attribute or it is no list of strings.
    pub fn texts(&self, attribute: &str) -> Result<Vec<String>, TfjsError> {
        self.list(attribute, "s", decode_text)
    }

    /// A list of integers, for example `strides` (in NHWC order).
    ///
    /// # Errors
    /// Returns `Absent` if there is no such attribute or it is no list of integers.
    pub fn integers(&self, attribute: &str) -> Result<Vec<i64>, TfjsError> {
        self.list(attribute, "i", decode_integer)
    }

    /// A floating-point attribute, for example `epsilon`.
    ///
    /// # Errors
    /// Returns `Absent` if there is no such attribute or it is not a number.
    pub fn number(&self, attribute: &str) -> Result<f32, TfjsError> {
        let value = self.attributes.get(attribute).and_then(|a| a.get("f"));
        value.and_then(Value::as_f64).map(|v| v as f32).ok_or_else(|| self.absent(attribute))
    }

    /// The name of this node's input `index`.
    ///
    /// # Errors
    /// Returns `Absent` if the node has fewer inputs.
    pub fn input(&self, index: usize) -> Result<&str, TfjsError> {
        self.inputs.get(index).map(String::as_str).ok_or_else(|| self.absent(&format!("input {index}")))
    }

    fn list<T>(&self, attribute: &str, key: &str, decode: impl Fn(&Value) -> Option<T>) -> Result<Vec<T>, TfjsError> {
        let list = self.attributes.get(attribute).and_then(|a| a.get("list")).ok_or_else(|| self.absent(attribute))?;
        match list.get(key) {
            None => Ok(Vec::new()), // protobuf's JSON leaves an empty list out
            Some(values) => {
                let values = values.as_array().ok_or_else(|| self.absent(attribute))?;
                values.iter().map(|v| decode(v).ok_or_else(|| self.absent(attribute))).collect()
            }
        }
    }

    fn absent(&self, what: &str) -> TfjsError {
        TfjsError::Absent { what: format!("usable `{what}` in {} node `{}`", self.op, self.name) }
    }
}

/// A graph model: operators in the order of the file (which is topological in converted models) and their constants.
#[derive(Debug, Clone)]
pub struct Graph {
    /// Every node, `Const` and `Placeholder` included.
    pub nodes: Vec<Node>,
    weights: HashMap<String, Weight>,
}

impl Graph {
    /// Reads `json` and the `.bin` files that it names, which lie beside it.
    ///
    /// # Errors
    /// Returns `Unreadable` if a file is, `Broken` when contents and sizes do not fit together.
    pub fn open(json: &Path) -> Result<Graph, TfjsError> {
        let read = |path: &Path| {
            expression_engine::files::read_at_most(path, MAX_BYTES)
                .map_err(|source| TfjsError::Unreadable { path: path.into(), source })
        };
        let folder = json.parent().unwrap_or(Path::new(""));
        Graph::parse(json, &read(json)?, |name| read(&folder.join(name)))
    }

    /// The constant called `name`.
    ///
    /// # Errors
    /// Returns `Absent` if there is none.
    pub fn weight(&self, name: &str) -> Result<&Weight, TfjsError> {
        self.weights.get(name).ok_or_else(|| TfjsError::Absent { what: format!("weight `{name}`") })
    }

    /// The node called `name`.
    ///
    /// # Errors
    /// Returns `Absent` if there is none.
    pub fn node(&self, name: &str) -> Result<&Node, TfjsError> {
        let found = self.nodes.iter().find(|n| n.name == name);
        found.ok_or_else(|| TfjsError::Absent { what: format!("node `{name}`") })
    }

    /// Parses the bytes of a JSON file; `load` gives the bytes of a `.bin` file. `path` only names the model in errors.
    ///
    /// # Errors
    /// As [`Graph::open`].
    pub fn parse(
        path: &Path,
        json: &[u8],
        mut load: impl FnMut(&str) -> Result<Vec<u8>, TfjsError>,
    ) -> Result<Graph, TfjsError> {
        let broken = |reason: String| TfjsError::Broken { path: path.into(), reason };
        let model: Model = serde_json::from_slice(json).map_err(|e| broken(e.to_string()))?;
        let mut nodes = model.topology.nodes;
        for node in &mut nodes {
            node.inputs.retain(|input| !input.starts_with('^'));
            for input in &mut node.inputs {
                if let Some(name) = input.strip_suffix(":0") {
                    *input = name.to_owned();
                }
            }
        }
        let mut weights = HashMap::new();
        for group in model.manifest {
            let mut bytes = Vec::new();
            for name in &group.paths {
                // A manifest names files beside it and nothing else.
                if Path::new(name).file_name() != Some(name.as_ref()) {
                    return Err(broken(format!("`{name}` is not a plain file name")));
                }
                bytes.append(&mut load(name)?);
            }
            let mut rest = bytes.as_slice();
            for entry in group.weights {
                let weight = entry.take(&mut rest).map_err(broken)?;
                if weights.insert(entry.name.clone(), weight).is_some() {
                    return Err(broken(format!("tensor `{}` occurs twice", entry.name)));
                }
            }
            if !rest.is_empty() {
                return Err(broken(format!("{} has {} bytes too many", group.paths.join(" + "), rest.len())));
            }
        }
        Ok(Graph { nodes, weights })
    }
}

#[derive(Deserialize)]
struct Model {
    #[serde(rename = "modelTopology")]
    topology: Topology,
    #[serde(rename = "weightsManifest")]
    manifest: Vec<Group>,
}

#[derive(Deserialize)]
struct Topology {
    #[serde(rename = "node")]
    nodes: Vec<Node>,
}

/// Tensors that lie one after another in the joined bytes of `paths`.
#[derive(Deserialize)]
struct Group {
    paths: Vec<String>,
    weights: Vec<Entry>,
}

/// A string as protobuf's JSON writes bytes: standard base64.
fn decode_text(value: &Value) -> Option<String> {
    let text = value.as_str()?.trim_end_matches('=');
    let (mut bytes, mut bits, mut count) = (Vec::new(), 0u32, 0);
    for c in text.bytes() {
        let digit = match c {
            b'A'..=b'Z' => c - b'A',
            b'a'..=b'z' => c - b'a' + 26,
            b'0'..=b'9' => c - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(digit);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    String::from_utf8(bytes).ok()
}

/// An integer as protobuf's JSON writes it: a string when the field has 64 bits, else a number.
fn decode_integer(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// A model whose only group has these tensors over these bytes.
    fn parse(weights: Value, bytes: &[u8]) -> Result<Graph, TfjsError> {
        let model = json!({
            "modelTopology": {"node": [
                {"name": "x", "op": "Placeholder"},
                {"name": "y", "op": "Conv2D", "input": ["x:0", "w", "^x"], "attr": {
                    "padding": {"s": "U0FNRQ=="},
                    "strides": {"list": {"i": ["1", 2, "2", "1"]}},
                    "fused_ops": {"list": {"s": ["Qmlhc0FkZA==", "UmVsdQ=="]}},
                    "explicit_paddings": {"list": {}},
                    "epsilon": {"f": 0.5}}}]},
            "weightsManifest": [{"paths": ["m.bin"], "weights": weights}]});
        Graph::parse(Path::new("m.json"), model.to_string().as_bytes(), |_| Ok(bytes.to_vec()))
    }

    #[test]
    fn reads_attributes() {
        let graph = parse(json!([]), &[]).unwrap();
        let node = graph.node("y").unwrap();
        assert_eq!(node.inputs, ["x", "w"]);
        assert_eq!(node.text("padding").unwrap(), "SAME");
        assert_eq!(node.integers("strides").unwrap(), [1, 2, 2, 1]);
        assert_eq!(node.texts("fused_ops").unwrap(), ["BiasAdd", "Relu"]);
        assert!(node.integers("explicit_paddings").unwrap().is_empty());
        assert_eq!(node.number("epsilon").unwrap(), 0.5);
        assert!(node.text("data_format").is_err() && node.input(2).is_err() && graph.node("z").is_err());
    }

    #[test]
    fn altered_files_give_one_clear_line() {
        let entry = |shape: Value, dtype: &str| json!([{"name": "w", "shape": shape, "dtype": dtype}]);
        let cases = [
            parse(entry(json!([2]), "float32"), &[0; 7]),           // truncated
            parse(entry(json!([2]), "float32"), &[0; 9]),           // too long
            parse(entry(json!([u64::MAX, 9]), "float32"), &[0; 8]), // overflows
            parse(entry(json!([1]), "string"), &[0; 8]),            // unknown type
            parse(entry(json!([-1]), "float32"), &[0; 8]),          // no shape
            parse(entry(json!([1]), "float32"), &[0xff; 4]),        // not a number
            parse(json!([{"name": "w", "shape": [1], "dtype": "float32", "quantization": {"dtype": "uint8"}}]), &[0]),
            Graph::parse(Path::new("m.json"), b"{\"modelTopology\"", |_| Ok(vec![])),
            Graph::parse(
                Path::new("m.json"),
                br#"{"modelTopology":{"node":[]},"weightsManifest":[{"paths":["../x"],"weights":[]}]}"#,
                |_| Ok(vec![]),
            ),
            Graph::open(Path::new("no-such-folder/m.json")),
        ];
        for case in cases {
            let message = case.expect_err("must be refused").to_string();
            assert!(message.contains("cargo xtask setup") && !message.contains('\n'), "{message}");
        }
    }
}
