//! The files that go over Debian's root file system.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use super::{Recipe, copy_tree, path_with_sbin};
use crate::cargo;
use crate::guest::System;
use crate::process::run;

/// Files of `boards/` and where they go, with their permissions.
const FILES: [(&str, &str, u32); 8] = [
    ("edge-runtime.service", "usr/lib/systemd/system/edge-runtime.service", 0o644),
    ("edge-runtime.sysusers", "usr/lib/sysusers.d/edge-runtime.conf", 0o644),
    ("edge-runtime.rules", "usr/lib/udev/rules.d/60-edge-runtime.rules", 0o644),
    ("card/edge-runtime-card.service", "usr/lib/systemd/system/edge-runtime-card.service", 0o644),
    ("card/edge-runtime-page.service", "usr/lib/systemd/system/edge-runtime-page.service", 0o644),
    ("card/apply.sh", "usr/lib/edge-runtime/apply", 0o755),
    ("card/page.sh", "usr/lib/edge-runtime/page", 0o755),
    ("card/sshd.conf", "etc/ssh/sshd_config.d/card.conf", 0o644),
];
/// Units that are started, by what wants them.
const UNITS: [(&str, &str); 6] = [
    ("multi-user.target", "edge-runtime.service"),
    ("multi-user.target", "edge-runtime-page.service"),
    ("multi-user.target", "systemd-networkd.service"),
    ("sysinit.target", "edge-runtime-card.service"),
    ("sysinit.target", "systemd-resolved.service"),
    ("sysinit.target", "systemd-timesyncd.service"),
];
/// The boot partition may be missing after a change by its owner; the board starts all the same.
const MOUNTS: &str = "\
LABEL=BOOT /boot/firmware vfat ro,nodev,nosuid,noexec,umask=0022,nofail 0 0
LABEL=journal /data ext4 noatime,nodev,nosuid,noexec 0 2
/data/edge-runtime /var/lib/edge-runtime none bind 0 0
";
/// Wired and wireless networks alike; the board answers to NAME.local.
const NETWORK: &str = "[Match]\nType=ether wlan\n\n[Network]\nDHCP=yes\nMulticastDNS=yes\n";

/// Writes the layer of an image.
///
/// # Errors
/// Returns an error if a file cannot be read or written.
pub fn write(layer: &Path, recipe: &Recipe, system: &System) -> Result<()> {
    let boards = cargo::workspace_root().join("boards");
    write_file(layer, "usr/bin/edge-runtime", &fs::read(recipe.program)?, 0o755)?;
    for entry in fs::read_dir(recipe.bundle)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        write_file(layer, &format!("usr/share/edge-runtime/bundle/{name}"), &fs::read(&path)?, 0o644)?;
    }
    for (from, to, mode) in FILES {
        write_file(layer, to, &fs::read(boards.join(from)).with_context(|| from.to_owned())?, mode)?;
    }
    for name in ["LICENSE-MIT", "LICENSE-APACHE"] {
        let text = fs::read(cargo::workspace_root().join(name))?;
        write_file(layer, &format!("usr/share/doc/edge-runtime/{name}"), &text, 0o644)?;
    }
    write_file(layer, "usr/share/doc/edge-runtime/NOTICE", &fs::read(boards.join("release/NOTICE"))?, 0o644)?;
    write_file(layer, "etc/edge-runtime/board.toml", &fs::read(recipe.board)?, 0o644)?;
    write_file(layer, "etc/hostname", b"edge-runtime\n", 0o644)?;
    // Empty: systemd makes a new one at each boot, without taking that boot for the first, which asks questions.
    write_file(layer, "etc/machine-id", b"", 0o444)?;
    write_file(layer, "etc/modules-load.d/i2c.conf", b"i2c-dev\n", 0o644)?;
    symlink("/run/systemd/resolve/stub-resolv.conf", layer.join("etc/resolv.conf"))?;
    write_file(layer, "etc/fstab", MOUNTS.as_bytes(), 0o644)?;
    write_file(layer, "etc/systemd/network/80-dhcp.network", NETWORK.as_bytes(), 0o644)?;
    write_file(layer, "etc/systemd/resolved.conf.d/mdns.conf", b"[Resolve]\nMulticastDNS=yes\n", 0o644)?;
    write_file(
        layer,
        "usr/lib/systemd/system/edge-runtime.service.d/data.conf",
        b"[Unit]\nRequiresMountsFor=/var/lib/edge-runtime\n",
        0o644,
    )?;
    for folder in ["boot/firmware", "data", "var/lib/edge-runtime"] {
        fs::create_dir_all(layer.join(folder))?;
    }
    for (target, unit) in UNITS {
        let link = layer.join(format!("etc/systemd/system/{target}.wants/{unit}"));
        fs::create_dir_all(link.parent().context("a folder")?)?;
        symlink(format!("/usr/lib/systemd/system/{unit}"), link)?;
    }
    let modules = layer.join("usr/lib/modules");
    copy_tree(&system.module_folder(), &modules)?;
    for version in fs::read_dir(&modules)? {
        let name = version?.file_name();
        // depmod looks for lib/modules.
        let _ = symlink("usr/lib", layer.join("lib"));
        run(Command::new("depmod").arg("-b").arg(layer).arg(&name).env("PATH", path_with_sbin()))?;
    }
    let _ = fs::remove_file(layer.join("lib"));
    // Whatever the umask is: depmod heeds it too.
    run(Command::new("find").arg(&modules).args(["-type", "f", "-exec", "chmod", "644", "{}", "+"]))?;
    run(Command::new("find").arg(layer).args(["-type", "d", "-exec", "chmod", "755", "{}", "+"]))?;
    if let Some(files) = recipe.files {
        copy_tree(files, layer)?;
    }
    Ok(())
}

fn write_file(layer: &Path, path: &str, content: &[u8], mode: u32) -> Result<()> {
    let file = layer.join(path);
    fs::create_dir_all(file.parent().context("a folder")?)?;
    fs::write(&file, content)?;
    Ok(fs::set_permissions(&file, fs::Permissions::from_mode(mode))?)
}
