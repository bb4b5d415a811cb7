//! Dead letters as lists show them: without their bytes, of which one may have a megabyte.

use sea_orm::sea_query::Expr;
use sea_orm::{ConnectionTrait, DbErr, FromQueryResult, QuerySelect};
use uuid::Uuid;

use super::seek::newest_first;
use super::{LetterFilter, Position, Seek, letters};
use crate::store::dead_letter::Column as C;

/// Characters of an error that a list shows.
const SHOWN: u32 = 1_024;

/// A dead letter without its payload, headers, attempts and correction.
#[derive(Debug, Clone, FromQueryResult)]
#[allow(missing_docs)] // the fields are the columns
pub struct ListedLetter {
    pub id: Uuid,
    pub event_id: Option<Uuid>,
    pub subject: String,
    pub reason: String,
    /// Its first 1,024 characters.
    pub error: String,
    pub payload_bytes: i64,
    pub entity: Option<String>,
    pub controller_id: Option<String>,
    pub platform: Option<String>,
    pub fingerprint: String,
    pub status: String,
    pub note: Option<String>,
    pub created_ms: i64,
    pub settled_by: Option<String>,
    pub count: i64,
    pub last_ms: Option<i64>,
}

/// A page of dead letters, newest first.
///
/// # Errors
/// What the database says.
pub async fn dead_letters(
    db: &impl ConnectionTrait,
    filter: &LetterFilter,
    seek: Option<Seek<Position>>,
    limit: u64,
) -> Result<Vec<ListedLetter>, DbErr> {
    newest_first(letters(filter), (C::CreatedMs, C::Id), seek)
        .select_only()
        .columns([C::Id, C::EventId, C::Subject, C::Reason, C::Entity, C::ControllerId, C::Platform, C::Fingerprint])
        .columns([C::Status, C::Note, C::CreatedMs, C::SettledBy, C::Count, C::LastMs])
        .column_as(Expr::cust(format!("substr(error, 1, {SHOWN})")), "error")
        .column_as(Expr::cust("CAST(length(payload) AS BIGINT)"), "payload_bytes")
        .limit(limit)
        .into_model::<ListedLetter>()
        .all(db)
        .await
}
