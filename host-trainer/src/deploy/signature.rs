//! Signatures of what is deployed: made if a key is given, and verified before the board is touched.

use std::path::{Path, PathBuf};

use expression_engine::line::tell;
use expression_engine::trust::{Key, Trust, TrustError, signature_path};
use expression_engine::{bundle, files};
use expression_signing::{SecretKey, now, sign_file};

/// Bytes of a signature file, at most. The engine has verified a larger one never.
const MAX_SIGNATURE: u64 = 16 << 10;

/// Signs a program and the manifest of a bundle with this key, unless they are signed by it already: a deploy of what runs
/// already has the same files, and changes nothing.
///
/// # Errors
/// Returns an error if a file cannot be read or written.
pub fn sign(key: &SecretKey, program: &Path, bundle: &Path) -> crate::Result<()> {
    let public = Key::parse(&key.public()).map_err(TrustError::from)?;
    let trust = Trust::new(vec![public], true)?;
    for path in [program.to_owned(), bundle.join(bundle::MANIFEST)] {
        if trust.verify(&path, &files::read(&path)?).is_err() {
            let signature = sign_file(key, &path, now())?;
            tell(format_args!("signed: {}", signature.display()));
        }
    }
    Ok(())
}

/// Verifies the bytes of a file that goes to a board, and returns its signature, which goes there too; `None` if it has none
/// and needs none.
///
/// # Errors
/// Returns an error if the file is not to be trusted.
pub fn verified(trust: &Trust, path: &Path, bytes: &[u8]) -> crate::Result<Option<Vec<u8>>> {
    let beside: PathBuf = signature_path(path);
    if !beside.exists() {
        trust.verify(path, bytes)?;
        return Ok(None);
    }
    let signature = files::read_at_most(&beside, MAX_SIGNATURE)?;
    trust.verify_with(path, bytes, &signature)?;
    Ok(Some(signature))
}
