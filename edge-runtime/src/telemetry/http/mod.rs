//! The HTTP server of preview and metrics: one thread, few connections, short time limits.
//!
//! It is hyper without a framework. axum was measured on a server of this kind to add 177 KiB to the stripped program, and would
//! replace one `match` over eight paths: its own server has no limit on connections, heads of requests and stalled clients, so
//! the accept loop below would stay, and so would the bodies of the streams.

mod answer;
mod body;
mod guard;
mod shared;
#[cfg(feature = "preview")]
mod stream;

use std::collections::VecDeque;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener as StdListener};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener as StdUnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use expression_engine::line::tell;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::task::AbortHandle;
use tokio_io_timeout::TimeoutStream;

use super::args::TelemetryOptions;
use super::error::TelemetryError;
use super::limits::ClientLimits;
use super::listen::reachable;
use super::token::Token;
use answer::Site;
use guard::Guard;
pub use shared::Shared;

/// Longest head of a request, in bytes.
const MAX_HEAD_BYTES: usize = 16 << 10;
/// Most headers of a request.
const MAX_HEADERS: usize = 64;
/// Pause after a failed accept, for example because no file descriptors are left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// The running server; it ends when dropped.
pub struct Server {
    #[cfg(feature = "preview")]
    preview: Option<SocketAddr>,
    #[cfg(feature = "metrics")]
    metrics: Option<SocketAddr>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    local: Option<LocalSocket>,
}

/// The file of a Unix socket; it is removed when dropped, unless another program has put its own there.
struct LocalSocket {
    path: PathBuf,
    inode: u64,
}

impl Drop for LocalSocket {
    fn drop(&mut self) {
        if std::fs::symlink_metadata(&self.path).is_ok_and(|found| found.ino() == self.inode)
            && let Err(error) = std::fs::remove_file(&self.path)
        {
            tracing::debug!("{} stays: {error}", self.path.display());
        }
    }
}

impl Server {
    /// Listens at the addresses in the options; `None` if there are none.
    ///
    /// # Errors
    /// Returns an error if an address cannot be listened on.
    pub fn start(options: &TelemetryOptions, shared: &Shared) -> Result<Option<Server>, TelemetryError> {
        let mut listeners = Vec::new();
        let mut token = options.token.clone();
        #[cfg(feature = "preview")]
        let preview = match options.preview {
            Some(address) => {
                let (listener, bound) = bind(address)?;
                let guard = guard_for(bound, &mut token, &options.preview_hosts)?;
                invite(bound, options.token.is_none().then_some(token.as_ref()).flatten());
                listeners.push((listener, Site::preview(shared.clone(), guard, &options.preview_embedders)));
                Some(bound)
            }
            None => None,
        };
        #[cfg(feature = "metrics")]
        let metrics = match options.metrics {
            Some(address) => {
                let known = token.is_some();
                let (listener, bound) = bind(address)?;
                #[cfg(feature = "preview")]
                let hosts = options.preview_hosts.as_slice();
                #[cfg(not(feature = "preview"))]
                let hosts = &[];
                let guard = guard_for(bound, &mut token, hosts)?;
                if !known && let Some(token) = &token {
                    let bound = reachable(bound);
                    tell(format_args!("metrics: http://{bound}/metrics with Authorization: Bearer {}", token.text()));
                }
                listeners.push((listener, Site::metrics(shared.clone(), guard)));
                Some(bound)
            }
            None => None,
        };
        let local = options.health.as_deref().and_then(bind_local);
        if listeners.is_empty() && local.is_none() {
            return Ok(None);
        }
        let (local, socket) = local.unzip();
        let (stop, stopped) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
        let (limits, shared) = (options.limits, shared.clone());
        let thread = std::thread::Builder::new().name("telemetry-http".into()).spawn(move || {
            runtime.block_on(serve(listeners, local, limits, shared, stopped));
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
            local: socket,
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
        drop(self.local.take());
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn bind(address: SocketAddr) -> Result<(StdListener, SocketAddr), TelemetryError> {
    let listen = || {
        let listener = StdListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let bound = listener.local_addr()?;
        Ok((listener, bound))
    };
    listen().map_err(|source| TelemetryError::Listen { address, source })
}

/// The guard of a listener at an address. Generates a token if one is needed and there is none.
fn guard_for(address: SocketAddr, token: &mut Option<Token>, hosts: &[String]) -> io::Result<Guard> {
    if guard::is_local(address.ip()) {
        return Ok(Guard::local(address, hosts));
    }
    let token = match token {
        Some(token) => token,
        None => token.insert(Token::generated()?),
    };
    Ok(Guard::with_token(address, token))
}

/// Says where the preview is, with the token if it was generated just now.
#[cfg(feature = "preview")]
fn invite(address: SocketAddr, generated: Option<&Token>) {
    let address = reachable(address);
    match generated {
        Some(token) => tell(format_args!("preview: http://{address}/?token={}", token.text())),
        None => tell(format_args!("preview: http://{address}/")),
    }
}

/// Listens at a Unix socket; `None` if that fails, since the program works without it.
fn bind_local(path: &Path) -> Option<(StdUnixListener, LocalSocket)> {
    let bind = || {
        // One that a killed run left behind.
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = StdUnixListener::bind(path)?;
        listener.set_nonblocking(true)?;
        // Whoever is on this machine may ask: that is what a loopback address allows as well.
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o666))?;
        let inode = std::fs::symlink_metadata(path)?.ino();
        Ok((listener, LocalSocket { path: path.to_owned(), inode }))
    };
    let bound = bind();
    bound.map_err(|error| tracing::warn!("{}: {error}; `edge-runtime health` gets no answer", path.display())).ok()
}

async fn serve(
    listeners: Vec<(StdListener, Site)>,
    local: Option<StdUnixListener>,
    limits: ClientLimits,
    shared: Shared,
    stopped: oneshot::Receiver<()>,
) {
    let places = Arc::new(Semaphore::new(limits.connections));
    for (listener, site) in listeners {
        match TcpListener::from_std(listener) {
            Ok(listener) => drop(tokio::spawn(accept(listener, Arc::new(site), limits, places.clone()))),
            Err(error) => tracing::warn!("the preview or metrics cannot be served: {error}"),
        }
    }
    match local.map(UnixListener::from_std) {
        Some(Ok(listener)) => {
            let guard = Guard::local(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), &[]);
            let site = Arc::new(Site::metrics(shared.clone(), guard));
            drop(tokio::spawn(accept_local(listener, site, limits)));
        }
        Some(Err(error)) => tracing::warn!("the health cannot be served: {error}"),
        None => {}
    }
    #[cfg(feature = "preview")]
    tokio::spawn(stream::encode(shared.clone()));
    let _ = stopped.await;
    drop(shared);
}

async fn accept(listener: TcpListener, site: Arc<Site>, limits: ClientLimits, places: Arc<Semaphore>) {
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

/// Its places are its own: viewers who hold all others do not make the board look ill. If they are full, the oldest connection
/// ends: one that was turned away, or had to wait behind idle ones, would take the board for ill as well.
async fn accept_local(listener: UnixListener, site: Arc<Site>, limits: ClientLimits) {
    let mut open: VecDeque<AbortHandle> = VecDeque::new();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                open.retain(|connection| !connection.is_finished());
                if open.len() >= limits.connections
                    && let Some(oldest) = open.pop_front()
                {
                    oldest.abort();
                }
                open.push_back(tokio::spawn(converse(stream, site.clone(), limits)).abort_handle());
            }
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

async fn connection(
    stream: impl AsyncRead + AsyncWrite,
    site: Arc<Site>,
    limits: ClientLimits,
    place: OwnedSemaphorePermit,
) {
    converse(stream, site, limits).await;
    drop(place);
}

/// Answers the requests of a stream until either side ends it.
async fn converse(stream: impl AsyncRead + AsyncWrite, site: Arc<Site>, limits: ClientLimits) {
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(limits.stalled));
    let service = service_fn(move |request| {
        let site = site.clone();
        async move { Ok::<_, std::convert::Infallible>(site.answer(&request).await) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head)
        .max_buf_size(MAX_HEAD_BYTES)
        .max_headers(MAX_HEADERS)
        .serve_connection(TokioIo::new(Box::pin(stream)), service)
        .await;
    if let Err(error) = served {
        tracing::debug!("a connection ended: {error}");
    }
}

/// Answers a stream as the preview's listener at `address` would.
#[cfg(feature = "preview")]
pub async fn answer_stream(shared: &Shared, stream: impl AsyncRead + AsyncWrite, address: SocketAddr, token: &Token) {
    let guard = match guard::is_local(address.ip()) {
        true => Guard::local(address, &[]),
        false => Guard::with_token(address, token),
    };
    converse(stream, Arc::new(Site::preview(shared.clone(), guard, &[])), ClientLimits::default()).await;
}
