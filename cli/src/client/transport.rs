//! Requests to a server. Those that change something carry an `Idempotency-Key`, so that they can be repeated
//! if no answer arrives: the server carries them out once.

use std::time::Duration;

use reqwest::header::RETRY_AFTER;
use reqwest::{Method, RequestBuilder, Response, StatusCode, Url};
use serde_json::Value;
use tokio::time::sleep;
use uuid::Uuid;

use super::problem;
use super::target::Target;
use crate::failure::{Failure, Kind, chain};

const API: &str = "/api/v1";
const CONNECT: Duration = Duration::from_secs(5);
const ANSWER: Duration = Duration::from_secs(30);
/// A feed without even a keep-alive for this long is dead.
const SILENCE: Duration = Duration::from_secs(60);
/// The server's maximum page size.
pub(super) const PAGE: &str = "200";
/// Pauses before a change is sent again.
const AGAIN: [Duration; 3] = [Duration::from_millis(250), Duration::from_millis(500), Duration::from_secs(1)];
/// Upper limit for the server's `Retry-After`.
const AGAIN_MAX: Duration = Duration::from_secs(10);

/// Query parameters; those without a value are left out.
pub(super) type Query<'a> = &'a [(&'a str, Option<String>)];

/// The body of a request.
#[derive(Debug, Clone, Copy)]
enum Body<'a> {
    None,
    Json(&'a Value),
    /// A merge patch, and the ETag that it applies to.
    Patch(&'a Value, Option<&'a str>),
    Yaml(&'a str),
}

impl Body<'_> {
    fn on(self, request: RequestBuilder) -> RequestBuilder {
        match self {
            Self::None => request,
            Self::Json(value) => request.json(value),
            Self::Patch(value, version) => {
                let request = request.header("content-type", "application/merge-patch+json").body(value.to_string());
                match version {
                    Some(version) => request.header("if-match", version),
                    None => request,
                }
            }
            Self::Yaml(text) => request.header("content-type", "application/yaml").body(text.to_owned()),
        }
    }
}

/// An HTTP client for one server.
pub(super) struct Client {
    http: reqwest::Client,
    feeds: reqwest::Client,
    target: Target,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("url", &self.target.url.as_str()).finish_non_exhaustive()
    }
}

impl Client {
    pub(super) fn new(target: Target) -> Result<Self, Failure> {
        let http = reqwest::Client::builder().connect_timeout(CONNECT).timeout(ANSWER).build()?;
        let feeds = reqwest::Client::builder().connect_timeout(CONNECT).read_timeout(SILENCE).build()?;
        Ok(Self { http, feeds, target })
    }

    pub(super) async fn get(&self, path: &str, query: Query<'_>) -> Result<Value, Failure> {
        self.once(Method::GET, &self.url(path, query), Body::None, None).await.map_err(|refused| refused.failure)
    }

    pub(super) async fn post(&self, path: &str, body: Option<&Value>) -> Result<Value, Failure> {
        self.change(Method::POST, path, &[], body.map_or(Body::None, Body::Json)).await
    }

    pub(super) async fn post_yaml(&self, path: &str, text: &str) -> Result<Value, Failure> {
        self.change(Method::POST, path, &[], Body::Yaml(text)).await
    }

    /// Applies a merge patch if the resource still has the given ETag.
    pub(super) async fn patch(&self, path: &str, patch: &Value, version: Option<&str>) -> Result<Value, Failure> {
        self.change(Method::PATCH, path, &[], Body::Patch(patch, version)).await
    }

    pub(super) async fn delete(&self, path: &str, query: Query<'_>) -> Result<Value, Failure> {
        self.change(Method::DELETE, path, query, Body::None).await
    }

    /// Reads a list page by page, up to `most` items.
    pub(super) async fn list(&self, path: &str, query: Query<'_>, most: usize) -> Result<Vec<Value>, Failure> {
        let (mut items, mut cursor) = (Vec::new(), None);
        loop {
            let mut query = query.to_vec();
            query.extend([("limit", Some(PAGE.to_owned())), ("cursor", cursor)]);
            let page = self.get(path, &query).await?;
            items.extend(page["items"].as_array().cloned().unwrap_or_default());
            cursor = page["next_cursor"].as_str().map(str::to_owned);
            if cursor.is_none() || items.len() >= most {
                items.truncate(most);
                return Ok(items);
            }
        }
    }

    /// Opens the feed; its body does not end.
    pub(super) async fn feed(&self, query: Query<'_>, last: Option<&str>) -> Result<Response, Failure> {
        let url = self.url("/stream", query);
        let mut request = self.feeds.get(url.clone()).bearer_auth(&self.target.token);
        request = request.header("accept", "text/event-stream");
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let answer = request.send().await.map_err(|e| self.unanswered(&e))?;
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        let body = answer.bytes().await.map_err(|e| self.unanswered(&e))?;
        Err(problem::failure(status, &body, &Method::GET, &url))
    }

    /// Sends a change, and repeats it if necessary.
    async fn change(&self, method: Method, path: &str, query: Query<'_>, body: Body<'_>) -> Result<Value, Failure> {
        let (url, key) = (self.url(path, query), Uuid::new_v4().to_string());
        for pause in AGAIN {
            match self.once(method.clone(), &url, body, Some(&key)).await {
                Err(refused) if refused.again => sleep(refused.after.unwrap_or(pause)).await,
                answer => return answer.map_err(|refused| refused.failure),
            }
        }
        let answer = self.once(method, &url, body, Some(&key)).await;
        answer.map_err(|refused| refused.failure.detail(format!("tried {} times", AGAIN.len() + 1)))
    }

    async fn once(&self, method: Method, url: &Url, body: Body<'_>, key: Option<&str>) -> Result<Value, Refused> {
        let mut request = body.on(self.http.request(method.clone(), url.clone()).bearer_auth(&self.target.token));
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        let lost = |e: reqwest::Error| Refused { failure: self.unanswered(&e), again: true, after: None };
        let answer = request.send().await.map_err(lost)?;
        let (status, after) = (answer.status(), retry_after(&answer));
        let bytes = answer.bytes().await.map_err(lost)?;
        if !status.is_success() {
            let again = matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS);
            return Err(Refused { failure: problem::failure(status, &bytes, &method, url), again, after });
        }
        if bytes.is_empty() {
            return Ok(Value::Null);
        }
        streams::limits::json::stored(&bytes).map_err(|e| self.foreign(&e).into())
    }

    fn url(&self, path: &str, query: Query<'_>) -> Url {
        let mut url = self.target.url.clone();
        url.set_path(&format!("{}{API}{path}", self.target.url.path().trim_end_matches('/')));
        let given: Vec<_> = query.iter().filter_map(|(name, value)| Some((name, value.as_ref()?))).collect();
        if !given.is_empty() {
            url.query_pairs_mut().extend_pairs(given);
        }
        url
    }

    fn unanswered(&self, error: &reqwest::Error) -> Failure {
        let Target { url, by, hint, .. } = &self.target;
        if error.is_connect() {
            let failure = Failure::new(Kind::Unavailable, format!("cannot reach {url} ({by})"));
            return failure.hint(hint).detail(chain(error));
        }
        if error.is_timeout() {
            let message = format!("{url} did not answer within {} s", ANSWER.as_secs());
            return Failure::new(Kind::Unavailable, message)
                .hint("run the command again; an accepted request is not lost");
        }
        Failure::new(Kind::Unavailable, format!("{url} ({by}): {}", chain(error)))
    }

    fn foreign(&self, error: &serde_json::Error) -> Failure {
        let message = format!("{} sent an answer that is not JSON: {error}", self.target.url);
        Failure::new(Kind::Failed, message).hint("check that --server is the address of a StreamSpace API")
    }
}

/// A failed request.
struct Refused {
    failure: Failure,
    /// Whether it may succeed when repeated.
    again: bool,
    after: Option<Duration>,
}

impl From<Failure> for Refused {
    fn from(failure: Failure) -> Self {
        Self { failure, again: false, after: None }
    }
}

fn retry_after(answer: &Response) -> Option<Duration> {
    let seconds: f64 = answer.headers().get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::try_from_secs_f64(seconds).unwrap_or(AGAIN_MAX).min(AGAIN_MAX))
}
