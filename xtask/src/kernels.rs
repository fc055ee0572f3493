//! The property tests of the kernels on the boards' processors, emulated.

use anyhow::{Context, Result, ensure};

use crate::arm::{self, Tools};

/// The processors: plain NEON on the first two, dot products on the third; the last has all that the emulator knows.
const PROCESSORS: [&str; 4] = ["cortex-a53", "cortex-a72", "cortex-a76", "max"];
/// Random chains on each; the emulator takes some thirty times as long as the processor at hand.
const CASES: &str = "300";

/// Runs them, or says why not.
///
/// # Errors
/// Where a test fails or does not build.
pub fn test() -> Result<()> {
    if cfg!(target_arch = "aarch64") {
        return Ok(());
    }
    let (tools, emulator) = match (Tools::find(), arm::emulator()) {
        (Ok(tools), Ok(emulator)) => (tools, emulator),
        (tools, emulator) => {
            let missing = [tools.err(), emulator.err()].into_iter().flatten().flatten().collect::<Vec<_>>();
            eprintln!(
                "skipped: the kernels' tests on emulated AArch64 processors ({}): {}",
                PROCESSORS.join(", "),
                arm::advice(&missing)
            );
            return Ok(());
        }
    };
    for processor in PROCESSORS {
        eprintln!("expression-kernels on an emulated {processor}");
        let mut cargo =
            tools.cargo(&["test", "--package", "expression-kernels", "--test", "exact", "--test", "separable"]);
        // A static program: the emulator hangs on threads of dynamic ones.
        cargo.env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUSTFLAGS", "-C target-feature=+crt-static");
        cargo.env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER", emulator);
        cargo.env("QEMU_CPU", processor);
        if std::env::var_os("PROPTEST_CASES").is_none() {
            cargo.env("PROPTEST_CASES", CASES);
        }
        let status = cargo.status().context("cargo could not be started")?;
        ensure!(status.success(), "the kernels' tests fail on an emulated {processor}");
    }
    Ok(())
}
