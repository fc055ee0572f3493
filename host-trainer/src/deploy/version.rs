//! A version of the runtime, as it lies in a folder of a board.

use std::path::{Path, PathBuf};

use expression_engine::trust::{SUFFIX, Trust};
use expression_engine::{Bundle, bundle, files, selftest};
use expression_signing::SecretKey;

use super::board::Board;
use super::{elf, signature};
use crate::assets;
use crate::detector;
use crate::error::{Context, Error};

/// Where a board file has to expect the bundle: the link there leads to that of the current version.
const BUNDLE_PLACE: &str = "/usr/share/edge-runtime/bundle";
/// What the service needs beside the program.
const SERVICE: [(&str, &str); 3] = [
    ("edge-runtime.service", include_str!("../../../boards/edge-runtime.service")),
    ("edge-runtime.sysusers", include_str!("../../../boards/edge-runtime.sysusers")),
    ("edge-runtime.rules", include_str!("../../../boards/edge-runtime.rules")),
];
/// Hexadecimal digits of a version's name; `remote.sh` counts on it.
const DIGITS: usize = 16;

/// A file of a version.
struct File {
    path: String,
    mode: u32,
    bytes: Vec<u8>,
}

/// Binary, bundle, board file and what the service needs.
pub struct Version {
    files: Vec<File>,
    sums: String,
    model: String,
    machine: &'static str,
}

impl Version {
    /// Gathers a version. `board`: a built-in board's name or a board file; `binary`: by default the one that
    /// `cargo xtask build` makes for that board; `bundle`: a folder, which may lack the detector; `key`: signs program and bundle.
    ///
    /// # Errors
    /// Returns a bad-input error if a part is missing, damaged, not made for this board, or not signed by a key of its board file.
    pub fn gather(
        board: &str,
        binary: Option<&Path>,
        bundle: &Path,
        key: Option<&SecretKey>,
    ) -> crate::Result<Version> {
        let board = read_board(board)?;
        let binary = path_of_binary(&board, binary);
        let program = read_binary(&board, &binary)?;
        if let Some(key) = key {
            signature::sign(key, &binary, bundle)?;
        }
        let signature = signature::verified(&board.trust, &binary, &program)?;
        let mut files = vec![File { path: "edge-runtime".into(), mode: 0o755, bytes: program }];
        files.extend(signature.map(|bytes| File { path: format!("edge-runtime{SUFFIX}"), mode: 0o644, bytes }));
        files.push(File { path: "board.toml".into(), mode: 0o644, bytes: board.text.as_bytes().to_vec() });
        let opened = Bundle::open_trusted(bundle, &board.trust)?;
        // The board replays the vectors. What they were made for can be checked here.
        selftest::vectors(&opened)?;
        let (name, state) = (&opened.manifest().name, board.state.display());
        let about = format!("board {}\nbundle {name}\nstate {state}\n", board.name);
        files.push(File { path: "about".into(), mode: 0o644, bytes: about.into_bytes() });
        for (name, text) in SERVICE {
            files.push(File { path: name.into(), mode: 0o644, bytes: text.into() });
        }
        for (name, bytes) in read_bundle(bundle, &opened, &board.trust)? {
            files.push(File { path: format!("bundle/{name}"), mode: 0o644, bytes });
        }
        files.sort_by(|a, b| a.path.cmp(&b.path));
        let sum = |file: &File| format!("{}  {}\n", files::sha256(&file.bytes), file.path);
        let sums = files.iter().map(sum).collect();
        let model = opened.manifest().files.get(bundle::INT8).cloned().unwrap_or_default();
        let machine = elf::machine(&board.target);
        Ok(Version { files, sums, model, machine })
    }

    /// Its name: the same files have the same.
    pub fn id(&self) -> String {
        let mut id = files::sha256(self.sums.as_bytes());
        id.truncate(DIGITS);
        id
    }

    /// The hash of its int8 net, hexadecimal.
    pub fn model(&self) -> &str {
        &self.model
    }

    /// What `uname -m` says on a board that it is for.
    pub fn machine(&self) -> &'static str {
        self.machine
    }

    /// What it takes on the board's disk, in KiB, with something over for folders and blocks.
    pub fn kib(&self) -> u64 {
        self.files.iter().map(|file| (file.bytes.len() as u64).div_ceil(4096) * 4 + 4).sum::<u64>() + 64
    }

    /// Its files as a tar archive. The list of hashes is the last, so whoever has it has them all.
    ///
    /// # Errors
    /// Returns an error if a file does not fit the format of tar.
    pub fn archive(&self) -> crate::Result<Vec<u8>> {
        let mut archive = tar::Builder::new(Vec::new());
        let sums = File { path: "SHA256SUMS".into(), mode: 0o644, bytes: self.sums.clone().into_bytes() };
        for file in self.files.iter().chain([&sums]) {
            let mut header = tar::Header::new_ustar();
            header.set_size(file.bytes.len() as u64);
            header.set_mode(file.mode);
            header.set_mtime(std::time::UNIX_EPOCH.elapsed().unwrap_or_default().as_secs());
            archive.append_data(&mut header, &file.path, file.bytes.as_slice())?;
        }
        Ok(archive.into_inner()?)
    }
}

/// Reads the board file and checks that the board looks for its bundle at the place that deploying fills.
fn read_board(name: &str) -> crate::Result<Board> {
    let board = Board::open(name)?;
    if board.bundle != Path::new(BUNDLE_PLACE) {
        let found = board.bundle.display();
        let message = format!("{}: paths.bundle is {found}; deploy needs {BUNDLE_PLACE} there", board.path.display());
        return Err(Error::BadInput(message));
    }
    Ok(board)
}

fn path_of_binary(board: &Board, binary: Option<&Path>) -> PathBuf {
    let built = || {
        let path = format!("target/boards/{}/edge-runtime", board.target);
        assets::find(&path).unwrap_or_else(|| path.into())
    };
    binary.map_or_else(built, Path::to_owned)
}

/// The most bytes of a program: ten times what it has.
const MAX_PROGRAM: u64 = 256 << 20;

fn read_binary(board: &Board, path: &Path) -> crate::Result<Vec<u8>> {
    let build = format!("cargo xtask build --board {}", board.path.display());
    let bytes = files::read_at_most(path, MAX_PROGRAM).map_err(|error| {
        Error::BadInput(format!("{error}; build it with `{build}`, or give --binary (in fleet.toml: binary)"))
    })?;
    let wanted = board.target.split('-').next().unwrap_or_default();
    let found = match elf::processor(&bytes) {
        Some(found) if found == wanted => return Ok(bytes),
        Some(found) => format!("for {found}"),
        None => "no program for a processor of our boards".into(),
    };
    let path = path.display();
    Err(Error::BadInput(format!("{path} is {found}, and {} is {wanted}; build it with `{build}`", board.name)))
}

/// The files of a bundle that a board needs, each verified: all but the float graph, and the detector always.
fn read_bundle(folder: &Path, bundle: &Bundle, trust: &Trust) -> crate::Result<Vec<(String, Vec<u8>)>> {
    let manifest = folder.join(bundle::MANIFEST);
    let text = files::read(&manifest)?;
    let signature = signature::verified(trust, &manifest, &text)?;
    let mut parts = vec![(bundle::MANIFEST.to_owned(), text)];
    parts.extend(signature.map(|bytes| (format!("{}{SUFFIX}", bundle::MANIFEST), bytes)));
    for name in bundle.manifest().files.keys().filter(|name| *name != bundle::FLOAT) {
        let bytes = if name == bundle::DETECTOR && !bundle.has(name) {
            detector::for_bundle(bundle).context("the bundle came without its face detector")?
        } else {
            bundle.read(name)?
        };
        parts.push((name.clone(), bytes));
    }
    if !bundle.manifest().files.contains_key(bundle::DETECTOR) {
        return Err(Error::BadInput(format!("{} names no detector; export the bundle again", manifest.display())));
    }
    Ok(parts)
}
