//! What happens when a controller speaks that nobody has heard of, or a host under an id that is not its own; and when an operator
//! admits, resets or removes a controller.

use machine::Lane;
use machine::admission::{self, Held, Other};
use machine::controller::is_silent;
use machine::identity::{self, Claim, Known};
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseTransaction, DbBackend, DbErr, EntityTrait, PaginatorTrait, QueryFilter,
    QuerySelect,
};
use serde_json::json;
use streams::subject::{self, Report, Sender};
use streams::wire::{ControllerHealth, Heartbeat};
use uuid::Uuid;

use super::Error;
use super::batch::Batch;
use super::controller::{first_row, missing};
use super::work::{Beat, Done, Operate, Operated, Work};
use crate::fold::PRUNED;
use crate::store::{application, cleanup, controller, event, session};

/// The advisory lock of those who write newcomers, so that two engines do not both take theirs for a platform's first one.
const NEWCOMERS: i64 = 0x5353_4e45_5743;

impl From<admission::Refusal> for Error {
    fn from(refusal: admission::Refusal) -> Self {
        Self::Conflict(refusal.to_string())
    }
}

/// Waits until no other engine writes a newcomer; says whether it had to ask.
pub(super) async fn queue_newcomers(tx: &DatabaseTransaction) -> Result<bool, DbErr> {
    if tx.get_database_backend() != DbBackend::Postgres {
        return Ok(false); // there the transaction is alone as it is
    }
    tx.execute_unprepared(&format!("SELECT pg_advisory_xact_lock({NEWCOMERS})")).await?;
    Ok(true)
}

/// Whether work is about controllers that have no row.
pub(super) fn are_new(rows: &[controller::Model], meant: &[String]) -> bool {
    meant.iter().any(|id| !rows.iter().any(|row| row.controller_id == *id))
}

impl Batch<'_> {
    /// Where the logs of those end that have no row: one that was removed goes on where its log ended.
    pub(super) async fn load_newcomers(&mut self, tx: &DatabaseTransaction, meant: &[String]) -> Result<(), DbErr> {
        let new = meant.iter().filter(|id| !self.controllers.contains_key(*id));
        let entities: Vec<String> = new.map(|id| controller::Model::entity(id)).collect();
        if entities.is_empty() {
            return Ok(());
        }
        let ends: Vec<(String, i64)> = event::Entity::find()
            .select_only()
            .column(event::Column::Entity)
            .column_as(event::Column::EntitySeq.max(), "last")
            .filter(event::Column::Entity.is_in(entities))
            .group_by(event::Column::Entity)
            .into_tuple()
            .all(tx)
            .await?;
        self.ended_logs.extend(ends);
        Ok(())
    }

    /// What depends on the controllers that are to be removed.
    pub(super) async fn load_held(&mut self, tx: &DatabaseTransaction, ids: Vec<String>) -> Result<(), DbErr> {
        for id in ids {
            let sessions = session::Entity::find()
                .filter(session::Column::ControllerId.eq(&id))
                .filter(session::Column::Status.ne("deleted").or(session::Column::CommandId.is_not_null()));
            let applications = application::Entity::find()
                .filter(application::Column::ControllerId.eq(&id))
                .filter(application::Column::InstallStatus.ne("uninstalled"));
            let debts = cleanup::Entity::find()
                .filter(cleanup::Column::ControllerId.eq(&id))
                .filter(Expr::cust("status <> 'settled'")); // literally as in the partial index
            let held = Held {
                speaks: false,
                sessions: sessions.count(tx).await?,
                applications: applications.count(tx).await?,
                debts: debts.count(tx).await?,
            };
            self.held.insert(id, held);
        }
        Ok(())
    }

    /// The row of a controller that speaks for the first time.
    pub(super) fn newcomer(&self, beat: &Heartbeat) -> Result<controller::Model, Error> {
        let durable = beat.protocol.is_some_and(|protocol| protocol >= 2);
        let lane = if durable { Lane::Durable } else { Lane::Core };
        let at_once = admission::at_once(self.admission, lane, self.others(&beat.platform, &beat.controller_id).len());
        let waiting = self.controllers.values().filter(|slot| !slot.row.admitted).count();
        admission::room(at_once, waiting)?;
        let mut row = first_row(beat, self.now_ms);
        row.admitted = at_once;
        row.entity_seq = self.ended_logs.get(&controller::Model::entity(&row.controller_id)).copied().unwrap_or(0);
        if !at_once {
            tracing::warn!(controller.id = %row.controller_id, platform = %row.platform,
                "a newcomer waits for an operator to admit it");
        }
        Ok(row)
    }

    /// The admitted controllers of a platform besides this one.
    fn others(&self, platform: &str, id: &str) -> Vec<Other<'_>> {
        let rows = self.controllers.values().map(|slot| &slot.row);
        let others = rows.filter(|row| row.admitted && row.platform == platform && row.controller_id != id);
        others.map(|row| Other { controller_id: &row.controller_id, lane: row.lane() }).collect()
    }

    /// A heartbeat that does not come from the host that its id belongs to is counted on the row, and changes nothing else.
    pub(super) fn refuse_impostor(&mut self, said: &Beat) -> Result<(), Error> {
        let (beat, now_ms) = (&said.heartbeat, self.now_ms);
        let slot = self.controllers.get_mut(&beat.controller_id).ok_or_else(|| missing(&beat.controller_id))?;
        let row = &mut slot.row;
        let heard_ms = Ord::max(row.last_heartbeat_ms, said.listening_since_ms.unwrap_or(now_ms));
        let known = Known {
            platform: &row.platform,
            protocol: row.protocol,
            world_id: row.world_id,
            own_subject: row.own_subject,
            left: row.protocol == 0 || row.facts().left(),
            silent_ms: now_ms - heard_ms,
            interval_s: row.interval_seconds,
        };
        let claim = Claim {
            platform: &beat.platform,
            protocol: beat.protocol.map_or(1, |protocol| i32::try_from(protocol).unwrap_or(i32::MAX)),
            world_id: beat.world_id,
            own_subject: said.own_subject,
        };
        let Err(refusal) = identity::check(&known, &claim) else { return Ok(()) };
        let why = format!("a heartbeat under controller id {} is refused: {refusal}", row.controller_id);
        row.refused_beats = row.refused_beats.saturating_add(1);
        row.refused_ms = Some(now_ms);
        row.refused_why = Some(why.clone());
        slot.touch();
        Err(Error::Conflict(why))
    }

    /// Whether the controller that a report's subject names may speak there. The bare subjects name nobody: there the lane of what
    /// the report is about decides.
    pub(super) fn may_report(&self, subject: &str) -> Result<(), Error> {
        let Some((_, Sender::Durable(platform, id))) = subject::parse_report(subject) else { return Ok(()) };
        let row = &self.controllers.get(id.as_str()).ok_or_else(|| missing(id.as_str()))?.row;
        if row.platform != platform.as_str() {
            let known = &row.platform;
            return Err(Error::Conflict(format!("controller {id} belongs to platform {known}, not to {platform}")));
        }
        if !row.admitted {
            return Err(Error::Conflict(format!("controller {id} {}", row.waits_for_admission())));
        }
        Ok(())
    }

    /// The same for a template: on the bare subject it speaks for its whole platform, where durable controllers speak for themselves.
    pub(super) fn may_register(&self, subject: &str, author: &str) -> Result<(), Error> {
        let platform = author.strip_prefix("platform:");
        let bare = matches!(subject::parse_report(subject), Some((Report::TemplateCreate, Sender::Core)));
        let Some(platform) = platform.filter(|_| bare) else { return self.may_report(subject) };
        let others = self.others(platform, "");
        if others.is_empty() || others.iter().any(|other| other.lane == Lane::Core) {
            return Ok(());
        }
        Err(Error::Conflict(format!(
            "platform {platform} is served by the durable lane, whose controllers have subjects of their own"
        )))
    }

    pub(super) fn operated(&mut self, id: &str, what: Operated, why: &str, by: &str) -> Result<Done, Error> {
        let told = json!({ "by": by, "note": why });
        match what {
            Operated::Admit => {
                let row = self.controller_row(id)?;
                if row.admitted {
                    return Ok(Done::Controller(Box::new(row)));
                }
                admission::admit(row.lane(), &self.others(&row.platform, id))?;
                self.operate(id, "controller_admitted", &told, |row| row.admitted = true)
            }
            Operated::Reset => {
                self.controller_row(id)?;
                self.operate(id, "controller_reset", &told, forget_host)
            }
            Operated::Remove => self.remove(id, why, by),
        }
    }

    /// Takes away a controller that is gone for good. Its log stays, and ends with this.
    fn remove(&mut self, id: &str, why: &str, by: &str) -> Result<Done, Error> {
        let row = self.controller_row(id)?;
        let silent = is_silent(self.now_ms, row.last_heartbeat_ms, 0, i64::from(row.interval_seconds));
        let held = self.held.get(id).copied().unwrap_or_default();
        admission::remove(id, Held { speaks: row.admitted && !silent && !row.facts().left(), ..held })?;
        self.controllers.remove(id);
        let (entity, last) = (controller::Model::entity(id), row.entity_seq + 1);
        let [_, _, subject] = PRUNED;
        let mut log = self.log_row(event::Kind::Decision, Uuid::now_v7(), subject.to_owned(), entity.clone());
        log.payload = json!({ "decision": "controller_removed", "controller_id": id, "platform": row.platform,
            "by": by, "note": why })
        .into();
        log.entity_seq = last;
        log.controller_id = Some(id.to_owned());
        self.log.push(log);
        self.ended_logs.insert(entity, last);
        self.outcome.health.push((id.to_owned(), row.platform.clone(), false));
        self.removed.push(id.to_owned());
        Ok(Done::Controller(Box::new(row)))
    }

    pub(super) async fn flush_removed(&mut self, tx: &DatabaseTransaction) -> Result<(), DbErr> {
        let removed = std::mem::take(&mut self.removed);
        if !removed.is_empty() {
            let gone = controller::Entity::delete_many().filter(controller::Column::ControllerId.is_in(removed));
            gone.exec(tx).await?;
        }
        Ok(())
    }
}

/// Whatever host speaks next under the id is taken for its own.
fn forget_host(row: &mut controller::Model) {
    row.protocol = 0;
    row.own_subject = false;
    (row.world_id, row.instance_id, row.synced_instance, row.sealing_key) = (None, None, None, None);
    row.status = Some(ControllerHealth::Unknown.as_str().into());
    row.reason = Some("was reset by an operator, and has not spoken since".into());
    (row.refused_beats, row.refused_ms, row.refused_why) = (0, None, None);
}

/// The controllers whose dependants a piece of work must know.
pub(super) fn removes(work: &Work) -> Option<&str> {
    match work {
        Work::Operate(Operate { controller_id, what: Operated::Remove, .. }) => Some(controller_id),
        _ => None,
    }
}
