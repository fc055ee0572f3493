//! What is served, and under which conditions.

use std::convert::Infallible;
use std::sync::Arc;

use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body as _, Bytes, Incoming};
use hyper::header::{self, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};

use super::guard::{Guard, Refusal};
use crate::telemetry::hub::Hub;

/// What an answer carries.
pub type Body = UnsyncBoxBody<Bytes, Infallible>;

/// What one listener serves.
pub struct Site {
    hub: Arc<Hub>,
    guard: Guard,
    #[cfg(feature = "preview")]
    page: Option<crate::telemetry::page::Page>,
}

impl Site {
    /// The page, and the metrics beside it.
    #[cfg(feature = "preview")]
    pub fn preview(hub: Arc<Hub>, guard: Guard) -> Site {
        Site { hub, guard, page: Some(crate::telemetry::page::Page::new()) }
    }

    /// The metrics alone.
    #[cfg(feature = "metrics")]
    pub fn metrics(hub: Arc<Hub>, guard: Guard) -> Site {
        Site {
            hub,
            guard,
            #[cfg(feature = "preview")]
            page: None,
        }
    }

    /// The answer to a request.
    pub async fn answer(&self, request: &Request<Incoming>) -> Response<Body> {
        let mut answer = self.guarded(request).await;
        let headers = answer.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
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

    async fn guarded(&self, request: &Request<Incoming>) -> Response<Body> {
        let pass = match self.guard.check(request.headers(), request.uri().query()) {
            Ok(pass) => pass,
            Err(Refusal::Host) => {
                return plain(StatusCode::MISDIRECTED_REQUEST, "This is localhost; ask for it by that name.\n");
            }
            Err(Refusal::Token) => {
                let mut answer = plain(
                    StatusCode::UNAUTHORIZED,
                    "A token is needed. Open http://THIS-ADDRESS/?token=TOKEN, or send Authorization: Bearer TOKEN.\n\
                     The program printed the token as it started, or reads it from --preview-token-file.\n",
                );
                answer.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
                return answer;
            }
        };
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let mut answer = plain(StatusCode::METHOD_NOT_ALLOWED, "Only GET and HEAD are understood.\n");
            answer.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
            return answer;
        }
        let _ = pass;
        #[cfg(feature = "preview")]
        if let Some(page) = &self.page
            && let Some(answer) = self.watched(request, page, pass).await
        {
            return answer;
        }
        match request.uri().path() {
            #[cfg(feature = "metrics")]
            "/metrics" => {
                use crate::telemetry::metrics;
                content(metrics::CONTENT_TYPE, metrics::text(&self.hub))
            }
            _ => plain(StatusCode::NOT_FOUND, "There is nothing here.\n"),
        }
    }

    /// The answers that belong to the preview.
    #[cfg(feature = "preview")]
    async fn watched(
        &self,
        request: &Request<Incoming>,
        page: &crate::telemetry::page::Page,
        pass: super::guard::Pass,
    ) -> Option<Response<Body>> {
        use super::stream;
        let head = request.method() == Method::HEAD;
        Some(match request.uri().path() {
            "/" => {
                let mut answer = content("text/html; charset=utf-8", page.html.clone());
                let headers = answer.headers_mut();
                headers.extend(page.policy.parse().ok().map(|policy| (header::CONTENT_SECURITY_POLICY, policy)));
                if pass == super::guard::Pass::Token {
                    let cookie = self.guard.cookie().and_then(|cookie| cookie.parse().ok());
                    headers.extend(cookie.map(|cookie: HeaderValue| (header::SET_COOKIE, cookie)));
                }
                answer
            }
            "/icon.svg" => content("image/svg+xml", crate::telemetry::page::ICON),
            "/api/state" => content("application/json", crate::telemetry::json::state(&self.hub).to_string()),
            // Streams have no end, so there is no head to ask for without one.
            "/frame.jpg" | "/stream.mjpg" | "/events" if head => {
                plain(StatusCode::METHOD_NOT_ALLOWED, "Only GET is understood here.\n")
            }
            "/frame.jpg" => stream::picture(&self.hub, request.uri().query().unwrap_or("")).await,
            "/stream.mjpg" => stream::pictures(&self.hub),
            "/events" => stream::events(&self.hub),
            _ => return None,
        })
    }
}

/// A line of text for people.
pub fn plain(status: StatusCode, text: &'static str) -> Response<Body> {
    let mut answer = content("text/plain; charset=utf-8", text);
    *answer.status_mut() = status;
    answer
}

/// A whole body of a type.
pub fn content(kind: &'static str, body: impl Into<Bytes>) -> Response<Body> {
    streamed(kind, Full::new(body.into()).boxed_unsync())
}

/// A body of a type.
pub fn streamed(kind: &'static str, body: Body) -> Response<Body> {
    let mut answer = Response::new(body);
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    answer
}
