//! The two ways onto a board, on a board with systemd and a real ssh server: the Debian package, then `host-trainer deploy`.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::{Fault, Figures, LIMIT, Lab, board_file, copy_folder, succeed};
use crate::guest::Guest;
use crate::guest::console::{Board, Init};
use crate::{arm, cargo, package};

const BOARD: Board = Board::Virt("cortex-a72");
const JOURNAL: &str = "/var/lib/edge-runtime/journal.sqlite";

pub fn run(lab: &Lab) -> Result<Vec<Figures>> {
    let work = lab.folder.join("install");
    fs::create_dir_all(&work)?;
    let deb = package::pack(arm::TARGET)?;
    let key = key(&work)?;
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
    let packaged = packaged(&mut guest)?;
    guest.run(
        "set -e; \
         ip link set eth0 up; \
         ip addr add 10.0.2.15/24 dev eth0; \
         ip route add default via 10.0.2.2; \
         mkdir -p ~/.ssh; \
         cp /payload/authorized_keys ~/.ssh/; \
         chmod -R go= ~/.ssh; \
         ssh-keygen -A >/dev/null; \
         systemctl restart ssh",
        LIMIT,
    )?;
    let deployed = deployed(lab, &work, &mut guest, port, &key)?;
    Ok(vec![Figures { board: BOARD.name(), text: packaged }, Figures { board: BOARD.name(), text: deployed }])
}

/// A key pair for this guest alone.
fn key(work: &Path) -> Result<PathBuf> {
    let key = work.join("key");
    for old in [&key, &key.with_extension("pub")] {
        let _ = fs::remove_file(old);
    }
    succeed(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key))?;
    Ok(key)
}

fn packaged(guest: &mut Guest) -> Result<String> {
    let begun = Instant::now();
    guest.run("dpkg -i /payload/edge-runtime.deb", LIMIT)?;
    active(guest)?;
    let first = main_process(guest)?;
    let installed = begun.elapsed();
    guest.run("dpkg -i /payload/edge-runtime.deb", LIMIT)?;
    active(guest)?;
    ensure!(main_process(guest)? != first, "an upgrade did not start the service again");
    guest.run(&format!("edge-runtime log verify --journal {JOURNAL}"), LIMIT)?;
    let sessions =
        guest.run(&format!("edge-runtime log export --events --journal {JOURNAL} | grep -c ,start,"), LIMIT)?;
    ensure!(sessions.trim() == "2", "the journal tells of {} sessions, not of two", sessions.trim());
    guest.run("dpkg --purge edge-runtime", LIMIT)?;
    let left = guest.run(
        "ls -d /var/lib/edge-runtime /etc/edge-runtime /usr/bin/edge-runtime 2>/dev/null; \
         getent passwd edge-runtime; \
         systemctl is-active edge-runtime; \
         true",
        LIMIT,
    )?;
    ensure!(left.trim() == "inactive", "a purge left {}", left.trim().replace('\n', "; "));
    Ok(format!(
        "Debian package: installed and recording after {:.0} s, upgraded with its journal kept, purged without a trace",
        installed.as_secs_f64()
    ))
}

fn deployed(lab: &Lab, work: &Path, guest: &mut Guest, port: u16, key: &Path) -> Result<String> {
    let board = work.join("board.toml");
    let text =
        board_file("/sys/none", "v4l2:/dev/video0", "").replace("/payload/bundle", "/usr/share/edge-runtime/bundle");
    fs::write(&board, text)?;
    let deploy = |arguments: &[&str], bundle: Option<&Path>| -> Result<String> {
        let mut command = Command::new(cargo::sibling("host-trainer")?);
        command.args(["deploy", "--host", "root@127.0.0.1", "--port", &port.to_string(), "--identity"]).arg(key);
        command
            .args(["--ssh-option", "StrictHostKeyChecking=no", "--ssh-option", "UserKnownHostsFile=/dev/null"])
            .args(arguments);
        if let Some(bundle) = bundle {
            command.arg("--board").arg(&board).arg("--bundle").arg(bundle).arg("--binary").arg(&lab.program);
        }
        succeed(&mut command)
    };
    let begun = Instant::now();
    let one = deploy(&[], Some(&lab.bundle))?;
    let took = begun.elapsed();
    active(guest)?;
    // Another version: the same net under another name.
    let other = work.join("other");
    let _ = fs::remove_dir_all(&other);
    copy_folder(&lab.bundle, &other)?;
    let manifest = other.join("manifest.toml");
    let text = fs::read_to_string(&manifest)?;
    ensure!(text.contains("name = \"ferplus-edge\""), "the manifest names the bundle otherwise");
    fs::write(&manifest, text.replacen("name = \"ferplus-edge\"", "name = \"ferplus-other\"", 1))?;
    let two = deploy(&[], Some(if lab.has(Fault::Version) { &lab.bundle } else { &other }))?;
    active(guest)?;
    let status = deploy(&["--status"], None)?;
    let first_word = |text: &str| text.split_whitespace().next().unwrap_or_default().to_owned();
    ensure!(
        status.contains(&format!("current {}", first_word(&two)))
            && status.contains(&format!("previous {}", first_word(&one))),
        "--status says {status}"
    );
    deploy(&["--rollback"], None)?;
    active(guest)?;
    let name = guest.run("grep -m1 '^name' /usr/share/edge-runtime/bundle/manifest.toml", LIMIT)?;
    ensure!(name.contains("ferplus-edge"), "after the rollback the board has {}", name.trim());
    Ok(format!(
        "`host-trainer deploy` over ssh: a first version up after {:.0} s, a second one, `--status`, `--rollback`",
        took.as_secs_f64()
    ))
}

fn main_process(guest: &mut Guest) -> Result<String> {
    Ok(guest.run("systemctl show -p MainPID --value edge-runtime", LIMIT)?.trim().to_owned())
}

/// Waits until the service is up.
pub fn active(guest: &mut Guest) -> Result<()> {
    let begun = Instant::now();
    loop {
        let (_, said) = guest.attempt("systemctl is-active edge-runtime", LIMIT)?;
        if said.trim() == "active" {
            return Ok(());
        }
        if begun.elapsed() > Duration::from_secs(180) {
            let (_, why) = guest.attempt("journalctl -u edge-runtime --no-pager | tail -15", LIMIT)?;
            anyhow::bail!("the service is {}: {}", said.trim(), why.trim().replace('\n', "; "));
        }
        std::thread::sleep(Duration::from_secs(1));
    }
}
