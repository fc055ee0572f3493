//! The pages: documents that load nothing from elsewhere, and work under any path of a reverse proxy.

use base64::Engine;
use expression_report::PALETTE;
use sha2::{Digest, Sha256};

use super::listen::Origin;

const SKELETON: &str = include_str!("page/page.html");
const LOGIN: &str = include_str!("page/login.html");
const STYLE: &str = include_str!("page/page.css");
const SCRIPT: &str = include_str!("page/page.js");
/// The page's icon, a picture of its own so that no `data:` source has to be allowed.
pub const ICON: &str = include_str!("page/icon.svg");

/// A page and what it may do.
pub struct Page {
    pub html: String,
    /// `Content-Security-Policy`.
    pub policy: String,
}

impl Page {
    /// The preview; `embedders` may show it in a frame. It may use this very style and script, by their hashes, and pictures and
    /// requests to this server.
    pub fn preview(embedders: &[Origin]) -> Page {
        let (html, style) = with_style(SKELETON);
        let (script, ancestors) = (hash(SCRIPT), ancestors(embedders));
        let policy = format!(
            "default-src 'none'; style-src '{style}'; script-src '{script}'; img-src 'self' blob:; connect-src 'self'; \
             base-uri 'none'; form-action 'none'; frame-ancestors {ancestors}"
        );
        Page { html: html.replace("/*SCRIPT*/", SCRIPT), policy }
    }

    /// The page that asks for the token; `embedders` may show it in a frame. It may use this very style and send its form to this
    /// server.
    pub fn login(embedders: &[Origin]) -> Page {
        let (html, style) = with_style(LOGIN);
        let ancestors = ancestors(embedders);
        let policy = format!(
            "default-src 'none'; style-src '{style}'; img-src 'self'; base-uri 'none'; form-action 'self'; \
             frame-ancestors {ancestors}"
        );
        Page { html, policy }
    }
}

/// Puts palette and style into a page, and returns it with the hash of both.
fn with_style(skeleton: &str) -> (String, String) {
    let style = format!("{PALETTE}{STYLE}");
    (skeleton.replace("/*PALETTE*//*STYLE*/", &style), hash(&style))
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
