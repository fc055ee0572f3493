//! How the window of a convolution or a pool moves.

use super::attributes::Attributes;
use super::{MAX_WINDOW, require, within};

/// How a window moves: its size, stride and dilation, and the padding above and left, below and right.
pub struct Window {
    pub kernel: [usize; 2],
    stride: [usize; 2],
    pub dilation: [usize; 2],
    before: [usize; 2],
    after: [usize; 2],
}

impl Window {
    /// Reads the attributes of a convolution or a pool. `weights` has the rows and columns of a convolution's weights.
    pub fn new(attributes: &Attributes, weights: Option<[usize; 2]>) -> Result<Window, String> {
        attributes.text("auto_pad", "NOTSET")?;
        let list = |name: &str, count: usize, min: usize| -> Result<Option<Vec<usize>>, String> {
            let Some(list) = attributes.integers(name)? else { return Ok(None) };
            let sides: Option<Vec<usize>> = list
                .iter()
                .map(|side| usize::try_from(*side).ok().filter(|side| (min..=MAX_WINDOW).contains(side)))
                .collect();
            let sides = sides.filter(|sides| sides.len() == count);
            sides.map(Some).ok_or_else(|| format!("attribute `{name}`: {list:?}"))
        };
        let pair = |name: &str| Ok::<_, String>(list(name, 2, 1)?.map(|pair| [pair[0], pair[1]]));
        let kernel = match (pair("kernel_shape")?, weights) {
            (Some(stated), Some(weights)) if stated != weights => {
                return Err(format!("attribute `kernel_shape`: {stated:?}, its weights {weights:?}"));
            }
            (Some(kernel), _) | (None, Some(kernel)) => kernel,
            (None, None) => return Err("no attribute `kernel_shape`".into()),
        };
        within("its window", kernel[0].max(kernel[1]), MAX_WINDOW)?;
        let dilation = pair("dilations")?.unwrap_or([1; 2]);
        let pads = list("pads", 4, 0)?.unwrap_or(vec![0; 4]);
        let window = Window {
            kernel,
            stride: pair("strides")?.unwrap_or([1; 2]),
            dilation,
            before: [pads[0], pads[1]],
            after: [pads[2], pads[3]],
        };
        let wide = |axis: usize| window.before[axis].max(window.after[axis]) >= window.reach(axis);
        require(!wide(0) && !wide(1), || format!("attribute `pads`: {pads:?}, at least as wide as its window"))?;
        Ok(window)
    }

    /// Returns the distance from the window's first row to one past its last.
    fn reach(&self, axis: usize) -> usize {
        (self.kernel[axis] - 1) * self.dilation[axis] + 1
    }

    /// Returns the rows and columns of the output.
    pub fn output(&self, sides: [usize; 2], ceil: bool) -> Result<[usize; 2], String> {
        let mut output = [0; 2];
        for axis in 0..2 {
            let whole = sides[axis] + self.before[axis] + self.after[axis];
            let rest = whole.checked_sub(self.reach(axis));
            let rest = rest.ok_or_else(|| format!("its window does not fit a map of {sides:?}"))?;
            let stride = self.stride[axis];
            output[axis] = 1 + if ceil { rest.div_ceil(stride) } else { rest / stride };
            // The last window must start within the map or the padding before it.
            if ceil && (output[axis] - 1) * stride >= sides[axis] + self.before[axis] {
                output[axis] -= 1;
            }
        }
        Ok(output)
    }
}
