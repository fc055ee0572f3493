//! Where files lie that are not part of the program: what `cargo xtask setup` downloaded, and what it built.

use std::env;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

static FOLDER: OnceLock<PathBuf> = OnceLock::new();

/// Sets the folder of downloaded assets, in place of the one that [`folder`] looks for. The first call counts.
pub fn set_folder(folder: PathBuf) {
    let _ = FOLDER.set(folder);
}

/// Returns the folder of downloaded assets: the one that was set, else `EXPRESSION_ASSETS`, else the nearest `.assets` in the
/// current folder or the program's, or above them.
pub fn folder() -> PathBuf {
    FOLDER.get().cloned().or_else(named).unwrap_or_else(|| {
        let nearest = find(".assets");
        nearest.unwrap_or_else(|| PathBuf::from(".assets"))
    })
}

/// The folder that the variable names; one that is empty counts as unset.
pub fn named() -> Option<PathBuf> {
    env::var_os(VARIABLE).filter(|folder| !folder.is_empty()).map(PathBuf::from)
}

/// The variable that names the folder of downloaded assets.
pub const VARIABLE: &str = "EXPRESSION_ASSETS";

/// The bundle that the repository carries; `None` outside of it.
pub fn shipped_bundle() -> Option<PathBuf> {
    find("models/ferplus-edge")
}

/// Says that there is none.
pub const NO_SHIPPED_BUNDLE: &str = "no models/ferplus-edge in this folder, the program's or above";

/// Looks for a file or folder by its relative path: in the current folder and those above it, then in the program's folder
/// and those above it.
pub fn find(path: &str) -> Option<PathBuf> {
    let program = env::current_exe().ok();
    let starts = [env::current_dir().ok(), program.as_deref().and_then(Path::parent).map(Path::to_owned)];
    starts
        .iter()
        .flatten()
        .flat_map(|start| start.ancestors())
        .map(|folder| folder.join(path))
        .find(|path| path.exists())
}

/// The board's program: the one that was named, else the one beside this program, else the one on the PATH.
pub fn edge_runtime(named: Option<&Path>) -> PathBuf {
    let beside = || env::current_exe().ok().map(|program| program.with_file_name(EDGE_RUNTIME));
    let beside = || beside().filter(|path| path.is_file());
    named.map(Path::to_owned).or_else(beside).unwrap_or_else(|| EDGE_RUNTIME.into())
}

/// Name of the board's program.
const EDGE_RUNTIME: &str = "edge-runtime";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_found_above_the_program() {
        let program = env::current_exe().unwrap();
        let name = program.file_name().unwrap().to_str().unwrap();
        // The tests run elsewhere; their program lies in a folder of its own.
        assert_eq!(find(name), Some(program.clone()));
        assert_eq!(find("no such file"), None);
    }
}
