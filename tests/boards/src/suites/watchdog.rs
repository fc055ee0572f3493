//! The service under the board's own systemd: the watchdog ends a hung pipeline, and systemd starts it again.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use xtask::cargo;

use crate::board_file::BoardFile;
use crate::fault::Fault;
use crate::lab::Lab;
use crate::machine::{Board, Init};
use crate::service::{await_active, process_id};
use crate::suite::Figures;

const BOARD: Board = Board::Virt("cortex-a72");
/// How long a hung pipeline may take to be restarted.
const RESTART: Duration = Duration::from_secs(120);

/// Runs the suite.
pub fn run(lab: &Lab) -> Result<Vec<Figures>> {
    let mut payload = lab.payload()?;
    let boards = cargo::workspace_root().join("boards");
    for name in ["edge-runtime.service", "edge-runtime.sysusers", "edge-runtime.rules"] {
        payload.copy(&format!("payload/{name}"), &boards.join(name))?;
    }
    let mut board = BoardFile::generic("v4l2:/dev/video0")?;
    board.set("paths", "bundle", "/usr/share/edge-runtime/bundle")?;
    payload.file("payload/board.toml", board.to_toml()?.as_bytes(), false);
    let mut machine = lab.machine(BOARD, "watchdog", &payload);
    machine.init = Init::Systemd;
    machine.modules = &["vivid"];
    let mut guest = machine.boot()?;
    // A shorter watchdog than the shipped one saves time.
    let watchdog_seconds = if lab.has(Fault::Watchdog) { 0 } else { 10 };
    guest.run(&format!("install-service {watchdog_seconds}"))?;
    let begun = Instant::now();
    guest.run("systemctl enable --now edge-runtime || { journalctl -u edge-runtime --no-pager | tail -20; false; }")?;
    let started = begun.elapsed();
    let first = process_id(&mut guest)?;
    let user = guest.run(&format!("stat -c %U /proc/{first}"))?;
    ensure!(user.trim() == "edge-runtime", "the service runs as {}", user.trim());
    // A working pipeline is left alone.
    sleep(Duration::from_secs(25));
    ensure!(process_id(&mut guest)? == first, "the watchdog ended a pipeline that worked");
    guest.run(&format!("kill -STOP {first}"))?;
    let hung = Instant::now();
    loop {
        let process = process_id(&mut guest)?;
        if process != first && process != 0 {
            break;
        }
        ensure!(hung.elapsed() < RESTART, "a hung pipeline was not restarted within {} s", RESTART.as_secs());
        sleep(Duration::from_secs(1));
    }
    let restarted = hung.elapsed();
    await_active(&mut guest)?;
    let timeouts = guest.run("journalctl -u edge-runtime --no-pager | grep -ci 'watchdog timeout' || true")?;
    ensure!(timeouts.trim() != "0", "the service was restarted, but not by the watchdog");
    guest
        .run("systemctl stop edge-runtime && edge-runtime log verify --journal /var/lib/edge-runtime/journal.sqlite")?;
    let text = format!(
        "the shipped unit, user edge-runtime: up {:.0} s after `systemctl start`; a stopped process is replaced after {:.0} s \
         (watchdog of {watchdog_seconds} s); clean stop, the journal is intact",
        started.as_secs_f64(),
        restarted.as_secs_f64()
    );
    Ok(vec![Figures { board: BOARD.name(), text }])
}
