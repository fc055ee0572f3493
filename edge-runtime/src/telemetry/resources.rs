//! What this process and its journal take of the machine.

use std::path::{Path, PathBuf};

use rustix::time::{ClockId, clock_gettime};

/// Resident memory of this process in bytes.
pub fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}

/// Processor time of this process in seconds, of all threads, in user and in kernel mode.
pub fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// Size of a journal with its write-ahead log, in bytes; `None` if there is none.
pub fn journal_bytes(path: &Path) -> Option<u64> {
    let size = |path: PathBuf| std::fs::metadata(path).map(|found| found.len());
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    Some(size(path.to_owned()).ok()? + size(log.into()).unwrap_or(0))
}

/// Bytes that a user other than root can still write to the disk of a file.
pub fn free_bytes(path: &Path) -> Option<u64> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let disk = rustix::fs::statvfs(folder).ok()?;
    Some(disk.f_bavail * disk.f_frsize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_takes_memory_and_time_and_a_file_takes_its_bytes() {
        assert!(resident_bytes().is_some_and(|bytes| bytes > 1 << 16));
        assert!(cpu_seconds() > 0.0);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.sqlite");
        assert_eq!(journal_bytes(&path), None);
        std::fs::write(&path, [0; 1000]).unwrap();
        assert_eq!(journal_bytes(&path), Some(1000));
        std::fs::write(folder.path().join("journal.sqlite-wal"), [0; 24]).unwrap();
        assert_eq!(journal_bytes(&path), Some(1024));
        assert!(free_bytes(&path).is_some_and(|bytes| bytes > 0));
    }
}
