//! Whether what is due is taken: timers of sessions and applications, and jobs that somebody should walk.

use super::{Check, Doctor, GRACE_MS, Unread, said};

pub(super) const NAME: &str = "timers";
/// Beyond it overdue timers are not counted on.
const MOST: i64 = 1_000;

/// What nobody took.
struct Late {
    about: String,
    late_ms: i64,
}

/// What was read.
#[derive(Default)]
struct Facts {
    /// How many timers are overdue, by whose they are, and the one that waits longest.
    timers: Vec<(i64, Late)>,
    /// Running jobs that nobody walks.
    jobs: Vec<Late>,
}

pub(super) async fn check(doctor: &Doctor) -> Result<Check, Unread> {
    let now_ms = doctor.now_ms().await?;
    let mut facts = Facts::default();
    for (table, id, kind) in
        [("sessions", "session_id", "session"), ("installed_applications", "install_id", "application")]
    {
        let sql =
            format!("SELECT {id} AS id, wake_ms AS due FROM {table} WHERE wake_ms < $1 ORDER BY wake_ms LIMIT {MOST}");
        let rows = doctor.rows(&sql, [(now_ms - GRACE_MS).into()]).await?;
        if let Some(first) = rows.first() {
            let about = format!("{kind}:{}", first.try_get::<uuid::Uuid>("", "id")?);
            let late = Late { about, late_ms: now_ms - first.try_get::<i64>("", "due")? };
            facts.timers.push((rows.len() as i64, late));
        }
    }
    let sql = "SELECT job_id, coalesce(claimed_until_ms, updated_ms) AS since FROM jobs WHERE status = 'running' \
               AND coalesce(claimed_until_ms, updated_ms) < $1 ORDER BY created_ms LIMIT 100";
    for row in doctor.rows(sql, [(now_ms - GRACE_MS).into()]).await? {
        let about = format!("job:{}", row.try_get::<uuid::Uuid>("", "job_id")?);
        facts.jobs.push(Late { about, late_ms: now_ms - row.try_get::<i64>("", "since")? });
    }
    Ok(judge(facts))
}

fn judge(facts: Facts) -> Check {
    let mut check = Check::new(NAME, "what is due is taken, and every running job is walked");
    check.count("overdue_timers", facts.timers.iter().map(|(count, _)| count).sum::<i64>());
    check.count("stuck_jobs", facts.jobs.len());
    for (count, Late { about, late_ms }) in facts.timers {
        let number = if count >= MOST { format!("{MOST} or more") } else { count.to_string() };
        let sentence = format!("{number} timers are overdue, the oldest by {}", said(late_ms));
        let way_out = "see that a `streamspace serve` runs, writes to the database and reaches NATS; its log names what it cannot do";
        check.wrong(about, sentence, way_out);
    }
    for Late { about, late_ms } in facts.jobs {
        let sentence = format!("it should run, and nobody has walked it for {}", said(late_ms));
        check.wrong(about, sentence, "see the engine's log for why; `streamspace job cancel` ends it");
    }
    check
}
