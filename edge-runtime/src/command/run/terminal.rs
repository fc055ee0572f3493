//! The person at the terminal: a status line while it runs, a summary at the end.

use crate::command::console;
use crate::run::{Notify, Summary};
use crate::service::Service;

/// Tells the service manager, and shows the same on a terminal.
pub struct Terminal(Service);

impl Terminal {
    /// Tells `service`, too.
    pub fn new(service: Service) -> Terminal {
        Terminal(service)
    }

    /// The service is doing its work from now on.
    pub fn ready(&self, status: &str) {
        self.0.ready(status);
        console::show_status(status);
    }
}

impl Notify for Terminal {
    fn status(&self, status: &str) {
        self.0.status(status);
        console::show_status(status);
    }

    fn stopping(&self) {
        self.0.stopping();
        console::clear_status();
    }
}

/// Writes what a run came to.
pub fn summary(summary: &Summary) {
    console::clear_status();
    console::say(&format!("done: {summary}"));
}
