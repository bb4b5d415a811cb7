//! Sessions: what can be asked of them. Their shape is in `resource`, their versions in `etag`, waiting for them in `wait`.

mod answers;
mod awake;
pub(crate) mod etag;
mod filter;
mod patch;
mod resource;
mod wait;

use std::sync::Arc;

use engine::queries::{self, SessionFilter, SessionPosition, SessionSort};
use engine::writer::Ask;
use engine::{CreateSession, Engine, history};
use poem_openapi::param::{Header, Path, Query};
use poem_openapi::{Enum, OpenApi};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::auth::Caller;
use crate::body::Body;
use crate::cursor::{Limit, Page, Wanted};
use crate::document::Tag;
use crate::json::Json;
use crate::moment::Moment;
use crate::problem::{
    Amendment, Change, Conditional, Creation, Extending, History, Listing, Problem, Refused, database,
};
use crate::texts::States;
use answers::{Accepted, Asked, Changed, Read};
use awake::Extension;
use filter::Sort;
use patch::Patch;
use resource::{NewSession, Session};
use wait::Waiters;

macro_rules! goals {
    ($($(#[$doc:meta])* $name:ident: $variant:ident = $goal:literal;)*) => {
        $($(#[$doc])*
        #[derive(Debug, Clone, Copy, Enum)]
        #[oai(rename_all = "lowercase")]
        enum $name {
            #[doc = concat!("Until it is ", $goal, ".")]
            $variant,
        }

        impl $name {
            const fn goal(self) -> &'static str {
                $goal
            }
        })*
    };
}
goals! {
    /// What a session that is created or woken can be waited for to be.
    WaitRunning: Running = "running";
    /// What a session that is hibernated can be waited for to be.
    WaitHibernated: Hibernated = "hibernated";
    /// What a session that is deleted can be waited for to be.
    WaitDeleted: Deleted = "deleted";
}

pub(crate) struct Sessions {
    engine: Arc<Engine>,
    waiters: Waiters,
}

/// What comes with everything that is asked of a session.
struct Asking {
    id: Uuid,
    if_match: Option<String>,
    wait: Option<&'static str>,
    timeout: Option<String>,
}

#[OpenApi(tag = "Tag::Sessions")]
#[allow(clippy::too_many_arguments)] // one for each parameter of the document
impl Sessions {
    /// Create a session
    ///
    /// 202 means that it is durable: it will be carried out, whatever is restarted meanwhile. With `wait`, 201 says that it
    /// runs; 202 is then answered when the time is over, when it failed, or when this server stops.
    #[oai(path = "/sessions", method = "post", operation_id = "create_session")]
    async fn create(
        &self,
        caller: Caller,
        /// Answer when it runs, or when the time is over.
        wait: Query<Option<WaitRunning>>,
        /// How long to wait: 1s to 5m, 30s unless given.
        timeout: Query<Option<String>>,
        body: Body<NewSession>,
    ) -> Result<Accepted, Refused<Creation>> {
        let wait = self.waiters.enter(wait.map(WaitRunning::goal), timeout.as_deref())?;
        let request = self.wanted(body, caller).await?;
        let Some(wait) = wait else { return Ok(Accepted::new(self.engine.create_session(request).await?, false)) };
        let (row, watch) = self.engine.create_and_watch(request).await?;
        let row = wait.until(&self.engine, watch, row).await?;
        let reached = wait.reached(&row);
        Ok(Accepted::new(row, reached))
    }

    /// List sessions
    ///
    /// Newest first unless `sort` says otherwise. Without `status`, all but deleted ones.
    #[oai(path = "/sessions", method = "get", operation_id = "list_sessions")]
    async fn list(
        &self,
        caller: Caller,
        /// Those of this user.
        user_id: Query<Option<String>>,
        /// Those in this state, or in one of several separated by commas; `all` for every one.
        status: Query<Option<States>>,
        /// Those on this platform.
        platform: Query<Option<String>>,
        /// Those of this controller.
        controller_id: Query<Option<String>>,
        /// Those made of this template.
        template_id: Query<Option<String>>,
        /// Those with this tag.
        tag: Query<Option<String>>,
        /// Their order; a leading `-` turns it round.
        sort: Query<Option<Sort>>,
        /// Items on a page: 1 to 200, 50 unless given.
        limit: Query<Option<Limit>>,
        /// The `next_cursor` of the page before, with the same filters and order.
        cursor: Query<Option<String>>,
    ) -> Result<Json<Page<Session>>, Refused<Listing>> {
        let filter = SessionFilter {
            user_id: caller.0.owner(user_id.0)?,
            status: filter::states(status.0.as_ref().map(|states| states.0.as_str()))?,
            platform: platform.0,
            controller_id: controller_id.0,
            template_id: template_id.0,
            tag: tag.0,
        };
        let sort = sort.map(SessionSort::from).unwrap_or_default();
        let wanted = Wanted::<SessionPosition>::new("sessions", &(&filter, sort), limit.0, cursor.as_deref())?;
        let rows = queries::sessions(self.engine.reader(), &filter, sort, wanted.after.clone(), wanted.fetch()).await;
        Ok(Json(wanted.page(rows.map_err(database)?, |row| sort.position(row), Into::into)))
    }

    /// Read a session
    ///
    /// With `at`, as its log says that it was then. What is in no log is null: `awake`, `connections` and `resource_usage`;
    /// `last_activity` is then the time of its last change.
    #[oai(path = "/sessions/:id", method = "get", operation_id = "get_session")]
    async fn get(
        &self,
        _caller: Caller,
        id: Path<Uuid>,
        /// As it was then: at a time (RFC 3339), at the beginning of a date, or so long ago, as `10m`.
        at: Query<Option<Moment>>,
        /// An `ETag` that was read before: 304 where nothing has happened since but use.
        #[oai(name = "If-None-Match")]
        if_none_match: Header<Option<String>>,
    ) -> Result<Read, Refused<History>> {
        if let Some(at) = at.0 {
            return Ok(self.was(id.0, at.ms()).await?);
        }
        let row = queries::session(self.engine.reader(), id.0).await.map_err(database)?;
        let row = row.ok_or_else(|| Problem::not_found("session", id.0))?;
        let tag = etag::etag(&row);
        if etag::none_match(if_none_match.as_deref(), &row)? {
            return Ok(Read::Unchanged(tag));
        }
        Ok(Read::Session(Json(row.into()), tag))
    }

    /// Change what is attached to a session
    ///
    /// Its tags, its metadata, and how long it may be idle. What is under way stays so.
    #[oai(path = "/sessions/:id", method = "patch", operation_id = "patch_session")]
    async fn patch(
        &self,
        _caller: Caller,
        id: Path<Uuid>,
        /// Only where nobody has asked for something else, or changed it, since this `ETag` was read.
        #[oai(name = "If-Match")]
        if_match: Header<Option<String>>,
        patch: Patch,
    ) -> Result<Changed, Refused<Amendment>> {
        let stands = etag::if_match(if_match.as_deref())?;
        Ok(self.engine.amend_session(id.0, stands, patch.0).await?.into())
    }

    /// Delete a session
    ///
    /// With `force`, a session whose controller is dead is shown as deleted at once; the clean-up stays owed.
    #[oai(path = "/sessions/:id", method = "delete", operation_id = "delete_session")]
    async fn delete(
        &self,
        _caller: Caller,
        id: Path<Uuid>,
        /// Only where nobody has asked for something else, or changed it, since this `ETag` was read.
        #[oai(name = "If-Match")]
        if_match: Header<Option<String>>,
        /// Do not stop it gracefully, and do not wait for a dead controller.
        force: Query<Option<bool>>,
        /// Answer when it is deleted, or when the time is over.
        wait: Query<Option<WaitDeleted>>,
        /// How long to wait: 1s to 5m, 30s unless given.
        timeout: Query<Option<String>>,
    ) -> Result<Asked, Refused<Conditional>> {
        let ask = Ask::Delete { force: force.unwrap_or_default() };
        let wait = wait.map(WaitDeleted::goal);
        self.ask(ask, Asking { id: id.0, if_match: if_match.0, wait, timeout: timeout.0 }).await
    }

    /// Hibernate a session
    #[oai(path = "/sessions/:id/hibernate", method = "post", operation_id = "hibernate_session")]
    async fn hibernate(
        &self,
        _caller: Caller,
        id: Path<Uuid>,
        /// Only where nobody has asked for something else, or changed it, since this `ETag` was read.
        #[oai(name = "If-Match")]
        if_match: Header<Option<String>>,
        /// Answer when it is hibernated, or when the time is over.
        wait: Query<Option<WaitHibernated>>,
        /// How long to wait: 1s to 5m, 30s unless given.
        timeout: Query<Option<String>>,
    ) -> Result<Asked, Refused<Conditional>> {
        let wait = wait.map(WaitHibernated::goal);
        self.ask(Ask::Hibernate, Asking { id: id.0, if_match: if_match.0, wait, timeout: timeout.0 }).await
    }

    /// Wake a session
    ///
    /// Also a failed one: what it lacked may be there now.
    #[oai(path = "/sessions/:id/wake", method = "post", operation_id = "wake_session")]
    async fn wake(
        &self,
        _caller: Caller,
        id: Path<Uuid>,
        /// Only where nobody has asked for something else, or changed it, since this `ETag` was read.
        #[oai(name = "If-Match")]
        if_match: Header<Option<String>>,
        /// Answer when it runs, or when the time is over.
        wait: Query<Option<WaitRunning>>,
        /// How long to wait: 1s to 5m, 30s unless given.
        timeout: Query<Option<String>>,
    ) -> Result<Asked, Refused<Conditional>> {
        let wait = wait.map(WaitRunning::goal);
        self.ask(Ask::Wake, Asking { id: id.0, if_match: if_match.0, wait, timeout: timeout.0 }).await
    }

    /// Say that a session is in use
    ///
    /// Its idle time begins anew.
    #[oai(path = "/sessions/:id/activity", method = "post", operation_id = "touch_session")]
    async fn activity(&self, _caller: Caller, id: Path<Uuid>) -> Result<Changed, Refused<Change>> {
        Ok(self.engine.ask(id.0, Ask::Activity).await?.into())
    }

    /// Keep a session awake for longer
    ///
    /// Its coming idle stop and the end of its maximum duration are pushed. The extensions of one run add up to its maximum
    /// duration at most, but to 8 hours at least and to 24 hours at most; what goes beyond is refused.
    #[oai(path = "/sessions/:id/extend", method = "post", operation_id = "extend_session")]
    async fn extend(
        &self,
        _caller: Caller,
        id: Path<Uuid>,
        /// Only where nobody has asked for something else, or changed it, since this `ETag` was read.
        #[oai(name = "If-Match")]
        if_match: Header<Option<String>>,
        body: Body<Extension>,
    ) -> Result<Changed, Refused<Extending>> {
        let stands = etag::if_match(if_match.as_deref())?;
        let by_s = body.check(Extension::mistakes)?.seconds();
        Ok(self.engine.ask_if(id.0, stands, Ask::Extend { by_s }).await?.into())
    }
}

impl Sessions {
    /// Those of this engine; so many requests may wait at a time, until `stopping` fires.
    pub(crate) fn new(engine: Arc<Engine>, max_waiting: usize, stopping: CancellationToken) -> Self {
        Self { engine, waiters: Waiters::new(max_waiting, stopping) }
    }

    /// What is asked for, or everything that is wrong with it: its shape, and the values of what has the right shape.
    async fn wanted(&self, body: Body<NewSession>, caller: Caller) -> Result<CreateSession, Problem> {
        let mut wrong = match body {
            Body::Fits(new) => return new.into_request(caller),
            Body::Wrong(wrong) => wrong,
        };
        let values = match wrong.rest.take() {
            Some(rest) => self.engine.session_mistakes(rest.into_request(caller)?).await?,
            None => Vec::new(),
        };
        Err(wrong.refused_with(values))
    }

    /// As it was; of a time to come, which a clock that is ahead asks for, all that the log has.
    async fn was(&self, id: Uuid, at_ms: i64) -> Result<Read, Problem> {
        let row = history::session_at(self.engine.reader(), id, at_ms).await?;
        let row = row.ok_or_else(|| Problem::not_found("session", id))?;
        let tag = etag::etag(&row);
        Ok(Read::Session(Json(Session::of_the_past(row)), tag))
    }

    async fn ask(&self, ask: Ask, asking: Asking) -> Result<Asked, Refused<Conditional>> {
        let stands = etag::if_match(asking.if_match.as_deref())?;
        let wait = self.waiters.enter(asking.wait, asking.timeout.as_deref())?;
        let Some(wait) = wait else {
            let row = self.engine.ask_if(asking.id, stands, ask).await?;
            let holds = row.status == row.desired;
            return Ok(Asked::new(row, holds));
        };
        let watch = self.engine.watch_session(asking.id);
        let row = self.engine.ask_if(asking.id, stands, ask).await?;
        let row = wait.until(&self.engine, watch, row).await?;
        let reached = wait.reached(&row);
        Ok(Asked::new(row, reached))
    }
}
