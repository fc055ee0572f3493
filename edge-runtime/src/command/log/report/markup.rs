//! The page around the plots.

use crate::command::log::stats as figures;
use crate::journal::stats::Stats;

/// How the page looks, in light, in dark and on paper.
const STYLE: &str = include_str!("style.css");

/// A page of its own: no script, nothing to load. `body` is HTML.
pub fn document(name: &str, first: &str, last: &str, body: &str) -> String {
    let name = escape(name);
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>Journal {name}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n\
         <header>\n<h1>Journal {name}</h1>\n<p class=\"quiet\">{first} to {last}, times in UTC</p>\n</header>\n\
         <main>\n{body}</main>\n<footer class=\"quiet\">Written by edge-runtime {}.</footer>\n</body>\n</html>\n",
        env!("CARGO_PKG_VERSION")
    )
}

/// A part of the page with its heading and what a newcomer should know to read it.
pub fn section(title: &str, explanation: &str, body: &str) -> String {
    format!("<section>\n<h2>{title}</h2>\n<p class=\"lead\">{explanation}</p>\n{body}</section>\n")
}

/// The figures of `log stats`.
pub fn tiles(stats: &Stats) -> String {
    let rows = figures::rows(stats)
        .into_iter()
        .filter(|(name, _)| !expression_core::Label::ALL.iter().any(|label| label.name() == name) && name != "unsure");
    let tile =
        |(name, value): (String, String)| format!("<div><dt>{}</dt><dd>{}</dd></div>\n", escape(&name), escape(&value));
    format!("<dl class=\"tiles\">\n{}</dl>\n", rows.map(tile).collect::<String>())
}

/// A table of text.
pub fn table(head: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let cell = |tag: &str, text: &str| format!("<{tag}>{}</{tag}>", escape(text));
    let head: String = head.iter().map(|name| cell("th", name)).collect();
    let rows: String =
        rows.map(|row| format!("<tr>{}</tr>\n", row.iter().map(|text| cell("td", text)).collect::<String>())).collect();
    if rows.is_empty() {
        return "<p>None.</p>\n".to_owned();
    }
    format!("<div class=\"scroll\"><table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}</tbody></table></div>\n")
}

/// Text as the content of an element or of a quoted attribute.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            '\'' => escaped += "&#39;",
            other => escaped.push(other),
        }
    }
    escaped
}
