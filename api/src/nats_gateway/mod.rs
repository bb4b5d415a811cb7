//! The gateway for requests over NATS: a request on `streamspace.intake.<user>.<domain>.<action>` is answered
//! by the same router as HTTP, and so with the same validation, limits, traces and answers.
//!
//! `operations` maps names to operations, `request` converts messages to requests, `reply` responses to
//! messages. The user in the subject is the principal, as guaranteed by the server's permissions. Requests are
//! in no stream: a client without an answer repeats its request with the same `Idempotency-Key`.

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

/// Queue group in which all engines share the requests.
const GROUP: &str = "engine";
/// Pause before a failed subscription is retried.
const PAUSE: Duration = Duration::from_secs(1);
/// How long messages sent before the unsubscription may still be in flight.
const ON_THE_WAY: Duration = Duration::from_secs(1);
/// Bytes of a reply's headers, within the server's maximum payload.
const HEADROOM: usize = 4096;

/// Answers requests over NATS until `cancel` fires, then finishes those already received, for at most five seconds.
pub async fn serve<E>(router: Arc<E>, config: Config, client: Client, cancel: CancellationToken)
where
    E: Endpoint<Output = Response> + 'static,
{
    let places = Arc::new(Semaphore::new(config.max_intake));
    let (operations, longest) = (operations::table(), config.max_body_bytes);
    let gateway = Arc::new(Gateway { router, client, operations, longest });
    let tasks = TaskTracker::new();
    while !cancel.is_cancelled() {
        match gateway.client.queue_subscribe(subject::INTAKE, GROUP.into()).await {
            Ok(requests) => gateway.take_all(requests, &places, &tasks, &cancel).await,
            Err(error) => {
                tracing::warn!(%error, "cannot subscribe to requests over NATS");
                let _ = tokio::time::timeout(PAUSE, cancel.cancelled()).await;
            }
        }
    }
    tasks.close();
    let answered = async {
        tasks.wait().await;
        let _ = gateway.client.flush().await; // a client without an answer repeats its request
    };
    if tokio::time::timeout(DRAIN, answered).await.is_err() {
        tracing::warn!(requests = tasks.len(), "requests over NATS were left unanswered");
    }
}

/// Answers requests.
struct Gateway<E> {
    router: Arc<E>,
    client: Client,
    operations: HashMap<String, Operation>,
    /// Maximum bytes of a payload.
    longest: usize,
}

impl<E: Endpoint<Output = Response> + 'static> Gateway<E> {
    /// Handles messages of a subscription, which survives reconnects; when cancelled, also those already sent
    /// by the server.
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
            tracing::warn!("not all requests sent by NATS could be received");
        }
    }

    /// Starts to handle a message if the limit permits.
    async fn take(self: &Arc<Self>, mut message: Message, places: &Arc<Semaphore>, tasks: &TaskTracker) {
        let Some(to) = message.reply.take() else {
            tracing::warn!(subject = %message.subject, "a request without a reply subject is refused: use request-reply");
            return;
        };
        let Ok(place) = places.clone().try_acquire_owned() else {
            let full = Problem::new(Kind::Unavailable, "too many requests over NATS are in progress");
            return self.send(to, full.into_response()).await;
        };
        let gateway = self.clone();
        tasks.spawn(async move {
            let response = match gateway.request(&message) {
                Ok(request) => gateway.router.get_response(request).await,
                Err(problem) => refused(&message, problem),
            };
            gateway.send(to, response).await;
            drop(place);
        });
    }

    /// Converts a message to a request of the user in its subject.
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

/// Logs a refusal that the router has not seen.
fn refused(message: &Message, problem: Problem) -> Response {
    tracing::info!(subject = %message.subject, status = problem.status().as_u16(), %problem, "refused");
    problem.into_response()
}
