//! What happens when a controller tells all that exists: each session in it is a report, and what is in no part is absent.
//!
//! A part that names its span of ids is settled by itself, so that the parts of one answer may be read by several engines. Parts
//! without are settled together, by an engine that saw them all.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

use futures::future::join_all;
use machine::session::Source;
use sea_orm::{ColumnTrait, DbErr, EntityTrait, QueryFilter, QuerySelect, QueryTrait};
use serde_json::json;
use streams::limits;
use streams::subject::Sender;
use streams::wire::{SessionState, SessionStatus, Span, World};
use streams::worker::{Delivery, Verdict};
use uuid::Uuid;

use crate::parts::Parts;
use crate::projector::report_in;
use crate::queries;
use crate::store::session;
use crate::stuck::TRIES;
use crate::writer::{Error, Hope, NewDeadLetter, Synced};

/// States in which the owner has something of the session. Whatever is under way is no word of a world: it may have been told
/// before the owner began, and what was asked ends with its own answer.
const EXISTING: [&str; 2] = ["running", "hibernated"];

/// What parts without a span tell of, once all are here.
const EVERYTHING: Span = Span { from: Uuid::nil(), until: None };

/// One answer in the making.
#[derive(Debug, Default)]
struct Telling {
    parts: HashSet<u32>,
    sessions: HashSet<Uuid>,
}

/// The answers that are being told, by controller; a newer one replaces an older one.
#[derive(Debug)]
pub(crate) struct Worlds {
    parts: Parts,
    telling: Mutex<HashMap<String, (Uuid, Telling)>>,
}

impl Worlds {
    pub(crate) fn new(parts: Parts) -> Self {
        Self { parts, telling: Mutex::default() }
    }

    /// Takes one part, and what it shows to be absent.
    pub(crate) async fn part(&self, delivery: &Delivery, world: World, sender: &Sender, source: Source) -> Verdict {
        let subject = delivery.subject.as_str();
        match self.is_of_another(&world).await {
            Ok(None) => {}
            Ok(Some(why)) => return Verdict::Park(why),
            Err(_) => return Verdict::Again,
        }
        let reports = world.sessions.iter().map(|status| self.report(subject, status, sender, source));
        if join_all(reports).await.into_iter().any(|written| !written) {
            return Verdict::Again;
        }
        let (span, told) = match world.span {
            Some(span) => (span, world.sessions.iter().map(|status| status.session_id).collect()),
            None => match self.note(&world) {
                Some(told) => (EVERYTHING, told),
                None => return Verdict::Done,
            },
        };
        match self.settle(subject, &world, span, told, sender, source).await {
            Ok(true) => Verdict::Done,
            Ok(false) | Err(_) => Verdict::Again,
        }
    }

    /// Why a world is not that of a controller which may speak, on the host which is in charge of its id: what is absent there says
    /// nothing.
    async fn is_of_another(&self, world: &World) -> Result<Option<String>, DbErr> {
        let row = queries::controller(&self.parts.database.reader, &world.controller_id).await?;
        match &row {
            None => return Ok(Some(format!("unknown: there is no controller {}", world.controller_id))),
            Some(row) if row.platform != world.platform => {
                let (id, known) = (&world.controller_id, &row.platform);
                return Ok(Some(format!(
                    "illegal: controller {id} belongs to platform {known}, not to {}",
                    world.platform
                )));
            }
            Some(row) if !row.admitted => {
                return Ok(Some(format!("illegal: controller {} {}", world.controller_id, row.waits_for_admission())));
            }
            Some(_) => {}
        }
        let Some(told) = world.world_id else { return Ok(None) };
        let charged = row.and_then(|row| row.world_id).filter(|charged| *charged != told);
        Ok(charged
            .map(|charged| format!("illegal: world {charged} is in charge of {}, not {told}", world.controller_id)))
    }

    /// Remembers a part; the sessions of all parts once the answer is complete.
    fn note(&self, world: &World) -> Option<HashSet<Uuid>> {
        let mut all = self.telling.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = all.entry(world.controller_id.clone()).or_insert_with(|| (world.sync_id, Telling::default()));
        if entry.0 != world.sync_id {
            *entry = (world.sync_id, Telling::default());
        }
        entry.1.parts.insert(world.part);
        entry.1.sessions.extend(world.sessions.iter().map(|status| status.session_id));
        let complete = world.last && (0..=world.part).all(|part| entry.1.parts.contains(&part));
        complete.then(|| all.remove(&world.controller_id).map(|(_, telling)| telling.sessions).unwrap_or_default())
    }

    /// Says whether it is dealt with. What is refused or unknown is quarantined; what can never be stored is parked by itself, so that
    /// the rest of the world counts.
    async fn report(&self, subject: &str, status: &SessionStatus, sender: &Sender, source: Source) -> bool {
        let told = serde_json::to_vec(status).unwrap_or_default();
        let (payload, fitting) = match limits::read::<SessionStatus>(&told) {
            Ok(read) => read,
            Err(error) => return self.park(subject, status, "undecodable", &error.to_string()).await,
        };
        let report = report_in(subject, payload, &fitting, sender, source);
        let error = match self.parts.writer.enqueue(report, None).await {
            Ok(_) => return true,
            Err(error) => error,
        };
        let about = || format!("report:{}", status.event_id);
        match (error.hope(), &error) {
            (Hope::Passes, _) => false,
            (Hope::Unknown, _) if self.parts.stuck.failed(&about(), &error) < TRIES => false,
            (Hope::Unknown, _) => {
                self.parts.stuck.done(about);
                self.park(subject, status, "unexplained", &error.to_string()).await
            }
            (Hope::None, Error::Unstorable(_)) => self.park(subject, status, "unstorable", &error.to_string()).await,
            (Hope::None, _) => {
                tracing::warn!(session.id = %status.session_id, %error, "quarantined: a controller has what the log does not know");
                true
            }
        }
    }

    /// Parks what a world says of one session; says whether that was done.
    async fn park(&self, subject: &str, status: &SessionStatus, reason: &str, why: &str) -> bool {
        tracing::warn!(session.id = %status.session_id, reason, why, "parked what a controller says of a session");
        let letter = NewDeadLetter {
            source: format!("world:{}", status.event_id),
            event_id: Some(status.event_id),
            subject: subject.to_owned(),
            reason: reason.to_owned(),
            error: why.to_owned(),
            payload: serde_json::to_vec(status).unwrap_or_default(),
            headers: json!([]),
            attempts: json!([]),
            entity: Some(session::Model::entity(status.session_id)),
            controller_id: status.controller_id.clone(),
            platform: None,
            count: 1,
            copied: false,
            verified: true,
        };
        match self.parts.writer.enqueue(letter, None).await {
            Ok(_) => true,
            Err(error) => error.hope() != Hope::Passes, // its bytes are in the log of this process, and it is told again
        }
    }

    async fn settle(
        &self,
        subject: &str,
        world: &World,
        span: Span,
        told: HashSet<Uuid>,
        sender: &Sender,
        source: Source,
    ) -> Result<bool, DbErr> {
        let owned: Vec<(Uuid, i64)> = session::Entity::find()
            .select_only()
            .column(session::Column::SessionId)
            .column(session::Column::Generation)
            .filter(session::Column::ControllerId.eq(&world.controller_id))
            .filter(session::Column::Status.is_in(EXISTING))
            .filter(session::Column::CommandId.is_null())
            .filter(session::Column::SessionId.gte(span.from))
            .apply_if(span.until, |rows, until| rows.filter(session::Column::SessionId.lt(until)))
            .into_tuple()
            .all(&self.parts.database.reader)
            .await?;
        let absent = owned.into_iter().filter(|(id, _)| !told.contains(id));
        let reports: Vec<SessionStatus> = absent.map(|(id, generation)| absence(world, id, generation)).collect();
        let written = join_all(reports.iter().map(|status| self.report(subject, status, sender, source))).await;
        if written.into_iter().any(|written| !written) {
            return Ok(false);
        }
        if !world.last {
            return Ok(true);
        }
        let synced = Synced { controller_id: world.controller_id.clone(), instance_id: world.instance_id };
        Ok(self.parts.writer.enqueue(synced, None).await.is_ok())
    }
}

/// The owner's own report of absence.
fn absence(world: &World, session_id: Uuid, generation: i64) -> SessionStatus {
    SessionStatus {
        event_id: Uuid::new_v5(&world.sync_id, session_id.as_bytes()),
        timestamp: world.timestamp,
        session_id,
        status: SessionState::Deleted,
        phase: None,
        url: None,
        pod_name: None,
        message: Some("not in its controller's world".into()),
        resource_usage: None,
        connections: None,
        generation: Some(generation),
        causation_id: None,
        attempt: None,
        controller_id: Some(world.controller_id.clone()),
        instance_id: Some(world.instance_id),
        error: None,
    }
}
