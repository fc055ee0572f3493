//! The board's program refuses bundles that its board file does not trust, in every command, and remembers what it accepted.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use edge_runtime::journal::Reader;
use expression_engine::trust::Key;
use expression_signing::{SecretKey, sign_file};
use tempfile::TempDir;

/// A board with a copy of the shipped bundle, without its detector, that its owner signed.
struct Board {
    folder: TempDir,
    key: SecretKey,
}

/// A key for one signature.
fn new_key() -> SecretKey {
    SecretKey::create(&tempfile::tempdir().unwrap().path().join("maker.key"), None).unwrap()
}

fn number(key: &SecretKey) -> String {
    Key::parse(&key.public()).unwrap().id().to_string()
}

impl Board {
    fn new() -> Board {
        let board = Board { folder: tempfile::tempdir().unwrap(), key: new_key() };
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/ferplus-edge");
        fs::create_dir(board.path("bundle")).unwrap();
        fs::create_dir(board.path("state")).unwrap();
        for entry in fs::read_dir(shipped).unwrap().map(Result::unwrap) {
            fs::copy(entry.path(), board.path("bundle").join(entry.file_name())).unwrap();
        }
        board.trusts(&format!("[trust]\nkeys = [\"{}\"]\n", board.key.public()));
        board.sign(5);
        board
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes the board file with this table at its end.
    fn trusts(&self, table: &str) {
        let generic = include_str!("../../boards/generic-x86-64.toml");
        let text = generic.replace("/var/lib/edge-runtime", &self.path("state").display().to_string());
        assert_ne!(text, generic);
        fs::write(self.path("board.toml"), text + table).unwrap();
    }

    fn manifest(&self) -> PathBuf {
        self.path("bundle/manifest.toml")
    }

    fn sign(&self, sequence: u64) {
        sign_file(&self.key, &self.manifest(), sequence).unwrap();
    }

    fn program(&self, arguments: &[&str]) -> Output {
        let mut program = Command::new(env!("CARGO_BIN_EXE_edge-runtime"));
        program.env_remove("RUST_LOG").args(arguments);
        program.arg("--board").arg(self.path("board.toml")).arg("--bundle").arg(self.path("bundle"));
        program.output().unwrap()
    }

    /// Watches no frames, so that only the start counts. A bundle without detector would not get that far.
    fn run(&self, arguments: &[&str]) -> Output {
        let detector = self.path("bundle/detector.onnx").exists();
        if !detector {
            eprintln!("skipped: no detector beside the shipped bundle; `cargo xtask setup` puts it there");
        }
        let video = self.path("video.y4m");
        fs::write(&video, [&b"YUV4MPEG2 W64 H64 F10:1 C420\nFRAME\n"[..], &[128; 64 * 64 * 3 / 2]].concat()).unwrap();
        let source = format!("y4m:{}", video.display());
        let output = self.program(&[&["run", "--source", &source, "--journal"], arguments].concat());
        assert!(!detector || output.status.code() != Some(1), "{output:?}");
        output
    }

    fn has_detector(&self) -> bool {
        self.path("bundle/detector.onnx").exists()
    }

    /// Asserts that every command refuses the bundle, in one line that says this.
    #[track_caller]
    fn is_refused(&self, expected: &str) {
        for command in
            [&["selftest"][..], &["classify", "face.png"], &["bench"], &["run", "--source", "images:/dev/null"]]
        {
            let output = self.program(command);
            let said = String::from_utf8_lossy(&output.stderr);
            assert_eq!((output.status.code(), said.lines().count()), (Some(2), 1), "{command:?}: {said}");
            assert!(said.contains(expected), "{command:?}: {said}");
        }
        let output = self.program(&["doctor"]);
        let said = String::from_utf8_lossy(&output.stdout);
        let lines: Vec<_> = said.lines().filter(|line| line.starts_with("fail  bundle")).collect();
        assert!(output.status.code() == Some(1) && lines.len() == 1 && lines[0].contains(expected), "{said}");
    }

    fn is_accepted(&self) {
        let output = self.program(&["selftest"]);
        assert!(output.status.success(), "{output:?}");
    }

    fn remembered(&self) -> String {
        fs::read_to_string(self.path("state/trust.toml")).unwrap_or_default()
    }

    fn reader(&self) -> Reader {
        Reader::open(&self.path("state/journal.sqlite")).unwrap()
    }
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_signed_bundle_is_accepted_and_what_was_altered_is_not() {
    let board = Board::new();
    let output = board.program(&["selftest"]);
    assert!(String::from_utf8_lossy(&output.stdout).contains("\"signature\":\"valid\""), "{output:?}");
    let whole = fs::read_to_string(board.manifest()).unwrap();
    fs::write(board.manifest(), whole.replace("happiness", "?").replace("anger", "happiness").replace('?', "anger"))
        .unwrap();
    board.is_refused("manifest.toml: the signature of key");
    fs::write(board.manifest(), &whole).unwrap();
    // A self-test that was made for something else, with a hash to match.
    let vectors = fs::read(board.path("bundle/selftest.safetensors")).unwrap();
    let altered = [&vectors[..], b" "].concat();
    let hash = |bytes: &[u8]| expression_engine::files::sha256(bytes);
    fs::write(board.path("bundle/selftest.safetensors"), &altered).unwrap();
    board.is_refused("selftest.safetensors: sha256 is");
    fs::write(board.manifest(), whole.replace(&hash(&vectors), &hash(&altered))).unwrap();
    board.is_refused("manifest.toml: the signature of key");
}

#[test]
fn an_altered_detector_is_refused() {
    let board = Board::new();
    fs::write(board.path("bundle/detector.onnx"), b"another detector").unwrap();
    board.is_refused("detector.onnx: sha256 is");
}

#[test]
fn unsigned_bundles_and_those_of_a_stranger_are_refused() {
    let board = Board::new();
    let (owner, stranger) = (number(&board.key), new_key());
    sign_file(&stranger, &board.manifest(), 9).unwrap();
    board.is_refused(&format!("signed by key {}, and only what is signed by key {owner}", number(&stranger)));
    fs::write(board.path("bundle/manifest.toml.minisig"), "untrusted comment: nothing more").unwrap();
    board.is_refused("manifest.toml.minisig: not a signature");
    fs::remove_file(board.path("bundle/manifest.toml.minisig")).unwrap();
    board.is_refused(&format!("manifest.toml: not signed, and only what is signed by key {owner}"));
    // A key on the command line is enough, and it demands a signature where the board file has no keys.
    sign_file(&stranger, &board.manifest(), 9).unwrap();
    let output = board.program(&["selftest", "--trust-key", &stranger.public()]);
    assert!(output.status.success(), "{output:?}");
    board.trusts("");
    let output = board.program(&["selftest", "--trust-key", &board.key.public()]);
    assert!(output.status.code() == Some(2) && stderr(&output).contains("only what is signed by key"), "{output:?}");
}

#[test]
fn without_keys_an_unsigned_bundle_is_run_with_one_warning() {
    let board = Board::new();
    board.trusts("");
    fs::remove_file(board.path("bundle/manifest.toml.minisig")).unwrap();
    board.is_accepted();
    if !board.has_detector() {
        return eprintln!("skipped: no detector beside the shipped bundle");
    }
    let said = stderr(&board.run(&[]));
    let warnings: Vec<_> = said.lines().filter(|line| line.contains("is not signed")).collect();
    assert!(warnings.len() == 1 && warnings[0].contains("[trust] of the board file"), "{said}");
    let signature = board.reader().sessions().unwrap()[0].session.signature.clone().unwrap();
    assert_eq!((signature.state.as_str(), signature.key, signature.sequence), ("unsigned", None, None));
    assert_eq!(board.remembered(), "");
    // Keys that are not required to have signed.
    board.trusts(&format!("[trust]\nkeys = [\"{}\"]\nrequire_signature = false\n", board.key.public()));
    assert!(stderr(&board.run(&[])).contains("require_signature = true"));
}

#[test]
fn run_remembers_what_it_accepted_and_every_command_refuses_older_bundles() {
    let board = Board::new();
    if !board.has_detector() {
        return eprintln!("skipped: no detector beside the shipped bundle");
    }
    let output = board.run(&[]);
    assert!(output.status.success() && !stderr(&output).contains("signed"), "{output:?}");
    let owner = number(&board.key);
    assert!(board.remembered().ends_with(&format!("[newest]\n{owner} = 5\n")), "{}", board.remembered());
    let session = board.reader().sessions().unwrap().remove(0).session;
    let signature = session.signature.unwrap();
    assert_eq!((signature.state.as_str(), signature.key, signature.sequence), ("valid", Some(owner.clone()), Some(5)));

    board.sign(4);
    board.is_refused(&format!("sequence number 4 of key {owner} is older than 5"));
    // The override is logged, in the journal too, and changes nothing about the next start.
    let output = board.run(&["--allow-older-bundle"]);
    let said = stderr(&output);
    let line = format!("older bundle accepted: sequence number 4 of key {owner}, after 5");
    assert!(output.status.success() && said.lines().filter(|said| said.contains(&line)).count() == 1, "{said}");
    let export = Command::new(env!("CARGO_BIN_EXE_edge-runtime"))
        .args(["log", "export", "--events", "--format", "jsonl", "--journal"])
        .arg(board.path("state/journal.sqlite"))
        .output()
        .unwrap();
    let events = String::from_utf8_lossy(&export.stdout);
    let older: Vec<_> = events.lines().filter(|line| line.contains("older_bundle")).collect();
    assert!(older.len() == 1 && older[0].contains(&owner) && older[0].contains("\"newest\":5"), "{events}");
    board.is_refused("is older than 5");
    assert!(board.remembered().contains(" = 5\n"));
    // What `deploy` writes when it goes back.
    let sha256 = expression_engine::files::sha256(&fs::read(board.manifest()).unwrap());
    fs::write(board.path("state/older-bundle.sha256"), format!("{sha256}\n")).unwrap();
    board.is_accepted();
    let said = String::from_utf8_lossy(&board.program(&["doctor"]).stdout).into_owned();
    assert!(said.lines().any(|line| line.starts_with("warn  signature") && line.contains("older than 5")), "{said}");
    fs::write(board.path("state/older-bundle.sha256"), "0\n").unwrap();
    board.is_refused("is older than 5");
    board.sign(6);
    assert!(board.run(&[]).status.success());
    assert!(board.remembered().contains(" = 6\n"));
    assert!(!board.path("state/older-bundle.sha256").exists(), "a newer bundle ends the permission");
}

#[test]
fn a_memory_that_cannot_be_read_or_written_is_said_and_stops_nothing() {
    let board = Board::new();
    if !board.has_detector() {
        return eprintln!("skipped: no detector beside the shipped bundle");
    }
    fs::write(board.path("state/trust.toml"), "newest = 7").unwrap();
    let said = stderr(&board.run(&[]));
    assert!(said.contains("an older bundle would not be noticed") && said.contains("trust.toml is damaged"), "{said}");
    assert!(board.remembered().contains(" = 5\n"), "it is made anew");
    // A pipe is not waited for.
    fs::remove_file(board.path("state/trust.toml")).unwrap();
    assert!(Command::new("mkfifo").arg(board.path("state/trust.toml")).status().unwrap().success());
    let said = stderr(&board.run(&[]));
    assert!(said.contains("is not remembered") && said.contains("not a regular file"), "{said}");
    // In the place of a disk that is mounted read-only: root may write to any folder, but not where there is none.
    fs::remove_dir_all(board.path("state")).unwrap();
    let journal = board.path("elsewhere.sqlite").display().to_string();
    let output = board.run(&[&journal]);
    let said = stderr(&output);
    assert!(output.status.success() && said.contains("is not remembered, so an older one would be accepted"), "{said}");
    assert!(!board.path("state").exists());
    fs::create_dir(board.path("state")).unwrap();
    fs::set_permissions(board.path("state"), fs::Permissions::from_mode(0o500)).unwrap();
    let said = stderr(&board.run(&[&journal]));
    // Root writes there all the same.
    assert!(said.contains("is not remembered") || board.remembered().contains(" = 5\n"), "{said}");
}

#[test]
fn verify_looks_at_programs_and_bundles_and_runs_neither() {
    let board = Board::new();
    let program = board.path("program");
    fs::write(&program, "no program at all").unwrap();
    // Older than any bundle that was accepted: what is remembered counts for bundles alone.
    sign_file(&board.key, &program, 1).unwrap();
    fs::write(board.path("state/trust.toml"), format!("[newest]\n{} = 5\n", number(&board.key))).unwrap();
    let verify = |paths: &[&Path]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_edge-runtime"));
        command.arg("verify").arg("--board").arg(board.path("board.toml")).args(paths).output().unwrap()
    };
    let bundle = board.path("bundle");
    let output = verify(&[&program, &bundle]);
    let said = String::from_utf8_lossy(&output.stdout);
    let by = number(&board.key);
    assert!(said.contains(&format!("program: valid, by key {by}, sequence number 1\n")), "{output:?}");
    assert!(said.contains(&format!("bundle: valid, by key {by}, sequence number 5\n")), "{output:?}");
    board.sign(4);
    assert!(stderr(&verify(&[&bundle])).contains("is older than 5"));
    fs::write(&program, "another program").unwrap();
    let output = verify(&[&program]);
    assert_eq!((output.status.code(), stderr(&output).lines().count()), (Some(2), 1), "{output:?}");
    assert!(stderr(&output).contains("program: the signature of key"), "{output:?}");
    // Without keys it only says what there is.
    board.trusts("");
    let output = verify(&[&program]);
    assert!(String::from_utf8_lossy(&output.stdout).contains("program: unchecked, by key"), "{output:?}");
}

#[test]
fn wrong_keys_are_bad_input() {
    let board = Board::new();
    for (table, expected) in [
        ("[trust]\nkeys = [\"RWQ\"]\n", "trust: \"RWQ\" is not a public key"),
        ("[trust]\nrequire_signature = true\n", "trust: require_signature is true, but there are no keys"),
        ("[trust]\nkey = \"RWQ\"\n", "unknown field `key`"),
    ] {
        board.trusts(table);
        let output = board.program(&["selftest"]);
        let said = stderr(&output);
        assert_eq!((output.status.code(), said.lines().count()), (Some(2), 1), "{said}");
        assert!(said.contains("board.toml") && said.contains(expected), "{said}");
    }
    board.trusts("");
    let output = board.program(&["selftest", "--trust-key", "/no/such.pub"]);
    assert!(
        output.status.code() == Some(2)
            && stderr(&output).contains("--trust-key: no public key: cannot read /no/such.pub"),
        "{output:?}"
    );
}
