//! The preview's page in a real browser: headless Chromium, driven over WebDriver.
#![cfg(feature = "preview")]

#[path = "telemetry_support/mod.rs"]
mod support;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};

use edge_runtime::event::{Event, Rate, Throttling};
use edge_runtime::telemetry::{TelemetryOptions, Token};
use serde_json::{Value, json};
use support::*;
use test_support::browser::{Browser, is_missing};

fn options(address: &str) -> TelemetryOptions {
    TelemetryOptions { preview: Some(address.parse().unwrap()), preview_rate: 10, ..TelemetryOptions::default() }
}

/// The mean grey of the shown picture's left half, where the bright square comes and goes.
const LEFT_HALF: &str = "(() => { const c = document.getElementById('live'); \
    const d = c.getContext('2d').getImageData(0, 0, c.width / 2, c.height).data; \
    let s = 0; for (let i = 0; i < d.length; i += 4) s += d[i]; return s / (d.length / 4); })()";
const SCORES: &str = "[...document.querySelectorAll('[data-track=\"1\"] .fill')].map((fill) => fill.style.width)";

#[test]
fn the_page_shows_moving_pictures_scores_and_past_without_an_error() {
    if is_missing() {
        return;
    }
    let telemetry = start(options("127.0.0.1:0"));
    let _feeder = Feeder::new(&telemetry);
    telemetry.event(&Event::Throttled(Throttling { to: Some(Rate::Half), ..Throttling::default() }));
    let browser = Browser::open(1280, 900);
    browser.visit(&format!("http://{}/", telemetry.preview_address().unwrap()));

    browser.until("document.getElementById('live').dataset.sequence !== undefined");
    browser.until("document.getElementById('state').textContent === 'live'");
    let (sequence, grey) =
        (browser.value("document.getElementById('live').dataset.sequence"), browser.value(LEFT_HALF));
    until("another picture", || {
        let (now, then) = (browser.value(LEFT_HALF).as_f64()?, grey.as_f64()?);
        let next = browser.value("document.getElementById('live').dataset.sequence") != sequence;
        (next && (now - then).abs() > 5.0).then_some(())
    });

    browser.until("document.querySelectorAll('.face').length === 2");
    let scores = browser.value(SCORES);
    assert_eq!(scores.as_array().unwrap().len(), 8);
    until("other scores", || (browser.value(SCORES) != scores).then_some(()));
    // The box is drawn in the colour of its track: the plain picture is grey.
    browser.until(
        "(() => { const c = document.getElementById('live'); const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data; \
         let n = 0; for (let i = 0; i < d.length; i += 4) if (Math.abs(d[i] - d[i + 2]) > 60) n++; return n > 200; })()",
    );
    browser.until("document.querySelector('[data-track=\"2\"] .label').textContent === 'too small'");
    browser.until("Number(document.getElementById('plot').dataset.points) >= 3");
    browser.until("document.getElementById('lines').textContent.includes('processing every second frame')");
    browser.until("Number(document.getElementById('rate').textContent) > 1");

    browser.screenshot("light");
    browser.dark(true);
    browser.screenshot("dark");
    browser.size(390, 1500);
    browser.screenshot("phone-dark");
    browser.dark(false);
    // Nothing is wider than a phone.
    browser.until("document.documentElement.scrollWidth <= innerWidth");
    browser.screenshot("phone");
    assert_eq!(browser.console(), Vec::<String>::new());
}

#[test]
fn the_plot_shows_other_ranges_and_values_and_old_values_are_dimmed() {
    if is_missing() {
        return;
    }
    let telemetry = start(options("127.0.0.1:0"));
    let feeder = Feeder::new(&telemetry);
    let browser = Browser::open(1280, 900);
    browser.visit(&format!("http://{}/", telemetry.preview_address().unwrap()));
    browser.until("Number(document.getElementById('plot').dataset.points) >= 3");
    browser.until("document.getElementById('latency').textContent === '7.3 ms'");

    browser.until("document.querySelector('#ranges [aria-pressed=true]').textContent === '5 min'");
    browser.value("document.querySelectorAll('#ranges button')[2].click()");
    browser.until("document.querySelector('#ranges [aria-pressed=true]').textContent === '15 min'");
    assert_eq!(
        browser.value("document.getElementById('plot').getAttribute('aria-label')"),
        "Scores of face 1 over the last 15 min"
    );

    let values =
        "[...document.querySelectorAll('#legend b')].filter((value) => value.textContent.endsWith('%')).length";
    let key = |key: char| {
        let actions = json!([{ "type": "keyDown", "value": key }, { "type": "keyUp", "value": key }]);
        let source = json!({ "type": "key", "id": "keyboard", "actions": actions });
        browser.command("POST", "/actions", json!({ "actions": [source] }));
    };
    assert_eq!(browser.value(values), 0);
    browser.value("document.getElementById('plot').focus()");
    // Arrow left, and escape.
    key('\u{e012}');
    browser
        .until(&format!("{values} === 8 && document.getElementById('plot-hint').textContent.startsWith('Values at ')"));
    key('\u{e00c}');
    browser.until(&format!("{values} === 0"));
    let centre = "(() => { const { right, top, height } = document.getElementById('plot').getBoundingClientRect(); \
         return [Math.round(right - 10), Math.round(top + height / 2)]; })()";
    let at = browser.value(centre);
    let steps = json!([{ "type": "pointerMove", "x": at[0], "y": at[1], "duration": 0 }]);
    let pointer =
        json!({ "type": "pointer", "id": "mouse", "parameters": { "pointerType": "mouse" }, "actions": steps });
    browser.command("POST", "/actions", json!({ "actions": [pointer] }));
    browser.until(&format!("{values} === 8"));

    assert_eq!(browser.value("document.body.classList.contains('stale')"), false);
    drop(feeder);
    browser.until("document.body.classList.contains('stale')");
    browser.until("document.getElementById('state').textContent.startsWith('last frame ')");
    assert_eq!(browser.console(), Vec::<String>::new());
}

#[test]
fn a_paused_recording_and_a_lost_camera_are_shown() {
    if is_missing() {
        return;
    }
    let telemetry = start(options("127.0.0.1:0"));
    let browser = Browser::open(800, 600);
    browser.visit(&format!("http://{}/", telemetry.preview_address().unwrap()));
    browser.until("document.getElementById('state').textContent === 'no frames'");
    telemetry.event(&Event::CameraLost { reason: "unplugged".into() });
    browser.until("document.getElementById('lines').textContent.includes('camera lost')");
    browser.until("document.getElementById('state').textContent === 'camera lost'");
    browser.until("document.getElementById('lost').textContent.startsWith('camera lost since ')");
    browser.until("document.body.classList.contains('lost')");
    let feeder = Feeder::new(&telemetry);
    browser.until("document.getElementById('state').textContent === 'live'");
    browser.until("document.querySelectorAll('.face').length === 2 && !document.body.classList.contains('lost')");
    // Whoever comes while the camera is lost is told too, and no face of before.
    drop(feeder);
    telemetry.event(&Event::CameraLost { reason: "unplugged".into() });
    browser.until("document.querySelectorAll('.face').length === 0");
    browser.visit(&format!("http://{}/", telemetry.preview_address().unwrap()));
    browser.until("document.getElementById('lost').textContent.startsWith('camera lost since ')");
    let feeder = Feeder::new(&telemetry);
    browser.until("document.getElementById('state').textContent === 'live'");
    telemetry.event(&Event::WritingFailed { cause: "disk_full".into(), message: "no space left on device".into() });
    telemetry.event(&Event::RecordsLost { records: 3, events: 0, seconds: 1.0 });
    telemetry.event(&Event::Throttled(Throttling { to: Some(Rate::Half), ..Throttling::default() }));
    for words in ["no space left on device", "3 records lost", "every second frame is processed"] {
        browser.until(&format!("document.getElementById('trouble').textContent.includes('{words}')"));
    }
    telemetry.event(&Event::WritingRecovered { seconds: 2.5 });
    browser.until("!document.getElementById('trouble').textContent.includes('no space left')");
    telemetry.event(&Event::RecordingPaused { by: "button".into() });
    browser.until("document.getElementById('state').textContent === 'recording paused'");
    drop(feeder);
    assert_eq!(browser.console(), Vec::<String>::new());
    drop(telemetry);
    browser.until("document.getElementById('state').textContent === 'not connected'");
}

#[test]
fn a_wrong_token_shows_nothing_and_the_right_one_is_needed_once() {
    if is_missing() {
        return;
    }
    let telemetry = start(TelemetryOptions { token: Token::new(TOKEN), ..options("0.0.0.0:0") });
    let _feeder = Feeder::new(&telemetry);
    let port = telemetry.preview_address().unwrap().port();
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    assert_eq!(get(address, "/", &[]).status, 401);

    let browser = Browser::open(800, 600);
    for wrong in ["", "?token=wrong-token-wrong-token"] {
        browser.visit(&format!("http://{address}/{wrong}"));
        assert_eq!(browser.value("document.getElementById('live')"), Value::Null);
        assert!(browser.value("document.body.textContent").as_str().unwrap().contains("A token is needed"));
        // The browser itself says 401; no script of ours runs there.
        let console = browser.console();
        assert!(console.iter().all(|line| line.contains("401")), "{console:?}");
    }
    // The page that says so has a field for it.
    browser.value(
        "document.querySelector('input[name=token]').value = 'TOKEN', document.forms[0].submit()"
            .replace("TOKEN", TOKEN)
            .as_str(),
    );
    browser.until("document.getElementById('live')?.dataset.sequence !== undefined");
    assert_eq!(browser.value("location.href"), format!("http://{address}/"));
    assert_eq!(browser.value("document.cookie"), "", "scripts can read the cookie");
    browser.visit(&format!("http://{address}/"));
    browser.until("document.getElementById('live').dataset.sequence !== undefined");
    assert_eq!(browser.console(), Vec::<String>::new());
}

/// A server of another origin on this machine, with one page.
fn elsewhere(page: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let _ = stream.read(&mut [0; 4096]);
            let head = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: text/html\r\nContent-Length";
            let _ = write!(stream, "{head}: {}\r\n\r\n{page}", page.len());
        }
    });
    port
}

#[test]
fn a_page_elsewhere_cannot_read_or_show_the_preview() {
    if is_missing() {
        return;
    }
    let telemetry = start(options("127.0.0.1:0"));
    let _feeder = Feeder::new(&telemetry);
    let address = telemetry.preview_address().unwrap();
    let browser = Browser::open(800, 600);
    browser.visit(&format!("http://127.0.0.1:{}/", elsewhere("<title>elsewhere</title>")));
    assert_eq!(browser.value("document.title"), "elsewhere");
    browser.value(&format!(
        "promised = fetch('http://{address}/api/state').then(() => window.wasRead = 'yes', () => window.wasRead = 'no'), \
         (() => {{ const image = new Image(); image.onload = () => window.wasShown = 'yes'; \
         image.onerror = () => window.wasShown = 'no'; image.src = 'http://{address}/frame.jpg'; }})()"
    ));
    browser.until("window.wasRead !== undefined && window.wasShown !== undefined");
    assert_eq!(browser.value("[window.wasRead, window.wasShown]"), json!(["no", "no"]));
}

/// nginx in front of a preview: under `/cam/` as it is, under `/named/` with the name that the browser asked for, under `/kept/`
/// with its own path left in each request, and under `/bare` also without a slash at its end, as Traefik and Caddy take a path off.
struct Nginx {
    child: Child,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Nginx {
    fn new(preview: SocketAddr) -> Nginx {
        let folder = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let path = folder.path().display();
        let user =
            if Command::new("id").arg("-u").output().is_ok_and(|id| id.stdout == b"0\n") { "user root;" } else { "" };
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("    {kind}_temp_path {path}/{kind};\n"))
            .concat();
        let text = format!(
            "{user}\ndaemon off;\npid {path}/pid;\nerror_log {path}/errors;\nevents {{ }}\nhttp {{\n{temporary}    access_log off;\n\
             server {{\n listen 127.0.0.1:{port};\n\
             location /cam/ {{ proxy_pass http://{preview}/; }}\n\
             location /kept/ {{ proxy_pass http://{preview}; }}\n\
             location /bare {{ rewrite ^/bare/*(.*)$ /$1 break; proxy_pass http://{preview}; }}\n\
             location /named/ {{ proxy_pass http://{preview}/; proxy_set_header Host $host; }}\n}}\n}}\n"
        );
        std::fs::write(folder.path().join("conf"), text).unwrap();
        let program = if std::path::Path::new("/usr/sbin/nginx").exists() { "/usr/sbin/nginx" } else { "nginx" };
        let child =
            Command::new(program).args(["-p", &path.to_string(), "-c", "conf"]).stderr(Stdio::null()).spawn().unwrap();
        let nginx = Nginx { child, port, _folder: folder };
        until("nginx to listen", || std::net::TcpStream::connect(("127.0.0.1", port)).ok());
        nginx
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        let _ = self.child.wait();
    }
}

const SHOWS: &str = "document.getElementById('live')?.dataset.sequence !== undefined \
    && document.getElementById('state').textContent === 'live' && document.querySelectorAll('.face').length === 2 \
    && document.getElementById('bundle').textContent.includes('ferplus-test')";

#[test]
fn the_page_works_under_a_path_of_a_reverse_proxy() {
    if is_missing() || !has("nginx", "nginx-light") {
        return;
    }
    // Chromium resolves every name under localhost to this machine.
    let telemetry = start(TelemetryOptions { preview_hosts: vec!["board.localhost".into()], ..options("127.0.0.1:0") });
    let _feeder = Feeder::new(&telemetry);
    let nginx = Nginx::new(telemetry.preview_address().unwrap());
    let browser = Browser::open(800, 600);
    for url in [
        format!("http://127.0.0.1:{}/cam/", nginx.port),
        format!("http://board.localhost:{}/cam/", nginx.port),
        format!("http://board.localhost:{}/named/", nginx.port),
        format!("http://127.0.0.1:{}/kept/", nginx.port),
    ] {
        browser.visit(&url);
        browser.until(SHOWS);
        let icon = format!("document.querySelector('link[rel=icon]').href === '{url}icon.svg'");
        assert_eq!(browser.value(&icon), true, "{url}");
        assert_eq!(browser.console(), Vec::<String>::new(), "{url}");
    }
    browser.visit(&format!("http://127.0.0.1:{}/bare", nginx.port));
    browser.until(SHOWS);
    browser.visit(&format!("http://other.localhost:{}/named/", nginx.port));
    assert!(browser.value("document.body.textContent").as_str().unwrap().contains("--preview-host"));
}

#[test]
fn a_page_of_an_allowed_origin_shows_the_preview_in_a_frame_and_no_other_does() {
    if is_missing() {
        return;
    }
    // The outer page's site is localhost, the preview's 127.0.0.1, so no cookie is sent within the frame.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let outer = elsewhere("<title>outer</title><iframe width=700 height=500></iframe>");
    let origin = format!("http://localhost:{outer}");
    let telemetry = start(TelemetryOptions {
        token: Token::new(TOKEN),
        preview_embedders: vec![origin.parse().unwrap()],
        ..options(&format!("0.0.0.0:{port}"))
    });
    let _feeder = Feeder::new(&telemetry);
    let browser = Browser::open(800, 600);
    let frame = |origin: &str| {
        browser.visit(&format!("{origin}/"));
        browser.value(&format!(
            "new Promise((done) => {{ const frame = document.querySelector('iframe'); frame.onload = () => done(true); \
             frame.src = 'http://127.0.0.1:{port}/?token={TOKEN}'; }})"
        ));
        browser.command("POST", "/frame", json!({ "id": 0 }));
    };
    frame(&origin);
    browser.until(SHOWS);
    browser.command("POST", "/frame", json!({ "id": null }));
    assert_eq!(browser.console(), Vec::<String>::new());
    // The same page under another name is another origin.
    frame(&format!("http://other.localhost:{outer}"));
    assert_eq!(browser.value("document.getElementById('live')"), Value::Null);
    browser.command("POST", "/frame", json!({ "id": null }));
    assert!(browser.console().iter().any(|line| line.contains("frame-ancestors")));
}

/// Names that a page which takes them for HTML executes, each in another way.
const HOSTILE: [&str; 3] = [
    "<img src=nowhere onerror=\"window.owned='image'\">",
    "</title></script><script>window.owned='script'</script>",
    "\"'><svg onload=\"window.owned='svg'\"><a href=\"javascript:owned=1\">${window.owned='template'}",
];

#[test]
fn names_full_of_html_are_shown_and_never_executed() {
    if is_missing() {
        return;
    }
    let [bundle, source, file] = HOSTILE.map(String::from);
    let about = edge_runtime::telemetry::About { bundle, source, ..about() };
    let telemetry =
        std::sync::Arc::new(edge_runtime::telemetry::Telemetry::start(options("127.0.0.1:0"), about, None).unwrap());
    let show = |sequence| {
        let observation = edge_runtime::frame::Observation { name: Some(file.clone()), ..observation(sequence) };
        telemetry.observe(&edge_runtime::frame::Frame { name: Some(file.clone()), ..frame(sequence) }, &observation);
    };
    show(0);
    let browser = Browser::open(800, 600);
    browser.visit(&format!("http://{}/", telemetry.preview_address().unwrap()));
    browser.until("document.getElementById('bundle').textContent !== ''");
    let elements = "[document.scripts.length, document.querySelectorAll('img, svg, iframe, a').length]";
    let before = browser.value(elements);
    let mut sequence = 0;
    for reason in HOSTILE {
        telemetry.event(&Event::CameraLost { reason: reason.to_owned() });
        let shown = format!("document.body.textContent.includes({})", Value::from(reason));
        browser.until(&shown);
        telemetry.event(&Event::CameraBack { gap_ms: 5 });
        // The preview leaves out frames that come faster than it shows them.
        let back = format!("Number(document.getElementById('live').dataset.sequence) > {sequence}");
        let mut frames = 0..500;
        while browser.value(&back) != true {
            sequence += 1;
            assert!(frames.next().is_some(), "no frame is shown any more");
            show(sequence);
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }
    // Shown as text, in the heading and in the title.
    let name = Value::from(HOSTILE[0]);
    assert_eq!(browser.value(&format!("document.getElementById('bundle').textContent.includes({name})")), true);
    assert_eq!(browser.value(&format!("document.title.includes({name})")), true);
    assert_eq!(browser.value("typeof window.owned"), "undefined");
    assert_eq!(browser.value(elements), before);
    // A script that the page's policy kept from running would be named here.
    assert_eq!(browser.console(), Vec::<String>::new());
}
