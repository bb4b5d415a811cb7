//! The notes page of the built-in template `scratchpad`: a real program to run where nothing is installed.
//!
//! The notes are one file in the session's home, so they survive a hibernation. The page listens on loopback
//! only; access from outside is up to a proxy in front of it.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use poem::error::ReadBodyError;
use poem::http::StatusCode;
use poem::listener::TcpAcceptor;
use poem::web::{Data, Html};
use poem::{Body, EndpointExt, IntoResponse, Response, Route, Server, get, handler};

use crate::failure::{Failure, Kind};
use crate::files;
use crate::host;
use crate::shutdown::Shutdown;

/// Maximum size of the notes, in bytes.
const NOTES_MAX: usize = 1 << 20;
const DRAIN: Duration = Duration::from_secs(2);
/// The page is self-contained and loads no scripts from elsewhere.
const POLICY: &str = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'; \
                      form-action 'none'; base-uri 'none'";

/// Arguments of `streamspace scratchpad`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Port on 127.0.0.1
    #[arg(long)]
    port: u16,
    /// Folder for the notes
    #[arg(long, value_name = "DIR")]
    home: PathBuf,
}

#[derive(Debug, Clone)]
struct Notes(PathBuf);

/// Serves the page until asked to stop.
pub(crate) async fn run(args: Args) -> Result<(), Failure> {
    let home = args.home.display();
    std::fs::create_dir_all(&args.home).map_err(|e| Failure::because(Kind::Usage, &format!("the home {home}"), &e))?;
    let listener = host::listen(SocketAddr::from((Ipv4Addr::LOCALHOST, args.port)))?;
    let shutdown = Shutdown::listen()?;
    let app = Route::new()
        .at("/", get(page))
        .at("/notes", get(read).put(write))
        .data(Notes(args.home.join("notes.txt")))
        .with(poem::middleware::SetHeader::new().overriding("x-content-type-options", "nosniff"));
    let server = Server::new_with_acceptor(TcpAcceptor::from_tokio(listener)?);
    let asked = async move { shutdown.asked.cancelled().await };
    Ok(server.run_with_graceful_shutdown(app, asked, Some(DRAIN)).await?)
}

#[handler]
fn page() -> Response {
    let page = Html(include_str!("page.html"));
    page.with_header("content-security-policy", POLICY).with_header("cache-control", "no-store").into_response()
}

#[handler]
async fn read(Data(notes): Data<&Notes>) -> Response {
    let found = match tokio::fs::read(&notes.0).await {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        other => other,
    };
    match found {
        Ok(text) => {
            Response::builder().content_type("text/plain; charset=utf-8").header("cache-control", "no-store").body(text)
        }
        Err(error) => failed(&error),
    }
}

#[handler]
async fn write(Data(notes): Data<&Notes>, body: Body) -> Response {
    let text = match body.into_bytes_limit(NOTES_MAX).await {
        Ok(bytes) => match String::from_utf8(bytes.into()) {
            Ok(text) => text,
            Err(_) => return answer(StatusCode::BAD_REQUEST, "the notes are not UTF-8"),
        },
        Err(ReadBodyError::PayloadTooLarge) => {
            return answer(StatusCode::PAYLOAD_TOO_LARGE, format!("the notes may have at most {NOTES_MAX} bytes"));
        }
        Err(error) => return answer(StatusCode::BAD_REQUEST, error.to_string()),
    };
    let path = notes.0.clone();
    match tokio::task::spawn_blocking(move || save(&path, &text)).await {
        Ok(Ok(())) => StatusCode::NO_CONTENT.into_response(),
        Ok(Err(error)) => failed(&error),
        Err(error) => failed(&io::Error::other(error)),
    }
}

fn save(path: &Path, text: &str) -> io::Result<()> {
    files::replace(path, text.as_bytes())
}

fn failed(error: &io::Error) -> Response {
    tracing::warn!(%error, "the notes could not be written");
    answer(StatusCode::INTERNAL_SERVER_ERROR, format!("the notes cannot be kept: {error}"))
}

fn answer(status: StatusCode, text: impl Into<String>) -> Response {
    Response::builder().status(status).content_type("text/plain; charset=utf-8").body(text.into())
}
