//! The service.

use super::{Finding, Machine};

const UNIT: &str = "edge-runtime.service";

/// Whether the service is installed and starts with the board.
pub fn unit(machine: &Machine) -> Finding {
    let folders = ["/etc/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"];
    let Some(folder) = folders.iter().find(|folder| machine.path(folder).join(UNIT).exists()) else {
        return Finding::warn(
            "service",
            format!("{UNIT} is not installed"),
            "docs/hardware.md tells how, if it should run by itself",
        );
    };
    let wanted = machine.path("/etc/systemd/system/multi-user.target.wants").join(UNIT);
    // A link: what it points to lies elsewhere in tests.
    if wanted.symlink_metadata().is_ok() {
        return Finding::ok("service", format!("{folder}/{UNIT}, starts with the board"));
    }
    Finding::warn(
        "service",
        format!("{folder}/{UNIT} does not start with the board"),
        format!("sudo systemctl enable --now {UNIT}"),
    )
}
