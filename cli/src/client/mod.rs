//! The commands that ask a server: where it is, how it is asked, and what its refusals mean on a command line.

pub(crate) mod controllers;
pub(crate) mod dlq;
mod problem;
pub(crate) mod session;
pub(crate) mod template;
mod watch;

use std::path::PathBuf;
use std::time::Duration;

use reqwest::{Method, Url};
use serde_json::Value;

use crate::dev::DATA_DIR;
use crate::dev::folder::Endpoints;
use crate::failure::{Failure, Kind, chain};
use crate::output::Format;

const API: &str = "/api/v1";
const CONNECT: Duration = Duration::from_secs(5);
const ANSWER: Duration = Duration::from_secs(30);
/// The largest page that the server gives.
const PAGE: &str = "200";
const START_ONE: &str = "`streamspace dev` here, or --server URL and --token TOKEN";

/// Where the server is, and how its answers are shown.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Server {
    /// The server [default: that of ./data/endpoints.json]
    #[arg(long, global = true, value_name = "URL", env = "STREAMSPACE_SERVER")]
    server: Option<String>,
    /// The bearer token [default: that of ./data/endpoints.json]
    #[arg(long, global = true, value_name = "TOKEN", env = "STREAMSPACE_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// The folder of the `streamspace dev` to ask [default: ./data]
    #[arg(long, global = true, value_name = "DIR", env = "STREAMSPACE_DATA_DIR")]
    data_dir: Option<PathBuf>,
    /// How answers look
    #[arg(long, short, global = true, value_enum, default_value_t)]
    pub(crate) output: Format,
}

/// Some values of a query, those that were given.
pub(crate) type Query<'a> = &'a [(&'a str, Option<String>)];

/// A connection to a server.
#[derive(Debug)]
pub(crate) struct Client {
    http: reqwest::Client,
    server: Url,
    token: String,
}

impl Client {
    /// Finds out whom to ask; nobody is asked yet.
    pub(crate) fn new(args: &Server) -> Result<Self, Failure> {
        let folder = args.data_dir.clone().unwrap_or_else(|| DATA_DIR.into());
        let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        let (server, token) = match (given(&args.server), given(&args.token)) {
            (Some(server), Some(token)) => (server, token),
            (Some(server), None) => {
                let message = format!("a token is needed for {server}");
                return Err(Failure::usage(message).hint("--token, or STREAMSPACE_TOKEN"));
            }
            (None, token) => {
                let known = Endpoints::read(&folder)?.ok_or_else(|| {
                    let message = format!("no server was named, and there is no {}/endpoints.json", folder.display());
                    Failure::usage(message).hint(START_ONE)
                })?;
                (known.http, token.unwrap_or(known.admin_token))
            }
        };
        let url = Url::parse(&server).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        let url = url.ok_or_else(|| {
            Failure::usage(format!("{server:?} is no URL of a server")).hint("--server http://127.0.0.1:8080")
        })?;
        let http = reqwest::Client::builder().connect_timeout(CONNECT).timeout(ANSWER).build()?;
        Ok(Self { http, server: url, token })
    }

    pub(crate) async fn get(&self, path: &str, query: Query<'_>) -> Result<Value, Failure> {
        self.send(Method::GET, path, query, |request| request).await
    }

    pub(crate) async fn post(&self, path: &str, body: Option<&Value>) -> Result<Value, Failure> {
        self.send(Method::POST, path, &[], |request| match body {
            Some(body) => request.json(body),
            None => request,
        })
        .await
    }

    pub(crate) async fn post_yaml(&self, path: &str, text: String) -> Result<Value, Failure> {
        let body = |request: reqwest::RequestBuilder| request.header("content-type", "application/yaml").body(text);
        self.send(Method::POST, path, &[], body).await
    }

    pub(crate) async fn delete(&self, path: &str, query: Query<'_>) -> Result<Value, Failure> {
        self.send(Method::DELETE, path, query, |request| request).await
    }

    /// A list, page after page, up to `most` items.
    pub(crate) async fn list(&self, path: &str, query: Query<'_>, most: usize) -> Result<Vec<Value>, Failure> {
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

    async fn send(
        &self,
        method: Method,
        path: &str,
        query: Query<'_>,
        with: impl FnOnce(reqwest::RequestBuilder) -> reqwest::RequestBuilder,
    ) -> Result<Value, Failure> {
        let request = with(self.http.request(method, self.url(path, query)).bearer_auth(&self.token));
        let answer = request.send().await.map_err(|e| self.unanswered(&e))?;
        let status = answer.status();
        let bytes = answer.bytes().await.map_err(|e| self.unanswered(&e))?;
        if status.is_success() {
            let empty = bytes.is_empty();
            return if empty { Ok(Value::Null) } else { serde_json::from_slice(&bytes).map_err(|e| self.foreign(&e)) };
        }
        Err(problem::failure(status, &bytes))
    }

    fn url(&self, path: &str, query: Query<'_>) -> Url {
        let mut url = self.server.clone();
        url.set_path(&format!("{}{API}{path}", self.server.path().trim_end_matches('/')));
        let given = query.iter().filter_map(|(name, value)| Some((name, value.as_ref()?)));
        let given: Vec<_> = given.collect();
        if !given.is_empty() {
            url.query_pairs_mut().extend_pairs(given);
        }
        url
    }

    fn unanswered(&self, error: &reqwest::Error) -> Failure {
        let server = &self.server;
        if error.is_connect() {
            return Failure::new(Kind::Unavailable, format!("nobody answers at {server}")).hint(START_ONE);
        }
        if error.is_timeout() {
            let message = format!("{server} did not answer within {} s", ANSWER.as_secs());
            return Failure::new(Kind::Unavailable, message).hint("the same again; what was accepted is not lost");
        }
        Failure::new(Kind::Unavailable, chain(error))
    }

    fn foreign(&self, error: &serde_json::Error) -> Failure {
        let message = format!("{} answered something that is no JSON: {error}", self.server);
        Failure::new(Kind::Failed, message).hint("--server with the address of a StreamSpace API")
    }
}

/// A name as one part of a path.
pub(crate) fn segment(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}
