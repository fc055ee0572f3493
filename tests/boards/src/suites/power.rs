//! Power cuts: a board records, and its disk is rebuilt as it may have been left by cuts at random moments.
//!
//! QEMU's `blklogwrites` logs every write and flush of the disk. A cut after some entry of the log leaves all writes up to the
//! last flush before it, and a random half of the later ones, as a card or disk with a volatile cache may do it; the very last
//! write may be torn between pages of 4 KiB. Each such disk is repaired with `e2fsck -p`, and its journal must be intact and have
//! everything that the board had reported before that entry. At the end of each boot the emulator is killed, and the board
//! itself boots from the disk that this cut left.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use test_support::promise::{count, measured};
use xtask::process;

use crate::fault::Fault;
use crate::frames;
use crate::guest::{COMMAND_LIMIT, Guest};
use crate::lab::Lab;
use crate::machine::Board;
use crate::suite::Figures;

const BOARD: Board = Board::Virt("cortex-a53");
/// Size of the disk in bytes.
const DISK: u64 = 16 << 20;
/// How many cuts the suite makes if `--times` does not say.
const CUTS: u64 = 300;
/// Cuts of the writes of one boot, and how many boots there are at least.
const CUTS_PER_BOOT: u64 = 250;
const MIN_BOOTS: u64 = 4;
/// How many disks are checked at a time.
const LANES: usize = 4;
/// How many new records and events a board reports at least before it is killed.
const MIN_REPORTS: u32 = 25;
/// How many milliseconds a board records at most, after its first report.
const MAX_RECORDING_MS: u64 = 12_000;

/// Runs the suite.
pub fn run(lab: &Lab) -> Result<Vec<Figures>> {
    let work = lab.folder.join("power");
    fs::create_dir_all(&work)?;
    let all = record_and_cut(lab, &work)?;
    ensure!(
        all.informative * 3 >= all.cuts,
        "only {} of {} cuts came after a new report; this shows nothing",
        all.informative,
        all.cuts
    );
    measured(
        format!(
            "{} cuts in {} boots, {} of them after a new report; {} unflushed writes dropped",
            count(all.cuts),
            all.boots,
            count(all.informative),
            count(all.dropped_writes)
        ),
        format!("0 of {} reported records and events", count(all.reported)),
    );
    let text = format!(
        "{} cuts in {} boots, {} of them after a new report; none of {} reported records and events was lost; the journal is intact \
         after each cut; {} unflushed writes were dropped",
        all.cuts, all.boots, all.informative, all.reported, all.dropped_writes
    );
    Ok(vec![Figures { board: BOARD.name(), text }])
}

/// What happened in all boots.
#[derive(Default)]
struct Summary {
    boots: u64,
    cuts: u64,
    /// Cuts after the board had reported something since its boot.
    informative: u64,
    /// Records and events that were reported.
    reported: u64,
    /// Writes that the disks lost.
    dropped_writes: u64,
}

/// Ids of what was reported, each with the number of entries that the log of this boot had then: 0 for earlier boots.
type Reported = BTreeMap<u64, usize>;

fn record_and_cut(lab: &Lab, work: &Path) -> Result<Summary> {
    let cuts = lab.times.unwrap_or(CUTS);
    let boots = cuts.div_ceil(CUTS_PER_BOOT).max(MIN_BOOTS.min(cuts));
    let [disk, log, before] = ["disk.img", "disk.writes", "disk.before"].map(|name| work.join(name));
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
    let mut reported = Reported::new();
    let mut summary = Summary { boots, ..Summary::default() };
    for boot in 0..boots {
        fs::copy(&disk, &before)?;
        File::create(&log)?;
        let mut guest = machine.boot()?;
        guest.run(&format!("mkdir -p /data && mount {options} /dev/vdb /data"))?;
        if boot > 0 {
            verify(&mut guest, &reported).with_context(|| format!("on the board after boot {boot}"))?;
        }
        record(guest, &log, &mut reported, boot)?;
        let writes = read_log(&log)?;
        let here = cuts / boots + u64::from(boot < cuts % boots);
        cut_at_random(lab, work, &before, &writes, &reported, here, boot, &mut summary)?;
        // The last of these cuts is that of the emulator itself.
        let mut left = Disk::copy(&before, &disk)?;
        left.flush_until(&writes, writes.len())?;
        summary.dropped_writes += left.add_unflushed(&writes, writes.len(), &format!("boot {boot}"))?;
        reported.values_mut().for_each(|entries| *entries = 0);
    }
    File::create(&log)?;
    let mut guest = machine.boot()?;
    guest.run(&format!("mkdir -p /data && mount {options} /dev/vdb /data"))?;
    verify(&mut guest, &reported).context("on the board after the last boot")?;
    summary.reported = reported.len() as u64;
    Ok(summary)
}

/// Lets a board record until it is killed at a random moment, and adds what it reports.
fn record(mut guest: Guest, log: &Path, reported: &mut Reported, boot: u64) -> Result<()> {
    guest.run(
        "record --board generic-x86-64 --bundle /payload/bundle --detect-every 30 --records-per-second 20; \
         edge-runtime log tail --follow -n 100000 --json --journal /data/j.sqlite &",
    )?;
    let mut note = |line: &str| -> Option<()> {
        let id = reported_id(line)?;
        // What is in the log by now was written before or just after the report.
        let entries = entries(log).ok()?;
        (!reported.contains_key(&id)).then(|| {
            reported.insert(id, entries);
        })
    };
    // On a busy host a board records little in the time below, and cuts before its first reports show nothing.
    for _ in 0..MIN_REPORTS {
        guest.wait_for(COMMAND_LIMIT, &mut note).context("too little was recorded")?;
    }
    let moment = Duration::from_millis(4000 + random(&format!("moment {boot}"), MAX_RECORDING_MS));
    let _ = guest.wait_for(moment, |line| {
        note(line);
        None::<()>
    });
    for line in guest.cut()? {
        note(&line);
    }
    Ok(())
}

/// Cuts the power `cuts` times within the writes of a boot, and checks what is left.
#[allow(clippy::too_many_arguments, reason = "each is another thing")]
fn cut_at_random(
    lab: &Lab,
    work: &Path,
    before: &Path,
    writes: &[Write],
    reported: &Reported,
    cuts: u64,
    boot: u64,
    summary: &mut Summary,
) -> Result<()> {
    let mut moments: Vec<usize> =
        (0..cuts).map(|cut| random(&format!("cut {boot} {cut}"), writes.len() as u64 + 1) as usize).collect();
    moments.sort_unstable();
    let mut flushed = Disk::copy(before, &work.join("disk.flushed"))?;
    let lanes: Vec<PathBuf> = (0..LANES).map(|lane| work.join(format!("lane-{lane}"))).collect();
    lanes.iter().try_for_each(fs::create_dir_all)?;
    for (round, moments) in moments.chunks(LANES).enumerate() {
        for (number, (moment, lane)) in moments.iter().zip(&lanes).enumerate() {
            flushed.flush_until(writes, *moment)?;
            let mut left = Disk { flushed: flushed.flushed, ..Disk::copy(&flushed.path, &lane.join("disk.cut"))? };
            let seed = format!("cut {boot} {}", round * LANES + number);
            summary.dropped_writes += left.add_unflushed(writes, *moment, &seed)?;
            summary.cuts += 1;
            summary.informative += u64::from(reported.values().any(|entries| (1..=*moment).contains(entries)));
        }
        let check_lane = |moment: usize, lane: &Path| {
            let must_be_there = reported.iter().filter(|(_, entries)| **entries <= moment).map(|(id, _)| *id);
            check(lab, lane, &must_be_there.collect::<Vec<u64>>())
                .with_context(|| format!("boot {boot}, cut after {moment} of {} writes", writes.len()))
        };
        let check_lane = &check_lane;
        thread::scope(|scope| {
            let lanes = moments.iter().zip(&lanes);
            let checks: Vec<_> = lanes.map(|(moment, lane)| scope.spawn(move || check_lane(*moment, lane))).collect();
            checks.into_iter().try_for_each(|check| check.join().unwrap_or_else(|_| bail!("a check panicked")))
        })?;
    }
    Ok(())
}

/// Repairs the disk in a folder as a board does at its start, and checks the journal on it.
fn check(lab: &Lab, folder: &Path, must_be_there: &[u64]) -> Result<()> {
    let disk = folder.join("disk.cut");
    let repaired = Command::new("e2fsck").arg("-fp").arg(&disk).stdin(Stdio::null()).output();
    let repaired = repaired.context("e2fsck could not be started")?;
    // 1: repaired, which includes that ext4's own log was replayed.
    let said = String::from_utf8_lossy(&repaired.stdout).into_owned();
    ensure!(matches!(repaired.status.code(), Some(0 | 1)), "the file system is damaged: {}", said.trim());
    let journal = folder.join("cut.sqlite");
    for suffix in ["", "-wal", "-shm"] {
        let copy = PathBuf::from(format!("{}{suffix}", journal.display()));
        let _ = fs::remove_file(&copy);
        if suffix != "-shm" {
            process::run(
                Command::new("debugfs").arg("-R").arg(format!("dump /j.sqlite{suffix} {}", copy.display())).arg(&disk),
            )?;
        }
    }
    if must_be_there.is_empty() && fs::metadata(&journal).map_or(true, |file| file.len() == 0) {
        return Ok(());
    }
    let log = |words: &[&str]| process::run(lab.host().args(words).arg("--journal").arg(&journal));
    match log(&["log", "verify"]) {
        Ok(_) => {}
        // Cut while the tables were made, before anything could be reported.
        Err(error) if must_be_there.is_empty() && error.to_string().contains("it has no tables yet") => return Ok(()),
        Err(error) => return Err(error),
    }
    let found = log(&["log", "tail", "-n", "1000000", "--json"])?;
    none_lost(must_be_there.iter().copied(), &found.lines().filter_map(reported_id).collect())
}

fn none_lost(must_be_there: impl Iterator<Item = u64>, found: &std::collections::BTreeSet<u64>) -> Result<()> {
    let lost: Vec<u64> = must_be_there.filter(|id| !found.contains(id)).collect();
    ensure!(lost.is_empty(), "{} reported ids are lost, the first is {}", lost.len(), lost[0]);
    Ok(())
}

/// Checks on the board that the journal is intact and has everything that was reported.
fn verify(guest: &mut Guest, reported: &Reported) -> Result<()> {
    guest.run("edge-runtime log verify --journal /data/j.sqlite")?;
    let ids = guest.run("journal-ids /data/j.sqlite")?;
    none_lost(reported.keys().copied(), &ids.lines().filter_map(|id| id.parse().ok()).collect())
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
/// What a card writes as a whole or not at all, in bytes. ext4 relies on that for its superblock of 1 KiB, which no log protects: torn
/// between its two sectors, neither the kernel nor `e2fsck -p` takes it.
const PAGE: usize = 4096;
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

/// A disk that is being rebuilt from a log.
struct Disk {
    path: PathBuf,
    file: File,
    /// How many entries of the log are on it for certain.
    flushed: usize,
}

impl Disk {
    /// Copies the disk as it was before the first entry.
    fn copy(before: &Path, path: &Path) -> Result<Disk> {
        fs::copy(before, path)?;
        Ok(Disk { path: path.to_owned(), file: OpenOptions::new().write(true).open(path)?, flushed: 0 })
    }

    /// Writes everything up to the last flush among the first `end` entries.
    fn flush_until(&mut self, writes: &[Write], end: usize) -> Result<()> {
        let flush = writes[..end].iter().rposition(|write| write.flags & FLUSH != 0).map_or(0, |at| at + 1);
        for write in writes.get(self.flushed..flush).unwrap_or_default() {
            self.write(write, write.data.len())?;
        }
        self.flushed = self.flushed.max(flush);
        Ok(())
    }

    /// Writes a random half of what follows up to `end`, and returns how many writes are lost. The last one may be torn.
    fn add_unflushed(&mut self, writes: &[Write], end: usize, seed: &str) -> Result<u64> {
        let mut lost = 0;
        for (at, write) in writes.iter().enumerate().take(end).skip(self.flushed) {
            let pages = write.data.len().div_ceil(PAGE) as u64;
            let number = random(&format!("{seed} {at}"), 2 * (pages + 1));
            let kept = write.flags & FUA != 0 || number.is_multiple_of(2);
            let torn = write.flags & FUA == 0 && at + 1 == end;
            let length = if torn { ((number / 2) as usize * PAGE).min(write.data.len()) } else { write.data.len() };
            if kept {
                self.write(write, length)?;
            }
            lost += u64::from(!kept);
        }
        Ok(lost)
    }

    fn write(&self, write: &Write, length: usize) -> Result<()> {
        if write.flags & DISCARD == 0 {
            self.file.write_all_at(&write.data[..length], write.sector * SECTOR)?;
        }
        Ok(())
    }
}

/// Returns how many entries a log has, while it is written.
fn entries(log: &Path) -> Result<usize> {
    let mut head = [0; 24];
    File::open(log)?.read_exact_at(&mut head, 0)?;
    Ok(u64::from_le_bytes(head[16..].try_into()?) as usize)
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
        assert_eq!(entries(&log).unwrap(), 103);
        let writes = read_log(&log).unwrap();
        assert_eq!(writes.len(), 102);
        let rebuilt = |end: usize| {
            let mut left = Disk::copy(&before, &disk).unwrap();
            left.flush_until(&writes, end).unwrap();
            let lost = left.add_unflushed(&writes, end, "seed").unwrap();
            (lost, fs::read(&disk).unwrap())
        };
        let (lost, after) = rebuilt(102);
        let sector = |number: usize| after[number * 512];
        assert_eq!((sector(0), sector(1), sector(199)), (1, 2, 0));
        let kept = (100..199).filter(|number| sector(*number) == 3).count();
        assert!((kept as u64 + lost).abs_diff(99) <= 1, "the last one may be torn");
        assert!((20..80).contains(&lost), "{lost}");
        // A cut before the flush may lose the first write, and one after it may not.
        assert!(writes[..1].iter().all(|write| write.flags == 0));
        assert_eq!(rebuilt(2).1[0], 1);
    }

    #[test]
    fn a_line_that_was_cut_off_reports_nothing() {
        assert_eq!(reported_id("{\"id\":17,\"time\":\"x\"}"), Some(17));
        assert_eq!(reported_id("{\"id\":17,\"time\":\"x"), None);
        assert_eq!(reported_id("edge-runtime: hello"), None);
    }
}
