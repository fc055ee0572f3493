//! What all listeners serve from.

use std::path::Path;
use std::sync::Arc;

use crate::telemetry::hub::Hub;

/// The state of the run, and those who watch it.
#[derive(Clone)]
pub struct Shared {
    pub hub: Arc<Hub>,
    /// The journal that is written, if one is.
    pub journal: Option<Arc<Path>>,
    #[cfg(feature = "preview")]
    pub viewers: Arc<crate::telemetry::viewers::Viewers>,
    /// Whether there is a broker to be connected to.
    #[cfg(feature = "mqtt")]
    pub publishes: bool,
}
