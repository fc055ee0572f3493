//! The sandbox as the kernel enforces it. It holds a thread and what that starts, so each test confines a thread of its own.

use std::fs::{self, File};
use std::io::ErrorKind::PermissionDenied;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::symlink;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use edge_runtime::journal::{Config, Session, Writer};
use edge_runtime::sandbox::{InForce, Sandbox};

/// Runs `act` in a thread of its own that is confined; `None` if this kernel cannot confine it.
fn confined<T: Send>(sandbox: &Sandbox, act: impl FnOnce(&InForce) -> T + Send) -> Option<T> {
    thread::scope(|scope| {
        let thread = scope.spawn(|| match sandbox.enter().unwrap() {
            InForce::Nothing(why) => {
                eprintln!("skipped: {why}");
                None
            }
            in_force => Some(act(&in_force)),
        });
        thread.join().unwrap()
    })
}

fn is_denied<T>(result: std::io::Result<T>) -> bool {
    result.is_err_and(|error| error.kind() == PermissionDenied)
}

/// A folder with `inside/file`, `outside/file`, and `inside/link`, which leads out.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in ["inside", "outside"] {
        fs::create_dir(folder.path().join(name)).unwrap();
        fs::write(folder.path().join(name).join("file"), name).unwrap();
    }
    symlink(folder.path().join("outside/file"), folder.path().join("inside/link")).unwrap();
    folder
}

#[test]
fn only_what_was_named_can_be_opened() {
    let folder = folder();
    let path = |name: &str| folder.path().join(name);
    let mut open = File::open(path("outside/file")).unwrap();
    let sandbox = Sandbox { read: vec![path("inside")], ..Sandbox::default() };
    confined(&sandbox, |_| {
        assert_eq!(fs::read_to_string(path("inside/file")).unwrap(), "inside");
        assert_eq!(fs::read_dir(path("inside")).unwrap().count(), 2);
        assert!(is_denied(fs::read(path("outside/file"))));
        assert!(is_denied(fs::read(path("inside/link"))));
        assert!(is_denied(fs::read_dir(path("outside"))));
        for name in ["inside/file", "inside/new", "outside/new"] {
            assert!(is_denied(fs::write(path(name), "x")), "{name}");
        }
        assert!(is_denied(fs::remove_file(path("inside/file"))));
        assert!(is_denied(std::process::Command::new("/bin/true").status()));
        assert!(is_denied(fs::read("/etc/passwd")));
        // What was open before stays open.
        assert_eq!(std::io::read_to_string(&mut open).unwrap(), "outside");
        assert!(fs::read("/proc/self/status").is_ok() && fs::read("/proc/sys/kernel/hostname").is_ok());
        // So do threads that are started from here on, and none that ran before.
        let of_child = thread::scope(|scope| scope.spawn(|| fs::read(path("outside/file"))).join().unwrap());
        assert!(is_denied(of_child));
    });
    assert!(fs::read(path("outside/file")).is_ok(), "another thread is confined");
}

#[test]
fn a_journal_is_written_in_its_folder() {
    let folder = folder();
    let path = |name: &str| folder.path().join(name);
    let sandbox = Sandbox { write: vec![path("inside")], ..Sandbox::default() };
    confined(&sandbox, |_| {
        let journal = rusqlite::Connection::open(path("inside/journal")).unwrap();
        journal.execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE a (b); INSERT INTO a VALUES (1);").unwrap();
        fs::rename(path("inside/file"), path("inside/moved")).unwrap();
        fs::remove_file(path("inside/moved")).unwrap();
        assert!(rusqlite::Connection::open(path("outside/journal")).is_err());
        assert!(is_denied(fs::write(path("outside/file"), "x")));
    });
}

#[test]
fn only_named_ports_are_reached() {
    let [good, bad] = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let port = |listener: &TcpListener| listener.local_addr().unwrap().port();
    let sandbox = Sandbox { connect: vec![port(&good)], listen: vec![0], ..Sandbox::default() };
    confined(&sandbox, |in_force| {
        if !matches!(in_force, InForce::Whole(_)) {
            eprintln!("skipped: this kernel's Landlock may not know ports yet");
            return;
        }
        assert!(TcpStream::connect(("127.0.0.1", port(&good))).is_ok());
        assert!(is_denied(TcpStream::connect(("127.0.0.1", port(&bad)))));
        assert!(TcpListener::bind("127.0.0.1:0").is_ok());
        // A port that is free now, and not named.
        let free = { port(&TcpListener::bind("127.0.0.1:0").unwrap()) };
        assert!(is_denied(TcpListener::bind(("127.0.0.1", free))));
    });
}

#[test]
fn a_disk_that_is_mounted_after_the_start_is_told_by_the_journal() {
    let folder = folder();
    let (link, late) = (folder.path().join("inside/journal"), folder.path().join("outside/late"));
    symlink(late.join("journal"), &link).unwrap();
    let sandbox = Sandbox { write: vec![folder.path().join("inside")], ..Sandbox::default() };
    let (mount, mounting) = mpsc::channel::<()>();
    thread::scope(|scope| {
        let disk = late.clone();
        // This thread is not confined. It goes on once the other end is dropped.
        scope.spawn(move || {
            _ = mounting.recv();
            fs::create_dir(disk).unwrap();
        });
        let late = &late;
        confined(&sandbox, move |_| {
            let writer = Writer::open(&link, Config::default(), Session::here()).unwrap();
            let failing = || {
                assert!(!writer.flush(Duration::from_secs(60)));
                writer.health().failing.unwrap_or_default()
            };
            let said = failing();
            assert!(said.ends_with("and there is no such folder"), "{said}");
            drop(mount);
            while !late.exists() {
                thread::sleep(Duration::from_millis(1));
            }
            let said = failing();
            assert!(said.contains(&format!("the sandbox of this run does not reach {}", late.display())), "{said}");
            let error = writer.close("test").unwrap_err().to_string();
            assert!(error.contains("the sandbox of this run") && !error.contains('\n'), "{error}");
        });
    });
}

/// A folder that is not below those that every program may write to.
fn folder_elsewhere() -> Option<tempfile::TempDir> {
    let home = std::env::var("HOME").unwrap_or_default();
    let places = [env!("CARGO_TARGET_TMPDIR"), &home, "/run", "/opt"];
    let is_scratch = |place: &str| ["/tmp", "/var/tmp", "/dev"].iter().any(|scratch| place.starts_with(scratch));
    let folder = places.into_iter().filter(|place| !is_scratch(place)).find_map(|it| tempfile::tempdir_in(it).ok());
    if folder.is_none() {
        eprintln!("skipped: no folder outside /tmp can be written to");
    }
    folder
}

#[test]
fn programs_may_read_and_run_but_not_write() {
    let Some(folder) = folder_elsewhere() else { return };
    let (inside, outside) = (folder.path().join("inside"), folder.path().join("outside"));
    fs::create_dir(&inside).unwrap();
    let sandbox = Sandbox { programs: true, write: vec![inside.clone()], ..Sandbox::default() };
    confined(&sandbox, |_| {
        let shell =
            |line: String| std::process::Command::new("sh").args(["-c", &line]).output().unwrap().status.success();
        assert!(shell("cat /etc/passwd >/dev/null".into()));
        assert!(shell(format!("echo x >'{}/file'", inside.display())));
        assert!(!shell(format!("echo x >'{}'", outside.display())));
    });
}
