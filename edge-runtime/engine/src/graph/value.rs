//! Type and shape of a tensor.

use super::{Kind, MOST_AXES, MOST_SIDE, MOST_VALUES, require, within};

/// Type and shape of a tensor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value {
    /// Type of its values.
    pub kind: Kind,
    /// Its shape; none of its sides is 0.
    pub shape: Vec<usize>,
}

impl Value {
    /// Of a shape within the limits.
    pub fn new(kind: Kind, shape: Vec<usize>) -> Result<Value, String> {
        within("axes", shape.len(), MOST_AXES)?;
        require(!shape.contains(&0), || format!("shape {shape:?} is empty"))?;
        within("longest side", shape.iter().copied().max().unwrap_or(1), MOST_SIDE)?;
        let values = shape.iter().try_fold(1usize, |product, side| product.checked_mul(*side)).unwrap_or(usize::MAX);
        within("values", values, MOST_VALUES)?;
        Ok(Value { kind, shape })
    }

    /// How many values.
    pub fn count(&self) -> usize {
        self.shape.iter().product()
    }

    /// The sides of a map `[1, channels, height, width]`: channels, height and width.
    pub fn map(&self) -> Result<[usize; 3], String> {
        match self.shape[..] {
            [1, channels, height, width] => Ok([channels, height, width]),
            _ => Err(format!("a shape of {:?}, not one map", self.shape)),
        }
    }

    /// Requires one of these types.
    pub fn is_one_of(&self, kinds: &[Kind]) -> Result<(), String> {
        require(kinds.contains(&self.kind), || format!("an input of type {}", self.kind.as_str_name()))
    }
}
