//! Whether commands leave the outbox: how many wait, since when, how full it is, whether each is accounted for, and whether some
//! are held by an engine that is gone.

use super::{Check, Doctor, GRACE_MS, Unread, said};
use crate::account;

pub(super) const NAME: &str = "outbox";
/// From here on it is worth a look, in percent of the limit.
const FULL: i64 = 80;
/// How long a command that could go may wait for its turn, in milliseconds.
const LONG_MS: i64 = 5 * 60_000;

/// What was read.
#[derive(Default)]
struct Facts {
    waiting: i64,
    limit: i64,
    unaccounted: i64,
    /// Commands that could go.
    ready: i64,
    /// How long the oldest of them has waited.
    oldest_ms: Option<i64>,
    /// Commands that an engine took long ago, and has neither sent nor given back.
    left: i64,
}

pub(super) async fn check(doctor: &Doctor) -> Result<Check, Unread> {
    let db = &doctor.parts.database.reader;
    let now_ms = doctor.now_ms().await?;
    // the conditions are literally those of the partial index; a later attempt still shows the claim of the one before
    let sql = "SELECT count(*) AS ready, min(created_ms) AS oldest, \
               count(CASE WHEN claimed_until_ms < $1 AND attempt <= 1 THEN 1 END) AS held \
               FROM event_log WHERE status = 'pending' AND ready";
    let rows = doctor.rows(sql, [(now_ms - GRACE_MS).into()]).await?;
    let mut facts = Facts {
        waiting: account::waiting(db).await?,
        limit: doctor.outbox_limit,
        unaccounted: account::unaccounted(db).await?,
        ..Facts::default()
    };
    if let Some(row) = rows.first() {
        facts.ready = row.try_get("", "ready")?;
        // while NATS is away nobody could send them
        facts.left = if doctor.jetstream().is_ok() { row.try_get("", "held")? } else { 0 };
        facts.oldest_ms = row.try_get::<Option<i64>>("", "oldest")?.map(|since| now_ms - since);
    }
    Ok(judge(&facts))
}

fn judge(facts: &Facts) -> Check {
    let waiting = match facts.waiting {
        0 => "no command waits".to_owned(),
        1 => "one command waits, and is accounted for".to_owned(),
        more => format!("{more} commands wait, and each is accounted for"),
    };
    let mut check = Check::new(NAME, waiting);
    check.count("waiting", facts.waiting);
    check.count("ready", facts.ready);
    check.count("limit", facts.limit);
    check.count("unaccounted", facts.unaccounted);
    if facts.unaccounted > 0 {
        let sentence = format!("{} open commands belong to nothing that waits for them", facts.unaccounted);
        check.wrong(NAME, sentence, "this is a defect: keep the database, and look with `streamspace event list`");
    }
    if facts.waiting >= facts.limit {
        let sentence = format!("it is full: {} commands wait, and {} may", facts.waiting, facts.limit);
        check.wrong(
            NAME,
            sentence,
            "see `streamspace queue --summary` for what they wait for; --outbox-limit lets more wait",
        );
    } else if facts.waiting.saturating_mul(100) > facts.limit.saturating_mul(FULL) {
        let sentence = format!("it is almost full: {} of {} commands", facts.waiting, facts.limit);
        check.warn(NAME, sentence, "see `streamspace queue --summary` for what they wait for");
    }
    if facts.left > 0 {
        let sentence =
            format!("{} commands were taken by an engine that has not sent them and is not there any more", facts.left);
        check.wrong(NAME, sentence, "see that a `streamspace serve` runs and reaches NATS: any of them sends these");
    }
    if let Some(oldest_ms) = facts.oldest_ms.filter(|oldest| *oldest > LONG_MS) {
        let sentence = format!("a command that could go has waited for {}", said(oldest_ms));
        check.warn(NAME, sentence, "see `streamspace queue` for whom it waits, and whether that controller keeps up");
    }
    check
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict;

    #[test]
    fn an_outbox_is_judged_by_its_limit_its_oldest_and_its_account() {
        let of = |facts: Facts| judge(&Facts { limit: 100, ..facts }).verdict();
        assert_eq!(of(Facts { waiting: 80, ..Facts::default() }), Verdict::Ok);
        assert_eq!(of(Facts { waiting: 81, ..Facts::default() }), Verdict::Warning);
        assert_eq!(of(Facts { waiting: 100, ..Facts::default() }), Verdict::Wrong);
        assert_eq!(of(Facts { unaccounted: 1, ..Facts::default() }), Verdict::Wrong);
        assert_eq!(of(Facts { left: 1, ..Facts::default() }), Verdict::Wrong);
        assert_eq!(of(Facts { oldest_ms: Some(LONG_MS), ..Facts::default() }), Verdict::Ok);
        assert_eq!(of(Facts { oldest_ms: Some(LONG_MS + 1), ..Facts::default() }), Verdict::Warning);
    }
}
