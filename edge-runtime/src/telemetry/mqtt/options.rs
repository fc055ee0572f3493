//! How to publish.

use std::time::Duration;

use super::address::Address;

/// How to publish to a broker.
#[derive(Clone)]
pub struct BrokerOptions {
    /// Where the broker is.
    pub address: Address,
    /// The user's password.
    pub password: Option<String>,
    /// Topic prefix of Home Assistant's discovery; `None` announces nothing.
    pub discovery: Option<String>,
    /// Whether messages to `PREFIX/pause/set` pause and resume recording.
    pub pauses: bool,
    /// PEM certificate of the authority to trust; `None`: those that the system trusts.
    pub authority: Option<Vec<u8>>,
    /// Time between two looks at the status and the backlog.
    pub period: Duration,
    /// Pause after the first failed connection; it doubles up to [`BrokerOptions::longest_pause`].
    pub pause: Duration,
    /// Longest pause between two attempts.
    pub longest_pause: Duration,
    /// How long the broker may owe an acknowledgement before the connection is given up.
    pub patience: Duration,
}

impl BrokerOptions {
    /// The defaults for a broker.
    pub fn new(address: Address) -> BrokerOptions {
        BrokerOptions {
            address,
            password: None,
            discovery: Some("homeassistant".into()),
            pauses: true,
            authority: None,
            period: Duration::from_secs(1),
            pause: Duration::from_secs(1),
            longest_pause: Duration::from_secs(60),
            patience: Duration::from_secs(30),
        }
    }
}

impl std::fmt::Debug for BrokerOptions {
    /// Leaves the password out.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BrokerOptions")
            .field("address", &self.address)
            .field("discovery", &self.discovery)
            .finish_non_exhaustive()
    }
}
