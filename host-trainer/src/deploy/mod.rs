//! Putting a version of the runtime onto a board: what belongs to it, and the connection it goes over. What happens on the
//! board is told by `remote.sh`. [`Ssh::perform`] deploys to one board.

mod board;
mod elf;
pub mod evidence;
mod failure;
mod news;
mod signature;
mod ssh;
mod version;

pub use board::Board;
pub use failure::{Cause, Failure};
pub use news::{News, Step, Tell};
pub use ssh::{Action, HealthCheck, Ssh, is_host, port_of_host};
pub use version::Version;
