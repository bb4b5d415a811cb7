//! How much room controllers have, where a decision may start something on them: sessions that hold a place are counted in the
//! deciding transaction, so that engines that start at the same time never exceed what a controller may hold.
//!
//! The count is taken under the lock of the controller's row, from the sessions' own rows, because engines of other versions write
//! them, too. Whatever ends only makes room, and so needs no lock. A controller that is far from full is counted once in a while
//! and not locked: between two such counts no number of engines could fill it.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use machine::room::Room;
use machine::session::{Event, Session};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QuerySelect};
use uuid::Uuid;

use super::Job;
use super::batch::Batch;
use super::work::{Ask, Commanded, Item, JobWrite, Replay, Work};
use crate::store::controller;
use crate::store::session::{self, Column as C};

/// Free places above which a controller is far from full: more than all engines start within [`AGE`].
const FAR: u32 = 65_536;
/// How long the count of a controller that is far from full is taken for what it holds.
const AGE: Duration = Duration::from_secs(1);

/// States in which a session may hold a place.
const HOLDING: [&str; 6] = ["pending", "creating", "running", "hibernating", "waking", "deleting"];
/// Literally what a row of a version that does not know the column says, too.
const HOLDS: &str = "has_room IS NOT FALSE";

/// Places that are taken, by controller; those of the controllers that this was asked of.
///
/// # Errors
/// What the database says.
pub(crate) async fn held(db: &impl ConnectionTrait, controllers: &[String]) -> Result<HashMap<String, u32>, DbErr> {
    sessions(db, controllers, &HOLDING, HOLDS).await
}

/// Sessions that are not deleted, by controller.
async fn living(db: &impl ConnectionTrait, controllers: &[String]) -> Result<HashMap<String, u32>, DbErr> {
    let states: Vec<&str> = crate::queries::sessions::living().collect();
    sessions(db, controllers, &states, "1 = 1").await
}

async fn sessions(
    db: &impl ConnectionTrait,
    controllers: &[String],
    states: &[&str],
    which: &'static str,
) -> Result<HashMap<String, u32>, DbErr> {
    if controllers.is_empty() {
        return Ok(HashMap::new());
    }
    let counted: Vec<(String, i64)> = session::Entity::find()
        .select_only()
        .column(C::ControllerId)
        .column_as(Expr::cust("count(*)"), "held")
        .filter(C::ControllerId.is_in(controllers))
        .filter(C::Status.is_in(states.iter().copied()))
        .filter(Expr::cust(which))
        .group_by(C::ControllerId)
        .into_tuple()
        .all(db)
        .await?;
    let mut held: HashMap<String, u32> = controllers.iter().map(|id| (id.clone(), 0)).collect();
    held.extend(counted.into_iter().map(|(id, count)| (id, u32::try_from(count).unwrap_or(u32::MAX))));
    Ok(held)
}

/// What the writer remembers of controllers that are far from full, from one transaction to the next.
#[derive(Debug, Default)]
pub(super) struct Load(HashMap<String, (u32, Instant)>);

impl Load {
    fn fresh(&self, controller_id: &str) -> Option<u32> {
        self.0.get(controller_id).filter(|(_, at)| at.elapsed() < AGE).map(|(held, _)| *held)
    }

    fn counted(&mut self, held: HashMap<String, u32>) {
        self.0.extend(held.into_iter().map(|(id, held)| (id, (held, Instant::now()))));
    }

    fn moved(&mut self, controller_id: &str, enters: bool) {
        if let Some((held, _)) = self.0.get_mut(controller_id) {
            *held = if enters { held.saturating_add(1) } else { held.saturating_sub(1) };
        }
    }
}

/// What was counted for a transaction, and what it has changed since.
#[derive(Debug, Default)]
pub(super) struct Rooms {
    held: HashMap<String, u32>,
    living: HashMap<String, u32>,
}

/// Where the work of a transaction may start something, and who speaks in it.
#[derive(Debug, Default)]
pub(super) struct Starts {
    platforms: BTreeSet<String>,
    owners: BTreeSet<String>,
    beating: BTreeSet<String>,
}

impl Starts {
    fn concern(&self, row: &controller::Model) -> bool {
        self.platforms.contains(&row.platform) || self.owners.contains(&row.controller_id)
    }
}

impl Batch<'_> {
    /// Where this work may start something; the sessions that it is about are read by now.
    pub(super) fn starts(&self, jobs: &[Job]) -> Starts {
        let mut starts = Starts::default();
        jobs.iter().for_each(|job| self.starts_of(&job.work, &mut starts));
        starts
    }

    fn starts_of(&self, work: &Work, starts: &mut Starts) {
        match work {
            Work::If { then, .. } => self.starts_of(then, starts),
            Work::Create(new) => starts.platforms.extend([new.platform.clone()]),
            Work::Ask(id, ask) => self.asks(*id, *ask, starts),
            Work::Place(id) => self.asks(*id, Ask::Move, starts),
            Work::Happened(id, Event::OwnerReady) => self.asks(*id, Ask::Wake, starts),
            Work::Heartbeat(beat) => starts.beating.extend([beat.heartbeat.controller_id.clone()]),
            Work::Replay(asked) => self.replays(&asked.how, starts),
            Work::TryReplay(asked) => self.replays(&asked.how, starts),
            Work::Job(JobWrite::Step(step)) => step.items.iter().for_each(|item| match item {
                Item::Session(id, ask) => self.asks(*id, *ask, starts),
                Item::Letter(_, how) => self.replays(how, starts),
                Item::Discard(..) | Item::Refused(_) => {}
            }),
            _ => {}
        }
    }

    fn replays(&self, how: &Replay, starts: &mut Starts) {
        if let Replay::Ask { of: Commanded::Session(id), .. } = how {
            self.asks(*id, Ask::Again, starts);
        }
    }

    /// What has an owner starts there; what has none, or leaves it, anywhere on its platform.
    fn asks(&self, id: Uuid, ask: Ask, starts: &mut Starts) {
        let Some(row) = self.sessions.get(&id).map(|slot| &slot.row) else { return };
        match (&row.controller_id, ask) {
            (Some(owner), Ask::Wake | Ask::Again) => starts.owners.extend([owner.clone()]),
            (_, Ask::Wake | Ask::Again | Ask::Move) => starts.platforms.extend([row.platform.clone()]),
            _ => {}
        }
    }

    /// Takes over what is known of controllers that are far from full; the others are to be locked and counted.
    pub(super) async fn estimate(&mut self, db: &impl ConnectionTrait, starts: &Starts) -> Result<Vec<String>, DbErr> {
        let rows = self.controllers.values().map(|slot| &slot.row).filter(|row| starts.concern(row));
        let limits: Vec<(String, Option<u32>)> = rows.map(|row| (row.controller_id.clone(), row.limit())).collect();
        let (far, mut near): (Vec<_>, Vec<_>) =
            limits.into_iter().partition(|(_, max)| max.is_none_or(|max| max >= FAR));
        let stale = far.iter().map(|(id, _)| id).filter(|id| self.load.fresh(id).is_none());
        let counted = held(db, &stale.cloned().collect::<Vec<_>>()).await?;
        self.load.counted(counted);
        for (id, max) in far {
            let held = self.load.fresh(&id).unwrap_or(u32::MAX);
            if max.is_some_and(|max| max.saturating_sub(held) < FAR) {
                near.push((id, max));
            } else {
                self.rooms.held.insert(id, held);
            }
        }
        Ok(near.into_iter().map(|(id, _)| id).collect())
    }

    /// Counts; the rows of these controllers are locked by now, and so nobody else starts anything there.
    pub(super) async fn count(
        &mut self,
        db: &impl ConnectionTrait,
        near: &[String],
        starts: Starts,
    ) -> Result<(), DbErr> {
        self.rooms.held.extend(held(db, near).await?);
        let beating: Vec<String> = starts.beating.into_iter().collect();
        self.rooms.living = living(db, &beating).await?;
        Ok(())
    }

    /// The room of a controller as this transaction sees it; `None` where it was not counted.
    pub(super) fn room(&self, controller_id: &str) -> Option<Room> {
        let row = &self.controllers.get(controller_id)?.row;
        match (self.rooms.held.get(controller_id), row.limit()) {
            (Some(held), max) => Some(Room { held: held.saturating_add(row.foreign()), max }),
            (None, None) => Some(Room::UNBOUNDED),
            (None, Some(_)) => None,
        }
    }

    /// The same as placement asks for it: what was not counted is full.
    pub(super) fn load_of(&self, controller_id: &str) -> u32 {
        self.room(controller_id).map_or(u32::MAX, |room| room.held)
    }

    /// Sessions of a controller that speaks in this transaction.
    pub(super) fn living_on(&self, controller_id: &str) -> u32 {
        self.rooms.living.get(controller_id).copied().unwrap_or(0)
    }

    /// A session came to hold a place, gave one back, or waits for one.
    pub(super) fn keep_count(&mut self, before: Option<&Session>, after: &Session) {
        let place = |session: &Session| session.command.controller_id.clone().filter(|_| session.has_room);
        let (was, is) = (before.and_then(place), place(after));
        if was != is {
            self.outcome.freed |= was.is_some();
            was.into_iter().for_each(|owner| self.moved(&owner, false));
            is.into_iter().for_each(|owner| self.moved(&owner, true));
        }
        if after.awaits_room() {
            self.outcome.awaits_room = true;
            // it was not counted here: placement does
            self.outcome.placement |=
                after.command.controller_id.as_deref().is_some_and(|owner| self.room(owner).is_none());
        }
    }

    fn moved(&mut self, controller_id: &str, enters: bool) {
        if let Some(held) = self.rooms.held.get_mut(controller_id) {
            *held = if enters { held.saturating_add(1) } else { held.saturating_sub(1) };
        }
        self.load.moved(controller_id, enters);
    }
}
