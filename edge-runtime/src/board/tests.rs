use std::fs;

use super::*;

#[test]
fn every_built_in_board_is_sound_and_bears_its_name() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../boards");
    let files = fs::read_dir(&folder).unwrap().filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut found: Vec<_> = files.filter_map(|name| Some(name.strip_suffix(".toml")?.to_owned())).collect();
    found.sort();
    assert_eq!(found, names().collect::<Vec<_>>(), "boards/ and the list of built-in boards differ");
    for name in names() {
        let board = Board::open(name).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(board.name, name);
        assert_eq!(board, Board::open(&format!("{}/{name}.toml", folder.display())).unwrap());
    }
}

#[test]
fn boards_are_detected_by_the_model_in_their_device_tree() {
    let detected = |model: Option<&str>| {
        let root = tempfile::tempdir().unwrap();
        if let Some(model) = model {
            fs::create_dir_all(root.path().join("proc/device-tree")).unwrap();
            fs::write(root.path().join("proc/device-tree/model"), model).unwrap();
        }
        Board::detect_at(root.path()).unwrap().name
    };
    for (model, name) in [
        (Some("Raspberry Pi Zero 2 W Rev 1.0\0"), "raspberry-pi-zero-2-w"),
        (Some("Raspberry Pi 3 Model B\0"), "raspberry-pi-3b"),
        (Some("Raspberry Pi 3 Model B Plus Rev 1.3\0"), "raspberry-pi-3b"),
        (Some("Raspberry Pi 4 Model B Rev 1.4\0"), "raspberry-pi-4b"),
        (Some("Raspberry Pi 5 Model B Rev 1.0\0"), "raspberry-pi-5"),
        (Some("NVIDIA Jetson Nano Developer Kit\0"), "jetson-nano"),
        (Some("NVIDIA Jetson Orin Nano Developer Kit\0"), "jetson-orin-nano"),
        (Some("Raspberry Pi 500 Rev 1.0\0"), GENERIC),
        (Some("linux,dummy-virt\0"), GENERIC),
        (Some("\0"), GENERIC),
        (None, GENERIC),
    ] {
        assert_eq!(detected(model), name, "{model:?}");
    }
}

/// The message for the Raspberry Pi 4's file with one text put in place of another.
fn refusal(old: &str, new: &str) -> String {
    let text = BUILT_IN.iter().find(|(name, _)| *name == "raspberry-pi-4b").unwrap().1;
    assert!(text.contains(old), "{old} is not in the file");
    let error = Board::parse(&text.replacen(old, new, 1), Path::new("my.toml")).expect_err(new);
    let message = error.to_string();
    assert!(message.starts_with("my.toml") && message.ends_with("each key") && !message.contains('\n'), "{message}");
    message
}

#[test]
fn wrong_files_are_refused_with_the_place_and_the_reason() {
    for (old, new, expected) in [
        ("threads = 3", "threads = 0", "threads 0 is not between"),
        (
            "threads = 3",
            "threads = \"3\"",
            ", line 7: threads: expected a whole number, not negative, found the text \"3\"",
        ),
        ("threads = 3", "treads = 3", ", line 7: unknown field `treads`"),
        ("threads = 3\n", "", "missing field `threads`"),
        ("detect_every = 5", "detect_every = 0", "detect_every 0"),
        ("detect_every = 5", "detect_every = 5\nrotate = 45", "camera.rotate 45"),
        ("detect_every = 5", "detect_every = 5\nflip = \"diagonal\"", "unknown variant `diagonal`"),
        ("detect_every = 5", "detect_every = 5\nstall = 0", "camera.stall 0"),
        ("name = \"raspberry", "name = \"../raspberry", "name \"../raspberry"),
        ("quarter = 77", "quarter = 71", "must rise"),
        ("quarter = 77", "quarter = nan", "must rise"),
        ("hysteresis = 4", "hysteresis = 0", "must rise"),
        ("pause = 82", "pause = 1e30", "must rise"),
        ("address = 0x3c", "address = 0x80", "display.address 0x80"),
        ("bundle = \"/usr", "bundle = \"usr", "paths.bundle usr/share"),
        ("line = 27", "line = 17", "gpio.green: another"),
        ("line = 27", "line = -1", ", line 17: a line is its number"),
        ("green = {", "lights.bored = {", "gpio.lights.bored: no such state"),
        ("bias = \"pull-up\"", "bias = \"up\"", "unknown variant `up`"),
        ("[gpio]", "[gpio", ", line 14: unclosed"),
    ] {
        let message = refusal(old, new);
        assert!(message.contains(expected), "{new}: {message}");
    }
}

#[test]
fn unknown_names_and_missing_files_say_what_there_is() {
    let message = Board::open("raspberry-pi-1").unwrap_err().to_string();
    assert!(message.contains("raspberry-pi-zero-2-w") && message.contains("path of a board file"), "{message}");
    let message = Board::open("./none.toml").unwrap_err().to_string();
    assert!(message.contains("./none.toml") && message.contains("cannot read"), "{message}");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("board.toml");
    fs::write(&path, [0xff, 0xfe]).unwrap();
    assert!(matches!(Board::read(&path), Err(BoardError::Unreadable { .. })));
}

#[test]
fn limits_are_in_thousandths() {
    let limits = Board::open("raspberry-pi-4b").unwrap().thermal.limits();
    assert_eq!((limits.half, limits.quarter, limits.pause, limits.hysteresis), (72_000, 77_000, 82_000, 4_000));
}

#[test]
fn the_journal_table_takes_every_key_and_no_other() {
    let parsed = |table: &str| {
        let text = BUILT_IN.iter().find(|(name, _)| *name == "raspberry-pi-4b").unwrap().1;
        Board::parse(&format!("{text}\n[journal]\n{table}"), Path::new("my.toml"))
    };
    assert_eq!(Board::open("raspberry-pi-4b").unwrap().journal, crate::journal::Config::default());
    let journal = parsed(
        "commit_every_seconds = 10.0\nmax_records_per_second = inf\nmax_bytes = 1048576\nqueue_bytes = 65536\n\
         retry_seconds = 1.5\nkeep_faces = true\n",
    )
    .unwrap()
    .journal;
    assert_eq!(journal.commit_every, std::time::Duration::from_secs(10));
    assert_eq!(
        (journal.max_records_per_second, journal.max_bytes, journal.queue_bytes),
        (f32::INFINITY, 1 << 20, 65_536)
    );
    assert_eq!((journal.retry, journal.keep_faces), (std::time::Duration::from_millis(1500), true));
    for (table, says) in [
        ("commit_every = 2", "commit_every"),
        ("max_bytes = 5", "max_bytes is 5"),
        ("retry_seconds = -1.0", "seconds"),
        ("keep_faces = 1", "keep_faces: expected true or false, found 1"),
    ] {
        let message = parsed(table).unwrap_err().to_string();
        assert!(message.starts_with("my.toml") && message.contains(says), "{table}: {message}");
    }
}
