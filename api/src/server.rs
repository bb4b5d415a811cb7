//! The HTTP server: accepts, serves and closes connections.
//!
//! Poem's own server continues a request whose caller has gone; here the request's future is dropped with its
//! connection, so that nothing waits on behalf of a caller who does not. Everything that a caller may fail to
//! do (send a head, send a request, read) has a time limit, and everything that they hold (a connection,
//! streams, responses) a bound: see `connections`, `paced` and `docs/limits.md`.

mod connections;
mod paced;
mod socket;
pub mod tls;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::FutureExt;
use hyper::body::Body as _;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use poem::http::header::{CONNECTION, HeaderValue};
use poem::http::uri::Scheme;
use poem::http::{self, StatusCode, Version};
use poem::web::{LocalAddr, RemoteAddr};
use poem::{Addr, Endpoint, IntoResponse, Request, Response};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::Sockets;
use crate::problem::{Kind, Problem};
use crate::served::Shared;
pub(crate) use connections::network;
use connections::{Connections, InFlight, Overdue, Place};
use paced::Paced;
use socket::Socket;
use tls::Tls;

/// Time limit for requests in progress after the server was told to stop.
pub(crate) const DRAIN: Duration = Duration::from_secs(5);
/// How long the whole server must have been without a request before idle connections are closed during a stop.
/// A request may be on its way, and closing would break it off; while some still arrive, others do too. Each
/// answer says that it is its connection's last, so that clients leave by themselves.
const QUIET: Duration = Duration::from_secs(1);
/// Pauses after a failed accept, when descriptors are short: the first and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1));
/// Connections that were asked to close and have not done so yet.
const LEAVING: usize = 16;

/// Concurrent requests of one HTTP/2 connection.
const STREAMS: u32 = 64;
/// Unread bytes of request bodies of one HTTP/2 stream, and of one connection.
const WINDOWS: (u32, u32) = (64 << 10, 256 << 10);
/// Bytes of responses that one HTTP/2 stream buffers.
const SEND_BUFFER: usize = 64 << 10;
/// Maximum bytes of a request's head, decoded in HTTP/2. The gate refuses smaller ones with a reason.
const HEAD: u32 = 64 << 10;
/// Maximum number of headers that are parsed.
const HEADERS: usize = 128;
/// Idle time after which an HTTP/2 connection is pinged, and the time that it has to answer.
const PING: (Duration, Duration) = (Duration::from_secs(20), Duration::from_secs(20));
/// Responses of fewer bytes are not counted.
const SMALL: u64 = 64 << 10;
/// Unit in which the memory of responses is counted.
const UNIT: u64 = 1 << 10;

/// State shared by all connections.
struct Server<E> {
    endpoint: E,
    activity: LastActivity,
    connections: Arc<Connections>,
    /// Memory available for responses, in units.
    memory: Arc<Semaphore>,
    tls: Option<TlsAcceptor>,
    cancel: CancellationToken,
}

/// Serves until `cancel` fires, then finishes requests in progress.
pub(crate) async fn serve<E>(
    listener: TcpListener,
    endpoint: E,
    sockets: Sockets,
    tls: Option<Tls>,
    cancel: CancellationToken,
) where
    E: Endpoint<Output = Response> + 'static,
{
    let memory = (sockets.buffered as u64 / UNIT).min(Semaphore::MAX_PERMITS as u64) as usize;
    let server = Arc::new(Server {
        endpoint,
        activity: LastActivity::new(),
        connections: Connections::new(sockets),
        memory: Arc::new(Semaphore::new(memory)),
        tls: tls.map(|tls| tls.acceptor()),
        cancel: cancel.clone(),
    });
    let (tasks, over) = (TaskTracker::new(), CancellationToken::new());
    let begin = |(socket, address): (TcpStream, SocketAddr)| {
        let Some(place) = server.connections.admit(address.ip()) else { return refuse(socket) };
        let served = server.clone().connection(socket, address, place);
        tasks.spawn(over.clone().run_until_cancelled_owned(served));
    };
    let mut pause = PAUSES.0;
    while let Some(accepted) = cancel.run_until_cancelled(listener.accept()).await {
        match accepted {
            Ok(accepted) => {
                begin(accepted);
                pause = PAUSES.0;
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                server.connections.shed(); // frees a descriptor, if those are what is short
                tokio::time::sleep(pause).await;
                pause = PAUSES.1.min(pause * 2);
            }
        }
        while tasks.len() >= sockets.connections.saturating_add(LEAVING) {
            tokio::time::sleep(PAUSES.0).await; // connections that were asked to close are about to
        }
    }
    // clients in the accept queue believe that they have sent a request already
    while let Some(Ok(accepted)) = listener.accept().now_or_never() {
        begin(accepted);
    }
    drop(listener);
    tasks.close();
    let _ = tokio::time::timeout(DRAIN, tasks.wait()).await; // requests that take longer are cut off
    over.cancel();
    tasks.wait().await;
}

/// All connections are busy: answers a new one with 503 as far as a single write goes, without waiting.
fn refuse(socket: TcpStream) {
    const BUSY: &[u8] =
        b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
    let _ = socket.try_write(BUSY);
}

/// Time of the last request or answer, over any connection.
struct LastActivity {
    begun: Instant,
    last_ms: AtomicU64,
}

impl LastActivity {
    fn new() -> Self {
        Self { begun: Instant::now(), last_ms: AtomicU64::new(0) }
    }

    fn beat(&self, now: Instant) {
        let ms = u64::try_from(now.duration_since(self.begun).as_millis()).unwrap_or(u64::MAX);
        self.last_ms.fetch_max(ms, Ordering::Relaxed);
    }

    /// When the server counts as quiet, if it was told to stop at `stopped`.
    fn quiet_from(&self, stopped: Instant) -> Instant {
        let last = self.begun + Duration::from_millis(self.last_ms.load(Ordering::Relaxed));
        last.max(stopped) + QUIET
    }
}

impl<E: Endpoint<Output = Response> + 'static> Server<E> {
    async fn connection(self: Arc<Self>, socket: TcpStream, remote: SocketAddr, place: Place) {
        let Ok(local) = socket.local_addr() else { return };
        let _ = socket.set_nodelay(true); // send small answers without waiting for acknowledgements
        let (entry, addresses) = (place.entry.clone(), (local, remote));
        let socket = Socket::new(socket, place);
        let Some(tls) = &self.tls else { return self.requests(socket, entry, addresses, Scheme::HTTP).await };
        // the head of the first request has its own time after this
        let shaken = tokio::time::timeout(self.connections.sockets.head, tls.accept(socket));
        match entry.leave.run_until_cancelled(shaken).await {
            Some(Ok(Ok(stream))) => self.requests(stream, entry, addresses, Scheme::HTTPS).await,
            Some(Ok(Err(error))) => tracing::debug!(%error, remote.address = %remote, "a TLS handshake failed"),
            Some(Err(_)) | None => {}
        }
    }

    /// The requests of a connection, until it ends.
    async fn requests(
        self: &Arc<Self>,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        entry: Arc<connections::Entry>,
        (local, remote): (SocketAddr, SocketAddr),
        scheme: Scheme,
    ) {
        let sockets = self.connections.sockets;
        let service = hyper::service::service_fn(|request: http::Request<hyper::body::Incoming>| {
            let scheme = scheme.clone();
            let in_flight = entry.asked(request.version() >= Version::HTTP_2);
            let (server, entry) = (self.clone(), entry.clone());
            let (local, remote) = (LocalAddr(Addr::from(local)), RemoteAddr(Addr::from(remote)));
            let first_version = request.version() < Version::HTTP_2; // HTTP/2 has GOAWAY for this
            let request = Request::from((request, local, remote, scheme));
            // boxed, because hyper moves what it waits for
            Box::pin(async move {
                let response = server.respond(request, first_version).await;
                if response.status() == StatusCode::SWITCHING_PROTOCOLS {
                    entry.upgraded();
                }
                Ok::<_, Infallible>(server.paced(response, &entry, in_flight))
            })
        });
        let builder = builder(&sockets);
        let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
        tokio::pin!(connection);
        let mut watch = tokio::time::interval(watch_every(&sockets));
        loop {
            tokio::select! {
                _ = connection.as_mut() => return, // a client that disconnects is not an error
                () = entry.leave.cancelled() => return,
                () = self.cancel.cancelled() => break,
                _ = watch.tick() => match entry.overdue(&sockets) {
                    None => {}
                    Some(Overdue::Idle) => {
                        connection.as_mut().graceful_shutdown(); // HTTP/2 sends GOAWAY
                        let _ = tokio::time::timeout(sockets.head, connection.as_mut()).await;
                        return;
                    }
                    Some(overdue) => return tracing::debug!(?overdue, remote.address = %remote, "a connection is cut"),
                }
            }
        }
        let stopped = Instant::now();
        while Instant::now() < self.activity.quiet_from(stopped) {
            tokio::select! {
                biased; // on a busy machine a request may have arrived unread: read it before its connection counts as idle
                _ = connection.as_mut() => return,
                () = tokio::time::sleep_until(self.activity.quiet_from(stopped)) => {}
            }
        }
        connection.as_mut().graceful_shutdown();
        let _ = connection.await;
    }

    async fn respond(&self, request: Request, first_version: bool) -> Response {
        self.activity.beat(Instant::now());
        let mut response = self.endpoint.get_response(request).await;
        self.activity.beat(Instant::now());
        if first_version && self.cancel.is_cancelled() && response.status() != StatusCode::SWITCHING_PROTOCOLS {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }

    /// A response in transit: accounts for its memory, and passes it on in pieces.
    fn paced(
        &self,
        response: Response,
        entry: &Arc<connections::Entry>,
        in_flight: InFlight,
    ) -> http::Response<Paced<Pin<Box<dyn ResponseBody>>>> {
        let shared = response.extensions().get::<Shared>().is_some();
        let mut response = http::Response::<_>::from(response);
        let length = response.body().size_hint().exact().filter(|length| !shared && *length > SMALL);
        let memory = length.map(|length| self.memory(length)).transpose().unwrap_or_else(|problem| {
            response = http::Response::<_>::from(problem.into_response());
            None
        });
        response.map(|body| {
            let body: Pin<Box<dyn ResponseBody>> = Box::pin(body);
            Paced::new(body, entry.sends(), memory, in_flight)
        })
    }

    /// Reserves the memory of a response. Shared responses, and those without a length, need none.
    fn memory(&self, length: u64) -> Result<OwnedSemaphorePermit, Problem> {
        let all = self.connections.sockets.buffered as u64 / UNIT; // a response larger than the limit goes alone
        let units = u32::try_from(length.div_ceil(UNIT).min(all)).unwrap_or(u32::MAX);
        self.memory.clone().try_acquire_many_owned(units).map_err(|_| {
            let detail = "too many large responses are unread; retry later, or with smaller pages";
            Problem::new(Kind::Unavailable, detail)
        })
    }
}

/// The body of a response.
trait ResponseBody: hyper::body::Body<Data = bytes::Bytes, Error = io::Error> + Send {}
impl<B: hyper::body::Body<Data = bytes::Bytes, Error = io::Error> + Send> ResponseBody for B {}

/// How often connections are checked.
fn watch_every(sockets: &Sockets) -> Duration {
    let shortest = sockets.head.min(sockets.idle).min(sockets.stall);
    (shortest / 4).clamp(Duration::from_millis(5), Duration::from_secs(2))
}

fn builder(sockets: &Sockets) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(sockets.idle) // it does not distinguish heads from silence; `Entry::overdue` does
        .max_headers(HEADERS)
        .max_buf_size(HEAD as usize);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .initial_stream_window_size(WINDOWS.0)
        .initial_connection_window_size(WINDOWS.1)
        .max_send_buf_size(SEND_BUFFER)
        .max_header_list_size(HEAD)
        .keep_alive_interval(PING.0)
        .keep_alive_timeout(PING.1);
    builder
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_waits_for_a_request_as_long_as_requests_come_over_others() {
        let activity = LastActivity::new();
        let at = |ms| activity.begun + Duration::from_millis(ms);
        assert_eq!(activity.quiet_from(at(5_000)), at(5_000) + QUIET, "the stop itself is where the wait begins");
        activity.beat(at(5_900));
        assert_eq!(activity.quiet_from(at(5_000)), at(5_900) + QUIET);
        activity.beat(at(5_800));
        assert_eq!(activity.quiet_from(at(5_000)), at(5_900) + QUIET, "the last one counts, whoever tells of it first");
    }
}
