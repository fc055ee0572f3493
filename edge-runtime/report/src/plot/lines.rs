//! Line plots by epoch or by category.

use maud::{Markup, html};

use super::frame::Unit;
use super::{Axis, Frame, Tick};
use crate::parts::legend;

/// Lines of at most this many points show each of them as a dot.
const MAX_DOTS: usize = 32;

/// A line of a plot.
pub struct Series<'a> {
    /// Its name in the legend.
    pub name: &'a str,
    /// The class of its colour in the style sheet: `blue`, `orange` or `green`.
    pub class: &'a str,
    /// One value per epoch, from the first epoch on, or per category; `None` and values that are not finite leave a gap.
    pub values: Vec<Option<f64>>,
    /// Deviations of the values, drawn as error bars; may be empty.
    pub deviations: Vec<Option<f64>>,
}

impl Series<'_> {
    fn value(&self, index: usize) -> Option<f64> {
        self.values.get(index).copied().flatten().filter(|value| value.is_finite())
    }

    /// The value with its deviation on both sides.
    fn ends(&self, index: usize) -> Option<[f64; 2]> {
        let deviation = self.deviations.get(index).copied().flatten().filter(|deviation| deviation.is_finite());
        self.value(index).zip(deviation).map(|(value, deviation)| [value - deviation, value + deviation])
    }
}

/// Returns a plot of values by epoch, with its legend. Without any finite value there is only the frame.
pub fn by_epoch(title: &str, unit: &str, lines: &[Series]) -> Markup {
    let epochs = lines.iter().map(|line| line.values.len()).max().unwrap_or(0).max(1);
    let step = epochs.div_ceil(8).next_multiple_of(if epochs > 16 { 5 } else { 1 });
    let names: Vec<String> = (1..=epochs).map(|epoch| epoch.to_string()).collect();
    draw(title, unit, "epoch", &names, |index| step == 1 || index == 0 || (index + 1) % step == 0, lines)
}

/// Returns a plot of values by category, in the order given, with its legend; `across` says what the categories are.
pub fn by_category(title: &str, unit: &str, across: &str, categories: &[String], lines: &[Series]) -> Markup {
    draw(title, unit, across, categories, |_| true, lines)
}

fn draw(
    title: &str,
    unit: &str,
    across: &str,
    names: &[String],
    has_tick: impl Fn(usize) -> bool,
    lines: &[Series],
) -> Markup {
    let frame = Frame::SMALL;
    let points = names.len().max(1);
    let values = || {
        let of_line =
            |line| move |index| [Series::value(line, index).map(|value| [value; 2]), Series::ends(line, index)];
        lines.iter().flat_map(move |line| (0..points).flat_map(of_line(line)).flatten().flatten())
    };
    let axis = Axis::around(values().fold(f64::INFINITY, f64::min), values().fold(f64::NEG_INFINITY, f64::max));
    // The first and the last point keep away from the edges.
    let step = 0.95 / (points - 1).max(1) as f64;
    let place = |index: usize| if points == 1 { 0.5 } else { 0.025 + step * index as f64 };
    let ticks: Vec<Tick> = names
        .iter()
        .enumerate()
        .filter(|(index, _)| has_tick(*index))
        .map(|(index, name)| Tick { place: place(index), text: name.clone() })
        .collect();
    let hover = |index: usize| {
        let values: Vec<String> = lines
            .iter()
            .filter_map(|line| Some((line.name, line.value(index)?)))
            .map(|(name, value)| format!("{name} {value:.4}"))
            .collect();
        let name = names.get(index).map_or("", String::as_str);
        (!values.is_empty()).then(|| format!("{across} {name}: {}", values.join(", ")))
    };
    let content = html! {
        (frame.grid(&axis.ticks()))
        (frame.marks(&ticks))
        (frame.axes())
        (frame.names(across, unit))
        @for line in lines {
            (frame.line(line.class, (0..points).filter_map(|index| Some(Some([place(index), axis.place(line.value(index)?)])))))
            @let shown: Vec<usize> = (0..points).filter(|index| line.value(*index).is_some()).collect();
            @if shown.len() <= MAX_DOTS {
                @for index in shown {
                    @let x = frame.x(place(index));
                    @if let Some([low, high]) = line.ends(index) {
                        path class={ "line " (line.class) } d={
                            "M" (Unit(x)) " " (Unit(frame.y(axis.place(high)))) "V" (Unit(frame.y(axis.place(low))))
                        } {}
                    }
                    @if let Some(value) = line.value(index) {
                        circle class=(line.class) cx=(Unit(x)) cy=(Unit(frame.y(axis.place(value)))) r="3" {}
                    }
                }
            }
        }
        @for index in 0..points {
            @if let Some(text) = hover(index) {
                @let half = if points == 1 { 0.5 } else { step / 2.0 };
                (frame.hover([frame.x(place(index) - half), frame.x(place(index) + half)], &text))
            }
        }
    };
    html! {
        div {
            (frame.svg(title, content))
            (legend(lines.iter().map(|line| (line.class, line.name))))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plot(values: &[f64]) -> String {
        let values = values.iter().copied().map(Some).collect();
        let line = Series { name: "loss", class: "blue", values, deviations: Vec::new() };
        by_epoch("a plot", "loss", &[line]).into_string()
    }

    #[test]
    fn no_curve_breaks_a_plot() {
        for values in [&[][..], &[0.5], &[0.0, 0.0], &[f64::NAN, 1.0, f64::INFINITY], &[1e300, -1e300]] {
            let svg = plot(values);
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{values:?}: {svg}");
        }
        assert_eq!(plot(&[3.0, 2.0, 1.0]).matches("<circle").count(), 3);
        assert_eq!(plot(&[1.0; 100]).matches("<circle").count(), 0);
    }

    #[test]
    fn every_epoch_shows_its_values_to_the_pointer() {
        let line = |name, values| Series { name, class: "blue", values, deviations: Vec::new() };
        let lines = [line("training", vec![Some(0.5), Some(0.25)]), line("held out", vec![None, Some(0.75)])];
        let svg = by_epoch("a plot", "loss", &lines).into_string();
        assert!(svg.contains("<title>epoch 1: training 0.5000</title>"), "{svg}");
        assert!(svg.contains("<title>epoch 2: training 0.2500, held out 0.7500</title>"), "{svg}");
        assert_eq!(plot(&[1.0; 100]).matches("<title>").count(), 100);
    }

    #[test]
    fn an_error_bar_lies_within_the_frame() {
        let line = Series { name: "x", class: "blue", values: vec![Some(50.0)], deviations: vec![Some(30.0)] };
        let svg = by_category("a plot", "%", "samples", &["96".into()], &[line]).into_string();
        let bar = svg.split("<path class=\"line blue\" d=\"M").nth(2).unwrap().split('"').next().unwrap();
        let (x, ends) = bar.split_once(' ').unwrap();
        let (high, low) = ends.split_once('V').unwrap();
        let [x, high, low] = [x, high, low].map(|number| number.parse::<f64>().unwrap());
        assert_eq!(x, Frame::SMALL.x(0.5));
        assert!(Frame::SMALL.top <= high && high < low && low <= Frame::SMALL.bottom, "{bar}");
    }
}
