//! Publishing to an MQTT broker: the present status, retained, and every entry of a backlog once the broker is there.

mod address;
mod advice;
mod connection;
mod discovery;
mod identity;
mod options;
mod session;
mod transport;

use std::sync::Arc;
use std::thread::JoinHandle;

pub use address::{Address, parse_prefix};
pub use options::BrokerOptions;

use super::backlog::Backlog;
use super::error::TelemetryError;
use super::hub::Hub;
use tokio::sync::watch;

/// Publishes on a thread of its own until it is dropped.
pub(super) struct Publisher {
    stop: Option<watch::Sender<bool>>,
    thread: Option<JoinHandle<()>>,
}

impl Publisher {
    /// Starts to publish, and waits for a broker that is not there yet. `page` is the address of the preview, if others reach it.
    ///
    /// # Errors
    /// Returns an error if certificates cannot be read or no thread can be started.
    pub(super) fn start(
        options: BrokerOptions,
        hub: Arc<Hub>,
        backlog: Option<Box<dyn Backlog>>,
        page: Option<String>,
    ) -> Result<Publisher, TelemetryError> {
        let transport = transport::transport(&options)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
        let (stop, stopped) = watch::channel(false);
        let thread = std::thread::Builder::new().name("telemetry-mqtt".into()).spawn(move || {
            runtime.block_on(connection::run(options, transport, hub, backlog, page, stopped));
            // Does not wait for a host name that is still being looked up.
            runtime.shutdown_background();
        })?;
        Ok(Publisher { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            stop.send_replace(true);
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
