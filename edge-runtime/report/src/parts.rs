//! The small parts of a page: figures, verdicts, tables, bars, legends.

use maud::{Markup, Render, html};

use crate::format::percent;

/// A figure with its name and what it means.
pub struct Tile<'a> {
    /// The name.
    pub name: &'a str,
    /// The value with its unit.
    pub value: String,
    /// What the value means; may be empty.
    pub about: &'a str,
}

/// Returns the figures that matter most, in large type.
pub fn tiles(tiles: &[Tile]) -> Markup {
    tiles_with_class("tiles", tiles)
}

/// Returns figures in small type.
pub fn small_tiles(tiles: &[Tile]) -> Markup {
    tiles_with_class("tiles small", tiles)
}

fn tiles_with_class(class: &str, tiles: &[Tile]) -> Markup {
    html! {
        dl class=(class) {
            @for tile in tiles {
                div {
                    dt { (tile.name) }
                    dd {
                        strong { (tile.value) }
                        @if !tile.about.is_empty() { span { (tile.about) } }
                    }
                }
            }
        }
    }
}

/// Returns a box that says whether all is well.
pub fn verdict(good: bool, headline: &str, details: impl Render) -> Markup {
    html! {
        p class=(if good { "verdict good" } else { "verdict bad" }) { strong { (headline) } " " (details) }
    }
}

/// The heading of a column.
pub struct Column<'a> {
    name: &'a str,
    numeric: bool,
}

impl<'a> Column<'a> {
    /// A column of text, aligned to the left.
    pub fn text(name: &'a str) -> Column<'a> {
        Column { name, numeric: false }
    }

    /// A column of numbers, aligned to the right; its cells have the class `number`.
    pub fn number(name: &'a str) -> Column<'a> {
        Column { name, numeric: true }
    }
}

/// Returns a table that scrolls sideways if the screen is narrow. `caption` names it for those who see it and those who
/// hear it; `rows` are its `tr` elements.
pub fn table(caption: &str, columns: &[Column], rows: impl Render) -> Markup {
    html! {
        // The focus lets a keyboard scroll it.
        div.scroll tabindex="0" role="group" aria-label=(caption) {
            table {
                caption { (caption) }
                thead {
                    tr {
                        @for column in columns {
                            th scope="col" class=[column.numeric.then_some("number")] { (column.name) }
                        }
                    }
                }
                tbody { (rows) }
            }
        }
    }
}

/// Cells of at most this many characters, such as a moment, stay on one line.
const MAX_UNBROKEN: usize = 24;

/// Returns a table of plain text, or the word "None." if it has no rows.
pub fn text_table(caption: &str, head: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> Markup {
    let mut rows = rows.into_iter().peekable();
    if rows.peek().is_none() {
        return html! { p { "None." } };
    }
    let columns: Vec<Column> = head.iter().map(|name| Column::text(name)).collect();
    let rows = html! {
        @for row in rows {
            tr { @for cell in row { td class=[(cell.chars().count() <= MAX_UNBROKEN).then_some("short")] { (cell) } } }
        }
    };
    table(caption, &columns, rows)
}

/// A share as a horizontal bar with its percentage.
pub struct Bar<'a> {
    /// What it is a share of or who reached it; empty for a bar without a name.
    pub name: &'a str,
    /// The class of its colour in the style sheet.
    pub class: &'a str,
    /// The share, from 0 to 1.
    pub share: f64,
    /// The ends of its confidence interval, drawn as an error bar.
    pub interval: Option<[f64; 2]>,
}

impl Render for Bar<'_> {
    fn render(&self) -> Markup {
        let Bar { name, class, share, interval } = *self;
        let within = |share: f64| 100.0 * if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.0 };
        let hover = interval.map(|[low, high]| format!("95 % interval: {} to {}", percent(low), percent(high)));
        html! {
            div.bar.unnamed[name.is_empty()] title=[hover] {
                @if !name.is_empty() { span.quiet { (name) } }
                span.track aria-hidden="true" {
                    i class=(class) style=(format_args!("width:{:.1}%", within(share))) {}
                    @if let Some([low, high]) = interval {
                        b style=(format_args!("left:{:.1}%;width:{:.1}%", within(low), within(high) - within(low))) {}
                    }
                }
                span.number { (percent(share)) }
            }
        }
    }
}

/// Returns the legend of a plot: pairs of a colour's class and a name.
pub fn legend<'a>(entries: impl IntoIterator<Item = (&'a str, &'a str)>) -> Markup {
    html! {
        p.legend { @for (class, name) in entries { span { i class=(class) {} (name) } " " } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_stays_within_its_track() {
        let bar = |share, interval| Bar { name: "", class: "blue", share, interval }.render().into_string();
        assert!(bar(f64::NAN, None).contains("width:0.0%"));
        assert!(bar(7.0, None).contains("width:100.0%"));
        assert!(bar(0.5, Some([-1.0, 0.75])).contains("left:0.0%;width:75.0%"));
    }

    #[test]
    fn text_cannot_leave_its_place() {
        let hostile = "<script>\"&";
        let parts = [
            tiles(&[Tile { name: hostile, value: hostile.into(), about: hostile }]),
            verdict(true, hostile, hostile),
            text_table(hostile, &[hostile], [vec![hostile.to_owned()]]),
            Bar { name: hostile, class: hostile, share: 0.0, interval: None }.render(),
            legend([(hostile, hostile)]),
        ];
        for part in parts {
            let part = part.into_string();
            assert!(!part.contains("<script") && !part.contains("\"&<") && part.contains("&lt;script&gt;&quot;&amp;"));
        }
    }

    #[test]
    fn short_cells_stay_on_one_line() {
        let cells = vec!["2026-11-25T10:00:00Z".to_owned(), "a long sentence about a camera".to_owned()];
        let table = text_table("events", &["time", "detail"], [cells]).into_string();
        assert!(table.contains("<td class=\"short\">2026-11-25T10:00:00Z</td><td>a long"), "{table}");
    }

    #[test]
    fn a_table_without_rows_says_so() {
        assert_eq!(text_table("gaps", &["from"], []).into_string(), "<p>None.</p>");
    }
}
