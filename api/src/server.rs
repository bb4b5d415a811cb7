//! The sockets: connections are accepted, served, and ended.
//!
//! Poem's own server goes on with a request whose caller has gone; here the request's future is dropped with the connection,
//! so that nobody waits for a caller who does not. Whatever a caller does not do (send a head, ask, read) has a time, whatever they
//! hold (a connection, streams, responses) a bound: see `connections` and `paced`, and `docs/limits.md`.

mod connections;
mod paced;
mod socket;

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
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::Sockets;
use crate::problem::{Kind, Problem};
use crate::served::Shared;
pub(crate) use connections::network;
use connections::{Connections, InFlight, Overdue, Place};
use paced::Paced;
use socket::Socket;

/// How long requests that were begun may take after the server was told to stop.
pub(crate) const DRAIN: Duration = Duration::from_secs(5);
/// How long the whole server must have been without a request before connections without one are closed after that. A request
/// may be on its way, and closing would break it off; while some still come, others do too. Each answer says that it is its
/// connection's last, so that clients leave by themselves.
const QUIET: Duration = Duration::from_secs(1);
/// The pauses after a connection could not be accepted, because descriptors are short: the first, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1));
/// Sockets of connections that were asked to leave and have not gone yet.
const LEAVING: usize = 16;

/// Requests that one HTTP/2 connection may make at a time.
const STREAMS: u32 = 64;
/// Bytes of a request's body that one HTTP/2 stream, and all of one connection, may have sent unread.
const WINDOWS: (u32, u32) = (64 << 10, 256 << 10);
/// Bytes of responses that one HTTP/2 stream holds to be sent.
const SEND_BUFFER: usize = 64 << 10;
/// Bytes of a request's head in HTTP/2, decoded; HTTP/1.1 reads as many at a time. The gate refuses less, with a reason.
const HEAD: u32 = 64 << 10;
/// Headers that are read at all.
const HEADERS: usize = 128;
/// Silence after which an HTTP/2 connection is pinged, and the time it has to answer.
const PING: (Duration, Duration) = (Duration::from_secs(20), Duration::from_secs(20));
/// Responses of fewer bytes are not counted.
const SMALL: u64 = 64 << 10;
/// The unit in which memory of responses is counted.
const UNIT: u64 = 1 << 10;

/// What all connections share.
struct Server<E> {
    endpoint: E,
    pulse: Pulse,
    connections: Arc<Connections>,
    /// Memory that responses may hold, in units.
    memory: Arc<Semaphore>,
    cancel: CancellationToken,
}

/// Serves until `cancel` fires, and then for a moment what was begun.
pub(crate) async fn serve<E>(listener: TcpListener, endpoint: E, sockets: Sockets, cancel: CancellationToken)
where
    E: Endpoint<Output = Response> + 'static,
{
    let memory = (sockets.buffered as u64 / UNIT).min(Semaphore::MAX_PERMITS as u64) as usize;
    let server = Arc::new(Server {
        endpoint,
        pulse: Pulse::new(),
        connections: Connections::new(sockets),
        memory: Arc::new(Semaphore::new(memory)),
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
                server.connections.shed(); // a descriptor is free then, if descriptors are what is short
                tokio::time::sleep(pause).await;
                pause = PAUSES.1.min(pause * 2);
            }
        }
        while tasks.len() >= sockets.connections.saturating_add(LEAVING) {
            tokio::time::sleep(PAUSES.0).await; // those that were asked to leave are about to
        }
    }
    // whoever stands in the queue has sent a request already, as far as they know
    while let Some(Ok(accepted)) = listener.accept().now_or_never() {
        begin(accepted);
    }
    drop(listener);
    tasks.close();
    let _ = tokio::time::timeout(DRAIN, tasks.wait()).await; // what takes longer is cut off
    over.cancel();
    tasks.wait().await;
}

/// Everybody who is connected is being served; whoever comes now is told so as far as one write goes, and never waited for.
fn refuse(socket: TcpStream) {
    const BUSY: &[u8] =
        b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
    let _ = socket.try_write(BUSY);
}

/// When a request came last, or was answered, over any connection.
struct Pulse {
    begun: Instant,
    last_ms: AtomicU64,
}

impl Pulse {
    fn new() -> Self {
        Self { begun: Instant::now(), last_ms: AtomicU64::new(0) }
    }

    fn beat(&self, now: Instant) {
        let ms = u64::try_from(now.duration_since(self.begun).as_millis()).unwrap_or(u64::MAX);
        self.last_ms.fetch_max(ms, Ordering::Relaxed);
    }

    /// From when on nobody is taken to be coming, where the stop was heard of at `stopped`.
    fn quiet_from(&self, stopped: Instant) -> Instant {
        let last = self.begun + Duration::from_millis(self.last_ms.load(Ordering::Relaxed));
        last.max(stopped) + QUIET
    }
}

impl<E: Endpoint<Output = Response> + 'static> Server<E> {
    async fn connection(self: Arc<Self>, socket: TcpStream, remote: SocketAddr, place: Place) {
        let Ok(local) = socket.local_addr() else { return };
        let _ = socket.set_nodelay(true); // a small answer does not wait for the acknowledgement of the one before
        let (sockets, entry) = (self.connections.sockets, place.entry.clone());
        let service = hyper::service::service_fn(|request: http::Request<hyper::body::Incoming>| {
            let in_flight = entry.asked(request.version() >= Version::HTTP_2);
            let (server, entry) = (self.clone(), entry.clone());
            let (local, remote) = (LocalAddr(Addr::from(local)), RemoteAddr(Addr::from(remote)));
            let first_version = request.version() < Version::HTTP_2; // HTTP/2 says goodbye in a frame of its own
            let request = Request::from((request, local, remote, Scheme::HTTP));
            // in a box, because hyper moves what it waits for
            Box::pin(async move {
                let response = server.respond(request, first_version).await;
                if response.status() == StatusCode::SWITCHING_PROTOCOLS {
                    entry.upgraded();
                }
                Ok::<_, Infallible>(server.paced(response, &entry, in_flight))
            })
        });
        let builder = builder(&sockets);
        let connection = builder.serve_connection_with_upgrades(TokioIo::new(Socket::new(socket, place)), service);
        tokio::pin!(connection);
        let mut watch = tokio::time::interval(watch_every(&sockets));
        loop {
            tokio::select! {
                _ = connection.as_mut() => return, // a caller that broke off is no error of ours
                () = entry.leave.cancelled() => return,
                () = self.cancel.cancelled() => break,
                _ = watch.tick() => match entry.overdue(&sockets) {
                    None => {}
                    Some(Overdue::Idle) => {
                        connection.as_mut().graceful_shutdown(); // HTTP/2 has a word for it
                        let _ = tokio::time::timeout(sockets.head, connection.as_mut()).await;
                        return;
                    }
                    Some(overdue) => return tracing::debug!(?overdue, remote.address = %remote, "a connection is cut"),
                }
            }
        }
        let stopped = Instant::now();
        while Instant::now() < self.pulse.quiet_from(stopped) {
            tokio::select! {
                biased; // on a busy machine a request may have come and not been read: it is, before its connection is taken for idle
                _ = connection.as_mut() => return,
                () = tokio::time::sleep_until(self.pulse.quiet_from(stopped)) => {}
            }
        }
        connection.as_mut().graceful_shutdown();
        let _ = connection.await;
    }

    async fn respond(&self, request: Request, first_version: bool) -> Response {
        self.pulse.beat(Instant::now());
        let mut response = self.endpoint.get_response(request).await;
        self.pulse.beat(Instant::now());
        if first_version && self.cancel.is_cancelled() && response.status() != StatusCode::SWITCHING_PROTOCOLS {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }

    /// A response on its way: it counts for the memory that it holds, and is given out piece by piece.
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

    /// Takes the memory that a response holds out of what all may hold. What all share, and what has no length, holds none.
    fn memory(&self, length: u64) -> Result<OwnedSemaphorePermit, Problem> {
        let all = self.connections.sockets.buffered as u64 / UNIT; // what is larger than all may hold goes alone
        let units = u32::try_from(length.div_ceil(UNIT).min(all)).unwrap_or(u32::MAX);
        self.memory.clone().try_acquire_many_owned(units).map_err(|_| {
            let detail = "too many large responses wait for readers that do not read; ask again, or for smaller pages";
            Problem::new(Kind::Unavailable, detail)
        })
    }
}

/// What a response is made of.
trait ResponseBody: hyper::body::Body<Data = bytes::Bytes, Error = io::Error> + Send {}
impl<B: hyper::body::Body<Data = bytes::Bytes, Error = io::Error> + Send> ResponseBody for B {}

/// How often a connection is looked at.
fn watch_every(sockets: &Sockets) -> Duration {
    let shortest = sockets.head.min(sockets.idle).min(sockets.stall);
    (shortest / 4).clamp(Duration::from_millis(5), Duration::from_secs(2))
}

fn builder(sockets: &Sockets) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(sockets.idle) // of heads it knows no better than of silence: `Entry::overdue` does
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
        let pulse = Pulse::new();
        let at = |ms| pulse.begun + Duration::from_millis(ms);
        assert_eq!(pulse.quiet_from(at(5_000)), at(5_000) + QUIET, "the stop itself is where the wait begins");
        pulse.beat(at(5_900));
        assert_eq!(pulse.quiet_from(at(5_000)), at(5_900) + QUIET);
        pulse.beat(at(5_800));
        assert_eq!(pulse.quiet_from(at(5_000)), at(5_900) + QUIET, "the last one counts, whoever tells of it first");
    }
}
