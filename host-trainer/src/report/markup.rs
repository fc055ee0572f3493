//! The small parts of the page: escaped text, figures with their units, sections.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// Stands where there is no figure.
pub const NONE: &str = "\u{2013}";

/// How a page looks, in light, in dark and on paper.
const STYLE: &str = include_str!("style.css");

/// A page of its own: no script, nothing to load. `title` and `header` are HTML.
pub fn document(title: &str, header: &str, sections: &[Section]) -> String {
    let link = |section: &Section| format!("<a href=\"#{}\">{}</a>\n", section.id, section.title);
    let links: String = sections.iter().map(link).collect();
    let body: String = sections.iter().map(Section::html).collect();
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<header>\n{header}\
         <nav aria-label=\"Contents\">\n{links}</nav>\n</header>\n<main>\n{body}</main>\n\
         <footer class=\"quiet\">Written by host-trainer {}.</footer>\n</body>\n</html>\n",
        env!("CARGO_PKG_VERSION")
    )
}

/// A part of the page with its heading.
pub struct Section {
    /// Where links lead to.
    pub id: &'static str,
    /// The heading.
    pub title: &'static str,
    /// What a newcomer should know to read it; HTML.
    pub explanation: String,
    /// HTML.
    pub body: String,
}

impl Section {
    /// The section as HTML.
    pub fn html(&self) -> String {
        let Section { id, title, explanation, body } = self;
        format!(
            "<section id=\"{id}\" aria-labelledby=\"{id}-title\">\n<h2 id=\"{id}-title\">{title}</h2>\n\
             <p class=\"lead\">{explanation}</p>\n{body}\n</section>\n"
        )
    }
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

/// A PNG file as an address that loads nothing.
pub fn data_uri(png: &[u8]) -> String {
    format!("data:image/png;base64,{}", STANDARD.encode(png))
}

/// A table in a frame that scrolls sideways where the screen is narrow. `head` and `rows` are HTML; a heading that
/// starts with `#` stands over numbers.
pub fn table(class: &str, caption: &str, head: &[&str], rows: &str) -> String {
    let heading = |name: &&str| match name.strip_prefix('#') {
        Some(name) => format!("<th scope=\"col\" class=\"number\">{name}</th>"),
        None => format!("<th scope=\"col\">{name}</th>"),
    };
    let head: String = head.iter().map(heading).collect();
    format!(
        "<div class=\"scroll\"><table class=\"{class}\"><caption>{caption}</caption>\n\
         <thead><tr>{head}</tr></thead>\n<tbody>\n{rows}</tbody></table></div>\n"
    )
}

/// A horizontal bar of a share of the whole width.
pub fn bar(class: &str, share: f64) -> String {
    let share = if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.0 };
    format!(
        "<span class=\"track\" aria-hidden=\"true\"><i class=\"{class}\" style=\"width:{:.1}%\"></i></span>",
        100.0 * share
    )
}

/// A share in percent with one decimal, or none where it is no number.
pub fn percent(share: f64) -> String {
    if share.is_finite() { format!("{:.1}\u{a0}%", 100.0 * share) } else { NONE.to_owned() }
}

/// A difference of two shares in percentage points, with its sign.
pub fn points(difference: f64) -> String {
    // Adding zero turns a rounded -0.0 into +0.0.
    let rounded = (1000.0 * difference).round() / 10.0 + 0.0;
    if rounded.is_finite() { format!("{rounded:+.1}").replace('-', "\u{2212}") } else { NONE.to_owned() }
}

/// A number with its thousands apart.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

/// Seconds as a person says them.
pub fn duration(seconds: f64) -> String {
    if !seconds.is_finite() {
        return NONE.to_owned();
    }
    let whole = seconds.round() as u64;
    match whole {
        0..10 => format!("{seconds:.1}\u{a0}s"),
        10..60 => format!("{whole}\u{a0}s"),
        60..3600 => format!("{}\u{a0}min {:02}\u{a0}s", whole / 60, whole % 60),
        _ => format!("{}\u{a0}h {:02}\u{a0}min", whole / 3600, whole % 3600 / 60),
    }
}

/// A size in the unit that gives a short number.
pub fn bytes(size: u64) -> String {
    let size = size as f64;
    match size {
        ..1024.0 => format!("{size}\u{a0}bytes"),
        ..1_048_576.0 => format!("{:.0}\u{a0}KiB", size / 1024.0),
        ..1_073_741_824.0 => format!("{:.2}\u{a0}MiB", size / 1_048_576.0),
        _ => format!("{:.2}\u{a0}GiB", size / 1_073_741_824.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_read_well() {
        assert_eq!(escape("<a href='x'>&\""), "&lt;a href=&#39;x&#39;&gt;&amp;&quot;");
        assert_eq!(data_uri(b"PNG"), "data:image/png;base64,UE5H");
        assert_eq!((percent(0.91349).as_str(), percent(f64::NAN).as_str()), ("91.3\u{a0}%", NONE));
        assert_eq!((points(-0.0123).as_str(), points(-0.0001).as_str()), ("\u{2212}1.2", "+0.0"));
        assert_eq!((count(12), count(1_432_008)), ("12".into(), "1\u{202f}432\u{202f}008".into()));
        assert_eq!([4.26, 59.7, 3675.0].map(duration), ["4.3\u{a0}s", "1\u{a0}min 00\u{a0}s", "1\u{a0}h 01\u{a0}min"]);
        assert_eq!([512, 384_194, 3 << 30].map(bytes), ["512\u{a0}bytes", "375\u{a0}KiB", "3.00\u{a0}GiB"]);
        assert!(bar("x", f64::NAN).contains("width:0.0%"));
    }
}
