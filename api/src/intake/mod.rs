//! What happens when a NATS-native client asks: a request on `streamspace.intake.<user>.<domain>.<action>` is answered by the
//! same router as HTTP, and so validated, limited, traced and answered alike.
//!
//! `operations` says which operation a name is, `request` makes the request of a message, `reply` the message of a response.
//! The user in the subject is who asks: the server's permissions prove it. Nothing is kept: who gets no answer asks again,
//! with the same `Idempotency-Key`.

mod operations;
mod reply;
mod request;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use poem::{Endpoint, IntoResponse, Request, Response};
use streams::async_nats::{Client, Message, Subject, Subscriber};
use streams::subject;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::Config;
use crate::auth::Principal;
use crate::problem::{Kind, Problem};
use crate::server::DRAIN;
use operations::Operation;
use reply::reply;

/// All engines share the requests.
const GROUP: &str = "engine";
/// The pause before a subscription that was refused is asked for again.
const PAUSE: Duration = Duration::from_secs(1);
/// How long what the server had sent before it heard of the end may be on its way.
const ON_THE_WAY: Duration = Duration::from_secs(1);
/// What the headers of a reply may take of the server's limit.
const HEADROOM: usize = 4096;

/// Answers requests over NATS until `cancel` fires, and then for five seconds at most those that were taken.
pub async fn serve<E>(router: Arc<E>, config: Config, client: Client, cancel: CancellationToken)
where
    E: Endpoint<Output = Response> + 'static,
{
    let places = Arc::new(Semaphore::new(config.max_intake));
    let (operations, longest) = (operations::table(), config.max_body_bytes);
    let desk = Arc::new(Desk { router, client, operations, longest });
    let tasks = TaskTracker::new();
    while !cancel.is_cancelled() {
        match desk.client.queue_subscribe(subject::INTAKE, GROUP.into()).await {
            Ok(requests) => desk.take_all(requests, &places, &tasks, &cancel).await,
            Err(error) => {
                tracing::warn!(%error, "requests over NATS cannot be listened for");
                let _ = tokio::time::timeout(PAUSE, cancel.cancelled()).await;
            }
        }
    }
    tasks.close();
    let answered = async {
        tasks.wait().await;
        let _ = desk.client.flush().await; // an answer that cannot leave now is one that is asked for again
    };
    if tokio::time::timeout(DRAIN, answered).await.is_err() {
        tracing::warn!(requests = tasks.len(), "requests over NATS were left unanswered");
    }
}

/// Where requests are answered.
struct Desk<E> {
    router: Arc<E>,
    client: Client,
    operations: HashMap<String, Operation>,
    /// Bytes that a payload may have.
    longest: usize,
}

impl<E: Endpoint<Output = Response> + 'static> Desk<E> {
    /// Takes what comes on one subscription, which outlives reconnects; when cancelled, what the server had sent already.
    async fn take_all(
        self: &Arc<Self>,
        mut requests: Subscriber,
        places: &Arc<Semaphore>,
        tasks: &TaskTracker,
        cancel: &CancellationToken,
    ) {
        while let Some(Some(message)) = cancel.run_until_cancelled(requests.next()).await {
            self.take(message, places, tasks).await;
        }
        let rest = async {
            if requests.drain().await.is_ok() {
                while let Some(message) = requests.next().await {
                    self.take(message, places, tasks).await;
                }
            }
        };
        if tokio::time::timeout(ON_THE_WAY, rest).await.is_err() {
            tracing::warn!("what NATS had sent could not be taken to its end");
        }
    }

    /// Begins to work on a message, where there is room.
    async fn take(self: &Arc<Self>, mut message: Message, places: &Arc<Semaphore>, tasks: &TaskTracker) {
        let Some(to) = message.reply.take() else {
            tracing::warn!(subject = %message.subject, "a request without a reply subject is refused: use request-reply");
            return;
        };
        let Ok(place) = places.clone().try_acquire_owned() else {
            let full = Problem::new(Kind::Unavailable, "too many requests over NATS are being worked on");
            return self.send(to, full.into_response()).await;
        };
        let desk = self.clone();
        tasks.spawn(async move {
            let response = match desk.request(&message) {
                Ok(request) => desk.router.get_response(request).await,
                Err(problem) => refused(&message, problem),
            };
            desk.send(to, response).await;
            drop(place);
        });
    }

    /// The request that a message is, in the name of the user that its subject proves.
    fn request(&self, message: &Message) -> Result<Request, Problem> {
        let (user, name) = subject::parse_intake(&message.subject).ok_or_else(|| {
            let rule = "must be streamspace.intake.<user>.<domain>.<action>";
            Problem::parameter("subject", rule, "a user is 1 to 64 characters of A-Z, a-z, 0-9, '_' and '-'")
        })?;
        let principal = Principal::user(user)?;
        let unknown =
            || Problem::new(Kind::NotFound, format!("there is no operation {name}; /docs lists what there is"));
        let operation = self.operations.get(name).ok_or_else(unknown)?;
        if message.payload.len() > self.longest {
            return Err(Problem::new(Kind::TooLarge, format!("the payload may have at most {} bytes", self.longest)));
        }
        let mut request = request::request(operation, message)?;
        request.set_data(principal);
        Ok(request)
    }

    async fn send(&self, to: Subject, response: Response) {
        let limit = self.client.server_info().max_payload.saturating_sub(HEADROOM);
        let reply = reply(response, limit).await;
        if let Err(error) = streams::reply::send(&self.client, to, Some(reply.headers), reply.body).await {
            tracing::warn!(%error, "an answer could not be sent");
        }
    }
}

/// What the router never saw is logged here.
fn refused(message: &Message, problem: Problem) -> Response {
    tracing::info!(subject = %message.subject, status = problem.status().as_u16(), %problem, "refused");
    problem.into_response()
}
