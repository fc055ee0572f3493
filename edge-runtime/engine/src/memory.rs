//! The memory use of this process, and the memory of the machine.

/// Returns the peak resident memory of this process in bytes (`VmHWM` in `/proc/self/status`), or `None` if the system does not
/// report it.
pub fn peak() -> Option<u64> {
    bytes("/proc/self/status", "VmHWM:")
}

/// Returns how many bytes of memory programs can take without swapping (`MemAvailable` in `/proc/meminfo`), or `None` if the
/// system does not report it.
pub fn available() -> Option<u64> {
    bytes("/proc/meminfo", "MemAvailable:")
}

/// The value of a line such as `VmHWM: 12 kB`, in bytes.
fn bytes(file: &str, name: &str) -> Option<u64> {
    let text = std::fs::read_to_string(file).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}
