//! A well-behaved HTTP client: one `Idempotency-Key` per request, the other server if one refuses the
//! connection, the same request again after an answer that permits it or none, and never before `Retry-After`.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::sleep;

const TIME_LIMIT: Duration = Duration::from_secs(120);
const ANSWER: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(100);

/// Errors that clients noticed.
#[derive(Debug, Default)]
pub(super) struct Bumps {
    /// Requests that failed to connect, broke off, or were answered with 5xx; each was sent again.
    pub(super) errors: AtomicUsize,
    /// The first of them.
    pub(super) first: std::sync::Mutex<Option<String>>,
}

impl Bumps {
    fn note(&self, what: String) {
        self.errors.fetch_add(1, Ordering::Relaxed);
        self.first.lock().unwrap_or_else(std::sync::PoisonError::into_inner).get_or_insert(what);
    }
}

/// The client of one user.
#[derive(Debug, Clone)]
pub(super) struct Client {
    http: reqwest::Client,
    servers: Vec<String>,
    token: String,
    next: usize,
    bumps: Arc<Bumps>,
}

impl Client {
    /// A client that begins with server `first`.
    ///
    /// # Errors
    /// TLS cannot be set up.
    pub(super) fn new(servers: &[String], token: &str, first: usize, bumps: Arc<Bumps>) -> Result<Self> {
        let http = reqwest::Client::builder().timeout(ANSWER).build()?;
        Ok(Self { http, servers: servers.to_vec(), token: token.into(), next: first, bumps })
    }

    /// Sends a request until it gets a final answer; `None` if it did not in time, so that the outcome is unknown.
    pub(super) async fn send(
        &mut self,
        method: Method,
        path: &str,
        key: &str,
        body: Option<&Value>,
    ) -> Option<(u16, Value)> {
        let begun = Instant::now();
        let mut refused = 0;
        while begun.elapsed() < TIME_LIMIT {
            let server = &self.servers[self.next % self.servers.len()];
            let request = self.http.request(method.clone(), format!("{server}/api/v1{path}"));
            let request = request.bearer_auth(&self.token).header("Idempotency-Key", key);
            let request = if let Some(body) = body { request.json(body) } else { request };
            self.next += 1;
            let pause = match answer(request).await {
                Ok((status @ (429 | 500..=599), after, text)) => {
                    if status != 429 {
                        self.bumps.note(format!("{method} {path} at {server}: {status} {text}"));
                    }
                    after.unwrap_or(PAUSE)
                }
                Ok((status, _, text)) => return Some((status, serde_json::from_str(&text).unwrap_or(json!(text)))),
                Err(error) if error.is_connect() => {
                    refused += 1;
                    if refused < self.servers.len() {
                        continue;
                    }
                    refused = 0;
                    self.bumps.note(format!("{method} {path}: no server accepts connections"));
                    PAUSE
                }
                Err(error) => {
                    self.bumps.note(format!("{method} {path} at {server}: {:#}", anyhow::Error::from(error)));
                    PAUSE
                }
            };
            sleep(pause).await;
        }
        None
    }
}

async fn answer(request: reqwest::RequestBuilder) -> Result<(u16, Option<Duration>, String), reqwest::Error> {
    let answer = request.send().await?;
    let after = answer.headers().get("Retry-After").and_then(|value| value.to_str().ok()?.parse().ok());
    Ok((answer.status().as_u16(), after.map(Duration::from_secs), answer.text().await?))
}
