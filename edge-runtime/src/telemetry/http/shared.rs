//! What all listeners serve from.

use std::sync::Arc;

use crate::telemetry::hub::Hub;

/// The state of the run, and those who watch it.
#[derive(Clone)]
pub struct Shared {
    pub hub: Arc<Hub>,
    #[cfg(feature = "preview")]
    pub viewers: Arc<crate::telemetry::viewers::Viewers>,
    /// Whether there is a broker to be connected to.
    #[cfg(feature = "mqtt")]
    pub publishes: bool,
}
