//! The constants of a graph.

use tract_onnx::pb::TensorProto;

use super::{Kind, Value, require};

/// Returns type and shape of a constant. Its bytes must be as many as its shape says.
pub fn value(tensor: &TensorProto) -> Result<Value, String> {
    let kind = Kind::try_from(tensor.data_type).map_err(|_| format!("type {}", tensor.data_type))?;
    let size = match kind {
        Kind::Uint8 | Kind::Int8 => 1,
        Kind::Int32 | Kind::Float => 4,
        Kind::Int64 => 8,
        _ => return Err(format!("type {}", kind.as_str_name())),
    };
    let sides: Option<Vec<usize>> = tensor.dims.iter().map(|side| usize::try_from(*side).ok()).collect();
    let value = Value::new(kind, sides.ok_or("a side below 0")?)?;
    require(tensor.data_location.unwrap_or(0) == 0 && tensor.external_data.is_empty(), || {
        "its values lie in another file".into()
    })?;
    require(tensor.raw_data.len() == value.count() * size, || {
        format!("{} raw bytes, not {}", tensor.raw_data.len(), value.count() * size)
    })?;
    Ok(value)
}

/// Returns the values of an i64 constant.
pub fn integers(tensor: &TensorProto) -> Vec<i64> {
    let (values, _) = tensor.raw_data.as_chunks();
    values.iter().map(|bytes| i64::from_le_bytes(*bytes)).collect()
}

/// Returns the values of an i8 constant.
pub fn bytes(tensor: &TensorProto) -> Vec<i8> {
    tensor.raw_data.iter().map(|byte| byte.cast_signed()).collect()
}

/// Returns the values of an i32 constant.
pub fn words(tensor: &TensorProto) -> Vec<i32> {
    let (values, _) = tensor.raw_data.as_chunks();
    values.iter().map(|bytes| i32::from_le_bytes(*bytes)).collect()
}

/// Returns the values of an f32 constant.
pub fn floats(tensor: &TensorProto) -> Vec<f32> {
    let (values, _) = tensor.raw_data.as_chunks();
    values.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
}
