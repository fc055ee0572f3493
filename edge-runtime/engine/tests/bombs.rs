//! Files that are larger than they may be, or claim to be, are refused before memory is set aside for them. Each test here has the
//! allocator to itself in one function: the peak is that of the whole process. `--nocapture` prints what each took.

mod graphs;

use std::fs::{self, File};
use std::path::Path;
use std::time::Instant;

use expression_engine::bundle::{self, Bundle};
use expression_engine::{EngineOptions, files, selftest};
use test_support::CountingAllocator;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator::new();

/// The most memory that refusing a file may take.
const MAX_MEMORY: usize = 32 << 20;
/// Much larger than any memory; the files have holes.
const HUGE: u64 = 1 << 40;

/// A folder with a bundle of the tiny net, in which `change` has changed a file and the manifest knows its hash if it is small.
fn bundle(name: &str, change: impl Fn(&Path)) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let onnx = graphs::bytes(&graphs::int8());
    let mut manifest = graphs::manifest();
    let face = vec![77; graphs::SIDE * graphs::SIDE];
    let vectors = selftest::file(&manifest, &[face], &[vec![3, 4]]).unwrap();
    fs::write(folder.path().join(bundle::INT8), onnx).unwrap();
    fs::write(folder.path().join(bundle::SELFTEST), vectors).unwrap();
    if name != bundle::MANIFEST {
        change(&folder.path().join(name));
    }
    for file in [bundle::INT8, bundle::SELFTEST] {
        let path = folder.path().join(file);
        let small = path.metadata().unwrap().len() < 64 << 20;
        let hash = if small { files::sha256(&fs::read(&path).unwrap()) } else { "0".repeat(64) };
        manifest.files.insert(file.into(), hash);
    }
    fs::write(folder.path().join(bundle::MANIFEST), toml::to_string(&manifest).unwrap()).unwrap();
    if name == bundle::MANIFEST {
        change(&folder.path().join(name));
    }
    folder
}

fn huge(path: &Path) {
    File::create(path).unwrap().set_len(HUGE).unwrap();
}

/// Opens a bundle and runs its self-test; what is refused must be so within the memory.
#[track_caller]
fn is_refused(what: &str, folder: &Path) {
    let (before, started) = (ALLOCATOR.start_peak(), Instant::now());
    let opened = selftest::open(folder, EngineOptions::default()).map(|_| ());
    let (took, used) = (started.elapsed(), ALLOCATOR.peak_bytes() - before);
    let error = opened.err().unwrap_or_else(|| panic!("{what} is accepted")).to_string();
    println!("{what}: {used} bytes, {took:.1?}: {error}");
    assert!(used < MAX_MEMORY, "{what}: {} MiB", used >> 20);
    assert!(!error.contains('\n'), "{error}");
}

#[test]
fn bundles_with_a_bomb_are_refused_in_little_memory() {
    for name in [bundle::MANIFEST, bundle::INT8, bundle::SELFTEST] {
        is_refused(&format!("{name} of a terabyte"), bundle(name, huge).path());
    }
    let text = |text: String| bundle(bundle::MANIFEST, move |path| fs::write(path, &text).unwrap());
    is_refused("a manifest of nested arrays", text(format!("a = {}", "[".repeat(250_000))).path());
    is_refused("a manifest of nested tables", text(format!("{}a = 1", "a.".repeat(125_000))).path());
    is_refused("a manifest of many keys", text((0..15_000).map(|key| format!("k{key} = {{}}\n")).collect()).path());
    let vectors = |header: String, length: u64| {
        bundle(bundle::SELFTEST, move |path| {
            fs::write(path, [&length.to_le_bytes()[..], header.as_bytes()].concat()).unwrap();
        })
    };
    is_refused("a header of 2^60 bytes", vectors("{}".into(), 1 << 60).path());
    let claim = r#"{"faces":{"dtype":"U8","shape":[1099511627776,100],"data_offsets":[0,109951162777600]}}"#;
    is_refused("a tensor of 100 terabytes", vectors(claim.into(), claim.len() as u64).path());
    is_refused("a header of nested arrays", vectors("[".repeat(900_000), 900_000).path());
    let mut model = graphs::int8();
    if let Some(constant) = model.graph.as_mut().and_then(|graph| graph.initializer.first_mut()) {
        constant.dims = vec![1 << 40, 1 << 20];
    }
    let onnx = graphs::bytes(&model);
    is_refused("a graph with a constant of 2^60", bundle(bundle::INT8, |path| fs::write(path, &onnx).unwrap()).path());
}

#[test]
fn a_pipe_in_place_of_a_file_is_not_waited_for() {
    let folder = bundle(bundle::MANIFEST, |path| {
        fs::remove_file(path).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success());
    });
    assert!(Bundle::open(folder.path()).is_err());
}
