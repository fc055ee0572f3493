//! The flags, and what they ask for.

#[cfg(feature = "http")]
use std::net::SocketAddr;
#[cfg(any(feature = "http", feature = "mqtt"))]
use std::path::PathBuf;

use super::error::TelemetryError;
#[cfg(feature = "http")]
use super::limits::ClientLimits;
#[cfg(feature = "http")]
use super::listen::{Listen, parse_listen};
#[cfg(feature = "preview")]
use super::listen::{Origin, parse_host_name};
#[cfg(feature = "mqtt")]
use super::mqtt::{Address, BrokerOptions, parse_prefix};
#[cfg(feature = "http")]
use super::token::Token;
#[cfg(feature = "preview")]
use crate::number::whole;

/// The flags about watching a run. Flatten them into a command.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Watching")]
pub struct Args {
    /// Serve a page with the live picture, face boxes and scores at this address.
    ///
    /// 8080 and localhost:8080 can be reached from this machine only. :8080 is every network interface, 192.168.1.7:8080 one of
    /// them; both ask visitors for a token. off serves none, whatever the board file says.
    #[cfg(feature = "preview")]
    #[arg(long, value_name = "[ADDR:]PORT", value_parser = parse_listen)]
    pub preview: Option<Listen>,

    /// Send at most N pictures per second to each visitor of the preview.
    #[cfg(feature = "preview")]
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = whole::<u8>("whole pictures per second", 1..=60))]
    pub preview_rate: u8,

    /// Also answer requests for this host name on a loopback address of --preview or --metrics, for a reverse proxy; may be
    /// repeated.
    #[cfg(feature = "preview")]
    #[arg(long, value_name = "NAME", value_parser = parse_host_name)]
    pub preview_host: Vec<String>,

    /// Let pages of this origin show the preview in a frame, such as `http://homeassistant.local:8123`; may be repeated.
    #[cfg(feature = "preview")]
    #[arg(long, value_name = "ORIGIN", requires = "preview")]
    pub preview_embed: Vec<Origin>,

    /// Read the token for preview and metrics from the first line of this file; without it, one is generated and printed.
    #[cfg(feature = "http")]
    #[arg(long, value_name = "FILE", visible_alias = "metrics-token-file")]
    pub preview_token_file: Option<PathBuf>,

    /// Serve /metrics for Prometheus at this address; --preview serves it as well.
    ///
    /// Addresses, and off, are written as for --preview. Other machines must send the token, as `Authorization: Bearer TOKEN`.
    #[cfg(feature = "metrics")]
    #[arg(long, value_name = "[ADDR:]PORT", value_parser = parse_listen)]
    pub metrics: Option<Listen>,

    /// Publish records and status to this MQTT broker, such as mqtt://USER@HOST:1883/PREFIX, or mqtts:// for TLS.
    ///
    /// User, port and prefix may be left out; the prefix then is edge-runtime/HOSTNAME-ID. Records need --journal.
    #[cfg(feature = "mqtt")]
    #[arg(long, value_name = "URL")]
    pub mqtt: Option<String>,

    /// Read the password for the broker from the first line of this file.
    #[cfg(feature = "mqtt")]
    #[arg(long, value_name = "FILE", requires = "mqtt")]
    pub mqtt_password_file: Option<PathBuf>,

    /// Trust the certificate authority in this PEM file for mqtts://, instead of the system's authorities.
    #[cfg(feature = "mqtt-tls")]
    #[arg(long, value_name = "FILE", requires = "mqtt")]
    pub mqtt_ca_file: Option<PathBuf>,

    /// Let only the privacy button pause and resume recording, not messages to PREFIX/pause/set.
    #[cfg(feature = "mqtt")]
    #[arg(long, help_heading = "Privacy")]
    pub local_pause_only: bool,

    /// Announce the board to Home Assistant under this topic prefix; "" announces nothing.
    #[cfg(feature = "mqtt")]
    #[arg(long, value_name = "PREFIX", default_value = "homeassistant", value_parser = parse_discovery)]
    pub mqtt_discovery: String,
}

/// What is served and published. Made by [`Args::options`].
#[derive(Debug, Clone, Default)]
pub struct TelemetryOptions {
    /// Where to serve the preview.
    #[cfg(feature = "preview")]
    pub preview: Option<SocketAddr>,
    /// Most pictures and observations per second that the preview sends.
    #[cfg(feature = "preview")]
    pub preview_rate: u8,
    /// Names besides localhost under which preview and metrics on a loopback address may be asked for.
    #[cfg(feature = "preview")]
    pub preview_hosts: Vec<String>,
    /// Origins whose pages may show the preview in a frame.
    #[cfg(feature = "preview")]
    pub preview_embedders: Vec<Origin>,
    /// Where to serve metrics without the preview.
    #[cfg(feature = "metrics")]
    pub metrics: Option<SocketAddr>,
    /// The token for addresses that other machines reach; generated at the start if it is absent and needed.
    #[cfg(feature = "http")]
    pub token: Option<Token>,
    /// Serve `/health` and `/metrics` at this Unix socket, for programs of this machine.
    #[cfg(feature = "http")]
    pub health: Option<PathBuf>,
    /// How much one client may take.
    #[cfg(feature = "http")]
    pub limits: ClientLimits,
    /// Which broker to publish to, and how.
    #[cfg(feature = "mqtt")]
    pub mqtt: Option<BrokerOptions>,
}

impl Args {
    /// Whether anybody can watch.
    pub fn is_any(&self) -> bool {
        #[cfg(feature = "preview")]
        if self.preview.and_then(Listen::address).is_some() {
            return true;
        }
        #[cfg(feature = "metrics")]
        if self.metrics.and_then(Listen::address).is_some() {
            return true;
        }
        self.publishes()
    }

    /// Whether there is a broker to publish to.
    pub fn publishes(&self) -> bool {
        #[cfg(feature = "mqtt")]
        return self.mqtt.is_some();
        #[cfg(not(feature = "mqtt"))]
        false
    }

    /// Whether an address to serve at was given, if only to turn it off.
    #[cfg(feature = "preview")]
    fn serves(&self) -> bool {
        #[cfg(feature = "metrics")]
        if self.metrics.is_some() {
            return true;
        }
        self.preview.is_some()
    }

    /// Checks the flags without reading the files that they name.
    ///
    /// # Errors
    /// Returns an error if the broker's address is invalid, or if there is nothing that could be asked for by a `--preview-host`.
    pub fn check(&self) -> Result<(), TelemetryError> {
        #[cfg(feature = "preview")]
        if !self.preview_host.is_empty() && !self.serves() {
            return Err(TelemetryError::Usage(
                "--preview-host (preview.hosts) needs --preview or --metrics, whose requests it allows",
            ));
        }
        #[cfg(feature = "mqtt")]
        if let Some(address) = self.mqtt.as_deref().map(Address::parse).transpose()? {
            #[cfg(feature = "mqtt-tls")]
            if self.mqtt_ca_file.is_some() && !address.tls {
                return Err(TelemetryError::Usage(
                    "--mqtt-ca-file (mqtt.ca_file) is for an encrypted connection, which mqtt:// is not; write --mqtt \
                     mqtts://HOST",
                ));
            }
            let _ = address;
        }
        Ok(())
    }

    /// Returns what the flags ask for, and reads the files that they name.
    ///
    /// # Errors
    /// Returns an error if a file cannot be read or holds no token, or if the broker's address is invalid.
    pub fn options(&self) -> Result<TelemetryOptions, TelemetryError> {
        self.check()?;
        std::sync::LazyLock::force(&super::today::ZONE);
        Ok(TelemetryOptions {
            #[cfg(feature = "preview")]
            preview: self.preview.and_then(Listen::address),
            #[cfg(feature = "preview")]
            preview_rate: self.preview_rate,
            #[cfg(feature = "preview")]
            preview_hosts: self.preview_host.clone(),
            #[cfg(feature = "preview")]
            preview_embedders: self.preview_embed.clone(),
            #[cfg(feature = "metrics")]
            metrics: self.metrics.and_then(Listen::address),
            #[cfg(feature = "http")]
            token: self.preview_token_file.as_deref().map(Token::from_file).transpose()?,
            #[cfg(feature = "http")]
            health: super::listen::health_socket(),
            #[cfg(feature = "http")]
            limits: ClientLimits::default(),
            #[cfg(feature = "mqtt")]
            mqtt: self.mqtt.as_deref().map(|url| self.broker(url)).transpose()?,
        })
    }

    #[cfg(feature = "mqtt")]
    fn broker(&self, url: &str) -> Result<BrokerOptions, TelemetryError> {
        let address = Address::parse(url)?;
        let password = self.mqtt_password_file.as_deref().map(super::token::secret).transpose()?;
        if let Some(path) = self.mqtt_password_file.clone().filter(|_| password.as_deref() == Some("")) {
            return Err(TelemetryError::Password { path });
        }
        if password.is_some() && address.user.is_none() {
            return Err(TelemetryError::Usage("--mqtt-password-file needs a user; write --mqtt mqtt://USER@HOST"));
        }
        let mut options = BrokerOptions::new(address);
        options.password = password;
        options.pauses = !self.local_pause_only;
        options.discovery = Some(self.mqtt_discovery.clone()).filter(|prefix| !prefix.is_empty());
        #[cfg(feature = "mqtt-tls")]
        if let Some(path) = &self.mqtt_ca_file {
            let pem = expression_engine::files::read_at_most(path, super::token::MAX_BYTES);
            options.authority = Some(pem.map_err(TelemetryError::Secret)?);
        }
        Ok(options)
    }
}

/// Reads the prefix under which Home Assistant looks for devices; empty if nothing is announced.
#[cfg(feature = "mqtt")]
fn parse_discovery(text: &str) -> Result<String, String> {
    let prefix = parse_prefix(text)
        .map_err(|why| format!("{why}; write the discovery prefix of Home Assistant's MQTT settings"));
    prefix.map(Option::unwrap_or_default)
}
