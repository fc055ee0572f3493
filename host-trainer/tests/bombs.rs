//! Files of data sets, presets and checkpoints that are larger than they may be, or claim to be, are refused before memory is set
//! aside for them. All in one function: the peak is that of the whole process. `--nocapture` prints what each took.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Instant;

use flate2::{Compression, write::ZlibEncoder};
use host_trainer::config::Config;
use host_trainer::dataset::{ClassNames, Split, fer2013, ferplus, tfd};
use host_trainer::train::checkpoint::Checkpoint;
use test_support::CountingAllocator;
use test_support::promise::{measured, row};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator::new();

/// The most memory that a file took, bytes, and how many were refused.
static PEAK: AtomicUsize = AtomicUsize::new(0);
static REFUSED: AtomicUsize = AtomicUsize::new(0);

/// The most memory that refusing a file may take.
const MAX_MEMORY: usize = 32 << 20;

#[track_caller]
fn is_refused<T, E: std::fmt::Display>(what: &str, read: impl FnOnce() -> Result<T, E>) {
    let (before, started) = (ALLOCATOR.start_peak(), Instant::now());
    let read = read().map(|_| ());
    let (took, used) = (started.elapsed(), ALLOCATOR.peak_bytes() - before);
    let error = read.err().unwrap_or_else(|| panic!("{what} is accepted")).to_string();
    println!("{what}: {used} bytes, {took:.1?}: {error}");
    row(&[&what, &format!("{} KiB", used.div_ceil(1024)), &format!("{:.1} ms", took.as_secs_f64() * 1e3)]);
    PEAK.fetch_max(used, Relaxed);
    REFUSED.fetch_add(1, Relaxed);
    assert!(used < MAX_MEMORY, "{what}: {} MiB", used >> 20);
    assert!(!error.contains('\n'), "{error}");
}

fn huge(path: &Path) -> &Path {
    File::create(path).unwrap().set_len(1 << 40).unwrap();
    path
}

/// An element of a MATLAB file: a variable whose `count` values are all zero, packed.
fn variable(name: &str, shape: &[u32]) -> Vec<u8> {
    let count: u32 = shape.iter().product();
    let part = |kind: u32, bytes: &[u8]| {
        let mut part = [&kind.to_le_bytes()[..], &(bytes.len() as u32).to_le_bytes(), bytes].concat();
        part.resize(part.len().next_multiple_of(8), 0);
        part
    };
    let sides: Vec<u8> = shape.iter().flat_map(|side| side.to_le_bytes()).collect();
    let head = [part(6, &[9, 0, 0, 0, 0, 0, 0, 0]), part(5, &sides), part(1, name.as_bytes())].concat();
    let mut packed = ZlibEncoder::new(Vec::new(), Compression::best());
    let size = head.len() as u32 + 8 + count.next_multiple_of(8);
    for word in [14, size] {
        packed.write_all(&u32::to_le_bytes(word)).unwrap();
    }
    packed.write_all(&head).unwrap();
    for word in [2, count] {
        packed.write_all(&u32::to_le_bytes(word)).unwrap();
    }
    let ones = vec![1; 1 << 20];
    (0..count.next_multiple_of(8) as usize)
        .step_by(ones.len())
        .for_each(|at| packed.write_all(&ones[..ones.len().min(count.next_multiple_of(8) as usize - at)]).unwrap());
    let packed = packed.finish().unwrap();
    [&15u32.to_le_bytes()[..], &(packed.len() as u32).to_le_bytes(), &packed].concat()
}

/// A MATLAB file of so many faces, all labelled 1.
fn faces(path: &Path, count: u32, side: u32) {
    let mut file = [&[b' '; 124][..], &[0, 1, b'I', b'M']].concat();
    for (name, shape) in [
        ("labs_ex", &[count, 1][..]),
        ("labs_id", &[count, 1]),
        ("folds", &[count, 5]),
        ("images", &[count, side, side]),
    ] {
        file.extend(variable(name, shape));
    }
    fs::write(path, file).unwrap();
}

#[test]
fn bombs_are_refused_in_little_memory() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let (mat, table, toml) = (path("TFD_48x48.mat"), path("fer2013.csv"), path("preset.toml"));
    is_refused("a .mat of a terabyte", || tfd::collect(huge(&mat)));
    faces(&mat, 50_000_000, 1);
    is_refused("a .mat of 50 million faces", || tfd::collect(&mat));
    faces(&mat, 20_000, 96);
    is_refused("a .mat of 20,000 labelled faces of 96x96", || tfd::collect(&mat));

    is_refused("a CSV of a terabyte", || fer2013::part(huge(&table), Split::Train));
    let lines = "1,0 0 0 0,Training\n".repeat(2_000_000);
    fs::write(&table, format!("emotion,pixels,Usage\n\"{lines}")).unwrap();
    drop(lines);
    is_refused("a CSV with an open quotation mark", || fer2013::part(&table, Split::Train));
    huge(&path("fer2013new.csv"));
    is_refused("votes of a terabyte", || ferplus::part(folder.path(), Split::Train));

    let name = |path: &Path| path.to_str().unwrap().to_owned();
    is_refused("a preset of a terabyte", || Config::preset(&name(huge(&toml))));
    is_refused("class names of a terabyte", || name(huge(&toml)).parse::<ClassNames>());
    let checkpoint = path("checkpoint.safetensors");
    is_refused("a checkpoint of a terabyte", || Checkpoint::open(huge(&checkpoint)).map(|_| ()));
    fs::write(&checkpoint, [&(1u64 << 60).to_le_bytes()[..], b"{}"].concat()).unwrap();
    is_refused("a checkpoint whose header has 2^60 bytes", || Checkpoint::open(&checkpoint).map(|_| ()));
    measured(
        format!("{} files", REFUSED.load(Relaxed)),
        format!("at most {} KiB each", PEAK.load(Relaxed).div_ceil(1024)),
    );
}
