//! Disks that are full or may not be written. Limits of a process hold for all of its threads, so each test has a child.

mod journal_common;

use std::ffi::CString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use edge_runtime::event::Event;
use edge_runtime::journal::{Config, Reader, Writer};
use journal_common::*;

/// Runs a child and gives what it said.
fn run(test: &str, path: &Path) -> String {
    let output = child(test, path).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    said
}

/// Writes until the disk is full and the queue has overflown, makes room, and looks at what was said of it.
fn through_a_full_disk(path: &Path, make_room: impl FnOnce()) {
    let writer = open(path, Config { queue_bytes: 64 << 10, ..config() });
    let mut frame = 0;
    wait_until("the disk is full and records are lost", || {
        (0..20).for_each(|_| {
            writer.observe(&observation(frame, 4));
            frame += 1;
        });
        writer.flush(PATIENCE);
        let health = writer.health();
        health.failing.is_some() && health.lost_records > 100
    });
    let reader = Reader::open(path).unwrap();
    assert_eq!(reader.ids().unwrap().unwrap().1, writer.committed(), "what is committed can be read meanwhile");
    drop(reader);
    make_room();
    wait_until("the journal is written again", || writer.flush(PATIENCE));
    let lost = writer.health().lost_records;
    let newest = writer.close("test").unwrap();

    assert_eq!(damage(path), [""; 0]);
    let reader = Reader::open(path).unwrap();
    let said: Vec<Event> = reader.events_after(0, 1000).unwrap().iter().filter_map(|event| event.event()).collect();
    let full = |event: &Event| matches!(event, Event::WritingFailed { cause, .. } if cause == "disk_full");
    assert!(said.iter().any(full), "{said:?}");
    assert!(said.iter().any(|event| matches!(event, Event::WritingRecovered { .. })), "{said:?}");
    let counted = said.iter().map(|event| match event {
        Event::RecordsLost { records, seconds, .. } => (*records, *seconds),
        _ => (0, 0.0),
    });
    let (records, seconds) = counted.fold((0, 0.0), |sum, each| (sum.0 + each.0, sum.1 + each.1));
    assert_eq!(records, lost);
    assert!(seconds > 0.0);
    let rows = reader.records_after(0, usize::MAX).unwrap();
    assert_eq!(rows.len() as u64 + lost, frame * 4, "every record is written or counted as lost");
    assert_eq!(reader.ids().unwrap().unwrap().1, newest);
    let frames: u64 = reader.minutes(&Default::default()).unwrap().iter().map(|minute| minute.frames).sum();
    assert_eq!(frames, frame, "every frame is counted, lost or not");
}

#[test]
fn limited_child() {
    let Some(path) = child_path() else { return };
    limit_files_to(300 << 10);
    through_a_full_disk(&path, || limit_files_to(libc::RLIM_INFINITY));
}

#[test]
fn a_limit_on_file_sizes_is_outlived() {
    let folder = tempfile::tempdir().unwrap();
    run("limited_child", &folder.path().join("journal"));
}

/// A file system of one's own, in a namespace of one's own; false where the system allows none.
fn mount(folder: &Path, flags: libc::c_ulong, options: &str) -> bool {
    let [target, options] = [folder.as_os_str().as_bytes(), options.as_bytes()].map(|text| CString::new(text).unwrap());
    // SAFETY: plain system calls with strings that outlive them.
    unsafe {
        libc::unshare(libc::CLONE_NEWNS) == 0
            && libc::mount(
                c"none".as_ptr(),
                c"/".as_ptr(),
                std::ptr::null(),
                libc::MS_REC | libc::MS_PRIVATE,
                std::ptr::null(),
            ) == 0
            && libc::mount(c"none".as_ptr(), target.as_ptr(), c"tmpfs".as_ptr(), flags, options.as_ptr().cast()) == 0
    }
}

#[test]
fn small_disk_child() {
    let Some(folder) = child_path() else { return };
    if !mount(&folder, 0, "size=1m") {
        return eprintln!("skipped: only root may mount a file system");
    }
    let filler = folder.join("filler");
    // Something else fills most of the disk, and goes away later.
    fs::write(&filler, vec![0; 600 << 10]).unwrap();
    through_a_full_disk(&folder.join("journal"), || fs::remove_file(&filler).unwrap());
}

#[test]
fn a_full_disk_is_outlived() {
    let folder = tempfile::tempdir().unwrap();
    eprintln!("{}", run("small_disk_child", folder.path()));
}

#[test]
fn read_only_child() {
    let Some(folder) = child_path() else { return };
    // SAFETY: plain system calls; where this is not root they fail, and the permissions hold anyhow.
    unsafe {
        libc::setgid(65534);
        libc::setuid(65534);
    }
    let path = folder.join("closed/journal");
    assert!(fs::write(folder.join("closed/probe"), "").is_err(), "the folder can be written, so nothing is tested");
    let writer = Writer::open(&path, config(), session()).unwrap();
    (0..20).for_each(|frame| writer.observe(&observation(frame, 1)));
    wait_until("it is noticed", || writer.health().failing.is_some());
    assert!(!writer.flush(PATIENCE));
    let error = writer.close("test").unwrap_err().to_string();
    assert!(error.contains("23 records and events were not written"), "{error}");
    // Reading needs no permission to write.
    let reader = Reader::open(&folder.join("closed/old")).unwrap();
    assert_eq!(reader.records_after(0, 100).unwrap().len(), 5);
}

#[test]
fn a_read_only_folder_stops_nothing_and_can_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let closed = folder.path().join("closed");
    let writer = open(&closed.join("old"), config());
    (0..5).for_each(|frame| writer.observe(&observation(frame, 1)));
    writer.close("test").unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o555)).unwrap();
    run("read_only_child", folder.path());
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o755)).unwrap();
}
