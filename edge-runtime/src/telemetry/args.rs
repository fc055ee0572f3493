//! The flags, and what they ask for.

#[cfg(feature = "http")]
use std::net::SocketAddr;
#[cfg(any(feature = "http", feature = "mqtt"))]
use std::path::PathBuf;

use super::TelemetryError;

/// Flags about watching. Flatten them into a command.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Watching")]
pub struct Args {
    /// Serve a page with the live picture, boxes and scores at this address, such as 127.0.0.1:8080.
    ///
    /// Only this machine can reach a loopback address. Any other address asks its visitors for a token.
    #[cfg(feature = "preview")]
    #[arg(long, value_name = "ADDR:PORT")]
    pub preview: Option<SocketAddr>,

    /// Pictures and observations a second that the preview sends at most.
    #[cfg(feature = "preview")]
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u8).range(1..=60))]
    pub preview_rate: u8,

    /// File whose first line is the token for addresses that are not loopback; without it one is generated and printed.
    #[cfg(feature = "http")]
    #[arg(long, value_name = "FILE", visible_alias = "metrics-token-file")]
    pub preview_token_file: Option<PathBuf>,

    /// Serve /metrics for Prometheus at this address, without the preview. The preview serves /metrics too.
    ///
    /// Any address but loopback asks for the token, as `Authorization: Bearer TOKEN`.
    #[cfg(feature = "metrics")]
    #[arg(long, value_name = "ADDR:PORT")]
    pub metrics: Option<SocketAddr>,

    /// Publish records and the present state to this MQTT broker: mqtt://USER@HOST:1883/PREFIX, or mqtts:// for TLS.
    ///
    /// User, port and prefix may be left out; the prefix is edge-runtime/HOSTNAME then.
    #[cfg(feature = "mqtt")]
    #[arg(long, value_name = "URL")]
    pub mqtt: Option<String>,

    /// File whose first line is the password for the broker.
    #[cfg(feature = "mqtt")]
    #[arg(long, value_name = "FILE", requires = "mqtt")]
    pub mqtt_password_file: Option<PathBuf>,

    /// File with the certificate (PEM) of the authority to trust for mqtts://, instead of the system's.
    #[cfg(feature = "mqtt-tls")]
    #[arg(long, value_name = "FILE", requires = "mqtt")]
    pub mqtt_ca_file: Option<PathBuf>,

    /// Topic prefix under which Home Assistant looks for devices; "" announces none.
    #[cfg(feature = "mqtt")]
    #[arg(long, value_name = "PREFIX", default_value = "homeassistant")]
    pub mqtt_discovery: String,
}

/// What watching was asked for. Made by [`Args::options`].
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Where to serve the preview.
    #[cfg(feature = "preview")]
    pub preview: Option<SocketAddr>,
    /// Pictures and observations a second that the preview sends at most.
    #[cfg(feature = "preview")]
    pub preview_rate: u8,
    /// Where to serve metrics without the preview.
    #[cfg(feature = "metrics")]
    pub metrics: Option<SocketAddr>,
    /// What opens addresses that are not loopback; generated at the start where it is absent and needed.
    #[cfg(feature = "http")]
    pub token: Option<super::Token>,
    /// How long and how often clients are borne with.
    #[cfg(feature = "http")]
    pub limits: super::Limits,
    /// Which broker to publish to, and how.
    #[cfg(feature = "mqtt")]
    pub mqtt: Option<super::mqtt::Options>,
}

impl Args {
    /// Whether anybody can watch.
    pub fn is_any(&self) -> bool {
        #[cfg(feature = "preview")]
        if self.preview.is_some() {
            return true;
        }
        #[cfg(feature = "metrics")]
        if self.metrics.is_some() {
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

    /// What the flags ask for; reads the files that they name.
    ///
    /// # Errors
    /// Where a file cannot be read or holds no token, or the broker's address is not one.
    pub fn options(&self) -> Result<Options, TelemetryError> {
        Ok(Options {
            #[cfg(feature = "preview")]
            preview: self.preview,
            #[cfg(feature = "preview")]
            preview_rate: self.preview_rate,
            #[cfg(feature = "metrics")]
            metrics: self.metrics,
            #[cfg(feature = "http")]
            token: self.preview_token_file.as_deref().map(super::Token::from_file).transpose()?,
            #[cfg(feature = "http")]
            limits: super::Limits::default(),
            #[cfg(feature = "mqtt")]
            mqtt: self.mqtt.as_deref().map(|url| self.mqtt_options(url)).transpose()?,
        })
    }

    #[cfg(feature = "mqtt")]
    fn mqtt_options(&self, url: &str) -> Result<super::mqtt::Options, TelemetryError> {
        let address = super::mqtt::Address::parse(url)?;
        let password = self.mqtt_password_file.as_deref().map(super::token::secret).transpose()?;
        if password.is_some() && address.user.is_none() {
            return Err(TelemetryError::Usage("--mqtt-password-file needs a user: --mqtt mqtt://USER@HOST"));
        }
        let mut options = super::mqtt::Options::new(address);
        options.password = password;
        options.discovery = Some(self.mqtt_discovery.trim_matches('/').to_owned()).filter(|prefix| !prefix.is_empty());
        #[cfg(feature = "mqtt-tls")]
        if let Some(path) = &self.mqtt_ca_file {
            let pem = std::fs::read(path).map_err(|source| TelemetryError::Secret { path: path.clone(), source })?;
            options.authority = Some(pem);
        }
        Ok(options)
    }
}
