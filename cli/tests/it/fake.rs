//! A server with scripted answers, for what no real server can be made to say; it records the requests.

use std::net::TcpListener as StdListener;
use std::sync::{Arc, Mutex};

use poem::listener::TcpAcceptor;
use poem::{Endpoint, EndpointExt, Request, Response, Server};
use tokio::task::JoinHandle;

/// A request that it received.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    /// Method, and path with query.
    pub(crate) what: String,
    pub(crate) key: Option<String>,
    pub(crate) last_event_id: Option<String>,
    pub(crate) if_match: Option<String>,
    pub(crate) body: String,
}

/// The server; dropping it stops it.
pub(crate) struct Fake {
    pub(crate) url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
    task: JoinHandle<()>,
}

impl Fake {
    /// Starts a server; the number passed to `answer` counts requests from 0.
    pub(crate) fn start(answer: impl Fn(&Asked, usize) -> Response + Send + Sync + 'static) -> anyhow::Result<Self> {
        let listener = StdListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let url = format!("http://{}", listener.local_addr()?);
        let asked = Arc::new(Mutex::new(Vec::new()));
        let endpoint = Answers { answer: Box::new(answer), asked: asked.clone() };
        let acceptor = TcpAcceptor::from_std(listener)?;
        let task = tokio::spawn(async move {
            let _ = Server::new_with_acceptor(acceptor).run(endpoint.boxed()).await; // it ends with the test
        });
        Ok(Self { url, asked, task })
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.task.abort();
    }
}

type Answer = Box<dyn Fn(&Asked, usize) -> Response + Send + Sync>;

struct Answers {
    answer: Answer,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Endpoint for Answers {
    type Output = Response;

    async fn call(&self, mut request: Request) -> poem::Result<Response> {
        let header = |name: &str| request.header(name).map(str::to_owned);
        let (key, last_event_id, if_match) = (header("idempotency-key"), header("last-event-id"), header("if-match"));
        let what = format!("{} {}", request.method(), request.original_uri());
        let body = request.take_body().into_string().await?;
        let asked = Asked { what, key, last_event_id, if_match, body };
        let mut all = self.asked.lock().unwrap();
        let answer = (self.answer)(&asked, all.len());
        all.push(asked);
        Ok(answer)
    }
}

/// A JSON response.
pub(crate) fn json(status: u16, body: &serde_json::Value) -> Response {
    let status = poem::http::StatusCode::from_u16(status).unwrap();
    Response::builder().status(status).content_type("application/json").body(body.to_string())
}
