//! Watching a run from outside: a page with the live picture, metrics for Prometheus, records for an MQTT broker.
//!
//! The pipeline calls [`Telemetry::observe`] for every frame. That counts and remembers, under locks that are held for
//! microseconds; pictures are copied and JSON is written only while somebody watches. Serving and publishing happen on
//! threads of their own, which end when the [`Telemetry`] is dropped.
#![cfg_attr(
    not(all(feature = "preview", feature = "metrics", feature = "mqtt")),
    allow(dead_code, reason = "without one of these features, the values that only its outputs read are unused")
)]

mod about;
mod args;
mod backlog;
mod counters;
mod error;
#[cfg(feature = "http")]
mod health;
mod history;
mod hub;
#[cfg(feature = "http")]
mod limits;
#[cfg(feature = "http")]
mod listen;
mod rate;
mod today;
mod token;

#[cfg(feature = "http")]
mod http;
#[cfg(any(feature = "preview", feature = "mqtt"))]
mod message;
#[cfg(feature = "metrics")]
mod metrics;
#[cfg(feature = "mqtt")]
pub mod mqtt;
#[cfg(feature = "preview")]
mod page;
#[cfg(feature = "metrics")]
mod resources;
#[cfg(feature = "preview")]
mod viewers;

use std::sync::Arc;
use std::time::Duration;

pub use about::About;
pub use args::{Args, TelemetryOptions};
pub use backlog::{Backlog, BacklogEntry};
pub use error::TelemetryError;
#[cfg(feature = "http")]
pub use health::{Health, Part as HealthPart};
#[cfg(feature = "http")]
pub use limits::ClientLimits;
#[cfg(feature = "http")]
pub use listen::HEALTH_SOCKET;
#[cfg(feature = "http")]
pub use listen::Listen;
#[cfg(feature = "http")]
pub use listen::{Origin, parse_address};
pub use token::Token;

use crate::event::Event;
use crate::frame::{Frame, Observation};
use hub::Hub;

/// The running telemetry, see the module. It ends when it is dropped.
pub struct Telemetry {
    hub: Arc<Hub>,
    #[cfg(feature = "preview")]
    viewers: Arc<viewers::Viewers>,
    #[cfg(feature = "http")]
    server: Option<http::Server>,
    #[cfg(feature = "mqtt")]
    publisher: Option<mqtt::Publisher>,
}

impl Telemetry {
    /// Starts what the options ask for. `backlog` is published to the broker besides the present status; without it only the
    /// status is, and a warning says so. If a token was generated, the address with the token is printed to stderr, once.
    ///
    /// # Errors
    /// Returns an error if an address cannot be listened on or a thread cannot be started.
    pub fn start(
        options: TelemetryOptions,
        about: About,
        backlog: Option<Box<dyn Backlog>>,
    ) -> Result<Telemetry, TelemetryError> {
        let hub = Arc::new(Hub::new(about));
        #[cfg(feature = "preview")]
        let viewers = Arc::new(viewers::Viewers::new(options.preview_rate));
        #[cfg(feature = "http")]
        let shared = http::Shared {
            hub: hub.clone(),
            #[cfg(feature = "preview")]
            viewers: viewers.clone(),
            #[cfg(feature = "mqtt")]
            publishes: options.mqtt.is_some(),
        };
        #[cfg(feature = "http")]
        let server = http::Server::start(&options, &shared)?;
        #[cfg(feature = "mqtt")]
        let publisher = match options.mqtt {
            Some(options) => {
                #[cfg(feature = "preview")]
                let page = server.as_ref().and_then(http::Server::preview_address).and_then(listen::page);
                #[cfg(not(feature = "preview"))]
                let page = None;
                Some(mqtt::Publisher::start(options, hub.clone(), backlog, page)?)
            }
            None => None,
        };
        #[cfg(not(feature = "mqtt"))]
        drop((options, backlog));
        Ok(Telemetry {
            hub,
            #[cfg(feature = "preview")]
            viewers,
            #[cfg(feature = "http")]
            server,
            #[cfg(feature = "mqtt")]
            publisher,
        })
    }

    /// Takes in what was observed in a frame. It never waits for a watcher, and copies the frame only if one wants its picture.
    pub fn observe(&self, frame: &Frame, observation: &Observation) {
        let at = self.hub.observe(observation);
        #[cfg(feature = "preview")]
        self.viewers
            .observe(frame, at, || message::text(&message::ObservedFrame::new(&self.hub.now(), &self.hub.scale, at)));
        let _ = (frame, at);
    }

    /// Takes in how long the face detector and the expression net took for a frame, if they ran.
    pub fn step_times(&self, detector: Option<Duration>, classifier: Option<Duration>) {
        let counters = &self.hub.counters;
        for (times, took) in [(&counters.detector, detector), (&counters.classifier, classifier)] {
            if let Some(took) = took {
                times.add(took.as_micros().min(u128::from(u32::MAX)) as u32);
            }
        }
    }

    /// Asks to pause (`true`) or to resume recording, as a message to the broker does.
    pub fn request_pause(&self, pauses: bool) {
        self.hub.now().pause_request = Some(pauses);
    }

    /// Whether somebody has asked, by way of the broker, to pause (`true`) or to resume recording; told once.
    pub fn take_pause_request(&self) -> Option<bool> {
        self.hub.now().pause_request.take()
    }

    /// Tells watchers what no other sink needs to know.
    pub fn note(&self, line: &str) {
        self.hub.note(line);
    }

    /// Takes in an event.
    pub fn event(&self, event: &Event) {
        let told = self.hub.event(event);
        #[cfg(feature = "preview")]
        if let Some(event) = told {
            let status = || message::Status::new(&self.hub);
            self.viewers.event(|| message::text(&message::EventMessage { event, status: status() }));
        }
        #[cfg(not(feature = "preview"))]
        let _ = told;
    }

    /// The address of the preview, with the port that the system chose if 0 was asked for.
    #[cfg(feature = "preview")]
    pub fn preview_address(&self) -> Option<std::net::SocketAddr> {
        self.server.as_ref()?.preview_address()
    }

    /// Answers the requests on a stream as the preview at `address` would, until either side ends it. Fuzzing uses it to try
    /// requests without a socket. Call it within a tokio runtime.
    #[cfg(feature = "preview")]
    pub async fn answer(
        &self,
        stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite,
        address: std::net::SocketAddr,
        token: &Token,
    ) {
        let shared = http::Shared {
            hub: self.hub.clone(),
            viewers: self.viewers.clone(),
            #[cfg(feature = "mqtt")]
            publishes: self.publisher.is_some(),
        };
        http::answer_stream(&shared, stream, address, token).await;
    }

    /// The address of the metrics, if they have a listener of their own.
    #[cfg(feature = "metrics")]
    pub fn metrics_address(&self) -> Option<std::net::SocketAddr> {
        self.server.as_ref()?.metrics_address()
    }
}

impl Telemetry {
    /// Whether the broker is reached at the moment; `None` if nothing is published to one.
    #[cfg(feature = "mqtt")]
    pub fn connected_to_broker(&self) -> Option<bool> {
        let connected = self.hub.counters.mqtt_connected.load(std::sync::atomic::Ordering::Relaxed) == 1;
        self.publisher.is_some().then_some(connected)
    }
}

impl Drop for Telemetry {
    /// Publishes what is left, tells the broker that this program is offline, and ends all connections and threads. Takes at most three
    /// seconds for the broker, and two for the others.
    fn drop(&mut self) {
        #[cfg(feature = "mqtt")]
        drop(self.publisher.take());
        #[cfg(feature = "http")]
        drop(self.server.take());
    }
}
