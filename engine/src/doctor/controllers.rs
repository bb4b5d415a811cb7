//! Whether the controllers take work: who is silent, whose breaker is open or held, and whose id two processes claim.

use std::collections::{HashMap, HashSet};

use machine::breaker::State;
use machine::controller::is_silent;
use serde_json::Value;

use super::{Check, Doctor, Unread, said};
use crate::queries;
use crate::store::controller;

pub(super) const NAME: &str = "controllers";
/// Decisions that are looked at for instances that take turns.
const RECENT: i64 = 500;
/// How far back, in milliseconds.
const LATELY_MS: i64 = 10 * 60_000;
/// States in which a session needs its controller.
const LIVING: &str = "'pending', 'creating', 'running', 'hibernating', 'hibernated', 'waking', 'deleting'";

/// A controller, and what was read of it besides its row.
struct Host {
    row: controller::Model,
    /// Whether sessions are on it.
    needed: bool,
    /// Instances that came back after another one had spoken.
    turns: usize,
}

pub(super) async fn check(doctor: &Doctor) -> Result<Check, Unread> {
    let now_ms = doctor.now_ms().await?;
    let turns = turns(doctor, now_ms).await?;
    let mut hosts = Vec::new();
    for row in queries::controllers(&doctor.parts.database.reader).await? {
        let quiet = is_quiet(&row, now_ms);
        let needed = (quiet || row.revoked) && is_needed(doctor, &row.controller_id).await?;
        let turns = turns.get(&controller::Model::entity(&row.controller_id)).copied().unwrap_or(0);
        hosts.push(Host { row, needed, turns });
    }
    Ok(judge(hosts, now_ms))
}

fn is_quiet(row: &controller::Model, now_ms: i64) -> bool {
    is_silent(now_ms, row.last_heartbeat_ms, 0, i64::from(row.interval_seconds))
}

async fn is_needed(doctor: &Doctor, id: &str) -> Result<bool, Unread> {
    let sql = format!("SELECT 1 AS n FROM sessions WHERE controller_id = $1 AND status IN ({LIVING}) LIMIT 1");
    Ok(!doctor.rows(&sql, [id.into()]).await?.is_empty())
}

/// How often an instance of a controller spoke again after another one had, by controller.
async fn turns(doctor: &Doctor, now_ms: i64) -> Result<HashMap<String, usize>, Unread> {
    let sql = format!(
        "SELECT entity, changes FROM (SELECT id, entity, changes, created_ms FROM event_log WHERE kind = 'decision' \
         ORDER BY id DESC LIMIT {RECENT}) AS recent WHERE entity LIKE 'controller:%' AND created_ms > $1 ORDER BY id"
    );
    let (mut spoken, mut turns) = (HashMap::<String, HashSet<String>>::new(), HashMap::new());
    for row in doctor.rows(&sql, [(now_ms - LATELY_MS).into()]).await? {
        let (entity, changes): (String, Option<Value>) = (row.try_get("", "entity")?, row.try_get("", "changes")?);
        let instance = changes.as_ref().and_then(|changes| changes["instance_id"].as_str());
        if let Some(instance) = instance
            && !spoken.entry(entity.clone()).or_default().insert(instance.to_owned())
        {
            *turns.entry(entity).or_default() += 1;
        }
    }
    Ok(turns)
}

fn judge(hosts: Vec<Host>, now_ms: i64) -> Check {
    let mut check = Check::new(NAME, "each that is known speaks and takes work");
    check.count("known", hosts.len());
    check.count("waiting_for_admission", hosts.iter().filter(|host| !host.row.admitted).count());
    check.count("revoked", hosts.iter().filter(|host| host.row.revoked).count());
    hosts.iter().for_each(|host| judge_one(&mut check, host, now_ms));
    check
}

fn judge_one(check: &mut Check, host: &Host, now_ms: i64) {
    let (row, id) = (&host.row, &host.row.controller_id);
    let about = controller::Model::entity(id);
    if let (Some(at_ms), Some(why)) = (row.refused_ms, &row.refused_why)
        && now_ms - at_ms < LATELY_MS
    {
        let ago = said(now_ms - at_ms);
        let sentence =
            format!("{} heartbeats under id {id} were refused, the last {ago} ago: {why}", row.refused_beats);
        let way_out = format!(
            "find who sends them; where the host of {id} was reinstalled, `streamspace controller reset {id} --reason …`"
        );
        check.warn(about.clone(), sentence, way_out);
    }
    if !row.admitted {
        let way_out =
            format!("`streamspace controller admit {id} --reason …`, or `streamspace controller remove {id} …`");
        check.warn(about, format!("controller {id} of platform {} waits to be admitted", row.platform), way_out);
        return;
    }
    if row.revoked {
        if host.needed {
            let sentence = format!("controller {id} is revoked, and sessions are still on it");
            check.warn(
                about,
                sentence,
                format!("`streamspace session list --controller {id}`, and delete or move them"),
            );
        }
        return;
    }
    if host.turns > 1 {
        let sentence = format!("two processes speak as controller {id}, by turns");
        let way_out =
            "stop one of them, or give it another CONTROLLER_ID; a standby must not speak while the other does";
        check.wrong(about.clone(), sentence, way_out);
    }
    if is_quiet(row, now_ms) {
        let sentence = format!("controller {id} has been silent for {}", said(now_ms - row.last_heartbeat_ms));
        if host.needed {
            let way_out = "see that it runs and reaches NATS; its sessions and their commands wait for it";
            check.wrong(about, format!("{sentence}, and sessions are on it"), way_out);
        } else {
            check.warn(about, sentence, "start it again, or leave it be: nothing is on it");
        }
        return;
    }
    let breaker = row.breaker();
    if breaker.held || breaker.state != State::Closed {
        let why = breaker.why_not().unwrap_or_else(|| "circuit breaker held closed by an operator".into());
        let way_out = if breaker.held {
            format!("`streamspace controller release {id} --reason …` when it is meant to decide by itself again")
        } else {
            format!("mend what it says; it finds out by itself, or `streamspace controller close {id} --reason …`")
        };
        check.warn(about, format!("controller {id} takes no work as it should: {why}"), way_out);
    } else if let Some(reason) = row.reason.as_ref().filter(|_| !row.facts().ready()) {
        check.warn(about, format!("controller {id} {reason}"), "see its log");
    }
}
