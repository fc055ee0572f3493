//! Keys, signatures and what `deploy` and `upgrade` make of them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use expression_engine::selftest::{FACES, SCORES};
use expression_engine::{bundle, files};
use safetensors::tensor::serialize;
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use tempfile::TempDir;

/// A maker's desk: a copy of the shipped bundle without its signature, and a key without a password.
struct Desk(TempDir);

impl Desk {
    fn new() -> Desk {
        let desk = Desk(tempfile::tempdir().unwrap());
        fs::create_dir(desk.path("bundle")).unwrap();
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/ferplus-edge");
        for entry in fs::read_dir(shipped).unwrap().map(Result::unwrap) {
            fs::copy(entry.path(), desk.path("bundle").join(entry.file_name())).unwrap();
        }
        fs::remove_file(desk.path("bundle/manifest.toml.minisig")).unwrap();
        desk.done(&["key", "new", "maker.key", "--no-password"]);
        desk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn host_trainer(&self, arguments: &[&str]) -> Output {
        self.program_with(arguments).output().unwrap()
    }

    fn program_with(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_host-trainer"));
        command.env_remove("SIGNING_KEY_PASSWORD").stdin(std::process::Stdio::null());
        command.current_dir(self.0.path()).args(arguments);
        command
    }

    #[track_caller]
    fn done(&self, arguments: &[&str]) -> String {
        let output = self.host_trainer(arguments);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    #[track_caller]
    fn refused(&self, arguments: &[&str]) -> String {
        let output = self.host_trainer(arguments);
        let line = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), line.lines().count()), (Some(2), 1), "{line}");
        line
    }

    /// The 56 characters of a key.
    fn public(&self, file: &str) -> String {
        let shown = self.done(&["key", "show", file]);
        let table: toml::Table = shown.parse().unwrap();
        table["trust"]["keys"][0].as_str().unwrap().to_owned()
    }

    /// Writes a board file that trusts this key.
    fn trusts(&self, public: &str) {
        let generic = include_str!("../../boards/generic-x86-64.toml");
        fs::write(self.path("board.toml"), format!("{generic}[trust]\nkeys = [\"{public}\"]\n")).unwrap();
    }

    /// The head of a program: `deploy` looks at no more before it connects.
    fn program(&self) {
        let mut program = fs::read(env!("CARGO_BIN_EXE_host-trainer")).unwrap();
        program.truncate(4096);
        program[18] = 62;
        fs::write(self.path("edge-runtime"), program).unwrap();
    }
}

const DEPLOY: [&str; 9] =
    ["deploy", "--board", "board.toml", "--host", "board.invalid", "--binary", "edge-runtime", "--bundle", "bundle"];

#[test]
fn a_key_is_made_for_its_owner_alone_and_shown_as_a_board_file_takes_it() {
    let desk = Desk::new();
    assert_eq!(fs::metadata(desk.path("maker.key")).unwrap().permissions().mode() & 0o777, 0o600);
    let public = desk.public("maker.key.pub");
    assert_eq!((public.len(), &public[..2]), (56, "RW"));
    assert_eq!(desk.public("maker.key"), public);
    assert!(desk.refused(&["key", "new", "maker.key", "--no-password"]).contains("exists already"));
    // A key in the place of the signature.
    desk.program();
    fs::rename(desk.path("maker.key"), desk.path("edge-runtime.minisig")).unwrap();
    let told = desk.refused(&["sign", "edge-runtime", "--key", "edge-runtime.minisig"]);
    assert!(told.contains("it would overwrite the input"), "{told}");
    fs::rename(desk.path("edge-runtime.minisig"), desk.path("maker.key")).unwrap();
    // Without a terminal there is nobody to ask.
    assert!(desk.refused(&["key", "new", "other.key"]).contains("--password-file"));
    assert!(!desk.path("other.key").exists());

    fs::write(desk.path("password"), "correct horse\n").unwrap();
    let output = desk.host_trainer(&["key", "new", "locked.key", "--password-file", "password"]);
    let secret = fs::read_to_string(desk.path("locked.key")).unwrap();
    let said = [&output.stdout[..], &output.stderr].concat();
    let said = String::from_utf8(said).unwrap();
    assert!(
        output.status.success() && !said.contains("horse") && !said.contains(secret.lines().nth(1).unwrap()),
        "{said}"
    );
    assert!(desk.refused(&["sign", "bundle", "--key", "locked.key"]).contains("--password-file"));
    fs::write(desk.path("wrong"), "battery\n").unwrap();
    let line = desk.refused(&["sign", "bundle", "--key", "locked.key", "--password-file", "wrong"]);
    assert!(line.contains("wrong password"), "{line}");
    for (password, told) in [("battery", "SIGNING_KEY_PASSWORD gives"), ("", "this is not a terminal")] {
        let mut command = desk.program_with(&["sign", "bundle", "--key", "locked.key"]);
        let output = command.env("SIGNING_KEY_PASSWORD", password).output().unwrap();
        let line = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(2) && line.lines().count() == 1 && line.contains(told), "{line}");
    }
    desk.done(&["sign", "bundle", "--key", "locked.key", "--password-file", "password"]);
    desk.done(&["verify", "bundle", "--key", "locked.key.pub"]);
}

#[test]
fn what_is_signed_is_verified_and_what_was_altered_is_not() {
    let desk = Desk::new();
    let said = desk.done(&["sign", "bundle", "--key", "maker.key", "--sequence", "7"]);
    assert_eq!(said, "bundle/manifest.toml.minisig signs sequence number 7\n");
    let public = desk.public("maker.key");
    let said = desk.done(&["verify", "bundle", "--key", &public]);
    assert!(said.starts_with("bundle: valid, by key ") && said.ends_with(", sequence number 7\n"), "{said}");
    desk.done(&["key", "new", "stranger.key", "--no-password"]);
    assert!(desk.refused(&["verify", "bundle", "--key", "stranger.key.pub"]).contains("signed by key"));
    assert!(desk.refused(&["verify", "bundle", "--key", "maker.key"]).contains("does not hold one"));
    // A file.
    fs::write(desk.path("program"), "#!/bin/sh\n").unwrap();
    let told = desk.refused(&["sign", "program", "nothing", "--key", "maker.key"]);
    assert!(told.contains("nothing: no such file or folder") && !desk.path("program.minisig").exists(), "{told}");
    desk.done(&["sign", "program", "--key", "maker.key"]);
    desk.done(&["verify", "program", "bundle", "--key", &public]);
    fs::write(desk.path("program"), "#!/bin/sh\nrm -rf /\n").unwrap();
    assert!(desk.refused(&["verify", "program", "--key", &public]).contains("does not match"));
    // A pipe is not waited for, and nothing is signed beside what cannot be.
    assert!(Command::new("mkfifo").arg(desk.path("pipe")).status().unwrap().success());
    fs::remove_file(desk.path("program.minisig")).unwrap();
    let line = desk.refused(&["sign", "program", "pipe", "--key", "maker.key"]);
    assert!(line.contains("cannot read pipe") && !desk.path("program.minisig").exists(), "{line}");
    // Nor does one whose labels were swapped: its self-test would name others.
    let manifest = desk.path("bundle/manifest.toml");
    let text = fs::read_to_string(&manifest).unwrap();
    fs::write(&manifest, text.replace("happiness", "?").replace("anger", "happiness").replace('?', "anger")).unwrap();
    assert!(desk.refused(&["sign", "bundle", "--key", "maker.key"]).contains("self-test vectors were made for"));
    fs::write(&manifest, text).unwrap();
    // A damaged bundle gets no signature that makes it look good.
    fs::write(desk.path("bundle").join(bundle::MODEL_CARD), "better").unwrap();
    assert!(desk.refused(&["sign", "bundle", "--key", "maker.key"]).contains("MODEL_CARD.md: sha256 is"));
    assert!(desk.refused(&["verify", "bundle", "--key", &public]).contains("MODEL_CARD.md: sha256 is"));
}

#[test]
fn the_shipped_bundle_is_signed_by_the_projects_key() {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models");
    let [shipped, key] = ["ferplus-edge", "project.pub"].map(|name| models.join(name).display().to_string());
    let desk = Desk(tempfile::tempdir().unwrap());
    assert!(desk.done(&["verify", &shipped, "--key", &key]).contains("valid"));
}

#[test]
fn deploy_verifies_bundle_and_program_before_it_connects_and_signs_on_demand() {
    let desk = Desk::new();
    desk.program();
    desk.trusts(&desk.public("maker.key"));
    assert!(desk.refused(&DEPLOY).contains("edge-runtime: not signed"));
    desk.done(&["sign", "edge-runtime", "--key", "maker.key"]);
    assert!(desk.refused(&DEPLOY).contains("manifest.toml: not signed"));
    // From here on only the board is missing.
    let connects = |arguments: &[&str]| {
        let output = desk.host_trainer(&[&DEPLOY[..], arguments].concat());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(1) && said.contains("board.invalid"), "{output:?}");
        said
    };
    let said = connects(&["--sign", "maker.key"]);
    assert!(said.contains("signed: bundle/manifest.toml.minisig") && !said.contains("signed: edge-runtime"), "{said}");
    let signature = fs::read(desk.path("bundle/manifest.toml.minisig")).unwrap();
    assert!(!connects(&["--sign", "maker.key"]).contains("signed: "), "the same files are the same version");
    assert_eq!(fs::read(desk.path("bundle/manifest.toml.minisig")).unwrap(), signature);

    // A stranger's, and one that was altered since.
    desk.done(&["key", "new", "stranger.key", "--no-password"]);
    desk.done(&["sign", "bundle", "--key", "stranger.key"]);
    assert!(desk.refused(&DEPLOY).contains("only what is signed by key"));
    fs::write(desk.path("bundle/manifest.toml.minisig"), &signature).unwrap();
    let path = desk.path("bundle/manifest.toml");
    let manifest = fs::read_to_string(&path).unwrap();
    fs::write(&path, manifest.replace("happiness", "?").replace("anger", "happiness").replace('?', "anger")).unwrap();
    assert!(desk.refused(&DEPLOY).contains("manifest.toml: the signature of key"));
    fs::write(&path, manifest).unwrap();
    let mut program = fs::read(desk.path("edge-runtime")).unwrap();
    program.push(0);
    fs::write(desk.path("edge-runtime"), program).unwrap();
    assert!(desk.refused(&DEPLOY).contains("edge-runtime: the signature of key"));
    desk.trusts("RWQ");
    assert!(desk.refused(&DEPLOY).contains("board.toml: trust: \"RWQ\" is not a public key"));
}

#[test]
fn upgrade_removes_the_signature_that_no_longer_matches_and_says_so() {
    let desk = Desk::new();
    let (vectors, manifest) = (desk.path("bundle").join(bundle::SELFTEST), desk.path("bundle").join(bundle::MANIFEST));
    let whole = fs::read(&vectors).unwrap();
    // As an earlier version wrote it.
    let tensors = SafeTensors::deserialize(&whole).unwrap();
    let old = [FACES, SCORES].map(|name| {
        let tensor = tensors.tensor(name).unwrap();
        (name, TensorView::new(Dtype::U8, tensor.shape().to_vec(), tensor.data()).unwrap())
    });
    let old = serialize(old, None).unwrap();
    fs::write(&vectors, &old).unwrap();
    let text = fs::read_to_string(&manifest).unwrap();
    fs::write(&manifest, text.replace(&files::sha256(&whole), &files::sha256(&old))).unwrap();
    desk.done(&["sign", "bundle", "--key", "maker.key"]);
    fs::create_dir(desk.path("bundle/notes")).unwrap();
    assert!(desk.refused(&["upgrade", "bundle"]).contains("bundle/notes: a bundle holds only files"));
    fs::remove_dir(desk.path("bundle/notes")).unwrap();
    let said = desk.done(&["upgrade", "bundle"]);
    assert!(said.lines().count() == 1 && said.contains("signature no longer matches and was removed"), "{said}");
    assert!(!desk.path("bundle/manifest.toml.minisig").exists());
    desk.done(&["sign", "bundle", "--key", "maker.key"]);
    // One that is up to date keeps its signature.
    assert!(desk.done(&["upgrade", "bundle"]).ends_with("is up to date\n"));
    desk.done(&["verify", "bundle", "--key", "maker.key.pub"]);
}
