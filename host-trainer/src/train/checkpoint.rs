//! Checkpoints: weights, running statistics, their averages, the optimiser's state and the learning curve so far, in one
//! safetensors file.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use tch::{Device, Kind, Tensor, nn};

use super::average::Average;
use super::curve::Curve;
use super::optimizer::Optimizer;
use crate::error::{Context, Error};

/// Before the names of weights.
const WEIGHT: &str = "weight/";
/// Before the names of averaged weights, if weights are averaged.
const AVERAGE: &str = "average/";
/// Before the names of the weights of the epoch with the lowest held-out loss, if a stage may stop early.
const BEST: &str = "best/";
/// The curve, as JSON, in the file's metadata.
const CURVE: &str = "curve";
/// The share of the schedule that is done, in the file's metadata.
const DONE: &str = "schedule_done";

/// What the checkpoint belongs to, in the file's metadata.
const OWNER: &str = "owner";

/// Where the checkpoint of a stage lies, and what it belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckpointPlace {
    /// The file.
    pub path: PathBuf,
    /// The key of the run's configuration and data.
    pub owner: String,
}

/// A checkpoint that was read.
pub struct Checkpoint {
    path: PathBuf,
    owner: String,
    tensors: HashMap<String, Tensor>,
    curve: Curve,
    done: Option<f64>,
}

/// The longest description of tensors, bytes: some hundred per tensor.
const MAX_HEADER: u64 = 4 << 20;

/// Refuses a file that is not a checkpoint before it is read whole. A checkpoint of a large net takes more than a gigabyte.
fn check_head(path: &Path) -> std::io::Result<()> {
    use std::io::{Error, ErrorKind, Read};
    let mut length = [0; 8];
    let mut brace = [0];
    let mut file = std::fs::File::open(path)?;
    file.read_exact(&mut length)?;
    file.read_exact(&mut brace)?;
    if brace != *b"{" || u64::from_le_bytes(length) > MAX_HEADER {
        return Err(Error::new(ErrorKind::InvalidData, "it does not begin as a safetensors file"));
    }
    Ok(())
}

impl Checkpoint {
    /// Reads a checkpoint; returns `None` if there is no such file.
    ///
    /// # Errors
    /// Returns [`Error::BadInput`] if the file is damaged.
    pub fn open(path: &Path) -> crate::Result<Option<Checkpoint>> {
        if !path.exists() {
            return Ok(None);
        }
        let damaged = |reason: &dyn std::fmt::Display| {
            Error::BadInput(format!("{}: damaged ({reason}); delete it", path.display()))
        };
        check_head(path).map_err(|error| damaged(&error))?;
        let bytes = expression_engine::files::read(path)?;
        let (_, header) = SafeTensors::read_metadata(&bytes).map_err(|error| damaged(&error))?;
        let metadata = |name| header.metadata().as_ref().and_then(|metadata| metadata.get(name).map(String::as_str));
        let owner = metadata(OWNER).unwrap_or_default().to_owned();
        let curve = serde_json::from_str(metadata(CURVE).unwrap_or("[]")).map_err(|error| damaged(&error))?;
        let done = metadata(DONE).and_then(|share| share.parse().ok()).filter(|share| (0.0..=1.0).contains(share));
        let file = SafeTensors::deserialize(&bytes).map_err(|error| damaged(&error))?;
        let mut tensors = HashMap::new();
        for (name, view) in file.tensors() {
            let shape: Vec<i64> = view.shape().iter().map(|side| *side as i64).collect();
            if view.dtype() != Dtype::F32 {
                return Err(damaged(&format!("{name} is {:?}", view.dtype())));
            }
            tensors.insert(name, Tensor::from_data_size(view.data(), &shape, Kind::Float));
        }
        Ok(Some(Checkpoint { path: path.to_owned(), owner, tensors, curve, done }))
    }

    /// Writes a checkpoint; an older one stays until the new one is whole. `done`: share of the stage's schedule; of one that is
    /// done, the optimiser's state is left out.
    ///
    /// # Errors
    /// Returns an error if the file cannot be written.
    pub fn write(
        place: &CheckpointPlace,
        store: &nn::VarStore,
        optimizer: &Optimizer,
        average: Option<&Average>,
        best: Option<&Average>,
        (curve, done): (&Curve, f64),
    ) -> crate::Result<()> {
        let mut tensors: Vec<(String, Vec<u8>, Vec<usize>)> = Vec::new();
        let weights = store.variables();
        let weights = weights.iter().map(|(name, tensor)| (format!("{WEIGHT}{name}"), tensor));
        let averages = average.into_iter().flat_map(Average::averages);
        let averages = averages.map(|(name, tensor)| (format!("{AVERAGE}{name}"), tensor));
        let best = best.into_iter().flat_map(Average::averages);
        let best = best.map(|(name, tensor)| (format!("{BEST}{name}"), tensor));
        for (name, tensor) in weights.chain(optimizer.state().filter(|_| done < 1.0)).chain(averages).chain(best) {
            let (bytes, shape) = float_bytes(tensor)?;
            tensors.push((name, bytes, shape));
        }
        tensors.sort();
        let views = tensors.iter().map(|(name, bytes, shape)| {
            TensorView::new(Dtype::F32, shape.clone(), bytes).map(|view| (name.as_str(), view))
        });
        let views = views.collect::<Result<Vec<_>, _>>()?;
        let metadata = [(CURVE, serde_json::to_string(curve)?), (OWNER, place.owner.clone()), (DONE, done.to_string())];
        let metadata = metadata.map(|(name, value)| (name.to_owned(), value)).into();
        let bytes = safetensors::serialize(views, Some(metadata))?;
        Ok(expression_engine::files::write_bytes(&place.path, &bytes)?)
    }

    /// Returns the checkpoint if it belongs to `owner`.
    ///
    /// # Errors
    /// Returns [`Error::BadInput`] if it was written by a run of another configuration or of other data.
    pub fn of_owner(self, owner: &str) -> crate::Result<Checkpoint> {
        if self.owner == owner {
            return Ok(self);
        }
        let advice = "delete it, or give another --name";
        Err(Error::BadInput(format!(
            "{}: the checkpoint of a run with other settings or data; {advice}",
            self.path.display()
        )))
    }

    /// Copies the weights into `store`, the optimiser's state, averages and the best epoch's weights into `optimizer`,
    /// `average` and `best`; gives the curve, and the share of the schedule that is done if the file says it.
    ///
    /// # Errors
    /// Returns [`Error::BadInput`] if a tensor is missing or of another shape.
    pub fn restore(
        self,
        store: &nn::VarStore,
        optimizer: &mut Optimizer,
        average: Option<&mut Average>,
        best: Option<&mut Average>,
    ) -> crate::Result<(Curve, Option<f64>)> {
        self.variables(store, WEIGHT)?;
        for (name, state) in optimizer.state_mut().filter(|_| self.done != Some(1.0)) {
            self.copy(&name, state)?;
        }
        for (name, average) in average.into_iter().flat_map(Average::averages_mut) {
            self.copy(&format!("{AVERAGE}{name}"), average)?;
        }
        for (name, best) in best.into_iter().flat_map(Average::averages_mut) {
            self.copy(&format!("{BEST}{name}"), best)?;
        }
        Ok((self.curve, self.done))
    }

    /// Copies what a finished stage gave into `store`: the averaged weights where weights were averaged.
    ///
    /// # Errors
    /// Returns the errors of [`Checkpoint::restore`].
    pub fn result(&self, store: &nn::VarStore) -> crate::Result<()> {
        let averaged = self.tensors.keys().any(|name| name.starts_with(AVERAGE));
        self.variables(store, if averaged { AVERAGE } else { WEIGHT })
    }

    fn variables(&self, store: &nn::VarStore, prefix: &str) -> crate::Result<()> {
        for (name, mut variable) in store.variables() {
            self.copy(&format!("{prefix}{name}"), &mut variable)?;
        }
        Ok(())
    }

    fn copy(&self, name: &str, into: &mut Tensor) -> crate::Result<()> {
        let found = self.tensors.get(name).filter(|tensor| tensor.size() == into.size());
        let found = found.ok_or_else(|| {
            Error::BadInput(format!("{}: no {name} of shape {:?}; delete it", self.path.display(), into.size()))
        })?;
        tch::no_grad(|| into.copy_(found));
        Ok(())
    }
}

/// The bytes and shape of a tensor, as f32.
fn float_bytes(tensor: &Tensor) -> crate::Result<(Vec<u8>, Vec<usize>)> {
    let tensor = tensor.detach().to_device(Device::Cpu).to_kind(Kind::Float).contiguous();
    let shape = tensor.size().iter().map(|side| *side as usize).collect();
    let values: Vec<f32> = tensor.view(-1).try_into().context("tensor to values")?;
    Ok((values.iter().flat_map(|value| value.to_le_bytes()).collect(), shape))
}
