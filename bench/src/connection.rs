//! One HTTP connection that sends one request after the other, at as little cost to the machine that is measured as can be.

use anyhow::{Context, Result};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Method, Request, Uri};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// A connection to one server.
#[derive(Debug)]
pub struct Connection {
    sender: SendRequest<Full<Bytes>>,
    host: String,
    bearer: String,
}

impl Connection {
    /// Connects to a base URL, as the holder of a token.
    ///
    /// # Errors
    /// Where nobody answers.
    pub async fn open(base: &str, token: &str) -> Result<Self> {
        let base: Uri = base.parse()?;
        let host = base.authority().context("a host in the URL")?.to_string();
        let stream = TcpStream::connect(&host).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(Self { sender, host, bearer: format!("Bearer {token}") })
    }

    /// Sends a request with a JSON body; the status and the body of its answer.
    ///
    /// # Errors
    /// Where the connection breaks.
    pub async fn send(&mut self, method: Method, path: &str, body: Bytes) -> Result<(u16, Bytes)> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", &self.host)
            .header("authorization", &self.bearer)
            .header("content-type", "application/json")
            .body(Full::new(body))?;
        let answer = self.sender.send_request(request).await?;
        let status = answer.status().as_u16();
        Ok((status, answer.into_body().collect().await?.to_bytes()))
    }
}
