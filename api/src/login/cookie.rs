//! The cookie: who, until when, and a signature that only a holder of the administrator's token can make.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use poem::Request;
use poem::http::header;
use ring::hmac;
use streams::connect::Secret;

use super::codes::random;

/// Milliseconds for which a login lasts.
const LASTS_MS: i64 = 24 * 3_600 * 1000;
/// Logouts that are remembered; older ones are forgotten first.
const REVOKED: usize = 4_096;

/// Issues and reads cookies.
pub(super) struct Cookies {
    name: String,
    key: hmac::Key,
    revoked: Mutex<VecDeque<String>>,
}

impl Cookies {
    /// Cookies ignore ports, so the name tells installations on one host apart.
    pub(super) fn new(admin: &Secret, installation: &str) -> Self {
        let installation: String = installation.chars().filter(char::is_ascii_alphanumeric).take(32).collect();
        Self {
            name: format!("streamspace_{installation}"),
            key: hmac::Key::new(hmac::HMAC_SHA256, admin.expose().as_bytes()),
            revoked: Mutex::default(),
        }
    }

    fn signed(&self, until_ms: i64, nonce: &str) -> String {
        format!("web-ui-login|{}|{until_ms}|{nonce}", self.name)
    }

    /// The header of a new login.
    pub(super) fn issue(&self, now_ms: i64, base: &str, https: bool) -> String {
        let (until_ms, nonce) = (now_ms.saturating_add(LASTS_MS), random());
        let tag = hmac::sign(&self.key, self.signed(until_ms, &nonce).as_bytes());
        let value = format!("{until_ms}.{nonce}.{}", URL_SAFE_NO_PAD.encode(tag));
        let secure = if https { "; Secure" } else { "" };
        let seconds = LASTS_MS / 1000;
        format!("{}={value}; Path={base}; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}", self.name)
    }

    /// The nonce of a request's login, where it is valid.
    pub(super) fn read(&self, request: &Request, now_ms: i64) -> Option<String> {
        let values = request.headers().get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
        let mut pairs = values.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
        pairs.find_map(|(name, value)| (name == self.name).then(|| self.verify(value, now_ms)).flatten())
    }

    fn verify(&self, value: &str, now_ms: i64) -> Option<String> {
        let mut parts = value.splitn(3, '.');
        let (until_ms, nonce) = (parts.next()?.parse::<i64>().ok()?, parts.next()?);
        let tag = URL_SAFE_NO_PAD.decode(parts.next()?).ok()?;
        hmac::verify(&self.key, self.signed(until_ms, nonce).as_bytes(), &tag).ok()?;
        let revoked = self.revoked.lock().unwrap_or_else(PoisonError::into_inner);
        (until_ms > now_ms && !revoked.iter().any(|gone| gone == nonce)).then(|| nonce.to_owned())
    }

    /// The header that takes a login away; what it was is not accepted again by this process.
    pub(super) fn revoke(&self, request: &Request, now_ms: i64, base: &str) -> String {
        if let Some(nonce) = self.read(request, now_ms) {
            let mut revoked = self.revoked.lock().unwrap_or_else(PoisonError::into_inner);
            if revoked.len() >= REVOKED {
                revoked.pop_front();
            }
            revoked.push_back(nonce);
        }
        format!("{}=; Path={base}; Max-Age=0; HttpOnly; SameSite=Lax", self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn carrying(header: &str) -> Request {
        let pair = header.split(';').next().unwrap_or_default();
        Request::builder().header("cookie", format!("other=1; {pair}")).finish()
    }

    #[test]
    fn a_login_lasts_a_day_belongs_to_one_installation_and_ends_with_the_token() {
        let cookies = Cookies::new(&Secret::new("a-token-for-tests"), "one");
        let login = cookies.issue(0, "/", false);
        assert!(login.contains("HttpOnly; SameSite=Lax") && !login.contains("Secure"), "{login}");
        assert!(cookies.read(&carrying(&login), LASTS_MS - 1).is_some());
        assert!(cookies.read(&carrying(&login), LASTS_MS).is_none(), "it is over");
        let altered = login.replacen(&LASTS_MS.to_string(), &(LASTS_MS + 1).to_string(), 1);
        assert!(cookies.read(&carrying(&altered), 1).is_none(), "it was altered");
        for (token, installation) in [("another-token-here", "one"), ("a-token-for-tests", "two")] {
            let stranger = Cookies::new(&Secret::new(token), installation);
            assert!(stranger.read(&carrying(&login), 1).is_none(), "{token} {installation}");
        }
    }

    #[test]
    fn who_logged_out_is_out_even_with_a_copy_of_the_cookie() {
        let cookies = Cookies::new(&Secret::new("a-token-for-tests"), "one");
        let (login, other) = (cookies.issue(0, "/", false), cookies.issue(0, "/", true));
        assert!(cookies.revoke(&carrying(&login), 1, "/").contains("Max-Age=0"));
        assert!(cookies.read(&carrying(&login), 2).is_none());
        assert!(cookies.read(&carrying(&other), 2).is_some());
    }
}
