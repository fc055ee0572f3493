//! The memory use of this process.

/// Returns the peak resident memory of this process in bytes (`VmHWM` in `/proc/self/status`), or `None` if the system does not
/// report it.
pub fn peak() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}
