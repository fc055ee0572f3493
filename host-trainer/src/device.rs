//! Where training runs. One binary serves machines with and without CUDA.

use std::path::PathBuf;

use tch::Device;

use crate::error::{Context, Error};

/// `--device`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Choice {
    /// CUDA if libtorch's CUDA library can be loaded and finds a GPU, otherwise the CPU.
    Auto,
    /// The CPU.
    Cpu,
    /// CUDA; an error says what is missing.
    Cuda,
}

/// Returns the device for a choice.
///
/// libtorch's CUDA back end registers itself as its library is loaded, so it is opened before the first torch call and
/// the binary need not be linked to it.
///
/// # Errors
/// Returns [`Error::BadInput`] if CUDA is asked for and not available.
pub fn choose(choice: Choice) -> crate::Result<Device> {
    if choice == Choice::Cpu {
        return Ok(Device::Cpu);
    }
    let loaded = load_cuda();
    match (choice, &loaded) {
        (_, Ok(())) if tch::Cuda::is_available() => Ok(Device::Cuda(0)),
        (Choice::Cuda, Ok(())) => {
            Err(Error::BadInput("--device cuda: libtorch's CUDA library finds no GPU; see nvidia-smi".into()))
        }
        (Choice::Cuda, Err(reason)) => {
            let advice = "run `cargo xtask setup --cuda yes`, or name the folder of libtorch_cuda.so in LIBTORCH_CUDA";
            Err(Error::BadInput(format!("--device cuda: {reason}; {advice}")))
        }
        _ => Ok(Device::Cpu),
    }
}

/// Keeps the memory of freed tensors for the next ones. glibc gives large blocks back to the system at once and takes them
/// anew, page by page: a fifth of the training time on the CPU.
pub fn keep_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: mallopt sets numbers of the allocator; it is called before the program starts threads.
    unsafe {
        // The most that glibc accepts.
        libc::mallopt(libc::M_MMAP_THRESHOLD, 32 << 20);
        libc::mallopt(libc::M_TRIM_THRESHOLD, i32::MAX);
        libc::mallopt(libc::M_TOP_PAD, 64 << 20);
    }
}

/// The name of a device, for people.
pub fn name(device: Device) -> String {
    match device {
        Device::Cuda(index) => format!("CUDA device {index}"),
        Device::Cpu => "the CPU".into(),
        other => format!("{other:?}"),
    }
}

/// Folders that may hold `libtorch_cuda.so`, best first; the empty one stands for the system's search path.
fn cuda_folders() -> Vec<PathBuf> {
    let named = std::env::var_os("LIBTORCH_CUDA").map(PathBuf::from);
    // What `cargo xtask setup` wrote down: its own install, or a PyTorch of the same version that was there.
    let recorded = std::fs::read_to_string(crate::assets::folder().join("cuda/torch-lib.txt")).ok();
    named.into_iter().chain(recorded.map(|line| PathBuf::from(line.trim()))).chain([PathBuf::new()]).collect()
}

#[cfg(unix)]
fn load_cuda() -> crate::Result<()> {
    use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};
    let mut last = Error::Failed("libtorch_cuda.so was not found".into());
    for folder in cuda_folders() {
        let path = folder.join("libtorch_cuda.so");
        // SAFETY: opening runs the initialisers of libtorch's own library, built for the version this program links to.
        match unsafe { Library::open(Some(&path), RTLD_NOW | RTLD_GLOBAL) } {
            Ok(library) => {
                // It stays for the whole run: torch keeps pointers into it.
                std::mem::forget(library);
                return Ok(());
            }
            Err(error) if !folder.as_os_str().is_empty() => {
                last = Error::Failed(format!("cannot load {}: {error}", path.display()));
            }
            Err(_) => {}
        }
    }
    Err(last).context("no CUDA back end")
}

#[cfg(not(unix))]
fn load_cuda() -> crate::Result<()> {
    Err(Error::Failed("CUDA is loaded at run time on Linux only".into()))
}
