//! The two ways of installing on a board, with systemd and a real ssh server: the Debian package, and `host-trainer deploy`.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use xtask::{arm, cargo, package, process};

use crate::board_file::BoardFile;
use crate::fault::Fault;
use crate::files::{copy_folder, empty_folder};
use crate::guest::Guest;
use crate::lab::Lab;
use crate::machine::{Board, Init};
use crate::output::{self, EXPORT_EVENTS, Event};
use crate::service::{await_active, process_id};
use crate::suite::Figures;

const BOARD: Board = Board::Virt("cortex-a72");
const JOURNAL: &str = "/var/lib/edge-runtime/journal.sqlite";
/// The folder of the bundle on a board.
const BUNDLE: &str = "/usr/share/edge-runtime/bundle";

/// Runs the suite.
pub fn run(lab: &Lab) -> Result<Vec<Figures>> {
    let work = lab.folder.join("install");
    fs::create_dir_all(&work)?;
    let deb = package::pack(arm::TARGET)?;
    let key = make_key(&work)?;
    let mut payload = lab.payload()?;
    payload.copy("payload/edge-runtime.deb", &deb)?;
    payload.copy("payload/authorized_keys", &key.with_extension("pub"))?;
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
    let mut machine = lab.machine(BOARD, "install", &payload);
    machine.init = Init::Systemd;
    machine.modules = &["vivid"];
    machine.arguments = vec![
        "-netdev".into(),
        format!("user,id=net,hostfwd=tcp:127.0.0.1:{port}-:22"),
        "-device".into(),
        "virtio-net-pci,netdev=net,romfile=".into(),
    ];
    let mut guest = machine.boot()?;
    let packaged = test_package(&mut guest)?;
    guest.run("start-network")?;
    let deployed = test_deploy(lab, &work, &mut guest, port, &key)?;
    Ok(vec![Figures { board: BOARD.name(), text: packaged }, Figures { board: BOARD.name(), text: deployed }])
}

/// Makes a pair of ssh keys for this guest alone, and returns the path of the private one.
fn make_key(work: &Path) -> Result<PathBuf> {
    let key = work.join("key");
    for old in [&key, &key.with_extension("pub")] {
        let _ = fs::remove_file(old);
    }
    process::run(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key))?;
    Ok(key)
}

/// Installs, upgrades and purges the Debian package.
fn test_package(guest: &mut Guest) -> Result<String> {
    let begun = Instant::now();
    guest.run("dpkg -i /payload/edge-runtime.deb")?;
    await_active(guest)?;
    let first = process_id(guest)?;
    let installed = begun.elapsed();
    guest.run("dpkg -i /payload/edge-runtime.deb")?;
    await_active(guest)?;
    ensure!(process_id(guest)? != first, "the upgrade did not restart the service");
    guest.run(&format!("edge-runtime log verify --journal {JOURNAL}"))?;
    let events: Vec<Event> = output::json_lines(&guest.run(&format!("{EXPORT_EVENTS} {JOURNAL}"))?)?;
    let sessions = events.iter().filter(|event| event.event == "start").count();
    ensure!(sessions == 2, "the journal has {sessions} sessions instead of two");
    guest.run("dpkg --purge edge-runtime")?;
    let left = guest.run("list-leftovers")?;
    ensure!(left.trim() == "inactive", "the purge left {}", left.trim().replace('\n', "; "));
    Ok(format!(
        "Debian package: installed and recording after {:.0} s; the upgrade keeps the journal; the purge leaves nothing",
        installed.as_secs_f64()
    ))
}

/// Deploys two versions over ssh, and rolls back to the first.
fn test_deploy(lab: &Lab, work: &Path, guest: &mut Guest, port: u16, key: &Path) -> Result<String> {
    let board = work.join("board.toml");
    let mut board_file = BoardFile::generic("v4l2:/dev/video0")?;
    board_file.set("paths", "bundle", BUNDLE)?;
    board_file.write(&board)?;
    let deploy = |arguments: &[&str]| -> Result<Command> {
        let mut command = Command::new(cargo::sibling("host-trainer")?);
        command.args(["deploy", "--host", "root@127.0.0.1", "--port", &port.to_string(), "--identity"]).arg(key);
        command.args(["--ssh-option", "StrictHostKeyChecking=no", "--ssh-option", "UserKnownHostsFile=/dev/null"]);
        command.args(arguments);
        Ok(command)
    };
    let deploy_bundle = |bundle: &Path| -> Result<String> {
        let mut command = deploy(&[])?;
        command.arg("--board").arg(&board).arg("--bundle").arg(bundle).arg("--binary").arg(&lab.program);
        let output = process::run(&mut command)?;
        Ok(output.split_whitespace().next().context("deploy did not print the version")?.to_owned())
    };
    let begun = Instant::now();
    let first = deploy_bundle(&lab.bundle)?;
    let elapsed = begun.elapsed();
    await_active(guest)?;
    // The second version is the same net under another name.
    let other = work.join("other");
    empty_folder(&other)?;
    copy_folder(&lab.bundle, &other)?;
    rename_bundle(&other, "ferplus-other")?;
    let second = deploy_bundle(if lab.has(Fault::Version) { &lab.bundle } else { &other })?;
    await_active(guest)?;
    let status = process::run(&mut deploy(&["--status"])?)?;
    ensure!(
        status.contains(&format!("current {second}")) && status.contains(&format!("previous {first}")),
        "--status prints {status}"
    );
    process::run(&mut deploy(&["--rollback"])?)?;
    await_active(guest)?;
    let manifest: toml::Table = guest.run(&format!("grep -m1 '^name' {BUNDLE}/manifest.toml"))?.parse()?;
    ensure!(manifest["name"].as_str() == Some("ferplus-edge"), "after the rollback the board has {manifest}");
    Ok(format!(
        "`host-trainer deploy` over ssh: first version up after {:.0} s; second version, `--status` and `--rollback` work",
        elapsed.as_secs_f64()
    ))
}

/// Gives a bundle another name.
fn rename_bundle(bundle: &Path, name: &str) -> Result<()> {
    let path = bundle.join("manifest.toml");
    let mut manifest: toml::Table = fs::read_to_string(&path)?.parse()?;
    manifest.insert("name".into(), name.into()).context("the manifest has no name")?;
    Ok(fs::write(path, toml::to_string(&manifest)?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_name_of_a_bundle_changes() {
        let shipped = cargo::workspace_root().join("models/ferplus-edge/manifest.toml");
        let folder = tempfile::tempdir().unwrap();
        let copy = folder.path().join("manifest.toml");
        fs::copy(&shipped, &copy).unwrap();
        rename_bundle(folder.path(), "other").unwrap();
        let read = |path: &Path| fs::read_to_string(path).unwrap().parse::<toml::Table>().unwrap();
        let mut expected = read(&shipped);
        expected.insert("name".into(), "other".into());
        assert_eq!(read(&copy), expected);
    }
}
