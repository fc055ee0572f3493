//! How much one client may take.

use std::time::Duration;

/// Limits on the clients of preview and metrics.
#[derive(Debug, Clone, Copy)]
pub struct ClientLimits {
    /// Connections at once, over all addresses; the Unix socket has as many of its own.
    pub connections: usize,
    /// Longest time for the head of a request to arrive, and for the next request to begin.
    pub head: Duration,
    /// Longest time that a client may read nothing of what it is sent.
    pub stalled: Duration,
}

impl Default for ClientLimits {
    fn default() -> ClientLimits {
        ClientLimits { connections: 16, head: Duration::from_secs(10), stalled: Duration::from_secs(10) }
    }
}
