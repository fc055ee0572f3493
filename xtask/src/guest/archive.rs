//! An initial file system: a cpio archive in the format that Linux boots from ("newc"), made without root.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// A cpio archive to which files are added.
#[derive(Clone, Default)]
pub struct Archive {
    bytes: Vec<u8>,
    folders: BTreeSet<String>,
    entries: u32,
}

impl Archive {
    /// Adds a file, and the folders in its path.
    pub fn file(&mut self, path: &str, content: &[u8], executable: bool) {
        let mut above = String::new();
        for folder in path.split('/').rev().skip(1).collect::<Vec<_>>().into_iter().rev() {
            above.push_str(folder);
            if self.folders.insert(above.clone()) {
                self.entry(&above, 0o040_755, &[]);
            }
            above.push('/');
        }
        self.entry(path, if executable { 0o100_755 } else { 0o100_644 }, content);
    }

    /// Adds a file of this machine; it is executable if it is so here.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read.
    pub fn copy(&mut self, path: &str, from: &Path) -> Result<()> {
        let cannot = || format!("{} could not be read", from.display());
        let content = fs::read(from).with_context(cannot)?;
        let executable = fs::metadata(from).with_context(cannot)?.permissions().mode() & 0o100 != 0;
        self.file(path, &content, executable);
        Ok(())
    }

    /// Adds all files of a folder of this machine, sorted by name.
    ///
    /// # Errors
    /// Returns an error if a file cannot be read.
    pub fn tree(&mut self, path: &str, from: &Path) -> Result<()> {
        let cannot = || format!("{} could not be read", from.display());
        let mut entries = fs::read_dir(from).with_context(cannot)?.collect::<std::io::Result<Vec<_>>>()?;
        entries.sort_by_key(std::fs::DirEntry::file_name);
        for entry in entries {
            let place = format!("{path}/{}", entry.file_name().display());
            if entry.path().is_dir() { self.tree(&place, &entry.path())? } else { self.copy(&place, &entry.path())? }
        }
        Ok(())
    }

    /// Adds kernel modules, and the list in `modules/order` by which [`INIT`](super::INIT) loads them.
    ///
    /// # Errors
    /// Returns an error if a file cannot be read.
    pub fn modules(&mut self, files: &[PathBuf]) -> Result<()> {
        let mut order = String::new();
        for file in files {
            let name = file.file_name().unwrap_or_default().to_string_lossy();
            self.copy(&format!("modules/{name}"), file)?;
            order += &format!("{name}\n");
        }
        self.file("modules/order", order.as_bytes(), false);
        Ok(())
    }

    fn entry(&mut self, path: &str, mode: u32, content: &[u8]) {
        self.entries += 1;
        let name = path.len() as u32 + 1;
        let fields = [self.entries, mode, 0, 0, 1, 0, content.len() as u32, 0, 0, 0, 0, name, 0];
        self.bytes.extend_from_slice(b"070701");
        for field in fields {
            self.bytes.extend_from_slice(format!("{field:08x}").as_bytes());
        }
        self.bytes.extend_from_slice(path.as_bytes());
        self.bytes.push(0);
        self.align();
        self.bytes.extend_from_slice(content);
        self.align();
    }

    fn align(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    /// Completes the archive and returns its bytes.
    pub fn finish(mut self) -> Vec<u8> {
        // The kernel opens its console in /dev.
        self.file("dev/.keep", &[], false);
        self.device("dev/console", 5, 1);
        self.entry("TRAILER!!!", 0, &[]);
        self.bytes
    }

    /// Adds a character device.
    fn device(&mut self, path: &str, major: u32, minor: u32) {
        let at = self.bytes.len();
        self.entry(path, 0o020_600, &[]);
        for (field, value) in [(9, major), (10, minor)] {
            self.bytes[at + 6 + 8 * field..][..8].copy_from_slice(format!("{value:08x}").as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_lists_what_was_added() {
        let mut archive = Archive::default();
        archive.file("a/b/c", b"hello", true);
        archive.file("a/d", b"", false);
        let bytes = archive.finish();
        assert!(bytes.len().is_multiple_of(4));
        let mut names = Vec::new();
        let mut at = 0;
        while at < bytes.len() {
            assert_eq!(&bytes[at..at + 6], b"070701");
            let field = |number: usize| {
                let digits = std::str::from_utf8(&bytes[at + 6 + 8 * number..][..8]).unwrap();
                usize::from_str_radix(digits, 16).unwrap()
            };
            let (size, name) = (field(6), field(11));
            names.push(std::str::from_utf8(&bytes[at + 110..at + 109 + name]).unwrap().to_owned());
            let content = (at + 110 + name).next_multiple_of(4);
            if names.last().unwrap() == "a/b/c" {
                assert_eq!((&bytes[content..content + size], field(1)), (&b"hello"[..], 0o100_755));
            }
            at = (content + size).next_multiple_of(4);
        }
        assert_eq!(names, ["a", "a/b", "a/b/c", "a/d", "dev", "dev/.keep", "dev/console", "TRAILER!!!"]);
    }
}
