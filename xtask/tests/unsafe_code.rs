//! Unsafe code is counted: the numbers per crate are those in `docs/unsafe.md`, and a crate without any forbids it. That each block says
//! why it is sound is the business of a lint, `clippy::undocumented_unsafe_blocks`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use serde_json::Value;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// The packages of the workspace: name and folder.
fn packages() -> Vec<(String, PathBuf)> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1", "--manifest-path"])
        .arg(root().join("Cargo.toml"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let package = |package: &Value| {
        (text(&package["name"]), PathBuf::from(text(&package["manifest_path"])).parent().unwrap().to_owned())
    };
    metadata["packages"].as_array().unwrap().iter().map(package).collect()
}

/// The Rust files in a folder, without those of other packages below it.
fn sources(folder: &Path, others: &[PathBuf], found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            if !others.contains(&path) && name != "target" && !name.starts_with('.') {
                sources(&path, others, found);
            }
        } else if name.ends_with(".rs") {
            found.push(path);
        }
    }
}

/// Has none of its own, and cannot forbid it: its library takes in modules of other crates' tests, which have some.
const TAKES_IN_TESTS: &str = "fuzz";

/// Unsafe blocks, implementations and functions.
type Counts = [usize; 3];

/// Counts in code and in the bodies of macros alike.
fn count(tokens: TokenStream, counts: &mut Counts) {
    let mut tokens = tokens.into_iter().peekable();
    while let Some(token) = tokens.next() {
        match token {
            TokenTree::Group(group) => count(group.stream(), counts),
            TokenTree::Ident(word) if word == "unsafe" => match tokens.peek() {
                Some(TokenTree::Group(body)) if body.delimiter() == Delimiter::Brace => counts[0] += 1,
                Some(TokenTree::Ident(next)) if *next == "impl" || *next == "trait" => counts[1] += 1,
                // Also `unsafe extern`, and types of functions.
                _ => counts[2] += 1,
            },
            _ => {}
        }
    }
}

fn counted() -> BTreeMap<String, Counts> {
    let packages = packages();
    let mut all = BTreeMap::new();
    for (name, folder) in &packages {
        let others: Vec<PathBuf> =
            packages.iter().map(|(_, other)| other.clone()).filter(|other| other != folder).collect();
        let (mut files, mut counts) = (Vec::new(), Counts::default());
        sources(folder, &others, &mut files);
        for file in files {
            let tokens: TokenStream = fs::read_to_string(&file).unwrap().parse().unwrap();
            count(tokens, &mut counts);
        }
        all.insert(name.clone(), counts);
    }
    all
}

#[test]
fn the_documented_numbers_are_those_of_the_code() {
    let page = fs::read_to_string(root().join("docs/unsafe.md")).unwrap();
    let row = |line: &str| {
        let mut cells = line.strip_prefix("| `")?.split(" | ");
        let name = cells.next()?.trim_end_matches('`').to_owned();
        let mut number = || cells.next()?.trim().parse::<usize>().ok();
        Some((name, [number()?, number()?, number()?]))
    };
    let documented: BTreeMap<String, Counts> = page.lines().filter_map(row).collect();
    let counts: BTreeMap<String, Counts> = counted().into_iter().filter(|(_, counts)| *counts != [0; 3]).collect();
    assert_eq!(documented, counts, "left: docs/unsafe.md, right: the code");
}

#[test]
fn crates_without_unsafe_code_forbid_it() {
    let counts = counted();
    let mut open = Vec::new();
    let without = |name: &str| counts[name] == [0; 3] && name != TAKES_IN_TESTS;
    for (name, folder) in packages().into_iter().filter(|(name, _)| without(name)) {
        for file in
            ["src/lib.rs", "src/main.rs"].map(|file| folder.join(file)).into_iter().filter(|file| file.is_file())
        {
            if !fs::read_to_string(&file).unwrap().contains("#![forbid(unsafe_code)]") {
                open.push(format!("{name}: {}", file.strip_prefix(root()).unwrap().display()));
            }
        }
    }
    assert!(open.is_empty(), "no #![forbid(unsafe_code)] in:\n{}", open.join("\n"));
}

#[test]
fn the_lint_that_asks_for_reasons_is_on() {
    let manifest: toml::Table = fs::read_to_string(root().join("Cargo.toml")).unwrap().parse().unwrap();
    let lints = &manifest["workspace"]["lints"]["clippy"];
    assert_eq!(lints["undocumented_unsafe_blocks"].as_str(), Some("deny"));
}

#[test]
fn blocks_implementations_and_functions_are_told_apart() {
    let mut counts = Counts::default();
    let code = "unsafe impl A for B { unsafe fn c() { unsafe { d(\"unsafe\") } } } // unsafe\nmacro_rules! e { () => { unsafe { f } } }";
    count(code.parse().unwrap(), &mut counts);
    assert_eq!(counts, [2, 1, 1]);
}
