//! `host-trainer deploy` against a real ssh server and a folder that is taken for a board's root.

mod board;
mod fleet;
mod signed;

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use board::{Board, Outcome, edge_runtime, skipped, workspace};

/// A copy of the shipped bundle, without its detector as in the repository.
fn bundle(board: &Board, name: &str) -> PathBuf {
    let (from, to) = (workspace().join("models/ferplus-edge"), board.desk(name));
    fs::create_dir_all(&to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        if entry.file_name() != "detector.onnx" {
            fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
    to
}

fn eventually(what: &str, holds: impl Fn() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(60), "not within a minute: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn versions_come_stay_and_go_back() {
    let Some(board) = Board::start() else { return };
    assert_eq!(
        board.status().done(),
        "current none\nprevious none\nservice inactive not-installed\n",
        "before the first deploy"
    );

    let shipped = bundle(&board, "without-detector");
    let first = Outcome::of(&mut board.deploy_command("one", &shipped));
    assert!(first.talk.contains("ok    detector    loads"), "{first:#?}");
    assert!(first.talk.contains("fail  camera") || first.talk.contains("ok    camera"), "{first:#?}");
    let answer = first.done();
    let one = board.version("current").unwrap();
    assert_eq!(answer, format!("{one} runs\n"));
    assert!(!shipped.join("detector.onnx").exists(), "the workstation's bundle stays as it is");
    assert!(!board.path("usr/share/edge-runtime/bundle/expression-f32.onnx").exists());
    assert_eq!((board.runs().as_str(), board.restarts(), board.version("previous")), ("one", 1, None));
    for path in ["etc/systemd/system/edge-runtime.service", "etc/udev/rules.d/60-edge-runtime.rules", "enabled"] {
        assert!(board.path(path).is_file(), "{path}");
    }
    let program = board.path("usr/bin/edge-runtime");
    assert!(Command::new(program).arg("--version").output().unwrap().status.success());

    // What runs already is left alone, and a service that stopped is started.
    assert_eq!(board.deploy("one").done(), format!("{one} runs already\n"));
    assert_eq!(board.restarts(), 1);
    fs::remove_file(board.path("active")).unwrap();
    assert_eq!(board.deploy("one").done(), format!("{one} runs\n"));
    assert_eq!((board.restarts(), board.version("previous")), (2, None));

    board.deploy("two").done();
    let two = board.version("current").unwrap();
    assert_eq!((board.runs().as_str(), board.version("previous").unwrap()), ("two", one.clone()));
    // Disabled by somebody who meant it.
    fs::remove_file(board.path("enabled")).unwrap();
    board.deploy("three").done();
    let three = board.version("current").unwrap();
    assert!(!board.path("enabled").exists());
    let mut kept = [two.clone(), three.clone()];
    kept.sort();
    assert_eq!(board.versions(), kept, "older ones are deleted");

    let status = board.status().done();
    let lines: Vec<&str> = status.lines().collect();
    assert!(lines[0].starts_with(&format!("current {three} board=generic-x86-64 bundle=ferplus-edge state=up@20")));
    assert!(lines[1].starts_with(&format!("previous {two} ")));
    assert_eq!(lines[2], "service active disabled");

    for (back, other, note) in [(&two, &three, "two"), (&three, &two, "three")] {
        assert_eq!(Outcome::of(&mut board.command(&["--rollback"])).done(), format!("{back} runs\n"));
        assert_eq!((&board.version("current").unwrap(), &board.version("previous").unwrap()), (back, other));
        assert_eq!(board.runs(), note);
    }

    // The previous one is there already: nothing is sent.
    let again = board.deploy("two");
    assert!(!again.talk.contains("sending"), "{again:#?}");
    again.done();
    assert_eq!(board.version("previous").unwrap(), three);
}

#[test]
fn what_does_not_come_up_is_taken_back() {
    let Some(board) = Board::start() else { return };
    let error = board.deploy("does not come up").error(1);
    assert!(error.contains("was taken away again"), "{error}");
    assert!(board.versions().is_empty() && board.version("current").is_none());
    for path in ["usr/bin/edge-runtime", "etc/edge-runtime/board.toml", "etc/systemd/system/edge-runtime.service"] {
        assert!(!board.path(path).is_symlink() && !board.path(path).exists(), "{path}");
    }

    board.deploy("zero").done();
    board.deploy("one").done();
    let (one, zero) = (board.version("current").unwrap(), board.version("previous").unwrap());
    for note in ["does not come up", "restarts at times"] {
        let error = board.deploy(note).error(1);
        assert!(error.contains(&format!("{one} runs again")), "{error}");
        assert_eq!((board.runs().as_str(), board.version("current").unwrap()), ("one", one.clone()));
        assert_eq!((board.version("previous").unwrap(), board.versions().len()), (zero.clone(), 2));
        assert!(board.path("active").exists());
    }

    // A deploy that died between switching over and looking: the next one of the same version looks, and goes back.
    let systemctl = include_str!("systemctl.sh").replace("@ROOT@", &board.root().display().to_string());
    board.stand_in("systemctl", "#!/bin/sh\nkill -9 $PPID\n");
    let killed = board.deploy("does not come up");
    assert_ne!(killed.code, Some(0), "{killed:#?}");
    assert_eq!(board.runs(), "does not come up");
    board.stand_in("systemctl", &systemctl);
    let error = board.deploy("does not come up").error(1);
    assert!(error.contains(&format!("{one} runs again")), "{error}");
    assert_eq!((board.runs().as_str(), board.version("previous")), ("one", None));
}

#[test]
fn what_is_broken_or_foreign_is_refused_and_the_old_one_stays() {
    let Some(board) = Board::start() else { return };
    board.deploy("one").done();
    let one = board.version("current").unwrap();

    let flipped = bundle(&board, "flipped");
    let graph = flipped.join("expression.onnx");
    let mut bytes = fs::read(&graph).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&graph, bytes).unwrap();
    let error = Outcome::of(&mut board.deploy_command("two", &flipped)).error(2);
    assert!(error.contains("expression.onnx: sha256 is"), "{error}");

    // Whole, but with another answer than this board gives: only the board can notice.
    let other = bundle(&board, "other");
    let (vectors, manifest) = (other.join("selftest.safetensors"), other.join("manifest.toml"));
    let mut bytes = fs::read(&vectors).unwrap();
    let old = expression_engine::files::sha256(&bytes);
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&vectors, &bytes).unwrap();
    let text = fs::read_to_string(&manifest).unwrap();
    fs::write(&manifest, text.replace(&old, &expression_engine::files::sha256(&bytes))).unwrap();
    let error = Outcome::of(&mut board.deploy_command("two", &other)).error(1);
    assert!(error.contains("refused by this board's doctor: bundle"), "{error}");

    let mut elf = fs::read(edge_runtime()).unwrap();
    elf[18] = 183;
    let foreign = board.desk("foreign");
    fs::write(&foreign, elf).unwrap();
    let generic = ["--board", "generic-x86-64", "--binary", foreign.to_str().unwrap()];
    let error = Outcome::of(&mut board.command(&generic)).error(2);
    assert!(error.contains("for aarch64, and generic-x86-64 is x86_64; build it with `cargo xtask build"), "{error}");
    let absent = board.desk("absent");
    let raspberry = ["--board", "raspberry-pi-4b", "--binary", absent.to_str().unwrap()];
    let error = Outcome::of(&mut board.command(&raspberry)).error(2);
    assert!(error.contains("boards/raspberry-pi-4b.toml`, or give --binary"), "{error}");

    // For the right processor, but no program of this board.
    let broken = board.desk("broken");
    fs::write(&broken, &fs::read(edge_runtime()).unwrap()[..4096]).unwrap();
    let generic = ["--board", "generic-x86-64", "--binary", broken.to_str().unwrap()];
    let error = Outcome::of(&mut board.command(&generic)).error(1);
    assert!(error.contains("edge-runtime does not start on this board"), "{error}");

    let text = fs::read_to_string(workspace().join("boards/generic-x86-64.toml")).unwrap();
    let elsewhere = board.desk("elsewhere.toml");
    fs::write(&elsewhere, text.replace("/usr/share/edge-runtime/bundle", "/srv/bundle")).unwrap();
    let error = Outcome::of(&mut board.command(&["--board", elsewhere.to_str().unwrap()])).error(2);
    assert!(error.contains("paths.bundle is /srv/bundle"), "{error}");

    assert_eq!((board.version("current").unwrap(), board.versions(), board.restarts()), (one.clone(), vec![one], 1));
    assert!(!board.path("opt/edge-runtime/incoming").exists());
}

#[test]
fn what_a_package_put_there_stays() {
    let Some(board) = Board::start() else { return };
    let program = board.path("usr/bin/edge-runtime");
    fs::create_dir_all(program.parent().unwrap()).unwrap();
    fs::write(&program, "of a package").unwrap();
    let error = board.deploy("one").error(2);
    assert!(error.contains("/usr/bin/edge-runtime is no link of a deploy"), "{error}");
    assert_eq!((fs::read_to_string(program).unwrap().as_str(), board.version("current")), ("of a package", None));
    assert!(board.versions().is_empty());
}

#[test]
fn what_is_killed_in_the_middle_leaves_the_old_version() {
    let Some(board) = Board::start() else { return };
    board.deploy("one").done();
    let one = board.version("current").unwrap();
    let incoming = board.path("opt/edge-runtime/incoming");
    let stands = |what: &str| {
        assert_eq!((board.runs().as_str(), board.version("current").unwrap()), ("one", one.clone()), "{what}");
        assert_eq!((board.version("previous"), board.versions().len(), board.restarts()), (None, 1, 1), "{what}");
    };

    // The workstation's part.
    board.stand_in(
        "tar",
        "#!/bin/sh\ndd bs=1024 count=1000 2>/dev/null | /bin/tar \"$@\"\nsleep 1\ncat >/dev/null\nexit 2\n",
    );
    let mut command = board.deploy_command("two", &workspace().join("models/ferplus-edge"));
    let mut running = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    eventually("files come in", || fs::read_dir(&incoming).is_ok_and(|mut files| files.next().is_some()));
    running.kill().unwrap();
    running.wait().unwrap();
    eventually("the board notices", || !incoming.exists());
    stands("the workstation's part was killed");

    // The board's part.
    board.stand_in("tar", "#!/bin/sh\ndd bs=1024 count=1000 2>/dev/null | /bin/tar \"$@\"\nexit 0\n");
    board.stand_in("timeout", "#!/bin/sh\nshift\n\"$@\"\nkill -9 $PPID\n");
    let killed = board.deploy("two");
    assert_eq!(killed.code, Some(1), "{killed:#?}");
    assert!(incoming.exists());
    stands("the board's part was killed");
    board.without("timeout");

    // A transfer that ends early without anybody noticing.
    let error = board.deploy("two").error(1);
    assert!(error.contains("did not arrive whole"), "{error}");
    stands("the files were cut");

    board.without("tar");
    board.deploy("two").done();
    assert_eq!((board.runs().as_str(), board.version("previous").unwrap()), ("two", one.clone()));
}

#[test]
fn deploys_exclude_each_other() {
    let Some(board) = Board::start() else { return };
    board.deploy("one").done();
    let lock = fs::File::open(board.path("opt/edge-runtime/lock")).unwrap();
    lock.lock().unwrap();
    let error = board.deploy("two").error(1);
    assert!(error.contains("another deploy is running"), "{error}");
    assert!(board.status().done().contains("service active"), "looking is free");
    lock.unlock().unwrap();
    board.deploy("two").done();
}

#[test]
fn a_board_without_systemd_is_switched_over_alone() {
    let Some(board) = Board::start() else { return };
    fs::remove_dir_all(board.path("run/systemd")).unwrap();
    let Some(busybox) = std::env::split_paths(&std::env::var_os("PATH").unwrap())
        .map(|folder| folder.join("busybox"))
        .find(|path| path.exists())
    else {
        return skipped("deploying to busybox: no busybox here; `sudo apt-get install busybox` brings it");
    };
    // All that the board has is busybox, and flock, which Debian's busybox lacks.
    let folder = board.desk("busybox/applets").with_file_name("applets");
    let applets = Command::new(&busybox).arg("--list").output().unwrap();
    fs::create_dir_all(&folder).unwrap();
    for applet in String::from_utf8(applets.stdout).unwrap().lines() {
        symlink(&busybox, folder.join(applet)).unwrap();
    }
    let _ = fs::remove_file(folder.join("flock"));
    symlink("/usr/bin/flock", folder.join("flock")).unwrap();
    let start = format!("#!/bin/sh\nPATH={}\nexport PATH\nexec {} sh \"$@\"\n", folder.display(), busybox.display());
    board.stand_in("sh", &start);

    let error = board.deploy("one").error(2);
    assert!(error.contains("does not run systemd") && error.contains("--no-service"), "{error}");
    let shipped = workspace().join("models/ferplus-edge");
    let deploy = |note: &str| Outcome::of(board.deploy_command(note, &shipped).arg("--no-service")).done();
    assert!(deploy("one").ends_with("is in place; nothing was restarted\n"));
    assert!(deploy("one").ends_with("is in place already\n"));
    let one = board.version("current").unwrap();
    deploy("two");
    assert_eq!((board.runs().as_str(), board.version("previous").unwrap()), ("two", one));
    assert!(board.status().done().ends_with("service none: this board does not run systemd\n"));
    Outcome::of(&mut board.command(&["--rollback", "--no-service"])).done();
    assert_eq!(board.runs(), "one");
    assert!(!board.path("calls").exists(), "no service was touched");
    assert!(!board.path("etc/systemd").exists());
}

#[test]
fn rights_are_asked_for_once_and_without_a_password() {
    let Some(board) = Board::start() else { return };
    board.stand_in("id", "#!/bin/sh\n[ \"$1\" != -u ] || echo 1000\n");
    let calls = board.path("sudo-calls");
    let sudo = format!("#!/bin/sh\n[ \"$1\" = -n ] || exit 1\nshift\necho \"$1\" >>{}\nexec \"$@\"\n", calls.display());
    board.stand_in("sudo", &sudo);
    board.deploy("one").done();
    assert_eq!(fs::read_to_string(&calls).unwrap(), "true\nsh\n");

    board.stand_in("sudo", "#!/bin/sh\necho 'sudo: a password is required' >&2\nexit 1\n");
    let error = board.deploy("two").error(1);
    assert!(error.contains("sudo wants a password") && error.contains("NOPASSWD"), "{error}");
    assert_eq!(board.runs(), "one");
    assert!(board.status().done().starts_with("current "), "looking needs no rights");
}

/// An ssh of one's own in the PATH.
fn with_ssh(script: &str, arguments: &[&str]) -> Outcome {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let ssh = folder.path().join("ssh");
    fs::write(&ssh, script).unwrap();
    fs::set_permissions(&ssh, fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_host-trainer"));
    command.args(["deploy", "--host", "pi@board"]).args(arguments);
    command.env("PATH", format!("{}:/usr/bin:/bin", folder.path().display()));
    Outcome::of(&mut command)
}

#[test]
fn an_ssh_that_runs_nothing_is_no_success() {
    for action in ["--status", "--rollback"] {
        let outcome = with_ssh("#!/bin/sh\nexit 0\n", &[action]);
        assert_eq!(outcome.talk.lines().count(), 1, "{outcome:#?}");
        let error = outcome.error(1);
        assert!(error.contains("without running the commands") && error.contains("try `ssh pi@board id`"), "{error}");
    }
}

#[test]
fn a_silent_board_is_given_up() {
    let outcome = with_ssh("#!/bin/sh\nexec sleep 100\n", &["--status", "--patience", "1", "--settle", "1"]);
    assert_eq!(outcome.talk.lines().count(), 1, "{outcome:#?}");
    let error = outcome.error(1);
    assert!(error.contains("no answer for 2 s"), "{error}");
}

#[test]
fn who_cannot_be_reached_is_told_in_one_line() {
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port().to_string();
    let mut command = Command::new(env!("CARGO_BIN_EXE_host-trainer"));
    command.args(["deploy", "--host", "pi@127.0.0.1", "--port", &port, "--status"]);
    let outcome = Outcome::of(&mut command);
    assert_eq!(outcome.talk.lines().count(), 1, "{outcome:#?}");
    let error = outcome.error(1);
    assert!(
        error.contains("Connection refused") && error.contains(&format!("try `ssh -p {port} pi@127.0.0.1`")),
        "{error}"
    );

    let mut command = Command::new(env!("CARGO_BIN_EXE_host-trainer"));
    command.args(["deploy", "--host", "-oProxyCommand=reboot", "--status"]);
    assert_eq!(Outcome::of(&mut command).code, Some(2));
    for (arguments, told) in [
        (["--host", "pi@127.0.0.1:29", "--port", "22"], "give --host pi@127.0.0.1 --port 29"),
        (["--host", "pi@127.0.0.1", "--port", "0"], "1..=65535"),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_host-trainer"));
        let outcome = Outcome::of(command.args(["deploy", "--status"]).args(arguments));
        assert!(outcome.code == Some(2) && outcome.talk.contains(told), "{outcome:#?}");
    }

    let Some(board) = Board::start() else { return };
    let strange = Outcome::of(&mut board.command(&["--status", "--ssh-option", "PubkeyAuthentication=no"]));
    assert_eq!(strange.talk.lines().count(), 1, "{strange:#?}");
    let error = strange.error(1);
    assert!(error.contains("Permission denied"), "{error}");
}
