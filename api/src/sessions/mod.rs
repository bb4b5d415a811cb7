//! Sessions: what can be asked of them. Their shape is in `resource`.

mod awake;
mod resource;

use std::sync::Arc;

use engine::Engine;
use engine::queries::{self, Position, SessionFilter};
use engine::store::session;
use engine::writer::Ask;
use poem_openapi::param::{Path, Query};
use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, Enum, OpenApi};
use uuid::Uuid;

use crate::auth::Caller;
use crate::body::Body;
use crate::cursor::{Page, Wanted};
use crate::document::Tag;
use crate::problem::{Change, Creation, Extending, Listing, Lookup, Problem, Refused, database};
use crate::routes::PREFIX;
use awake::Extension;
use resource::{NewSession, Session};

/// A state to filter by.
#[derive(Debug, Clone, Copy, Enum)]
#[oai(rename_all = "lowercase")]
enum StatusFilter {
    Pending,
    Creating,
    Running,
    Hibernating,
    Hibernated,
    Waking,
    Deleting,
    Deleted,
    Failed,
    All,
}

impl StatusFilter {
    fn name(self) -> String {
        format!("{self:?}").to_lowercase()
    }
}

/// A session that was accepted.
#[derive(ApiResponse)]
enum Accepted {
    /// The session is durable and on its way.
    #[oai(status = 202)]
    Session(
        Json<Session>,
        /// The session's path.
        #[oai(header = "Location")]
        String,
    ),
}

/// An answer to something that was asked of a session.
#[derive(ApiResponse)]
enum Asked {
    /// What was asked holds.
    #[oai(status = 200)]
    Holds(Json<Session>),
    /// What was asked is durable and under way.
    #[oai(status = 202)]
    Underway(Json<Session>),
}

impl From<session::Model> for Asked {
    fn from(row: session::Model) -> Self {
        let holds = row.status == row.desired;
        let shown = Json(row.into());
        if holds { Self::Holds(shown) } else { Self::Underway(shown) }
    }
}

pub(crate) struct Sessions(pub(crate) Arc<Engine>);

#[OpenApi(tag = "Tag::Sessions")]
impl Sessions {
    /// Create a session
    ///
    /// 202 means that it is durable: it will be carried out, whatever is restarted meanwhile.
    #[oai(path = "/sessions", method = "post", operation_id = "create_session")]
    async fn create(&self, caller: Caller, body: Body<NewSession>) -> Result<Accepted, Refused<Creation>> {
        let row = self.0.create_session(body.0.into_request(caller)).await?;
        let location = format!("{PREFIX}/sessions/{}", row.session_id);
        Ok(Accepted::Session(Json(row.into()), location))
    }

    /// List sessions
    ///
    /// Newest first. Without `status`, all but deleted ones.
    #[oai(path = "/sessions", method = "get", operation_id = "list_sessions")]
    #[allow(clippy::too_many_arguments)] // one for each parameter of the query
    async fn list(
        &self,
        _caller: Caller,
        /// Those of this user.
        user_id: Query<Option<String>>,
        /// Those in this state; `all` for every one.
        status: Query<Option<StatusFilter>>,
        /// Those on this platform.
        platform: Query<Option<String>>,
        /// Those of this controller.
        controller_id: Query<Option<String>>,
        /// Those made of this template.
        template_id: Query<Option<String>>,
        /// Those with this tag.
        tag: Query<Option<String>>,
        /// Items on a page: 1 to 200, 50 unless given.
        limit: Query<Option<u32>>,
        /// The `next_cursor` of the page before.
        cursor: Query<Option<String>>,
    ) -> Result<Json<Page<Session>>, Refused<Listing>> {
        let wanted = Wanted::<Position>::new("sessions", limit.0, cursor.as_deref())?;
        let filter = SessionFilter {
            user_id: user_id.0,
            status: status.map(StatusFilter::name),
            platform: platform.0,
            controller_id: controller_id.0,
            template_id: template_id.0,
            tag: tag.0,
        };
        let rows = queries::sessions(self.0.reader(), &filter, wanted.after, wanted.fetch()).await.map_err(database)?;
        Ok(Json(wanted.page(rows, |row| (row.created_ms, row.session_id), Into::into)))
    }

    /// Read a session
    #[oai(path = "/sessions/:id", method = "get", operation_id = "get_session")]
    async fn get(&self, _caller: Caller, id: Path<Uuid>) -> Result<Json<Session>, Refused<Lookup>> {
        let row = queries::session(self.0.reader(), id.0).await.map_err(database)?;
        let row = row.ok_or_else(|| Problem::not_found("session", id.0))?;
        Ok(Json(row.into()))
    }

    /// Delete a session
    ///
    /// With `force`, a session whose controller is dead is shown as deleted at once; the clean-up stays owed.
    #[oai(path = "/sessions/:id", method = "delete", operation_id = "delete_session")]
    async fn delete(
        &self,
        _caller: Caller,
        id: Path<Uuid>,
        /// Do not stop it gracefully, and do not wait for a dead controller.
        force: Query<Option<bool>>,
    ) -> Result<Asked, Refused<Change>> {
        self.ask(id.0, Ask::Delete { force: force.unwrap_or_default() }).await
    }

    /// Hibernate a session
    #[oai(path = "/sessions/:id/hibernate", method = "post", operation_id = "hibernate_session")]
    async fn hibernate(&self, _caller: Caller, id: Path<Uuid>) -> Result<Asked, Refused<Change>> {
        self.ask(id.0, Ask::Hibernate).await
    }

    /// Wake a session
    ///
    /// Also a failed one: what it lacked may be there now.
    #[oai(path = "/sessions/:id/wake", method = "post", operation_id = "wake_session")]
    async fn wake(&self, _caller: Caller, id: Path<Uuid>) -> Result<Asked, Refused<Change>> {
        self.ask(id.0, Ask::Wake).await
    }

    /// Say that a session is in use
    ///
    /// Its idle time begins anew.
    #[oai(path = "/sessions/:id/activity", method = "post", operation_id = "touch_session")]
    async fn activity(&self, _caller: Caller, id: Path<Uuid>) -> Result<Json<Session>, Refused<Change>> {
        let row = self.0.ask(id.0, Ask::Activity).await?;
        Ok(Json(row.into()))
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
        body: Body<Extension>,
    ) -> Result<Json<Session>, Refused<Extending>> {
        let row = self.0.ask(id.0, Ask::Extend { by_s: body.0.seconds()? }).await?;
        Ok(Json(row.into()))
    }
}

impl Sessions {
    async fn ask(&self, id: Uuid, ask: Ask) -> Result<Asked, Refused<Change>> {
        Ok(self.0.ask(id, ask).await?.into())
    }
}
