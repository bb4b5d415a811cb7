//! The engine's part, as far as a controller can see it: streams, a consumer, answers to heartbeats, commands.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_nats::Message;
use futures::StreamExt as _;
use serde_json::{Value, json};
use streams::connect::{self, Link, Secret};
use streams::ids::{ControllerId, Platform};
use streams::metrics::Metrics;
use streams::publisher::{Outgoing, Publisher};
use streams::server::{Server, ServerOptions, find};
use streams::subject::{self, Report, Verb};
use streams::topology::{self, SS_COMMANDS, Settings};
use streams::wire::{Heartbeat, HeartbeatAnswer, TemplateCreate};
use uuid::Uuid;

use crate::book::{Ack, Book, Entry, Heard};
use crate::{Error, Lane};

/// A command that was published.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    pub(crate) verb: Verb,
    pub(crate) event_id: Uuid,
    pub(crate) session_id: Option<Uuid>,
    pub(crate) generation: i64,
    pub(crate) attempt: i64,
    /// What is heard after it.
    pub(crate) since: usize,
    /// Its sequence in the command stream; 0 in the core lane.
    pub(crate) sequence: u64,
    pub(crate) payload: Value,
}

/// Plays the engine for one controller.
pub(crate) struct Engine {
    server: Server,
    link: Link,
    publisher: Publisher,
    pub(crate) platform: Platform,
    pub(crate) id: ControllerId,
    pub(crate) lane: Lane,
    pub(crate) book: Book,
    sent: Mutex<Vec<Sent>>,
    /// Whether heartbeats are accepted.
    admits: AtomicBool,
    /// The resources in charge of the id: other ones are refused.
    world: Mutex<Option<Uuid>>,
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.server.kill_now();
    }
}

impl Engine {
    pub(crate) async fn start(
        folder: &Path,
        nats_server: Option<&Path>,
        (platform, id, lane): (Platform, ControllerId, Lane),
    ) -> Result<Arc<Self>, Error> {
        let options = ServerOptions {
            binary: find(nats_server).await?.path,
            store_dir: folder.join("nats"),
            port: 0,
            user: "conformance".into(),
            password: Secret::new(Uuid::new_v4().simple().to_string()),
            role: None,
            users: Vec::new(),
            sync_interval: None,
            log_file: Some(folder.join("nats-server.log")),
        };
        let mut server = Server::start(options).await?;
        let connected = Self::connected(&server).await.inspect_err(|_| server.kill_now())?;
        let (link, mut messages) = connected;
        let publisher = Publisher::new(link.clone(), Metrics::default());
        let (book, sent, world) = (Book::new(), Mutex::default(), Mutex::default());
        let admits = AtomicBool::new(false);
        let engine = Arc::new(Self { server, link, publisher, platform, id, lane, book, sent, admits, world });
        let listener = Arc::downgrade(&engine);
        tokio::spawn(async move {
            while let Some(message) = messages.next().await {
                let Some(engine) = listener.upgrade() else { return };
                engine.hear(message).await;
            }
        });
        Ok(engine)
    }

    async fn connected(server: &Server) -> Result<(Link, async_nats::Subscriber), Error> {
        let link = connect::connect(&server.client("streamspace conformance")).await?;
        topology::declare(&link.jetstream, &Settings::default(), 1).await?;
        topology::declare_engine_consumers(&link.jetstream).await?;
        // one subscription for all, so that reports and acknowledgements are heard in the order in which they were sent
        let messages = link.client.subscribe(">").await.map_err(|error| Error::Listen(error.to_string()))?;
        link.client.flush().await.map_err(|error| Error::Listen(error.to_string()))?;
        Ok((link, messages))
    }

    /// What the environment of the controller says about NATS.
    pub(crate) fn environment(&self) -> Vec<(&'static str, String)> {
        let client = self.server.client("");
        let password = client.password.map(|secret| secret.expose().to_owned()).unwrap_or_default();
        vec![
            ("NATS_URL", self.server.url()),
            ("NATS_USER", client.user.unwrap_or_default()),
            ("NATS_PASSWORD", password),
            ("CONTROLLER_ID", self.id.to_string()),
            ("CONTROLLER_PLATFORM", self.platform.to_string()),
        ]
    }

    /// Leaves the server, which is ended after it.
    pub(crate) async fn close(&self) {
        let _ = self.link.client.drain().await; // it ends either way
    }

    pub(crate) fn admit(&self) {
        self.admits.store(true, Ordering::Relaxed);
    }

    async fn hear(&self, message: Message) {
        let subject = message.subject.as_str();
        let heard = if let Some(ack) = acknowledged(subject, &message.payload) {
            Some(ack)
        } else if let Some(original) = subject.strip_prefix(subject::DEAD_LETTER_PREFIX) {
            Some(Heard::DeadLetter(original.to_owned()))
        } else if subject::parse_heartbeat(subject).is_some() {
            Some(self.heartbeat(&message).await)
        } else {
            subject::parse_report(subject).map(|(report, _)| read(report, &message.payload))
        };
        if let Some(heard) = heard {
            self.book.add(Entry { subject: subject.to_owned(), payload: message.payload, heard });
        }
    }

    async fn heartbeat(&self, message: &Message) -> Heard {
        let heartbeat: Heartbeat = match serde_json::from_slice(&message.payload) {
            Ok(heartbeat) => heartbeat,
            Err(error) => return Heard::Unreadable(format!("{}: {error}", message.subject)),
        };
        let refusal = self.refusal(&heartbeat);
        if refusal.is_none() && heartbeat.protocol.unwrap_or(1) >= 2 {
            let made = topology::declare_controller_consumer(&self.link.jetstream, &self.platform, &self.id).await;
            if let Err(error) = made {
                tracing::warn!(%error, "the controller's consumer could not be made");
            }
        }
        if let Some(reply) = message.reply.clone() {
            let answer = HeartbeatAnswer { accepted: refusal.is_none(), reason: refusal, own_subjects: true };
            let payload = serde_json::to_vec(&answer).unwrap_or_default(); // plain data: it always can be written
            let _ = self.link.client.publish(reply, payload.into()).await; // the next heartbeat is answered again
        }
        Heard::Heartbeat(heartbeat, message.reply.is_some())
    }

    fn refusal(&self, heartbeat: &Heartbeat) -> Option<String> {
        if !self.admits.load(Ordering::Relaxed) {
            return Some("conformance: not yet".into());
        }
        let mut world = self.world.lock().unwrap_or_else(PoisonError::into_inner);
        match (heartbeat.world_id, *world) {
            (Some(theirs), Some(ours)) if theirs != ours => Some("another host has this id".into()),
            (theirs, None) => {
                *world = theirs;
                None
            }
            _ => None,
        }
    }

    fn sent_so_far(&self) -> MutexGuard<'_, Vec<Sent>> {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Every command so far.
    pub(crate) fn sent(&self) -> Vec<Sent> {
        self.sent_so_far().clone()
    }

    /// Publishes a command for the first time.
    pub(crate) async fn command(&self, verb: Verb, generation: i64, mut payload: Value) -> Result<Sent, String> {
        let (event_id, since) = (Uuid::now_v7(), self.book.mark());
        payload["event_id"] = json!(event_id);
        payload["timestamp"] = json!(chrono::Utc::now());
        payload["platform"] = json!(self.platform);
        (payload["generation"], payload["attempt"]) = (json!(generation), json!(1));
        let session_id = payload["session_id"].as_str().and_then(|id| id.parse().ok());
        let attempt = 1;
        self.publish(Sent { verb, event_id, session_id, generation, attempt, since, sequence: 0, payload }).await
    }

    /// Publishes a command once more, as the engine does after a failure (`attempt` grows) or as JetStream does after a crash.
    pub(crate) async fn again(&self, sent: &Sent, attempt: i64) -> Result<Sent, String> {
        let mut sent = Sent { attempt, since: self.book.mark(), ..sent.clone() };
        sent.payload["attempt"] = json!(attempt);
        self.publish(sent).await
    }

    async fn publish(&self, mut sent: Sent) -> Result<Sent, String> {
        sent.sequence = self.raw(sent.verb, sent.payload.to_string().into_bytes()).await?;
        self.sent_so_far().push(sent.clone());
        Ok(sent)
    }

    /// Publishes any bytes as a command; answers with the sequence.
    pub(crate) async fn raw(&self, verb: Verb, payload: Vec<u8>) -> Result<u64, String> {
        if self.lane == Lane::Core {
            let subject = subject::core_command(verb, &self.platform);
            self.link.client.publish(subject, payload.into()).await.map_err(|error| error.to_string())?;
            self.link.client.flush().await.map_err(|error| error.to_string())?;
            return Ok(0);
        }
        let outgoing = Outgoing {
            subject: subject::command(verb, &self.platform, &self.id),
            message_id: Uuid::new_v4().to_string(), // a repetition is meant to be stored
            payload: payload.into(),
            ..Outgoing::default()
        };
        let acked = self.publisher.publish(outgoing).await;
        acked.map(|acked| acked.sequence).map_err(|error| format!("the suite's own publish failed: {error}"))
    }

    /// Asks for the inventory; answers with the id that its pages have to carry.
    pub(crate) async fn ask_for_inventory(&self) -> Result<Uuid, String> {
        let sync_id = Uuid::now_v7();
        let payload = json!({ "event_id": sync_id, "timestamp": chrono::Utc::now() }).to_string();
        let subject = subject::sync(&self.platform, &self.id);
        self.link.client.publish(subject, payload.into()).await.map_err(|error| error.to_string())?;
        Ok(sync_id)
    }

    /// Commands that are not acknowledged.
    pub(crate) async fn open_commands(&self, patience: Duration) -> u64 {
        let deadline = tokio::time::Instant::now() + patience;
        loop {
            let open = match self.link.jetstream.get_stream(SS_COMMANDS).await {
                Ok(stream) => stream.cached_info().state.messages,
                Err(_) => u64::MAX,
            };
            if open == 0 || tokio::time::Instant::now() > deadline {
                return open;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

/// An acknowledgement of the command stream: `$JS.ACK.<stream>.<consumer>.<delivered>.<sequence>...`, newer servers with a domain and
/// an account before the stream.
fn acknowledged(subject: &str, payload: &[u8]) -> Option<Heard> {
    let mut tokens = subject.strip_prefix("$JS.ACK.")?.split('.').skip_while(|token| *token != SS_COMMANDS);
    let sequence = tokens.nth(3)?.parse().ok()?;
    let ack = match payload {
        b"" | b"+ACK" => Ack::Done,
        b"+WPI" => Ack::Progress,
        term if term.starts_with(b"+TERM") => Ack::Term,
        _ => Ack::Nak,
    };
    Some(Heard::Ack(sequence, ack))
}

fn read(report: Report, payload: &[u8]) -> Heard {
    let read = match report {
        Report::SessionStatus => serde_json::from_slice(payload).map(Heard::Session),
        Report::AppStatus => serde_json::from_slice(payload).map(Heard::App),
        Report::NodeStatus => serde_json::from_slice(payload).map(Heard::Node),
        Report::ControllerWorld => serde_json::from_slice(payload).map(Heard::Inventory),
        Report::TemplateCreate => serde_json::from_slice(payload).map(|_: TemplateCreate| Heard::Template),
    };
    read.unwrap_or_else(|error| Heard::Unreadable(format!("{}: {error}", report.name())))
}

#[cfg(test)]
mod tests {
    use super::{Ack, Heard, acknowledged};

    #[test]
    fn acknowledgements_are_read_in_the_old_and_in_the_new_form() {
        for subject in ["$JS.ACK.SS_COMMANDS.local_a.1.42.7.1.0", "$JS.ACK.hub.ACC.SS_COMMANDS.local_a.1.42.7.1.0.x"] {
            let heard = acknowledged(subject, b"+WPI");
            assert!(matches!(heard, Some(Heard::Ack(42, Ack::Progress))), "{heard:?}");
        }
        assert!(acknowledged("$JS.ACK.SS_REPORTS.engine.1.42.7.1.0", b"").is_none());
        assert!(acknowledged("streamspace.session.status", b"").is_none());
    }
}
