//! Login of the web UI: a one-time code or the administrator's token, exchanged for a cookie.
//!
//! `GET /ui/session` says who is logged in (200 for nobody, so that the start page has no failed request), `POST` logs in and
//! `DELETE` logs out. These are the UI's own and no part of `/api/v1`, where clients show the token with each request. The cookie is
//! signed with the administrator's token, so it survives restarts, is accepted by every engine of the installation, and ends when
//! the token is changed. See `docs/decisions/0020-login-of-the-web-ui.md`.

mod codes;
mod cookie;
mod origin;

use std::sync::Arc;

use chrono::Utc;
use engine::use_cases::ADMINISTRATOR;
use poem::http::{HeaderValue, Method, StatusCode, header};
use poem::{Endpoint, IntoResponse, Request, Response};
use serde::Deserialize;
use serde_json::json;

use crate::auth::{Principal, Scope, Token};
use crate::body::gather;
use crate::problem::{Kind, Problem};
use crate::{Config, ui};
pub use codes::Codes;
use cookie::Cookies;

/// Where the UI logs in and out.
pub(crate) const PATH: &str = "/ui/session";
/// Bytes of a login.
const BODY: usize = 4 << 10;

/// What a browser logs in with.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Credentials {
    code: Option<String>,
    token: Option<String>,
}

/// Who may log in, and who is logged in; cheap to clone.
#[derive(Clone)]
pub(crate) struct Login(Arc<Inner>);

struct Inner {
    admin: Token,
    codes: Codes,
    cookies: Cookies,
    version: String,
    patience: std::time::Duration,
}

impl Login {
    pub(crate) fn new(config: &Config) -> Self {
        Self(Arc::new(Inner {
            admin: Token::new(&config.admin_token),
            codes: config.login_codes.clone(),
            cookies: Cookies::new(&config.admin_token, &config.installation),
            version: config.version.clone(),
            patience: config.sockets.body,
        }))
    }

    /// Whoever the cookie of a request names. A cookie counts only for requests of the UI's own pages.
    ///
    /// # Errors
    /// A cookie that is valid, on a change that another page asks for.
    pub(crate) fn recognise(&self, request: &Request) -> Result<Option<Principal>, Problem> {
        if self.0.cookies.read(request, Utc::now().timestamp_millis()).is_none() {
            return Ok(None);
        }
        origin::check(request)?;
        Ok(Some(Principal { name: ADMINISTRATOR.to_owned(), scope: Scope::Administrator }))
    }

    fn who(&self, request: &Request) -> Response {
        let known =
            origin::check(request).is_ok() && self.0.cookies.read(request, Utc::now().timestamp_millis()).is_some();
        let body = json!({
            "name": known.then_some(ADMINISTRATOR),
            "role": known.then_some("administrator"),
            "version": self.0.version,
            "move_to": origin::elsewhere(request),
        });
        with_no_store(poem::web::Json(body).into_response())
    }

    async fn log_in(&self, mut request: Request) -> Result<Response, Problem> {
        origin::check(&request)?;
        if let Some(url) = origin::elsewhere(&request) {
            let detail = format!("sessions live on this host and could use the login; open {url} instead");
            return Err(Problem::new(Kind::Forbidden, detail));
        }
        let bytes = gather(request.take_body(), BODY, self.0.patience).await?;
        let given: Credentials = serde_json::from_slice(&bytes).map_err(|error| {
            Problem::new(Kind::MalformedBody, format!("a login is {{\"code\"}} or {{\"token\"}}: {error}"))
        })?;
        let now = Utc::now().timestamp_millis();
        match (given.code, given.token) {
            (Some(code), None) if self.0.codes.take(&code, now) => {}
            (None, Some(token)) if self.0.admin.matches(token.trim()) => {}
            (Some(_), None) => {
                let detail = "this link was used already, or is older than five minutes; restart to get another, or \
                              log in with the administrator's token";
                return Err(Problem::new(Kind::Unauthorized, detail));
            }
            _ => return Err(Problem::new(Kind::Unauthorized, "this is not the administrator's token")),
        }
        let cookie = self.0.cookies.issue(now, &ui::base(&request), origin::is_https(&request));
        Ok(answer(&cookie))
    }

    fn log_out(&self, request: &Request) -> Result<Response, Problem> {
        origin::check(request)?;
        let cookie = self.0.cookies.revoke(request, Utc::now().timestamp_millis(), &ui::base(request));
        Ok(answer(&cookie))
    }
}

impl Endpoint for Login {
    type Output = Response;

    async fn call(&self, request: Request) -> poem::Result<Response> {
        Ok(match *request.method() {
            Method::POST => self.log_in(request).await?,
            Method::DELETE => self.log_out(&request)?,
            _ => self.who(&request),
        })
    }
}

fn answer(cookie: &str) -> Response {
    let mut response = with_no_store(StatusCode::NO_CONTENT.into_response());
    if let Ok(cookie) = HeaderValue::from_str(cookie) {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    response
}

fn with_no_store(mut response: Response) -> Response {
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
