//! `docs/benchmarks.md`: each benchmark replaces its own section and leaves the others.

use std::fs;

use anyhow::Result;

use xtask::cargo;

/// The page's path in the workspace.
pub const PAGE: &str = "docs/benchmarks.md";

/// Prints a section, and replaces its previous version in the page. Its first line is its heading.
pub fn write(section: &str) -> Result<()> {
    println!("{section}");
    let page = cargo::workspace_root().join(PAGE);
    let old = fs::read_to_string(&page).unwrap_or_default();
    Ok(fs::write(page, replaced(&old, section))?)
}

/// Returns the page with the section in place of the one of the same heading, or behind all others.
fn replaced(page: &str, section: &str) -> String {
    let heading = section.lines().next().unwrap_or_default();
    let starts = |(at, _): &(usize, &str)| *at == 0 || page[..*at].ends_with('\n');
    let whole = |(at, _): &(usize, &str)| page[at + heading.len()..].starts_with('\n');
    let found = page.match_indices(heading).filter(starts).find(whole);
    let begin = found.map_or(page.len(), |(at, _)| at);
    let end = page[begin..].get(heading.len()..).and_then(|behind| behind.find("\n## "));
    let end = end.map_or(page.len(), |at| begin + heading.len() + at + 1);
    let parts = [page[..begin].trim_end(), section.trim(), page[end..].trim()];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_replaces_its_previous_version() {
        let new = "## Boards\n\nnew\n";
        assert_eq!(replaced("# Page\n", new), "# Page\n\n## Boards\n\nnew\n");
        let old = "# Page\n\nsee ## Boards\n\n## Boards, end to end\n\nkept\n\n## Boards\n\nold\n\n## Other\n\nkept\n";
        let expected =
            "# Page\n\nsee ## Boards\n\n## Boards, end to end\n\nkept\n\n## Boards\n\nnew\n\n## Other\n\nkept\n";
        assert_eq!(replaced(old, new), expected);
        assert_eq!(replaced(expected, new), expected);
    }
}
