//! The rules of convolutions, pools and dequantization.

use super::attributes::Attributes;
use super::layout::axis;
use super::operator::Operator;
use super::window::Window;
use super::{Kind, MAX_COLUMNS, Value, require, within};

impl Operator<'_> {
    /// Returns a convolution's output. Its map and weights are inputs number `map` and `weights`.
    fn convolution(&mut self, attributes: &Attributes, map: usize, weights: usize) -> Result<Value, String> {
        let map = self.inputs[map].0;
        let [channels, height, width] = map.map()?;
        let (weights, _) = self.constant(weights, "weights")?;
        let [to, each, rows, columns] = weights.shape[..] else {
            return Err(format!("weights of shape {:?}", weights.shape));
        };
        let group = attributes.integer("group", 1)?;
        let group = usize::try_from(group).ok().filter(|group| (1..=channels).contains(group));
        let group = group.ok_or("attribute `group`")?;
        require(each * group == channels && to.is_multiple_of(group), || {
            format!("{channels} channels, weights of shape {:?}, {group} groups", weights.shape)
        })?;
        let window = Window::new(attributes, Some([rows, columns]))?;
        let [height, width] = window.output([height, width], false)?;
        let value = Value::new(map.kind, vec![1, to, height, width])?;
        let area = (each * rows * columns) as u64;
        within("its columns", area * group as u64 * (height * width) as u64, MAX_COLUMNS)?;
        let effort = &mut self.effort.multiply_accumulates;
        *effort = effort.saturating_add(value.count() as u64 * area);
        Ok(value)
    }

    pub fn conv(&mut self, attributes: &Attributes) -> Result<Value, String> {
        self.require_inputs(2..=3)?;
        self.inputs.iter().try_for_each(|(value, _)| value.is_one_of(&[Kind::Float]))?;
        let value = self.convolution(attributes, 0, 1)?;
        if self.inputs.len() == 3 {
            let (bias, _) = self.constant(2, "biases")?;
            require(bias.shape == [value.shape[1]], || format!("biases of shape {:?}", bias.shape))?;
        }
        Ok(value)
    }

    /// Checks `QLinearConv`. Its inputs are the map with scale and zero point, the weights with theirs, the output's scale and zero
    /// point, and biases.
    pub fn quantized_conv(&mut self, attributes: &Attributes) -> Result<Value, String> {
        self.require_inputs(8..=9)?;
        self.inputs[0].0.is_one_of(&[Kind::Uint8])?;
        self.inputs[3].0.is_one_of(&[Kind::Int8])?;
        let value = self.convolution(attributes, 0, 3)?;
        let to = value.shape[1];
        self.scale(1, 1)?;
        self.zero(2, Kind::Uint8, 1)?;
        self.scale(4, to)?;
        self.zero(5, Kind::Int8, to)?;
        self.scale(6, 1)?;
        self.zero(7, Kind::Uint8, 1)?;
        if self.inputs.len() == 9 {
            let (bias, _) = self.constant(8, "biases")?;
            bias.is_one_of(&[Kind::Int32])?;
            require(bias.shape == [to], || format!("biases of shape {:?}", bias.shape))?;
        }
        Ok(value)
    }

    pub fn max_pool(&mut self, attributes: &Attributes) -> Result<Value, String> {
        self.require_inputs(1..=1)?;
        let map = self.inputs[0].0;
        map.is_one_of(&[Kind::Float, Kind::Uint8])?;
        let [channels, height, width] = map.map()?;
        let window = Window::new(attributes, None)?;
        require(window.dilation == [1; 2], || "attribute `dilations`".into())?;
        require(attributes.integer("storage_order", 0)? == 0, || "attribute `storage_order`".into())?;
        let ceil = attributes.integer("ceil_mode", 0)?;
        require((0..=1).contains(&ceil), || "attribute `ceil_mode`".into())?;
        let [height, width] = window.output([height, width], ceil == 1)?;
        let value = Value::new(map.kind, vec![1, channels, height, width])?;
        let area = (window.kernel[0] * window.kernel[1]) as u64;
        let effort = &mut self.effort.multiply_accumulates;
        *effort = effort.saturating_add(value.count() as u64 * area);
        Ok(value)
    }

    pub fn dequantize(&mut self, attributes: &Attributes) -> Result<Value, String> {
        self.require_inputs(3..=3)?;
        let map = self.inputs[0].0;
        map.is_one_of(&[Kind::Uint8])?;
        axis(attributes.integer("axis", 0)?, map.shape.len(), map.shape.len())?;
        self.scale(1, 1)?;
        self.zero(2, Kind::Uint8, 1)?;
        Value::new(Kind::Float, map.shape.clone())
    }
}
