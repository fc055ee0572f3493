//! What the program writes goes where the path leads: a device, a pipe or a link is written through and stays what it is.

mod journal_common;

use std::fs;
use std::os::unix::fs::{FileTypeExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use journal_common::*;

/// Each way to write a file, and how what it writes begins.
fn writers() -> Vec<(&'static [&'static str], &'static [u8])> {
    let mut writers: Vec<(&[&str], &[u8])> =
        vec![(&["export"], b"id,time,"), (&["export", "--format", "jsonl"], b"{\""), (&["report"], b"<!")];
    if cfg!(feature = "parquet") {
        writers.push((&["export", "--format", "parquet"], b"PAR1"));
    }
    writers
}

fn journal(folder: &Path) -> PathBuf {
    let path = folder.join("journal");
    let writer = open(&path, config());
    (0..20).for_each(|frame| writer.observe(&observation(frame, 1)));
    writer.close("test").unwrap();
    path
}

fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_edge-runtime"))
}

#[track_caller]
fn written(arguments: &[&str], journal: &Path, output: &Path) {
    let run: Output =
        program().arg("log").args(arguments).arg("-o").arg(output).arg("--journal").arg(journal).output().unwrap();
    assert!(run.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&run.stderr));
}

fn succeeds(program: &str, arguments: &[&str]) -> bool {
    Command::new(program).args(arguments).output().is_ok_and(|output| output.status.success())
}

#[test]
fn a_device_stays_a_device() {
    let folder = tempfile::tempdir().unwrap();
    let journal = journal(folder.path());
    let null = folder.path().join("null");
    let made = succeeds("mknod", &[null.to_str().unwrap(), "c", "1", "3"]);
    if !made || fs::OpenOptions::new().append(true).open(&null).is_err() {
        eprintln!("skipped: only root can make a device file, and only where the file system allows devices");
        return;
    }
    for (arguments, _) in writers() {
        written(arguments, &journal, &null);
        let kind = fs::symlink_metadata(&null).unwrap().file_type();
        assert!(kind.is_char_device(), "{arguments:?} replaced the device");
    }
}

#[test]
fn a_pipe_is_written_through() {
    let folder = tempfile::tempdir().unwrap();
    let journal = journal(folder.path());
    let pipe = folder.path().join("pipe");
    assert!(succeeds("mkfifo", &[pipe.to_str().unwrap()]));
    for (arguments, begins) in writers() {
        let reader = std::thread::spawn({
            let pipe = pipe.clone();
            move || fs::read(pipe).unwrap()
        });
        written(arguments, &journal, &pipe);
        assert!(fs::symlink_metadata(&pipe).unwrap().file_type().is_fifo(), "{arguments:?} replaced the pipe");
        assert!(reader.join().unwrap().starts_with(begins), "{arguments:?}");
    }
}

#[test]
fn a_link_stays_and_its_file_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let journal = journal(folder.path());
    for (arguments, begins) in writers() {
        let elsewhere = tempfile::tempdir().unwrap();
        let (link, file) = (folder.path().join("link"), elsewhere.path().join("file"));
        fs::write(&file, "old").unwrap();
        symlink(&file, &link).unwrap();
        written(arguments, &journal, &link);
        assert_eq!(fs::read_link(&link).unwrap(), file, "{arguments:?} replaced the link");
        assert!(fs::read(&file).unwrap().starts_with(begins), "{arguments:?}");
        fs::remove_file(&link).unwrap();
    }
}

#[test]
fn folders_of_files_may_be_links_and_hold_links() {
    let folder = tempfile::tempdir().unwrap();
    let [link, target] = ["link", "target"].map(|name| folder.path().join(name));
    fs::create_dir(&target).unwrap();
    symlink(&target, &link).unwrap();
    symlink(folder.path().join("elsewhere"), target.join("edge-runtime.1")).unwrap();
    assert!(program().arg("man").arg(&link).status().unwrap().success());
    assert!(link.is_symlink() && target.join("edge-runtime.1").is_symlink());
    assert!(fs::read_to_string(folder.path().join("elsewhere")).unwrap().contains(".TH"));
}

fn refused(arguments: &[&str], journal: &Path, output: &Path) -> String {
    let run =
        program().arg("log").args(arguments).arg("-o").arg(output).arg("--journal").arg(journal).output().unwrap();
    let said = String::from_utf8_lossy(&run.stderr).into_owned();
    assert_eq!((run.status.code(), said.lines().count()), (Some(2), 1), "{arguments:?}: {said}");
    said
}

#[test]
fn the_journal_is_not_overwritten_by_what_is_read_from_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = journal(folder.path());
    let before = fs::read(&path).unwrap();
    let link = folder.path().join("link");
    symlink("journal", &link).unwrap();
    let beside = ["journal-wal", "journal-shm"].map(|name| folder.path().join(name));
    for arguments in [&["export"][..], &["visits"], &["report"]] {
        for output in [&path, &link, &beside[0], &beside[1]] {
            let said = refused(arguments, &path, output);
            assert!(said.contains("would overwrite the input"), "{said}");
        }
    }
    // Another journal, whose name is easily mistaken.
    let other = folder.path().join("other");
    fs::copy(&path, &other).unwrap();
    for arguments in [&["export"][..], &["visits"], &["report"]] {
        assert!(refused(arguments, &path, &other).contains("a journal perhaps"));
    }
    assert_eq!(fs::read(&other).unwrap(), before);
    let said = refused(&["faces"], &path, Path::new("-"));
    assert!(said.contains("name a folder"), "{said}");
    assert_eq!(fs::read(&path).unwrap(), before);
    assert!(link.is_symlink());
}

#[test]
fn a_hyphen_is_stdout_and_no_path_is_printed_into_a_page() {
    let folder = tempfile::tempdir().unwrap();
    let path = journal(folder.path());
    for (arguments, begins) in writers() {
        for output in ["-", "/dev/stdout"] {
            let mut command = program();
            command.current_dir(folder.path()).arg("log").args(arguments).args(["-o", output, "--journal"]);
            let run = command.arg(&path).output().unwrap();
            assert!(run.status.success() && run.stdout.starts_with(begins), "{arguments:?} {output}");
            assert!(!run.stdout.ends_with(b"stdout\n"), "{arguments:?}");
        }
    }
    assert!(!folder.path().join("-").exists());
}

#[test]
fn what_goes_to_stdout_fits_every_kind_of_stdout() {
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let refused = program().args(["completions", "bash"]).stdout(full).output().unwrap();
    assert_ne!(refused.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&refused.stderr).lines().count(), 1);
    let folder = tempfile::tempdir().unwrap();
    let path = journal(folder.path());
    for (arguments, _) in writers() {
        let said = self::refused(arguments, &path, Path::new("/dev/full"));
        assert!(said.starts_with("error: cannot write /dev/full: No space left"), "{said}");
    }
    for what in ["export", "tail"] {
        let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let refused = program().args(["log", what, "--journal"]).arg(&path).stdout(full).output().unwrap();
        assert_eq!(refused.status.code(), Some(2), "{what}");
        let said = String::from_utf8_lossy(&refused.stderr);
        assert!(said.starts_with("error: cannot write to stdout: No space left"), "{what}: {said}");
    }
    let null = fs::OpenOptions::new().write(true).open("/dev/null").unwrap();
    assert!(program().args(["completions", "bash"]).stdout(null).status().unwrap().success());
}
