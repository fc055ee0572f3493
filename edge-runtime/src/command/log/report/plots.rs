//! The page's plots, as SVG. Colours come from the style sheet.

use std::fmt::Write;

use expression_core::Label;

use super::super::moment;
use super::class;
use super::gathered::{BINS, Counts, Gathered, UNREAD, UNSURE, most};
use crate::journal::stats::Stats;

/// Size of a plot in the units of its drawing, and the edges between which time lies.
const WIDTH: f64 = 960.0;
const LEFT: f64 = 90.0;
const RIGHT: f64 = WIDTH - 14.0;
/// Height of what lies under the frame: the marks of time.
const FOOT: f64 = 26.0;

fn x_of(place: f64) -> f64 {
    LEFT + (RIGHT - LEFT) * place
}

fn begin(title: &str, height: f64) -> String {
    format!("<svg viewBox=\"0 0 {WIDTH} {height:.0}\" role=\"img\" aria-label=\"{title}\"><title>{title}</title>\n")
}

fn rectangle(svg: &mut String, class: &str, (left, right): (f64, f64), (top, bottom): (f64, f64), title: &str) {
    let (width, height) = ((right - left).max(0.5), (bottom - top).max(0.0));
    let _ = write!(
        svg,
        "<rect class=\"{class}\" x=\"{left:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{height:.1}\""
    );
    let _ = match title {
        "" => writeln!(svg, "/>"),
        _ => writeln!(svg, "><title>{title}</title></rect>"),
    };
}

/// Marks of time under a frame.
fn time_axis(svg: &mut String, gathered: &Gathered, bottom: f64) {
    let (first, last) = gathered.span;
    let _ = writeln!(svg, "<path class=\"axis\" d=\"M{LEFT} {bottom:.1}H{RIGHT}\"/>");
    for mark in 0..=4 {
        let place = f64::from(mark) / 4.0;
        let wall_us = first.saturating_add((last.saturating_sub(first) as f64 * place) as i64);
        let anchor = ["start", "middle", "middle", "middle", "end"].get(mark as usize).copied().unwrap_or("middle");
        let (x, y, text) = (x_of(place), bottom + 18.0, moment::brief(wall_us));
        let _ = writeln!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{text}</text>");
    }
}

fn place_class(place: usize) -> String {
    if place == UNREAD { "unread".to_owned() } else { class(Label::from_index(place)) }
}

fn edges(bin: usize) -> (f64, f64) {
    (x_of(bin as f64 / BINS as f64), x_of((bin + 1) as f64 / BINS as f64))
}

/// Shares of the labels in each stretch of time, on top of each other.
pub fn expressions(gathered: &Gathered) -> String {
    let (top, bottom) = (10.0, 210.0);
    let mut svg = begin("Shares of expressions over time", bottom + FOOT);
    for (share, text) in [(0.0, "0 %"), (0.5, "50 %"), (1.0, "100 %")] {
        let y = bottom - (bottom - top) * share;
        let _ = writeln!(svg, "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{text}</text>", LEFT - 8.0, y + 4.0);
    }
    for (bin, counts) in gathered.counts.iter().enumerate() {
        let scored: u64 = counts.iter().take(UNREAD).sum();
        let mut y = bottom;
        for (place, count) in counts.iter().enumerate().take(UNREAD).filter(|(_, count)| **count > 0) {
            let height = (bottom - top) * *count as f64 / scored as f64;
            rectangle(&mut svg, &place_class(place), edges(bin), (y - height, y), "");
            y -= height;
        }
    }
    time_axis(&mut svg, gathered, bottom);
    svg + "</svg>\n" + &legend()
}

/// A bar for each label, and one for unsure.
pub fn shares(stats: &Stats) -> String {
    let row = 24.0;
    let counts = stats.labels.iter().copied().chain([stats.abstained]);
    let mut svg = begin("Shares of expressions", row * (Label::COUNT + 1) as f64 + 6.0);
    for (place, count) in counts.enumerate() {
        let share = if stats.scored == 0 { 0.0 } else { count as f64 / stats.scored as f64 };
        let (top, name) = (6.0 + row * place as f64, place_class(place));
        let y = top + 13.0;
        let _ = writeln!(svg, "<text x=\"{}\" y=\"{y:.1}\" text-anchor=\"end\">{name}</text>", LEFT - 8.0);
        let end = LEFT + (RIGHT - LEFT - 150.0) * share;
        rectangle(&mut svg, &name, (LEFT, end), (top, top + row - 7.0), "");
        let _ = writeln!(svg, "<text x=\"{:.1}\" y=\"{y:.1}\">{:.1} % ({count})</text>", end + 8.0, 100.0 * share);
    }
    svg + "</svg>\n"
}

/// A row for each track, coloured by what it showed most.
pub fn tracks(gathered: &Gathered, stats: &Stats) -> String {
    let row = 14.0;
    let bottom = 6.0 + row * gathered.visits.len().max(1) as f64;
    let mut svg = begin("Tracks over time", bottom + FOOT);
    svg += "<defs><pattern id=\"hatch\" width=\"6\" height=\"6\" patternUnits=\"userSpaceOnUse\" \
            patternTransform=\"rotate(45)\"><path class=\"hatch\" d=\"M0 0V6\"/></pattern></defs>\n";
    // The longest come first; more than these could not be told apart.
    for gap in stats.gaps.iter().take(500) {
        let sides = (x_of(gathered.place(gap.from_us)), x_of(gathered.place(gap.until_us)));
        let length = moment::length(gap.until_us.saturating_sub(gap.from_us));
        let title = format!("{} for {length}: {}", moment::brief(gap.from_us), gap.cause.name());
        rectangle(&mut svg, "gap", sides, (6.0, bottom), &title);
    }
    for (index, ((session, track), visit, counts)) in gathered.visits.iter().enumerate() {
        let top = 6.0 + row * index as f64;
        let y = top + row - 4.0;
        let _ = writeln!(svg, "<text x=\"{}\" y=\"{y:.1}\" text-anchor=\"end\">{session}.{track}</text>", LEFT - 8.0);
        let sides = (x_of(gathered.place(visit.from_us)), x_of(gathered.place(visit.until_us)));
        let title = format!(
            "session {session}, track {track}: {} to {}, {} records",
            moment::brief(visit.from_us),
            moment::brief(visit.until_us),
            visit.records
        );
        rectangle(&mut svg, "visit", sides, (top + row / 2.0 - 1.0, top + row / 2.0 + 1.0), &title);
        for (first, last, place) in runs(counts) {
            let sides =
                (edges(first).0.max(sides.0), edges(last).1.min(sides.1.max(edges(first).0.max(sides.0) + 2.0)));
            let name = place_class(place);
            rectangle(&mut svg, &name, sides, (top + 2.0, top + row - 2.0), &format!("{title}: {name}"));
        }
    }
    time_axis(&mut svg, gathered, bottom);
    svg + "</svg>\n" + &legend()
}

/// Neighbouring stretches that show the same: the first, the last, and what they show.
fn runs(counts: &[Counts]) -> Vec<(usize, usize, usize)> {
    let mut runs: Vec<(usize, usize, usize)> = Vec::new();
    for (bin, counts) in counts.iter().enumerate() {
        let Some(place) = most(counts) else { continue };
        match runs.last_mut() {
            Some((_, last, shown)) if *last + 1 == bin && *shown == place => *last = bin,
            _ => runs.push((bin, bin, place)),
        }
    }
    runs
}

/// The median and the 95th percentile of each stretch.
pub fn latency(gathered: &Gathered) -> String {
    let (top, bottom) = (10.0, 190.0);
    let values = |share: f64| gathered.latency.iter().map(move |bin| bin.at(share).map(|us| f64::from(us) / 1e3));
    let highest = values(0.95).flatten().fold(0.0, f64::max);
    let scale = round_above(highest);
    let mut svg = begin("Latency over time", bottom + FOOT);
    for tick in 0..=4 {
        let value = scale * f64::from(tick) / 4.0;
        let y = bottom - (bottom - top) * f64::from(tick) / 4.0;
        let _ = writeln!(svg, "<path class=\"grid\" d=\"M{LEFT} {y:.1}H{RIGHT}\"/>");
        let _ = writeln!(svg, "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{value} ms</text>", LEFT - 8.0, y + 4.0);
    }
    for (share, class) in [(0.5, "median"), (0.95, "p95")] {
        let mut path = String::new();
        let mut pen_down = false;
        for (bin, value) in values(share).enumerate() {
            if let Some(value) = value {
                let (x, y) = (x_of((bin as f64 + 0.5) / BINS as f64), bottom - (bottom - top) * value / scale);
                // A stretch between two empty ones is a dot.
                let _ = write!(path, "{}{x:.1} {y:.1}h.1", if pen_down { "L" } else { "M" });
            }
            pen_down = value.is_some();
        }
        let _ = writeln!(svg, "<path class=\"line {class}\" d=\"{path}\"/>");
    }
    time_axis(&mut svg, gathered, bottom);
    svg + "</svg>\n<p class=\"legend\"><span><i class=\"median\"></i>median</span><span><i class=\"p95\"></i>95 %</span></p>\n"
}

/// The next of 1, 2, 4, 10, 20, 40, ... from a value on: quarters of it are short numbers.
fn round_above(value: f64) -> f64 {
    let power = 10f64.powf(value.max(1e-3).log10().floor());
    [1.0, 2.0, 4.0, 10.0].into_iter().map(|factor| factor * power).find(|round| *round >= value).unwrap_or(10.0 * power)
}

fn legend() -> String {
    let entry = |place: usize| {
        let name = place_class(place);
        format!("<span><i class=\"{name}\"></i>{name}</span>")
    };
    let entries: String = (0..=UNREAD).map(entry).collect();
    debug_assert_eq!(UNSURE, Label::COUNT);
    format!("<p class=\"legend\">{entries}</p>\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_are_round_and_hold_their_values() {
        for value in [0.0, 0.003, 0.9, 1.0, 3.0, 41.0, 99.0, 4e6] {
            let scale = round_above(value);
            assert!(scale >= value && scale <= 10.0 * value.max(1e-3), "{value}: {scale}");
        }
    }

    #[test]
    fn neighbours_that_show_the_same_are_one_run() {
        let shows = |place: usize| {
            let mut counts = Counts::default();
            counts[place] = 3;
            counts[UNREAD] += 1;
            counts
        };
        let counts = [shows(1), shows(1), Counts::default(), shows(1), shows(2)];
        assert_eq!(runs(&counts), [(0, 1, 1), (3, 3, 1), (4, 4, 2)]);
    }
}
