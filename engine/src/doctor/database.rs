//! Whether the database answers, keeps what it is given, has the schema of this version, and agrees with this process about the time.

use migrations::schema;

use super::{Check, Doctor, Unread, said};

pub(super) const NAME: &str = "database";
/// How far two clocks may be apart, in milliseconds.
const APART_MS: i64 = 5_000;

/// What was read.
struct Facts {
    /// Why the schema is not that of this version.
    schema: Option<String>,
    /// Why changes are not accepted, or not seen.
    suspended: Option<String>,
    /// How far the database's clock is ahead of this process's.
    ahead_ms: i64,
}

pub(super) async fn check(doctor: &Doctor) -> Result<Check, Unread> {
    let before = chrono::Utc::now().timestamp_millis();
    let theirs = doctor.now_ms().await? - doctor.parts.clock.moved_ms();
    let after = chrono::Utc::now().timestamp_millis();
    let ahead_ms = theirs - i64::midpoint(before, after);
    let schema = schema::require_current(&doctor.parts.database).await.err().map(|error| error.to_string());
    let parts = &doctor.parts;
    let suspended = parts.writer.durability().check(&parts.database.reader).await.err().map(|why| why.to_string());
    Ok(judge(Facts { schema, suspended, ahead_ms }))
}

fn judge(facts: Facts) -> Check {
    let mut check =
        Check::new(NAME, "it answers and keeps what it is given, with the schema of this version and the same time");
    check.count("clock_ahead_ms", facts.ahead_ms);
    if let Some(why) = facts.schema {
        check.wrong(NAME, format!("its schema is not that of this version: {why}"), "run `streamspace migrate status`");
    }
    if let Some(why) = facts.suspended {
        let way_out =
            "make room on its disk, or see to the database; nothing accepted is lost, and the engine goes on by itself";
        check.wrong(NAME, format!("nothing is accepted now: {why}"), way_out);
    }
    if facts.ahead_ms.abs() > APART_MS {
        let which = if facts.ahead_ms > 0 { "ahead of" } else { "behind" };
        let sentence = format!("its clock is {} {which} this server's", said(facts.ahead_ms.abs()));
        check.warn(NAME, sentence, "let NTP set the clocks of both machines; due times go by the database's");
    }
    check
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict;

    #[test]
    fn clocks_may_differ_by_a_little() {
        let verdict = |ahead_ms| judge(Facts { schema: None, suspended: None, ahead_ms }).verdict();
        assert_eq!([verdict(900), verdict(-6_000), verdict(6_000)], [Verdict::Ok, Verdict::Warning, Verdict::Warning]);
        let newer = Facts { schema: Some("behind by 2 steps".into()), suspended: None, ahead_ms: 0 };
        assert_eq!(judge(newer).verdict(), Verdict::Wrong);
        let full = Facts { schema: None, suspended: Some("database or disk is full".into()), ahead_ms: 0 };
        assert_eq!(judge(full).verdict(), Verdict::Wrong);
    }
}
