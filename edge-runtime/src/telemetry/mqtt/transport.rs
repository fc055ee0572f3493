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
            None => Transport::try_tls_with_default_config().map_err(|error| refused(&error)),
        };
    }
    let _ = options;
    Ok(Transport::tcp())
}

/// TLS that trusts only these authorities.
#[cfg(feature = "mqtt-tls")]
fn trusting(pem: &[u8]) -> Result<Transport, Box<dyn std::error::Error>> {
    use rumqttc::tokio_rustls::rustls::pki_types::{CertificateDer, pem::PemObject};
    use rumqttc::tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto::ring};
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        roots.add(certificate.map_err(|error| format!("it is not PEM: {error}"))?)?;
    }
    if roots.is_empty() {
        return Err("the file holds no certificate".into());
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Transport::tls_with_config(config.into()))
}
