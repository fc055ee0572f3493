//! What the user can do about a connection to the broker that failed.

use std::time::Duration;

use rumqttc::{ConnectReturnCode, ConnectionError};

use super::session::{Broken, SETTLING};

/// What to look at after a connection that failed, or that `lasted` for less than it takes to introduce itself; empty if the error
/// says it.
pub fn advice(why: &Broken, tls: bool, lasted: Option<Duration>) -> &'static str {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionReset, InvalidData, UnexpectedEof};
    if why.to_string().contains("payload size limit exceeded") {
        return "; a message under the prefix is too large for the name of a run or a request to pause: remove it from the broker, and \
                give this program a prefix of its own";
    }
    match lasted {
        Some(lasted) if lasted < SETTLING => {
            return "; the broker accepted the connection and ended it at once: check that its access list lets this user publish and \
                    subscribe under the prefix";
        }
        Some(_) => return "",
        None => {}
    }
    let Broken::Connection(error) = why else { return "" };
    // One that speaks TLS and one that does not take each other's first bytes for damage, or hang up. So do WebSockets, and brokers of
    // MQTT 5 alone.
    let confused = match error {
        ConnectionError::ConnectionRefused(
            ConnectReturnCode::NotAuthorized | ConnectReturnCode::BadUserNamePassword,
        ) => return "; check the user in --mqtt mqtt://USER@HOST and the password in --mqtt-password-file",
        ConnectionError::ConnectionRefused(ConnectReturnCode::RefusedProtocolVersion) => {
            return "; let the broker accept MQTT 3.1.1, which this program speaks";
        }
        ConnectionError::ConnectionRefused(ConnectReturnCode::BadClientId) => {
            return "; let the broker accept client ids that begin with edge-runtime-";
        }
        ConnectionError::Io(error) => {
            matches!(error.kind(), ConnectionAborted | ConnectionReset | InvalidData | UnexpectedEof)
        }
        ConnectionError::MqttState(_) | ConnectionError::NotConnAck(_) => true,
        #[cfg(feature = "mqtt-tls")]
        ConnectionError::Tls(_) => true,
        _ => false,
    };
    let said = error.to_string();
    if said.contains("CertificateRequired") {
        return "; the broker asks for a client's certificate, which this program has not: let it ask for a user and a password";
    }
    match (confused && !said.contains("certificate"), tls) {
        (false, true) => advice_on_certificate(&said),
        (false, false) => "",
        (true, true) => "; if the broker has no TLS on this port, write mqtt://",
        (true, false) => {
            "; the broker must speak MQTT 3.1.1 without WebSockets on this port; if it wants TLS there, write mqtts://"
        }
    }
}

/// What to do about a broker's certificate that is refused, by the words of rustls; empty for other errors.
fn advice_on_certificate(said: &str) -> &'static str {
    let known = [
        ("UnknownIssuer", "; name the authority that signed the broker's certificate with --mqtt-ca-file"),
        (
            "CaUsedAsEndEntity",
            "; the broker uses an authority's own certificate: give it one that the authority signed",
        ),
        ("not valid for", "; write the name that the broker's certificate is for in --mqtt mqtts://NAME"),
        ("expired", "; renew the broker's certificate, or set this machine's clock"),
        ("not valid yet", "; set this machine's clock"),
    ];
    let found = known.into_iter().find(|(words, _)| said.contains("certificate") && said.contains(words));
    found.map_or("", |(_, advice)| advice)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_the_password_file_and_a_mix_up_the_other_scheme() {
        let of = |error: ConnectionError, tls| advice(&Broken::Connection(error), tls, None);
        let refused = || ConnectionError::ConnectionRefused(ConnectReturnCode::NotAuthorized);
        assert!(of(refused(), false).contains("--mqtt-password-file"));
        let version = ConnectionError::ConnectionRefused(ConnectReturnCode::RefusedProtocolVersion);
        assert!(of(version, true).contains("MQTT 3.1.1"));
        let id = ConnectionError::ConnectionRefused(ConnectReturnCode::BadClientId);
        assert!(of(id, false).contains("edge-runtime-"));
        let closed = |kind: std::io::ErrorKind| ConnectionError::Io(kind.into());
        assert!(of(closed(std::io::ErrorKind::UnexpectedEof), true).ends_with("write mqtt://"));
        assert!(of(closed(std::io::ErrorKind::ConnectionReset), false).ends_with("write mqtts://"));
        assert_eq!(of(closed(std::io::ErrorKind::ConnectionRefused), false), "");
        assert_eq!(advice(&Broken::Silent, false, None), "");
        assert!(advice(&Broken::Silent, false, Some(Duration::ZERO)).contains("access list"));
        assert_eq!(advice(&Broken::Silent, false, Some(SETTLING)), "");
        let large =
            Broken::Connection(ConnectionError::Io(std::io::Error::other("payload size limit exceeded: 20020")));
        assert!(advice(&large, false, Some(Duration::ZERO)).contains("too large"));
        let certificate = |words: &str| {
            let text = format!("invalid peer certificate: {words}");
            of(ConnectionError::Io(std::io::Error::other(text)), true)
        };
        assert!(certificate("UnknownIssuer").contains("--mqtt-ca-file"));
        assert!(certificate("Other(OtherError(CaUsedAsEndEntity))").contains("that the authority signed"));
        assert!(certificate("certificate not valid for name \"h\"").contains("mqtts://NAME"));
        assert!(certificate("certificate expired: ...").contains("clock"));
        assert_eq!(certificate("BadEncoding"), "");
        let alert = std::io::Error::new(std::io::ErrorKind::InvalidData, "received fatal alert: CertificateRequired");
        assert!(of(ConnectionError::Io(alert), true).contains("a user and a password"));
    }
}
