//! Whether what is due is taken: timers of sessions, applications and debts, and jobs that somebody should walk.

use sea_orm::{ColumnTrait, DbErr, QueryFilter, QueryOrder, QuerySelect};
use uuid::Uuid;

use super::{Check, Doctor, GRACE_MS, Unread, said};
use crate::entities::commanded::{Commanded, each};

pub(super) const NAME: &str = "timers";
/// Beyond it overdue timers are not counted on.
const MOST: u64 = 1_000;

/// What nobody took.
struct Late {
    about: String,
    late_ms: i64,
}

/// What was read.
struct Facts {
    /// How many timers are overdue, by whose they are, and the one that waits longest.
    timers: Vec<(u64, Late)>,
    /// Running jobs that nobody walks.
    jobs: Vec<Late>,
}

pub(super) async fn check(doctor: &Doctor) -> Result<Check, Unread> {
    let now_ms = doctor.now_ms().await?;
    let timers = each!(E => overdue::<E>(doctor, now_ms).await?);
    let mut facts = Facts { timers: timers.into_iter().flatten().collect(), jobs: Vec::new() };
    let sql = "SELECT job_id, coalesce(claimed_until_ms, updated_ms) AS since FROM jobs WHERE status = 'running' \
               AND coalesce(claimed_until_ms, updated_ms) < $1 ORDER BY created_ms LIMIT 100";
    for row in doctor.rows(sql, [(now_ms - GRACE_MS).into()]).await? {
        let about = format!("job:{}", row.try_get::<uuid::Uuid>("", "job_id")?);
        facts.jobs.push(Late { about, late_ms: now_ms - row.try_get::<i64>("", "since")? });
    }
    Ok(judge(facts))
}

/// How many timers of a table are overdue, and the one that waits longest.
async fn overdue<E: Commanded>(doctor: &Doctor, now_ms: i64) -> Result<Option<(u64, Late)>, DbErr> {
    let due = E::find().select_only().columns([E::KEY, E::WAKE_MS]).filter(E::WAKE_MS.lt(now_ms - GRACE_MS));
    let due = due.order_by_asc(E::WAKE_MS).limit(MOST).into_tuple::<(Uuid, i64)>();
    let rows = due.all(&doctor.parts.database.reader).await?;
    let late = |(id, wake_ms): &(Uuid, i64)| Late { about: E::entity(*id), late_ms: now_ms - wake_ms };
    Ok(rows.first().map(|first| (rows.len() as u64, late(first))))
}

fn judge(facts: Facts) -> Check {
    let mut check = Check::new(NAME, "what is due is taken, and every running job is walked");
    check.count("overdue_timers", facts.timers.iter().map(|(count, _)| count).sum::<u64>());
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
