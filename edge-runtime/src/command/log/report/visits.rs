//! Hours and days of the page, by the clock of the machine that makes it.

use expression_core::Label;
use expression_report::plot::{Axis, Frame, Tick};
use expression_report::{legend, text_table};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use maud::{Markup, html};

use super::super::moment;
use super::super::period::{Period, Periods};
use super::plots::class;

/// How many of the newest hours the plot shows, and how many days the table.
const MAX_SHOWN: usize = 168;
/// How many hours the axis names at most.
const MAX_MARKS: usize = 5;

/// Returns a bar for each hour with faces, made of the minutes of each label.
pub fn hours(hours: &Periods, zone: &TimeZone) -> Markup {
    let all: Vec<&Period> = hours.list().collect();
    let shown = &all[all.len().saturating_sub(MAX_SHOWN)..];
    if shown.is_empty() {
        return html! { p { "None." } };
    }
    let frame = Frame::wide(200.0);
    let axis = Axis::around(0.0, shown.iter().map(|hour| minutes(hour.present_us())).fold(0.0, f64::max));
    let ticks: Vec<Tick> =
        axis.ticks().into_iter().map(|tick| Tick { text: format!("{} min", tick.text), ..tick }).collect();
    let count = shown.len() as f64;
    let every = shown.len().div_ceil(MAX_MARKS);
    let marks: Vec<Tick> = (0..shown.len())
        .step_by(every)
        .map(|index| Tick {
            place: (index as f64 + 0.5) / count,
            text: text(shown[index].start_us, "%m-%d %H h", zone),
        })
        .collect();
    let bar = |index: usize, hour: &Period| {
        let edges = [index as f64 + 0.08, index as f64 + 0.92].map(|x| frame.x(x / count));
        let mut below = 0;
        let parts = hour.by_label.iter().enumerate().filter(|(_, us)| **us > 0).map(|(place, us)| {
            let low = below;
            below += us;
            (class(Label::from_index(place)), *us, [below, low].map(|us| frame.y(axis.place(minutes(us)))))
        });
        let parts: Vec<(&str, i64, [f64; 2])> = parts.collect();
        let told: Vec<String> = parts.iter().map(|(name, us, _)| format!("{name} {:.1} min", minutes(*us))).collect();
        let told = format!("{}: {}", text(hour.start_us, "%Y-%m-%d %H h", zone), told.join(", "));
        html! {
            @for (name, _, heights) in parts { (Frame::rectangle(name, edges, heights, "")) }
            (frame.hover([index as f64 / count, (index as f64 + 1.0) / count].map(|place| frame.x(place)), &told))
        }
    };
    let content = html! {
        (frame.grid(&ticks))
        @for (index, hour) in shown.iter().enumerate() { (bar(index, hour)) }
        (frame.wide_marks(&marks))
        (frame.axes())
    };
    let names = Label::ALL.iter().map(|label| class(Some(*label))).chain([class(None)]);
    html! { (frame.wide_svg("Minutes of each label by hour", content)) (legend(names.map(|name| (name, name)))) }
}

/// Returns a row for each day with faces, the newest first.
pub fn days(days: &Periods, zone: &TimeZone) -> Markup {
    let all: Vec<&Period> = days.list().collect();
    let row = |day: &&Period| {
        vec![
            text(day.start_us, "%Y-%m-%d", zone),
            day.tracks.len().to_string(),
            moment::length(day.present_us()),
            moment::length(day.by_label[Label::Happiness as usize]),
            moment::length(day.longest_smile_us),
        ]
    };
    let head = ["day", "tracks", "faces seen for", "happiness", "longest smile"];
    text_table("Days", &head, all.iter().rev().take(MAX_SHOWN).map(row))
}

fn minutes(microseconds: i64) -> f64 {
    microseconds as f64 / 60e6
}

fn text(wall_us: i64, form: &str, zone: &TimeZone) -> String {
    match Timestamp::from_microsecond(wall_us) {
        Ok(moment) => moment.to_zoned_datetime(zone.clone()).strftime(form).to_string(),
        Err(_) => wall_us.to_string(),
    }
}
