//! A cache of what a net answers: files with a key of everything that the answers depend on.

use std::path::Path;

use sha2::{Digest, Sha256};
use tch::{Device, Kind, Tensor};

use super::views::View;
use crate::config::Config;
use crate::dataset::Sample;
use crate::error::Error;
use crate::net::FaceNet;

/// Returns the tensor cached at `path` under `key`; if there is none, computes and caches it. On the CPU.
///
/// # Errors
/// Returns an error if the file cannot be read or written or is cut off, or the error of `compute`.
pub fn or_computed(
    path: &Path,
    key: &str,
    (shape, kind): (&[i64], Kind),
    compute: impl FnOnce() -> crate::Result<Tensor>,
) -> crate::Result<Tensor> {
    if let Some(tensor) = read(path, key, shape, kind)? {
        return Ok(tensor);
    }
    let tensor = tch::no_grad(compute)?.to_device(Device::Cpu).to_kind(kind).contiguous();
    write(path, key, &tensor)?;
    Ok(tensor)
}

/// sha256 of everything that the face net's answers to views of samples depend on.
pub fn key(samples: &[Sample], face_net: &FaceNet, config: &Config, views: &[View]) -> crate::Result<String> {
    let mut hash = Sha256::new();
    hash.update(format!("{:?} {:?} {:?}", config.face_net, config.net.map_size(), config.run.precision));
    let mut weights: Vec<_> = face_net.store().variables().into_iter().collect();
    weights.sort_by(|a, b| a.0.cmp(&b.0));
    for (name, weight) in weights {
        let values: Vec<f32> = weight.to_device(Device::Cpu).contiguous().view(-1).try_into()?;
        hash.update(name);
        hash.update(values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>());
    }
    for sample in samples {
        hash.update(sample.picture.width.to_le_bytes());
        hash.update(&sample.picture.data);
    }
    for value in views.as_flattened() {
        hash.update(value.to_le_bytes());
    }
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// The file: the key in 64 bytes of hexadecimal, then the values in the machine's order of bytes.
fn write(path: &Path, key: &str, tensor: &Tensor) -> crate::Result<()> {
    let mut bytes = vec![0u8; tensor.numel() * tensor.kind().elt_size_in_bytes()];
    tensor.f_copy_data_u8(&mut bytes, tensor.numel())?;
    expression_engine::files::write_atomic(path, |file| {
        file.write_all(key.as_bytes())?;
        file.write_all(&bytes)
    })?;
    Ok(())
}

/// The tensor cached at `path`, or none if there is none under this key.
///
/// # Errors
/// Returns an error if the file cannot be read or is cut off.
pub fn read(path: &Path, key: &str, shape: &[i64], kind: Kind) -> crate::Result<Option<Tensor>> {
    if !path.exists() {
        return Ok(None);
    }
    let bytes = expression_engine::files::read(path)?;
    let Some((_, values)) = bytes.split_at_checked(64).filter(|(found, _)| *found == key.as_bytes()) else {
        return Ok(None);
    };
    let count: i64 = shape.iter().product();
    if values.len() as i64 != count * kind.elt_size_in_bytes() as i64 {
        return Err(Error::BadInput(format!("{}: cut off; delete it", path.display())));
    }
    Ok(Some(Tensor::from_data_size(values, shape, kind)))
}
