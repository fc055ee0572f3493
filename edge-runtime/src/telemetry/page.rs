//! The pages: documents that load nothing from elsewhere, and work under any path of a reverse proxy.

use base64::Engine;
use sha2::{Digest, Sha256};

use super::listen::Origin;

const SKELETON: &str = include_str!("page/page.html");
const STYLE: &str = include_str!("page/page.css");
const SCRIPT: &str = include_str!("page/page.js");
/// The page's icon, a picture of its own so that no `data:` source has to be allowed.
pub const ICON: &str = include_str!("page/icon.svg");

/// The preview.
pub struct Page {
    pub html: String,
    /// `Content-Security-Policy`: this very style and script by their hashes, pictures and requests to this server.
    pub policy: String,
}

/// The page that asks for the token.
pub struct LoginPage {
    pub html: &'static str,
    /// `Content-Security-Policy`: a form that sends to this server, nothing else.
    pub policy: String,
}

impl Page {
    /// Puts the page together; `embedders` may show it in a frame.
    pub fn new(embedders: &[Origin]) -> Page {
        let html = SKELETON.replace("/*STYLE*/", STYLE).replace("/*SCRIPT*/", SCRIPT);
        let (style, script, ancestors) = (hash(STYLE), hash(SCRIPT), ancestors(embedders));
        let policy = format!(
            "default-src 'none'; style-src '{style}'; script-src '{script}'; img-src 'self' blob:; connect-src 'self'; \
             base-uri 'none'; form-action 'none'; frame-ancestors {ancestors}"
        );
        Page { html, policy }
    }
}

impl LoginPage {
    /// Puts the page together; `embedders` may show it in a frame.
    pub fn new(embedders: &[Origin]) -> LoginPage {
        let ancestors = ancestors(embedders);
        let policy = format!(
            "default-src 'none'; img-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors {ancestors}"
        );
        LoginPage { html: include_str!("page/login.html"), policy }
    }
}

fn ancestors(embedders: &[Origin]) -> String {
    if embedders.is_empty() {
        return "'none'".to_owned();
    }
    embedders.iter().map(Origin::to_string).collect::<Vec<_>>().join(" ")
}

fn hash(text: &str) -> String {
    format!("sha256-{}", base64::engine::general_purpose::STANDARD.encode(Sha256::digest(text)))
}
