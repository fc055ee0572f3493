//! The rules of convolutions, pools and dequantization.

use super::attributes::Attributes;
use super::constant::{bytes, floats, words};
use super::layout::axis;
use super::operator::Operator;
use super::window::Window;
use super::{Kind, MAX_COLUMNS, Value, require, within};

/// The largest sum of a quantized convolution, and the largest of its outputs before it is clamped to a byte. tract adds zero points
/// and moves the inputs by 128, so twice as much must fit into 32 bits.
const MAX_SUM: i64 = 1 << 30;

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
        self.bounded(to)?;
        Ok(value)
    }

    /// Checks that no input leads to a sum or an output beyond [`MAX_SUM`], by weights, biases and scales of each of `to` channels.
    fn bounded(&self, to: usize) -> Result<(), String> {
        let scales = |input| -> Result<Vec<f32>, String> { Ok(floats(self.constant(input, "scales")?.1)) };
        let (input, weight, output) = (scales(1)?, scales(4)?, scales(6)?);
        let zeros = bytes(self.constant(5, "zero points")?.1);
        let filters = bytes(self.constant(3, "weights")?.1);
        let biases = if self.inputs.len() == 9 { words(self.constant(8, "biases")?.1) } else { vec![0; to] };
        for (channel, (filter, bias)) in filters.chunks(filters.len().div_ceil(to).max(1)).zip(biases).enumerate() {
            let zero = i64::from(zeros[channel % zeros.len()]);
            let sizes = filter.iter().map(|weight| (i64::from(*weight) - zero).abs());
            let sum = 255 * sizes.sum::<i64>() + i64::from(bias).abs();
            let scale = f64::from(input[0]) * f64::from(weight[channel % weight.len()]) / f64::from(output[0]);
            require(sum <= MAX_SUM && sum as f64 * scale <= MAX_SUM as f64, || {
                format!("output channel {channel}: weights, bias and scales allow numbers beyond 32 bits")
            })?;
        }
        Ok(())
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
