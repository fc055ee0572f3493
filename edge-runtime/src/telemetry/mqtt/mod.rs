//! To an MQTT broker: the present state, retained; and every entry of a backlog, once the broker is there.

mod address;
mod connection;
mod discovery;
mod line;
mod transport;

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

pub use address::Address;

use super::hub::Hub;
use super::{Backlog, TelemetryError};
use tokio::sync::watch;

/// How to publish.
#[derive(Clone)]
pub struct Options {
    /// Where the broker is.
    pub address: Address,
    /// The user's password.
    pub password: Option<String>,
    /// Topic prefix of Home Assistant's discovery; `None` announces nothing.
    pub discovery: Option<String>,
    /// Certificate of the authority to trust, PEM; `None`: those that the system trusts.
    pub authority: Option<Vec<u8>>,
    /// Between two looks at the state and the backlog.
    pub period: Duration,
    /// The pause after the first failed connection; it doubles up to [`Options::longest_pause`].
    pub pause: Duration,
    /// The longest pause between two tries.
    pub longest_pause: Duration,
    /// How long the broker may owe an acknowledgement before the connection is given up.
    pub patience: Duration,
}

impl Options {
    /// The usual ones for a broker.
    pub fn new(address: Address) -> Options {
        Options {
            address,
            password: None,
            discovery: Some("homeassistant".into()),
            authority: None,
            period: Duration::from_secs(1),
            pause: Duration::from_secs(1),
            longest_pause: Duration::from_secs(60),
            patience: Duration::from_secs(30),
        }
    }
}

impl std::fmt::Debug for Options {
    /// Without the password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options")
            .field("address", &self.address)
            .field("discovery", &self.discovery)
            .finish_non_exhaustive()
    }
}

/// Where things are published.
struct Topics {
    /// The present state, a JSON object, retained.
    state: String,
    /// `online` or `offline`, retained.
    status: String,
    /// The entries of the backlog.
    records: String,
}

impl Topics {
    fn under(prefix: &str) -> Topics {
        Topics {
            state: format!("{prefix}/state"),
            status: format!("{prefix}/status"),
            records: format!("{prefix}/records"),
        }
    }
}

/// Publishes on a thread of its own until it is dropped.
pub(super) struct Publisher {
    stop: Option<watch::Sender<bool>>,
    thread: Option<JoinHandle<()>>,
}

impl Publisher {
    /// Starts to publish. A broker that is not there yet is waited for.
    ///
    /// # Errors
    /// Where certificates cannot be read, or no thread be started.
    pub(super) fn start(
        options: Options,
        hub: Arc<Hub>,
        backlog: Option<Box<dyn Backlog>>,
    ) -> Result<Publisher, TelemetryError> {
        let transport = transport::transport(&options)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
        let (stop, stopped) = watch::channel(false);
        let thread = std::thread::Builder::new().name("telemetry-mqtt".into()).spawn(move || {
            runtime.block_on(connection::run(options, transport, hub, backlog, stopped));
            // A name that is still being looked up is not waited for.
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
