//! What every request passes: it gets an id and a span, is authenticated and limited, and its errors become problems.
//!
//! In order: malformed input (such as NUL characters), authentication, rate limits, existence of the route,
//! authorization. Without a token nothing under `/api/v1` can be learned, not even what exists.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use engine::Engine;
use futures::FutureExt;
use poem::http::HeaderValue;
use poem::{Endpoint, Request, Response};
use streams::limits::PARAMETER;
use tracing::{Instrument, Span, field};
use uuid::Uuid;

use crate::Config;
use crate::access;
use crate::auth::{self, Principal, RequestId, Token};
use crate::body::Limits;
use crate::cors::Cors;
use crate::document::Apis;
use crate::login::Login;
use crate::problem::{self, Kind, Problem};
use crate::rate::{Left, Rate};
use crate::routes::{PREFIX, Route, Routes};
use crate::{deprecation, headers, idempotency, security_headers, ui};

const REQUEST_ID: &str = "x-request-id";
/// Maximum bytes of path and query.
const LONGEST_TARGET: usize = 8 << 10;
/// Maximum number of query parameters; no operation has half as many.
const MOST_PARAMETERS: usize = 64;
const MOST_HEADERS: usize = 96;
/// Maximum bytes of header names and values.
const LARGEST_HEADERS: usize = 32 << 10;

/// The gate; cheap to clone.
#[derive(Clone)]
pub(crate) struct Gate {
    engine: Arc<Engine>,
    routes: Arc<Routes>,
    admin: Token,
    login: Login,
    rate: Rate,
    cors: Cors,
    limits: Limits,
}

impl Gate {
    pub(crate) fn new(config: &Config, engine: Arc<Engine>, login: Login) -> Self {
        Self {
            engine,
            routes: Arc::new(Routes::of::<Apis>()),
            admin: Token::new(&config.admin_token),
            login,
            rate: Rate::new(config),
            cors: Cors::new(&config.cors_origins),
            limits: Limits {
                body: config.max_body_bytes,
                templates: config.max_template_bytes,
                time: config.sockets.body,
            },
        }
    }

    /// Passes a request on or refuses it; always returns a response.
    pub(crate) async fn pass<E: Endpoint<Output = Response>>(
        &self,
        next: Arc<E>,
        mut request: Request,
    ) -> poem::Result<Response> {
        let https_only = security_headers::is_https_only(&request);
        if let Some(mut response) = self.cors.preflight(&request) {
            security_headers::add(response.headers_mut(), https_only);
            return Ok(response);
        }
        let origin = self.cors.origin(&request);
        let (started, id, method) = (Instant::now(), Uuid::now_v7(), request.method().clone());
        request.set_data(RequestId(id));
        let page = || ui::is_page(&request).then(|| self.routes.find("/")).flatten();
        let route = self.routes.find(request.uri().path()).or_else(page);
        let name = route.map_or("unknown", |route| route.path.as_str());
        let span = span(&request, name, id);
        let answer = self.answer(next, request, route).instrument(span.clone()).await;
        let mut response = answer.unwrap_or_else(|problem| problem.respond(Some(format!("urn:uuid:{id}"))));
        if let Ok(id) = HeaderValue::from_str(id.hyphenated().encode_lower(&mut Uuid::encode_buffer())) {
            response.headers_mut().insert(REQUEST_ID, id);
        }
        self.cors.add_headers(origin, response.headers_mut());
        security_headers::add(response.headers_mut(), https_only);
        let status = response.status().as_u16();
        span.record("http.status", status);
        let ms = started.elapsed().as_secs_f64() * 1000.0;
        let _entered = span.entered();
        log(method.as_str(), name, status, ms, id);
        Ok(response)
    }

    async fn answer<E: Endpoint<Output = Response>>(
        &self,
        next: Arc<E>,
        mut request: Request,
        route: Option<&Route>,
    ) -> Result<Response, Problem> {
        check_size(&request)?;
        headers::check(&mut request)?;
        let (principal, left) = self.admit(&mut request)?;
        let answer = self.admitted(next, request, route, principal).await;
        match (answer, left) {
            (Ok(mut response), Some(left)) => {
                left.add_headers(response.headers_mut());
                Ok(response)
            }
            (answer, _) => answer,
        }
    }

    async fn admitted<E: Endpoint<Output = Response>>(
        &self,
        next: Arc<E>,
        mut request: Request,
        route: Option<&Route>,
        principal: Option<Principal>,
    ) -> Result<Response, Problem> {
        let route = check_route(&request, route)?;
        headers::conditions(&request, route)?;
        if let Some(principal) = &principal {
            access::permit(&self.engine, principal, route, &request).await?;
        }
        request.set_data(self.limits);
        let key = match &principal {
            Some(principal) => idempotency::key(&mut request, &principal.name, self.limits).await?,
            None => None,
        };
        let deprecated = route.deprecated(request.method());
        // boxed, because its waiter holds it twice and is itself moved by everything around it
        let answer = AssertUnwindSafe(next.call(request)).catch_unwind().boxed();
        let answer = match &key {
            Some(key) => key.scope(answer).await,
            None => answer.await,
        };
        match answer {
            Ok(Ok(mut response)) => {
                if key.is_some_and(|key| key.replayed()) {
                    response.headers_mut().insert(idempotency::REPLAYED, HeaderValue::from_static("true"));
                }
                deprecation::add_headers(deprecated, response.headers_mut());
                Ok(response)
            }
            Ok(Err(error)) => Err(problem::foreign(error, Some(route))),
            Err(_) => {
                tracing::error!("a request panicked");
                Err(Problem::new(Kind::Internal, "internal error; the server's log has the reason"))
            }
        }
    }

    /// Authenticates a request and applies the rate limits.
    fn admit(&self, request: &mut Request) -> Result<(Option<Principal>, Option<Left>), Problem> {
        let path = request.uri().path();
        if matches!(path, "/healthz" | "/readyz") {
            return Ok((None, None)); // probes of a supervisor must not be refused
        }
        let inside = path.strip_prefix(PREFIX).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        let of_address = self.rate.address(request).map_err(|left| too_often("address", left))?;
        if !inside {
            return Ok((None, of_address));
        }
        auth::unwrap_protocol(request);
        let principal = match auth::recognise(request, &self.admin) {
            Some(principal) => Some(principal),
            None => self.login.recognise(request)?,
        };
        let principal = principal.ok_or_else(|| {
            Problem::new(Kind::Unauthorized, "send the header Authorization: Bearer <token> with a valid token")
        })?;
        let left = self.rate.principal(&principal).map_err(|left| too_often("principal", left))?;
        request.set_data(principal.clone());
        Ok((Some(principal), left.or(of_address)))
    }
}

fn too_often(who: &str, left: Left) -> Problem {
    let detail = format!("this {who} sends more requests than permitted");
    Problem::new(Kind::TooManyRequests, detail).after(left.wait()).limited(left)
}

/// Checks the size of a request's head. Far larger ones are never read by the server.
fn check_size(request: &Request) -> Result<(), Problem> {
    let target = request.uri().path_and_query().map_or(0, |target| target.as_str().len());
    if target > LONGEST_TARGET {
        let detail = format!("path and query have {target} bytes; the limit is {LONGEST_TARGET}");
        return Err(Problem::new(Kind::UriTooLong, detail));
    }
    let (count, bytes) = (request.headers().len(), request.headers().iter().map(|(n, v)| n.as_str().len() + v.len()));
    let bytes: usize = bytes.sum();
    if count > MOST_HEADERS || bytes > LARGEST_HEADERS {
        let detail =
            format!("{count} headers of {bytes} bytes; the limit is {MOST_HEADERS} headers of {LARGEST_HEADERS} bytes");
        return Err(Problem::new(Kind::HeadersTooLarge, detail));
    }
    let parameters = request.uri().query().map_or(0, |query| query.split('&').count());
    if parameters > MOST_PARAMETERS {
        let rule = format!("has {parameters} parameters; the limit is {MOST_PARAMETERS}");
        return Err(Problem::parameter("query", rule, "use each parameter once"));
    }
    Ok(())
}

/// Checks that the route exists, and its path and query parameters.
fn check_route<'a>(request: &Request, route: Option<&'a Route>) -> Result<&'a Route, Problem> {
    let uri = request.uri();
    if uri.path().len() > 3 * PARAMETER {
        let rule = format!("must have at most {PARAMETER} characters");
        return Err(Problem::parameter("path", rule, "no resource has a name of that length"));
    }
    for (field, text) in [("path", uri.path()), ("query", uri.query().unwrap_or_default())] {
        let rule = "must be UTF-8 without NUL characters, percent-encoded where it must be";
        if !is_text(text) {
            return Err(Problem::parameter(field, rule, "check the characters after each %"));
        }
    }
    let nothing = || Problem::new(Kind::NotFound, "there is nothing at this path; /docs lists what there is");
    let route = route.ok_or_else(nothing)?;
    if !route.has(request.method()) {
        return Err(Problem::method(route.allow()));
    }
    let Some(known) = route.query(request.method()) else { return Ok(route) };
    let pairs: Vec<(String, String)> = request
        .params()
        .map_err(|_| Problem::parameter("query", "is not well-formed", "write it as name=value&name=value"))?;
    for (i, (name, value)) in pairs.iter().enumerate() {
        if !known.contains(name) {
            let known =
                if known.is_empty() { "it takes none".into() } else { format!("it takes {}", known.join(", ")) };
            return Err(Problem::parameter(name, "is not a parameter of this operation", known));
        }
        if pairs[..i].iter().any(|(before, _)| before == name) {
            return Err(Problem::parameter(name, "appears twice", "use it once"));
        }
        if value.chars().nth(PARAMETER).is_some() {
            let rule = format!("must have at most {PARAMETER} characters");
            return Err(Problem::parameter(name, rule, "shorten it"));
        }
    }
    Ok(route)
}

/// Whether percent-encoded text is such that both databases can compare it.
fn is_text(encoded: &str) -> bool {
    if !encoded.contains(['%', '\0']) {
        return true;
    }
    let mut parts = encoded.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let Some(byte) = part.get(..2).and_then(|hex| u8::from_str_radix(hex, 16).ok()) else { return false };
        bytes.push(byte);
        bytes.extend_from_slice(&part.as_bytes()[2..]);
    }
    !bytes.contains(&0) && std::str::from_utf8(&bytes).is_ok()
}

/// The span of a request, which continues the caller's trace if there is one.
fn span(request: &Request, route: &str, id: Uuid) -> Span {
    let method = request.method().as_str();
    let name = format!("HTTP {method} {route}");
    let span = tracing::info_span!("request", otel.name = name, otel.kind = "server", http.method = method,
        http.route = route, http.status = field::Empty, request.id = %id);
    if let Some(traceparent) = request.header("traceparent") {
        streams::trace::set_parent(&span, traceparent);
    }
    span
}

/// One log line per handled request; probes and scrapes would drown the others.
fn log(method: &str, route: &str, status: u16, ms: f64, id: Uuid) {
    let probe = matches!(route, "/healthz" | "/readyz" | "/metrics");
    if status >= 500 {
        tracing::warn!(http.method = method, http.route = route, http.status = status, ms, request.id = %id, "handled");
    } else if probe {
        tracing::debug!(http.method = method, http.route = route, http.status = status, ms, request.id = %id, "handled");
    } else {
        tracing::info!(http.method = method, http.route = route, http.status = status, ms, request.id = %id, "handled");
    }
}
