//! The service under the board's own systemd: a hung pipeline is ended by the watchdog and started again.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::install::active;
use super::{Fault, Figures, LIMIT, Lab, board_file};
use crate::cargo;
use crate::guest::Guest;
use crate::guest::console::{Board, Init};

const BOARD: Board = Board::Virt("cortex-a72");

pub fn run(lab: &Lab) -> Result<Vec<Figures>> {
    let mut payload = lab.payload()?;
    let boards = cargo::workspace_root().join("boards");
    for name in ["edge-runtime.service", "edge-runtime.sysusers", "edge-runtime.rules"] {
        payload.copy(&format!("payload/{name}"), &boards.join(name))?;
    }
    payload.file("payload/board.toml", board_file("/sys/none", "v4l2:/dev/video0", "").as_bytes(), false);
    let mut machine = lab.machine(BOARD, "watchdog", &payload);
    machine.init = Init::Systemd;
    machine.modules = &["vivid"];
    let mut guest = machine.boot()?;
    // As docs/hardware.md says, but for the watchdog's time: an emulated board need not wait for half a minute.
    let seconds = if lab.has(Fault::Watchdog) { "0" } else { "10" };
    guest.run(
        &format!(
            "set -e; \
             cp /payload/bin/edge-runtime /usr/bin/; \
             mkdir -p /usr/share/edge-runtime /etc/edge-runtime; \
             cp -r /payload/bundle /usr/share/edge-runtime/; \
             sed 's,/payload/bundle,/usr/share/edge-runtime/bundle,' /payload/board.toml >/etc/edge-runtime/board.toml; \
             cp /payload/edge-runtime.sysusers /usr/lib/sysusers.d/edge-runtime.conf; \
             cp /payload/edge-runtime.rules /usr/lib/udev/rules.d/60-edge-runtime.rules; \
             cp /payload/edge-runtime.service /etc/systemd/system/; \
             mkdir -p /etc/systemd/system/edge-runtime.service.d; \
             printf '[Service]\\nWatchdogSec={seconds}\\n' >/etc/systemd/system/edge-runtime.service.d/faster.conf; \
             systemd-sysusers; \
             udevadm control --reload; \
             udevadm trigger; \
             udevadm settle; \
             systemctl daemon-reload"
        ),
        LIMIT,
    )?;
    let begun = Instant::now();
    guest.run(
        "systemctl enable --now edge-runtime || { journalctl -u edge-runtime --no-pager | tail -20; false; }",
        LIMIT,
    )?;
    let started = begun.elapsed();
    let first = pid(&mut guest)?;
    let user = guest.run(&format!("stat -c %U /proc/{first}"), LIMIT)?;
    ensure!(user.trim() == "edge-runtime", "the service runs as {}", user.trim());
    // It lives as long as the pipeline goes round.
    sleep(Duration::from_secs(25));
    ensure!(pid(&mut guest)? == first, "the watchdog ended a pipeline that worked");
    guest.run(&format!("kill -STOP {first}"), LIMIT)?;
    let hung = Instant::now();
    let mut second = first;
    while second == first || second == 0 {
        ensure!(hung.elapsed() < Duration::from_secs(120), "a hung pipeline was not started again within 120 s");
        sleep(Duration::from_secs(1));
        second = pid(&mut guest)?;
    }
    let restarted = hung.elapsed();
    active(&mut guest)?;
    let why = guest.run("journalctl -u edge-runtime --no-pager | grep -ci 'watchdog timeout' || true", LIMIT)?;
    ensure!(why.trim() != "0", "it was started again, but not by the watchdog");
    guest.run(
        "systemctl stop edge-runtime && edge-runtime log verify --journal /var/lib/edge-runtime/journal.sqlite",
        LIMIT,
    )?;
    let text = format!(
        "the unit as it is shipped, user edge-runtime: up {:.0} s after `systemctl start`; a pipeline stopped dead is up again \
         after {:.0} s (watchdog of {seconds} s); clean stop, journal whole",
        started.as_secs_f64(),
        restarted.as_secs_f64()
    );
    Ok(vec![Figures { board: BOARD.name(), text }])
}

fn pid(guest: &mut Guest) -> Result<u32> {
    let said = guest.run("systemctl show -p MainPID --value edge-runtime", LIMIT)?;
    Ok(said.trim().parse().unwrap_or(0))
}
