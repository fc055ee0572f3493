//! What an answer carries.

use std::convert::Infallible;

use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::header::{self, HeaderValue};
use hyper::{Response, StatusCode};

/// The body of an answer: whole, or written as it comes.
pub type Body = UnsyncBoxBody<Bytes, Infallible>;

/// A line of text for people.
pub fn plain(status: StatusCode, text: &'static str) -> Response<Body> {
    let mut answer = content("text/plain; charset=utf-8", text);
    *answer.status_mut() = status;
    answer
}

/// A whole body of a content type.
pub fn content(kind: &'static str, body: impl Into<Bytes>) -> Response<Body> {
    streamed(kind, Full::new(body.into()).boxed_unsync())
}

/// A body of a content type.
pub fn streamed(kind: &'static str, body: Body) -> Response<Body> {
    let mut answer = Response::new(body);
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    answer
}
