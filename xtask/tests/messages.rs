//! The messages that `docs/troubleshooting.md` quotes are those of the programs, so that a reader who searches the page for one finds it.

use std::fs;
use std::path::Path;

/// Folders with the programs' messages.
const FOLDERS: [&str; 3] = ["edge-runtime/src", "edge-runtime/engine/src", "host-trainer/src"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// Whether a word of a quoted message stands for a value, or may be a constant in the code: `N`, `...`, `/dev/video0`, `manifest.toml`.
fn is_value(word: &str) -> bool {
    let is_name = word.chars().all(|c| !c.is_lowercase()) && word.chars().any(char::is_uppercase);
    is_name || word.contains(['.', '/'])
}

/// The messages in the tables of a page, with their lines: what the first column quotes, and what `doctor` says behind the name of the
/// check. A message is cut at its values, and pieces of one word say too little.
fn quoted(page: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (number, line) in page.lines().enumerate().filter(|(_, line)| line.starts_with('|')) {
        for (column, cell) in line.split('|').enumerate() {
            for quote in cell.split('`').skip(1).step_by(2) {
                let message = match quote.split_once(' ') {
                    Some(("ok" | "warn" | "fail", finding)) => finding.split_once(' ').map_or("", |(_, said)| said),
                    _ if column == 1 => quote,
                    _ => continue,
                };
                let words: Vec<&str> = message.split(' ').collect();
                let pieces = words.split(|word| is_value(word)).filter(|piece| piece.len() > 1);
                found.extend(pieces.map(|piece| (number + 1, piece.join(" "))));
            }
        }
    }
    found
}

/// Adds the sources below a folder, each message on one line.
fn gather(folder: &Path, text: &mut String) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            gather(&path, text);
        } else if path.extension().is_some_and(|extension| extension == "rs" || extension == "sh") {
            text.extend(fs::read_to_string(&path).unwrap().split("\\\n").map(str::trim_start));
        }
    }
}

#[test]
fn the_page_quotes_what_the_programs_say() {
    let mut text = String::new();
    for folder in FOLDERS {
        gather(&root().join(folder), &mut text);
    }
    let text = text.replace('`', "");
    let quoted = quoted(&fs::read_to_string(root().join("docs/troubleshooting.md")).unwrap());
    let unknown: Vec<_> = quoted.iter().filter(|(_, message)| !text.contains(message.as_str())).collect();
    assert!(unknown.is_empty(), "docs/troubleshooting.md quotes what no program says: {unknown:#?}");
    assert!(quoted.len() > 40, "only {} messages were found", quoted.len());
}

#[test]
fn messages_are_cut_at_their_values() {
    let page = "| `bundle format N is newer than ...` | `fail disk N MiB free` | `--flag of` |\n| text | `warn gpio no such line` |\n";
    let expected: [(usize, &str); 4] =
        [(1, "bundle format"), (1, "is newer than"), (1, "MiB free"), (2, "no such line")];
    assert_eq!(quoted(page), expected.map(|(line, message)| (line, message.to_owned())));
}
