//! Every target for a short time, with neither the fuzzer nor its instruments: its seeds, the corpus that longer runs have left,
//! and edits of both. `cargo xtask fuzz` does the same for hours, and sees which code an input reaches.

use std::fs;
use std::path::{Path, PathBuf};

use fuzz::TARGETS;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

/// Edited inputs for each target.
const EDITED: u32 = 600;

/// The files of a target in `seeds/` or `corpus/`.
fn files(kind: &str, target: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(kind).join(target);
    let entries = fs::read_dir(folder).into_iter().flatten();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// A change of some bytes. Places wrap around the length.
#[derive(Debug, Clone)]
enum Edit {
    Flip(usize, u8),
    Write(usize, Vec<u8>),
    Insert(usize, Vec<u8>),
    Remove(usize, usize),
    /// Repeats bytes: place, how many, where to.
    Copy(usize, usize, usize),
    /// Bytes of another input.
    Splice(usize, usize),
}

fn edit() -> impl Strategy<Value = Edit> {
    let extreme =
        prop::sample::select(vec![0u64, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFF_FFFF, 0xFFFF_FFFF, u64::MAX]);
    let number =
        (extreme, prop::sample::select(vec![1usize, 2, 4, 8]), any::<bool>()).prop_map(|(value, width, big)| {
            if big { value.to_be_bytes()[8 - width..].to_vec() } else { value.to_le_bytes()[..width].to_vec() }
        });
    let some = prop_oneof![number, vec(any::<u8>(), 1..9)];
    prop_oneof![
        (any::<usize>(), any::<u8>()).prop_map(|(at, bits)| Edit::Flip(at, bits)),
        (any::<usize>(), some.clone()).prop_map(|(at, bytes)| Edit::Write(at, bytes)),
        (any::<usize>(), some).prop_map(|(at, bytes)| Edit::Insert(at, bytes)),
        (any::<usize>(), 1..64usize).prop_map(|(at, count)| Edit::Remove(at, count)),
        (any::<usize>(), 1..64usize, any::<usize>()).prop_map(|(at, count, to)| Edit::Copy(at, count, to)),
        (any::<usize>(), any::<usize>()).prop_map(|(other, at)| Edit::Splice(other, at)),
    ]
}

fn edited(inputs: &[Vec<u8>], which: usize, edits: &[Edit], max_len: usize) -> Vec<u8> {
    let mut bytes = inputs.get(which % inputs.len().max(1)).cloned().unwrap_or_default();
    for edit in edits {
        let place = |at: usize| at % (bytes.len() + 1);
        match edit {
            Edit::Flip(at, bits) => {
                let at = place(*at);
                bytes.get_mut(at).into_iter().for_each(|byte| *byte ^= bits);
            }
            Edit::Write(at, new) => {
                let at = place(*at);
                bytes.iter_mut().skip(at).zip(new).for_each(|(byte, new)| *byte = *new);
            }
            Edit::Insert(at, new) => {
                let at = place(*at);
                bytes.splice(at..at, new.iter().copied());
            }
            Edit::Remove(at, count) => {
                let at = place(*at);
                bytes.drain(at..bytes.len().min(at + count));
            }
            Edit::Copy(at, count, to) => {
                let (at, to) = (place(*at), place(*to));
                let copied = bytes[at..bytes.len().min(at + count)].to_vec();
                bytes.splice(to..to, copied);
            }
            Edit::Splice(other, at) => {
                let at = place(*at);
                bytes.truncate(at);
                let other = inputs.get(other % inputs.len().max(1)).map(Vec::as_slice).unwrap_or_default();
                bytes.extend_from_slice(other.get(at..).unwrap_or(other));
            }
        }
    }
    bytes.truncate(max_len);
    bytes
}

/// Tries one target. What breaks it is printed, shrunk to the fewest edits.
fn try_target(name: &str) {
    let target = TARGETS.iter().find(|target| target.name == name).unwrap();
    let paths = [files("seeds", name), files("corpus", name)].concat();
    let mut inputs: Vec<Vec<u8>> = paths.iter().map(|path| fs::read(path).unwrap()).collect();
    // A name in the output says which file it was that broke the target.
    for (path, bytes) in paths.iter().zip(&inputs) {
        println!("{}", path.display());
        (target.run)(bytes);
    }
    if inputs.is_empty() {
        inputs.push(vec![0x55; target.max_len / 2]);
    }
    let config = Config { cases: EDITED, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let edits = (any::<usize>(), vec(edit(), 1..12));
    let tried = runner.run(&edits, |(which, edits)| {
        (target.run)(&edited(&inputs, which, &edits, target.max_len));
        Ok(())
    });
    tried.unwrap_or_else(|error| panic!("{name}: {error}"));
}

/// A test for each target, so that they run side by side, and one that no target is left out.
macro_rules! targets {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            try_target(stringify!($name));
        })*

        #[test]
        fn every_target_is_tried_and_has_seeds() {
            let tried = [$(stringify!($name)),*];
            for target in TARGETS {
                assert!(tried.contains(&target.name), "{} has no test here", target.name);
                // Their inputs are numbers that stand for edits.
                let needs_none = ["onnx_edits", "journal_rows"].contains(&target.name);
                assert!(needs_none || !files("seeds", target.name).is_empty(), "{} has no seeds", target.name);
            }
        }
    };
}

targets!(onnx onnx_edits detector bundle y4m mjpeg raw picture board flag preset classes http mqtt journal journal_rows
    mat fer2013 ferplus checkpoint tfjs);
