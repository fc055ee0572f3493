//! The kernels' property tests on emulated AArch64 processors.

use anyhow::{Context, Result, ensure};

use xtask::arm::{self, Tools};

/// The processors: plain NEON on the first two, dot products on the third, every extension that the emulator knows on the last.
const PROCESSORS: [&str; 4] = ["cortex-a53", "cortex-a72", "cortex-a76", "max"];
/// Random chains of layers per test. The emulator takes about thirty times as long as the host's processor.
const CASES: &str = "300";

/// Runs the tests, or prints why they are skipped.
///
/// # Errors
/// Returns an error if a test fails or does not build.
pub fn run() -> Result<()> {
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
                arm::install_command(&missing)
            );
            return Ok(());
        }
    };
    for processor in PROCESSORS {
        eprintln!("expression-kernels on an emulated {processor}");
        let mut cargo =
            tools.cargo(&["test", "--package", "expression-kernels", "--test", "exact", "--test", "separable"]);
        // Statically linked: the emulator hangs on threads of dynamically linked programs.
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
