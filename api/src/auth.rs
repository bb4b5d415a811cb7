//! Who asks. Today there is one principal, the administrator, who shows a bearer token.
//!
//! Both sides are hashed and the hashes compared in constant time, so that a stopwatch tells nothing about the token.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use poem::Request;
use poem::http::{HeaderValue, header};
use poem_openapi::SecurityScheme;
use poem_openapi::auth::Bearer;
use sha2::{Digest, Sha256};
use streams::connect::Secret;
use subtle::ConstantTimeEq;

/// The administrator's token, as its hash.
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
    fn matches(&self, token: &str) -> bool {
        let digest: [u8; 32] = Sha256::digest(token).into();
        bool::from(self.digest.ct_eq(&digest)) && !self.empty
    }
}

/// Somebody who was recognised. The gate puts one into every request that it lets through to `/api/v1`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Principal {
    pub(crate) name: String,
}

/// The principal of the token in a request, if it is one.
pub(crate) fn recognise(request: &Request, admin: &Token) -> Option<Principal> {
    let (scheme, token) = request.header("authorization")?.split_once(' ')?;
    let known = scheme.eq_ignore_ascii_case("bearer") && admin.matches(token.trim());
    known.then(|| Principal { name: "admin".to_owned() })
}

/// Makes a header of the token that a browser's WebSocket brings as the protocol `bearer.<base64url of the token>`, because
/// browsers cannot set headers on one. A header that is there wins.
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
#[derive(SecurityScheme)]
#[oai(ty = "bearer", rename = "token", checker = "recognised")]
pub(crate) struct Caller(pub(crate) Principal);

/// The gate has compared the token already.
async fn recognised(request: &Request, _: Bearer) -> Option<Principal> {
    request.data::<Principal>().cloned()
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
