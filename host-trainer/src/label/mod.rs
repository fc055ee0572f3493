//! `host-trainer label`: faces on a page in the browser, a key for each label, and what people said of them on the disk.
//!
//! [`VoteBook`] keeps the votes, [`Faces`] says what is to be labelled, and [`Server`] serves the page on a loopback address.
//! What is written is the data set [`crate::dataset::labelled`].

mod faces;
mod page;
mod server;
mod suggestion;
mod table;
mod vote;

pub use faces::{Face, Faces};
pub use server::Server;
pub use suggestion::{Suggester, Suggestion};
pub use vote::{EARLIER, MAX_NAME, VOTES, Vote, VoteBook};
