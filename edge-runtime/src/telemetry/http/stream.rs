//! Pictures and events as they come.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Frame};
use hyper::header::HeaderValue;
use hyper::{Response, StatusCode};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc::error::SendError;
use tokio::sync::{broadcast, mpsc};
use tokio::time::timeout;

use super::body::{Body, content, streamed};
use super::guard::parameter;
use super::shared::Shared;
use crate::telemetry::viewers::Jpeg;

/// How long a request for one picture waits for it.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often a waiting request asks for pictures again; shorter than the time for which they are made.
const RENEWAL: Duration = Duration::from_secs(1);
/// Older pictures are not the present.
const FRESH: Duration = Duration::from_secs(1);
/// Time between comments that keep a quiet stream of events from being taken for dead.
const SIGN_OF_LIFE: Duration = Duration::from_secs(15);

/// Encodes each picture that viewers want, once for all of them.
pub async fn encode(shared: Shared) {
    let mut pictures = shared.viewers.pictures.subscribe();
    while pictures.changed().await.is_ok() {
        let Some(picture) = pictures.borrow_and_update().clone() else { continue };
        let Some(bytes) = picture.jpeg() else { continue };
        shared.hub.counters.pictures.fetch_add(1, Relaxed);
        let jpeg = Jpeg { sequence: picture.sequence, made: Instant::now(), bytes: bytes.into() };
        shared.viewers.jpegs.send_replace(Some(Arc::new(jpeg)));
    }
}

/// The newest picture, as soon as there is another one than `?after=SEQUENCE` names; no content if none comes.
pub async fn picture(shared: &Shared, query: &str) -> Response<Body> {
    let after = parameter(query, "after").and_then(|number| number.parse().ok());
    let mut jpegs = shared.viewers.jpegs.subscribe();
    let wanted = |jpeg: &Option<Arc<Jpeg>>| {
        jpeg.as_ref().is_some_and(|jpeg| Some(jpeg.sequence) != after && jpeg.made.elapsed() < FRESH)
    };
    let until = Instant::now() + PATIENCE;
    while Instant::now() < until {
        shared.viewers.want(shared.hub.started.elapsed());
        let found = match timeout(RENEWAL, jpegs.wait_for(&wanted)).await {
            Ok(Ok(jpeg)) => jpeg.clone(),
            Ok(Err(_)) => break,
            Err(_) => continue,
        };
        if let Some(jpeg) = found {
            let mut answer = content("image/jpeg", jpeg.bytes.clone());
            answer.headers_mut().insert("x-sequence", HeaderValue::from(jpeg.sequence));
            return answer;
        }
    }
    let mut answer = Response::new(Empty::new().boxed_unsync());
    *answer.status_mut() = StatusCode::NO_CONTENT;
    answer
}

/// A body that is written as fast as the client reads it.
struct Flow(mpsc::Receiver<Bytes>);

impl hyper::body::Body for Flow {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(context).map(|part| part.map(|bytes| Ok(Frame::data(bytes))))
    }
}

/// A body of a content type and the sender of its parts: one at a time, so that nothing waits in memory for a slow client.
fn flow(kind: &'static str) -> (mpsc::Sender<Bytes>, Response<Body>) {
    let (sender, receiver) = mpsc::channel(1);
    let mut answer = streamed(kind, Flow(receiver).boxed_unsync());
    // nginx would gather several kilobytes before it passes anything on, which are seconds of events.
    answer.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    (sender, answer)
}

/// Motion JPEG: what cameras on a network send, and browsers and Home Assistant show.
pub fn pictures(shared: &Shared) -> Response<Body> {
    let (sender, answer) = flow("multipart/x-mixed-replace; boundary=picture");
    let shared = shared.clone();
    tokio::spawn(async move {
        tokio::select! {
            () = sender.closed() => {}
            _ = send_pictures(&shared, &sender) => {}
        }
    });
    answer
}

/// Ends when the client has gone.
async fn send_pictures(shared: &Shared, sender: &mpsc::Sender<Bytes>) -> Result<(), SendError<Bytes>> {
    let mut jpegs = shared.viewers.jpegs.subscribe();
    let mut quiet = Duration::ZERO;
    loop {
        shared.viewers.want(shared.hub.started.elapsed());
        let jpeg = match timeout(RENEWAL, jpegs.changed()).await {
            Ok(Ok(())) => jpegs.borrow_and_update().clone(),
            Ok(Err(_)) => return Ok(()),
            Err(_) => None,
        };
        let Some(jpeg) = jpeg else {
            quiet += RENEWAL;
            if quiet >= SIGN_OF_LIFE {
                quiet = Duration::ZERO;
                // Between two parts an empty line means nothing, but it finds out whether anybody is there.
                sender.send(Bytes::from_static(b"\r\n")).await?;
            }
            continue;
        };
        quiet = Duration::ZERO;
        let (length, sequence) = (jpeg.bytes.len(), jpeg.sequence);
        let head = format!(
            "--picture\r\nContent-Type: image/jpeg\r\nContent-Length: {length}\r\nX-Sequence: {sequence}\r\n\r\n"
        );
        for part in [head.into(), jpeg.bytes.clone(), Bytes::from_static(b"\r\n")] {
            // Waits for a slow client, who gets fewer pictures, not older ones.
            sender.send(part).await?;
        }
    }
}

/// Server-sent events: `observation` and `event`, each a JSON object.
pub fn events(shared: &Shared) -> Response<Body> {
    let (sender, answer) = flow("text/event-stream");
    let messages = shared.viewers.messages.subscribe();
    tokio::spawn(async move {
        tokio::select! {
            () = sender.closed() => {}
            _ = send_events(messages, &sender) => {}
        }
    });
    answer
}

/// Ends when the client has gone.
async fn send_events(
    mut messages: broadcast::Receiver<Arc<str>>,
    sender: &mpsc::Sender<Bytes>,
) -> Result<(), SendError<Bytes>> {
    // Something at once, so that a browser knows the stream to be open before the first frame.
    let mut next = Bytes::from_static(b": hello\n\n");
    loop {
        sender.send(next).await?;
        next = match timeout(SIGN_OF_LIFE, messages.recv()).await {
            Ok(Ok(message)) => Bytes::copy_from_slice(message.as_bytes()),
            // Too slow for all of them: it continues with the oldest that is left.
            Ok(Err(RecvError::Lagged(missed))) => format!(": missed {missed}\n\n").into(),
            Ok(Err(RecvError::Closed)) => return Ok(()),
            Err(_) => Bytes::from_static(b": quiet\n\n"),
        };
    }
}
