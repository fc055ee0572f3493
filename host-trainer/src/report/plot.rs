//! Line plots as SVG; the colours come from the page's style.

use std::fmt::Write;

use super::markup::escape;

/// Size of a plot in the units of its drawing.
const WIDTH: f64 = 460.0;
const HEIGHT: f64 = 260.0;
/// Edges of the frame in which the lines lie.
const LEFT: f64 = 58.0;
const RIGHT: f64 = WIDTH - 14.0;
const TOP: f64 = 34.0;
const BOTTOM: f64 = HEIGHT - 44.0;
/// Lines of so few points show each of them.
const DOTS: usize = 32;

/// A line of a plot.
pub struct Line {
    /// What it shows, for the legend.
    pub name: &'static str,
    /// Its class in the style sheet.
    pub class: &'static str,
    /// One value an epoch, from the first epoch, or one a category; none and what is not finite leaves a gap.
    pub values: Vec<Option<f64>>,
    /// Deviations of the values, drawn as bars; may be empty.
    pub deviations: Vec<Option<f64>>,
}

/// Values by epoch. Without any finite value there is only the frame.
pub fn by_epoch(title: &str, unit: &str, lines: &[Line]) -> String {
    let epochs = lines.iter().map(|line| line.values.len()).max().unwrap_or(0).max(1);
    let step = epochs.div_ceil(8).next_multiple_of(if epochs > 16 { 5 } else { 1 });
    let shown = (1..=epochs).filter(|epoch| step == 1 || epoch % step == 0 || *epoch == 1);
    let ticks: Vec<_> = shown.map(|epoch| (epoch, epoch.to_string())).collect();
    draw(title, unit, ("epoch", epochs, &ticks), lines)
}

/// Values by category, in the order given; `across` names what the categories are.
pub fn by_category(title: &str, unit: &str, across: &str, categories: &[String], lines: &[Line]) -> String {
    let ticks: Vec<_> = categories.iter().enumerate().map(|(index, name)| (index + 1, escape(name))).collect();
    draw(title, unit, (across, categories.len().max(1), &ticks), lines)
}

fn draw(title: &str, unit: &str, (across, epochs, ticks): (&str, usize, &[(usize, String)]), lines: &[Line]) -> String {
    let finite = |line: &Line| -> Vec<(usize, f64)> {
        let points = line.values.iter().enumerate();
        points.filter_map(|(index, value)| Some((index + 1, value.filter(|value| value.is_finite())?))).collect()
    };
    let lines: Vec<(&Line, Vec<(usize, f64)>)> = lines.iter().map(|line| (line, finite(line))).collect();
    // Bars of deviation have their place in the frame too.
    let ends = |line: &Line, (place, value): (usize, f64)| {
        let deviation = line.deviations.get(place - 1).copied().flatten().filter(|share| share.is_finite());
        [value - deviation.unwrap_or(0.0), value + deviation.unwrap_or(0.0)]
    };
    let values = || lines.iter().flat_map(|(line, points)| points.iter().flat_map(|point| ends(line, *point)));
    let y = Axis::around(values().fold(f64::INFINITY, f64::min), values().fold(f64::NEG_INFINITY, f64::max));
    let x_of = |epoch: usize| match epochs {
        1 => (LEFT + RIGHT) / 2.0,
        _ => LEFT + 10.0 + (RIGHT - LEFT - 20.0) * (epoch - 1) as f64 / (epochs - 1) as f64,
    };
    let y_of = |value: f64| BOTTOM - (BOTTOM - TOP) * (value - y.low) / (y.high - y.low);

    let title = escape(title);
    let mut svg = format!(
        "<svg class=\"plot\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{title}\"><title>{title}</title>\n"
    );
    for value in y.ticks() {
        let (at, text) = (y_of(value), y.text(value));
        let _ = write!(svg, "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{RIGHT}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>");
        let _ = writeln!(svg, "<text class=\"end\" x=\"{}\" y=\"{:.1}\">{text}</text>", LEFT - 8.0, at + 4.0);
    }
    for (epoch, text) in ticks {
        let at = x_of(*epoch);
        let _ =
            write!(svg, "<line class=\"tick\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{BOTTOM}\" y2=\"{}\"/>", BOTTOM + 5.0);
        let _ = writeln!(svg, "<text class=\"middle\" x=\"{at:.1}\" y=\"{}\">{text}</text>", BOTTOM + 19.0);
    }
    let _ = write!(svg, "<path class=\"axis\" d=\"M{LEFT} {TOP}V{BOTTOM}H{RIGHT}\"/>");
    let (middle, up) = ((LEFT + RIGHT) / 2.0, (TOP + BOTTOM) / 2.0);
    let _ = write!(svg, "<text class=\"middle quiet\" x=\"{middle}\" y=\"{}\">{across}</text>", HEIGHT - 6.0);
    let _ = writeln!(
        svg,
        "<text class=\"middle quiet\" transform=\"translate(13 {up}) rotate(-90)\">{}</text>",
        escape(unit)
    );
    let mut legend = LEFT;
    for (line, points) in &lines {
        let Line { name, class, .. } = line;
        let d: Vec<String> =
            points.iter().map(|(epoch, value)| format!("{:.1} {:.1}", x_of(*epoch), y_of(*value))).collect();
        if !d.is_empty() {
            let _ = write!(svg, "<path class=\"line {class}\" d=\"M{}\"/>", d.join("L"));
        }
        for (epoch, value) in points.iter().filter(|_| points.len() <= DOTS) {
            let (x, y) = (x_of(*epoch), y_of(*value));
            if line.deviations.get(epoch - 1).is_some_and(Option::is_some) {
                let [low, high] = ends(line, (*epoch, *value)).map(y_of);
                let _ = write!(svg, "<path class=\"line {class}\" d=\"M{x:.1} {high:.1}V{low:.1}\"/>");
            }
            let _ = write!(svg, "<circle class=\"{class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\">");
            let place = ticks.iter().find(|(at, _)| at == epoch).map_or(epoch.to_string(), |(_, text)| text.clone());
            let _ = write!(svg, "<title>{across} {place}: {name} {value:.4}</title></circle>");
        }
        let end = legend + 18.0;
        let _ = write!(svg, "<path class=\"line {class}\" d=\"M{legend} 14H{end}\"/>");
        let _ = writeln!(svg, "<text x=\"{}\" y=\"18\">{name}</text>", end + 6.0);
        legend = end + 24.0 + 7.0 * name.len() as f64;
    }
    svg + "</svg>\n"
}

/// Shares of values in bins of equal width from 0 to `most`, in a frame that is `highest` high.
pub fn histogram(title: &str, unit: &str, most: f64, shares: &[f64], highest: f64) -> String {
    let title = escape(title);
    let y = Axis::around(0.0, highest.max(f64::MIN_POSITIVE));
    let x = Axis::around(0.0, most);
    let y_of = |value: f64| BOTTOM - (BOTTOM - TOP) * value / y.high;
    let x_of = |value: f64| LEFT + (RIGHT - LEFT) * value / most;
    let mut svg = format!(
        "<svg class=\"plot\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{title}\"><title>{title}</title>\n\
         <text x=\"{LEFT}\" y=\"18\">{title}</text>\n"
    );
    for value in y.ticks() {
        let (at, text) = (y_of(value), y.text(value));
        let _ = write!(svg, "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{RIGHT}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>");
        let _ = writeln!(svg, "<text class=\"end\" x=\"{}\" y=\"{:.1}\">{text}</text>", LEFT - 8.0, at + 4.0);
    }
    for value in x.ticks().filter(|value| *value <= most) {
        let (at, text) = (x_of(value), x.text(value));
        let _ = writeln!(svg, "<text class=\"middle\" x=\"{at:.1}\" y=\"{}\">{text}</text>", BOTTOM + 19.0);
    }
    let width = most / shares.len().max(1) as f64;
    for (bin, share) in shares.iter().enumerate().filter(|(_, share)| **share > 0.0) {
        let (left, right, top) = (x_of(bin as f64 * width), x_of((bin + 1) as f64 * width), y_of(*share));
        let _ = writeln!(
            svg,
            "<rect class=\"bin\" x=\"{left:.1}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{:.1}\"/>",
            right - left - 1.0,
            BOTTOM - top
        );
    }
    let _ = write!(svg, "<path class=\"axis\" d=\"M{LEFT} {TOP}V{BOTTOM}H{RIGHT}\"/>");
    let (across, up) = ((LEFT + RIGHT) / 2.0, (TOP + BOTTOM) / 2.0);
    let _ = write!(svg, "<text class=\"middle quiet\" x=\"{across}\" y=\"{}\">{}</text>", HEIGHT - 6.0, escape(unit));
    let _ = writeln!(
        svg,
        "<text class=\"middle quiet\" transform=\"translate(13 {up}) rotate(-90)\">share of neurons</text>"
    );
    svg + "</svg>\n"
}

/// An axis whose ticks are round numbers.
struct Axis {
    low: f64,
    high: f64,
    step: f64,
}

impl Axis {
    /// The axis on which `low` to `high` lie between the first and the last tick.
    fn around(low: f64, high: f64) -> Axis {
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

    fn ticks(&self) -> impl Iterator<Item = f64> {
        let steps = ((self.high - self.low) / self.step).round() as usize;
        (0..=steps).map(|index| self.low + index as f64 * self.step)
    }

    /// A tick's value with the digits that its step asks for.
    fn text(&self, value: f64) -> String {
        let digits = (-self.step.log10().floor()).clamp(0.0, 8.0) as usize;
        // Adding zero turns -0.0 into 0.0.
        format!("{:.digits$}", (value / self.step).round() * self.step + 0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plot(values: &[f64]) -> String {
        by_epoch(
            "a plot",
            "loss",
            &[Line {
                name: "loss",
                class: "train",
                values: values.iter().copied().map(Some).collect(),
                deviations: Vec::new(),
            }],
        )
    }

    #[test]
    fn an_axis_holds_its_values_between_round_ticks() {
        let axis = Axis::around(0.23, 1.94);
        let ticks: Vec<String> = axis.ticks().map(|value| axis.text(value)).collect();
        assert_eq!(ticks, ["0.0", "0.5", "1.0", "1.5", "2.0"]);
        for (low, high) in [(0.0, 0.0), (5.0, 5.0), (-3.0, 2.0), (1e-9, 2e-9), (12.0, 98_000.0)] {
            let axis = Axis::around(low, high);
            assert!(axis.low <= low && axis.high >= high && axis.low < axis.high && axis.ticks().count() <= 8);
        }
    }

    #[test]
    fn a_histogram_has_a_bar_for_each_bin_that_is_not_empty() {
        let svg = histogram("bits", "bits", 3.0, &[0.5, 0.0, 0.5], 0.5);
        assert_eq!(svg.matches("<rect").count(), 2);
        for shares in [&[][..], &[0.0]] {
            let svg = histogram("bits", "bits", 3.0, shares, 0.0);
            assert!(!svg.contains("NaN") && !svg.contains("inf") && !svg.contains("<rect"), "{svg}");
        }
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
}
