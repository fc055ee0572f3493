//! `host-trainer deploy --fleet` and `host-trainer fleet` against many boards, each an ssh server of its own with a root folder of
//! its own. `FLEET_BOARDS` (50) is how many, `PROMISE_TIMES` (3) how often a roll-out is killed at a random moment.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use expression_engine::files;
use test_support::promise;

use super::board::{Board, Outcome, workspace};

/// `stand_in.rs` as a program of this machine.
fn stand_in() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join("stand-in");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/deploy/stand_in.rs");
        let mut build = Command::new("rustc");
        build.args(["--edition=2024", "-O", "-Cstrip=symbols", "-o"]).arg(&program).arg(source);
        assert!(build.status().unwrap().success(), "rustc fails");
        program
    })
}

/// Many boards, and a workstation's folder.
struct Yard {
    boards: Vec<Board>,
    desk: tempfile::TempDir,
}

impl Yard {
    fn open(count: usize) -> Option<Yard> {
        let first = Board::start()?;
        let start = |_| std::thread::spawn(|| Board::start().unwrap());
        let others: Vec<_> = (1..count).map(start).collect();
        let boards = [first].into_iter().chain(others.into_iter().map(|board| board.join().unwrap())).collect();
        Some(Yard { boards, desk: tempfile::tempdir().unwrap() })
    }

    /// A `fleet.toml` with all boards, whose version has `note` in its board file. The first two are the kitchen's.
    fn fleet(&self, note: &str) -> PathBuf {
        let desk = self.desk.path();
        let board = fs::read_to_string(workspace().join("boards/generic-x86-64.toml")).unwrap();
        fs::write(desk.join("board.toml"), board.replace("notes = []", &format!("notes = [{note:?}]"))).unwrap();
        let (program, bundle) = (stand_in().display(), workspace().join("models/ferplus-edge"));
        let mut text = format!(
            "[defaults]\nboard = \"./board.toml\"\nbinary = \"{program}\"\nbundle = \"{}\"\nsettle = 1\nhealth = 2\n\
             user = \"{}\"\nmetrics = 9090\n[groups.kitchen]\n",
            bundle.display(),
            Board::user()
        );
        for (index, board) in self.boards.iter().enumerate() {
            let groups = if index < 2 { "\"kitchen\"" } else { "" };
            text += &format!(
                "[boards.board-{index:02}]\nhost = \"127.0.0.1\"\nport = {}\nidentity = \"{}\"\nroot = \"{}\"\n\
                 groups = [{groups}]\nssh_options = {:?}\n",
                board.port(),
                board.key().display(),
                board.root().display(),
                board.ssh_options()
            );
        }
        let path = desk.join("fleet.toml");
        fs::write(&path, text).unwrap();
        path
    }

    fn deploy_command(&self, note: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_host-trainer"));
        command.args(["deploy", "--patience", "60", "--fleet"]).arg(self.fleet(note));
        command
    }

    fn deploy(&self, note: &str) -> Outcome {
        Outcome::of(&mut self.deploy_command(note))
    }

    fn notes(&self) -> Vec<String> {
        self.boards.iter().map(Board::runs).collect()
    }

    /// Whether each board has a whole version whose program starts, and everything of it leads there.
    fn assert_all_work(&self, when: &str) {
        for (index, board) in self.boards.iter().enumerate() {
            let id = board.version("current").unwrap_or_else(|| panic!("{when}: board {index} has no version"));
            let folder = board.path("opt/edge-runtime/versions").join(&id);
            let sums = fs::read(folder.join("SHA256SUMS")).unwrap();
            assert!(files::sha256(&sums).starts_with(&id), "{when}: board {index}");
            for line in String::from_utf8(sums).unwrap().lines() {
                let (sum, name) = line.split_once("  ").unwrap();
                let found = files::sha256(&fs::read(folder.join(name)).unwrap());
                assert_eq!(found, sum, "{when}: board {index}: {name}");
            }
            let started = Command::new(board.path("usr/bin/edge-runtime")).arg("--version").output().unwrap();
            assert!(started.status.success(), "{when}: board {index}");
        }
    }
}

fn setting(name: &str, default: usize) -> usize {
    std::env::var(name).map_or(default, |value| value.parse().unwrap_or_else(|_| panic!("{name}: {value}")))
}

/// Says past the capture of the test harness what was measured.
fn measured(what: &str) {
    super::board::tell(what);
}

#[test]
fn a_fleet_gets_a_version_the_broken_boards_are_named_and_kills_leave_all_working() {
    let (count, kills) = (setting("FLEET_BOARDS", 50).max(6), promise::times(3));
    let Some(yard) = Yard::open(count) else { return };
    let begun = Instant::now();
    let first = yard.deploy("one").done();
    measured(&format!("{count} boards got their first version in {:.1} minutes", minutes(begun)));
    assert!(first.lines().last().unwrap().starts_with(&format!("{count} of {count} boards run")), "{first}");
    yard.assert_all_work("after the first roll-out");
    let duration = begun.elapsed();

    let broken = [count - 4, count - 3, count - 2, count - 1];
    let [hangs, full, other, lost] = broken.map(|index| &yard.boards[index]);
    hangs.stand_in("uname", "#!/bin/sh\nexec sleep 600\n");
    full.stand_in("df", "#!/bin/sh\necho '/dev/mmcblk0p2 1000 990 10 99% /'\n");
    other.stand_in("uname", "#!/bin/sh\necho armv6l\n");
    lost.stand_in("tar", &lost.dies_after(200));

    // Killed at random moments, the versions alternating so that there is always something to do.
    let seed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64;
    measured(&format!("the moments of {kills} kills come from seed {seed}"));
    let mut random = seed;
    for kill in 0..kills {
        let note = if kill % 2 == 0 { "two" } else { "three" };
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let after = duration.mul_f64((random >> 33) as f64 / (1u64 << 31) as f64);
        let mut command = yard.deploy_command(note);
        let mut running = command.stdout(Stdio::null()).stderr(Stdio::null()).process_group(0).spawn().unwrap();
        std::thread::sleep(after);
        running.kill().unwrap();
        running.wait().unwrap();
        yard.assert_all_work(&format!("killed after {after:?}, kill {kill}, seed {seed}"));
    }
    let (checked, longest) = (kills * count as u64, duration.as_secs_f64());
    promise::measured(
        format!("{kills} kills within the {longest:.0} s that a roll-out to {count} boards takes"),
        format!("0 of {} versions that boards had after the kills", promise::count(checked)),
    );

    let begun = Instant::now();
    let outcome = yard.deploy("four");
    measured(&format!("{count} boards, 4 of them broken, were brought up to date in {:.1} minutes", minutes(begun)));
    assert_eq!(outcome.code, Some(1), "{outcome:#?}");
    let healthy = count - 4;
    let last = outcome.answer.lines().last().unwrap().to_owned();
    assert!(last.starts_with(&format!("{healthy} of {count} boards run their version")), "{outcome:#?}");
    let line = |index: usize| {
        let name = format!("board-{index:02}: ");
        outcome.answer.lines().find_map(|line| line.strip_prefix(&name)).unwrap_or_else(|| panic!("{outcome:#?}"))
    };
    assert!(line(broken[0]).starts_with("unfit: nothing more was heard for 30 s"), "{outcome:#?}");
    assert!(line(broken[1]).contains("unfit: the version takes") && line(broken[1]).contains("make room"));
    assert!(line(broken[2]).starts_with("unfit: this board is armv6l and the version is for x86_64"), "{outcome:#?}");
    assert!(line(broken[3]).starts_with("lost: ") || line(broken[3]).starts_with("unfit: "), "{outcome:#?}");
    yard.assert_all_work("in the end");
    assert_eq!(yard.notes()[..healthy], vec!["four"; healthy]);
    assert!(broken.iter().all(|index| yard.boards[*index].runs() != "four"));

    // Nothing is left to do for the healthy ones: nobody is sent anything, and no service is restarted.
    let restarts: Vec<usize> = yard.boards.iter().map(Board::restarts).collect();
    full.without("df");
    let again = yard.deploy("four");
    assert_eq!(again.talk.matches("sending").count(), 1, "{again:#?}");
    let changed = yard.boards.iter().zip(restarts).filter(|(board, before)| board.restarts() != *before).count();
    assert_eq!((changed, full.runs().as_str()), (1, "four"));
}

fn minutes(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() / 60.0
}

#[test]
fn the_canary_takes_a_bad_version_back_and_spares_the_rest() {
    let Some(yard) = Yard::open(4) else { return };
    yard.deploy("one").done();
    let ids: Vec<_> = yard.boards.iter().map(|board| board.version("current")).collect();
    // Another program and another bundle come with the board file, and go with it.
    let (old_program, old_bundle) = (stand_in().to_owned(), workspace().join("models/ferplus-edge"));
    let (program, bundle) = (yard.desk.path().join("new"), yard.desk.path().join("bundle"));
    let mut bytes = fs::read(&old_program).unwrap();
    bytes.extend(b"new");
    fs::write(&program, bytes).unwrap();
    fs::create_dir(&bundle).unwrap();
    for entry in fs::read_dir(&old_bundle).unwrap().map(Result::unwrap) {
        fs::copy(entry.path(), bundle.join(entry.file_name())).unwrap();
    }
    let manifest = fs::read_to_string(bundle.join("manifest.toml")).unwrap();
    fs::write(bundle.join("manifest.toml"), format!("{manifest}\n# new\n")).unwrap();
    for (note, kind, reason) in [
        ("does not come up", "rolled back", "did not come up"),
        ("cannot open the camera", "rolled back", "is not well (camera: no frame has come yet)"),
        ("refused by the doctor", "refused", "this board cannot run it"),
    ] {
        let mut command = yard.deploy_command(note);
        let outcome = Outcome::of(command.arg("--binary").arg(&program).arg("--bundle").arg(&bundle));
        assert_eq!(outcome.code, Some(1), "{outcome:#?}");
        let lines: Vec<&str> = outcome.answer.lines().collect();
        assert!(lines[0].starts_with(&format!("board-00: {kind}: ")) && lines[0].contains(reason), "{outcome:#?}");
        assert_eq!(lines[1], "board-01: not tried: the version failed on another board");
        assert!(lines[4].starts_with("0 of 4 boards"), "{outcome:#?}");
        assert_eq!(yard.notes(), ["one"; 4], "{note}");
        assert_eq!(yard.boards.iter().map(|board| board.version("current")).collect::<Vec<_>>(), ids);
        let canary = &yard.boards[0];
        let same = |path: &str, file: &Path| fs::read(canary.path(path)).unwrap() == fs::read(file).unwrap();
        assert!(same("usr/bin/edge-runtime", &old_program), "{note}");
        assert!(same("usr/share/edge-runtime/bundle/manifest.toml", &old_bundle.join("manifest.toml")), "{note}");
        assert!(canary.path("active").exists(), "{note}: the old one runs again");
    }
    // What failed with this version is tried first, though another board comes first by name.
    let first = &yard.boards[0];
    first.stand_in("df", "#!/bin/sh\necho '/dev/mmcblk0p2 1000 990 10 99% /'\n");
    let outcome = yard.deploy("refused by the doctor");
    assert!(outcome.answer.starts_with("board-00: unfit: ") && outcome.answer.contains("\nboard-01: refused: "));
    first.without("df");
    let outcome = yard.deploy("refused by the doctor");
    assert!(outcome.answer.starts_with("board-00: not tried: "), "{outcome:#?}");
    assert!(outcome.answer.contains("\nboard-01: refused: "), "{outcome:#?}");

    // A camera that failed before is not the version's fault.
    fs::write(yard.boards[1].path("unplugged"), "").unwrap();
    let outcome = yard.deploy("two");
    assert_eq!(outcome.answer.lines().last().map(|line| line.starts_with("4 of 4")), Some(true), "{outcome:#?}");
    outcome.done();
    assert_eq!(yard.notes(), ["two"; 4]);
}

#[test]
fn a_fleet_is_asked_how_it_is_through_a_jump_host() {
    let Some(yard) = Yard::open(3) else { return };
    let mut kitchen = yard.deploy_command("one");
    let outcome = Outcome::of(kitchen.args(["--group", "kitchen", "--canary", "2"])).done();
    assert!(outcome.contains("2 of 2 boards run") && !outcome.contains("board-02"), "{outcome}");

    // The third board is the gateway to the first, by a configuration of ssh's own.
    let gateway = &yard.boards[2];
    let options: String =
        gateway.ssh_options().iter().map(|option| format!("  {}\n", option.replacen('=', " ", 1))).collect();
    let config = format!(
        "Host gateway\n  HostName 127.0.0.1\n  Port {}\n  User {}\n  IdentityFile {}\n{options}",
        gateway.port(),
        Board::user(),
        gateway.key().display()
    );
    fs::write(yard.desk.path().join("ssh_config"), config).unwrap();
    let path = yard.fleet("one");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replacen("groups = [", "jump = \"gateway\"\nssh_config = \"ssh_config\"\ngroups = [", 1))
        .unwrap();
    let fleet = |words: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_host-trainer"));
        Outcome::of(command.args(["fleet", words[0]]).arg(&path).args(&words[1..]))
    };
    let status = fleet(&["status"]);
    let rows: Vec<&str> = status.answer.lines().collect();
    assert!(
        rows[1].starts_with("board-00  well") && rows[1].contains("25.0      3            40.5  4.00 KiB"),
        "{status:#?}"
    );
    assert!(rows[3].starts_with("board-02  no answer"), "{status:#?}");
    assert!(status.error(1).contains("1 of 3 boards are not well"));
    // Once on its own behalf, and once for the board behind it.
    let log = gateway.log();
    assert_eq!(log.matches("Accepted publickey").count(), 2, "{log}");

    let json = fleet(&["status", "--json", "--group", "kitchen"]).done();
    let rows: Vec<serde_json::Value> = json.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((rows.len(), &rows[0]["board"], &rows[1]["health"]["faces_today"]), (2, &"board-00".into(), &3.into()));
    assert_eq!(rows[0]["deployed"].as_str(), yard.boards[0].version("current").as_deref());
    let found: serde_json::Value = serde_json::from_str(&fleet(&["prometheus"]).done()).unwrap();
    assert_eq!(
        (&found[1]["targets"][0], &found[1]["labels"]["groups"]),
        (&"127.0.0.1:9090".into(), &",kitchen,".into())
    );

    fs::write(&path, text.replacen("settle", "setle", 1)).unwrap();
    let error = fleet(&["status"]).error(2);
    assert!(error.contains("fleet.toml: line 5: unknown key `setle`; did you mean `settle`?"), "{error}");
}

/// Nothing here takes so long.
const LONG: Duration = Duration::from_secs(120);

#[test]
fn one_roll_out_at_a_time_and_an_interrupted_one_ends_in_order() {
    let Some(yard) = Yard::open(3) else { return };
    yard.deploy("one").done();
    // The canary waits here until it is let go.
    let gate = yard.desk.path().join("gate");
    let tar = format!("#!/bin/sh\nuntil [ -e {} ]; do sleep 0.1; done\nexec /bin/tar \"$@\"\n", gate.display());
    yard.boards[0].stand_in("tar", &tar);
    let mut command = yard.deploy_command("two");
    let running = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let begun = Instant::now();
    while !yard.boards[0].path("opt/edge-runtime/incoming").exists() {
        assert!(begun.elapsed() < LONG);
        std::thread::sleep(Duration::from_millis(50));
    }
    let error = yard.deploy("two").error(1);
    assert!(error.contains("another roll-out of this fleet is running"), "{error}");
    let id = libc::pid_t::try_from(running.id()).unwrap();
    // SAFETY: it sends a signal to a process of this test that is not yet waited for.
    assert_eq!(unsafe { libc::kill(id, libc::SIGINT) }, 0);
    std::thread::sleep(Duration::from_millis(500));
    fs::write(gate, "").unwrap();
    let outcome = Outcome::from(running.wait_with_output().unwrap());
    assert!(outcome.answer.contains("board-01: not tried: the roll-out was interrupted"), "{outcome:#?}");
    assert!(outcome.error(1).contains("give the same command again"));
    assert_eq!(yard.notes(), ["two", "one", "one"]);
    yard.deploy("two").done();
    assert_eq!(yard.notes(), ["two"; 3]);
}
