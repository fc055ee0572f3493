//! The page: one document that loads nothing from elsewhere.

use base64::Engine;
use expression_report::PALETTE;
use sha2::{Digest, Sha256};

const SKELETON: &str = include_str!("page/page.html");
const STYLE: &str = include_str!("page/page.css");
const SCRIPT: &str = include_str!("page/page.js");

/// The page and its `Content-Security-Policy`: this very style and script by their hashes, pictures and requests of this
/// server, nothing else.
pub struct Page {
    pub html: String,
    pub policy: String,
}

impl Page {
    /// Puts the page together.
    pub fn new() -> Page {
        let style = format!("{PALETTE}{STYLE}");
        let html = SKELETON.replace("/*PALETTE*//*STYLE*/", &style).replace("/*SCRIPT*/", SCRIPT);
        let (style, script) = (hash(&style), hash(SCRIPT));
        let policy = format!(
            "default-src 'none'; style-src '{style}'; script-src '{script}'; img-src 'self'; connect-src 'self'; \
             base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        );
        Page { html, policy }
    }
}

fn hash(text: &str) -> String {
    format!("sha256-{}", base64::engine::general_purpose::STANDARD.encode(Sha256::digest(text)))
}
