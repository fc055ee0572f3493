//! Whether pages can be read by everybody: axe-core in a real browser, in light and dark, on a phone, a tablet and a desktop.

use std::path::{Path, PathBuf};

use serde_json::json;

use crate::browser::Browser;

/// Name, width and height of the screens in CSS pixels, and whether it is a phone's.
const SCREENS: [(&str, u32, u32, bool); 3] =
    [("phone", 360, 740, true), ("tablet", 820, 1180, true), ("desktop", 1440, 900, false)];

/// What axe-core finds wrong with the page: the rule, what it wants, and where.
const FINDINGS: &str = "axe.run(document, { resultTypes: ['violations'] }).then((result) => result.violations.flatMap(({ id, help, nodes }) => \
     nodes.map((node) => `${id}: ${help}: ${node.target.join(' ')}: ${node.failureSummary.replaceAll(/\\s+/g, ' ')}`)))";

/// What is wider than the screen, or breaks a word where there is little room: in tables, figures, headings and buttons.
const LAYOUT: &str = "(() => { \
     const wide = document.documentElement.scrollWidth > innerWidth ? [`the page is ${document.documentElement.scrollWidth} px wide`] : []; \
     const breaks = (cell) => { \
         const walker = document.createTreeWalker(cell, NodeFilter.SHOW_TEXT); \
         for (let node = walker.nextNode(); node; node = walker.nextNode()) for (const match of node.data.matchAll(/[\\p{L}\\p{N}]+/gu)) { \
             const range = document.createRange(); \
             range.setStart(node, match.index); range.setEnd(node, match.index + match[0].length); \
             if (range.getClientRects().length > 1) return [`${cell.tagName} breaks the word ${match[0]}`]; } \
         return []; }; \
     return wide.concat([...document.querySelectorAll('td, th, dt, dd strong, h2, h3, button')].flatMap(breaks)); })()";

/// axe-core, as the tests put it into pages.
pub struct Axe(String);

impl Axe {
    /// Reads what set-up has downloaded; says so if it is missing.
    pub fn open() -> Option<Axe> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.assets/axe/axe.min.js");
        let script = std::fs::read_to_string(&path).ok();
        if script.is_none() {
            eprintln!("skipped: axe-core is not there (cargo xtask setup)");
        }
        script.map(Axe)
    }

    /// Returns what is wrong with the page that the browser shows, on every screen and in both colour schemes. `prepare` runs
    /// before each look. Where `SCREENSHOTS` names a folder, a picture of each look is written there as `NAME-SCREEN-SCHEME.png`.
    pub fn findings(&self, browser: &Browser, name: &str, prepare: impl Fn()) -> Vec<String> {
        let mut all = Vec::new();
        for (screen, width, height, phone) in SCREENS {
            browser.screen(width, height, phone);
            for (scheme, dark) in [("light", false), ("dark", true)] {
                browser.dark(dark);
                prepare();
                if browser.value("typeof axe") != "object" {
                    browser.command("POST", "/execute/sync", json!({ "script": self.0, "args": [] }));
                }
                let look = format!("{name}-{screen}-{scheme}");
                for question in [FINDINGS, LAYOUT] {
                    let found = browser.value(question);
                    let found = found.as_array().unwrap_or_else(|| panic!("{look}: {found}"));
                    all.extend(found.iter().map(|finding| format!("{look}: {}", finding.as_str().unwrap_or("?"))));
                }
                browser.whole_screenshot(&look);
            }
        }
        all
    }

    /// Panics with everything that is wrong with a page.
    pub fn hold(&self, browser: &Browser, name: &str, prepare: impl Fn()) {
        let findings = self.findings(browser, name, prepare);
        assert!(findings.is_empty(), "{} findings\n{}", findings.len(), findings.join("\n"));
    }
}

/// Writes a page to a folder and returns its address.
pub fn page(folder: &Path, name: &str, html: &str) -> String {
    let path: PathBuf = folder.join(name);
    std::fs::write(&path, html).unwrap();
    format!("file://{}", path.display())
}
