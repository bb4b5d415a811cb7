//! CORS: pages of listed origins can use the API, others cannot, and without a list there is no CORS at all.

use anyhow::Result;
use poem::Request;
use poem::http::Method;

use crate::app::{App, TOKEN, request};

const PAGE: &str = "https://ui.example.org";

async fn open() -> Result<App> {
    App::with(|config| config.cors_origins = vec![PAGE.parse().unwrap()]).await
}

#[tokio::test]
async fn a_listed_page_is_answered_and_may_read_what_clients_need() -> Result<()> {
    let app = open().await?;
    let answer = app.send(request(Method::GET, "/api/v1/sessions").header("origin", PAGE).finish()).await;
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (200, PAGE));
    for header in ["ETag", "Retry-After", "RateLimit-Remaining", "Location", "Idempotent-Replayed"] {
        assert!(answer.header("access-control-expose-headers").contains(header), "{header}");
    }
    assert_eq!(answer.header("access-control-allow-credentials"), "");
    assert!(answer.headers.get_all("vary").iter().any(|vary| vary == "Origin"));
    let refused = app.send(Request::builder().uri_str("/api/v1/sessions").header("origin", PAGE).finish()).await;
    assert_eq!((refused.status, refused.header("access-control-allow-origin")), (401, PAGE), "it can read why");
    Ok(())
}

#[tokio::test]
async fn a_browser_that_asks_first_is_told_without_a_token() -> Result<()> {
    let app = open().await?;
    let ask = |origin: &str| {
        let ask = Request::builder().method(Method::OPTIONS).uri_str("/api/v1/sessions").header("origin", origin);
        ask.header("access-control-request-method", "POST")
            .header("access-control-request-headers", "idempotency-key")
            .finish()
    };
    let answer = app.send(ask(PAGE)).await;
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (204, PAGE));
    for header in ["Idempotency-Key", "Authorization", "If-Match", "Last-Event-ID"] {
        assert!(answer.header("access-control-allow-headers").contains(header), "{header}");
    }
    assert!(answer.header("access-control-allow-methods").contains("PATCH"));
    for stranger in ["https://evil.example.org", "null", "https://ui.example.org.evil", "http://ui.example.org"] {
        let answer = app.send(ask(stranger)).await;
        assert_ne!(answer.status, 204, "{stranger}");
        assert_eq!(answer.header("access-control-allow-origin"), "", "{stranger}");
    }
    Ok(())
}

#[tokio::test]
async fn without_a_list_and_for_other_pages_no_answer_may_be_read() -> Result<()> {
    let (off, on) = (App::start().await?, open().await?);
    for (app, page) in [(&off, PAGE), (&on, "https://evil.example.org")] {
        let ask = request(Method::GET, "/api/v1/sessions").header("origin", page).finish();
        let answer = app.send(ask).await;
        assert_eq!((answer.status, answer.header("access-control-allow-origin")), (200, ""), "{page} with {TOKEN}");
    }
    Ok(())
}
