//! One program for all targets: `FUZZ_TARGET` names the one to run. Without it the targets are listed, one per line: name,
//! longest input in bytes.
#![no_main]

use std::sync::OnceLock;

use fuzz::{TARGETS, Target};

static CHOSEN: OnceLock<&Target> = OnceLock::new();

fn choose() {
    let name = std::env::var("FUZZ_TARGET").unwrap_or_default();
    match TARGETS.iter().find(|target| target.name == name) {
        Some(target) => _ = CHOSEN.set(target),
        None => {
            TARGETS.iter().for_each(|target| println!("{} {}", target.name, target.max_len));
            std::process::exit(if name.is_empty() { 0 } else { 2 });
        }
    }
}

libfuzzer_sys::fuzz_target!(init: choose(), |bytes: &[u8]| {
    if let Some(target) = CHOSEN.get() {
        (target.run)(bytes);
    }
});
