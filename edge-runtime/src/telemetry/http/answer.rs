//! What is served, and under which conditions.

use hyper::body::{Body as _, Incoming};
use hyper::header::{self, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};

use super::body::{Body, content, plain};
use super::guard::{Guard, Pass, Refusal};
use super::shared::Shared;
use crate::telemetry::health::Health;
#[cfg(feature = "preview")]
use crate::telemetry::page::Page;

/// What one listener serves.
pub struct Site {
    shared: Shared,
    guard: Guard,
    #[cfg(feature = "preview")]
    pages: Option<Pages>,
}

#[cfg(feature = "preview")]
struct Pages {
    page: Page,
    login: Page,
    /// Whether some other origin may show the page in a frame.
    embeds: bool,
}

impl Site {
    /// The page, with the metrics beside it. The `embedders` may show the page in a frame.
    #[cfg(feature = "preview")]
    pub fn preview(shared: Shared, guard: Guard, embedders: &[crate::telemetry::listen::Origin]) -> Site {
        let pages =
            Pages { page: Page::preview(embedders), login: Page::login(embedders), embeds: !embedders.is_empty() };
        Site { shared, guard, pages: Some(pages) }
    }

    /// Health and, if they are built in, the metrics.
    pub fn metrics(shared: Shared, guard: Guard) -> Site {
        Site {
            shared,
            guard,
            #[cfg(feature = "preview")]
            pages: None,
        }
    }

    /// Answers a request.
    pub async fn answer(&self, request: &Request<Incoming>) -> Response<Body> {
        let mut answer = self.guarded(request).await;
        let headers = answer.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        if !self.embeds() {
            // Browsers that know `frame-ancestors` ignore it; it has no form that names an origin.
            headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
        }
        headers.insert("cross-origin-resource-policy", HeaderValue::from_static("same-origin"));
        headers
            .entry(header::CONTENT_SECURITY_POLICY)
            .or_insert(HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"));
        if request.body().size_hint().upper() != Some(0) {
            // Nobody reads it.
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        answer
    }

    #[cfg(feature = "preview")]
    fn embeds(&self) -> bool {
        self.pages.as_ref().is_some_and(|pages| pages.embeds)
    }

    #[cfg(not(feature = "preview"))]
    fn embeds(&self) -> bool {
        false
    }

    async fn guarded(&self, request: &Request<Incoming>) -> Response<Body> {
        let pass = match self.guard.check(request.headers(), request.uri().query()) {
            Ok(pass) => pass,
            Err(Refusal::Host) => {
                return plain(
                    StatusCode::MISDIRECTED_REQUEST,
                    "This server answers requests for localhost only. To ask for it by another name, start edge-runtime with\n\
                     --preview-host NAME; a reverse proxy may also send the header Host: localhost.\n",
                );
            }
            Err(Refusal::Token) => return self.token_needed(request),
        };
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let mut answer = plain(StatusCode::METHOD_NOT_ALLOWED, "Only GET and HEAD are supported.\n");
            answer.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
            return answer;
        }
        #[cfg(feature = "preview")]
        if let Some(pages) = &self.pages
            && let Some(answer) = self.watched(request, &pages.page, pass).await
        {
            return answer;
        }
        let _: Pass = pass;
        match wanted(request.uri().path()) {
            "/health" => self.health(),
            #[cfg(feature = "metrics")]
            "/metrics" => {
                use crate::telemetry::metrics;
                #[cfg(feature = "mqtt")]
                let publishes = self.shared.publishes;
                #[cfg(not(feature = "mqtt"))]
                let publishes = false;
                content(metrics::CONTENT_TYPE, metrics::text(&self.shared.hub, publishes))
            }
            _ => plain(StatusCode::NOT_FOUND, "There is nothing here.\n"),
        }
    }

    /// The health of this program for other programs: by the status code, and as JSON.
    fn health(&self) -> Response<Body> {
        let health = Health::new(&self.shared.hub);
        let mut answer = content("application/json", serde_json::to_string(&health).unwrap_or_default());
        if !health.healthy {
            *answer.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        }
        answer
    }

    /// Asks for the token: a form for browsers, a line for programs.
    fn token_needed(&self, request: &Request<Incoming>) -> Response<Body> {
        let wants_page = request.headers().get(header::ACCEPT).and_then(|value| value.to_str().ok());
        let wants_page = wants_page.is_some_and(|kinds| kinds.contains("text/html"));
        let mut answer = match (wants_page, self.login()) {
            (true, Some(page)) => page,
            _ => plain(
                StatusCode::UNAUTHORIZED,
                "A token is needed. Send Authorization: Bearer TOKEN, or open http://THIS-ADDRESS/?token=TOKEN in a browser.\n\
                 edge-runtime printed the token when it started, or reads it from --preview-token-file.\n",
            ),
        };
        answer.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        answer
    }

    #[cfg(feature = "preview")]
    fn login(&self) -> Option<Response<Body>> {
        let page = &self.pages.as_ref()?.login;
        let mut answer = content("text/html; charset=utf-8", page.html.clone());
        *answer.status_mut() = StatusCode::UNAUTHORIZED;
        answer.headers_mut().extend(page.policy.parse().ok().map(|policy| (header::CONTENT_SECURITY_POLICY, policy)));
        Some(answer)
    }

    #[cfg(not(feature = "preview"))]
    fn login(&self) -> Option<Response<Body>> {
        None
    }

    /// The answers that belong to the preview.
    #[cfg(feature = "preview")]
    async fn watched(&self, request: &Request<Incoming>, page: &Page, pass: Pass) -> Option<Response<Body>> {
        use super::stream;
        use crate::telemetry::message;
        let head = request.method() == Method::HEAD;
        Some(match wanted(request.uri().path()) {
            "/" => {
                let mut answer = content("text/html; charset=utf-8", page.html.clone());
                let headers = answer.headers_mut();
                headers.extend(page.policy.parse().ok().map(|policy| (header::CONTENT_SECURITY_POLICY, policy)));
                if pass == Pass::Token {
                    let cookie = self.guard.cookie().and_then(|cookie| cookie.parse().ok());
                    headers.extend(cookie.map(|cookie: HeaderValue| (header::SET_COOKIE, cookie)));
                }
                answer
            }
            "/icon.svg" => content("image/svg+xml", crate::telemetry::page::ICON),
            "/api/state" => content("application/json", message::text(&message::Overview::new(&self.shared.hub))),
            // Streams have no end, so they have no head of their own.
            "/frame.jpg" | "/stream.mjpg" | "/events" if head => {
                let mut answer = plain(StatusCode::METHOD_NOT_ALLOWED, "Only GET is supported here.\n");
                answer.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET"));
                answer
            }
            "/frame.jpg" => stream::picture(&self.shared, request.uri().query().unwrap_or("")).await,
            "/stream.mjpg" => stream::pictures(&self.shared),
            "/events" => stream::events(&self.shared),
            _ => return None,
        })
    }
}

/// What there is besides the page, which is a folder.
const PATHS: [&str; 7] = ["/icon.svg", "/api/state", "/frame.jpg", "/stream.mjpg", "/events", "/health", "/metrics"];

/// The end of a path, which says what is wanted: a reverse proxy may have left its own path before it.
fn wanted(path: &str) -> &str {
    if path.ends_with('/') {
        return "/";
    }
    PATHS.into_iter().find(|known| path.ends_with(known)).unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::wanted;

    #[test]
    fn a_path_may_begin_with_that_of_a_proxy() {
        for (path, expected) in [
            ("/", "/"),
            ("/cam/", "/"),
            ("//", "/"),
            ("//frame.jpg", "/frame.jpg"),
            ("/a/b/api/state", "/api/state"),
            ("/cam/metrics", "/metrics"),
            ("/cam", "/cam"),
            ("/xframe.jpg", "/xframe.jpg"),
            ("/state", "/state"),
        ] {
            assert_eq!(wanted(path), expected);
        }
    }
}
