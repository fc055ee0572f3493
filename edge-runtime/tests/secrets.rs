//! Tokens and passwords come from files, and get into neither arguments nor logs nor the journal.

use std::fs;
use std::path::Path;
use std::process::Command;

use clap::CommandFactory;
use edge_runtime::command::{Cli, settings};

/// Every argument of a command and of those below it, with the command's name.
fn arguments(command: &clap::Command) -> Vec<(String, clap::Arg)> {
    let own = command.get_arguments().map(|argument| (command.get_name().to_owned(), argument.clone()));
    own.chain(command.get_subcommands().flat_map(arguments)).collect()
}

#[test]
fn no_secret_is_an_argument() {
    let is_secret = |name: &str| ["token", "password", "secret"].iter().any(|word| name.contains(word));
    let mut secrets = 0;
    for (command, argument) in arguments(&Cli::command()) {
        let names = argument.get_long_and_visible_aliases().unwrap_or_default();
        for name in names.into_iter().filter(|name| is_secret(name)) {
            let value = argument.get_value_names().unwrap_or_default().first().map(|name| name.to_string());
            assert!(name.ends_with("-file") && value.as_deref() == Some("FILE"), "{command} --{name} {value:?}");
            secrets += 1;
        }
    }
    // The least: the preview's token under both of its names, and the broker's password.
    assert!(secrets >= 3, "{secrets}");
}

#[test]
fn a_cameras_password_is_not_in_the_command_line_that_the_journal_keeps() {
    for (given, kept) in [
        (&["--source", "rtsp://me:hunter2@camera/1"][..], "--source rtsp://camera/1"),
        (&["--source=rtsp://me:hunter2@camera:8554/1"], "--source=rtsp://camera:8554/1"),
        (&["--source", "rtsp://me@camera/1"], "--source rtsp://me@camera/1"),
        (&["--source", "rtsp://camera/1?pw=hunter2"], "--source rtsp://camera/1?pw=***"),
        (&["--source", "command:curl -u me:hunter2 http://h"], "--source command:curl -u me:*** http://h"),
    ] {
        let words = [&["edge-runtime", "run", "--board", "generic-x86-64"][..], given].concat();
        let (_, settings) = settings::parse(words.iter().map(Into::into), false).unwrap();
        let line = settings.unwrap().line;
        assert!(line.starts_with(&format!("run --board generic-x86-64 {kept}")), "{line}");
    }
}

/// What never ends must not be read to its end, and what nobody writes to must not be waited for.
#[cfg(all(feature = "preview", feature = "mqtt-tls"))]
#[test]
fn secrets_are_read_from_regular_files_only() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe").display().to_string();
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    for flags in [
        &["--preview", "127.0.0.1:0", "--preview-token-file"][..],
        &["--mqtt", "mqtt://me@localhost", "--mqtt-password-file"],
        &["--mqtt", "mqtts://localhost", "--mqtt-ca-file"],
    ] {
        for file in [pipe.as_str(), "/dev/zero"] {
            let mut command = Command::new(env!("CARGO_BIN_EXE_edge-runtime"));
            command.args(["run", "--board", "generic-x86-64", "--source", "y4m:-"]).args(flags).arg(file);
            let output = command.output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert_eq!((output.status.code(), said.lines().count()), (Some(2), 1), "{flags:?}: {said}");
            assert!(said.contains("not a regular file"), "{said}");
        }
    }
}

#[cfg(feature = "mqtt-tls")]
#[test]
fn an_authority_without_encryption_is_refused() {
    for (url, code) in [("mqtt://localhost", 2), ("mqtts://localhost", 0)] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_edge-runtime"));
        command.args(["config", "show", "--board", "generic-x86-64", "--mqtt", url, "--mqtt-ca-file", "ca.pem"]);
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(code == 0 || said.lines().count() == 1 && said.contains("mqtts://HOST"), "{said}");
    }
}

#[test]
fn a_token_is_in_no_log_and_no_journal() {
    let bundle = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/ferplus-edge");
    if !bundle.join("detector.onnx").exists() {
        return eprintln!("skipped: no detector beside the shipped bundle; `cargo xtask setup` puts it there");
    }
    let token = "correct-horse-battery-staple";
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::write(path("token"), format!("{token}\n")).unwrap();
    let frame = [&b"FRAME\n"[..], &[128; 64 * 64 * 3 / 2]].concat();
    fs::write(path("video.y4m"), [&b"YUV4MPEG2 W64 H64 F10:1 C420\n"[..], &frame, &frame].concat()).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_edge-runtime"));
    command.env_remove("RUST_LOG").current_dir(folder.path()).args(["run", "--board", "generic-x86-64", "-vvv"]);
    command.args(["--preview", "0.0.0.0:0", "--preview-token-file", "token"]).arg("--bundle").arg(bundle);
    let output = command.args(["--source", "y4m:video.y4m", "--journal", "journal.sqlite"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("done:"), "{said}");
    assert!(!said.contains(token), "{said}");
    for entry in fs::read_dir(folder.path()).unwrap().map(Result::unwrap) {
        let bytes = fs::read(entry.path()).unwrap();
        let holds = bytes.windows(token.len()).any(|window| window == token.as_bytes());
        assert_eq!(holds, entry.file_name() == "token", "{entry:?}");
    }
}
