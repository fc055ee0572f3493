//! The frame of a page: head, contents, sections, footer.

use maud::{DOCTYPE, Markup, PreEscaped, Render, html};

/// The colours of every page, in light and in dark, and what else all of them share; for pages that are not made from the parts of
/// this crate as well.
pub const PALETTE: &str = include_str!("palette.css");
/// The look of reports, on paper too.
const STYLE: &str = include_str!("style.css");
/// Pages with fewer sections need no table of contents.
const MIN_SECTIONS_WITH_CONTENTS: usize = 4;

/// A page in one file: no script, nothing to load.
pub struct Page<'a> {
    /// The title that the browser shows in its tab.
    pub title: &'a str,
    /// What stands above the table of contents; see [`header`].
    pub header: Markup,
    /// The parts of the page, in order.
    pub sections: Vec<Section>,
    /// Name of the program that writes the page.
    pub program: &'a str,
    /// Version of that program.
    pub version: &'a str,
}

impl Page<'_> {
    /// Returns the page as HTML.
    pub fn render(&self) -> String {
        let Page { title, header, sections, program, version } = self;
        let page = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    title { (title) }
                    style { (PreEscaped(PALETTE)) (PreEscaped(STYLE)) }
                }
                body {
                    header {
                        (header)
                        @if sections.len() >= MIN_SECTIONS_WITH_CONTENTS {
                            nav aria-label="Contents" {
                                @for section in sections { a href={ "#" (section.id) } { (section.title) } " " }
                            }
                        }
                    }
                    main { @for section in sections { (section) } }
                    footer.quiet { "Written by " (program) " " (version) "." }
                }
            }
        };
        page.into_string()
    }
}

/// Returns the top of a page: the kind of page, its heading, and a line about what it covers.
pub fn header(kind: &str, heading: &str, about: impl Render) -> Markup {
    html! {
        p.quiet { (kind) }
        h1 { (heading) }
        p.quiet { (about) }
    }
}

/// A part of a page with its heading.
pub struct Section {
    id: &'static str,
    title: &'static str,
    explanation: Markup,
    body: Markup,
}

impl Section {
    /// Makes a section. `id` is its anchor, unique within the page; `explanation` is what a newcomer should know to read
    /// the body.
    pub fn new(id: &'static str, title: &'static str, explanation: impl Render, body: Markup) -> Section {
        Section { id, title, explanation: explanation.render(), body }
    }
}

impl Render for Section {
    fn render(&self) -> Markup {
        let Section { id, title, explanation, body } = self;
        html! {
            section id=(id) aria-labelledby={ (id) "-title" } {
                h2 id={ (id) "-title" } { (title) }
                p.lead { (explanation) }
                (body)
            }
        }
    }
}
