//! The page's plots. Colours come from the style sheet of `expression-report`.

use expression_core::Label;
use expression_report::legend;
use expression_report::plot::{Axis, Frame, Tick};
use maud::{Markup, html};

use super::super::moment;
use super::gathered::{Counts, Gathered, UNREAD, most};
use crate::journal::stats::{Gap, Stats};

/// Height of a track's row.
const ROW: f64 = 14.0;
/// How many of the longest gaps are drawn; more could not be told apart.
const MAX_GAPS: usize = 500;

/// Returns the class of an expression's colour, which is its name as well.
pub fn class(label: Option<Label>) -> &'static str {
    label.map_or("unsure", Label::name)
}

/// Returns the class of a place in [`Counts`].
fn place_class(place: usize) -> &'static str {
    if place == UNREAD { "unread" } else { class(Label::from_index(place)) }
}

fn expression_legend() -> Markup {
    legend((0..=UNREAD).map(place_class).map(|name| (name, name)))
}

/// Moments below the frame, and the gaps that are cut out.
fn time_axis(frame: &Frame, gathered: &Gathered) -> Markup {
    html! {
        @for (gap, places) in gathered.timeline.cuts() {
            (Frame::rectangle("cut", places.map(|place| frame.x(place)), [frame.top, frame.bottom], &gap_text(gap, gathered)))
        }
        (frame.wide_marks(&gathered.timeline.marks()))
    }
}

/// When there were no frames, for how long, and why.
fn gap_text(gap: &Gap, gathered: &Gathered) -> String {
    let length = moment::length(gap.until_us.saturating_sub(gap.from_us));
    format!("no frames from {} for {length}: {}", gathered.timeline.text(gap.from_us), gap.cause.name())
}

fn edges(frame: &Frame, gathered: &Gathered, bin: usize) -> [f64; 2] {
    [bin, bin + 1].map(|edge| frame.x(edge as f64 / gathered.timeline.bins() as f64))
}

/// Returns the shares of the labels in each stretch of time, stacked.
pub fn expressions(gathered: &Gathered) -> Markup {
    let frame = Frame::wide(200.0);
    let ticks =
        [(0.0, "0 %"), (0.5, "50 %"), (1.0, "100 %")].map(|(place, text)| Tick { place, text: text.to_owned() });
    let stack = |bin: usize, counts: &Counts| {
        let scored: u64 = counts.iter().take(UNREAD).sum();
        let mut below = 0;
        let parts = counts.iter().enumerate().take(UNREAD).filter(|(_, count)| **count > 0).map(|(place, count)| {
            let low = below;
            below += count;
            (place_class(place), *count, [below, low].map(|count| frame.y(count as f64 / scored as f64)))
        });
        let parts: Vec<(&str, u64, [f64; 2])> = parts.collect();
        let text: Vec<String> = parts.iter().map(|(name, count, _)| format!("{name} {count}")).collect();
        html! {
            @for (name, _, heights) in parts { (Frame::rectangle(name, edges(&frame, gathered, bin), heights, "")) }
            @if scored > 0 {
                (frame.hover(edges(&frame, gathered, bin), &format!("{}: {}", gathered.timeline.start_of(bin), text.join(", "))))
            }
        }
    };
    let content = html! {
        (frame.grid(&ticks))
        @for (bin, counts) in gathered.counts.iter().enumerate() { (stack(bin, counts)) }
        (time_axis(&frame, gathered))
        (frame.axes())
    };
    html! { (frame.wide_svg("Shares of expressions over time", content)) (expression_legend()) }
}

/// Returns a row for each track, coloured by its most frequent label.
pub fn tracks(gathered: &Gathered, stats: &Stats) -> Markup {
    let frame = Frame::wide(ROW * gathered.visits.len().max(1) as f64);
    let x = |wall_us: i64| frame.x(gathered.timeline.place(wall_us));
    let content = html! {
        defs {
            pattern id="hatch" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)" {
                path.hatch d="M0 0V6" {}
            }
        }
        g fill="url(#hatch)" {
            // The longest come first.
            @for gap in stats.gaps.iter().take(MAX_GAPS) {
                @let sides = [x(gap.from_us), x(gap.until_us)];
                (Frame::rectangle("gap", sides, [frame.top, frame.bottom], &gap_text(gap, gathered)))
            }
        }
        @for (index, ((session, track), visit, counts)) in gathered.visits.iter().enumerate() {
            @let top = frame.top + ROW * index as f64;
            @let [left, right] = [x(visit.from_us), x(visit.until_us)];
            @let text = format!(
                "session {session}, track {track}: {} to {}, {} records",
                gathered.timeline.text(visit.from_us),
                gathered.timeline.text(visit.until_us),
                visit.records
            );
            (frame.row_name(top + ROW - 3.0, format_args!("{session}.{track}")))
            (Frame::rectangle("visit", [left, right], [top + ROW / 2.0 - 1.0, top + ROW / 2.0 + 1.0], &text))
            @for (first, last, place) in runs(counts) {
                @let from = edges(&frame, gathered, first)[0].max(left);
                // A visit of an instant is still two units wide.
                @let until = edges(&frame, gathered, last)[1].min(right.max(from + 2.0));
                @let name = place_class(place);
                (Frame::rectangle(name, [from, until], [top + 2.0, top + ROW - 2.0], &format!("{text}: {name}")))
            }
        }
        (time_axis(&frame, gathered))
        (frame.axes())
    };
    html! { (frame.wide_svg("Tracks over time", content)) (expression_legend()) }
}

/// Neighbouring stretches with the same most frequent label: the first, the last, and the place of the label in [`Counts`].
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

/// Returns the median and the 95th percentile of the latency in each stretch of time.
pub fn latency(gathered: &Gathered) -> Markup {
    let frame = Frame::wide(180.0);
    let milliseconds = |bin: usize, share: f64| {
        gathered.latency.get(bin).and_then(|latency| latency.at(share)).map(|us| f64::from(us) / 1e3)
    };
    let bins = gathered.timeline.bins();
    let axis = Axis::around(0.0, (0..bins).filter_map(|bin| milliseconds(bin, 0.95)).fold(0.0, f64::max));
    let ticks: Vec<Tick> =
        axis.ticks().into_iter().map(|tick| Tick { text: format!("{} ms", tick.text), ..tick }).collect();
    let line = |share: f64| {
        move |bin: usize| milliseconds(bin, share).map(|value| [(bin as f64 + 0.5) / bins as f64, axis.place(value)])
    };
    let content = html! {
        (frame.grid(&ticks))
        (frame.line("blue", (0..bins).map(line(0.5))))
        (frame.line("orange", (0..bins).map(line(0.95))))
        @for bin in 0..bins {
            @if let (Some(median), Some(high)) = (milliseconds(bin, 0.5), milliseconds(bin, 0.95)) {
                @let text = format!("{}: median {median:.2} ms, 95 % {high:.2} ms", gathered.timeline.start_of(bin));
                (frame.hover(edges(&frame, gathered, bin), &text))
            }
        }
        (time_axis(&frame, gathered))
        (frame.axes())
    };
    html! {
        (frame.wide_svg("Latency over time", content))
        (legend([("blue", "median"), ("orange", "95 %")]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
