//! Operations on sessions. Their shape is in `resource`, their versions in `etag`, waiting for them in `wait`.

mod answers;
mod awake;
pub(crate) mod etag;
mod filter;
mod patch;
mod resource;
mod wait;

use std::sync::Arc;

use engine::Engine;
use engine::use_cases::{Action, Ask, SessionFilter, SessionPosition, SessionSort, UseCases};
use poem_openapi::param::{Header, Path, Query};
use poem_openapi::{Enum, OpenApi};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::auth::Caller;
use crate::body::Body;
use crate::cursor::{Limit, LivePage, Window};
use crate::document::Tag;
use crate::json::Json;
use crate::moment::Moment;
use crate::param_types::States;
use crate::problem::{Amendment, Change, Conditional, Creation, Extending, History, Listing, Problem, Refused};
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
    /// State to wait for after a create or wake.
    WaitRunning: Running = "running";
    /// State to wait for after a hibernate.
    WaitHibernated: Hibernated = "hibernated";
    /// State to wait for after a delete.
    WaitDeleted: Deleted = "deleted";
}

pub(crate) struct Sessions {
    engine: Arc<Engine>,
    waiters: Waiters,
}

/// What all requests that change a session have in common.
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
    /// 202 means that it is durable and will be carried out, whatever is restarted meanwhile. With `wait`, 201
    /// means that it runs; 202 is returned when the time is over, when it failed, or when this server stops.
    #[oai(path = "/sessions", method = "post", operation_id = "create_session")]
    async fn create(
        &self,
        caller: Caller,
        /// Wait until it runs, or the time is over.
        wait: Query<Option<WaitRunning>>,
        /// Maximum time to wait: 1s to 5m, default 30s.
        timeout: Query<Option<String>>,
        body: Body<NewSession>,
    ) -> Result<Accepted, Refused<Creation>> {
        let wait = self.waiters.enter(wait.map(WaitRunning::goal), timeout.as_deref())?;
        let acting = caller.on(&self.engine);
        let request = body.request(|new| new.into_request(&caller), async |new| acting.session_mistakes(new).await);
        let request = request.await?;
        let Some(wait) = wait else { return Ok(Accepted::new(acting.create_session(request).await?, false)) };
        let (row, watch) = acting.create_and_watch(request).await?;
        let row = wait.until(&acting, watch, row).await?;
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
        /// Filter by user.
        user_id: Query<Option<String>>,
        /// Filter by state, or several separated by commas; `all` for every one.
        status: Query<Option<States>>,
        /// Filter by platform.
        platform: Query<Option<String>>,
        /// Filter by controller.
        controller_id: Query<Option<String>>,
        /// Filter by template.
        template_id: Query<Option<String>>,
        /// Filter by tag.
        tag: Query<Option<String>>,
        /// Order; a leading `-` reverses it.
        sort: Query<Option<Sort>>,
        /// Page size: 1 to 200, default 50.
        limit: Query<Option<Limit>>,
        /// The `next_cursor` or `prev_cursor` of another page, with the same filters and order.
        cursor: Query<Option<String>>,
    ) -> Result<Json<LivePage<Session>>, Refused<Listing>> {
        let filter = SessionFilter {
            user_id: caller.0.owner(Action::ListSessions, user_id.0)?,
            status: filter::states(status.0.as_ref().map(|states| states.0.as_str()))?,
            platform: platform.0,
            controller_id: controller_id.0,
            template_id: template_id.0,
            tag: tag.0,
            until_ms: None,
        };
        let sort = sort.map(SessionSort::from).unwrap_or_default();
        let (narrowed, cursor) = ((&filter, sort), cursor.as_deref());
        let acting = caller.on(&self.engine);
        let window = Window::<SessionPosition>::open(&acting, "sessions", &narrowed, limit.0, cursor).await?;
        let rows = acting.list_sessions(&filter, sort, window.seek(), window.fetch()).await?;
        Ok(Json(window.page(rows, |row| sort.position(row), Into::into)))
    }

    /// Read a session
    ///
    /// With `at`, as it was then by its log. What is in no log is null: `awake`, `connections` and
    /// `resource_usage`; `last_activity` is the time of its last change.
    #[oai(path = "/sessions/:id", method = "get", operation_id = "get_session")]
    async fn get(
        &self,
        caller: Caller,
        id: Path<Uuid>,
        /// As it was at this time: RFC 3339, the beginning of a date, or an age such as `10m`.
        at: Query<Option<Moment>>,
        /// An `ETag` read before: 304 if nothing but use has happened since.
        #[oai(name = "If-None-Match")]
        if_none_match: Header<Option<String>>,
    ) -> Result<Read, Refused<History>> {
        if let Some(at) = at.0 {
            return Ok(was(&caller.on(&self.engine), id.0, at.ms()).await?);
        }
        let row = caller.on(&self.engine).session(id.0).await?;
        let tag = etag::etag(&row);
        if etag::none_match(if_none_match.as_deref(), &row)? {
            return Ok(Read::Unchanged(tag));
        }
        Ok(Read::Session(Json(row.into()), tag))
    }

    /// Amend a session
    ///
    /// Changes its tags, metadata and idle timeout. What is under way is not affected.
    #[oai(path = "/sessions/:id", method = "patch", operation_id = "patch_session")]
    async fn patch(
        &self,
        caller: Caller,
        id: Path<Uuid>,
        /// Applied only if the session is unchanged since this ETag was read.
        #[oai(name = "If-Match")]
        if_match: Header<Option<String>>,
        patch: Patch,
    ) -> Result<Changed, Refused<Amendment>> {
        let stands = etag::if_match(if_match.as_deref())?;
        Ok(caller.on(&self.engine).amend_session(id.0, stands, patch.0).await?.into())
    }

    /// Delete a session
    ///
    /// With `force`, a session whose controller is unreachable is shown as deleted at once; its clean-up stays
    /// pending.
    #[oai(path = "/sessions/:id", method = "delete", operation_id = "delete_session")]
    async fn delete(
        &self,
        caller: Caller,
        id: Path<Uuid>,
        /// Applied only if the session is unchanged since this ETag was read.
        #[oai(name = "If-Match")]
        if_match: Header<Option<String>>,
        /// Do not stop it gracefully, and do not wait for an unreachable controller.
        force: Query<Option<bool>>,
        /// Wait until it is deleted, or the time is over.
        wait: Query<Option<WaitDeleted>>,
        /// Maximum time to wait: 1s to 5m, default 30s.
        timeout: Query<Option<String>>,
    ) -> Result<Asked, Refused<Conditional>> {
        let ask = Ask::Delete { force: force.unwrap_or_default() };
        let wait = wait.map(WaitDeleted::goal);
        self.ask(&caller, ask, Asking { id: id.0, if_match: if_match.0, wait, timeout: timeout.0 }).await
    }

    /// Hibernate a session
    #[oai(path = "/sessions/:id/hibernate", method = "post", operation_id = "hibernate_session")]
    async fn hibernate(
        &self,
        caller: Caller,
        id: Path<Uuid>,
        /// Applied only if the session is unchanged since this ETag was read.
        #[oai(name = "If-Match")]
        if_match: Header<Option<String>>,
        /// Wait until it is hibernated, or the time is over.
        wait: Query<Option<WaitHibernated>>,
        /// Maximum time to wait: 1s to 5m, default 30s.
        timeout: Query<Option<String>>,
    ) -> Result<Asked, Refused<Conditional>> {
        let wait = wait.map(WaitHibernated::goal);
        self.ask(&caller, Ask::Hibernate, Asking { id: id.0, if_match: if_match.0, wait, timeout: timeout.0 }).await
    }

    /// Wake a session
    ///
    /// Also retries a failed one.
    #[oai(path = "/sessions/:id/wake", method = "post", operation_id = "wake_session")]
    async fn wake(
        &self,
        caller: Caller,
        id: Path<Uuid>,
        /// Applied only if the session is unchanged since this ETag was read.
        #[oai(name = "If-Match")]
        if_match: Header<Option<String>>,
        /// Wait until it runs, or the time is over.
        wait: Query<Option<WaitRunning>>,
        /// Maximum time to wait: 1s to 5m, default 30s.
        timeout: Query<Option<String>>,
    ) -> Result<Asked, Refused<Conditional>> {
        let wait = wait.map(WaitRunning::goal);
        self.ask(&caller, Ask::Wake, Asking { id: id.0, if_match: if_match.0, wait, timeout: timeout.0 }).await
    }

    /// Report activity of a session
    ///
    /// Restarts its idle timeout.
    #[oai(path = "/sessions/:id/activity", method = "post", operation_id = "touch_session")]
    async fn activity(&self, caller: Caller, id: Path<Uuid>) -> Result<Changed, Refused<Change>> {
        Ok(caller.on(&self.engine).ask_session(id.0, None, Ask::Activity).await?.into())
    }

    /// Extend a session
    ///
    /// Postpones its next idle stop and the end of its maximum duration. The extensions of one run add up to at
    /// most its maximum duration, but to at least 8 hours and at most 24 hours; more is refused.
    #[oai(path = "/sessions/:id/extend", method = "post", operation_id = "extend_session")]
    async fn extend(
        &self,
        caller: Caller,
        id: Path<Uuid>,
        /// Applied only if the session is unchanged since this ETag was read.
        #[oai(name = "If-Match")]
        if_match: Header<Option<String>>,
        body: Body<Extension>,
    ) -> Result<Changed, Refused<Extending>> {
        let stands = etag::if_match(if_match.as_deref())?;
        let by_s = body.check(Extension::mistakes)?.seconds();
        Ok(caller.on(&self.engine).ask_session(id.0, stands, Ask::Extend { by_s }).await?.into())
    }
}

impl Sessions {
    /// The operations of an engine; at most so many requests wait at a time, until `stopping` fires.
    pub(crate) fn new(engine: Arc<Engine>, max_waiting: usize, stopping: CancellationToken) -> Self {
        Self { engine, waiters: Waiters::new(max_waiting, stopping) }
    }

    async fn ask(&self, caller: &Caller, ask: Ask, asking: Asking) -> Result<Asked, Refused<Conditional>> {
        let stands = etag::if_match(asking.if_match.as_deref())?;
        let wait = self.waiters.enter(asking.wait, asking.timeout.as_deref())?;
        let acting = caller.on(&self.engine);
        let Some(wait) = wait else {
            let row = acting.ask_session(asking.id, stands, ask).await?;
            let holds = row.status == row.desired;
            return Ok(Asked::new(row, holds));
        };
        let watch = acting.watch_session(asking.id).await?;
        let row = acting.ask_session(asking.id, stands, ask).await?;
        let row = wait.until(&acting, watch, row).await?;
        let reached = wait.reached(&row);
        Ok(Asked::new(row, reached))
    }
}

/// A session as it was; for a future time, which a clock that is ahead may ask for, all of its log.
async fn was(acting: &UseCases<'_>, id: Uuid, at_ms: i64) -> Result<Read, Problem> {
    let row = acting.session_at(id, at_ms).await?;
    let tag = etag::etag(&row);
    Ok(Read::Session(Json(Session::as_it_was(row)), tag))
}
