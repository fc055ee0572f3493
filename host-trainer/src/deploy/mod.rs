//! Putting a version of the runtime onto a board: what belongs to it, and the connection it goes over. What happens on the
//! board is told by `remote.sh`.

mod board;
mod elf;
pub mod evidence;
mod signature;
mod ssh;
mod version;

pub use ssh::{Action, Ssh};
pub use version::Version;
