//! Answers to whoever asked over core NATS: where they go is the asker's word, and must not cost the connection.

use async_nats::{Client, HeaderMap, Subject};
use bytes::Bytes;

use crate::subject::LONGEST;

/// Why an answer was not sent.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server would cut the connection.
    #[error("the reply subject has {0} bytes, and {LONGEST} is the most")]
    TooLong(usize),
    /// The client says so.
    #[error(transparent)]
    Publish(#[from] async_nats::client::PublishError),
}

/// Sends an answer to the reply subject of a request.
///
/// # Errors
/// [`Error::TooLong`] where nobody can be answered there, else the client's word.
pub async fn send(client: &Client, to: Subject, headers: Option<HeaderMap>, body: Bytes) -> Result<(), Error> {
    if to.len() > LONGEST {
        return Err(Error::TooLong(to.len()));
    }
    match headers {
        Some(headers) => client.publish_with_headers(to, headers, body).await?,
        None => client.publish(to, body).await?,
    }
    Ok(())
}
