//! Whether somebody looks after the dead letters, and whether each that lies in the stream is in the table.

use std::collections::HashSet;

use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use streams::topology::{self, SS_DLQ, Stored};
use uuid::Uuid;

use super::{Check, Doctor, GRACE_MS, Unread, said};
use crate::dead_letters::{COPY_HEADER, MOST_OPEN, source};
use crate::store::dead_letter::{self, Column as C};

pub(super) const NAME: &str = "dead letters";
/// Reasons that are told one by one.
const REASONS: u64 = 10;
/// The newest letters of the stream, which are looked for in the table.
const NEWEST: u64 = 32;
/// What is older than this is not looked for: its row may have been removed on purpose.
const YOUNG_MS: i64 = 24 * 3_600_000;

/// Open letters of one reason.
struct Open {
    reason: String,
    count: i64,
    oldest_ms: i64,
}

/// What was read.
struct Facts {
    open: Vec<Open>,
    /// Letters that the public stream should have by now.
    uncopied: i64,
    /// Letters of the stream that the table lacks, by their place; `None` where the stream cannot be read, which is told by the
    /// check of the streams.
    unrecorded: Option<Vec<u64>>,
}

pub(super) async fn check(doctor: &Doctor) -> Result<Check, Unread> {
    let now_ms = doctor.now_ms().await?;
    let sql = format!(
        "SELECT reason, count(*) AS count, min(created_ms) AS oldest FROM dead_letters WHERE status = 'open' \
         GROUP BY reason ORDER BY count(*) DESC LIMIT {REASONS}"
    );
    let mut open = Vec::new();
    for row in doctor.rows(&sql, []).await? {
        let oldest_ms = now_ms - row.try_get::<i64>("", "oldest")?;
        open.push(Open { reason: row.try_get("", "reason")?, count: row.try_get("", "count")?, oldest_ms });
    }
    let sql = "SELECT count(*) AS n FROM dead_letters WHERE NOT copied AND created_ms < $1";
    let rows = doctor.rows(sql, [(now_ms - GRACE_MS).into()]).await?;
    let uncopied = rows.first().map_or(Ok(0), |row| row.try_get("", "n"))?;
    let unrecorded = match doctor.jetstream() {
        Ok(jetstream) => match topology::newest(jetstream, SS_DLQ, NEWEST).await {
            Ok(stored) => Some(unrecorded(doctor, stored, now_ms).await?),
            Err(_) => None,
        },
        Err(_) => None,
    };
    Ok(judge(Facts { open, uncopied, unrecorded }))
}

/// Those of the stream that the table lacks, though there was time to record them.
async fn unrecorded(doctor: &Doctor, stored: Vec<Stored>, now_ms: i64) -> Result<Vec<u64>, Unread> {
    let due = |one: &Stored| (GRACE_MS..YOUNG_MS).contains(&(now_ms - one.at.timestamp_millis()));
    let due: Vec<(u64, Name)> = stored.into_iter().filter(due).map(|one| (one.sequence, name(&one))).collect();
    let sources: Vec<String> = due.iter().filter_map(|(_, name)| name.source()).collect();
    let ids: Vec<Uuid> = due.iter().filter_map(|(_, name)| name.id()).collect();
    // an empty list beside another would keep SQLite from their indexes
    let named = Condition::any()
        .add_option((!sources.is_empty()).then(|| C::Source.is_in(sources)))
        .add_option((!ids.is_empty()).then(|| C::Id.is_in(ids)));
    if named.is_empty() {
        return Ok(Vec::new());
    }
    let known: Vec<(Uuid, String)> = dead_letter::Entity::find()
        .select_only()
        .columns([C::Id, C::Source])
        .filter(named)
        .into_tuple()
        .all(&doctor.parts.database.reader)
        .await?;
    let (ids, mut sources): (HashSet<Uuid>, HashSet<String>) = known.into_iter().unzip();
    sources.extend(repeats(doctor, now_ms).await?);
    let has = |name: &Name| match name {
        Name::Id(id) => ids.contains(id),
        Name::Source(source) => sources.contains(source),
    };
    Ok(due.iter().filter(|(_, name)| !has(name)).map(|(sequence, _)| *sequence).collect())
}

/// The messages that were counted lately as what had come before.
async fn repeats(doctor: &Doctor, now_ms: i64) -> Result<Vec<String>, Unread> {
    let rows: Vec<Option<serde_json::Value>> = dead_letter::Entity::find()
        .select_only()
        .column(C::Repeats)
        .filter(Expr::cust("last_ms IS NOT NULL")) // literally as in the partial index
        .filter(C::LastMs.gt(now_ms - YOUNG_MS))
        .order_by_desc(C::LastMs)
        .limit(NEWEST)
        .into_tuple()
        .all(&doctor.parts.database.reader)
        .await?;
    Ok(rows.iter().flat_map(|repeats| crate::writer::remembered(repeats.as_ref())).collect())
}

/// What a letter of the stream is called in the table.
enum Name {
    /// It is a copy of this row.
    Id(Uuid),
    /// It came from here.
    Source(String),
}

impl Name {
    fn source(&self) -> Option<String> {
        if let Self::Source(source) = self { Some(source.clone()) } else { None }
    }

    fn id(&self) -> Option<Uuid> {
        if let Self::Id(id) = self { Some(*id) } else { None }
    }
}

fn name(stored: &Stored) -> Name {
    let header = |name: &str| stored.headers.iter().find(|(own, _)| own.eq_ignore_ascii_case(name));
    match header(COPY_HEADER).and_then(|(_, id)| id.parse().ok()) {
        Some(id) => Name::Id(id),
        None => Name::Source(source(header("Nats-Msg-Id").map(|(_, id)| id.as_str()), stored.sequence)),
    }
}

fn judge(facts: Facts) -> Check {
    let well = match facts.unrecorded {
        Some(_) => "none is open, and each that lies in the stream is recorded",
        None => "none is open; the stream cannot be held against the table now",
    };
    let mut check = Check::new(NAME, well);
    check.count("open", facts.open.iter().map(|open| open.count).sum::<i64>());
    check.count("uncopied", facts.uncopied);
    for sequence in facts.unrecorded.iter().flatten() {
        let sentence = format!("letter {sequence} of {SS_DLQ} is not in the table");
        let way_out = "see that an engine runs and writes to the database; if an older backup was restored, read it with \
                       `nats stream get SS_DLQ`";
        check.wrong(format!("stream:{SS_DLQ}/{sequence}"), sentence, way_out);
    }
    let all: i64 = facts.open.iter().map(|open| open.count).sum();
    if u64::try_from(all).is_ok_and(|all| all >= MOST_OPEN) {
        let sentence = format!("{all} dead letters are open, and no more are recorded: they stay in {SS_DLQ}");
        let way_out = "mend what `streamspace dlq groups` shows, then `streamspace dlq replay` or `streamspace dlq discard --filter …`";
        check.wrong(NAME, sentence, way_out);
    }
    for Open { reason, count, oldest_ms } in facts.open {
        let sentence = format!("{count} dead letters are open because of {reason}, the oldest for {}", said(oldest_ms));
        let way_out = format!("`streamspace dlq list --reason {reason}`, then replay or discard them");
        check.warn(format!("reason:{reason}"), sentence, way_out);
    }
    if facts.uncopied > 0 {
        let sentence = format!("{} dead letters have no copy in {SS_DLQ} yet", facts.uncopied);
        check.warn(NAME, sentence, "they are in the table; see that the stream has room and an engine reaches NATS");
    }
    check
}
