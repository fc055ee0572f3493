//! The scripts of a card (`boards/card`), with files that its owner may put on the boot partition, right ones and wrong ones.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// Stands in for `systemctl` and for `edge-runtime`: notes its arguments, and finds a board file with the word `wrong` wrong.
const PROGRAM: &str = "#!/bin/sh\necho \"$*\" >>\"$(dirname \"$0\")/calls\"\ncase $1 in\n    --version) echo 'edge-runtime 1' ;;\n    health) echo 'fail  camera <lost>' ;;\n    config) ! grep -q wrong \"$3\" || { echo 'error: line 1: wrong' >&2; exit 2; } ;;\nesac\n";

/// A board that is about to start.
struct Board {
    folder: TempDir,
}

impl Board {
    fn new(files: &[(&str, &str)]) -> Board {
        let board = Board { folder: tempfile::tempdir().unwrap() };
        for folder in ["boot", "root/etc/edge-runtime", "data"] {
            fs::create_dir_all(board.path(folder)).unwrap();
        }
        fs::write(board.path("serial"), "100000001A2b3c4d\0").unwrap();
        fs::write(board.path("root/etc/edge-runtime/board.toml"), "shipped").unwrap();
        fs::write(board.path("program"), PROGRAM).unwrap();
        fs::set_permissions(board.path("program"), fs::Permissions::from_mode(0o755)).unwrap();
        for (name, content) in files {
            fs::write(board.path("boot").join(name), content).unwrap();
        }
        board
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    fn run(&self, script: &str, argument: &Path) {
        let script = xtask::cargo::workspace_root().join("boards/card").join(script);
        let mut command = Command::new("sh");
        command.arg(script).arg(argument).env("CARD_ROOT", self.path("root")).env("CARD_BOOT", self.path("boot"));
        command.env("CARD_DATA", self.path("data")).env("CARD_SERIAL", self.path("serial"));
        command.env("CARD_SYSTEMCTL", self.path("program")).env("CARD_PROGRAM", self.path("program"));
        command.env("CARD_NOTES", self.path("root/run/edge-runtime-card/notes"));
        command.env("CARD_HOSTNAME", self.path("root/etc/hostname")).env("CARD_MODEL", self.path("serial"));
        assert!(command.env("CARD_ONCE", "yes").status().unwrap().success());
    }

    /// Starts the board and returns what it says about the files.
    fn start(&self) -> String {
        self.run("apply.sh", Path::new(""));
        self.read("root/run/edge-runtime-card/notes")
    }
}

#[test]
fn a_card_without_files_gets_a_name_and_opens_nothing() {
    let board = Board::new(&[]);
    assert_eq!(board.start(), "");
    assert_eq!(board.read("root/etc/hostname"), "edge-runtime-1a2b3c4d\n");
    assert_eq!(board.read("calls"), "");
    assert_eq!(board.read("root/etc/edge-runtime/environment"), "");
    fs::remove_file(board.path("serial")).unwrap();
    board.start();
    assert_eq!(board.read("root/etc/hostname"), "edge-runtime\n");
}

#[test]
fn each_file_on_the_card_does_what_its_readme_says() {
    if Command::new("ssh-keygen").arg("-?").output().is_err() {
        eprintln!("skipped: the files of a card: no ssh-keygen here");
        return;
    }
    let board = Board::new(&[
        ("hostname", "hall\r\n"),
        ("wpa_supplicant.conf", "country=DE\r\nnetwork={\r\n}\r\n"),
        ("authorized_keys", "ssh-ed25519 AAAA me\r\n"),
        ("board.toml", "mine"),
        ("preview-token", "0123456789abcdef\r\n"),
    ]);
    let said = board.start();
    assert_eq!(board.read("root/etc/hostname"), "hall\n");
    let wlan = "root/etc/wpa_supplicant/wpa_supplicant-wlan0.conf";
    assert_eq!(board.read(wlan), "country=DE\nnetwork={\n}\n");
    assert_eq!(board.read("root/root/.ssh/authorized_keys"), "ssh-ed25519 AAAA me\n");
    assert_eq!(board.read("root/etc/edge-runtime/board.toml"), "mine");
    assert_eq!(board.read("root/etc/edge-runtime/preview-token"), "0123456789abcdef\n");
    assert!(board.read("root/etc/edge-runtime/environment").starts_with("EDGE_RUNTIME_PREVIEW=:8080\n"));
    for secret in [wlan, "root/etc/edge-runtime/preview-token", "data/ssh/ssh_host_ed25519_key"] {
        let mode = fs::metadata(board.path(secret)).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{secret} has permissions {mode:o}");
    }
    let calls = board.read("calls");
    assert!(calls.contains("start wpa_supplicant@wlan0.service\n") && calls.contains("start ssh.service\n"), "{calls}");
    assert!(said.contains("ssh root@hall.local\n") && said.contains("http://hall.local:8080/"), "{said}");
    assert!(!said.contains("0123456789abcdef"), "{said}");
    // The board keeps its own key.
    let key = board.read("data/ssh/ssh_host_ed25519_key");
    assert!(key.contains("PRIVATE KEY"));
    board.start();
    assert_eq!(board.read("data/ssh/ssh_host_ed25519_key"), key);
}

#[test]
fn a_byte_order_mark_is_no_part_of_a_file() {
    let board = Board::new(&[
        ("hostname", "\u{feff}hall\r\n"),
        ("wpa_supplicant.conf", "\u{feff}country=DE\r\n"),
        ("board.toml", "\u{feff}mine"),
        ("preview-token", "\u{feff}0123456789abcdef\r\n"),
    ]);
    board.start();
    assert_eq!(board.read("root/etc/hostname"), "hall\n");
    assert_eq!(board.read("root/etc/wpa_supplicant/wpa_supplicant-wlan0.conf"), "country=DE\n");
    assert_eq!(board.read("root/etc/edge-runtime/board.toml"), "mine");
    assert_eq!(board.read("root/etc/edge-runtime/preview-token"), "0123456789abcdef\n");
}

#[test]
fn a_file_to_whose_name_an_editor_added_txt_counts_unless_the_right_one_is_there() {
    let board = Board::new(&[
        ("hostname.txt", "hall"),
        ("wpa_supplicant.conf.txt", "country=DE\n"),
        ("board.toml", "mine"),
        ("board.toml.txt", "an older one"),
        ("preview-token.txt", "0123456789abcdef"),
    ]);
    let said = board.start();
    assert_eq!(board.read("root/etc/hostname"), "hall\n");
    assert_eq!(board.read("root/etc/wpa_supplicant/wpa_supplicant-wlan0.conf"), "country=DE\n");
    assert_eq!(board.read("root/etc/edge-runtime/board.toml"), "mine");
    assert_eq!(board.read("root/etc/edge-runtime/preview-token"), "0123456789abcdef\n");
    assert!(said.contains("wpa_supplicant.conf: WLAN is on") && said.contains("preview-token: live picture"), "{said}");
}

#[test]
fn a_wrong_file_is_named_with_what_to_do_and_the_board_starts_without_it() {
    let board = Board::new(&[
        ("hostname", "hall; reboot"),
        ("wpa_supplicant.conf", "network={\n}\n"),
        ("authorized_keys", "-----BEGIN OPENSSH PRIVATE KEY-----\n"),
        ("board.toml", "wrong"),
        ("preview-token", "short"),
    ]);
    let said = board.start();
    for line in [
        "hostname: \"hall;reboot\" is not a host name",
        "wpa_supplicant.conf: the line country=XX is missing",
        "authorized_keys: no public key in it",
        "board.toml: not used: error: line 1: wrong",
        "preview-token: too short",
    ] {
        assert!(said.contains(line), "{line}\n{said}");
    }
    assert_eq!(board.read("root/etc/hostname"), "edge-runtime-1a2b3c4d\n");
    assert_eq!(board.read("root/etc/edge-runtime/board.toml"), "shipped");
    assert!(!board.read("calls").contains("start"));
    for path in ["etc/wpa_supplicant", "root/.ssh", "etc/edge-runtime/preview-token", "etc/edge-runtime/environment"] {
        assert!(!board.path("root").join(path).exists(), "{path}");
    }
}

#[test]
fn the_page_says_how_the_board_is_and_escapes_what_others_wrote() {
    let board = Board::new(&[("hostname", "<b>")]);
    board.start();
    board.run("page.sh", board.folder.path());
    let page = board.read("index.html");
    assert!(page.contains("<h1>edge-runtime-1a2b3c4d</h1>"), "{page}");
    assert!(page.contains("fail  camera &lt;lost&gt;") && page.contains("<li>hostname: \"&lt;b&gt;\""), "{page}");
    assert!(!page.contains("<b>"), "{page}");
}
