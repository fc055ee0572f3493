//! The area of a plot and what is drawn around it.

use std::fmt::Write;

use maud::{Markup, Render, html};

/// The area in which values are drawn, in the units of the drawing; y grows downwards.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Frame {
    /// Width of the whole drawing.
    pub width: f64,
    /// Height of the whole drawing.
    pub height: f64,
    /// The left edge of the area.
    pub left: f64,
    /// The right edge of the area.
    pub right: f64,
    /// The upper edge of the area.
    pub top: f64,
    /// The lower edge of the area.
    pub bottom: f64,
}

/// A mark on an axis.
#[derive(Debug, Clone, PartialEq)]
pub struct Tick {
    /// Where it lies between the ends of the axis, from 0 to 1.
    pub place: f64,
    /// What is written beside it.
    pub text: String,
}

/// A coordinate with one decimal.
pub(super) struct Unit(pub(super) f64);

impl Render for Unit {
    fn render_to(&self, text: &mut String) {
        let _ = write!(text, "{:.1}", self.0);
    }
}

impl Frame {
    /// The frame of a plot that shares its row with others.
    pub const SMALL: Frame = Frame { width: 460.0, height: 244.0, left: 58.0, right: 446.0, top: 14.0, bottom: 200.0 };

    /// Returns the frame of a plot as wide as the page whose area has this height.
    pub const fn wide(height: f64) -> Frame {
        Frame { width: 960.0, height: height + 38.0, left: 96.0, right: 946.0, top: 10.0, bottom: height + 10.0 }
    }

    /// Returns the x coordinate of a place from 0 (left) to 1 (right).
    pub fn x(&self, place: f64) -> f64 {
        self.left + (self.right - self.left) * place
    }

    /// Returns the y coordinate of a place from 0 (bottom) to 1 (top).
    pub fn y(&self, place: f64) -> f64 {
        self.bottom - (self.bottom - self.top) * place
    }

    /// Returns the drawing. `title` says what it shows to those who do not see it.
    pub fn svg(&self, title: &str, content: impl Render) -> Markup {
        html! {
            svg.plot viewBox={ "0 0 " (self.width) " " (self.height) } role="img" aria-label=(title) { (content) }
        }
    }

    /// Returns the drawing of a plot as wide as the page; a narrow screen scrolls it.
    pub fn wide_svg(&self, title: &str, content: impl Render) -> Markup {
        html! {
            div.scroll.wide tabindex="0" role="group" aria-label=(title) { (self.svg(title, content)) }
        }
    }

    /// Returns horizontal lines with their values.
    pub fn grid(&self, ticks: &[Tick]) -> Markup {
        html! {
            @for Tick { place, text } in ticks {
                @let y = self.y(*place);
                line.grid x1=(self.left) x2=(self.right) y1=(Unit(y)) y2=(Unit(y)) {}
                text.end x=(self.left - 8.0) y=(Unit(y + 4.0)) { (text) }
            }
        }
    }

    /// Returns marks below the frame with their names.
    pub fn marks(&self, ticks: &[Tick]) -> Markup {
        self.marks_anchored(ticks, |_| "middle")
    }

    /// Returns marks whose names are long: the first name begins at its mark, and the last one ends there.
    pub fn wide_marks(&self, ticks: &[Tick]) -> Markup {
        self.marks_anchored(ticks, |place| match place {
            0.0 => "start",
            1.0 => "end",
            _ => "middle",
        })
    }

    fn marks_anchored(&self, ticks: &[Tick], anchor: fn(f64) -> &'static str) -> Markup {
        html! {
            @for Tick { place, text } in ticks {
                @let x = self.x(*place);
                line.tick x1=(Unit(x)) x2=(Unit(x)) y1=(self.bottom) y2=(self.bottom + 5.0) {}
                text class=(anchor(*place)) x=(Unit(x)) y=(self.bottom + 19.0) { (text) }
            }
        }
    }

    /// Returns the left and the lower edge of the area.
    pub fn axes(&self) -> Markup {
        html! { path.axis d=(format_args!("M{} {}V{}H{}", self.left, self.top, self.bottom, self.right)) {} }
    }

    /// Returns the names of both axes.
    pub fn names(&self, across: &str, upwards: &str) -> Markup {
        let (x, y) = (self.x(0.5), self.y(0.5));
        html! {
            text.middle.quiet x=(x) y=(self.height - 6.0) { (across) }
            text.middle.quiet transform=(format_args!("translate(13 {y}) rotate(-90)")) { (upwards) }
        }
    }

    /// Returns a name to the left of the area.
    pub fn row_name(&self, y: f64, name: impl Render) -> Markup {
        html! { text.end x=(self.left - 8.0) y=(Unit(y)) { (name) } }
    }

    /// Returns a rectangle between two x and two y coordinates; `hover` is shown while the pointer rests on it, if it is
    /// not empty.
    pub fn rectangle(class: &str, [left, right]: [f64; 2], [top, bottom]: [f64; 2], hover: &str) -> Markup {
        let (width, height) = ((right - left).max(0.5), (bottom - top).max(0.0));
        html! {
            rect class=(class) x=(Unit(left)) y=(Unit(top)) width=(Unit(width)) height=(Unit(height)) {
                @if !hover.is_empty() { title { (hover) } }
            }
        }
    }

    /// Returns an invisible column between two x coordinates that shows `text` while the pointer rests on it.
    pub fn hover(&self, sides: [f64; 2], text: &str) -> Markup {
        Frame::rectangle("hover", sides, [self.top, self.bottom], text)
    }

    /// Returns a line through points given by places from 0 to 1; `None` lifts the pen, and a point between two gaps is a
    /// dot.
    pub fn line(&self, class: &str, points: impl IntoIterator<Item = Option<[f64; 2]>>) -> Markup {
        let (mut path, mut drawing) = (String::new(), false);
        for point in points {
            if let Some([x, y]) = point {
                let pen = if drawing { 'L' } else { 'M' };
                // A tiny step to the side gives a lone point its round caps.
                let _ = write!(path, "{pen}{:.1} {:.1}h.1", self.x(x), self.y(y));
            }
            drawing = point.is_some();
        }
        html! {
            @if !path.is_empty() { path class={ "line " (class) } d=(path) {} }
        }
    }
}
