//! Man pages and shell completions of `edge-runtime` for packages, as the program itself writes them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::{cargo, process};

/// The completion scripts: the shell, and the name under which that shell looks for the script.
const COMPLETIONS: [(&str, &str); 3] =
    [("bash", "edge-runtime.bash"), ("fish", "edge-runtime.fish"), ("zsh", "_edge-runtime")];

/// Returns the folder that packages take man pages (`man1`) and completions from.
pub fn folder() -> PathBuf {
    cargo::workspace_root().join("target/boards/manual")
}

/// Writes man pages and completions to `folder`, in place of what is there. `program` is an `edge-runtime` that this machine runs;
/// its pages are those of the programs for all boards.
///
/// # Errors
/// Returns an error if the program fails, or a file cannot be written.
pub fn write(program: &Path, folder: &Path) -> Result<()> {
    let _ = fs::remove_dir_all(folder);
    fs::create_dir_all(folder).with_context(|| format!("{} could not be made", folder.display()))?;
    process::run(Command::new(program).arg("man").arg(folder.join("man1")))?;
    for (shell, name) in COMPLETIONS {
        let script = process::run(Command::new(program).args(["completions", shell]))?;
        fs::write(folder.join(name), script).with_context(|| format!("{name} could not be written"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    /// Stands in for `edge-runtime`.
    const PROGRAM: &str = "#!/bin/sh\ncase $1 in\n    man) mkdir -p \"$2\" && echo .TH > \"$2/edge-runtime.1\" ;;\n    completions) echo \"for $2\" ;;\nesac\n";

    #[test]
    fn the_package_takes_every_page_and_script_that_is_written() {
        let work = tempfile::tempdir().unwrap();
        let (program, folder) = (work.path().join("program"), work.path().join("manual"));
        fs::write(&program, PROGRAM).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("old"), "").unwrap();
        write(&program, &folder).unwrap();
        assert!(!folder.join("old").exists());

        let manifest = fs::read_to_string(cargo::workspace_root().join("edge-runtime/Cargo.toml")).unwrap();
        let manifest: toml::Table = manifest.parse().unwrap();
        let assets = manifest["package"]["metadata"]["deb"]["assets"].as_array().unwrap();
        let taken = assets.iter().filter_map(|asset| asset[0].as_str()?.strip_prefix("../target/boards/manual/"));
        let mut taken: Vec<&str> = taken.collect();
        taken.sort_unstable();
        let mut written: Vec<&str> = COMPLETIONS.iter().map(|(_, name)| *name).chain(["man1/*"]).collect();
        written.sort_unstable();
        assert_eq!(taken, written);
        assert_eq!(fs::read_to_string(folder.join("_edge-runtime")).unwrap(), "for zsh\n");
        assert!(folder.join("man1/edge-runtime.1").is_file());
    }
}
