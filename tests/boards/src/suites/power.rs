//! Power cuts: the emulator is killed at random moments while the board records, and its disk loses writes that were not flushed.
//!
//! QEMU's `blklogwrites` logs every write and flush. After a cut, the disk is rebuilt from its state before the boot with all
//! writes up to the last flush and a random half of the later ones, as a card or disk with a volatile cache may do it.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use xtask::process;

use crate::fault::Fault;
use crate::frames;
use crate::guest::{COMMAND_LIMIT, Guest};
use crate::lab::Lab;
use crate::machine::Board;
use crate::suite::Figures;

const BOARD: Board = Board::Virt("cortex-a53");
/// Size of the disk in bytes.
const DISK: u64 = 48 << 20;
/// How many milliseconds a board records at most before a cut.
const MAX_RECORDING_MS: u64 = 12_000;

/// Runs the suite.
pub fn run(lab: &Lab) -> Result<Vec<Figures>> {
    let work = lab.folder.join("power");
    fs::create_dir_all(&work)?;
    let all = record_and_cut(lab, &work)?;
    ensure!(
        all.informative * 3 >= all.cuts,
        "only {} of {} boards had reported a record before the cut; this shows nothing",
        all.informative,
        all.cuts
    );
    let text = format!(
        "{} cuts, {} of them after a commit was reported; none of {} reported records and events was lost; the journal is intact \
         after each cut; {} unflushed writes were dropped",
        all.cuts, all.informative, all.reported, all.dropped_writes
    );
    Ok(vec![Figures { board: BOARD.name(), text }])
}

/// What happened in all boots.
#[derive(Default)]
struct Summary {
    cuts: u32,
    /// Cuts after the board had reported something since its boot.
    informative: u32,
    /// Records and events that were reported.
    reported: usize,
    /// Writes that the disk lost.
    dropped_writes: usize,
}

fn record_and_cut(lab: &Lab, work: &Path) -> Result<Summary> {
    let (disk, log) = (work.join("disk.img"), work.join("disk.writes"));
    let _ = fs::remove_file(&disk);
    File::create(&disk)?.set_len(DISK)?;
    process::run(Command::new("mke2fs").args(["-q", "-t", "ext4", "-F"]).arg(&disk))?;
    let mut payload = lab.payload()?;
    frames::add_endless_camera(&mut payload, work)?;
    let mut machine = lab.machine(BOARD, "power", &payload);
    machine.arguments = vec![
        "-blockdev".into(),
        format!(
            "driver=blklogwrites,node-name=data,file.driver=file,file.filename={},\
             log.driver=file,log.filename={},log-super-update-interval=1",
            disk.display(),
            log.display()
        ),
        "-device".into(),
        "virtio-blk-pci,drive=data,write-cache=on".into(),
    ];
    let options = if lab.has(Fault::Sync) { "-o nobarrier" } else { "" };
    let mut reported = BTreeSet::new();
    let mut summary = Summary::default();
    for cut in 0..lab.cuts {
        let before = work.join("disk.before");
        fs::copy(&disk, &before)?;
        File::create(&log)?;
        let mut guest = machine.boot()?;
        guest.run(&format!("mkdir -p /data && mount {options} /dev/vdb /data"))?;
        if summary.cuts > 0 {
            verify(&mut guest, &reported).with_context(|| format!("after cut {cut}"))?;
        }
        guest.run(
            "record --board generic-x86-64 --bundle /payload/bundle --detect-every 30 --records-per-second 20; \
             edge-runtime log tail --follow -n 100000 --json --journal /data/j.sqlite &",
        )?;
        let mut seen = 0;
        let mut note = |line: &str| {
            let new = reported_id(line).is_some_and(|id| reported.insert(id));
            seen += usize::from(new);
            new
        };
        // Every other cut may also come at the start, while tables are made or the log is replayed.
        if cut.is_multiple_of(2) {
            guest.wait_for(COMMAND_LIMIT, |line| note(line).then_some(())).context("nothing was recorded")?;
        }
        let moment = Duration::from_millis(random(&format!("moment {cut}"), MAX_RECORDING_MS));
        let _ = guest.wait_for(moment, |line| {
            note(line);
            None::<()>
        });
        for line in guest.cut()? {
            note(&line);
        }
        summary.cuts += 1;
        summary.informative += u32::from(seen > 0);
        summary.dropped_writes += drop_unflushed(&before, &log, &disk, &format!("writes {cut}"))?;
    }
    File::create(&log)?;
    let mut guest = machine.boot()?;
    guest.run(&format!("mkdir -p /data && mount {options} /dev/vdb /data"))?;
    verify(&mut guest, &reported).context("after the last cut")?;
    summary.reported = reported.len();
    Ok(summary)
}

/// Checks that the journal is intact and has everything that was reported.
fn verify(guest: &mut Guest, reported: &BTreeSet<u64>) -> Result<()> {
    // After a very early cut there may be no journal yet.
    if reported.is_empty() && guest.attempt("[ -s /data/j.sqlite ]")?.0 != 0 {
        return Ok(());
    }
    guest.run("edge-runtime log verify --journal /data/j.sqlite")?;
    let ids = guest.run("journal-ids /data/j.sqlite")?;
    let found: BTreeSet<u64> = ids.lines().filter_map(|id| id.parse().ok()).collect();
    let lost: Vec<&u64> = reported.difference(&found).collect();
    ensure!(lost.is_empty(), "{} of {} reported ids are lost, the first is {}", lost.len(), reported.len(), lost[0]);
    Ok(())
}

/// Returns the id of the record or event that a line of `log tail --json` reports. A power cut may cut off the last line; then it
/// reports nothing.
fn reported_id(line: &str) -> Option<u64> {
    #[derive(Deserialize)]
    struct Reported {
        id: u64,
    }
    serde_json::from_str(line).ok().map(|Reported { id }| id)
}

/// Returns a pseudo-random number below `bound` that depends on the seed only.
fn random(seed: &str, bound: u64) -> u64 {
    let digest = Sha256::digest(seed);
    u64::from_le_bytes(std::array::from_fn(|byte| digest[byte])) % bound
}

/// The first word of a log.
const MAGIC: u64 = 0x006a_7366_7773_6872;
const SECTOR: u64 = 512;
// Flags of a write.
const FLUSH: u64 = 1;
const FUA: u64 = 2;
const DISCARD: u64 = 4;

/// A write in the log, whose format is that of Linux's dm-log-writes.
struct Write {
    sector: u64,
    flags: u64,
    data: Vec<u8>,
}

/// Rebuilds `disk` from its state `before` and the log, and returns how many writes it lost.
fn drop_unflushed(before: &Path, log: &Path, disk: &Path, seed: &str) -> Result<usize> {
    let writes = read_log(log)?;
    let flushed = writes.iter().rposition(|write| write.flags & FLUSH != 0).map_or(0, |at| at + 1);
    fs::copy(before, disk)?;
    let file = OpenOptions::new().write(true).open(disk)?;
    let mut lost = 0;
    for (at, write) in writes.iter().enumerate() {
        let kept = at < flushed || write.flags & FUA != 0 || random(&format!("{seed} {at}"), 2) == 0;
        if kept && write.flags & DISCARD == 0 {
            file.write_all_at(&write.data, write.sector * SECTOR)?;
        }
        lost += usize::from(!kept);
    }
    Ok(lost)
}

/// Reads the writes of a log.
fn read_log(log: &Path) -> Result<Vec<Write>> {
    let mut bytes = Vec::new();
    File::open(log)?.read_to_end(&mut bytes)?;
    let word = |at: usize| Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
    ensure!(word(0) == Some(MAGIC), "the emulator's log of writes has an unknown format");
    let count = word(16).context("the log of writes has no count")?;
    let mut writes = Vec::new();
    let mut at = SECTOR as usize;
    for _ in 0..count {
        let entry = [0, 8, 16].map(|field| word(at + field));
        let [Some(sector), Some(sectors), Some(flags)] = entry else { break };
        at += SECTOR as usize;
        let length = if flags & DISCARD == 0 { (sectors * SECTOR) as usize } else { 0 };
        // The emulator was killed, so the last entry may lack its data.
        let Some(data) = bytes.get(at..at + length) else { break };
        writes.push(Write { sector, flags, data: data.to_vec() });
        at += length;
    }
    Ok(writes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(sector: u64, flags: u64, data: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for word in [sector, data.len() as u64 / SECTOR, flags, 0] {
            bytes.extend(word.to_le_bytes());
        }
        bytes.resize(SECTOR as usize, 0);
        bytes.extend(data);
        bytes
    }

    #[test]
    fn flushed_writes_stay_and_half_of_the_others_is_lost() {
        let folder = tempfile::tempdir().unwrap();
        let [before, log, disk] = ["before", "log", "disk"].map(|name| folder.path().join(name));
        fs::write(&before, vec![0; 200 * SECTOR as usize]).unwrap();
        let mut bytes = vec![0; SECTOR as usize];
        bytes[..8].copy_from_slice(&MAGIC.to_le_bytes());
        bytes[16..24].copy_from_slice(&103_u64.to_le_bytes());
        bytes.extend(entry(0, 0, &[1; 512]));
        bytes.extend(entry(0, FLUSH, &[]));
        bytes.extend(entry(1, FUA, &[2; 512]));
        for sector in 100..200 {
            bytes.extend(entry(sector, 0, &[3; 512]));
        }
        // The last entry is cut off.
        bytes.truncate(bytes.len() - 10);
        fs::write(&log, bytes).unwrap();
        let lost = drop_unflushed(&before, &log, &disk, "seed").unwrap();
        let after = fs::read(&disk).unwrap();
        let sector = |number: usize| after[number * 512];
        assert_eq!((sector(0), sector(1), sector(199)), (1, 2, 0));
        let kept = (100..199).filter(|number| sector(*number) == 3).count();
        assert_eq!(kept + lost, 99);
        assert!((20..80).contains(&lost), "{lost}");
    }

    #[test]
    fn a_line_that_was_cut_off_reports_nothing() {
        assert_eq!(reported_id("{\"id\":17,\"time\":\"x\"}"), Some(17));
        assert_eq!(reported_id("{\"id\":17,\"time\":\"x"), None);
        assert_eq!(reported_id("edge-runtime: hello"), None);
    }
}
