//! Authentication: the administrator, by a bearer token over HTTP, or a user, as NATS has authenticated them.
//!
//! Both tokens are hashed and the hashes compared in constant time, so that timing reveals nothing.
//! Authorization is in `engine::use_cases`; `access` says which action a route is.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use engine::Engine;
use engine::use_cases::{self, ADMINISTRATOR, Action, Role, Through, UseCases};
use poem::http::{HeaderValue, header};
use poem::{Request, RequestBody};
use poem_openapi::registry::{MetaSecurityScheme, Registry};
use poem_openapi::{ApiExtractor, ApiExtractorType, ExtractParamOptions};
use sha2::{Digest, Sha256};
use streams::connect::Secret;
use streams::ids::User;
use subtle::ConstantTimeEq;
use uuid::Uuid;

use crate::problem::{Kind, Problem};

/// The hash of the administrator's token.
#[derive(Clone)]
pub(crate) struct Token {
    digest: [u8; 32],
    empty: bool,
}

impl Token {
    pub(crate) fn new(secret: &Secret) -> Self {
        Self { digest: Sha256::digest(secret.expose()).into(), empty: secret.expose().is_empty() }
    }

    /// An empty token matches nothing.
    pub(crate) fn matches(&self, token: &str) -> bool {
        let digest: [u8; 32] = Sha256::digest(token).into();
        bool::from(self.digest.ct_eq(&digest)) && !self.empty
    }
}

/// Authorization scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Scope {
    /// Everything.
    Administrator,
    /// The user's own sessions.
    User,
}

/// An authenticated principal. The gate adds one to every request under `/api/v1` that it lets through.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Principal {
    pub(crate) name: String,
    pub(crate) scope: Scope,
}

impl Principal {
    /// A user authenticated by NATS.
    pub(crate) fn user(user: User) -> Result<Self, Problem> {
        if user.as_str() == ADMINISTRATOR {
            return Err(Problem::new(Kind::Forbidden, "admin is not a user; the administrator uses HTTP"));
        }
        Ok(Self { name: user.into(), scope: Scope::User })
    }

    /// The user whose things are meant where a request names `named`, or nobody.
    ///
    /// # Errors
    /// A user may not name another.
    pub(crate) fn owner(&self, action: Action, named: Option<String>) -> Result<Option<String>, Problem> {
        Ok(self.caller(None).owner(action, named)?)
    }

    /// The caller that the engine knows. Users come through NATS only: see `nats_gateway`.
    pub(crate) fn caller(&self, request_id: Option<Uuid>) -> use_cases::Caller {
        let (role, through) = match self.scope {
            Scope::Administrator => (Role::Administrator, Through::Http),
            Scope::User => (Role::User, Through::Nats),
        };
        use_cases::Caller { name: self.name.clone(), role, through, request_id }
    }
}

/// The principal of a request: one that is already attached, or that of the request's token.
pub(crate) fn recognise(request: &Request, admin: &Token) -> Option<Principal> {
    if let Some(principal) = request.data::<Principal>() {
        return Some(principal.clone()); // attached by this process only: see `nats_gateway`
    }
    let (scheme, token) = request.header("authorization")?.split_once(' ')?;
    let known = scheme.eq_ignore_ascii_case("bearer") && admin.matches(token.trim());
    known.then(|| Principal { name: ADMINISTRATOR.to_owned(), scope: Scope::Administrator })
}

/// Converts the token that a browser sends as the WebSocket protocol `bearer.<base64url of the token>` into a
/// header, because browsers cannot set headers there. An existing header takes precedence.
pub(crate) fn unwrap_protocol(request: &mut Request) {
    if request.headers().contains_key(header::AUTHORIZATION) {
        return;
    }
    let offered = request.header(header::SEC_WEBSOCKET_PROTOCOL).unwrap_or_default();
    let token = offered.split(',').find_map(|protocol| {
        let text = protocol.trim().strip_prefix("bearer.")?;
        String::from_utf8(URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).ok()?).ok()
    });
    let value = token.and_then(|token| HeaderValue::from_str(&format!("Bearer {token}")).ok());
    if let Some(mut value) = value {
        value.set_sensitive(true);
        request.headers_mut().insert(header::AUTHORIZATION, value);
    }
}

/// The administrator's token, as `Authorization: Bearer <token>`.
pub(crate) struct Caller(pub(crate) Principal, Option<Uuid>);

/// The id of a request, which the gate gives it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RequestId(pub(crate) Uuid);

impl Caller {
    /// What the caller may ask of the engine.
    pub(crate) fn on<'e>(&self, engine: &'e Engine) -> UseCases<'e> {
        engine.on_behalf_of(self.0.caller(self.1))
    }
}

impl<'a> ApiExtractor<'a> for Caller {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::SecurityScheme];
    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        let scheme = MetaSecurityScheme {
            ty: "http",
            description: Some("The administrator's token, as `Authorization: Bearer <token>`."),
            name: None,
            key_in: None,
            scheme: Some("bearer"),
            bearer_format: None,
            flows: None,
            openid_connect_url: None,
        };
        registry.create_security_scheme("token", scheme);
    }

    fn security_schemes() -> Vec<&'static str> {
        vec!["token"]
    }

    /// Already authenticated by the gate.
    async fn from_request(request: &'a Request, _: &mut RequestBody, _: ExtractParamOptions<()>) -> poem::Result<Self> {
        let stranger = || Problem::new(Kind::Unauthorized, "send the header Authorization: Bearer <token>");
        let id = request.data::<RequestId>().map(|id| id.0);
        Ok(Self(request.data::<Principal>().cloned().ok_or_else(stranger)?, id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_token_matches_and_an_empty_one_never_does() {
        let token = Token::new(&Secret::new("hunter2"));
        assert!(token.matches("hunter2") && !token.matches("hunter") && !token.matches(""));
        assert!(!Token::new(&Secret::new("")).matches(""));
    }
}
