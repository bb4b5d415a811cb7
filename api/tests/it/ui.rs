//! The web UI and its login: what a browser gets, and who else does not.

use anyhow::Result;
use poem::Request;
use poem::http::Method;

use crate::app::{Answer, App, TOKEN};

const HOST: &str = "localhost:8080";
const OWN: &str = "http://localhost:8080";

fn asking(method: Method, path: &str) -> poem::RequestBuilder {
    Request::builder().method(method).uri_str(path).header("host", HOST)
}

async fn log_in(app: &App, body: &str, origin: Option<&str>) -> Answer {
    let request = asking(Method::POST, "/ui/session").content_type("application/json");
    let request = origin.into_iter().fold(request, |request, origin| request.header("origin", origin));
    app.send(request.body(body.to_owned())).await
}

/// The cookie of a login, as a browser sends it back.
fn cookie(answer: &Answer) -> String {
    answer.header("set-cookie").split(';').next().unwrap_or_default().to_owned()
}

fn code(app: &App) -> String {
    app.config.login_codes.issue(chrono::Utc::now().timestamp_millis())
}

#[tokio::test]
async fn a_code_logs_in_once_and_the_cookie_then_stands_for_the_token() -> Result<()> {
    let app = App::with(|config| config.installation = "one".into()).await?;
    let nobody = app.send(asking(Method::GET, "/ui/session").finish()).await;
    assert_eq!((nobody.status, nobody.json["name"].is_null()), (200, true), "nobody is no error: {nobody:?}");

    let body = format!(r#"{{"code":"{}"}}"#, code(&app));
    let answer = log_in(&app, &body, Some(OWN)).await;
    assert_eq!(answer.status, 204, "{answer:?}");
    let set = answer.header("set-cookie").to_owned();
    for part in ["streamspace_one=", "HttpOnly", "SameSite=Lax", "Path=/"] {
        assert!(set.contains(part), "{part} in {set}");
    }
    assert!(!set.contains(TOKEN), "the token is never in a cookie");
    let again = log_in(&app, &body, Some(OWN)).await;
    assert_eq!((again.status, again.problem()), (401, "unauthorized"), "it was used");

    let cookie = cookie(&answer);
    let with = |method, path: &str| asking(method, path).header("cookie", cookie.clone());
    assert_eq!(app.send(with(Method::GET, "/ui/session").finish()).await.json["name"], "admin");
    assert_eq!(app.send(with(Method::GET, "/api/v1/sessions").finish()).await.status, 200);
    let create = with(Method::POST, "/api/v1/sessions").header("origin", OWN).content_type("application/json");
    assert_eq!(app.send(create.body(r#"{"template_id":"scratchpad"}"#)).await.status, 202);

    let out = app.send(with(Method::DELETE, "/ui/session").header("origin", OWN).finish()).await;
    assert!(out.status == 204 && out.header("set-cookie").contains("Max-Age=0"), "{out:?}");
    let after = app.send(with(Method::GET, "/api/v1/sessions").finish()).await;
    assert_eq!((after.status, after.problem()), (401, "unauthorized"), "who logged out is out");
    Ok(())
}

#[tokio::test]
async fn the_token_logs_in_and_nothing_else_does() -> Result<()> {
    let app = App::start().await?;
    assert_eq!(log_in(&app, &format!(r#"{{"token":"{TOKEN}"}}"#), Some(OWN)).await.status, 204);
    for (body, status) in [
        (r#"{"token":"guessed"}"#, 401),
        (r#"{"code":"guessed"}"#, 401),
        (r#"{"token":""}"#, 401),
        ("{}", 401),
        ("token", 400),
        (r#"{"user":"admin"}"#, 400),
    ] {
        let answer = log_in(&app, body, Some(OWN)).await;
        assert_eq!((answer.status, answer.header("set-cookie")), (status, ""), "{body}");
    }
    Ok(())
}

#[tokio::test]
async fn a_page_of_another_origin_can_neither_log_in_nor_use_a_login() -> Result<()> {
    let app = App::start().await?;
    let token = format!(r#"{{"token":"{TOKEN}"}}"#);
    for origin in [None, Some("http://127.0.0.1:23235"), Some("http://localhost:23235"), Some("null")] {
        let answer = log_in(&app, &token, origin).await;
        assert_eq!((answer.status, answer.problem()), (403, "forbidden"), "{origin:?}");
    }
    let cookie = cookie(&log_in(&app, &token, Some(OWN)).await);
    for (method, headers, status) in [
        (Method::POST, vec![], 403),
        (Method::POST, vec![("origin", "http://localhost:23235")], 403),
        (Method::POST, vec![("origin", OWN), ("sec-fetch-site", "same-site")], 403),
        (Method::GET, vec![("sec-fetch-site", "same-site")], 403),
        (Method::GET, vec![("sec-fetch-site", "same-origin")], 200),
    ] {
        let request = asking(method.clone(), "/api/v1/sessions").header("cookie", cookie.clone());
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let request = request.content_type("application/json").body(r#"{"template_id":"scratchpad"}"#);
        assert_eq!(app.send(request).await.status, status, "{method} {headers:?}");
    }
    Ok(())
}

#[tokio::test]
async fn nobody_logs_in_on_a_host_that_sessions_share() -> Result<()> {
    let app = App::start().await?;
    let request = Request::builder().method(Method::POST).uri_str("/ui/session").header("host", "127.0.0.1:8080");
    let request = request.header("origin", "http://127.0.0.1:8080").content_type("application/json");
    let answer = app.send(request.body(format!(r#"{{"token":"{TOKEN}"}}"#))).await;
    assert_eq!((answer.status, answer.problem()), (403, "forbidden"));
    assert!(answer.text.contains("http://localhost:8080/"), "the way out is named: {}", answer.text);
    let who = app.send(Request::builder().uri_str("/ui/session").header("host", "127.0.0.1:8080").finish()).await;
    assert_eq!(who.json["move_to"], "http://localhost:8080/");
    Ok(())
}

#[tokio::test]
async fn a_cookie_of_another_installation_or_token_is_nobody() -> Result<()> {
    let (one, other) = (
        App::with(|config| config.installation = "one".into()).await?,
        App::with(|c| c.installation = "two".into()).await?,
    );
    let login = cookie(&log_in(&one, &format!(r#"{{"token":"{TOKEN}"}}"#), Some(OWN)).await);
    let renamed = login.replace("streamspace_one", "streamspace_two");
    for (app, cookie, status) in [(&one, &login, 200), (&other, &login, 401), (&other, &renamed, 401)] {
        let request = asking(Method::GET, "/api/v1/sessions").header("cookie", cookie.clone());
        assert_eq!(app.send(request.finish()).await.status, status, "{cookie}");
    }
    Ok(())
}

#[tokio::test]
async fn a_browser_gets_a_page_with_a_fresh_nonce_for_every_address_and_a_client_its_404() -> Result<()> {
    let app = App::start().await?;
    let mut policies = Vec::new();
    for path in ["/", "/sessions/0198f3c2-7a10-7b3e-9d51-2f6ac04e8b17", "/dead-letters"] {
        let answer = app.send(asking(Method::GET, path).header("accept", "text/html,*/*;q=0.8").finish()).await;
        assert_eq!((answer.status, answer.header("cache-control")), (200, "no-cache"), "{path}");
        let policy = answer.header("content-security-policy").to_owned();
        let nonce = policy.split("'nonce-").nth(1).and_then(|rest| rest.split('\'').next()).unwrap();
        assert!(answer.text.contains(&format!("nonce=\"{nonce}\"")), "{path}: {}", answer.text);
        assert!(!policy.contains("unsafe") && policy.contains("script-src 'self'"), "{policy}");
        assert!(!answer.text.contains("__NONCE__") && !answer.text.contains("__BASE__"), "{}", answer.text);
        policies.push(policy);
    }
    policies.dedup();
    assert_eq!(policies.len(), 3, "a nonce that comes twice protects nothing");
    for (path, accept) in [
        ("/nothing", "*/*"),
        ("/nothing", "application/json"),
        ("/assets/nothing.js", "text/html"),
        ("/ui/nothing", "text/html"),
    ] {
        let answer = app.send(asking(Method::GET, path).header("accept", accept).finish()).await;
        assert_eq!((answer.status, answer.problem()), (404, "not-found"), "{path} as {accept}");
    }
    let below = app.send(asking(Method::GET, "/api/v1/nothing").header("accept", "text/html").finish()).await;
    assert_eq!(below.status, 401, "the API keeps its own answers");
    Ok(())
}

#[tokio::test]
async fn under_a_path_of_a_proxy_pages_and_cookie_carry_it() -> Result<()> {
    let app = App::start().await?;
    let page = asking(Method::GET, "/").header("x-forwarded-prefix", "/streamspace").finish();
    assert!(app.send(page).await.text.contains("/streamspace/"));
    let login = asking(Method::POST, "/ui/session").header("origin", OWN).header("x-forwarded-prefix", "/streamspace");
    let login = app.send(login.content_type("application/json").body(format!(r#"{{"token":"{TOKEN}"}}"#))).await;
    assert!(login.header("set-cookie").contains("Path=/streamspace/"), "{login:?}");
    Ok(())
}
