//! Dead letters grouped by cause: what has to be fixed, and how many letters are affected.

use std::sync::Arc;

use engine::Engine;
use engine::use_cases::{Cause as Row, CausePlace as Place, LetterFilter};
use poem_openapi::param::Query;
use poem_openapi::{Object, OpenApi};
use serde::Serialize;
use uuid::Uuid;

use super::{Status, search};
use crate::auth::Caller;
use crate::cursor::{Limit, Page, Wanted, subject};
use crate::document::Tag;
use crate::json::Json;
use crate::moment::Moment;
use crate::param_types::{Search, Subject};
use crate::problem::{Listing, Refused};
use crate::timestamp::Timestamp;

/// Letters that failed in the same way, on one platform and controller.
#[derive(Debug, Object, Serialize)]
struct Cause {
    /// Identifies the reason, the kind of subject, and the error without its numbers and ids.
    fingerprint: String,
    /// A machine-readable reason: `undecodable`, `illegal`, `retries_exhausted`, `permanent`, `poison`, ...
    reason: String,
    /// Kind of the subject, such as `streamspace.session.create`.
    subject: String,
    /// Platform.
    platform: Option<String>,
    /// Controller that was to process them, or sent them.
    controller_id: Option<String>,
    /// Number of letters.
    count: i64,
    /// Of these, open ones.
    open: i64,
    /// Of these, replayed ones.
    replayed: i64,
    /// Of these, discarded ones.
    discarded: i64,
    /// When the first was parked.
    first_at: Timestamp,
    /// When the last was parked.
    last_at: Timestamp,
    /// The letter that was parked last.
    latest_id: Uuid,
    /// Its error.
    error: String,
}

impl From<Row> for Cause {
    fn from(row: Row) -> Self {
        Self {
            fingerprint: row.fingerprint,
            reason: row.reason,
            subject: row.subject,
            platform: row.platform,
            controller_id: row.controller_id,
            count: row.count,
            open: row.open,
            replayed: row.replayed,
            discarded: row.discarded,
            first_at: Timestamp::from_ms(row.first_ms),
            last_at: Timestamp::from_ms(row.last_ms),
            latest_id: row.latest,
            error: row.error,
        }
    }
}

pub(crate) struct Causes(pub(crate) Arc<Engine>);

#[OpenApi(tag = "Tag::DeadLetters")]
impl Causes {
    /// Group dead letters by cause
    ///
    /// The newest cause first. `status` selects causes that have letters in this state; the counts include all
    /// their letters. To replay the letters of a cause, use its `fingerprint`, `platform` and `controller_id`
    /// as the filter.
    #[oai(path = "/admin/dlq/groups", method = "get", operation_id = "group_dead_letters")]
    #[allow(clippy::too_many_arguments)] // one for each parameter of the query
    async fn list(
        &self,
        caller: Caller,
        /// Filter by causes with letters in this state.
        status: Query<Option<Status>>,
        /// Filter by reason.
        reason: Query<Option<String>>,
        /// Filter by subject; a trailing `.*` or `.>` matches all that begin so.
        subject: Query<Option<Subject>>,
        /// Filter by platform.
        platform: Query<Option<String>>,
        /// Filter by controller.
        controller_id: Query<Option<String>>,
        /// Filter by entity, such as `session:<id>`.
        entity: Query<Option<String>>,
        /// Filter by fingerprint.
        fingerprint: Query<Option<String>>,
        /// Filter by a text in subject, error or entity, ignoring case.
        q: Query<Option<Search>>,
        /// Letters parked at or after this time: RFC 3339, a date, or an age such as `10m`.
        since: Query<Option<Moment>>,
        /// Letters parked before this time, in the same formats.
        until: Query<Option<Moment>>,
        /// Page size: 1 to 200, default 50.
        limit: Query<Option<Limit>>,
        /// The `next_cursor` of the previous page.
        cursor: Query<Option<String>>,
    ) -> Result<Json<Page<Cause>>, Refused<Listing>> {
        let filter = LetterFilter {
            status: status.map(|status| status.name().to_owned()),
            reason: reason.0,
            subject: self::subject(subject.0)?,
            platform: platform.0,
            controller_id: controller_id.0,
            entity: entity.0,
            fingerprint: fingerprint.0,
            q: search(q.0)?,
            since_ms: since.map(Moment::ms),
            until_ms: until.map(Moment::ms),
        };
        let (since_ms, until_ms) = (since.map(Moment::name), until.map(Moment::name));
        let named = LetterFilter { since_ms, until_ms, ..filter.clone() };
        let wanted = Wanted::<Place>::new("causes of dead letters", &named, limit.0, cursor.as_deref())?;
        let rows = caller.on(&self.0).causes(&filter, wanted.after.clone(), wanted.fetch()).await?;
        Ok(Json(wanted.page(rows, Row::place, Into::into)))
    }
}
