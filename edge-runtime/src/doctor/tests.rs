use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, UNIX_EPOCH};

use super::*;
use crate::board::thermal::{Reading, Throttle};
use crate::camera::{FormatInfo, Size, Sizes};
use crate::trust::Flags;

/// A machine whose files lie in a folder, looked at by somebody who owns none of them and is in no group of theirs.
struct Fixture {
    folder: tempfile::TempDir,
    machine: Machine,
}

const STRANGER: u32 = 54_321;

impl Fixture {
    fn new() -> Fixture {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let user = User { id: STRANGER, groups: vec![STRANGER] };
        let machine = Machine { root: folder.path().to_owned(), user, cameras: Vec::new() };
        Fixture { folder, machine }
    }

    fn file(self, path: &str, text: &str, mode: u32) -> Fixture {
        let path = self.folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        self
    }

    /// A camera, and its file.
    fn camera(mut self, path: &str, mode: u32, problem: Option<&str>) -> Fixture {
        let size = |size, rate| Size { size, rate };
        let sizes = Sizes::Listed(vec![size([640, 480], Some(30.0)), size([320, 240], None)]);
        self.machine.cameras.push(DeviceInfo {
            path: Path::new("/").join(path),
            name: "HD Webcam".into(),
            driver: "uvcvideo".into(),
            formats: vec![FormatInfo { fourcc: *b"YUYV", description: "YUYV 4:2:2".into(), sizes }],
            problem: problem.map(str::to_owned),
        });
        self.file(path, "", mode)
    }

    fn folder(self, path: &str, mode: u32) -> Fixture {
        let path = self.folder.path().join(path);
        fs::create_dir_all(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        self
    }
}

/// Outcome and text of the only finding.
fn only(findings: Vec<Finding>) -> (Outcome, String) {
    assert_eq!(findings.len(), 1, "{findings:?}");
    (findings[0].outcome, findings[0].line())
}

#[track_caller]
fn says(finding: &Finding, outcome: Outcome, parts: &[&str]) {
    let line = finding.line();
    assert!(finding.outcome == outcome && parts.iter().all(|part| line.contains(part)), "{line}");
    assert_eq!(serde_json::to_value(finding).unwrap()["outcome"], outcome.name());
}

#[test]
fn the_board_is_recognised_or_said_to_be_unknown() {
    let on = |model: &str| Fixture::new().file("proc/device-tree/model", model, 0o644);
    let fixture = on("Raspberry Pi 4 Model B Rev 1.4\0");
    let (board, finding) = board::recognised(&fixture.machine, None).unwrap();
    assert_eq!(board.name, "raspberry-pi-4b");
    says(&finding, Outcome::Ok, &["raspberry-pi-4b"]);
    let (_, finding) = board::recognised(&fixture.machine, Some("raspberry-pi-5")).unwrap();
    says(&finding, Outcome::Warn, &["Raspberry Pi 5", "device tree says Raspberry Pi 4"]);
    let (_, finding) = board::recognised(&on("Banana Pi\0").machine, None).unwrap();
    says(&finding, Outcome::Warn, &["Banana Pi is not known", "board file"]);
    let (board, finding) = board::recognised(&Fixture::new().machine, None).unwrap();
    assert_eq!(board.name, crate::board::GENERIC);
    says(&finding, Outcome::Ok, &["Generic"]);
    let (board, finding) = board::recognised(&fixture.machine, Some("none")).unwrap();
    assert_eq!(board.name, "raspberry-pi-4b");
    says(&finding, Outcome::Fail, &["no board is called", "raspberry-pi-5"]);
}

#[test]
fn an_installed_board_file_comes_before_what_is_detected() {
    let text = include_str!("../../../boards/jetson-nano.toml");
    let fixture = Fixture::new().file("etc/edge-runtime/board.toml", text, 0o644);
    assert_eq!(board::recognised(&fixture.machine, None).unwrap().0.name, "jetson-nano");
    let broken = Fixture::new().file("etc/edge-runtime/board.toml", "name = 1", 0o644);
    says(&board::recognised(&broken.machine, None).unwrap().1, Outcome::Fail, &["board.toml, line 1"]);
}

#[test]
fn devices_want_permissions_and_the_advice_names_the_group() {
    let device = |mode| Fixture::new().camera("dev/video0", mode, None);
    let camera = |fixture: &Fixture| only(camera::camera_checks(&fixture.machine, "v4l2:/dev/video0"));
    assert_eq!(camera(&device(0o666)).0, Outcome::Ok);
    let (outcome, line) = camera(&device(0o640));
    assert!(outcome == Outcome::Fail && line.contains("/dev/video0 is not yours"), "{line}");
    // The file's own group, with a name of the machine's: only a group other than root's is worth joining.
    let fixture = device(0o660);
    let path = fixture.folder.path().join("dev/video0");
    if std::os::unix::fs::chown(&path, None, Some(44)).is_ok() {
        let fixture = fixture.file("etc/group", "root:x:0:\nvideo:x:44:somebody\n", 0o644);
        let (_, line) = camera(&fixture);
        assert!(line.contains("usermod -aG video"), "{line}");
        let member = Machine { user: User { id: STRANGER, groups: vec![44] }, ..fixture.machine.clone() };
        assert_eq!(only(camera::camera_checks(&member, "v4l2:/dev/video0?size=640x480")).0, Outcome::Ok);
    }
}

#[test]
fn modes_are_read_as_the_kernel_reads_them() {
    use std::os::unix::fs::MetadataExt;
    let fixture = Fixture::new().file("f", "", 0o640);
    let file = fs::metadata(fixture.folder.path().join("f")).unwrap();
    let user = |id, group| User { id, groups: vec![group] };
    assert!(user(0, STRANGER).may(0o6, &file));
    assert!(user(STRANGER, file.gid()).may(0o4, &file));
    assert!(!user(STRANGER, file.gid()).may(0o2, &file));
    assert!(!user(STRANGER, STRANGER).may(0o4, &file));
}

#[test]
fn a_missing_camera_names_those_that_are_there() {
    let fixture = Fixture::new().camera("dev/video2", 0o666, None).camera("dev/video10", 0o666, Some("busy"));
    let checks = |source| camera::camera_checks(&fixture.machine, source);
    let findings = checks("v4l2:/dev/video0");
    says(&findings[0], Outcome::Fail, &["there is no /dev/video0", "v4l2:/dev/video2"]);
    let described = "/dev/video2 (HD Webcam, uvcvideo): YUYV 640x480@30 320x240";
    says(&findings[1], Outcome::Ok, &[described]);
    assert_eq!(findings.len(), 2);
    says(&checks("v4l2:/dev/video2")[0], Outcome::Ok, &[described]);
    says(&checks("v4l2:/dev/video10")[0], Outcome::Fail, &["/dev/video10: busy", "v4l2:/dev/video2"]);
    says(&camera::camera_checks(&Fixture::new().machine, "v4l2:/dev/video0")[0], Outcome::Fail, &["plug one in"]);
    // Such as the device of a camera that gives metadata alone.
    let fixture = fixture.file("dev/video3", "", 0o666);
    says(
        &camera::camera_checks(&fixture.machine, "v4l2:/dev/video3")[0],
        Outcome::Fail,
        &["/dev/video3 is not a camera"],
    );
}

#[test]
fn other_sources_are_looked_at_too() {
    let fixture = Fixture::new().file("opt/camera", "", 0o755).file("faces/a.png", "P5 2 1 255\nab", 0o644).file(
        "closed.y4m",
        "",
        0o600,
    );
    let outcome = |source: &str| only(camera::camera_checks(&fixture.machine, source)).0;
    assert_eq!(outcome("command:\"/opt/camera --raw\""), Outcome::Ok);
    assert_eq!(outcome("command:/opt/none --raw"), Outcome::Fail);
    assert_eq!(outcome("command:no-such-program-anywhere"), Outcome::Fail);
    assert_eq!(outcome("command:"), Outcome::Fail);
    assert_eq!(outcome("y4m:-"), Outcome::Ok);
    assert_eq!(outcome("dir:/no/such/folder"), Outcome::Fail);
    assert_eq!(outcome("dir:/faces"), Outcome::Ok);
    assert_eq!(outcome("y4m:/closed.y4m"), Outcome::Fail);
    assert_eq!(outcome("images:/faces/*.png"), Outcome::Ok);
    assert_eq!(outcome("images:/faces/*.jpg"), Outcome::Fail);
    assert_eq!(outcome("images:/faces/[.jpg"), Outcome::Fail);
    assert_eq!(outcome("rtsp://camera"), Outcome::Fail);
    assert_eq!(outcome("/dev/video0"), Outcome::Fail);
}

/// What `run` refuses.
#[test]
fn sources_without_a_frame_fail() {
    let fixture = Fixture::new()
        .file("opt/camera", "", 0o644)
        .file("texts/a.txt", "text", 0o644)
        .file("damaged/a.png", "", 0o644)
        .file("a.jpg", "P5 2 1 255\nab", 0o644)
        .file("a.y4m", "YUV4MPEG2 W2 H1 Cmono\nFRAME\nab", 0o644)
        .file("header.y4m", "YUV4MPEG2 W2 H1 Cmono\n", 0o644);
    let outcome = |source: &str| only(camera::camera_checks(&fixture.machine, source)).0;
    for source in [
        "dir:/texts",
        "dir:/damaged",
        "dir:/a.jpg",
        "images:/damaged/*",
        "y4m:/a.jpg",
        "y4m:/header.y4m",
        "y4m:/texts",
        "command:/opt/camera",
    ] {
        assert_eq!(outcome(source), Outcome::Fail, "{source}");
    }
    assert_eq!(outcome("y4m:/a.y4m"), Outcome::Ok);
    assert_eq!(outcome("images:/*.jpg"), Outcome::Ok);
}

/// A path from the current folder to another one.
fn relative(path: &Path) -> PathBuf {
    let up = std::env::current_dir().unwrap().components().skip(1).map(|_| "..").collect::<PathBuf>();
    up.join(path.canonicalize().unwrap().strip_prefix("/").unwrap())
}

#[test]
fn relative_paths_are_those_of_the_current_folder() {
    let fixture = Fixture::new()
        .file("pics/a.pgm", "P5 2 1 255\nab", 0o644)
        .file("a.y4m", "YUV4MPEG2 W2 H1 Cmono\nFRAME\nab", 0o644)
        .file("camera", "", 0o755);
    let folder = relative(fixture.folder.path());
    let machine = Machine { root: "/".into(), ..fixture.machine.clone() };
    let outcome = |kind: &str, path: &str| {
        only(camera::camera_checks(&machine, &format!("{kind}:{}", folder.join(path).display()))).0
    };
    for (kind, path) in [("dir", "pics"), ("y4m", "a.y4m"), ("images", "pics/*.pgm"), ("command", "camera")] {
        assert_eq!(outcome(kind, path), Outcome::Ok, "{kind}:{path}");
    }
    for (kind, path) in [("dir", "."), ("dir", "none"), ("images", "*.pgm"), ("command", "none")] {
        assert_eq!(outcome(kind, path), Outcome::Fail, "{kind}:{path}");
    }
}

#[test]
fn the_clock_must_be_plausible_and_should_be_synchronised() {
    let now = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    says(&clock::clock(true, now), Outcome::Ok, &["synchronised"]);
    says(&clock::clock(false, now), Outcome::Warn, &["timedatectl"]);
    for past in [UNIX_EPOCH + Duration::from_secs(1_600_000_000), UNIX_EPOCH - Duration::from_secs(1)] {
        says(&clock::clock(true, past), Outcome::Fail, &["before 2026"]);
    }
}

#[test]
fn heat_throttling_and_low_voltage_are_told_apart() {
    let thermal = Board::open("raspberry-pi-4b").unwrap().thermal;
    let heat = |millicelsius, throttle: Option<u32>| {
        heat::heat(&Reading { millicelsius, throttle: throttle.map(Throttle) }, &thermal)
    };
    says(&heat(Some(48_312), None)[0], Outcome::Ok, &["48.3 degrees"]);
    says(&heat(Some(72_000), None)[0], Outcome::Warn, &["lowered", "heat sink"]);
    says(&heat(Some(82_000), None)[0], Outcome::Fail, &["paused"]);
    says(&heat(None, None)[0], Outcome::Warn, &["no sensor"]);
    assert_eq!(heat(Some(1), None).len(), 1);
    says(&heat(Some(1), Some(0))[1], Outcome::Ok, &["none since"]);
    says(&heat(Some(1), Some(0x50005))[1], Outcome::Warn, &["voltage is too low", "supply"]);
    says(&heat(Some(1), Some(0x80008))[1], Outcome::Warn, &["lowers the clock", "heat sink"]);
    says(&heat(Some(1), Some(0x10000))[1], Outcome::Warn, &["voltage was too low"]);
    says(&heat(Some(1), Some(0x40000))[1], Outcome::Warn, &["lowered the clock since"]);
}

#[test]
fn the_disk_must_be_writable_and_have_room() {
    let journal = Path::new("/var/lib/edge-runtime/journal.sqlite");
    let folder = |mode| storage::disk(&Fixture::new().folder("var/lib/edge-runtime", mode).machine, journal);
    let open = folder(0o777);
    assert!(open.outcome == Outcome::Fail || open.line().contains("MiB free at /var/lib/edge-runtime"), "{open:?}");
    says(
        &folder(0o755),
        Outcome::Fail,
        &["/var/lib/edge-runtime is not yours to write", "chown USER /var/lib/edge-runtime,"],
    );
    // The folder is not there yet: the nearest that is, is what counts.
    let parent = storage::disk(&Fixture::new().folder("var", 0o755).machine, journal);
    says(&parent, Outcome::Fail, &["/var is not yours", "install -d -o USER /var/lib/edge-runtime,"]);
    says(&storage::room("/", 19), Outcome::Fail, &["19 MiB", "make room"]);
    says(&storage::room("/", 199), Outcome::Warn, &["make room soon"]);
    says(&storage::room("/", 200), Outcome::Ok, &["200 MiB"]);
}

#[test]
fn a_journal_must_be_one() {
    let path = Path::new("/j/journal.sqlite");
    let journal =
        |text: &str, mode| storage::journal(&Fixture::new().file("j/journal.sqlite", text, mode).machine, path);
    says(&storage::journal(&Fixture::new().machine, path), Outcome::Ok, &["not there yet"]);
    let linked = Fixture::new().folder("j", 0o755);
    std::os::unix::fs::symlink("../usb/journal.sqlite", linked.folder.path().join("j/journal.sqlite")).unwrap();
    says(
        &storage::journal(&linked.machine, path),
        Outcome::Fail,
        &["a link to", "usb/journal.sqlite", "mount its disk"],
    );
    let linked = linked.folder("usb", 0o755);
    says(&storage::journal(&linked.machine, path), Outcome::Ok, &["not there yet"]);
    says(&journal("", 0o666), Outcome::Ok, &["empty"]);
    says(&journal("SQLite format 3\0 and more", 0o644), Outcome::Fail, &["not yours"]);
    let zeros = "\0".repeat(5000);
    says(&journal(&zeros, 0o666), Outcome::Warn, &["damaged", "copy it"]);
    for text in ["SQLite", "some text that is no database", "SQLite format 3\0 and more"] {
        says(&journal(text, 0o666), Outcome::Fail, &["file of another program", "another path"]);
    }
    let fixture = Fixture::new().file("j/journal.sqlite", "", 0o666);
    let file = fixture.folder.path().join("j/journal.sqlite");
    let writer = crate::journal::Writer::open(&file, Default::default(), crate::journal::Session::here()).unwrap();
    writer.close("test").unwrap();
    says(&storage::journal(&fixture.machine, path), Outcome::Ok, &["journal.sqlite, 0 MiB"]);
    rusqlite::Connection::open(&file).unwrap().execute_batch("PRAGMA application_id = 7").unwrap();
    says(&storage::journal(&fixture.machine, path), Outcome::Fail, &["another program"]);
    says(
        &storage::journal(&Fixture::new().folder("j/journal.sqlite", 0o777).machine, path),
        Outcome::Fail,
        &["is a folder", "path of a file"],
    );
    let below = Path::new("/j/journal.sqlite/journal");
    says(&storage::disk(&fixture.machine, below), Outcome::Fail, &["/j/journal.sqlite is a file, not a folder"]);
    says(
        &storage::journal(&Machine { root: "/".into(), ..fixture.machine }, Path::new("/dev/null")),
        Outcome::Fail,
        &["another program"],
    );
}

#[test]
fn lights_and_display_are_worth_a_warning() {
    let board = Board::open("raspberry-pi-4b").unwrap();
    let fixture = Fixture::new().file("dev/gpiochip0", "", 0o666).file("dev/i2c-1", "", 0o666);
    let findings = board::parts(&fixture.machine, &board);
    says(&findings[0], Outcome::Ok, &["1 chips, 4 lines"]);
    says(&findings[1], Outcome::Ok, &["/dev/i2c-1"]);
    let fixture = Fixture::new().file("dev/gpiochip0", "", 0o600).file("dev/i2c-1", "", 0o600);
    let findings = board::parts(&fixture.machine, &board);
    says(&findings[0], Outcome::Warn, &["/dev/gpiochip0 is not yours", "udev"]);
    says(&findings[1], Outcome::Warn, &["/dev/i2c-1 is not yours"]);
    let findings = board::parts(&Fixture::new().machine, &board);
    says(&findings[0], Outcome::Warn, &["no /dev/gpiochip"]);
    says(&findings[1], Outcome::Warn, &["no bus /dev/i2c-1", "enable I2C"]);
    assert!(board::parts(&fixture.machine, &Board::open(crate::board::GENERIC).unwrap()).is_empty());
}

#[test]
fn the_service_should_be_installed_and_enabled() {
    says(&unit::unit(&Fixture::new().machine), Outcome::Warn, &["not installed", "docs/hardware.md"]);
    let fixture = Fixture::new().file("usr/lib/systemd/system/edge-runtime.service", "", 0o644);
    says(&unit::unit(&fixture.machine), Outcome::Warn, &["systemctl enable"]);
    let wants = "etc/systemd/system/multi-user.target.wants/edge-runtime.service";
    says(&unit::unit(&fixture.file(wants, "", 0o644).machine), Outcome::Ok, &["starts with the board"]);
}

#[test]
fn a_bundle_is_verified_and_replayed() {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models");
    let shipped = models.join("ferplus-edge");
    let checked = |folder: &Path, key: &[&str]| {
        let keys = key.iter().map(|key| key.to_string()).collect();
        let policy = Policy::new(None, &Flags { keys, allow_older: false }, Path::new("/")).unwrap();
        model::bundle(folder, &policy)
    };
    let findings = checked(&shipped, &[]);
    says(&findings[0], Outcome::Ok, &["hashes hold", "vectors replayed"]);
    says(&findings[1], Outcome::Warn, &["signed by key", "not known here", "[trust]"]);
    says(&checked(Path::new("/no/such/bundle"), &[])[0], Outcome::Fail, &["no manifest.toml"]);
    let project = models.join("project.pub").display().to_string();
    says(&checked(&shipped, &[&project])[1], Outcome::Ok, &["valid, by key", "sequence number"]);
    let stranger = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3";
    says(
        &checked(&shipped, &[stranger])[0],
        Outcome::Fail,
        &["signed by key", "only what is signed by key E7620F1842B4E81F"],
    );
    let folder = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(&shipped).unwrap().flatten().filter(|entry| entry.path().is_file()) {
        fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
    }
    let _ = fs::remove_file(folder.path().join(expression_engine::bundle::DETECTOR));
    let findings = checked(folder.path(), &[]);
    says(&findings[0], Outcome::Ok, &["replayed"]);
    says(&findings[2], Outcome::Fail, &["face detector"]);
    let graph = folder.path().join(expression_engine::bundle::INT8);
    let mut bytes = fs::read(&graph).unwrap();
    bytes[1000] ^= 1;
    fs::write(&graph, bytes).unwrap();
    says(&checked(folder.path(), &[])[0], Outcome::Fail, &["sha256"]);
}

#[test]
fn every_check_is_made() {
    let fixture = Fixture::new().file("proc/device-tree/model", "Raspberry Pi 4 Model B\0", 0o644);
    let findings = findings(&fixture.machine, &Question::default()).unwrap();
    let checks: Vec<_> = findings.iter().map(|finding| finding.check).collect();
    let expected = [
        "board",
        "kernels",
        "bundle",
        "camera",
        "clock",
        "temperature",
        "disk",
        "journal",
        "gpio",
        "display",
        "service",
    ];
    assert_eq!(checks, expected);
    assert!(findings.iter().all(|finding| !finding.line().contains('\n')));
}
