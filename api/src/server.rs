//! The sockets: connections are accepted, served, and ended.
//!
//! Poem's own server goes on with a request whose caller has gone; here the request's future is dropped with the connection,
//! so that nobody waits for a caller who does not.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::FutureExt;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use poem::http::header::{CONNECTION, HeaderValue};
use poem::http::uri::Scheme;
use poem::http::{self, StatusCode, Version};
use poem::web::{LocalAddr, RemoteAddr};
use poem::{Addr, Endpoint, Request, Response};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long requests that were begun may take after the server was told to stop.
pub(crate) const DRAIN: Duration = Duration::from_secs(5);
/// How long the whole server must have been without a request before connections without one are closed after that. A request
/// may be on its way, and closing would break it off; while some still come, others do too. Each answer says that it is its
/// connection's last, so that clients leave by themselves.
const QUIET: Duration = Duration::from_secs(1);
/// The pause after a connection could not be accepted: file descriptors may be short.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves until `cancel` fires, and then for a moment what was begun.
pub(crate) async fn serve<E>(listener: TcpListener, endpoint: E, cancel: CancellationToken)
where
    E: Endpoint<Output = Response> + 'static,
{
    let (endpoint, connections, over) = (Arc::new(endpoint), TaskTracker::new(), CancellationToken::new());
    let pulse = Arc::new(Pulse::new());
    let serve_one = |socket| {
        let served = connection(socket, endpoint.clone(), pulse.clone(), cancel.clone());
        connections.spawn(over.clone().run_until_cancelled_owned(served));
    };
    while let Some(accepted) = cancel.run_until_cancelled(listener.accept()).await {
        match accepted {
            Ok((socket, _)) => serve_one(socket),
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
    // whoever stands in the queue has sent a request already, as far as they know
    while let Some(Ok((socket, _))) = listener.accept().now_or_never() {
        serve_one(socket);
    }
    drop(listener);
    connections.close();
    let _ = tokio::time::timeout(DRAIN, connections.wait()).await; // what takes longer is cut off
    over.cancel();
    connections.wait().await;
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

async fn connection<E>(socket: TcpStream, endpoint: Arc<E>, pulse: Arc<Pulse>, cancel: CancellationToken)
where
    E: Endpoint<Output = Response> + 'static,
{
    let (Ok(local), Ok(remote)) = (socket.local_addr(), socket.peer_addr()) else { return };
    let service = hyper::service::service_fn(|request| {
        let (endpoint, pulse, cancel) = (endpoint.clone(), pulse.clone(), cancel.clone());
        let (local, remote) = (LocalAddr(Addr::from(local)), RemoteAddr(Addr::from(remote)));
        let request = Request::from((request, local, remote, Scheme::HTTP));
        // in a box, because hyper moves what it waits for
        Box::pin(async move {
            pulse.beat(Instant::now());
            let first_version = request.version() < Version::HTTP_2; // HTTP/2 says goodbye in a frame of its own
            let mut response = http::Response::<_>::from(endpoint.get_response(request).await);
            pulse.beat(Instant::now());
            if first_version && cancel.is_cancelled() && response.status() != StatusCode::SWITCHING_PROTOCOLS {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, Infallible>(response)
        })
    });
    let builder = auto::Builder::new(TokioExecutor::new());
    let connection = builder.serve_connection_with_upgrades(TokioIo::new(socket), service);
    tokio::pin!(connection);
    tokio::select! {
        _ = connection.as_mut() => return, // a caller that broke off is no error of ours
        () = cancel.cancelled() => {}
    }
    let stopped = Instant::now();
    while Instant::now() < pulse.quiet_from(stopped) {
        tokio::select! {
            biased; // on a busy machine a request may have come and not been read: it is, before its connection is taken for idle
            _ = connection.as_mut() => return,
            () = tokio::time::sleep_until(pulse.quiet_from(stopped)) => {}
        }
    }
    connection.as_mut().graceful_shutdown();
    let _ = connection.await;
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
