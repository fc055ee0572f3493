//! Who may come in.

use std::net::{IpAddr, SocketAddr};

use hyper::HeaderMap;
use hyper::header::{AUTHORIZATION, COOKIE, HOST};
use hyper::http::uri::Authority;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::telemetry::Token;

/// Whether only this machine can reach an address.
pub fn is_local(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

/// Decides about requests.
pub struct Guard {
    /// Where the listener is bound.
    address: SocketAddr,
    /// Names besides the machine's own under which a loopback address may be asked for.
    hosts: Vec<String>,
    secret: Option<Secret>,
}

/// What a token is compared with. Hashes are equally long, whatever is tried.
struct Secret {
    token: [u8; 32],
    /// The name of the cookie that stands for the token. Browsers keep cookies by host, whatever port or path: two boards behind
    /// one proxy, or two programs on one board, must not overwrite each other's.
    cookie_name: String,
    /// Its value in hexadecimal, which does not give the token away.
    cookie: String,
    cookie_hash: [u8; 32],
    /// How long the browser keeps it, as an attribute. A generated token ends with this program: kept for longer, the cookies of
    /// many runs would make the headers of each request too long.
    lifetime: &'static str,
}

/// How a request came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pass {
    /// With a cookie or a header, or without need of either.
    Known,
    /// With a token in the address, which should become a cookie.
    Token,
}

/// Why a request was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The request is for another host: a page elsewhere may have had its name point here (DNS rebinding).
    Host,
    /// No token, or a wrong one.
    Token,
}

impl Guard {
    /// The guard of a loopback address, which only this machine reaches; `hosts` may be asked for besides its own names.
    pub fn local(address: SocketAddr, hosts: &[String]) -> Guard {
        Guard { address, hosts: hosts.to_vec(), secret: None }
    }

    /// The guard of any other address.
    pub fn with_token(address: SocketAddr, token: &Token) -> Guard {
        let hash = |what: &str| expression_engine::files::sha256(format!("{what}\n{}", token.text()).as_bytes());
        let cookie = hash("edge-runtime cookie");
        let cookie_name = format!("edge-runtime-{:.8}", hash("edge-runtime cookie name"));
        let lifetime = if token.is_generated() { "" } else { "; Max-Age=2592000" };
        let (token, cookie_hash) = (Sha256::digest(token.text()).into(), Sha256::digest(&cookie).into());
        let secret = Secret { token, cookie_name, cookie, cookie_hash, lifetime };
        Guard { address, hosts: Vec::new(), secret: Some(secret) }
    }

    /// Decides about a request by its headers and the query of its address.
    pub fn check(&self, headers: &HeaderMap, query: Option<&str>) -> Result<Pass, Refusal> {
        let Some(secret) = &self.secret else {
            let host = headers.get(HOST).map(|host| host.as_bytes());
            return if self.is_own_name(host.unwrap_or_default()) { Ok(Pass::Known) } else { Err(Refusal::Host) };
        };
        let same = |tried: &[u8], hash: &[u8; 32]| bool::from(Sha256::digest(tried).as_slice().ct_eq(hash));
        let bearer = headers.get(AUTHORIZATION).and_then(|value| bearer(value.as_bytes()));
        if bearer.is_some_and(|tried| same(tried, &secret.token)) {
            return Ok(Pass::Known);
        }
        let name = secret.cookie_name.as_bytes();
        let mut cookies = headers.get_all(COOKIE).iter().filter_map(|value| cookie(value.as_bytes(), name));
        if cookies.any(|tried| same(tried, &secret.cookie_hash)) {
            return Ok(Pass::Known);
        }
        if parameter(query.unwrap_or(""), "token").is_some_and(|tried| same(tried.as_bytes(), &secret.token)) {
            return Ok(Pass::Token);
        }
        Err(Refusal::Token)
    }

    /// The `Set-Cookie` that stands for the token from now on, in this browser, for pages of this very host.
    pub fn cookie(&self) -> Option<String> {
        let Secret { cookie_name, cookie, lifetime, .. } = self.secret.as_ref()?;
        Some(format!("{cookie_name}={cookie}; Path=/; HttpOnly; SameSite=Strict{lifetime}"))
    }

    /// Whether a `Host` names this machine: localhost, a loopback address, the bound one, or an allowed name. The port does not
    /// matter, as tunnels and proxies end at other ports.
    fn is_own_name(&self, host: &[u8]) -> bool {
        let Ok(authority) = Authority::try_from(host) else { return false };
        if authority.as_str().contains('@') {
            return false;
        }
        let name = authority.host();
        if name.eq_ignore_ascii_case("localhost") || self.hosts.iter().any(|host| name.eq_ignore_ascii_case(host)) {
            return true;
        }
        let address = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(name);
        address.parse().is_ok_and(|address: IpAddr| is_local(address) || address == self.address.ip())
    }
}

/// The token of `Authorization: Bearer TOKEN`.
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, rest) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| rest.trim_ascii())
}

/// The value of a cookie in a `Cookie` header.
fn cookie<'a>(header: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    header.split(|byte| *byte == b';').find_map(|pair| {
        let rest = pair.trim_ascii().strip_prefix(name)?.strip_prefix(b"=")?;
        Some(rest.trim_ascii())
    })
}

/// The first value of a parameter of a query, not unescaped: what we read needs no escaping.
pub fn parameter<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
}

#[cfg(test)]
mod tests;
