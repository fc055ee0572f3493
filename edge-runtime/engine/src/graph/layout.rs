//! The rules of operators that only rearrange values.

use super::attributes::Attributes;
use super::constant::integers;
use super::operator::{MAX_INPUTS, Operator, is_for};
use super::{Kind, MAX_AXES, MAX_WINDOW, Value, require};

impl Operator<'_> {
    pub fn concat(&mut self, attributes: &Attributes) -> Result<Value, String> {
        self.require_inputs(1..=MAX_INPUTS)?;
        let first = self.inputs[0].0;
        first.is_one_of(&[Kind::Float, Kind::Uint8])?;
        require(!first.shape.is_empty(), || "no axis".into())?;
        let axis = axis(attributes.integer("axis", i64::MAX)?, first.shape.len(), first.shape.len() - 1)?;
        let mut shape = first.shape.clone();
        for (value, _) in &self.inputs[1..] {
            let mut other = value.shape.clone();
            let same = value.kind == first.kind && other.len() == shape.len() && {
                other[axis] = first.shape[axis];
                other == first.shape
            };
            require(same, || format!("{:?} beside {:?}", value.shape, first.shape))?;
            shape[axis] += value.shape[axis];
        }
        Value::new(first.kind, shape)
    }

    pub fn flatten(&mut self, attributes: &Attributes) -> Result<Value, String> {
        self.require_inputs(1..=1)?;
        let map = self.inputs[0].0;
        map.is_one_of(&[Kind::Float])?;
        let (before, after) =
            map.shape.split_at(axis(attributes.integer("axis", 1)?, map.shape.len(), map.shape.len())?);
        Value::new(map.kind, vec![before.iter().product(), after.iter().product()])
    }

    pub fn reshape(&mut self, attributes: &Attributes) -> Result<Value, String> {
        self.require_inputs(2..=2)?;
        let map = self.inputs[0].0;
        map.is_one_of(&[Kind::Float])?;
        require(attributes.integer("allowzero", 0)? == 0, || "attribute `allowzero`".into())?;
        let (value, wanted) = self.constant(1, "sides")?;
        value.is_one_of(&[Kind::Int64])?;
        require(value.shape.len() == 1 && value.shape[0] <= MAX_AXES, || format!("sides of shape {:?}", value.shape))?;
        let wanted = integers(wanted);
        let wrong = || format!("{:?} as {wanted:?}", map.shape);
        let open = wanted.iter().filter(|side| **side == -1).count();
        require(open <= 1, wrong)?;
        let side = |(axis, side): (usize, &i64)| match side {
            -1 => Some(1),
            0 => map.shape.get(axis).copied(),
            side => usize::try_from(*side).ok(),
        };
        let mut shape: Vec<usize> = wanted.iter().enumerate().map(side).collect::<Option<_>>().ok_or_else(wrong)?;
        let stated = Value::new(map.kind, shape.clone())?.count();
        if let Some(open) = wanted.iter().position(|side| *side == -1) {
            require(map.count().is_multiple_of(stated), wrong)?;
            shape[open] = map.count() / stated;
        }
        let value = Value::new(map.kind, shape)?;
        require(value.count() == map.count(), wrong)?;
        Ok(value)
    }

    pub fn transpose(&mut self, attributes: &Attributes) -> Result<Value, String> {
        self.require_inputs(1..=1)?;
        let map = self.inputs[0].0;
        map.is_one_of(&[Kind::Float])?;
        let order = attributes.integers("perm")?.ok_or("no attribute `perm`")?;
        let mut sorted = order.to_vec();
        sorted.sort_unstable();
        let axes = 0..map.shape.len() as i64;
        require(axes.eq(sorted), || format!("attribute `perm`: {order:?}"))?;
        Value::new(map.kind, order.iter().map(|axis| map.shape[*axis as usize]).collect())
    }

    pub fn pad(&mut self, attributes: &Attributes) -> Result<Value, String> {
        self.require_inputs(2..=3)?;
        attributes.text("mode", "constant")?;
        let map = self.inputs[0].0;
        map.is_one_of(&[Kind::Float])?;
        let (value, pads) = self.constant(1, "borders")?;
        value.is_one_of(&[Kind::Int64])?;
        let axes = map.shape.len();
        require(value.shape == [2 * axes], || format!("borders of shape {:?}", value.shape))?;
        if self.inputs.len() == 3 {
            let (filling, _) = self.constant(2, "filling")?;
            filling.is_one_of(&[Kind::Float])?;
            require(is_for(filling, 1), || format!("filling of shape {:?}", filling.shape))?;
        }
        let pads = integers(pads);
        let pad = |index: usize| usize::try_from(pads[index]).ok().filter(|pad| *pad <= MAX_WINDOW);
        let side = |axis: usize| Some(map.shape[axis] + pad(axis)? + pad(axis + axes)?);
        let shape: Option<Vec<usize>> = (0..axes).map(side).collect();
        Value::new(map.kind, shape.ok_or_else(|| format!("borders of {pads:?}"))?)
    }
}

/// Returns the index of an axis, which counts from the end if negative and must be at most `last`.
pub fn axis(axis: i64, axes: usize, last: usize) -> Result<usize, String> {
    let counted = if axis < 0 { axis.checked_add(axes as i64) } else { Some(axis) };
    let found = counted.and_then(|axis| usize::try_from(axis).ok()).filter(|axis| *axis <= last);
    found.ok_or_else(|| format!("attribute `axis`: {axis}"))
}
