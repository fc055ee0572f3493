//! `host-trainer sign`

use std::path::{Path, PathBuf};

use expression_engine::selftest::{self, SelfTestError};
use expression_engine::trust::signature_path;
use expression_engine::{Bundle, bundle, files};
use expression_signing::sign_file;

use super::key::PasswordArgs;
use crate::error::{Context, Error};

/// Sign bundles and programs for boards that accept only what you signed.
///
/// For a folder, the manifest of the bundle in it is signed, and with it the hash of every file: the signature is
/// `manifest.toml.minisig`. For a file it is the file's name with `.minisig`. The format is minisign's. See docs/trust.md.
///
/// Example: host-trainer sign runs/mine/bundle --key maker.key
#[derive(clap::Args)]
pub struct Cmd {
    /// Folders of bundles, and files such as target/boards/TARGET/edge-runtime.
    #[arg(required = true, value_name = "BUNDLE|FILE")]
    paths: Vec<PathBuf>,
    /// File of the secret key, as `host-trainer key new` made it.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Sequence number to sign; boards refuse a lower one than they accepted before. By default the time in seconds since 1970,
    /// which rises by itself.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(0..=i64::MAX as u64))]
    sequence: Option<u64>,
    #[command(flatten)]
    password: PasswordArgs,
}

impl Cmd {
    /// Runs the command.
    ///
    /// # Errors
    /// Returns an error if a bundle is damaged or its labels are not those of its self-test, if a file cannot be read or written,
    /// or the key cannot be used.
    pub fn run(&self) -> crate::Result<()> {
        let signed = self.paths.iter().map(|path| signed_file(path)).collect::<crate::Result<Vec<_>>>()?;
        let key = self.password.open(&self.key)?;
        let sequence = self.sequence.unwrap_or_else(expression_signing::now);
        for file in &signed {
            // Before anything is signed: the key may be called FILE.minisig.
            files::refuse_overwriting(&signature_path(file), [&self.key])?;
        }
        for file in signed {
            let signature = sign_file(&key, &file, sequence)?;
            crate::error::print(&format!("{} signs sequence number {sequence}", signature.display()))?;
        }
        Ok(())
    }
}

/// The file that is signed for a path. A bundle is checked first: a signature should not make one look good that is damaged, or
/// whose labels were swapped.
fn signed_file(path: &Path) -> crate::Result<PathBuf> {
    if !path.exists() {
        let advice = "give the folder of a bundle, or a file";
        return Err(Error::BadInput(format!("{}: no such file or folder; {advice}", path.display())));
    }
    if !path.is_dir() {
        // Before anything is signed, and without waiting for a pipe.
        let opened = files::open_regular(path).map(drop);
        opened.with_context(|| format!("cannot read {}", path.display()))?;
        return Ok(path.to_owned());
    }
    let bundle = Bundle::open(path)?;
    bundle.verify()?;
    match selftest::vectors(&bundle) {
        // `upgrade` adds them; boards refuse the bundle until then.
        Ok(_) | Err(SelfTestError::WithoutLabels) => Ok(path.join(bundle::MANIFEST)),
        Err(error) => Err(error.into()),
    }
}
