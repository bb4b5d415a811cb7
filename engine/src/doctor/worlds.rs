//! Whether controllers have what the tables say they should.
//!
//! Of a world that a controller told nothing is kept but what came of it: each difference was a report. What is kept is how many
//! sessions it said with its last heartbeat that it holds. Some controllers count sleeping sessions and some do not, so the
//! number must lie between what runs and what exists; it is only judged when nothing has changed since, and which session is
//! missing or too many cannot be seen from here.

use std::collections::HashMap;

use machine::controller::is_silent;

use super::{Check, Doctor, Unread};
use crate::queries;
use crate::store::controller;

pub(super) const NAME: &str = "worlds";
/// Sessions of one controller that are counted; who has more is not judged.
const COUNTED: i64 = 10_000;
/// Rows of the log that are looked at for what has just changed.
const RECENT: i64 = 1_000;
/// How long after a change a heartbeat may still be of before it, in milliseconds.
const SETTLED_MS: i64 = 2_000;

/// A controller that said how many sessions it has.
struct Host {
    id: String,
    told: i64,
    /// Sessions that run on it, by the tables.
    least: i64,
    /// Sessions that exist on it, by the tables.
    most: i64,
}

/// What was read.
#[derive(Default)]
struct Facts {
    hosts: Vec<Host>,
    /// Controllers that are silent, busy, large, or do not say: nothing can be told of them.
    unseen: i64,
    /// Controllers of which a run has not told its world.
    untold: i64,
}

pub(super) async fn check(doctor: &Doctor) -> Result<Check, Unread> {
    let now_ms = doctor.now_ms().await?;
    let changed = changed(doctor).await?;
    let mut facts = Facts::default();
    for row in queries::controllers(&doctor.parts.database.reader)
        .await?
        .into_iter()
        .filter(|row| !row.revoked && row.admitted)
    {
        facts.untold += i64::from(row.protocol >= 2 && row.synced_instance != row.instance_id);
        let settled = changed.get(&row.controller_id).is_none_or(|at| *at + SETTLED_MS < row.last_heartbeat_ms);
        let silent = is_silent(now_ms, row.last_heartbeat_ms, 0, i64::from(row.interval_seconds));
        match row.capacity().filter(|_| settled && !silent) {
            Some(capacity) => match counted(doctor, &row, i64::from(capacity.sessions)).await? {
                Some(host) => facts.hosts.push(host),
                None => facts.unseen += 1,
            },
            None => facts.unseen += 1,
        }
    }
    Ok(judge(&facts))
}

/// When something of a session on each controller changed last, as far as the newest rows of the log tell.
async fn changed(doctor: &Doctor) -> Result<HashMap<String, i64>, Unread> {
    let sql = format!(
        "SELECT controller_id, max(created_ms) AS at FROM (SELECT controller_id, entity, created_ms FROM event_log \
         ORDER BY id DESC LIMIT {RECENT}) AS recent WHERE controller_id IS NOT NULL AND entity LIKE 'session:%' \
         GROUP BY controller_id"
    );
    let rows = doctor.rows(&sql, []).await?;
    Ok(rows
        .iter()
        .map(|row| Ok((row.try_get("", "controller_id")?, row.try_get("", "at")?)))
        .collect::<Result<_, sea_orm::DbErr>>()?)
}

async fn counted(doctor: &Doctor, row: &controller::Model, told: i64) -> Result<Option<Host>, Unread> {
    let sql = format!(
        "SELECT count(*) AS most, count(CASE WHEN status = 'running' THEN 1 END) AS least FROM (SELECT status FROM sessions \
         WHERE controller_id = $1 AND status IN ('pending', 'creating', 'running', 'hibernating', 'hibernated', 'waking', \
         'failed', 'deleting') LIMIT {COUNTED}) AS owned"
    );
    let id = row.controller_id.clone();
    let rows = doctor.rows(&sql, [id.clone().into()]).await?;
    let Some(found) = rows.first() else { return Ok(None) };
    let (least, most) = (found.try_get("", "least")?, found.try_get("", "most")?);
    Ok((most < COUNTED).then_some(Host { id, told, least, most }))
}

fn judge(facts: &Facts) -> Check {
    let well = format!(
        "{} controllers hold as many sessions as the tables say; of {} it cannot be told now",
        facts.hosts.len(),
        facts.unseen
    );
    let mut check = Check::new(NAME, well);
    check.count("compared", facts.hosts.len());
    check.count("not_compared", facts.unseen);
    check.count("untold", facts.untold);
    for Host { id, told, least, most } in &facts.hosts {
        let about = controller::Model::entity(id);
        if told < least {
            let sentence = format!("controller {id} holds {told} sessions, and the tables say that {least} run there");
            let way_out = "start it again: it then tells its world, and what is missing is made anew";
            check.wrong(about, sentence, way_out);
        } else if told > most {
            let sentence = format!("controller {id} holds {told} sessions, and the tables know of {most}");
            let way_out =
                "start it again: it then tells its world, and its log and the engine's name what nobody knows";
            check.wrong(about, sentence, way_out);
        }
    }
    check
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict;

    #[test]
    fn a_world_lies_between_what_runs_and_what_exists() {
        let of = |told| {
            let hosts = vec![Host { id: "a".into(), told, least: 2, most: 4 }];
            judge(&Facts { hosts, ..Facts::default() }).verdict()
        };
        assert_eq!([of(1), of(2), of(4), of(5)], [Verdict::Wrong, Verdict::Ok, Verdict::Ok, Verdict::Wrong]);
    }
}
