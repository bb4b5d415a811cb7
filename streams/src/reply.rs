//! Replies over core NATS. The reply subject is chosen by the requester, and must not cost this process its
//! connection.

use async_nats::{Client, HeaderMap, Subject};
use bytes::Bytes;

use crate::subject::LONGEST;

/// Why a reply was not sent.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server would cut the connection.
    #[error("the reply subject has {0} bytes, more than {LONGEST}")]
    TooLong(usize),
    /// A requester could have this process publish where it must not publish itself: nats-server checks the
    /// permissions of subjects, and not those of reply subjects.
    #[error("{0} is not an inbox")]
    NotAnInbox(Subject),
    /// The client's error.
    #[error(transparent)]
    Publish(#[from] async_nats::client::PublishError),
}

/// Sends a reply.
///
/// # Errors
/// [`Error::TooLong`] or [`Error::NotAnInbox`] for an unusable reply subject, else the client's error.
pub async fn send(client: &Client, to: Subject, headers: Option<HeaderMap>, body: Bytes) -> Result<(), Error> {
    if to.len() > LONGEST {
        return Err(Error::TooLong(to.len()));
    }
    if to.starts_with('$') || to.split('.').next() == Some("streamspace") {
        return Err(Error::NotAnInbox(to));
    }
    match headers {
        Some(headers) => client.publish_with_headers(to, headers, body).await?,
        None => client.publish(to, body).await?,
    }
    Ok(())
}
