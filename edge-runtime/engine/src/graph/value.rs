//! The type and shape of a tensor.

use super::{Kind, MAX_AXES, MAX_SIDE, MAX_VALUES, require, within};

/// The type and shape of a tensor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value {
    /// The type of its values.
    pub kind: Kind,
    /// The shape; no side is 0.
    pub shape: Vec<usize>,
}

impl Value {
    /// Creates a value if its shape is within the limits.
    pub fn new(kind: Kind, shape: Vec<usize>) -> Result<Value, String> {
        within("axes", shape.len(), MAX_AXES)?;
        require(!shape.contains(&0), || format!("shape {shape:?} is empty"))?;
        within("longest side", shape.iter().copied().max().unwrap_or(1), MAX_SIDE)?;
        let values = shape.iter().try_fold(1usize, |product, side| product.checked_mul(*side)).unwrap_or(usize::MAX);
        within("values", values, MAX_VALUES)?;
        Ok(Value { kind, shape })
    }

    /// Returns the number of values.
    pub fn count(&self) -> usize {
        self.shape.iter().product()
    }

    /// Returns channels, height and width of a map `[1, channels, height, width]`.
    pub fn map(&self) -> Result<[usize; 3], String> {
        match self.shape[..] {
            [1, channels, height, width] => Ok([channels, height, width]),
            _ => Err(format!("a shape of {:?}, not one map", self.shape)),
        }
    }

    /// Returns an error unless the type is one of `kinds`.
    pub fn is_one_of(&self, kinds: &[Kind]) -> Result<(), String> {
        require(kinds.contains(&self.kind), || format!("an input of type {}", self.kind.as_str_name()))
    }
}
