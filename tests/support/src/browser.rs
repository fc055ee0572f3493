//! A real browser for tests: headless Chromium, driven over WebDriver.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::http::{LONG, has, request, until};

/// A browser, and the driver that was started for it.
pub struct Browser {
    driver: Child,
    address: SocketAddr,
    session: String,
    _profile: tempfile::TempDir,
}

impl Browser {
    /// Opens a window of that many CSS pixels.
    pub fn open(width: u32, height: u32) -> Browser {
        // Two drivers that start in one instant may choose the same port; the later one ends.
        let (driver, port) = (0..10).find_map(|_| start_driver()).expect("chromedriver names its port");
        let profile = tempfile::tempdir().unwrap();
        let arguments = [
            "--headless".into(),
            "--no-sandbox".into(),
            "--disable-gpu".into(),
            "--disable-quic".into(),
            "--no-first-run".into(),
            "--disable-background-networking".into(),
            "--disable-component-update".into(),
            "--disable-sync".into(),
            "--disable-dev-shm-usage".into(),
            format!("--user-data-dir={}", profile.path().display()),
            format!("--window-size={width},{height}"),
        ];
        let mut browser =
            Browser { driver, address: ([127, 0, 0, 1], port).into(), session: String::new(), _profile: profile };
        // axe-core on a long page takes its time where many tests share few processors.
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "timeouts": { "script": LONG.as_millis() as u64 },
            "goog:loggingPrefs": { "browser": "ALL" },
            "goog:chromeOptions": { "args": arguments },
        } } });
        let made = browser.command("POST", "/session", wanted);
        browser.session = format!("/session/{}", made["sessionId"].as_str().unwrap());
        browser
    }

    /// Sends a command of the session, and returns its value.
    pub fn command(&self, method: &str, path: &str, body: Value) -> Value {
        let body = if method == "POST" { body.to_string() } else { String::new() };
        let answer = request(self.address, method, &format!("{}{path}", self.session), &["Connection: close"], &body);
        let value = answer.json()["value"].clone();
        assert_eq!(answer.status, 200, "{path}: {value}");
        value
    }

    /// Opens a page.
    pub fn visit(&self, url: &str) {
        self.command("POST", "/url", json!({ "url": url }));
    }

    /// The value of a JavaScript expression in the page.
    pub fn value(&self, expression: &str) -> Value {
        self.command("POST", "/execute/sync", json!({ "script": format!("return {expression};"), "args": [] }))
    }

    /// Waits until an expression is true.
    pub fn until(&self, expression: &str) {
        until(expression, || (self.value(expression) == true).then_some(()));
    }

    /// What the console says; empties it. Violations of the page's policy and failed requests are there too.
    pub fn console(&self) -> Vec<String> {
        let log = self.command("POST", "/se/log", json!({ "type": "browser" }));
        let lines = log.as_array().unwrap().iter().map(Value::to_string);
        // It is this test that reads pixels, and is advised to do so otherwise.
        lines.filter(|line| !line.contains("willReadFrequently")).collect()
    }

    /// Writes a picture of the window to the folder that `SCREENSHOTS` names, if it is set.
    pub fn screenshot(&self, name: &str) {
        let Some(folder) = std::env::var_os("SCREENSHOTS") else { return };
        let picture = self.command("GET", "/screenshot", Value::Null);
        write_picture(Path::new(&folder), name, picture.as_str().unwrap());
    }

    /// Asks for dark colours, or light ones.
    pub fn dark(&self, dark: bool) {
        let value = if dark { "dark" } else { "light" };
        let features = json!([{ "name": "prefers-color-scheme", "value": value }]);
        self.cdp("Emulation.setEmulatedMedia", json!({ "features": features }));
    }

    /// Makes the window that of a phone with as many CSS pixels.
    pub fn size(&self, width: u32, height: u32) {
        self.screen(width, height, true);
    }

    /// Makes the window as many CSS pixels large, on a phone or tablet or on a desktop.
    pub fn screen(&self, width: u32, height: u32, mobile: bool) {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": mobile });
        self.cdp("Emulation.setDeviceMetricsOverride", size);
    }

    /// Writes a picture of the whole page, however long, to the folder that `SCREENSHOTS` names, if it is set.
    pub fn whole_screenshot(&self, name: &str) {
        let Some(folder) = std::env::var_os("SCREENSHOTS") else { return };
        let picture = self.cdp("Page.captureScreenshot", json!({ "captureBeyondViewport": true }));
        write_picture(Path::new(&folder), name, picture["data"].as_str().unwrap());
    }

    /// Sends a command of the Chrome DevTools protocol, and returns its result.
    fn cdp(&self, command: &str, parameters: Value) -> Value {
        self.command("POST", "/goog/cdp/execute", json!({ "cmd": command, "params": parameters }))
    }
}

fn write_picture(folder: &Path, name: &str, base64: &str) {
    use base64::Engine;
    let bytes = base64::engine::general_purpose::STANDARD.decode(base64).unwrap();
    std::fs::write(folder.join(format!("{name}.png")), bytes).unwrap();
}

/// Starts a driver, and returns the port that it names.
fn start_driver() -> Option<(Child, u16)> {
    let mut driver =
        Command::new("chromedriver").arg("--port=0").stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines();
    // "ChromeDriver was started successfully on port 12345."
    let port = lines
        .by_ref()
        .map_while(Result::ok)
        .find_map(|line| line.split_once("successfully on port ")?.1.trim_end_matches('.').parse::<u16>().ok());
    let Some(port) = port else {
        let _ = driver.wait();
        return None;
    };
    // It would block on a full pipe.
    std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
    Some((driver, port))
}

impl Drop for Browser {
    fn drop(&mut self) {
        if !self.session.is_empty() && !std::thread::panicking() {
            self.command("DELETE", "", Value::Null);
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

/// Whether the browser is missing; says so.
pub fn is_missing() -> bool {
    !has("chromium", "chromium") || !has("chromedriver", "chromium-driver")
}
