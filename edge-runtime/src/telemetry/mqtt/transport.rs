//! How the broker is reached: in plain text or over TLS.

#[cfg(feature = "mqtt-tls")]
use std::sync::Arc;

use rumqttc::Transport;

use super::options::BrokerOptions;
use crate::telemetry::error::TelemetryError;

/// Returns how the broker is reached.
///
/// # Errors
/// Returns an error if there are no certificates to trust it by.
pub fn transport(options: &BrokerOptions) -> Result<Transport, TelemetryError> {
    #[cfg(feature = "mqtt-tls")]
    if options.address.tls {
        let refused = |error: &dyn std::fmt::Display| TelemetryError::Certificates(error.to_string());
        return match &options.authority {
            Some(pem) => trusting(pem).map_err(|error| refused(&error)),
            None => trusting_system().map_err(|error| refused(&error)),
        };
    }
    let _ = options;
    Ok(Transport::tcp())
}

/// TLS that trusts only the authorities of a PEM file.
#[cfg(feature = "mqtt-tls")]
fn trusting(pem: &[u8]) -> Result<Transport, Box<dyn std::error::Error>> {
    use rumqttc::tokio_rustls::rustls::RootCertStore;
    use rumqttc::tokio_rustls::rustls::pki_types::{CertificateDer, pem::PemObject};
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        roots.add(certificate.map_err(|error| format!("it is not PEM: {error}"))?)?;
    }
    if roots.is_empty() {
        return Err("the file holds no certificate".into());
    }
    with_roots(roots)
}

/// TLS that trusts the system's authorities. One that cannot be read is left out: the others are as good without it.
#[cfg(feature = "mqtt-tls")]
fn trusting_system() -> Result<Transport, Box<dyn std::error::Error>> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = rumqttc::tokio_rustls::rustls::RootCertStore::empty();
    let (_, unusable) = roots.add_parsable_certificates(found.certs);
    let first = found.errors.first().map(ToString::to_string);
    if roots.is_empty() {
        return Err(first.unwrap_or_else(|| "the system has none".into()).into());
    }
    let left_out = found.errors.len() + unusable;
    if left_out > 0 {
        let reason = first.unwrap_or_else(|| "not a valid certificate".into());
        tracing::warn!("mqtt: {left_out} of the system's certificates cannot be used and are left out: {reason}");
    }
    with_roots(roots)
}

#[cfg(feature = "mqtt-tls")]
fn with_roots(roots: rumqttc::tokio_rustls::rustls::RootCertStore) -> Result<Transport, Box<dyn std::error::Error>> {
    use rumqttc::tokio_rustls::rustls::{ClientConfig, crypto::ring};
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Transport::tls_with_config(config.into()))
}
