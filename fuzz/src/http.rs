//! Requests to the preview.

use std::io;
use std::pin::Pin;
use std::sync::LazyLock;
use std::task::{Context, Poll};
use std::time::Duration;

use edge_runtime::telemetry::{Telemetry, TelemetryOptions, Token};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::runtime::{Builder, Runtime};

#[allow(missing_docs, reason = "it is a module of tests")]
#[path = "../../edge-runtime/tests/telemetry_support/mod.rs"]
pub mod telemetry;

/// What opens the preview.
pub const TOKEN: &str = telemetry::TOKEN;
/// A conversation takes few milliseconds, but streams go on for who only stops asking.
const LONG: Duration = Duration::from_millis(50);

static SERVED: LazyLock<(Runtime, Telemetry, Token)> = LazyLock::new(|| {
    let runtime = Builder::new_current_thread().enable_time().build().expect("a runtime");
    let served =
        Telemetry::start(TelemetryOptions::default(), telemetry::about(), None).expect("it serves nothing yet");
    served.observe(&telemetry::frame(7), &telemetry::observation(7));
    (runtime, served, Token::new(TOKEN).expect("a token"))
});

/// A client that says all that it has to say, in pieces, and hears everything.
struct Client<'a> {
    says: &'a [u8],
    piece: usize,
    heard: &'a mut Vec<u8>,
}

impl AsyncRead for Client<'_> {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let (now, later) = self.says.split_at(self.says.len().min(self.piece).min(into.remaining()));
        into.put_slice(now);
        self.says = later;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Client<'_> {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.heard.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Answers requests. The first byte says whether the listener is one that only this machine reaches, and in which pieces
/// the requests arrive.
pub fn http(bytes: &[u8]) {
    let Some((how, says)) = bytes.split_first() else { return };
    let (local, piece) = (how % 2 == 1, usize::from(how / 2) * 8 + 1);
    let address = if local { "127.0.0.1:8080" } else { "192.0.2.1:8080" };
    let (runtime, served, token) = &*SERVED;
    let mut heard = Vec::new();
    let client = Client { says, piece, heard: &mut heard };
    let answer = served.answer(client, address.parse().expect("an address"), token);
    // A panic in a task of its own would be caught there, but for the fuzzer's hook, which ends the process.
    let _ = runtime.block_on(async { tokio::time::timeout(LONG, answer).await });
    let knows = says.windows(TOKEN.len()).any(|window| window == TOKEN.as_bytes());
    let let_in = heard.starts_with(b"HTTP/1.1 200") || heard.windows(14).any(|window| window == b"\nHTTP/1.1 200 ");
    assert!(local || knows || !let_in, "let in without the token");
}
