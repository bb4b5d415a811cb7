//! The live feed over HTTP: `GET /stream` (Server-Sent Events) and `GET /ws` (WebSocket), with the same content.
//!
//! Filters and position are parsed here, so that mistakes are refused before a stream begins. `sse` and `ws`
//! are the two transports, `item` is the content.

mod item;
mod sse;
mod ws;

use std::sync::Arc;
use std::time::Duration;

use engine::feed::{After, Cut, Filter, Pattern, Position, Watcher};
use engine::store::event::Kind;
use engine::{Engine, Hint};
use poem::Request;
use poem::web::websocket::WebSocket;
use poem_openapi::param::{Header, Query};
use poem_openapi::{Enum, OpenApi};
use streams::ids::Platform;
use streams::limits::{self, NAME, printable};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::auth::Caller;
use crate::document::Tag;
use crate::problem::{Kind as ProblemKind, Problem, Refused, Watching, WatchingSocket};

/// Interval of keep-alives while nothing happens.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// Kind to filter by.
#[derive(Debug, Clone, Copy, Enum)]
#[oai(rename_all = "lowercase")]
enum KindFilter {
    /// Sent to a controller.
    Command,
    /// Received from a controller.
    Report,
    /// Decided by the engine.
    Decision,
}

/// The feed and its watchers.
#[derive(Clone)]
pub(crate) struct Live {
    engine: Arc<Engine>,
    seats: Arc<Semaphore>,
    limit: usize,
    stopping: CancellationToken,
}

/// A watcher with its seat, which is freed afterwards.
struct Seated {
    watcher: Watcher,
    stopping: CancellationToken,
    _seat: OwnedSemaphorePermit,
}

/// The filters of the query.
struct Wanted {
    entity: Option<String>,
    user_id: Option<String>,
    kind: Option<KindFilter>,
    subject: Option<String>,
    platform: Option<String>,
    after: Option<String>,
}

#[OpenApi(tag = "Tag::Feed")]
impl Live {
    /// Watch everything that happens
    ///
    /// Server-Sent Events: every row of the log once, in order, as it is committed. The `id` of each can be
    /// sent as `Last-Event-ID` (or `after`) to this or any other server of the installation to continue without
    /// a gap. An event without data advances the id and serves as a keep-alive. The event `cut` is the last
    /// one: `reason` says why, and its id is where to continue. Without `after` and `Last-Event-ID` it starts
    /// now.
    #[oai(path = "/stream", method = "get", operation_id = "stream")]
    #[allow(clippy::too_many_arguments)] // one for each parameter
    async fn stream(
        &self,
        caller: Caller,
        /// Filter by entity, such as `session:<id>`, or by noun, such as `session`.
        entity: Query<Option<String>>,
        /// Filter by the user that the row belongs to.
        user_id: Query<Option<String>>,
        /// Filter by kind.
        kind: Query<Option<KindFilter>>,
        /// Filter by subject; `*` stands for one token, `>` at the end for one or more.
        subject: Query<Option<String>>,
        /// Filter by platform.
        platform: Query<Option<String>>,
        /// Start after this item's `id`, or after this `event_id`; `0` is the beginning of the log.
        after: Query<Option<String>>,
        /// Takes precedence over `after`; clients send it when they reconnect.
        #[oai(name = "Last-Event-ID")]
        last_event_id: Header<Option<String>>,
    ) -> Result<sse::Events, Refused<Watching>> {
        let after = last_event_id.0.filter(|id| !id.is_empty()).or(after.0);
        let wanted = Wanted {
            entity: entity.0,
            user_id: user_id.0,
            kind: kind.0,
            subject: subject.0,
            platform: platform.0,
            after,
        };
        Ok(sse::Events(self.seat(&caller, wanted).await?))
    }

    /// Watch everything that happens, over a WebSocket
    ///
    /// The same as `/stream`; each text message is one item. Browsers, which cannot set headers here, offer the
    /// protocols `streamspace.v1` and `bearer.<base64url of the token>`. `{"type":"ping"}` is answered with
    /// `{"type":"pong"}`. Before the server closes, it sends `{"type":"cut","reason":...,"after":...}`; the
    /// close code is 4008 (too slow), 4010 (gone), 1001 (the server stops) or 1013 (try again).
    #[oai(path = "/ws", method = "get", operation_id = "watch_socket")]
    #[allow(clippy::too_many_arguments)] // one for each parameter
    async fn socket(
        &self,
        caller: Caller,
        /// Filter by entity, such as `session:<id>`, or by noun, such as `session`.
        entity: Query<Option<String>>,
        /// Filter by the user that the row belongs to.
        user_id: Query<Option<String>>,
        /// Filter by kind.
        kind: Query<Option<KindFilter>>,
        /// Filter by subject; `*` stands for one token, `>` at the end for one or more.
        subject: Query<Option<String>>,
        /// Filter by platform.
        platform: Query<Option<String>>,
        /// Start after this item's `id`, or after this `event_id`; `0` is the beginning of the log.
        after: Query<Option<String>>,
        request: &Request,
        handshake: poem::Result<WebSocket>,
    ) -> Result<ws::Upgraded, Refused<WatchingSocket>> {
        let socket = handshake.map_err(|error| {
            tracing::debug!(%error, http.route = request.uri().path(), "not a WebSocket handshake");
            let how = "send a WebSocket handshake, or read /api/v1/stream";
            Problem::new(ProblemKind::UpgradeRequired, format!("{error}; {how}"))
        })?;
        let wanted = Wanted {
            entity: entity.0,
            user_id: user_id.0,
            kind: kind.0,
            subject: subject.0,
            platform: platform.0,
            after: after.0,
        };
        Ok(ws::Upgraded::new(socket, self.seat(&caller, wanted).await?))
    }
}

impl Live {
    /// The feed of an engine, for at most `limit` watchers at a time, who are cut when `stopping` fires.
    pub(crate) fn new(engine: Arc<Engine>, limit: usize, stopping: CancellationToken) -> Self {
        let limit = limit.min(Semaphore::MAX_PERMITS);
        Self { engine, seats: Arc::new(Semaphore::new(limit)), limit, stopping }
    }

    /// Waits until there are no watchers.
    pub(crate) async fn without_watchers(&self) {
        let all = u32::try_from(self.limit).unwrap_or(u32::MAX);
        let _ = self.seats.acquire_many(all).await; // the semaphore is never closed
    }

    async fn seat(&self, caller: &Caller, wanted: Wanted) -> Result<Seated, Problem> {
        let (filter, after) = (wanted.filter()?, wanted.after()?);
        let full =
            || Problem::new(ProblemKind::Unavailable, format!("the limit of {} watchers is reached", self.limit));
        let seat = self.seats.clone().try_acquire_owned().map_err(|_| full().after(Duration::from_secs(5)))?;
        let watcher = caller.on(&self.engine).watch_log(filter, after).await?;
        Ok(Seated { watcher, stopping: self.stopping.clone(), _seat: seat })
    }
}

impl Wanted {
    fn filter(&self) -> Result<Filter, Problem> {
        Ok(Filter {
            entity: checked("entity", &self.entity, is_entity, ENTITY)?,
            user_id: checked("user_id", &self.user_id, |user| printable(user, NAME), USER)?,
            kind: self.kind.map(|kind| match kind {
                KindFilter::Command => Kind::Command,
                KindFilter::Report => Kind::Report,
                KindFilter::Decision => Kind::Decision,
            }),
            subject: self.subject.as_deref().map(pattern).transpose()?,
            platform: checked("platform", &self.platform, |name| name.parse::<Platform>().is_ok(), PLATFORM)?,
        })
    }

    fn after(&self) -> Result<Option<After>, Problem> {
        let wrong = |error: engine::feed::Unreadable| {
            Problem::parameter(
                "after",
                error.to_string(),
                "use the id of an item unchanged, or leave it out to start now",
            )
        };
        self.after.as_deref().map(|after| after.parse().map_err(wrong)).transpose()
    }
}

const ENTITY: (&str, &str) = ("is neither a noun nor noun:name", "write session:<id>, or session for all of them");
const USER: (&str, &str) = ("must be 1 to 255 printable characters", "use a user_id of a session, or leave it out");
const PLATFORM: (&str, Hint) = ("is not the name of a platform", Hint::Platforms);

fn checked(
    field: &str,
    value: &Option<String>,
    so: impl Fn(&str) -> bool,
    (rule, hint): (&str, impl Into<Hint>),
) -> Result<Option<String>, Problem> {
    match value {
        Some(value) if !so(value) => Err(Problem::parameter(field, rule, hint)),
        value => Ok(value.clone()),
    }
}

fn is_entity(text: &str) -> bool {
    let (noun, name) = text.split_once(':').map_or((text, None), |(noun, name)| (noun, Some(name)));
    let noun = !noun.is_empty() && noun.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    noun && name != Some("") && printable(text, limits::ENTITY)
}

fn pattern(text: &str) -> Result<Pattern, Problem> {
    let hint = "write streamspace.session.status.> or streamspace.*.create, or leave it out";
    text.parse().map_err(|error: engine::feed::BadPattern| Problem::parameter("subject", error.to_string(), hint))
}

/// The last message to a watcher.
struct CutNotice {
    cut: Cut,
    after: Position,
}

impl CutNotice {
    fn json(&self) -> serde_json::Value {
        let (reason, detail) = (self.cut.as_str(), self.detail());
        serde_json::json!({ "type": "cut", "reason": reason, "after": self.after.to_string(), "detail": detail })
    }

    fn detail(&self) -> &'static str {
        match self.cut {
            Cut::Slow => "the client reads too slowly; continue from after",
            Cut::Stopping => "this server stops; continue from after at another one",
            Cut::Gone => "the log was restored or pruned; read the lists again, and watch from now on",
            Cut::Unavailable => "the database does not answer; continue from after",
        }
    }
}
