//! The address of a broker.

use crate::telemetry::error::TelemetryError;

/// A broker's address: `mqtt://USER@HOST:PORT/PREFIX`. User, port and prefix may be left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// Whether the connection is encrypted: `mqtts://`.
    pub tls: bool,
    /// Who to log in as.
    pub user: Option<String>,
    /// Name or address of the broker's machine, without brackets.
    pub host: String,
    /// Its port; the default is 1883, or 8883 with TLS.
    pub port: u16,
    /// What all topics begin with, without slashes at its ends; `None` if none is named.
    pub prefix: Option<String>,
}

/// Longest prefix in bytes: topics stay well below what brokers accept.
const MAX_PREFIX: usize = 200;

impl Address {
    /// Reads an address.
    ///
    /// # Errors
    /// Returns [`TelemetryError::Broker`], which says what is wrong. A password is refused, because other users of the machine
    /// could read it in the process list.
    pub fn parse(text: &str) -> Result<Address, TelemetryError> {
        parse(text).map_err(|why| {
            // Whatever stands before the last `@` may hold a password.
            let text = match text.rsplit_once('@') {
                Some((_, rest)) => format!("...@{rest}"),
                None => text.to_owned(),
            };
            TelemetryError::Broker { text, why }
        })
    }
}

fn parse(text: &str) -> Result<Address, &'static str> {
    let (scheme, rest) = text.split_once("://").ok_or("it does not start with mqtt:// or mqtts://")?;
    let tls = match scheme {
        "mqtt" => false,
        "mqtts" if cfg!(feature = "mqtt-tls") => true,
        "mqtts" => return Err("this build has no TLS (cargo feature mqtt-tls)"),
        _ => return Err("it does not start with mqtt:// or mqtts://"),
    };
    // A user may have an `@` in it, a host may not; a prefix may have anything but wildcards.
    let (authority, prefix) = match rest.split_once('/') {
        Some((authority, prefix)) => (authority, prefix),
        None => (rest, ""),
    };
    let (user, host) = match authority.rsplit_once('@') {
        Some((user, host)) => (Some(user), host),
        None => (None, authority),
    };
    if user.is_some_and(|user| user.contains(':')) {
        return Err(
            "it contains a password, which other users could see; put it into a file and name that with --mqtt-password-file",
        );
    }
    let is_name = |user: &String| !user.is_empty() && !user.contains(char::is_control);
    let user = user.map(|user| decoded(user).filter(is_name).ok_or("its user name is empty or has control characters"));
    let user = user.transpose()?;
    let (host, port) = host_and_port(host)?;
    let port = match port {
        None => {
            if tls {
                8883
            } else {
                1883
            }
        }
        Some(port) => port.parse().ok().filter(|port| *port != 0).ok_or(match prefix.contains('@') {
            true => {
                "it contains a password or a slash before the @; put a password into a file and name that with \
                     --mqtt-password-file, and write %2F for a slash in the user's name"
            }
            false => "its port is not a number from 1 to 65535",
        })?,
    };
    let prefix = parse_prefix(prefix)?;
    Ok(Address { tls, user, host: host.to_owned(), port, prefix })
}

/// The text with each `%` and two hexadecimal digits replaced by the byte that they stand for, as in any URL. A `%` before
/// anything else stays.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let code = tail.get(..2).filter(|code| *first == b'%' && code.iter().all(u8::is_ascii_hexdigit));
        let byte = code.and_then(|code| u8::from_str_radix(std::str::from_utf8(code).ok()?, 16).ok());
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8(bytes).ok()
}

/// Reads what topics begin with, without the slashes at its ends; `None` if nothing is left.
///
/// # Errors
/// Says what is wrong with it.
pub fn parse_prefix(text: &str) -> Result<Option<String>, &'static str> {
    let prefix = text.trim_matches('/');
    if prefix.contains(['+', '#']) || prefix.contains(char::is_control) || prefix.starts_with('$') {
        return Err("the prefix contains a wildcard ('+' or '#') or a control character, or starts with '$'");
    }
    if prefix.contains("//") {
        return Err("the prefix has an empty level ('//')");
    }
    if prefix.len() > MAX_PREFIX {
        return Err("the prefix is longer than 200 bytes");
    }
    Ok((!prefix.is_empty()).then(|| prefix.to_owned()))
}

fn host_and_port(text: &str) -> Result<(&str, Option<&str>), &'static str> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']').ok_or("its host has no closing bracket")?;
            host.parse::<std::net::Ipv6Addr>().map_err(|_| "its host is not an IPv6 address")?;
            match rest.strip_prefix(':') {
                _ if rest.is_empty() => (host, None),
                Some(port) => (host, Some(port)),
                None => return Err("there is something between its host and its port"),
            }
        }
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '.' | '_' | ':');
    if host.is_empty() || !host.chars().all(plain) {
        return Err("its host is not a name or an address");
    }
    Ok((host, port))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn address(user: Option<&str>, host: &str, port: u16, prefix: &str) -> Address {
        Address {
            tls: false,
            user: user.map(str::to_owned),
            host: host.into(),
            port,
            prefix: Some(prefix.to_owned()).filter(|prefix| !prefix.is_empty()),
        }
    }

    #[test]
    fn parts_may_be_left_out() {
        for (text, expected) in [
            ("mqtt://h", address(None, "h", 1883, "")),
            ("mqtt://h:1/", address(None, "h", 1, "")),
            ("mqtt://u@h.local:1884/a/b/", address(Some("u"), "h.local", 1884, "a/b")),
            ("mqtt://u@home@[::1]:7/p@q", address(Some("u@home"), "::1", 7, "p@q")),
            ("mqtt://u%40home%2f%C3%A9%3a@h", address(Some("u@home/\u{e9}:"), "h", 1883, "")),
            ("mqtt://100%@h", address(Some("100%"), "h", 1883, "")),
            ("mqtt://a%zz%4@h", address(Some("a%zz%4"), "h", 1883, "")),
            ("mqtt://[fe80::1]", address(None, "fe80::1", 1883, "")),
        ] {
            assert_eq!(Address::parse(text).unwrap(), expected, "{text}");
        }
        #[cfg(feature = "mqtt-tls")]
        assert_eq!(Address::parse("mqtts://h/p").unwrap(), Address { tls: true, ..address(None, "h", 8883, "p") });
    }

    #[test]
    fn what_is_wrong_is_said_and_passwords_are_not_repeated() {
        for (text, word) in [
            ("h:1883", "start"),
            ("http://h", "start"),
            ("mqtt://", "host"),
            ("mqtt://u@", "host"),
            ("mqtt://@h", "user"),
            ("mqtt://a%00b@h", "user"),
            ("mqtt://a%ffb@h", "user"),
            ("mqtt://h:0", "port"),
            ("mqtt://h:65536", "port"),
            ("mqtt://h:1:2", "port"),
            ("mqtt://[::1", "bracket"),
            ("mqtt://[::1]x", "between"),
            ("mqtt://a b", "host"),
            ("mqtt://h/a/#", "wildcard"),
            ("mqtt://h/$SYS", "wildcard"),
            ("mqtt://h/a//b", "empty level"),
        ] {
            let error = Address::parse(text).unwrap_err().to_string();
            assert!(error.contains(word), "{text}: {error}");
        }
        let error = Address::parse("mqtt://u:hunter2@h").unwrap_err().to_string();
        assert!(error.contains("--mqtt-password-file") && !error.contains("hunter2"), "{error}");
        let error = Address::parse("mqtt://u:hunter2/x@h").unwrap_err().to_string();
        assert!(error.contains("--mqtt-password-file") && !error.contains("hunter2"), "{error}");
    }

    #[test]
    fn a_prefix_is_what_topics_may_begin_with() {
        for (text, prefix) in
            [("", None), ("/", None), ("homeassistant", Some("homeassistant")), ("/a/b c/", Some("a/b c"))]
        {
            assert_eq!(parse_prefix(text), Ok(prefix.map(str::to_owned)), "{text}");
        }
        for text in ["a/#", "#", "a/+/b", "a\0", "a\nb", "$SYS", "/$SYS", "a//b", &"a".repeat(MAX_PREFIX + 1)] {
            assert!(parse_prefix(text).is_err(), "{text}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn no_text_makes_it_panic_and_what_passes_is_sound(text in "(mqtt://)?[a-z@:/\\[\\]#.0-9 \u{e9}]{0,24}|.*") {
            if let Ok(address) = Address::parse(&text) {
                prop_assert!(!address.host.is_empty() && address.port != 0 && address.prefix.as_deref() != Some(""));
                prop_assert!(!address.prefix.unwrap_or_default().contains(['#', '+']));
            }
        }
    }
}
