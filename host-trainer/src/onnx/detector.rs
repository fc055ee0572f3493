//! The face detector BlazeFace, translated from its tfjs graph (NHWC) to ONNX (NCHW).
//!
//! Source: `blazeface` of npm `@vladmandic/human`, which is MediaPipe's 256x256 model (Apache-2.0).
//!
//! | tensor | type and shape | content |
//! | --- | --- | --- |
//! | `picture` (input) | f32 `[1, 3, 256, 256]` | RGB as `byte / 127.5 - 1` |
//! | `boxes` (output) | f32 `[1, 896, 16]` | an anchor a row, in input pixels relative to the anchor's centre: x and y of the box's centre, its width and height, x and y of six key points |
//! | `scores` (output) | f32 `[1, 896]` | one logit an anchor |
//!
//! The rows are the two anchors of each cell of a 16x16 grid, then the six of each cell of an 8x8 grid, both row by
//! row.

use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{AttributeProto, ModelProto};

use super::builder::{Builder, attribute, integer, integer_list, value_info};
use super::tfjs::{Graph, Node, TfjsError, Weight};

/// Side of the detector's input in pixels.
const SIDE: usize = 256;

/// The graph's outputs: logits and boxes of the 16x16 grid, then of the 8x8 grid.
const SCORES: [&str; 2] = ["Identity", "Identity_1"];
const BOXES: [&str; 2] = ["Identity_2", "Identity_3"];

/// Why the graph could not be translated.
#[derive(Debug, thiserror::Error)]
pub enum DetectorError {
    /// The graph lacks a node, an attribute or a tensor.
    #[error(transparent)]
    Graph(#[from] TfjsError),
    /// The graph has something that this translation does not know.
    #[error(
        "detector: node `{node}` ({op}) has {what}, which is not known; run `cargo xtask setup` for the pinned model"
    )]
    Unknown {
        /// Name of the node.
        node: String,
        /// Its operator.
        op: String,
        /// What is unknown.
        what: &'static str,
    },
}

/// Translates the BlazeFace `graph` to ONNX (opset 13): see the module for its input and outputs.
///
/// # Errors
/// Returns `Graph` if something is missing, `Unknown` when an operator, shape or attribute is not one of BlazeFace's.
pub fn detector_onnx(graph: &Graph) -> Result<ModelProto, DetectorError> {
    let mut translation = Translation { graph, onnx: Builder::default() };
    for node in &graph.nodes {
        translation.translate(node)?;
    }
    let mut onnx = translation.onnx;
    onnx.push("Concat", BOXES, "boxes", vec![integer("axis", 1)]);
    onnx.push("Concat", SCORES, "scores_by_anchor", vec![integer("axis", 1)]);
    let flat = onnx.integers("scores_shape", &[1, -1]);
    onnx.push("Reshape", ["scores_by_anchor", &flat], "scores", vec![]);
    let input = vec![value_info("picture", DataType::Float, &[1, 3, SIDE, SIDE])];
    let output = [("boxes", &[1, 896, 16][..]), ("scores", &[1, 896])];
    Ok(onnx.finish("blazeface", input, output.map(|(name, shape)| value_info(name, DataType::Float, shape)).into()))
}

/// The translation under way. Each tensor keeps the name of the tfjs node that makes it.
struct Translation<'a> {
    graph: &'a Graph,
    onnx: Builder,
}

impl Translation<'_> {
    fn translate(&mut self, node: &Node) -> Result<(), DetectorError> {
        let name = node.name.as_str();
        match node.op.as_str() {
            "Const" => {} // written when an operator reads it
            "Placeholder" => self.onnx.push("Identity", ["picture"], name, vec![]),
            "_FusedConv2D" => self.convolution(node)?,
            "DepthwiseConv2dNative" => {
                // HWIM with M = 1 -> [channels, 1, H, W]
                let filter = self.graph.weight(node.input(1)?)?;
                let &[height, width, channels, 1] = filter.shape.as_slice() else {
                    return Err(unknown(node, "a filter that is not HWIM with one filter a channel"));
                };
                let (shape, order) = ([channels, 1, height, width], [2, 3, 0, 1]);
                let weight = self.onnx.float(node.input(1)?, &shape, &transposed(filter, order));
                let mut attributes = window(node, [height, width])?;
                attributes.push(integer("group", channels as i64));
                self.onnx.push("Conv", [node.input(0)?, &weight], name, attributes);
            }
            "MaxPool" => {
                let &[1, height, width, 1] = node.integers("ksize")?.as_slice() else {
                    return Err(unknown(node, "a window over more than height and width"));
                };
                let attributes = window(node, [height as usize, width as usize])?;
                self.onnx.push("MaxPool", [node.input(0)?], name, attributes);
            }
            "AddV2" => self.onnx.push("Add", [node.input(0)?, node.input(1)?], name, vec![]),
            "Relu" => self.onnx.push("Relu", [node.input(0)?], name, vec![]),
            "Identity" => self.onnx.push("Identity", [node.input(0)?], name, vec![]),
            "Pad" => self.pad(node)?,
            "Reshape" => {
                // The grid becomes rows of values that belong to one anchor, so that channels must come last.
                let shape = &self.graph.weight(node.input(1)?)?.data;
                let shape: Vec<i64> = shape.iter().map(|n| *n as i64).collect();
                let (rows, shape) = (format!("{name}/nhwc"), self.onnx.integers(&format!("{name}/shape"), &shape));
                let order = integer_list("perm", &[0, 2, 3, 1]);
                self.onnx.push("Transpose", [node.input(0)?], &rows, vec![order]);
                self.onnx.push("Reshape", [rows.as_str(), &shape], name, vec![]);
            }
            _ => return Err(unknown(node, "an operator")),
        }
        Ok(())
    }

    /// `_FusedConv2D`: a convolution with bias, and with ReLU where `fused_ops` says so.
    fn convolution(&mut self, node: &Node) -> Result<(), DetectorError> {
        let relu = match node.texts("fused_ops")?.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            ["BiasAdd"] => false,
            ["BiasAdd", "Relu"] => true,
            _ => return Err(unknown(node, "a fused operator")),
        };
        // HWIO -> OIHW
        let filter = self.graph.weight(node.input(1)?)?;
        let &[height, width, from, to] = filter.shape.as_slice() else {
            return Err(unknown(node, "a filter that is not HWIO"));
        };
        let weight = self.onnx.float(node.input(1)?, &[to, from, height, width], &transposed(filter, [3, 2, 0, 1]));
        let bias = self.graph.weight(node.input(2)?)?;
        let bias = self.onnx.float(node.input(2)?, &bias.shape, &bias.data);
        let linear = if relu { format!("{}/linear", node.name) } else { node.name.clone() };
        self.onnx.push("Conv", [node.input(0)?, &weight, &bias], &linear, window(node, [height, width])?);
        if relu {
            self.onnx.push("Relu", [linear.as_str()], &node.name, vec![]);
        }
        Ok(())
    }

    /// `Pad` with zeros: a row `(before, after)` an axis in NHWC becomes all befores, then all afters, in NCHW.
    fn pad(&mut self, node: &Node) -> Result<(), DetectorError> {
        let rows = self.graph.weight(node.input(1)?)?;
        if rows.shape != [4, 2] || rows.data.len() != 8 {
            return Err(unknown(node, "paddings of another shape than [4, 2]"));
        }
        let pads: Vec<i64> = [0, 6, 2, 4, 1, 7, 3, 5].iter().map(|&i| rows.data[i] as i64).collect();
        let pads = self.onnx.integers(&format!("{}/pads", node.name), &pads);
        self.onnx.push("Pad", [node.input(0)?, &pads], &node.name, vec![]);
        Ok(())
    }
}

/// Attributes of a window that slides over height and width: its size, strides and padding.
fn window(node: &Node, size: [usize; 2]) -> Result<Vec<AttributeProto>, DetectorError> {
    let &[1, down, right, 1] = node.integers("strides")?.as_slice() else {
        return Err(unknown(node, "strides over more than height and width"));
    };
    if node.attributes.contains_key("dilations") && node.integers("dilations")? != [1; 4] {
        return Err(unknown(node, "dilations"));
    }
    // TensorFlow's SAME puts the odd pixel below and to the right.
    let padding = match node.text("padding")?.as_str() {
        "SAME" => "SAME_UPPER",
        "VALID" => "VALID",
        _ => return Err(unknown(node, "a padding")),
    };
    Ok(vec![
        integer_list("kernel_shape", &size.map(|side| side as i64)),
        integer_list("strides", &[down, right]),
        attribute("auto_pad", AttributeType::String, |a| a.s = padding.into()),
    ])
}

/// The values of a four-dimensional weight with axis `order[i]` moved to place `i`, row-major.
fn transposed(weight: &Weight, order: [usize; 4]) -> Vec<f32> {
    let shape = &weight.shape;
    let strides = [shape[1] * shape[2] * shape[3], shape[2] * shape[3], shape[3], 1];
    let axis = |i: usize| (0..shape[order[i]]).map(move |n| n * strides[order[i]]);
    let mut data = Vec::with_capacity(weight.data.len());
    for a in axis(0) {
        for b in axis(1) {
            for c in axis(2) {
                data.extend(axis(3).map(|d| weight.data[a + b + c + d]));
            }
        }
    }
    data
}

fn unknown(node: &Node, what: &'static str) -> DetectorError {
    DetectorError::Unknown { node: node.name.clone(), op: node.op.clone(), what }
}

#[cfg(test)]
mod tests;
