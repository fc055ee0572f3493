//! Permissions on files.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::process::{getegid, geteuid, getgroups};

use super::Machine;

/// A user and the groups that count for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Number of the user; 0 is root.
    pub id: u32,
    /// Numbers of the groups.
    pub groups: Vec<u32>,
}

impl User {
    /// Who runs this program.
    pub fn current() -> User {
        let groups = getgroups().unwrap_or_default().into_iter().chain([getegid()]);
        User { id: geteuid().as_raw(), groups: groups.map(|group| group.as_raw()).collect() }
    }

    /// Whether the file's mode lets the user do all of `wanted`: 4 read, 2 write, 1 execute.
    pub fn may(&self, wanted: u32, file: &Metadata) -> bool {
        if self.id == 0 {
            return true;
        }
        let shift = if file.uid() == self.id {
            6
        } else if self.groups.contains(&file.gid()) {
            3
        } else {
            0
        };
        (file.mode() >> shift) & wanted == wanted
    }
}

/// Why the user cannot read and write a device, and what to do; `None` if nothing is wrong.
pub fn problem(machine: &Machine, device: &Path) -> Option<(String, String)> {
    let name = machine.name(device);
    let file = match std::fs::metadata(device) {
        Ok(file) => file,
        Err(error) => return Some((format!("{name}: {error}"), "look whether it is plugged in and enabled".into())),
    };
    if machine.user.may(0o6, &file) {
        return None;
    }
    let advice = match group_name(machine, file.gid()) {
        Some(group) if file.mode() & 0o060 == 0o060 && file.gid() != 0 => {
            format!("sudo usermod -aG {group} USER, and log in again")
        }
        _ => "install boards/edge-runtime.rules as /etc/udev/rules.d/60-edge-runtime.rules and start again".into(),
    };
    Some((format!("{name} is not yours to read and write"), advice))
}

/// The name of a group.
fn group_name(machine: &Machine, id: u32) -> Option<String> {
    let groups = std::fs::read_to_string(machine.path("/etc/group")).ok()?;
    groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(id)).then(|| name.to_owned())
    })
}
