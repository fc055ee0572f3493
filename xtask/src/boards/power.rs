//! Power cuts: the emulator is killed at random moments while the board records, and its disk loses what was written but not flushed.
//!
//! QEMU's `blklogwrites` logs every write and flush. After a cut the disk is made anew from the state before: all writes up to the
//! last flush, and a random half of those after it, as a card or disk with a volatile cache may keep them.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use sha2::{Digest, Sha256};

use super::{Fault, Figures, LIMIT, Lab, frames, succeed};
use crate::guest::console::Board;

/// Bytes of the disk.
const DISK: u64 = 48 << 20;
/// The longest that a board records before a cut.
const LONGEST: u64 = 12_000;

pub fn run(lab: &Lab) -> Result<Vec<Figures>> {
    let work = lab.folder.join("power");
    fs::create_dir_all(&work)?;
    let grey = frames::grey(&work, 1)?;
    let all = record_and_cut(lab, &work, &grey)?;
    ensure!(
        all.informative * 3 >= all.cuts,
        "only {} of {} boards had reported anything: this shows nothing",
        all.informative,
        all.cuts
    );
    let text = format!(
        "{} cuts, {} after a commit was reported; {} records and events reported, none lost; journal whole after each; \
         {} writes without a flush were dropped",
        all.cuts, all.informative, all.reported, all.forgotten
    );
    Ok(vec![Figures { board: BOARD.name(), text }])
}

const BOARD: Board = Board::Virt("cortex-a53");

#[derive(Default)]
struct Told {
    cuts: u32,
    /// Cuts after the board had reported something in that boot.
    informative: u32,
    reported: usize,
    /// Writes that the disks lost.
    forgotten: usize,
}

fn record_and_cut(lab: &Lab, work: &Path, grey: &Path) -> Result<Told> {
    let (disk, log) = (work.join("disk.img"), work.join("disk.writes"));
    let _ = fs::remove_file(&disk);
    File::create(&disk)?.set_len(DISK)?;
    succeed(Command::new("mke2fs").args(["-q", "-t", "ext4", "-F"]).arg(&disk))?;
    let mut payload = lab.payload()?;
    payload.copy("payload/frames.grey", grey)?;
    payload.file("payload/bin/endless", b"#!/bin/sh\nwhile cat /payload/frames.grey; do :; done\n", true);
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
    let mut told = Told::default();
    for cut in 0..lab.cuts {
        let before = work.join("disk.before");
        fs::copy(&disk, &before)?;
        File::create(&log)?;
        let mut guest = machine.boot()?;
        guest.run(&format!("mkdir -p /data && mount {options} /dev/vdb /data"), LIMIT)?;
        if told.cuts > 0 {
            verify(&mut guest, &reported).with_context(|| format!("after cut {cut}"))?;
        }
        guest.run(
            "(edge-runtime run --board generic-x86-64 --bundle /payload/bundle \
             --source 'command:\"/payload/bin/endless\"' --frame-format grey --frame-size 640x480 \
             --detect-every 30 --records-per-second 20 --commit-every 1 --journal /data/j.sqlite >/dev/null 2>/tmp/said &); \
             until [ -s /data/j.sqlite ]; do sleep 0.1; done; \
             (edge-runtime log tail --follow -n 100000 --json --journal /data/j.sqlite &)",
            LIMIT,
        )?;
        let mut seen = 0;
        let mut note = |line: &str| {
            let new = number_of(line).is_some_and(|id| reported.insert(id));
            seen += usize::from(new);
            new
        };
        // Every other cut may also fall into the start: the making of the tables, or the replay of the log.
        if cut.is_multiple_of(2) {
            guest.wait_for(LIMIT, |line| note(line).then_some(())).context("nothing was recorded")?;
        }
        let moment = Duration::from_millis(random(&format!("moment {cut}"), LONGEST));
        let _ = guest.wait_for(moment, |line| {
            note(line);
            None::<()>
        });
        // The last line may be cut off, and a number with it.
        for line in guest.cut()?.iter().filter(|line| line.ends_with('}')) {
            note(line);
        }
        told.cuts += 1;
        told.informative += u32::from(seen > 0);
        told.forgotten += lose(&before, &log, &disk, &format!("writes {cut}"))?;
    }
    File::create(&log)?;
    let mut guest = machine.boot()?;
    guest.run(&format!("mkdir -p /data && mount {options} /dev/vdb /data"), LIMIT)?;
    verify(&mut guest, &reported).with_context(|| "after the last cut".to_owned())?;
    told.reported = reported.len();
    Ok(told)
}

/// The journal is whole and holds all that was reported.
fn verify(guest: &mut crate::guest::Guest, reported: &BTreeSet<u64>) -> Result<()> {
    // A cut so early that the journal's file was not yet there leaves nothing to verify.
    if reported.is_empty() && guest.attempt("[ -s /data/j.sqlite ]", LIMIT)?.0 != 0 {
        return Ok(());
    }
    guest.run("edge-runtime log verify --journal /data/j.sqlite", LIMIT)?;
    let said = guest.run(
        "edge-runtime log tail -n 1000000 --json --journal /data/j.sqlite | grep -o '\"id\":[0-9]*' || true",
        LIMIT,
    )?;
    let held: BTreeSet<u64> = said.lines().filter_map(number_of).collect();
    let lost: Vec<&u64> = reported.difference(&held).collect();
    ensure!(lost.is_empty(), "{} of {} that were reported are lost, from {} on", lost.len(), reported.len(), lost[0]);
    Ok(())
}

/// The number of a record or event that a line reports.
fn number_of(line: &str) -> Option<u64> {
    let (_, behind) = line.split_once("\"id\":")?;
    let digits: String = behind.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

/// A number below `bound` that is the same in every run.
fn random(seed: &str, bound: u64) -> u64 {
    let digest = Sha256::digest(seed);
    u64::from_le_bytes(std::array::from_fn(|at| digest[at])) % bound
}

const SECTOR: u64 = 512;
const FLUSH: u64 = 1;
const FUA: u64 = 2;
const DISCARD: u64 = 4;

/// One entry of the log, in the format of Linux' dm-log-writes.
struct Write {
    sector: u64,
    flags: u64,
    data: Vec<u8>,
}

/// Makes `disk` from its state `before` and the log, and gives how many writes it lost.
fn lose(before: &Path, log: &Path, disk: &Path, seed: &str) -> Result<usize> {
    let writes = read(log)?;
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

fn read(log: &Path) -> Result<Vec<Write>> {
    let mut bytes = Vec::new();
    File::open(log)?.read_to_end(&mut bytes)?;
    let word = |at: usize| Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
    ensure!(word(0) == Some(0x006a_7366_7773_6872), "the emulator's log of writes has another format");
    let count = word(16).context("a log without a count")?;
    let mut writes = Vec::new();
    let mut at = SECTOR as usize;
    for _ in 0..count {
        let entry = [0, 8, 16].map(|field| word(at + field));
        let [Some(sector), Some(sectors), Some(flags)] = entry else { break };
        at += SECTOR as usize;
        let length = if flags & DISCARD == 0 { (sectors * SECTOR) as usize } else { 0 };
        // The emulator was killed: the last entry may lack its data.
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
    fn what_was_flushed_stays_and_the_rest_is_at_risk() {
        let folder = tempfile::tempdir().unwrap();
        let [before, log, disk] = ["before", "log", "disk"].map(|name| folder.path().join(name));
        fs::write(&before, vec![0; 200 * SECTOR as usize]).unwrap();
        let mut bytes = vec![0; SECTOR as usize];
        bytes[..8].copy_from_slice(&0x006a_7366_7773_6872_u64.to_le_bytes());
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
        let lost = lose(&before, &log, &disk, "seed").unwrap();
        let after = fs::read(&disk).unwrap();
        let sector = |number: usize| after[number * 512];
        assert_eq!((sector(0), sector(1), sector(199)), (1, 2, 0));
        let kept = (100..199).filter(|number| sector(*number) == 3).count();
        assert_eq!(kept + lost, 99);
        assert!((20..80).contains(&lost), "{lost}");
    }

    #[test]
    fn numbers_are_found_in_lines() {
        assert_eq!(number_of("{\"id\":17,\"time\":\"x\"}"), Some(17));
        assert_eq!(number_of("edge-runtime: hello"), None);
    }
}
