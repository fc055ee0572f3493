//! An axis whose ticks are round numbers.

use super::Tick;

/// The range of an axis, from its first tick to its last.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Axis {
    low: f64,
    high: f64,
    step: f64,
}

impl Axis {
    /// Returns the axis on which `low` to `high` lie between the first and the last tick. Without values (`low` above
    /// `high`) it reaches from 0 to 1.
    pub fn around(low: f64, high: f64) -> Axis {
        let (low, high) = if low <= high { (low, high) } else { (0.0, 1.0) };
        // Values close to each other, such as those of a single epoch, get room below.
        let room = if high == 0.0 { 1.0 } else { 0.1 * high.abs() };
        let low = (high - room).max(0.0).min(low);
        let span = (high - low).max(room);
        let power = 10f64.powf((span / 5.0).log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|factor| factor * power).find(|step| span / step <= 5.0);
        let step = step.unwrap_or(10.0 * power);
        let first = (low / step).floor() * step;
        let last = (high / step).ceil() * step;
        Axis { low: first, high: if last > first { last } else { first + step }, step }
    }

    /// Returns where a value lies: 0 at the first tick, 1 at the last.
    pub fn place(&self, value: f64) -> f64 {
        (value - self.low) / (self.high - self.low)
    }

    /// Returns the ticks with their numbers.
    pub fn ticks(&self) -> Vec<Tick> {
        let steps = ((self.high - self.low) / self.step).round() as usize;
        let values = (0..=steps).map(|index| self.low + index as f64 * self.step);
        values.map(|value| Tick { place: self.place(value), text: self.text(value) }).collect()
    }

    /// Returns a tick's value with as many digits as its step needs.
    fn text(&self, value: f64) -> String {
        let digits = (-self.step.log10().floor()).clamp(0.0, 8.0) as usize;
        // Adding zero turns -0.0 into 0.0.
        format!("{:.digits$}", (value / self.step).round() * self.step + 0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_holds_its_values_between_round_ticks() {
        let ticks: Vec<String> = Axis::around(0.23, 1.94).ticks().into_iter().map(|tick| tick.text).collect();
        assert_eq!(ticks, ["0.0", "0.5", "1.0", "1.5", "2.0"]);
        for (low, high) in [(0.0, 0.0), (5.0, 5.0), (-3.0, 2.0), (1e-9, 2e-9), (12.0, 98_000.0)] {
            let axis = Axis::around(low, high);
            assert!(axis.low <= low && axis.high >= high && axis.low < axis.high && axis.ticks().len() <= 8);
            assert!((0.0..=1.0).contains(&axis.place(low)) && (0.0..=1.0).contains(&axis.place(high)));
        }
    }
}
