//! Scripts that run on the guests: `scripts/NAME.sh` is the command NAME there.

use xtask::guest::Archive;

macro_rules! scripts {
    ($($name:literal)*) => {
        &[$(($name, include_str!(concat!("../scripts/", $name, ".sh")))),*]
    };
}

/// Names and texts of the commands.
const SCRIPTS: &[(&str, &str)] = scripts!(
    "await-frames" "endless" "fill-disk" "flip-weight" "hash-faces" "install-service" "journal-ids" "leak" "list-leftovers"
    "loop-video" "metric" "read-lines" "record" "sample" "send-picture" "show-still" "soak" "start-network" "still" "stop-and-verify"
    "watch-camera" "watch-in-background" "watch-still" "watch-video"
);

/// The shell on a guest's serial line, which runs the lines that it receives.
pub const SERIAL_SHELL: &[u8] = include_bytes!("../scripts/serial-shell.sh");

/// systemd's unit for the shell.
pub const SERIAL_SHELL_SERVICE: &[u8] = include_bytes!("../scripts/serial-shell.service");

/// The command `endless`: a camera that shows the same frames again and again.
pub const ENDLESS: &[u8] = include_bytes!("../scripts/endless.sh");

/// Adds all commands to a guest's payload.
pub fn add_to(payload: &mut Archive) {
    for (name, text) in SCRIPTS {
        payload.file(&format!("payload/bin/{name}"), text.as_bytes(), true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;
    use std::process::Command;

    #[test]
    fn every_script_is_in_the_list_and_is_valid_shell() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts");
        let mut found = BTreeSet::new();
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "sh") {
                let checked = Command::new("sh").arg("-n").arg(&path).status().unwrap();
                assert!(checked.success(), "{}", path.display());
                found.insert(path.file_stem().unwrap().to_str().unwrap().to_owned());
            }
        }
        assert!(found.remove("serial-shell"));
        assert_eq!(found, SCRIPTS.iter().map(|(name, _)| (*name).to_owned()).collect());
    }
}
