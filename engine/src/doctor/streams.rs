//! Whether the streams are there, as they must be, with room left, and hold what the tables say they were given.

use std::collections::HashMap;

use sea_orm::EntityTrait;
use streams::topology::{self, SS_COMMANDS, SS_REPORTS, STREAMS, Standing, StreamState};
use uuid::Uuid;

use super::{Check, Doctor, Unread, said};
use crate::ends::{self, UNFINISHED};
use crate::store::stream_epoch;

pub(super) const NAME: &str = "streams";
/// From here on it is worth a look, in percent of a limit.
const FULL: u64 = 80;
/// How long a published command may go without a sign before its stream is asked for it, in milliseconds.
const SIGN_MS: i64 = 30_000;
/// Commands that the stream is asked for at most.
const ASKED: usize = 100;

const RESTORED: &str = "an engine makes the streams anew within seconds, sends again what is open, and asks controllers for what they \
                        have; if not, `streamspace streams rebuild` does";

/// A command that was published, and that neither the stream nor anybody else has.
struct Lost {
    entity: String,
    command: Uuid,
    silent_ms: i64,
}

/// What was read.
struct Facts {
    standings: Vec<Option<Standing>>,
    /// The epoch of each stream that the tables refer to.
    epochs: HashMap<String, i64>,
    /// The highest sequence of each stream that the tables know of its present epoch.
    known: HashMap<&'static str, u64>,
    lost: Vec<Lost>,
}

pub(super) async fn check(doctor: &Doctor) -> Result<Check, Unread> {
    let jetstream = doctor.jetstream()?;
    let rows = stream_epoch::Entity::find().all(&doctor.parts.database.reader).await?;
    let epochs: HashMap<String, i64> = rows.into_iter().map(|row| (row.name, row.epoch)).collect();
    let epoch = |name: &str| epochs.get(name).copied().unwrap_or(0);
    let (db, backend) = (&doctor.parts.database.reader, doctor.parts.database.backend);
    // what the tables know is read first: the streams only grow meanwhile
    let known = HashMap::from([
        (SS_COMMANDS, ends::commands(db, backend, epoch(SS_COMMANDS)).await?),
        (SS_REPORTS, ends::reports(db, backend, epoch(SS_REPORTS)).await?),
    ]);
    let standings = topology::examine(jetstream, &doctor.settings).await?;
    let present = standings.iter().flatten().find(|standing| standing.state.name == SS_COMMANDS);
    let lost = match present.filter(|standing| standing.state.epoch == epoch(SS_COMMANDS)) {
        Some(standing) => lost(doctor, standing.state.epoch).await?,
        None => Vec::new(),
    };
    Ok(judge(Facts { standings, epochs, known, lost }))
}

/// Commands that wait for a controller that can never get them, the oldest first.
async fn lost(doctor: &Doctor, epoch: i64) -> Result<Vec<Lost>, Unread> {
    let now_ms = doctor.now_ms().await?;
    let before = chrono::DateTime::from_timestamp_millis(now_ms - SIGN_MS).unwrap_or_default();
    let sql = format!(
        "SELECT event_id, entity, stream_seq, published_at FROM event_log WHERE {UNFINISHED} AND status = 'published' \
         AND lane = 'durable' AND stream_epoch = $1 AND stream_seq IS NOT NULL AND published_at < $2 ORDER BY id LIMIT {ASKED}"
    );
    let jetstream = doctor.jetstream()?;
    let mut gone = Vec::new();
    for row in doctor.rows(&sql, [epoch.into(), before.into()]).await? {
        let sequence = u64::try_from(row.try_get::<i64>("", "stream_seq")?).unwrap_or_default();
        if !topology::holds(jetstream, SS_COMMANDS, sequence).await? {
            let since: chrono::DateTime<chrono::Utc> = row.try_get("", "published_at")?;
            let silent_ms = now_ms - since.timestamp_millis();
            gone.push(Lost { entity: row.try_get("", "entity")?, command: row.try_get("", "event_id")?, silent_ms });
        }
    }
    if gone.is_empty() || reports_wait(doctor).await? {
        return Ok(Vec::new()); // what acknowledged a command was reported before, so the report may be among those
    }
    let mut lost = Vec::new();
    for each in gone {
        let sql = "SELECT 1 AS n FROM event_log WHERE event_id = $1 AND direction = 'out' AND status = 'published'";
        if !doctor.rows(sql, [each.command.into()]).await?.is_empty() {
            lost.push(each);
        }
    }
    Ok(lost)
}

/// Whether there are reports that the engine has not applied.
async fn reports_wait(doctor: &Doctor) -> Result<bool, Unread> {
    let all = topology::consumers(doctor.jetstream()?, SS_REPORTS, 10).await?.unwrap_or_default();
    let own = all.into_iter().find(|consumer| consumer.name == topology::ENGINE);
    Ok(own.is_none_or(|consumer| consumer.pending + consumer.unacknowledged > 0))
}

fn judge(facts: Facts) -> Check {
    let mut check = Check::new(NAME, "each is there, as it must be, with room, and holds what it was given");
    for (name, standing) in STREAMS.into_iter().zip(facts.standings) {
        match standing {
            Some(standing) => {
                let epoch = facts.epochs.get(name).copied().unwrap_or(0);
                judge_one(&mut check, &standing, epoch, facts.known.get(name).copied().unwrap_or(0));
            }
            None => check.wrong(
                about(name),
                format!("{name} does not exist"),
                "any engine that reaches JetStream makes it anew within seconds and sends again what it held; if not, its log says why",
            ),
        }
    }
    for Lost { entity, command, silent_ms } in facts.lost {
        let sentence = format!(
            "command {command} was published {} ago, its stream has it no more, and nobody has reported on it",
            said(silent_ms)
        );
        check.wrong(entity, sentence, "it is sent again at its deadline; `streamspace event fate` shows when");
    }
    check
}

fn judge_one(check: &mut Check, standing: &Standing, epoch: i64, known: u64) {
    let name = standing.state.name;
    check.count(format!("{name}_bytes"), standing.state.bytes);
    check.count(format!("{name}_messages"), standing.state.messages);
    for difference in &standing.differs {
        let sentence =
            format!("{name} has {} {}, and must have {}", difference.field, difference.found, difference.wanted);
        let way_out = "an engine sets it within seconds where the server can change it in place; else `streamspace streams rebuild` makes \
                       the streams of commands and reports anew";
        check.wrong(about(name), sentence, way_out);
    }
    if standing.state.epoch < epoch {
        let sentence = format!(
            "{name} is of epoch {}, but the tables refer to epoch {epoch}: it was restored to an older state",
            standing.state.epoch
        );
        check.wrong(about(name), sentence, RESTORED);
    } else if standing.state.epoch != epoch {
        let sentence = format!("{name} is another stream than the tables refer to (epoch {})", standing.state.epoch);
        check.warn(about(name), sentence, "what was on its way is being sent again; ask again in a minute");
    } else if known > standing.state.last_seq {
        let sentence = format!(
            "{name} ends at {}, but the tables know its message {known}: it was restored to an older state",
            standing.state.last_seq
        );
        check.wrong(about(name), sentence, RESTORED);
    }
    let StreamState { bytes, max_bytes, messages, max_messages, .. } = standing.state;
    let room = [("bytes", bytes, max_bytes), ("messages", messages, max_messages)];
    for (what, has, limit) in room {
        let Some(limit) = u64::try_from(limit).ok().filter(|limit| *limit > 0) else { continue };
        let percent = has.saturating_mul(100) / limit;
        let sentence = format!("{name} holds {has} {what} of at most {limit} ({percent} %)");
        let way_out = format!("see who does not read it, or raise {}", topology::setting(name, what));
        if percent >= 99 {
            let way_out = format!("nothing is lost: senders keep what it refuses and try again; {way_out}");
            check.wrong(about(name), format!("{sentence}: it is full"), way_out);
        } else if percent >= FULL {
            check.warn(about(name), sentence, way_out);
        }
    }
}

fn about(name: &str) -> String {
    format!("stream:{name}")
}
