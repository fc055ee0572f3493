//! The HTTP server of preview and metrics: one thread, few connections, no patience with slow ones.

mod answer;
mod guard;
#[cfg(feature = "preview")]
mod stream;

use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio_io_timeout::TimeoutStream;

use super::hub::Hub;
use super::{Options, TelemetryError, Token};
use answer::Site;
use guard::Guard;

/// How much of a client is borne with.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections at once, over all listeners.
    pub connections: usize,
    /// Time for a request's head to arrive, and for the next request to begin.
    pub head: Duration,
    /// Time that a client may read nothing of what it is sent.
    pub stalled: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { connections: 16, head: Duration::from_secs(10), stalled: Duration::from_secs(10) }
    }
}

/// Bytes of a request's head.
const HEAD_BYTES: usize = 16 << 10;
/// Headers of a request.
const HEADERS: usize = 64;
/// Pause after an accept that failed, for want of file descriptors for instance.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// The running server; it ends when dropped.
pub struct Server {
    #[cfg(feature = "preview")]
    preview: Option<SocketAddr>,
    #[cfg(feature = "metrics")]
    metrics: Option<SocketAddr>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Listens where the options say; `None` where they say nowhere.
    ///
    /// # Errors
    /// Where an address cannot be listened on.
    pub fn start(options: &Options, hub: &Arc<Hub>) -> Result<Option<Server>, TelemetryError> {
        let mut listeners = Vec::new();
        let mut token = options.token.clone();
        #[cfg(feature = "preview")]
        let preview = match options.preview {
            Some(address) => {
                let generated = token.is_none() && !guard::is_local(address.ip());
                let listener = bind(address)?;
                let guard = guard_of(&listener, &mut token)?;
                invite(&listener, generated.then_some(token.as_ref()).flatten())?;
                let bound = listener.local_addr()?;
                listeners.push((listener, Site::preview(hub.clone(), guard)));
                Some(bound)
            }
            None => None,
        };
        #[cfg(feature = "metrics")]
        let metrics = match options.metrics {
            Some(address) => {
                let generated = token.is_none() && !guard::is_local(address.ip());
                let listener = bind(address)?;
                let guard = guard_of(&listener, &mut token)?;
                let bound = listener.local_addr()?;
                if generated && let Some(token) = &token {
                    eprintln!("metrics: http://{bound}/metrics with Authorization: Bearer {}", token.text());
                }
                listeners.push((listener, Site::metrics(hub.clone(), guard)));
                Some(bound)
            }
            None => None,
        };
        if listeners.is_empty() {
            return Ok(None);
        }
        let (stop, stopped) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
        let (limits, hub) = (options.limits, hub.clone());
        let thread = std::thread::Builder::new().name("telemetry-http".into()).spawn(move || {
            runtime.block_on(serve(listeners, limits, hub, stopped));
            // Connections end here, with their tasks.
            runtime.shutdown_background();
        })?;
        Ok(Some(Server {
            #[cfg(feature = "preview")]
            preview,
            #[cfg(feature = "metrics")]
            metrics,
            stop: Some(stop),
            thread: Some(thread),
        }))
    }

    #[cfg(feature = "preview")]
    pub fn preview_address(&self) -> Option<SocketAddr> {
        self.preview
    }

    #[cfg(feature = "metrics")]
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.metrics
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn bind(address: SocketAddr) -> Result<StdListener, TelemetryError> {
    let listen = || {
        let listener = StdListener::bind(address)?;
        listener.set_nonblocking(true)?;
        Ok(listener)
    };
    listen().map_err(|source| TelemetryError::Listen { address, source })
}

/// Whoever may come in by this listener. Makes a token where one is needed and there is none.
fn guard_of(listener: &StdListener, token: &mut Option<Token>) -> io::Result<Guard> {
    let address = listener.local_addr()?;
    if guard::is_local(address.ip()) {
        return Ok(Guard::local(address));
    }
    let token = match token {
        Some(token) => token,
        None => token.insert(Token::generated()?),
    };
    Ok(Guard::with_token(address, token))
}

/// Says where the preview is, with the token that nobody can know yet.
#[cfg(feature = "preview")]
fn invite(listener: &StdListener, generated: Option<&Token>) -> io::Result<()> {
    let mut address = listener.local_addr()?.to_string();
    if listener.local_addr()?.ip().is_unspecified() {
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let host = Some(host.trim()).filter(|host| !host.is_empty()).unwrap_or("THIS-MACHINE");
        address = format!("{host}:{}", listener.local_addr()?.port());
    }
    match generated {
        Some(token) => eprintln!("preview: http://{address}/?token={}", token.text()),
        None => eprintln!("preview: http://{address}/"),
    }
    Ok(())
}

async fn serve(listeners: Vec<(StdListener, Site)>, limits: Limits, hub: Arc<Hub>, stopped: oneshot::Receiver<()>) {
    let places = Arc::new(Semaphore::new(limits.connections));
    for (listener, site) in listeners {
        match TcpListener::from_std(listener) {
            Ok(listener) => drop(tokio::spawn(accept(listener, Arc::new(site), limits, places.clone()))),
            Err(error) => tracing::warn!("the preview or metrics cannot be served: {error}"),
        }
    }
    #[cfg(feature = "preview")]
    tokio::spawn(stream::encode(hub.clone()));
    let _ = stopped.await;
    drop(hub);
}

async fn accept(listener: TcpListener, site: Arc<Site>, limits: Limits, places: Arc<Semaphore>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => match places.clone().try_acquire_owned() {
                Ok(place) => drop(tokio::spawn(connection(stream, site.clone(), limits, place))),
                Err(_) => turn_away(&stream),
            },
            Err(error) => {
                tracing::debug!("accept: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Answers without waiting for the request; what does not fit the socket's buffer is not sent.
fn turn_away(stream: &TcpStream) {
    let _ = stream.try_write(
        b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nRetry-After: 5\r\nContent-Length: 22\r\n\r\n\
          too many connections\r\n",
    );
}

async fn connection(stream: TcpStream, site: Arc<Site>, limits: Limits, place: OwnedSemaphorePermit) {
    converse(stream, site, limits).await;
    drop(place);
}

/// Answers the requests of a stream until either side ends it.
async fn converse(stream: impl AsyncRead + AsyncWrite, site: Arc<Site>, limits: Limits) {
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(limits.stalled));
    let service = service_fn(move |request| {
        let site = site.clone();
        async move { Ok::<_, std::convert::Infallible>(site.answer(&request).await) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head)
        .max_buf_size(HEAD_BYTES)
        .max_headers(HEADERS)
        .serve_connection(TokioIo::new(Box::pin(stream)), service)
        .await;
    if let Err(error) = served {
        tracing::debug!("a connection ended: {error}");
    }
}

/// Answers a stream as the preview's listener at `address` answers those that come in.
#[cfg(feature = "preview")]
pub async fn answer_stream(
    hub: &Arc<Hub>,
    stream: impl AsyncRead + AsyncWrite,
    address: SocketAddr,
    token: &Token,
    limits: Limits,
) {
    let guard = match guard::is_local(address.ip()) {
        true => Guard::local(address),
        false => Guard::with_token(address, token),
    };
    converse(stream, Arc::new(Site::preview(hub.clone(), guard)), limits).await;
}
