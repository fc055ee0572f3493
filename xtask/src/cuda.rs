//! CUDA's half of PyTorch. It stays out of `.assets/libtorch`, because torch-sys links CUDA wherever it sees
//! `libtorch_cuda.so`, and the program would not start on a machine without a GPU. `host-trainer` opens that library
//! itself, from the folder that `.assets/cuda/torch-lib.txt` names.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use crate::assets::{TORCH, TORCH_VERSION};
use crate::fetch::{self, Download};
use crate::libtorch::PINNED_HOST;
use crate::refusal::refusal;
use crate::staging::Staging;

/// Whether to bring CUDA's libraries.
#[derive(Clone, Copy, Default, PartialEq, clap::ValueEnum)]
pub enum Cuda {
    /// Where there is an NVIDIA GPU.
    #[default]
    Auto,
    Yes,
    No,
}

impl Cuda {
    /// True where they shall be brought on this machine.
    pub fn wanted(self) -> bool {
        match self {
            Self::Auto => PINNED_HOST && gpu(),
            Self::Yes => true,
            Self::No => false,
        }
    }
}

/// Is there an NVIDIA GPU with its driver?
fn gpu() -> bool {
    let answers = || {
        let mut smi = Command::new("nvidia-smi");
        smi.arg("-L").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        smi.status().is_ok_and(|status| status.success())
    };
    Path::new("/dev/nvidia0").exists() || Path::new("/proc/driver/nvidia").exists() || answers()
}

/// True where `torch-lib.txt` names a folder that holds the library.
pub fn in_place(assets: &Path) -> Result<bool> {
    // Our own install first: it may have been moved together with the workspace, and then the note is out of date.
    if let Some(lib) = cuda_lib(&own_install(assets)) {
        note(&assets.join("cuda"), &lib)?;
        return Ok(true);
    }
    let noted = fs::read_to_string(assets.join("cuda/torch-lib.txt")).unwrap_or_default();
    Ok(Path::new(noted.trim()).parent().and_then(cuda_lib).is_some())
}

/// Brings `.assets/cuda`: a note of the PyTorch that python3 has, or an install of our own.
pub fn bring(staging: &Staging, download: &Download) -> Result<()> {
    let folder = staging.path("cuda");
    fs::create_dir_all(&folder).with_context(|| format!("{} could not be made", folder.display()))?;
    let lib = match python_torch().as_deref().and_then(cuda_lib) {
        Some(lib) => {
            eprintln!("setup: CUDA's libraries are those of the PyTorch that python3 has: {}", lib.display());
            lib
        }
        None => {
            install(staging, download, &folder)?;
            own_install(staging.assets()).join("lib")
        }
    };
    note(&folder, &lib)?;
    staging.finish("cuda")
}

/// The wheel is the pinned one; the GPU libraries are those whose versions its metadata pins, resolved by pip.
fn install(staging: &Staging, download: &Download, folder: &Path) -> Result<()> {
    if !PINNED_HOST {
        return Err(refusal("CUDA's libraries are pinned for x86-64 Linux only: run with `--cuda no`"));
    }
    let wheel = staging.fetch(&TORCH, download)?;
    eprintln!(
        "setup: fetching the GPU libraries of PyTorch {TORCH_VERSION} (some gigabytes; `--cuda no` leaves them out)"
    );
    let mut pip = fetch::pip("install", "x86_64", &staging.path("."));
    pip.args(["--no-compile", "--target"]).arg(folder.join("site")).arg(wheel);
    fetch::run_client(pip, "the GPU libraries could not be fetched")
}

/// Where our own install of PyTorch lies.
fn own_install(assets: &Path) -> PathBuf {
    assets.join("cuda/site/torch")
}

/// The folder of python3's PyTorch, found without the seconds that importing it takes.
fn python_torch() -> Option<PathBuf> {
    let ask = "import importlib.util as u; print(u.find_spec('torch').submodule_search_locations[0])";
    let answer = Command::new("python3").args(["-c", ask]).stderr(Stdio::null()).output().ok()?;
    let path = String::from_utf8(answer.stdout).ok().filter(|_| answer.status.success())?;
    Some(PathBuf::from(path.trim()))
}

/// `torch/lib`, where the PyTorch in `torch` is of our version and has CUDA.
fn cuda_lib(torch: &Path) -> Option<PathBuf> {
    let version = fs::read_to_string(torch.join("version.py")).ok()?;
    let ours = [format!("'{TORCH_VERSION}'"), format!("'{TORCH_VERSION}+cu")].iter().any(|it| version.contains(it));
    let lib = torch.join("lib");
    (ours && lib.join("libtorch_cuda.so").exists()).then_some(lib)
}

/// One line: the absolute path of the folder that holds `libtorch_cuda.so`.
fn note(folder: &Path, lib: &Path) -> Result<()> {
    let file = folder.join("torch-lib.txt");
    let line = format!("{}\n", lib.display());
    if fs::read_to_string(&file).is_ok_and(|noted| noted == line) {
        return Ok(());
    }
    fs::write(&file, line).with_context(|| format!("{} could not be written", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_version_with_cuda_is_taken_and_a_moved_install_is_noted_anew() {
        let assets = tempfile::tempdir().unwrap();
        let torch = own_install(assets.path());
        fs::create_dir_all(torch.join("lib")).unwrap();
        fs::write(torch.join("lib/libtorch_cuda.so"), "").unwrap();
        fs::write(torch.join("version.py"), "__version__ = '2.10.0+cu130'\n").unwrap();
        assert!(!in_place(assets.path()).unwrap());
        fs::write(torch.join("version.py"), "__version__ = '2.11.0+cu130'\n").unwrap();
        fs::write(assets.path().join("cuda/torch-lib.txt"), "/an/older/place/lib\n").unwrap();
        assert!(in_place(assets.path()).unwrap());
        let noted = fs::read_to_string(assets.path().join("cuda/torch-lib.txt")).unwrap();
        assert_eq!(Path::new(noted.trim()), torch.join("lib"));
    }
}
