//! The settings of `run`: what board files, variables and flags say of them, and which of them counts.

#[path = "telemetry_support/schema.rs"]
mod schema;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::LazyLock;

use clap::CommandFactory;
use edge_runtime::board::{self, Board, SETTINGS};
use edge_runtime::command::{Cli, settings};
use serde_json::Value;

static SCHEMA: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(include_str!("../../boards/board.schema.json")).unwrap());

const SHIPPED: &str = include_str!("../../boards/generic-x86-64.toml");

/// Settings of every kind.
const EVERY: &str = r#"
[source]
size = "640x480"
format = "mjpeg"
stride = 640
rate = 15
realtime = true
required = false

[journal]
record = "/tmp/journal.sqlite"
commit_every_seconds = 5.0

[preview]
address = 8080
rate = 12
hosts = ["cam.example", "cam2.example"]
embed = ["http://homeassistant.local:8123"]
token_file = "/etc/edge-runtime/token"

[metrics]
address = "127.0.0.1:9464"

[mqtt]
url = "mqtts://board@broker.local/home/kitchen"
password_file = "/etc/edge-runtime/mqtt-password"
ca_file = "/etc/edge-runtime/ca.pem"
discovery = ""

[privacy]
start_paused = true
local_pause_only = true
"#;

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_edge-runtime"));
    command.env_remove("RUST_LOG");
    command
}

/// A board file: a shipped one and more.
fn board_file(more: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("board.toml");
    std::fs::write(&path, format!("{SHIPPED}{more}")).unwrap();
    (folder, path)
}

fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// The line of a key in what `config show` wrote.
fn line<'a>(shown: &'a str, key: &str) -> &'a str {
    let found = shown.lines().find(|line| line.trim_start_matches("# ").starts_with(&format!("{key} ")));
    found.unwrap_or_else(|| panic!("no {key} in {shown}"))
}

fn show(path: &Path, flags: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = program();
    command.args(["config", "show", "--board"]).arg(path).args(flags);
    command.envs(variables.iter().copied()).output().unwrap()
}

fn as_json(toml: &str) -> Value {
    serde_json::to_value(toml.parse::<toml::Table>().unwrap()).unwrap()
}

#[test]
fn every_shipped_board_fits_the_schema_and_every_setting_does() {
    let check = |text: &str| schema::check(&SCHEMA, &SCHEMA, &as_json(text), "board");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../boards");
    for name in board::names() {
        let text = std::fs::read_to_string(folder.join(format!("{name}.toml"))).unwrap();
        check(&text).unwrap_or_else(|why| panic!("{name}: {why}"));
    }
    let every = format!("{SHIPPED}{EVERY}");
    check(&every).unwrap();
    Board::parse(&every, Path::new("board.toml")).unwrap();
    for setting in SETTINGS.iter().filter(|setting| !setting.kind.is_of_board()) {
        let name = setting.key.split_once('.').unwrap().1;
        assert!(EVERY.contains(&format!("\n{name} = ")), "{} is not tried", setting.key);
    }
    for wrong in ["[preview]\nadress = 1", "[source]\nrate = \"15\"", "[mqtt]\nurl = 5"] {
        assert!(check(&format!("{SHIPPED}\n{wrong}")).is_err(), "{wrong}");
    }
}

/// The keys that the program takes in a table, by its own message about one that it does not know.
fn keys(table: &str) -> BTreeSet<String> {
    let mut file: toml::Table = SHIPPED.parse().unwrap();
    let inner = match table {
        "" => &mut file,
        table => file.entry(table).or_insert_with(|| toml::Table::new().into()).as_table_mut().unwrap(),
    };
    inner.insert("zzzzzzzzzz".into(), 1.into());
    let refused = Board::parse(&toml::to_string(&file).unwrap(), Path::new("b.toml")).unwrap_err().to_string();
    let mut keys: BTreeSet<String> = match refused.split_once("there are ") {
        Some((_, list)) => {
            let list = list.split(';').next().unwrap();
            list.split(", ").map(|key| key.split_once('.').unwrap().1.to_owned()).collect()
        }
        None => refused.split('`').skip(3).step_by(2).map(str::to_owned).collect(),
    };
    for (found, key) in SETTINGS.iter().filter_map(|setting| setting.key.split_once('.')) {
        match table {
            "" => drop(keys.insert(found.to_owned())),
            table if table == found => drop(keys.insert(key.to_owned())),
            _ => {}
        }
    }
    keys
}

#[test]
fn schema_and_program_know_the_same_keys() {
    let properties =
        |schema: &Value| -> BTreeSet<String> { schema["properties"].as_object().unwrap().keys().cloned().collect() };
    assert_eq!(properties(&SCHEMA), keys(""));
    for (name, table) in SCHEMA["properties"].as_object().unwrap() {
        // Whoever leaves a required key out is told of that first.
        let complete = SHIPPED.contains(&format!("[{name}]")) || table["required"] == serde_json::json!([]);
        if table["type"] == "object" && complete {
            assert_eq!(properties(table), keys(name), "[{name}]");
        }
    }
    let written = stdout(&program().args(["config", "schema"]).output().unwrap());
    assert_eq!(serde_json::from_str::<Value>(&written).unwrap(), *SCHEMA);
}

#[test]
fn every_flag_of_run_is_a_setting_and_the_other_way_round() {
    let mut command = Cli::command();
    command.build();
    let run = command.find_subcommand("run").unwrap();
    let flags: BTreeSet<_> =
        run.get_arguments().filter(|flag| !flag.is_global_set()).map(|flag| flag.get_id().as_str()).collect();
    let settings = SETTINGS.iter().map(|setting| setting.flag);
    let known: BTreeSet<_> = settings.chain(settings::ONE_OFF).chain(["help"]).collect();
    let all = cfg!(all(feature = "preview", feature = "metrics", feature = "mqtt-tls"));
    assert!(flags.is_subset(&known), "not in SETTINGS: {:?}", flags.difference(&known));
    assert!(!all || known.is_subset(&flags), "not flags of run: {:?}", known.difference(&flags));
}

#[test]
fn flags_are_above_the_environment_above_the_board_file_above_defaults() {
    let (_folder, path) = board_file(EVERY);
    let shown = stdout(&show(&path, &[], &[]));
    let whole = std::fs::read_to_string(&path).unwrap();
    let number = whole.lines().position(|line| line == "rate = 12").unwrap() + 1;
    assert_eq!(line(&shown, "preview.rate"), format!("preview.rate = 12  # {}, line {number}", path.display()));
    assert_eq!(line(&shown, "journal.max_bytes"), "journal.max_bytes = 268435456  # default");
    assert_eq!(line(&shown, "camera.stall"), "# camera.stall is not set");
    // What is shown is a board file that says the same.
    let again = Board::parse(&shown, Path::new("shown.toml")).unwrap();
    let first = Board::read(&path).unwrap();
    assert_eq!((&again.journal, &again.camera, &again.thermal), (&first.journal, &first.camera, &first.thermal));
    let flags = |board: &Board| board.settings.iter().map(|found| found.flags.clone()).collect::<Vec<_>>();
    assert_eq!(flags(&again), flags(&first));

    let variables =
        [("EDGE_RUNTIME_PREVIEW_RATE", "20"), ("EDGE_RUNTIME_JOURNAL_SIZE", "64"), ("EDGE_RUNTIME_REALTIME", "false")];
    let shown = stdout(&show(&path, &[], &variables));
    assert_eq!(line(&shown, "preview.rate"), "preview.rate = 20  # EDGE_RUNTIME_PREVIEW_RATE");
    assert_eq!(line(&shown, "journal.max_bytes"), "journal.max_bytes = 67108864  # EDGE_RUNTIME_JOURNAL_SIZE");
    assert_eq!(line(&shown, "source.realtime"), "source.realtime = false  # EDGE_RUNTIME_REALTIME");
    let flags = ["--preview-rate", "30", "--preview-host", "other.example", "--journal", "--threads=2"];
    let shown = stdout(&show(&path, &flags, &variables));
    assert_eq!(line(&shown, "preview.rate"), "preview.rate = 30  # --preview-rate");
    assert_eq!(line(&shown, "preview.hosts"), "preview.hosts = [\"other.example\"]  # --preview-host");
    assert_eq!(line(&shown, "journal.record"), "journal.record = true  # --journal");
    assert_eq!(line(&shown, "threads"), "threads = 2  # --threads");
    Board::parse(&shown, Path::new("shown.toml")).unwrap();
}

#[test]
fn what_a_flag_requires_may_be_in_the_board_file() {
    let (_folder, path) = board_file("[preview]\naddress = \"127.0.0.1:0\"\n");
    stdout(&show(&path, &["--preview-host", "cam.example"], &[]));
    let (_folder, path) = board_file("");
    let refused = show(&path, &["--preview-host", "cam.example"], &[]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("--preview"), "{refused:?}");
}

#[test]
fn what_the_board_file_lacks_is_named_by_its_key() {
    for (more, table, lacks) in [
        ("[mqtt]\npassword_file = \"/etc/password\"\n", "[mqtt]", "mqtt.url"),
        ("[preview]\nembed = [\"http://ha.local\"]\n", "[preview]", "preview.address"),
    ] {
        let (_folder, path) = board_file(more);
        let checked = program().args(["config", "check"]).arg(&path).output().unwrap();
        for refused in [show(&path, &[], &[]), checked] {
            let said = String::from_utf8_lossy(&refused.stderr);
            assert_eq!((refused.status.code(), said.lines().count()), (Some(2), 1), "{said}");
            assert!(said.contains(&format!("{table} lacks {lacks}")) && said.contains(", line "), "{said}");
        }
    }
    // Here the flag asks for it.
    let (_folder, path) = board_file("[preview]\nrate = 5\n");
    let refused = show(&path, &["--preview-embed", "http://ha.local"], &[]);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && said.contains("--preview") && !said.contains("lacks"), "{said}");
}

#[test]
fn an_address_of_the_board_file_is_turned_off() {
    let (_folder, path) =
        board_file("[preview]\naddress = 8080\nhosts = [\"cam.example\"]\n[metrics]\naddress = 9464\n");
    let shown = stdout(&show(&path, &["--preview", "off"], &[("EDGE_RUNTIME_METRICS", "off")]));
    assert_eq!(line(&shown, "preview.address"), "preview.address = \"off\"  # --preview");
    assert_eq!(line(&shown, "metrics.address"), "metrics.address = \"off\"  # EDGE_RUNTIME_METRICS");
    let (_folder, path) = board_file("[preview]\naddress = \"off\"\n[metrics]\naddress = \"off\"\n");
    stdout(&program().args(["config", "check"]).arg(path).output().unwrap());
}

#[test]
fn a_built_in_board_is_checked_by_its_name() {
    let checked = |name: &str| program().args(["config", "check", name]).output().unwrap();
    assert!(stdout(&checked("generic-x86-64")).starts_with("generic-x86-64: ok, "));
    let refused = checked("generic-x86");
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("name of a built-in board"), "{refused:?}");
}

#[test]
fn a_number_is_refused_with_what_is_expected() {
    let (_folder, path) = board_file("");
    for (flag, value, expected) in [
        ("--commit-every", "5s", "expected a number of seconds, 0 to 3600; write 5"),
        ("--records-per-second", "0", "expected a number of records per second, above 0, or inf"),
        ("--stall", "1min", "expected a number of seconds, above 0"),
        ("--frame-rate", "29.97", "expected whole frames per second, 1 to 1000; write 30"),
        ("--threads", "two", "expected a whole number of threads, 1 to 256"),
        ("--frames", "1e3", "expected a whole number of frames, 0 or more; write 1000"),
        ("--detect-every", "0", "expected a whole number of frames, 1 to 100"),
        ("--frame-stride", "1.5k", "expected a whole number of bytes, 1 or more"),
        ("--journal-size", "64 MiB", "expected a whole number of MiB, 1 to 1000000; write 64"),
        ("--keep-faces-per-day", "many", "expected a whole number of faces, 0 to 4294967295"),
        ("--keep-faces-days", "0", "expected a whole number of days, 1 to 36500"),
        ("--preview-rate", "abc", "expected whole pictures per second, 1 to 60"),
    ] {
        let output = show(&path, &[flag, value], &[]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{flag} {value}: {said}");
        assert!(said.lines().any(|line| line.ends_with(expected)), "{flag} {value}: {said}");
    }
    let said = show(&path, &[], &[("EDGE_RUNTIME_PREVIEW_RATE", "abc")]).stderr;
    let expected = "EDGE_RUNTIME_PREVIEW_RATE=abc: expected whole pictures per second, 1 to 60\n";
    assert!(String::from_utf8_lossy(&said).ends_with(expected), "{}", String::from_utf8_lossy(&said));
}

#[test]
fn a_wrong_setting_is_refused_in_one_line_that_names_file_line_and_key() {
    for (more, expected) in [
        ("[preview]\nadress = 8080", "unknown key preview.adress; did you mean preview.address?"),
        ("[previeww]\naddress = 8080", "unknown field `previeww`, did you mean `preview`?"),
        ("[mqtt]\ntopic = \"a\"", "unknown key mqtt.topic; there are mqtt.url, mqtt.password_file"),
        ("[preview]\naddress = \"here\"", "preview.address: expected a port"),
        ("[preview]\nrate = 0", "preview.rate: expected whole pictures per second, 1 to 60"),
        ("[source]\nstride = -1", "source.stride: expected a whole number of bytes, 1 or more"),
        ("[mqtt]\ndiscovery = \"a/#\"", "mqtt.discovery: the prefix contains a wildcard"),
        ("[preview]\nrate = \"5\"", "preview.rate: expected a whole number, found string"),
        ("[source]\nrealtime = 1", "source.realtime: expected true or false"),
        ("[source]\nformat = \"bmp\"", "source.format: no format is called bmp"),
        ("[source]\nsize = \"640\"", "source.size: expected WIDTHxHEIGHT"),
        ("[source]\nsize = \"0x0\"", "source.size: invalid size 0x0"),
        ("[preview]\nhosts = [1]", "preview.hosts: expected a list of texts"),
        ("[journal]\nrecord = 1", "journal.record: expected true, false or a path"),
        ("[journal]\nrecord = \"j.db\"", "journal.record: j.db does not begin with a slash"),
        ("[journal]\ncommit_every = 1", "unknown field `commit_every`"),
    ] {
        let (_folder, path) = board_file(&format!("\n{more}\n"));
        for arguments in [&["config", "check"][..], &["config", "show", "--board"], &["run", "--board"]] {
            let output = program().args(arguments).arg(&path).output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert_eq!((output.status.code(), said.lines().count()), (Some(2), 1), "{more}: {said}");
            let place = format!("{}, line {}", path.display(), SHIPPED.lines().count() + 3);
            let place = if more.starts_with("[previeww") { "board.toml, line" } else { &place };
            assert!(said.contains(expected) && said.contains(place), "{more}: {said}");
        }
    }
    let (_folder, path) = board_file("[mqtt]\nurl = \"mqtt://u:hunter2@h\"\n");
    let output = program().args(["config", "check"]).arg(&path).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2));
    assert!(said.contains("password") && !said.contains("hunter2"), "{said}");
}

#[test]
fn every_wrong_file_has_its_line() {
    let (_one, first) = board_file("\n[preview]\nrate = 0\n");
    let (_two, second) = board_file("\n[mqtt]\nurl = \"http://h\"\n");
    let (three, _) = board_file("");
    let third = three.path().join("webcam.toml");
    let camera: toml::Table = SHIPPED.parse().unwrap();
    let source = camera["camera"]["source"].as_str().unwrap();
    std::fs::write(&third, SHIPPED.replace(&format!("{source:?}"), "\"webcam\"")).unwrap();
    let (_four, good) = board_file("\n[preview]\naddress = 8080\ntoken_file = \"/no/such/token\"\n");
    let output = program().args(["config", "check"]).args([&first, &second, &third, &good]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<_> = said.lines().collect();
    let expected =
        [(&first, "preview.rate"), (&second, "mqtt.url = http://h"), (&third, "camera.source"), (&good, "ok, ")];
    assert_eq!(lines.len(), expected.len(), "{said}");
    for (line, (path, word)) in lines.iter().zip(expected) {
        assert!(line.starts_with(path.to_str().unwrap()) && line.contains(word), "{line}");
    }
    let warned = String::from_utf8(output.stderr).unwrap();
    assert!(
        warned.contains("there is no /no/such/token") && warned.contains("3 of 4 board files are wrong"),
        "{warned}"
    );
}

#[test]
fn a_variable_with_a_wrong_value_is_named_and_an_empty_one_is_none() {
    let (_folder, path) = board_file("");
    let refused = show(&path, &[], &[("EDGE_RUNTIME_PREVIEW_RATE", "fast")]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!((refused.status.code(), said.lines().count()), (Some(2), 1), "{said}");
    assert!(said.contains("EDGE_RUNTIME_PREVIEW_RATE=fast: "), "{said}");
    for board in ["pi4", "/nope.toml"] {
        let refused = program().args(["config", "show"]).env("EDGE_RUNTIME_BOARD", board).output().unwrap();
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert_eq!((refused.status.code(), said.lines().count()), (Some(2), 1), "{said}");
        assert!(said.contains(&format!("EDGE_RUNTIME_BOARD={board}: ")), "{said}");
    }
    let output = show(&path, &[], &[("EDGE_RUNTIME_PREVIEW_RATE", ""), ("EDGE_RUNTIME_PREVIEW_RAT", "5")]);
    assert_eq!(line(&stdout(&output), "preview.rate"), "preview.rate = 10  # default");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("did you mean EDGE_RUNTIME_PREVIEW_RATE?"), "{said}");
}

#[test]
fn recording_and_kept_faces_can_be_turned_off_by_their_variables() {
    let (_folder, path) = board_file("\n[journal]\nrecord = true\nkeep_faces = true\nkeep_faces_which = \"unsure\"\n");
    let value = |variables: &[(&str, &str)], key: &str| {
        let shown = stdout(&show(&path, &[], variables));
        line(&shown, key).split_once("  #").unwrap().0.to_owned()
    };
    for (text, expected) in [("false", "false"), ("true", "true"), ("auto", "true"), ("/tmp/j.db", "\"/tmp/j.db\"")] {
        let expected = format!("journal.record = {expected}");
        assert_eq!(value(&[("EDGE_RUNTIME_JOURNAL", text)], "journal.record"), expected, "{text}");
    }
    for (text, keeps, which) in [
        ("none", "false", "unsure"),
        ("false", "false", "unsure"),
        ("true", "true", "unsure"),
        ("all", "true", "all"),
        ("every=30", "true", "every=30"),
    ] {
        let variables = [("EDGE_RUNTIME_KEEP_FACES", text)];
        assert_eq!(value(&variables, "journal.keep_faces"), format!("journal.keep_faces = {keeps}"), "{text}");
        let expected = format!("journal.keep_faces_which = \"{which}\"");
        assert_eq!(value(&variables, "journal.keep_faces_which"), expected, "{text}");
    }
    for text in ["no", "yes", "FALSE", "off", "0", "auto"] {
        let refused = show(&path, &["--journal", text], &[]);
        assert_eq!(refused.status.code(), Some(2), "{text}: {refused:?}");
        if text != "auto" {
            let refused = show(&path, &[], &[("EDGE_RUNTIME_JOURNAL", text)]);
            let said = String::from_utf8_lossy(&refused.stderr);
            assert_eq!((refused.status.code(), said.lines().count()), (Some(2), 1), "{text}: {said}");
            assert!(said.contains(&format!("EDGE_RUNTIME_JOURNAL={text}: expected true, false or a path")), "{said}");
        }
    }
}

#[test]
fn the_services_variable_leaves_recording_to_the_board_file() {
    let auto = [("EDGE_RUNTIME_JOURNAL", "auto")];
    for (more, expected) in [
        ("", "journal.record = true  # EDGE_RUNTIME_JOURNAL"),
        ("\n[journal]\nrecord = false\n", "journal.record = false"),
        ("\n[journal]\nrecord = \"/tmp/j.db\"\n", "journal.record = \"/tmp/j.db\""),
    ] {
        let (_folder, path) = board_file(more);
        let shown = stdout(&show(&path, &[], &auto));
        assert!(line(&shown, "journal.record").starts_with(expected), "{shown}");
        let shown = stdout(&show(&path, &["--journal=false"], &auto));
        assert_eq!(line(&shown, "journal.record"), "journal.record = false  # --journal");
    }
}

#[test]
fn what_lacks_its_partner_or_has_no_variable_is_said_in_one_line() {
    let (_folder, path) = board_file("");
    for (name, value, expected) in [
        ("EDGE_RUNTIME_KEEP_FACES", "unsure", "give --journal"),
        ("EDGE_RUNTIME_PREVIEW_HOST", "cam.example", "--preview"),
        ("EDGE_RUNTIME_JOURNAL_SIZE", "0.1", "a whole number of MiB"),
        ("EDGE_RUNTIME_COMMIT_EVERY", "inf", "a number of seconds"),
        ("EDGE_RUNTIME_SOURCE", "bad://u:hunter2@h", "no source is called bad"),
    ] {
        let refused = show(&path, &[], &[(name, value)]);
        let said = String::from_utf8_lossy(&refused.stderr);
        assert_eq!((refused.status.code(), said.lines().count()), (Some(2), 1), "{name}: {said}");
        assert!(said.contains(expected) && !said.contains("hunter2"), "{name}: {said}");
    }
    stdout(&show(&path, &["--keep-faces", "none"], &[]));
    let output = show(&path, &["--source", "rtsp://me:hunter2@camera/1"], &[("EDGE_RUNTIME_PRINT", "1")]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("--print has no variable") && !said.contains("did you mean"), "{said}");
    assert!(said.contains("camera.source is shown with its password"), "{said}");
    assert!(stdout(&output).contains("hunter2"), "it is a board file");
}

#[test]
fn settings_of_the_board_file_are_flags_whatever_follows() {
    let (_folder, path) = board_file("\n[preview]\nrate = 12\n");
    assert!(line(&stdout(&show(&path, &["--"], &[])), "preview.rate").starts_with("preview.rate = 12"));
}

#[test]
fn good_files_are_said_to_be_good() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../boards");
    let files = board::names().map(|name| folder.join(format!("{name}.toml")));
    let said = stdout(&program().args(["config", "check"]).args(files).output().unwrap());
    assert_eq!(said.lines().count(), board::names().count());
    assert!(said.lines().all(|line| line.contains(": ok, ")), "{said}");
}
