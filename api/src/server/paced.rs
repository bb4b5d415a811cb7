//! The body of a response in transit: passed on in small pieces, accounted for while it is in memory, and
//! watched for clients that do not read.
//!
//! Hyper takes a piece as soon as one byte can be sent, and keeps it until all of it was. A piece with the
//! whole body would be held for as long as a client likes, unaccounted.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use super::connections::InFlight;

/// Bytes of a piece.
const PIECE: usize = 16 << 10;
/// The client has read everything available.
const OURS: u64 = u64::MAX;

/// Since when data has been available to a client.
#[derive(Debug)]
pub(super) struct Progress {
    begun: Instant,
    waits_since_ms: AtomicU64,
}

impl Progress {
    pub(super) fn new(begun: Instant) -> Self {
        let this = Self { begun, waits_since_ms: AtomicU64::new(OURS) };
        this.given();
        this
    }

    /// Data is available.
    fn given(&self) {
        let now_ms = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(OURS - 1);
        self.waits_since_ms.store(now_ms, Ordering::Relaxed);
    }

    /// Everything was taken, and more is to come from the handler.
    pub(super) fn taken(&self) {
        self.waits_since_ms.store(OURS, Ordering::Relaxed);
    }

    /// Since when the client could have read on.
    pub(super) fn waits_since_ms(&self) -> Option<u64> {
        Some(self.waits_since_ms.load(Ordering::Relaxed)).filter(|since| *since != OURS)
    }
}

/// A body, and what it holds until it is dropped.
pub(super) struct Paced<B> {
    inner: B,
    rest: Bytes,
    progress: Arc<Progress>,
    _memory: Option<OwnedSemaphorePermit>,
    _in_flight: InFlight,
}

impl<B> Paced<B> {
    pub(super) fn new(
        inner: B,
        progress: Arc<Progress>,
        memory: Option<OwnedSemaphorePermit>,
        in_flight: InFlight,
    ) -> Self {
        Self { inner, rest: Bytes::new(), progress, _memory: memory, _in_flight: in_flight }
    }

    fn piece(&mut self) -> Frame<Bytes> {
        self.progress.given();
        let length = self.rest.len().min(PIECE);
        Frame::data(self.rest.split_to(length))
    }
}

impl<B: Body<Data = Bytes, Error = io::Error> + Unpin> Body for Paced<B> {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if !self.rest.is_empty() {
            return Poll::Ready(Some(Ok(self.piece())));
        }
        self.progress.taken();
        let frame = match ready!(Pin::new(&mut self.inner).poll_frame(cx)) {
            Some(Ok(frame)) => frame,
            end => return Poll::Ready(end),
        };
        match frame.into_data() {
            Ok(data) => {
                self.rest = data;
                Poll::Ready(Some(Ok(self.piece())))
            }
            Err(trailers) => Poll::Ready(Some(Ok(trailers))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let hint = self.inner.size_hint();
        hint.exact().map_or(hint, |exact| SizeHint::with_exact(exact + self.rest.len() as u64))
    }
}
