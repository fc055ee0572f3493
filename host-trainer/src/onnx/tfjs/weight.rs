//! One tensor of a tfjs manifest: cut from the file, dequantized to f32 (tfjs-core `io_utils.ts`, `decodeWeights`).

use serde::Deserialize;

/// One constant tensor, dequantized.
#[derive(Debug, Clone, PartialEq)]
pub struct Weight {
    /// Extent of each axis in TensorFlow's order (convolutions HWIO, depthwise HWIM); empty for a scalar.
    pub shape: Vec<usize>,
    /// Row-major values; the product of `shape` of them. Integers are exact up to 2^24.
    pub data: Vec<f32>,
}

/// What the manifest says of one tensor.
#[derive(Deserialize)]
pub(super) struct Entry {
    pub(super) name: String,
    shape: Vec<usize>,
    dtype: String,
    quantization: Option<Quantization>,
}

#[derive(Deserialize)]
struct Quantization {
    dtype: String,
    scale: Option<f64>,
    min: Option<f64>,
}

impl Entry {
    /// Takes this tensor from the front of `bytes`; the reason when it does not fit.
    pub(super) fn take(&self, bytes: &mut &[u8]) -> Result<Weight, String> {
        let stored = self.quantization.as_ref().map_or(&self.dtype, |q| &q.dtype);
        let width = match stored.as_str() {
            "float32" | "int32" => 4,
            "float16" | "uint16" => 2,
            "uint8" | "bool" => 1,
            other => {
                return Err(format!("tensor `{}` has the unknown type `{other}`", self.name));
            }
        };
        let size = self.shape.iter().try_fold(width, |size: usize, &n| size.checked_mul(n));
        let (own, rest) = size.and_then(|size| bytes.split_at_checked(size)).ok_or_else(|| {
            format!("tensor `{}` {:?} needs more than the {} bytes left", self.name, self.shape, bytes.len())
        })?;
        *bytes = rest;
        let data: Vec<f32> = match stored.as_str() {
            "float32" => own.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect(),
            "int32" => own.chunks_exact(4).map(|b| i32::from_le_bytes([b[0], b[1], b[2], b[3]]) as f32).collect(),
            "float16" => own.chunks_exact(2).map(|b| half_to_f32(u16::from_le_bytes([b[0], b[1]]))).collect(),
            "uint16" => self.affine(own.chunks_exact(2).map(|b| u16::from_le_bytes([b[0], b[1]])))?,
            _ => self.affine(own.iter().map(|&b| u16::from(b)))?,
        };
        if data.iter().any(|v| !v.is_finite()) {
            return Err(format!("tensor `{}` holds a value that is not finite", self.name));
        }
        Ok(Weight { shape: self.shape.clone(), data })
    }

    /// Stored integers to values: `q * scale + min`, rounded when the tensor itself is of integers (tfjs
    /// `decodeWeights`).
    fn affine(&self, stored: impl Iterator<Item = u16>) -> Result<Vec<f32>, String> {
        let Some(quantization) = &self.quantization else {
            return Ok(stored.map(f32::from).collect());
        };
        let (Some(scale), Some(min)) = (quantization.scale, quantization.min) else {
            return Err(format!("tensor `{}` is quantized without scale and min", self.name));
        };
        let whole = self.dtype == "int32";
        let value = |q: u16| f64::from(q) * scale + min;
        Ok(stored.map(|q| if whole { value(q).round() as f32 } else { value(q) as f32 }).collect())
    }
}

/// IEEE 754 binary16 to binary32, exactly.
fn half_to_f32(half: u16) -> f32 {
    let sign = if half & 0x8000 == 0 { 1.0 } else { -1.0 };
    let (exponent, fraction) = (i32::from(half >> 10 & 0x1f), f32::from(half & 0x3ff));
    sign * match exponent {
        0 => fraction * 2f32.powi(-24),
        31 if fraction == 0.0 => f32::INFINITY,
        31 => f32::NAN,
        _ => (1024.0 + fraction) * 2f32.powi(exponent - 25),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    /// The one tensor described by `entry`, read from all of `bytes`.
    fn take(entry: Value, mut bytes: &[u8]) -> Weight {
        let entry: Entry = serde_json::from_value(entry).unwrap();
        let weight = entry.take(&mut bytes).unwrap();
        assert!(bytes.is_empty());
        weight
    }

    /// Four values stored as `quantization` says.
    fn four(quantization: Value, bytes: &[u8]) -> Vec<f32> {
        let entry = json!({"name": "w", "shape": [4], "dtype": "float32", "quantization": quantization});
        take(entry, bytes).data
    }

    #[test]
    fn dequantizes_every_stored_type() {
        let halves = [0x3c00u16, 0xc000, 0x0001, 0x7bff].map(u16::to_le_bytes);
        let values = four(json!({"dtype": "float16"}), halves.as_flattened());
        assert_eq!(values, [1.0, -2.0, 2f32.powi(-24), 65504.0]);
        let affine = json!({"dtype": "uint8", "scale": 0.5, "min": -1.0});
        assert_eq!(four(affine, &[0, 3, 4, 255]), [-1.0, 0.5, 1.0, 126.5]);
        let affine = json!({"dtype": "uint16", "scale": 0.5, "min": -1.0});
        let values = four(affine, &[0, 0, 2, 0, 0, 1, 255, 255]);
        assert_eq!(values, [-1.0, 0.0, 127.0, 32766.5]);
    }

    #[test]
    fn reads_plain_types_and_scalars() {
        let scalar = json!({"name": "i", "shape": [], "dtype": "int32"});
        let weight = take(scalar, &(-7i32).to_le_bytes());
        assert_eq!((weight.shape, weight.data), (vec![], vec![-7.0]));
        let matrix = json!({"name": "f", "shape": [1, 1], "dtype": "float32"});
        let weight = take(matrix, &1.5f32.to_le_bytes());
        assert_eq!((weight.shape, weight.data), (vec![1, 1], vec![1.5]));
    }
}
