//! PyTorch's CUDA libraries. They are not installed in `.assets/libtorch`, because torch-sys links CUDA if it finds
//! `libtorch_cuda.so`, and the program would then not start on a machine without a GPU. `host-trainer` opens that library
//! itself, from the folder that `.assets/cuda/torch-lib.txt` names.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use super::assets::{TORCH, TORCH_VERSION};
use super::fetch::{self, Download};
use super::libtorch::PINNED_HOST;
use super::staging::Staging;
use crate::error::bad_input;
use crate::process;

/// Whether to install the CUDA libraries.
#[derive(Clone, Copy, Default, PartialEq, clap::ValueEnum)]
pub enum Cuda {
    /// Install them if there is an NVIDIA GPU
    #[default]
    Auto,
    /// Install them
    Yes,
    /// Do not install them
    No,
}

impl Cuda {
    /// Returns whether to install the libraries on this machine.
    pub fn wanted(self) -> bool {
        match self {
            Self::Auto => PINNED_HOST && has_gpu(),
            Self::Yes => true,
            Self::No => false,
        }
    }
}

/// Returns whether there is an NVIDIA GPU with its driver.
fn has_gpu() -> bool {
    let lists_gpus = || process::run(Command::new("nvidia-smi").arg("-L")).is_ok();
    Path::new("/dev/nvidia0").exists() || Path::new("/proc/driver/nvidia").exists() || lists_gpus()
}

/// Returns whether `torch-lib.txt` names a folder with the library.
pub fn is_installed(assets: &Path) -> Result<bool> {
    // The workspace's own install first: if it was moved with the workspace, the note is out of date.
    if let Some(lib) = cuda_lib(&own_install(assets)) {
        note(&assets.join("cuda"), &lib)?;
        return Ok(true);
    }
    let noted = fs::read_to_string(assets.join("cuda/torch-lib.txt")).unwrap_or_default();
    Ok(Path::new(noted.trim()).parent().and_then(cuda_lib).is_some())
}

/// Makes `.assets/cuda`: a note of the PyTorch that python3 has or, without one, an install for the workspace.
pub fn install(staging: &Staging, download: &Download) -> Result<()> {
    let folder = staging.path("cuda");
    fs::create_dir_all(&folder).with_context(|| format!("{} could not be made", folder.display()))?;
    let lib = match python_torch().as_deref().and_then(cuda_lib) {
        Some(lib) => {
            eprintln!("setup: using the CUDA libraries of python3's PyTorch: {}", lib.display());
            lib
        }
        None => {
            install_with_pip(staging, download, &folder)?;
            own_install(staging.assets()).join("lib")
        }
    };
    note(&folder, &lib)?;
    staging.finish("cuda")
}

/// Installs the pinned wheel; pip chooses the GPU libraries by the versions in the wheel's metadata.
fn install_with_pip(staging: &Staging, download: &Download, folder: &Path) -> Result<()> {
    if !PINNED_HOST {
        return Err(bad_input("the CUDA libraries are pinned for x86-64 Linux only; run with `--cuda no`"));
    }
    let wheel = staging.fetch(&TORCH, download)?;
    eprintln!(
        "setup: downloading the GPU libraries of PyTorch {TORCH_VERSION} (several gigabytes; skip them with `--cuda no`)"
    );
    let mut pip = fetch::pip("install", "x86_64", &staging.path("."));
    pip.args(["--no-compile", "--target"]).arg(folder.join("site")).arg(wheel);
    fetch::run_client(pip, "the GPU libraries could not be downloaded")
}

/// Returns the folder of the workspace's own PyTorch.
fn own_install(assets: &Path) -> PathBuf {
    assets.join("cuda/site/torch")
}

/// Returns the folder of python3's PyTorch. It is not imported, which would take seconds.
fn python_torch() -> Option<PathBuf> {
    let ask = "import importlib.util as u; print(u.find_spec('torch').submodule_search_locations[0])";
    let answer = Command::new("python3").args(["-c", ask]).stderr(Stdio::null()).output().ok()?;
    let path = String::from_utf8(answer.stdout).ok().filter(|_| answer.status.success())?;
    Some(PathBuf::from(path.trim()))
}

/// Returns `torch/lib` if the PyTorch in `torch` has the pinned version and CUDA.
fn cuda_lib(torch: &Path) -> Option<PathBuf> {
    let version = fs::read_to_string(torch.join("version.py")).ok()?;
    let is_pinned =
        [format!("'{TORCH_VERSION}'"), format!("'{TORCH_VERSION}+cu")].iter().any(|wanted| version.contains(wanted));
    let lib = torch.join("lib");
    (is_pinned && lib.join("libtorch_cuda.so").exists()).then_some(lib)
}

/// Writes the note: one line with the absolute path of the folder of `libtorch_cuda.so`.
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
    fn only_the_pinned_version_with_cuda_is_used_and_a_moved_install_is_noted_again() {
        let assets = tempfile::tempdir().unwrap();
        let torch = own_install(assets.path());
        fs::create_dir_all(torch.join("lib")).unwrap();
        fs::write(torch.join("lib/libtorch_cuda.so"), "").unwrap();
        fs::write(torch.join("version.py"), "__version__ = '2.10.0+cu130'\n").unwrap();
        assert!(!is_installed(assets.path()).unwrap());
        fs::write(torch.join("version.py"), "__version__ = '2.11.0+cu130'\n").unwrap();
        fs::write(assets.path().join("cuda/torch-lib.txt"), "/an/older/place/lib\n").unwrap();
        assert!(is_installed(assets.path()).unwrap());
        let noted = fs::read_to_string(assets.path().join("cuda/torch-lib.txt")).unwrap();
        assert_eq!(Path::new(noted.trim()), torch.join("lib"));
    }
}
