//! The label page in a real browser: headless Chromium, driven over WebDriver.

use std::collections::BTreeMap;
use std::path::Path;

use host_trainer::label::{Server, Suggester};
use serde_json::{Value, json};
use test_support::browser::{Browser, is_missing};

/// Faces that a program can tell apart: bars of different widths, with an oval in front.
fn faces(folder: &Path, count: u32) {
    for number in 0..count {
        let shade = |x: u32, y: u32| {
            let (dx, dy) = (x as f32 - 48.0, (y as f32 - 48.0) / 1.25);
            let inside = dx * dx + dy * dy < 1200.0;
            image::Luma([if inside { 220 } else { (x * (1 + number % 13) + number * 7) as u8 }])
        };
        image::GrayImage::from_fn(96, 96, shade).save(folder.join(format!("face-{number:04}.png"))).unwrap();
    }
}

struct Page {
    browser: Browser,
    server: Server,
    folder: tempfile::TempDir,
}

impl Page {
    fn new(count: u32) -> Page {
        let folder = tempfile::tempdir().unwrap();
        faces(folder.path(), count);
        let server = Server::start(folder.path(), Suggester::new(None).unwrap(), 0).unwrap();
        Page { browser: Browser::open(900, 900), server, folder }
    }

    /// Opens the page and gives a name, by keys alone.
    fn start(&self, name: &str) {
        self.browser.visit("about:blank");
        self.browser.visit(&format!("http://{}/", self.server.address()));
        self.browser.until("document.activeElement.id === 'name'");
        self.keys(&format!("{name}\u{e007}"));
        self.browser.until("document.querySelector('#figure img') !== null || !document.getElementById('done').hidden");
    }

    /// Presses keys as a keyboard does.
    fn keys(&self, keys: &str) {
        let press = |key: char| [json!({ "type": "keyDown", "value": key }), json!({ "type": "keyUp", "value": key })];
        let actions: Vec<Value> = keys.chars().flat_map(press).collect();
        let source = json!({ "type": "key", "id": "keyboard", "actions": actions });
        self.browser.command("POST", "/actions", json!({ "actions": [source] }));
    }

    fn shows(&self, number: u32) {
        self.browser.until(&format!("document.getElementById('figure').dataset.face === 'face-{number:04}.png'"));
    }

    fn saved(&self) {
        self.browser.until("document.getElementById('progress').dataset.saved === 'true'");
    }

    /// The rows of the table: the numbers of votes by face.
    fn table(&self) -> BTreeMap<String, String> {
        self.saved();
        let table = std::fs::read_to_string(self.folder.path().join("votes.csv")).unwrap();
        let row = |line: &str| {
            let (name, votes) = line.strip_prefix("Training,")?.split_once(',')?;
            Some((name.to_owned(), votes.to_owned()))
        };
        table.lines().filter_map(row).collect()
    }
}

fn row(number: u32, votes: &str) -> (String, String) {
    (format!("face-{number:04}.png"), votes.to_owned())
}

#[test]
fn keys_undo_skip_two_labellers_and_a_reload() {
    if is_missing() {
        return;
    }
    let page = Page::new(6);
    page.start("anna");
    page.shows(0);
    page.browser.screenshot("label");
    page.keys("2");
    page.shows(1);
    page.keys("1");
    page.shows(2);
    // Undo goes back to the face, and back again.
    page.keys("u");
    page.shows(1);
    page.keys("u");
    page.shows(0);
    page.keys("28");
    page.shows(2);
    assert_eq!(page.table(), BTreeMap::from([row(0, "0,1,0,0,0,0,0,0,0,0"), row(1, "0,0,0,0,0,0,0,1,0,0")]));
    // Skipped faces come last; a reload in the middle continues, and undo still knows the last vote.
    page.keys("s");
    page.shows(3);
    page.keys("0");
    page.shows(4);
    page.saved();
    page.browser.command("POST", "/refresh", json!({}));
    page.shows(2);
    assert_eq!(page.browser.value("document.getElementById('bar').value"), 3);
    page.keys("u");
    page.shows(3);
    page.keys("9");
    page.shows(2);
    page.keys("777");
    page.browser.until("!document.getElementById('done').hidden");
    assert!(
        page.browser.value("document.getElementById('command').textContent").as_str().unwrap().contains("labelled:")
    );
    page.browser.screenshot("label-done");
    page.saved();

    page.start("bert");
    page.shows(0);
    page.keys("3");
    page.shows(1);
    // The key of 2 on a French keyboard.
    let pressed = "new KeyboardEvent('keydown', { key: '\u{e9}', code: 'Digit2', bubbles: true, cancelable: true })";
    assert_eq!(page.browser.value(&format!("document.body.dispatchEvent({pressed})")), false, "it is taken");
    page.shows(2);
    let table = page.table();
    assert_eq!(table["face-0000.png"], "0,1,1,0,0,0,0,0,0,0");
    assert_eq!(table["face-0003.png"], "0,0,0,0,0,0,0,0,1,0");
    assert_eq!(table["face-0005.png"], "0,0,0,0,0,0,1,0,0,0");
    let progress = page.browser.value("document.getElementById('progress').textContent");
    assert!(progress.as_str().unwrap().starts_with("2 of 6 labelled by you; 8 votes by 2 people"), "{progress}");
    assert_eq!(page.browser.console(), Vec::<String>::new());
}

#[test]
fn a_phone_and_a_keyboard_reach_every_answer() {
    if is_missing() {
        return;
    }
    let page = Page::new(4);
    page.start("anna");
    page.shows(0);
    // From the address bar on, Tab reaches the answers in the order of their keys.
    page.browser.value("document.getElementById('change').focus()");
    let mut order = Vec::new();
    for _ in 0..12 {
        page.keys("\u{e004}");
        order.push(page.browser.value("document.activeElement.getAttribute('aria-keyshortcuts')"));
    }
    // Nothing can be undone yet.
    assert_eq!(order, ["1", "2", "3", "4", "5", "6", "7", "8", "9", "0", "s", "h"]);
    page.browser.value("document.getElementById('answer-4').focus()");
    page.keys("\u{e007}");
    page.shows(1);
    // A suggestion is shown only after it was asked for.
    assert_eq!(page.browser.value("document.getElementById('suggestion').hidden"), true);
    page.keys("h");
    page.browser.until("document.getElementById('suggestion').textContent.includes('no model to ask')");

    page.browser.size(390, 844);
    page.browser.until("document.documentElement.scrollWidth <= innerWidth");
    page.browser.screenshot("label-phone");
    let small = "[...document.querySelectorAll('#labels button, #others button')].filter((button) => \
                 button.getBoundingClientRect().height < 44 || button.getBoundingClientRect().bottom > innerHeight).length";
    assert_eq!(page.browser.value(small), 0, "a finger needs 44 pixels, and all answers on one screen");
    let element = page.browser.command("POST", "/element", json!({ "using": "css selector", "value": "#answer-5" }));
    let element = element.as_object().unwrap().values().next().unwrap().as_str().unwrap().to_owned();
    page.browser.command("POST", &format!("/element/{element}/click"), json!({}));
    page.shows(2);
    let expected = BTreeMap::from([row(0, "0,0,0,1,0,0,0,0,0,0"), row(1, "0,0,0,0,1,0,0,0,0,0")]);
    assert_eq!(page.table(), expected);
    // The failed request for a suggestion is the browser's only complaint.
    let console = page.browser.console();
    assert!(console.iter().all(|line| line.contains("/api/suggestion/")), "{console:?}");
}

#[test]
fn a_vote_that_cannot_be_saved_is_said_and_comes_back() {
    if is_missing() {
        return;
    }
    let page = Page::new(3);
    page.start("anna");
    page.shows(0);
    // The first vote fails while the second one waits.
    page.browser.value(
        "(() => { const real = window.fetch; let failures = 1; window.fetch = (path, ...rest) => \
         path === '/api/vote' && failures-- > 0 ? \
         new Promise((_, reject) => { window.fail = () => reject(new Error('no disk')); }) : real(path, ...rest); })()",
    );
    page.keys("12");
    page.shows(2);
    page.browser.value("window.fail()");
    page.shows(0);
    assert_eq!(page.table(), BTreeMap::from([row(1, "0,1,0,0,0,0,0,0,0,0")]));
    page.shows(0);
    assert_eq!(page.browser.value("document.getElementById('bar').value"), 1);

    let Page { browser, server, .. } = page;
    drop(server);
    let press = json!([{ "type": "keyDown", "value": "1" }, { "type": "keyUp", "value": "1" }]);
    let press = json!({ "actions": [{ "type": "key", "id": "keyboard", "actions": press }] });
    browser.command("POST", "/actions", press);
    browser.until("!document.getElementById('trouble').hidden");
}

/// Prints how long a key press takes until the next face is on the screen.
#[test]
fn a_thousand_faces_are_labelled_without_delay() {
    if is_missing() {
        return;
    }
    let page = Page::new(1000);
    page.start("anna");
    page.shows(0);
    // From the key's own time until the frame after the picture was decoded and put in its place.
    page.browser.value(
        "(() => { window.delays = []; let pressed = 0; \
         document.addEventListener('keydown', (event) => { pressed = event.timeStamp; }, true); \
         new MutationObserver(() => { const at = pressed; const image = document.querySelector('#figure img'); \
           if (image) image.decode().then(() => requestAnimationFrame(() => setTimeout(() => \
             window.delays.push(performance.now() - at)))); \
         }).observe(document.getElementById('figure'), { childList: true }); })()",
    );
    for round in 0..99 {
        let actions: Vec<Value> = (0..10)
            .flat_map(|index| {
                let key = char::from(b'1' + ((round + index) % 8) as u8);
                [
                    json!({ "type": "keyDown", "value": key }),
                    json!({ "type": "keyUp", "value": key }),
                    json!({ "type": "pause", "duration": 60 }),
                ]
            })
            .collect();
        let source = json!({ "type": "key", "id": "keyboard", "actions": actions });
        page.browser.command("POST", "/actions", json!({ "actions": [source] }));
    }
    page.keys("1111111111");
    page.browser.until("!document.getElementById('done').hidden");
    page.saved();
    assert_eq!(page.table().len(), 1000);
    let delays = page.browser.value("window.delays");
    let mut delays: Vec<f64> = delays.as_array().unwrap().iter().filter_map(Value::as_f64).collect();
    delays.sort_by(f64::total_cmp);
    let at = |share: f64| delays[((delays.len() - 1) as f64 * share) as usize];
    println!(
        "key press to the next face, {} presses: median {:.1} ms, p95 {:.1} ms, longest {:.1} ms",
        delays.len(),
        at(0.5),
        at(0.95),
        at(1.0)
    );
    assert!(delays.len() > 900);
}
