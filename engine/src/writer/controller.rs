//! What happens when a controller speaks, falls silent, fails or recovers.

use std::collections::BTreeMap;

use machine::controller::{Event, decide, is_silent};
use machine::identity;
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseTransaction, DbBackend, DbErr, EntityTrait, QueryFilter, QueryOrder,
    QuerySelect,
};
use serde_json::{Value, json};
use streams::wire::{ControllerHealth, Heartbeat};
use uuid::Uuid;

use super::Error;
use super::admission::{are_new, queue_newcomers};
use super::batch::{Batch, Slot, State};
use super::judged::version;
use super::room::Starts;
use super::work::{Beat, Done};
use crate::entities::replace;
use crate::store::{controller, event};

/// Controllers of one platform that have a row at most; a heartbeat of one more is refused.
pub const PER_PLATFORM: usize = 256;
/// Controllers in all: every transaction knows all of them.
pub const IN_ALL: usize = 1_024;

impl Batch<'_> {
    /// Reads all controllers, for there are few, and locks those whose rows this work may change: those that are meant, those
    /// that it judges, and those that are on trial, where whatever goes out or comes in may decide; and those that may be given
    /// something to start and are not far from full, whose sessions are counted then.
    pub(super) async fn load_controllers(
        &mut self,
        tx: &DatabaseTransaction,
        known: Option<BTreeMap<String, Slot<controller::Model>>>,
        meant: Vec<String>,
        judged: &[Uuid],
        succeeded: &[Uuid],
        starts: Starts,
    ) -> Result<(), DbErr> {
        self.controllers = match known {
            Some(known) => known,
            None => {
                let all = || controller::Entity::find().order_by_asc(controller::Column::ControllerId).all(tx);
                let mut rows = all().await?;
                if are_new(&rows, &meant) && queue_newcomers(tx).await? {
                    rows = all().await?;
                }
                rows.into_iter().map(|row| (row.controller_id.clone(), Slot { row, state: State::Clean })).collect()
            }
        };
        self.load_newcomers(tx, &meant).await?;
        let near = self.estimate(tx, &starts).await?;
        if tx.get_database_backend() != DbBackend::Sqlite {
            let judged: Vec<Uuid> = judged.iter().copied().chain(self.first_of_their_templates(succeeded)).collect();
            let meant = meant.into_iter().chain(near.iter().cloned()).collect();
            self.lock_controllers(tx, meant, &judged).await?; // on SQLite the transaction is alone as it is
        }
        self.count(tx, &near, starts).await
    }

    async fn lock_controllers(
        &mut self,
        tx: &DatabaseTransaction,
        mut meant: Vec<String>,
        judged: &[Uuid],
    ) -> Result<(), DbErr> {
        use controller::Column as C;
        let on_trial = self.controllers.values().map(|slot| &slot.row).filter(|row| !row.at_ease());
        meant.extend(on_trial.map(|row| row.controller_id.clone()));
        meant.extend(judged.iter().filter_map(|id| self.owner(*id)));
        if meant.is_empty() {
            return Ok(());
        }
        let find = controller::Entity::find().filter(C::ControllerId.is_in(meant));
        for row in find.order_by_asc(C::ControllerId).lock_exclusive().all(tx).await? {
            self.controllers.insert(row.controller_id.clone(), Slot { row, state: State::Clean });
        }
        Ok(())
    }

    /// Those of these sessions whose templates their owners do not know to have run there.
    fn first_of_their_templates(&self, ids: &[Uuid]) -> impl Iterator<Item = Uuid> {
        ids.iter().copied().filter(|id| {
            let row = self.sessions.get(id).map(|slot| &slot.row);
            let open = row.filter(|row| row.command_id.is_some());
            open.is_some_and(|row| {
                let owner = row.controller_id.as_ref().and_then(|owner| self.controllers.get(owner));
                owner.is_some_and(|owner| !owner.row.has_run(&version(&row.template_id, row.template.as_str())))
            })
        })
    }

    fn owner(&self, id: Uuid) -> Option<String> {
        let of_session = self.sessions.get(&id).map(|slot| &slot.row.controller_id);
        let of_application = || self.applications.get(&id).map(|slot| &slot.row.controller_id);
        let owner = of_session.or_else(of_application).cloned().flatten();
        owner.or_else(|| Some(self.debts.get(&id)?.row.controller_id.clone()))
    }

    pub(super) fn heartbeat(&mut self, said: &Beat) -> Result<Done, Error> {
        let (beat, now_ms) = (&said.heartbeat, self.now_ms);
        let id = &beat.controller_id;
        if self.controllers.contains_key(id) {
            self.refuse_impostor(said)?;
        } else {
            self.takes_one_more(&beat.platform)?;
            let row = self.newcomer(beat)?;
            self.controllers.insert(id.clone(), Slot { row, state: State::New });
        }
        let living = self.living_on(id);
        let slot = self.controllers.get_mut(id).ok_or_else(|| missing(id))?;
        let (before, was_ready) = (hard(&slot.row), slot.row.ready() && slot.state != State::New);
        let room = |row: &controller::Model| row.limit().map_or(u32::MAX, |max| max.saturating_sub(row.foreign()));
        let had = room(&slot.row);
        take_over(&mut slot.row, beat, now_ms);
        slot.row.count_foreign(living);
        self.outcome.freed |= room(&slot.row) > had;
        slot.row.own_subject |= said.own_subject;
        let facts = decide(&slot.row.facts(), &Event::Heartbeat(beat.status), now_ms);
        slot.row.assume(&facts);
        slot.touch();
        self.controller_changed(&beat.controller_id, &before, was_ready, "heartbeat", &Value::Null)
    }

    /// Anybody on the bus can make ids up, and each is a row, a label of metrics and a line for operators.
    fn takes_one_more(&self, platform: &str) -> Result<(), Error> {
        let here = self.controllers.values().filter(|slot| slot.row.platform == platform).count();
        let (count, limit, whose) = match (self.controllers.len(), here) {
            (all, _) if all >= IN_ALL => (all, IN_ALL, "in all".to_owned()),
            (_, here) if here >= PER_PLATFORM => (here, PER_PLATFORM, format!("on platform {platform}")),
            _ => return Ok(()),
        };
        Err(Error::Conflict(format!(
            "{count} controllers are known {whose}, and no more than {limit} may be; remove those that are gone"
        )))
    }

    /// Counts a report. Whoever has no row shares one label, because anything can stand in a report.
    pub(super) fn count_report(&mut self, controller_id: &str) {
        let known = self.controllers.contains_key(controller_id);
        let label = if known { controller_id } else { crate::metrics::OTHER };
        *self.outcome.processed.entry(label.to_owned()).or_default() += 1;
    }

    pub(super) fn controller_event(&mut self, id: &str, event: &Event) -> Result<Done, Error> {
        let now_ms = self.now_ms;
        let slot = self.controllers.get_mut(id).ok_or_else(|| missing(id))?;
        let heard = !is_silent(now_ms, slot.row.last_heartbeat_ms, 0, i64::from(slot.row.interval_seconds));
        let facts = slot.row.facts();
        let after = decide(&facts, event, now_ms);
        if after == facts || (*event == Event::Silent && heard) {
            return Ok(Done::Controller(Box::new(slot.row.clone())));
        }
        let (before, was_ready) = (hard(&slot.row), slot.row.ready());
        slot.row.assume(&after);
        slot.touch();
        let probation = after.breaker.probes() && after.breaker.admits();
        self.outcome.placement |= probation && facts.breaker.until_ms != after.breaker.until_ms; // others may be the probe now
        self.controller_changed(id, &before, was_ready, event.name(&facts.breaker, &after.breaker), &told(event))
    }

    pub(super) fn controller_row(&self, id: &str) -> Result<controller::Model, Error> {
        self.controllers.get(id).map(|slot| slot.row.clone()).ok_or_else(|| missing(id))
    }

    /// Does something to a row in an operator's name.
    pub(super) fn operate(
        &mut self,
        id: &str,
        what: &str,
        told: &Value,
        change: impl FnOnce(&mut controller::Model),
    ) -> Result<Done, Error> {
        let slot = self.controllers.get_mut(id).ok_or_else(|| missing(id))?;
        let (before, was_ready) = (hard(&slot.row), slot.row.ready());
        change(&mut slot.row);
        slot.touch();
        self.controller_changed(id, &before, was_ready, what, told)
    }

    pub(super) fn synced(&mut self, id: &str, instance_id: Uuid) -> Result<Done, Error> {
        let slot = self.controllers.get_mut(id).ok_or_else(|| missing(id))?;
        let (before, was_ready) = (hard(&slot.row), slot.row.ready());
        slot.row.synced_instance = Some(instance_id);
        slot.touch();
        self.controller_changed(id, &before, was_ready, "synced", &Value::Null)
    }

    /// Writes the log where a column that is not soft changed, and wakes placement where it takes work again.
    fn controller_changed(
        &mut self,
        id: &str,
        before: &Value,
        was_ready: bool,
        what: &str,
        told: &Value,
    ) -> Result<Done, Error> {
        let slot = self.controllers.get_mut(id).ok_or_else(|| missing(id))?;
        let ready = slot.row.ready();
        if slot.row.admitted {
            self.outcome.health.push((id.to_owned(), slot.row.platform.clone(), ready)); // strangers get no series
        }
        self.outcome.placement |= ready && !was_ready;
        let after = hard(&slot.row);
        let new = slot.state == State::New;
        if !new && after == *before {
            return Ok(Done::Controller(Box::new(slot.row.clone())));
        }
        slot.row.entity_seq += 1;
        let (entity_seq, row) = (slot.row.entity_seq, slot.row.clone());
        let subject = format!("streamspace.decision.{what}");
        let entity = controller::Model::entity(id);
        let mut log = self.log_row(event::Kind::Decision, Uuid::now_v7(), subject, entity);
        log.payload =
            json!({ "decision": what, "status": row.status, "reason": row.reason, "breaker": row.breaker }).into();
        if let Some(more) = told.as_object() {
            log.payload.change(|told| told.as_object_mut().into_iter().for_each(|told| told.extend(more.clone())));
        }
        log.changes = Some(if new { after } else { differing(before, after) }.into());
        log.entity_seq = entity_seq;
        log.controller_id = Some(id.to_owned());
        self.log.push(log);
        Ok(Done::Controller(Box::new(row)))
    }

    pub(super) async fn flush_controllers(&mut self, tx: &DatabaseTransaction) -> Result<(), DbErr> {
        self.flush_removed(tx).await?;
        let touched = self.controllers.values().filter(|slot| slot.state != State::Clean);
        replace::<controller::Entity>(tx, touched.map(|slot| slot.row.clone()).collect()).await
    }
}

pub(super) fn missing(id: &str) -> Error {
    Error::NotFound { what: "controller", name: id.to_owned() }
}

fn take_over(row: &mut controller::Model, beat: &Heartbeat, now_ms: i64) {
    let now = chrono::DateTime::from_timestamp_millis(now_ms);
    row.version = Some(beat.version.clone());
    row.capabilities = Some(json!(beat.capabilities));
    row.cluster_info = Some(Value::Object(beat.cluster_info.clone()));
    row.last_heartbeat = now;
    row.last_heartbeat_ms = now_ms;
    row.updated_at = now;
    row.protocol = beat.protocol.map_or(1, |protocol| i32::try_from(protocol).unwrap_or(i32::MAX));
    row.instance_id = beat.instance_id;
    row.world_id = beat.world_id;
    row.capacity = beat.capacity.map_or_else(|| json!({}), |capacity| json!(capacity));
    row.labels = Value::Object(beat.labels.clone());
    row.interval_seconds = identity::interval_s(beat.interval_seconds);
    row.sealing_key.clone_from(&beat.sealing_key);
}

pub(super) fn first_row(beat: &Heartbeat, now_ms: i64) -> controller::Model {
    let now = chrono::DateTime::from_timestamp_millis(now_ms);
    controller::Model {
        id: Uuid::now_v7(),
        controller_id: beat.controller_id.clone(),
        platform: beat.platform.clone(),
        display_name: Some(beat.controller_id.clone()),
        status: Some(ControllerHealth::Unknown.as_str().into()),
        version: None,
        capabilities: Some(json!([])),
        cluster_info: Some(json!({})),
        last_heartbeat: now,
        created_at: now,
        updated_at: now,
        protocol: 1,
        instance_id: None,
        world_id: None,
        capacity: json!({}),
        labels: json!({}),
        interval_seconds: identity::DEFAULT_INTERVAL_S,
        sealing_key: None,
        reason: None,
        breaker: machine::breaker::State::Closed.as_str().into(),
        breaker_failures: 0,
        breaker_until_ms: None,
        breaker_since_ms: None,
        breaker_kinds: json!({}),
        breaker_trips: 0,
        breaker_probe: None,
        breaker_held: false,
        breaker_by: None,
        breaker_reason: None,
        breaker_failing: None,
        breaker_ran: None,
        retry_ms: 0,
        revoked: false,
        revoked_by: None,
        revoked_reason: None,
        revoked_ms: None,
        revoked_job: None,
        admitted: true,
        own_subject: false,
        refused_beats: 0,
        refused_ms: None,
        refused_why: None,
        last_heartbeat_ms: now_ms,
        synced_instance: None,
        entity_seq: 0,
        generation: 1,
    }
}

/// What the log tells of an event besides what it led to.
fn told(event: &Event) -> Value {
    match event {
        Event::Failure { command, whose, kind, why } => {
            json!({ "command": command, "kind": kind.as_str(), "error": why, "of": whose })
        }
        Event::Success { command, .. } | Event::Sent { command, .. } | Event::Abandoned(command) => {
            json!({ "command": command })
        }
        Event::Silent => json!({ "kind": machine::breaker::Kind::Unreachable.as_str() }),
        Event::Ordered { by, why, .. } => json!({ "by": by, "note": why }),
        Event::Heartbeat(_) | Event::Tick => Value::Null,
    }
}

/// The columns that are logged: all but the last heartbeat, the resources of the moment, the retries spoken for and the count of
/// heartbeats that were refused.
pub(super) fn hard(row: &controller::Model) -> Value {
    json!({
        "controller_id": row.controller_id, "platform": row.platform, "display_name": row.display_name,
        "status": row.status, "version": row.version, "capabilities": row.capabilities,
        "cluster_info": row.cluster_info, "protocol": row.protocol, "instance_id": row.instance_id,
        "world_id": row.world_id, "labels": row.labels, "interval_seconds": row.interval_seconds,
        "sealing_key": row.sealing_key, "reason": row.reason, "breaker": row.breaker,
        "breaker_failures": row.breaker_failures, "breaker_until_ms": row.breaker_until_ms,
        "breaker_since_ms": row.breaker_since_ms, "breaker_kinds": row.breaker_kinds,
        "breaker_trips": row.breaker_trips, "breaker_probe": row.breaker_probe, "breaker_held": row.breaker_held,
        "breaker_by": row.breaker_by, "breaker_reason": row.breaker_reason,
        "breaker_failing": row.breaker_failing, "breaker_ran": row.breaker_ran,
        "revoked": row.revoked, "revoked_by": row.revoked_by, "revoked_reason": row.revoked_reason,
        "revoked_ms": row.revoked_ms, "revoked_job": row.revoked_job, "synced_instance": row.synced_instance,
        "admitted": row.admitted, "own_subject": row.own_subject,
        "generation": row.generation,
    })
}

fn differing(before: &Value, after: Value) -> Value {
    let Value::Object(after) = after else { return Value::Null };
    Value::Object(after.into_iter().filter(|(name, value)| before.get(name) != Some(value)).collect())
}
