//! Watching a run from outside: a page with the live picture, metrics for Prometheus, records to an MQTT broker.
//!
//! The pipeline calls [`Telemetry::observe`] for every frame. That counts and remembers, under locks that are held for
//! microseconds; pictures are copied and JSON is written only while somebody watches. Serving and publishing happen on
//! threads of their own, which end when the [`Telemetry`] is dropped.
#![cfg_attr(
    not(all(feature = "preview", feature = "metrics", feature = "mqtt")),
    allow(dead_code, reason = "a build without some of them leaves some of what is known unread")
)]

mod about;
mod args;
mod counters;
mod error;
mod history;
mod hub;
mod rate;
mod token;

#[cfg(feature = "http")]
mod http;
#[cfg(any(feature = "preview", feature = "mqtt"))]
mod json;
#[cfg(feature = "metrics")]
mod metrics;
#[cfg(feature = "mqtt")]
pub mod mqtt;
#[cfg(feature = "preview")]
mod page;
#[cfg(feature = "preview")]
mod picture;

use expression_engine::error::Result;
use std::sync::Arc;

pub use about::About;
pub use args::{Args, Options};
pub use error::TelemetryError;
#[cfg(feature = "http")]
pub use http::Limits;
pub use token::Token;

use crate::event::Event;
use crate::frame::{Frame, Observation};
use hub::Hub;

/// An entry of a [`Backlog`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its number: above every earlier entry's.
    pub id: i64,
    /// What is published, a JSON object.
    pub payload: String,
}

/// Entries that wait for the broker, and how far it has them: the journal, for instance. It outlives a power cut, so that an
/// outage loses nothing.
pub trait Backlog: Send {
    /// At most `limit` entries with an id above `position`, in ascending order of their ids.
    ///
    /// # Errors
    /// Where the entries cannot be read; that is tried again later.
    fn after(&mut self, position: i64, limit: usize) -> Result<Vec<Entry>>;

    /// The id of the last entry that the broker has acknowledged; below every id where there is none.
    ///
    /// # Errors
    /// Where it cannot be read; that is tried again later.
    fn position(&mut self) -> Result<i64>;

    /// Remembers that the broker has acknowledged all entries up to `position`. Called at most once a batch.
    ///
    /// # Errors
    /// Where it cannot be written; the entries are then published again.
    fn set_position(&mut self, position: i64) -> Result<()>;
}

/// What runs to be watched, see the module.
pub struct Telemetry {
    hub: Arc<Hub>,
    #[cfg(feature = "http")]
    server: Option<http::Server>,
    #[cfg(feature = "mqtt")]
    publisher: Option<mqtt::Publisher>,
}

impl Telemetry {
    /// Starts what the options ask for. `backlog` is what goes to the broker besides the present state; without it only the
    /// state does. Where a preview's token was generated, its address with the token is printed to stderr, this once.
    ///
    /// # Errors
    /// Where an address cannot be listened on, or a thread cannot be started.
    pub fn start(
        options: Options,
        about: About,
        backlog: Option<Box<dyn Backlog>>,
    ) -> Result<Telemetry, TelemetryError> {
        let hub = Arc::new(Hub::new(about, &options));
        #[cfg(feature = "http")]
        let server = http::Server::start(&options, &hub)?;
        #[cfg(feature = "mqtt")]
        let publisher = match options.mqtt {
            Some(options) => Some(mqtt::Publisher::start(options, hub.clone(), backlog)?),
            None => None,
        };
        #[cfg(not(feature = "mqtt"))]
        drop(backlog);
        Ok(Telemetry {
            hub,
            #[cfg(feature = "http")]
            server,
            #[cfg(feature = "mqtt")]
            publisher,
        })
    }

    /// Takes in what was observed in a frame. Never waits for a watcher, and copies the frame only where one wants its picture.
    pub fn observe(&self, frame: &Frame, observation: &Observation) {
        self.hub.observe(frame, observation);
    }

    /// Takes in an event.
    pub fn event(&self, event: &Event) {
        self.hub.event(event);
    }

    /// Where the preview is served, with the port that the system chose where 0 was asked for.
    #[cfg(feature = "preview")]
    pub fn preview_address(&self) -> Option<std::net::SocketAddr> {
        self.server.as_ref()?.preview_address()
    }

    /// Answers the requests of a stream as the preview at `address` would, until either side ends it: requests can be tried
    /// without a socket. Belongs into a runtime of tokio.
    #[cfg(feature = "preview")]
    pub async fn answer(
        &self,
        stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite,
        address: std::net::SocketAddr,
        token: &Token,
    ) {
        http::answer_stream(&self.hub, stream, address, token, Limits::default()).await;
    }

    /// Where metrics are served on a listener of their own.
    #[cfg(feature = "metrics")]
    pub fn metrics_address(&self) -> Option<std::net::SocketAddr> {
        self.server.as_ref()?.metrics_address()
    }
}

impl Drop for Telemetry {
    /// Tells the broker that this is offline, ends all connections and threads. Takes two seconds at most for each.
    fn drop(&mut self) {
        #[cfg(feature = "mqtt")]
        drop(self.publisher.take());
        #[cfg(feature = "http")]
        drop(self.server.take());
    }
}
