//! What memory this process has held.

/// The peak resident memory of this process in bytes, or `None` if the system does not tell (`VmHWM` in `/proc/self/status`).
pub fn peak() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}
