//! Addresses to listen on, and origins that may embed the preview, as people write them.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs, UdpSocket};
use std::path::PathBuf;

/// The socket of the service, in the runtime directory that its unit asks for.
pub const HEALTH_SOCKET: &str = "/run/edge-runtime/health.sock";

/// Reads an address to listen on: `8080` and `localhost:8080` are this machine only, `:8080` is every interface; anything else is
/// `ADDRESS:PORT` or `NAME:PORT`.
///
/// # Errors
/// Says what is missing.
pub fn parse_address(text: &str) -> Result<SocketAddr, String> {
    let local = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    if text.parse::<IpAddr>().is_ok() {
        return Err(match text.contains(':') {
            true => format!("no port; write [{text}]:8080"),
            false => format!("no port; write {text}:8080"),
        });
    }
    if let Some((scheme, rest)) = text.split_once("://") {
        let rest = rest.split('/').next().unwrap_or_default();
        return Err(format!("expected an address without {scheme}:// and without a path; write {rest}"));
    }
    let (host, port) = text.rsplit_once(':').unwrap_or(("localhost", text));
    let Ok(port) = port.parse::<u16>() else {
        return Err("expected a port from 0 to 65535; write 8080, :8080 or ADDRESS:8080".to_owned());
    };
    match host {
        "" => Ok(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))),
        _ if host.eq_ignore_ascii_case("localhost") => Ok(local(port)),
        _ => {
            let found = (host, port).to_socket_addrs().ok().and_then(|mut addresses| addresses.next());
            found.ok_or_else(|| format!("no address is known for {host:?}; write an IP address of this machine"))
        }
    }
}

/// Where to listen, if anywhere.
#[cfg(feature = "http")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listen {
    /// Nowhere, whatever the board file says.
    Off,
    /// At this address.
    At(SocketAddr),
}

#[cfg(feature = "http")]
impl Listen {
    /// The address, unless it is off.
    pub fn address(self) -> Option<SocketAddr> {
        match self {
            Listen::Off => None,
            Listen::At(address) => Some(address),
        }
    }
}

/// Reads `off`, or an address as [`parse_address`] does.
///
/// # Errors
/// Says what is missing.
#[cfg(feature = "http")]
pub fn parse_listen(text: &str) -> Result<Listen, String> {
    match text {
        "off" => Ok(Listen::Off),
        _ => parse_address(text).map(Listen::At).map_err(|why| format!("{why}, or off")),
    }
}

/// Reads the name of a host as browsers ask for it: without a scheme, a port or a path.
///
/// # Errors
/// Says what to write.
#[cfg(feature = "preview")]
pub fn parse_host_name(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    match !text.is_empty() && text.chars().all(plain) {
        true => Ok(text.to_owned()),
        false => Err("expected a host name without http://, port, path or wildcard, such as camera.example".to_owned()),
    }
}

/// Where the service's socket is in the runtime directory that systemd gives; `None` without one.
pub fn health_socket() -> Option<PathBuf> {
    Some(crate::service::runtime_directory()?.join("health.sock"))
}

/// The address under which others reach a listener: its own, or for a listener on every interface that of the default route.
pub fn reachable(address: SocketAddr) -> SocketAddr {
    if !address.ip().is_unspecified() {
        return address;
    }
    SocketAddr::new(own_address().unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)), address.port())
}

/// The address of a page for browsers on other machines; `None` if only this machine reaches the listener.
pub fn page(address: SocketAddr) -> Option<String> {
    let address = reachable(address);
    (!address.ip().is_loopback()).then(|| format!("http://{address}/"))
}

/// This machine's address on its default route, if it has one. Connecting a UDP socket sends nothing; the address is one that
/// RFC 5737 reserves for documentation.
fn own_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9)).ok()?;
    Some(socket.local_addr().ok()?.ip()).filter(|ip| !ip.is_unspecified())
}

/// An origin that may show the preview in a frame: scheme, host and port, such as `http://homeassistant.local:8123`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin(String);

impl std::str::FromStr for Origin {
    type Err = String;

    fn from_str(text: &str) -> Result<Origin, String> {
        let wanted = || "expected an origin without a path, such as http://homeassistant.local:8123".to_owned();
        let text = text.strip_suffix('/').unwrap_or(text);
        let (scheme, authority) = text.split_once("://").ok_or_else(wanted)?;
        // What a Content-Security-Policy would read otherwise than as one host is refused: spaces, semicolons, wildcards.
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | ':' | '[' | ']');
        let valid = matches!(scheme, "http" | "https") && !authority.is_empty() && authority.chars().all(plain);
        if valid { Ok(Origin(text.to_ascii_lowercase())) } else { Err(wanted()) }
    }
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_mean_what_they_say() {
        for (text, expected) in [
            ("8080", "127.0.0.1:8080"),
            ("localhost:8080", "127.0.0.1:8080"),
            ("LOCALHOST:1", "127.0.0.1:1"),
            (":8080", "0.0.0.0:8080"),
            ("0.0.0.0:8080", "0.0.0.0:8080"),
            ("192.0.2.7:0", "192.0.2.7:0"),
            ("[::1]:8080", "[::1]:8080"),
        ] {
            assert_eq!(parse_address(text), Ok(expected.parse().unwrap()), "{text}");
        }
        assert_eq!(parse_listen("off").map(Listen::address), Ok(None));
        assert_eq!(parse_listen("8080").map(Listen::address), Ok(parse_address("8080").ok()));
        assert!(parse_listen("false").unwrap_err().ends_with(", or off"));
        for (text, word) in [
            ("", "port"),
            ("127.0.0.1", "127.0.0.1:8080"),
            ("::1", "[::1]:8080"),
            ("localhost", "port"),
            ("localhost:", "port"),
            ("127.0.0.1:65536", "port"),
            ("http://localhost:8080/", "without http://"),
            ("no-such-name.invalid:80", "no-such-name.invalid"),
        ] {
            let error = parse_address(text).unwrap_err();
            assert!(error.contains(word), "{text}: {error}");
        }
    }

    #[cfg(feature = "preview")]
    #[test]
    fn a_host_name_is_nothing_but_a_name() {
        for text in ["camera.example", "board", "192.0.2.7", "my_board.local"] {
            assert_eq!(parse_host_name(text).as_deref(), Ok(text));
        }
        for text in ["", "http://camera.example", "camera.example:8080", "camera.example/", "a b", "*", "*.example"] {
            assert!(parse_host_name(text).unwrap_err().contains("such as camera.example"), "{text}");
        }
    }

    #[test]
    fn an_address_that_is_printed_can_be_opened() {
        let local: SocketAddr = "192.0.2.7:80".parse().unwrap();
        assert_eq!(reachable(local), local);
        let every = reachable("0.0.0.0:8080".parse().unwrap());
        assert!(!every.ip().is_unspecified() && every.port() == 8080, "{every}");
    }

    #[test]
    fn an_origin_is_a_scheme_a_host_and_a_port() {
        for text in ["http://ha.local:8123", "https://ha.example", "http://[::1]:80"] {
            assert_eq!(text.parse::<Origin>().unwrap().to_string(), text);
        }
        assert_eq!("https://HA.example/".parse::<Origin>().unwrap().to_string(), "https://ha.example");
        for text in [
            "",
            "*",
            "ha.local",
            "http://",
            "http://*",
            "ftp://h",
            "http://h/path",
            "http://h; script-src *",
            "http://a b",
        ] {
            assert!(text.parse::<Origin>().is_err(), "{text}");
        }
    }
}
