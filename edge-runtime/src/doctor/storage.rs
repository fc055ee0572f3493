//! The disk under the journal, and the journal.

use std::path::Path;

use rustix::fs::{StatVfsMountFlags, statvfs};

use super::{Finding, Machine};
use crate::journal::{JournalError, Reader, lost_target};

/// With fewer MiB free the journal is about to lose records.
const MIN_FREE: u64 = 20;
/// With fewer MiB free the user should make room.
const LOW: u64 = 200;

/// Whether the journal's folder can be written and has room.
pub fn disk(machine: &Machine, journal: &Path) -> Finding {
    let path = machine.path(journal);
    let parents = path.ancestors().skip(1);
    let Some(folder) = parents.into_iter().find(|folder| folder.exists()) else {
        return Finding::fail("disk", format!("{} has no folder", journal.display()), "give another --journal");
    };
    let name = machine.name(folder);
    let (Ok(file), Ok(disk)) = (std::fs::metadata(folder), statvfs(folder)) else {
        return Finding::fail("disk", format!("{name} cannot be looked at"), "give another --journal");
    };
    if !file.is_dir() {
        return Finding::fail("disk", format!("{name} is a file, not a folder"), "give another --journal");
    }
    let is_read_only = disk.f_flag.contains(StatVfsMountFlags::RDONLY);
    if is_read_only || !machine.user.may(0o3, &file) {
        let why = if is_read_only { "is on a disk mounted read-only" } else { "is not yours to write" };
        let wanted = path.parent().filter(|parent| *parent != folder).map(|parent| machine.name(parent));
        let advice = match wanted {
            Some(wanted) => format!("sudo install -d -o USER {wanted}, or give another --journal"),
            None => format!("sudo chown USER {name}, or give another --journal"),
        };
        return Finding::fail("disk", format!("{name} {why}"), advice);
    }
    room(&name, disk.f_bavail.saturating_mul(disk.f_frsize) >> 20)
}

/// Returns the finding about a folder with `mib` MiB free.
pub fn room(folder: &str, mib: u64) -> Finding {
    let found = format!("{mib} MiB free at {folder}");
    match mib {
        ..MIN_FREE => Finding::fail("disk", found, "make room"),
        MIN_FREE..LOW => Finding::warn("disk", found, "make room soon"),
        LOW.. => Finding::ok("disk", found),
    }
}

/// Whether the journal can be read and written, if there is one.
pub fn journal(machine: &Machine, journal: &Path) -> Finding {
    let path = machine.path(journal);
    let name = journal.display();
    if let Some(target) = lost_target(&path) {
        let found = format!("{name} is a link to {}, and there is no such folder", target.display());
        return Finding::fail("journal", found, "mount its disk, or give another --journal");
    }
    let Ok(file) = std::fs::metadata(&path) else {
        return Finding::ok("journal", format!("{name} is not there yet"));
    };
    if file.is_dir() {
        return Finding::fail("journal", format!("{name} is a folder"), "give the path of a file");
    }
    if file.is_file() && !machine.user.may(0o6, &file) {
        return Finding::fail(
            "journal",
            format!("{name} is not yours to read and write"),
            "sudo chown USER, or another --journal",
        );
    }
    if file.is_file() && file.len() == 0 {
        return Finding::ok("journal", format!("{name} is empty"));
    }
    match Reader::open(&path) {
        Ok(reader) => Finding::ok("journal", format!("{name}, {} MiB", reader.bytes() >> 20)),
        // The runtime puts it out of the way by itself.
        Err(error @ JournalError::Damaged { .. }) => {
            Finding::warn("journal", error.to_string(), "copy it before the runtime starts, if it is worth anything")
        }
        Err(error) => Finding::refused("journal", error.to_string()),
    }
}
