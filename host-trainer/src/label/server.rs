//! The page's server, on a loopback address.

use std::io::{Cursor, Read};
use std::net::{Ipv4Addr, SocketAddr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tiny_http::{Header, Method, Request, Response};

use super::page::Page;
use super::{Face, Faces, MAX_NAME, Suggester, Vote, VoteBook};
use crate::dataset::labelled::TABLE;
use crate::error::Error;

/// Requests that are answered at once: a browser asks for several pictures ahead while a vote is synced to the disk.
const WORKERS: usize = 4;
/// Most bytes of a request's body.
const MAX_BODY: u64 = 16 << 10;
/// How often a worker looks whether the server stops.
const PATIENCE: Duration = Duration::from_millis(200);

/// Serves the page until it is dropped.
pub struct Server {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    workers: Vec<JoinHandle<()>>,
}

struct State {
    page: Page,
    faces: Faces,
    book: Mutex<VoteBook>,
    suggester: Suggester,
    folder: String,
    port: u16,
}

type Answer = Response<Cursor<Vec<u8>>>;

/// The body of a request that the server does not do.
struct Refusal(u16, String);

impl From<Error> for Refusal {
    fn from(error: Error) -> Refusal {
        Refusal(500, error.to_string())
    }
}

impl From<serde_json::Error> for Refusal {
    fn from(error: serde_json::Error) -> Refusal {
        Refusal(400, error.to_string())
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Open {
    by: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Cast {
    by: String,
    id: String,
    /// Null takes the vote back, so it must be there.
    #[serde(deserialize_with = "Option::deserialize")]
    vote: Option<Vote>,
}

#[derive(Serialize)]
struct Opened<'a> {
    /// The name under which the labeller has voted before.
    by: &'a str,
    faces: Vec<Listed<'a>>,
    /// The own votes in the order of voting: id and vote.
    votes: Vec<(&'a str, Vote)>,
    labellers: Vec<&'a str>,
    all_votes: usize,
    folder: &'a str,
}

#[derive(Serialize)]
struct Listed<'a> {
    id: &'a str,
    name: &'a str,
    duplicates: usize,
}

impl<'a> From<&'a Face> for Listed<'a> {
    fn from(face: &'a Face) -> Listed<'a> {
        Listed { id: &face.id, name: &face.name, duplicates: face.duplicates }
    }
}

#[derive(Serialize)]
struct Saved {
    all_votes: usize,
}

impl Server {
    /// Serves the faces of a folder at a port of 127.0.0.1; port 0 means any that is free.
    ///
    /// # Errors
    /// Returns an error if the folder has no pictures, its votes cannot be read or written, or the port is taken.
    pub fn start(folder: &Path, suggester: Suggester, port: u16) -> crate::Result<Server> {
        Faces::require_any(folder)?;
        let book = VoteBook::open(folder)?;
        let faces = Faces::read(folder, |name| book.has(name))?;
        let http = tiny_http::Server::http((Ipv4Addr::LOCALHOST, port))
            .map_err(|error| Error::BadInput(format!("port {port}: {error}; give another --port")))?;
        let address = http.server_addr().to_ip().ok_or_else(|| Error::Failed("the server has no address".into()))?;
        let state = Arc::new(State {
            page: Page::new(),
            faces,
            book: Mutex::new(book),
            suggester,
            folder: std::path::absolute(folder)?.display().to_string(),
            port: address.port(),
        });
        let (http, stop) = (Arc::new(http), Arc::new(AtomicBool::new(false)));
        let worker = |_| {
            let (http, state, stop) = (Arc::clone(&http), Arc::clone(&state), Arc::clone(&stop));
            std::thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    if let Ok(Some(request)) = http.recv_timeout(PATIENCE) {
                        state.answer(request);
                    }
                }
            })
        };
        let workers = (0..WORKERS).map(worker).collect();
        Ok(Server { address, stop, workers })
    }

    /// Where the page is.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for worker in self.workers.drain(..) {
            // A worker that panicked has said so.
            let _ = worker.join();
        }
    }
}

impl State {
    fn answer(&self, mut request: Request) {
        // A decoder that panics must not take its worker away; the message is on stderr by then.
        let answer = catch_unwind(AssertUnwindSafe(|| self.guard(&request).and_then(|()| self.route(&mut request))));
        let answer = answer.unwrap_or_else(|_| Err(Refusal(500, "this picture cannot be read".into())));
        let answer = answer.unwrap_or_else(|Refusal(status, text)| {
            with_headers(Response::from_data(text).with_status_code(status), "text/plain; charset=utf-8")
        });
        // The browser has gone; it will ask again.
        let _ = request.respond(answer);
    }

    /// Only pages of this server may ask: a name that leads to this machine from elsewhere, or a request that another page
    /// sends, is refused.
    fn guard(&self, request: &Request) -> Result<(), Refusal> {
        let header = |name: &'static str| {
            request.headers().iter().find(|header| header.field.equiv(name)).map(|header| header.value.as_str())
        };
        let own = |host: &str| {
            let hosts = ["127.0.0.1", "localhost"];
            hosts.iter().any(|name| host == *name || host == format!("{name}:{}", self.port))
                // A tunnel has a port of its own.
                || host.split_once(':').is_some_and(|(name, port)| hosts.contains(&name) && port.parse::<u16>().is_ok())
        };
        if !header("Host").is_some_and(own) {
            return Err(Refusal(421, "this page is served to localhost only".into()));
        }
        if header("Sec-Fetch-Site").is_some_and(|site| !["same-origin", "none"].contains(&site)) {
            return Err(Refusal(403, "requests of other pages are refused".into()));
        }
        let is_json = header("Content-Type").is_some_and(|kind| kind.starts_with("application/json"));
        if *request.method() == Method::Post && !is_json {
            return Err(Refusal(415, "expected application/json".into()));
        }
        Ok(())
    }

    fn route(&self, request: &mut Request) -> Result<Answer, Refusal> {
        let (method, url) = (request.method().clone(), request.url().to_owned());
        match (&method, url.as_str()) {
            (Method::Get, "/") => {
                let answer = with_headers(Response::from_data(self.page.html.clone()), "text/html; charset=utf-8");
                Ok(with_header(answer, "Content-Security-Policy", &self.page.policy))
            }
            // Browsers ask for it by themselves.
            (Method::Get, "/favicon.ico") => Ok(Response::from_data(Vec::new()).with_status_code(204)),
            (Method::Post, "/api/open") => self.open(&read(request)?),
            (Method::Post, "/api/vote") => self.cast(&read(request)?),
            (Method::Get, path) => match path.rsplit_once('/') {
                Some(("/face", id)) => self.picture(id),
                Some(("/api/suggestion", id)) => self.suggestion(id),
                _ => Err(not_found()),
            },
            _ => Err(not_found()),
        }
    }

    fn open(&self, body: &[u8]) -> Result<Answer, Refusal> {
        let Open { by } = serde_json::from_slice(body)?;
        let by = labeller(&by)?;
        let book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        let by = book.known(by);
        let id = |name: &str| self.faces.named(name).map(|face| face.id.as_str());
        json(&Opened {
            by,
            faces: self.faces.all().iter().map(Listed::from).collect(),
            // A vote on a file that is gone stays in the table; there is nothing to show.
            votes: book.of(by).into_iter().filter_map(|(name, vote)| Some((id(name)?, vote))).collect(),
            labellers: book.labellers(),
            all_votes: book.votes(),
            folder: &self.folder,
        })
    }

    fn cast(&self, body: &[u8]) -> Result<Answer, Refusal> {
        let Cast { by, id, vote } = serde_json::from_slice(body)?;
        let by = labeller(&by)?;
        let face = self.faces.get(&id).ok_or_else(not_found)?;
        let mut book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        let by = book.known(by).to_owned();
        book.cast(&face.name, &by, vote)?;
        json(&Saved { all_votes: book.votes() })
    }

    fn picture(&self, id: &str) -> Result<Answer, Refusal> {
        let face = self.faces.get(id).ok_or_else(not_found)?;
        let bytes = std::fs::read(self.faces.path(face)).map_err(|error| Refusal(404, error.to_string()))?;
        let kind = image::guess_format(&bytes).map_err(|error| Refusal(415, error.to_string()))?;
        use image::ImageFormat::{Bmp, Gif, Jpeg, Png, WebP};
        if matches!(kind, Bmp | Gif | Jpeg | Png | WebP) {
            return Ok(with_headers(Response::from_data(bytes), kind.to_mime_type()));
        }
        // What browsers do not show.
        let mut png = Cursor::new(Vec::new());
        let picture = image::load_from_memory_with_format(&bytes, kind);
        picture.and_then(|picture| picture.write_to(&mut png, Png)).map_err(|error| Refusal(415, error.to_string()))?;
        Ok(with_headers(Response::from_data(png.into_inner()), Png.to_mime_type()))
    }

    fn suggestion(&self, id: &str) -> Result<Answer, Refusal> {
        let face = self.faces.get(id).ok_or_else(not_found)?;
        match self.suggester.suggest(face, &self.faces.path(face))? {
            Some(suggestion) => json(&suggestion),
            None => Err(Refusal(404, "no model to ask; start with --bundle DIR".into())),
        }
    }
}

/// The whole body of a request.
fn read(request: &mut Request) -> Result<Vec<u8>, Refusal> {
    let mut body = Vec::new();
    let read = request.as_reader().take(MAX_BODY + 1).read_to_end(&mut body);
    read.map_err(|error| Refusal(400, error.to_string()))?;
    if body.len() as u64 > MAX_BODY {
        return Err(Refusal(413, format!("more than {MAX_BODY} bytes")));
    }
    Ok(body)
}

/// A labeller's name without the blanks around it.
fn labeller(name: &str) -> Result<&str, Refusal> {
    let name = name.trim();
    let is_name = !name.is_empty() && name.chars().count() <= MAX_NAME && !name.chars().any(char::is_control);
    is_name.then_some(name).ok_or_else(|| Refusal(400, format!("a name has 1 to {MAX_NAME} characters")))
}

fn not_found() -> Refusal {
    Refusal(404, format!("there is no such page or face; the votes are in {TABLE}"))
}

fn json(value: &impl Serialize) -> Result<Answer, Refusal> {
    Ok(with_headers(Response::from_data(serde_json::to_vec(value)?), "application/json"))
}

/// Pictures of people are not to lie in the browser's cache, nor to be shown by other pages.
fn with_headers(answer: Answer, kind: &str) -> Answer {
    [
        ("Content-Type", kind),
        ("Cache-Control", "no-store"),
        ("X-Content-Type-Options", "nosniff"),
        ("Referrer-Policy", "no-referrer"),
        ("Cross-Origin-Resource-Policy", "same-origin"),
        ("Cross-Origin-Opener-Policy", "same-origin"),
    ]
    .into_iter()
    .fold(answer, |answer, (name, value)| with_header(answer, name, value))
}

fn with_header(answer: Answer, name: &str, value: &str) -> Answer {
    match Header::from_bytes(name, value) {
        Ok(header) => answer.with_header(header),
        // Only text that is not ASCII is refused, and all of it is ours.
        Err(()) => answer,
    }
}
