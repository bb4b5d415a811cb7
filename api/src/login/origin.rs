//! Which page a request comes from. A cookie is sent by the browser whoever asks, so it counts only where the UI itself asks.

use std::net::IpAddr;

use poem::Request;
use poem::http::{Method, header};

use crate::problem::{Kind, Problem};

/// Refuses what another page asks for: every change (and WebSocket) must name this server as its `Origin`, and what a browser
/// says about the site of a read must not be another's.
pub(super) fn check(request: &Request) -> Result<(), Problem> {
    let foreign = |what: &str| {
        let detail = format!("{what}; a login in the browser can only be used by the pages of this server");
        Err(Problem::new(Kind::Forbidden, detail))
    };
    if let Some(site) = request.header("sec-fetch-site")
        && !matches!(site, "same-origin" | "none")
    {
        return foreign("the request was made by a page of another origin");
    }
    let reads =
        matches!(*request.method(), Method::GET | Method::HEAD) && !request.headers().contains_key(header::UPGRADE);
    match (request.header(header::ORIGIN), host(request)) {
        (Some(origin), Some(host)) if authority(origin) == Some(host) => Ok(()),
        (None, _) if reads => Ok(()),
        (None, _) => foreign("the request does not say which page made it (Origin)"),
        (Some(_), _) => foreign("the request's Origin is not this server"),
    }
}

/// Whether the browser came over https, perhaps through a proxy that speaks http with this server.
pub(super) fn is_https(request: &Request) -> bool {
    request.header(header::ORIGIN).is_some_and(|origin| origin.starts_with("https://"))
}

/// Where to log in instead, where sessions of this machine share the host and would get the cookie, because cookies ignore ports.
pub(super) fn elsewhere(request: &Request) -> Option<String> {
    let host = host(request)?;
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => (name, format!(":{port}")),
        _ => (host, String::new()),
    };
    let address: IpAddr = name.trim_matches(['[', ']']).parse().ok()?;
    address.is_loopback().then(|| format!("http://localhost{port}/"))
}

fn host(request: &Request) -> Option<&str> {
    request.header(header::HOST).or_else(|| request.uri().authority().map(|authority| authority.as_str()))
}

fn authority(origin: &str) -> Option<&str> {
    origin.split_once("://").map(|(_, authority)| authority)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asking(method: Method, headers: &[(&str, &str)]) -> Request {
        let request = Request::builder().method(method).header("host", "localhost:8080");
        headers.iter().fold(request, |request, (name, value)| request.header(*name, *value)).finish()
    }

    #[test]
    fn only_the_servers_own_pages_may_use_a_login() {
        const OWN: (&str, &str) = ("origin", "http://localhost:8080");
        for (method, headers, may) in [
            (Method::GET, vec![], true),
            (Method::GET, vec![("sec-fetch-site", "same-site")], false),
            (Method::GET, vec![("sec-fetch-site", "none")], true),
            (Method::GET, vec![("upgrade", "websocket")], false),
            (Method::GET, vec![("upgrade", "websocket"), OWN], true),
            (Method::POST, vec![], false),
            (Method::POST, vec![OWN], true),
            (Method::POST, vec![("origin", "http://127.0.0.1:23235")], false),
            (Method::POST, vec![("origin", "http://localhost:23235")], false),
            (Method::POST, vec![("origin", "null")], false),
            (Method::DELETE, vec![OWN, ("sec-fetch-site", "cross-site")], false),
        ] {
            assert_eq!(check(&asking(method.clone(), &headers)).is_ok(), may, "{method} {headers:?}");
        }
    }

    #[test]
    fn a_host_that_sessions_share_is_no_place_to_log_in() {
        for (host, instead) in [
            ("127.0.0.1:8080", Some("http://localhost:8080/")),
            ("[::1]:8080", Some("http://localhost:8080/")),
            ("127.0.0.1", Some("http://localhost/")),
            ("localhost:8080", None),
            ("stream.example.org", None),
        ] {
            let request = Request::builder().header("host", host).finish();
            assert_eq!(elsewhere(&request).as_deref(), instead, "{host}");
        }
    }
}
