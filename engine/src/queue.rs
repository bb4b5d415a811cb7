//! What waits: every open command that no controller has begun, what it waits for, and its place.
//!
//! It is read from the sessions, applications and debts that have an open command, so that it costs what waits and never what exists;
//! nothing is kept for it. The order is that of the turns (`machine::turn`). A place counts those that wait for the same
//! controller, or, while there is none, for the same platform.

use std::collections::HashMap;

use sea_orm::{ConnectionTrait, DbBackend, DbErr, EntityName, FromQueryResult, IdenStatic, Statement, Value};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::entities::Noun as _;
use crate::entities::commanded::{Commanded, each};
use crate::queries;
use crate::store::{controller, session};

/// What the queue is narrowed by.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[allow(missing_docs)] // the fields are those of the API
pub struct QueueFilter {
    pub platform: Option<String>,
    pub controller_id: Option<String>,
    pub user_id: Option<String>,
}

/// What an open command waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WaitsFor {
    /// A controller that can take it.
    Place,
    /// Room on its controller, where its files are.
    Room,
    /// Its controller, which takes no work now.
    Controller,
    /// The time of its next attempt.
    Retry,
    /// Its turn to be handed to NATS.
    Turn,
    /// Its controller to begin with it.
    Delivery,
}

impl WaitsFor {
    /// The spelling in SQL and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Place => "place",
            Self::Room => "room",
            Self::Controller => "controller",
            Self::Retry => "retry",
            Self::Turn => "turn",
            Self::Delivery => "delivery",
        }
    }

    fn from_name(name: &str) -> Self {
        let all = [Self::Place, Self::Room, Self::Controller, Self::Retry, Self::Turn];
        all.into_iter().find(|one| one.as_str() == name).unwrap_or(Self::Delivery)
    }
}

/// Where a page begins: after the command with this turn and this id in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place(i64, i64);

/// One command that waits.
#[derive(Debug, Clone, FromQueryResult)]
#[allow(missing_docs)] // the fields are those of the API
pub struct Waiting {
    /// `session`, `application` or `debt`.
    pub kind: String,
    pub id: Uuid,
    pub user_id: String,
    pub platform: String,
    pub controller_id: Option<String>,
    pub command_id: Uuid,
    pub verb: Option<String>,
    pub attempt: i32,
    pub next_attempt_ms: Option<i64>,
    /// When its command was accepted.
    pub since_ms: i64,
    pub reason: Option<String>,
    stage: String,
    turn: i64,
    seq: i64,
    /// From 1, among those that wait for the same controller or platform.
    pub place: i64,
}

impl Waiting {
    /// What it waits for.
    #[must_use]
    pub fn waits_for(&self) -> WaitsFor {
        WaitsFor::from_name(&self.stage)
    }

    /// Where the page after it begins.
    #[must_use]
    pub const fn position(&self) -> Place {
        Place(self.turn, self.seq)
    }

    fn explain(&mut self, hosts: &HashMap<String, Option<String>>) {
        let host = self.controller_id.as_ref().and_then(|id| hosts.get(id)).cloned().flatten();
        let own = self.reason.take();
        if self.waits_for() == WaitsFor::Room && host.is_some() {
            self.stage = WaitsFor::Controller.as_str().to_owned(); // before it has room, it has to take work at all
        }
        self.reason = match (self.waits_for(), own, host) {
            (WaitsFor::Controller, Some(own), Some(host)) => Some(format!("{own}: {host}")),
            (WaitsFor::Turn, ..) => Some("its turn to be handed to NATS has not come".into()),
            (WaitsFor::Delivery, ..) => Some("it is with NATS, and its controller has not begun".into()),
            (_, own, _) => own,
        };
    }
}

/// How much waits for one thing.
#[derive(Debug, Clone, PartialEq, Eq, FromQueryResult)]
#[allow(missing_docs)] // as above
pub struct Sum {
    pub platform: String,
    pub controller_id: Option<String>,
    stage: String,
    pub count: i64,
    /// When the one that waits longest was accepted.
    pub oldest_ms: i64,
}

impl Sum {
    /// What they wait for.
    #[must_use]
    pub fn waits_for(&self) -> WaitsFor {
        WaitsFor::from_name(&self.stage)
    }
}

/// A page of what waits, in the order of turns.
///
/// # Errors
/// What the database says.
pub async fn list(
    db: &impl ConnectionTrait,
    filter: &QueueFilter,
    after: Option<Place>,
    limit: u64,
) -> Result<Vec<Waiting>, DbErr> {
    let mut rows = Waiting::find_by_statement(page(db.get_database_backend(), filter, after, limit)).all(db).await?;
    if rows.iter().any(|row| matches!(row.waits_for(), WaitsFor::Controller | WaitsFor::Room)) {
        let reason = |row: controller::Model| (row.controller_id.clone(), row.candidate("sessions", 0).reason);
        let hosts = queries::controllers(db).await?.into_iter().map(reason).collect();
        rows.iter_mut().for_each(|row| row.explain(&hosts));
    } else {
        rows.iter_mut().for_each(|row| row.explain(&HashMap::new()));
    }
    Ok(rows)
}

/// How much waits, by platform, controller and what for.
///
/// # Errors
/// What the database says.
pub async fn sums(db: &impl ConnectionTrait) -> Result<Vec<Sum>, DbErr> {
    let waiting = waiting(db.get_database_backend(), "");
    let sql = format!(
        "SELECT platform, controller_id, stage, count(*) AS count, min(since_ms) AS oldest_ms FROM ({waiting}) AS w \
         GROUP BY platform, controller_id, stage ORDER BY platform, controller_id, stage"
    );
    Sum::find_by_statement(Statement::from_string(db.get_database_backend(), sql)).all(db).await
}

/// The statement of a page; for tests of the indexes that it takes.
#[must_use]
pub fn page(backend: DbBackend, filter: &QueueFilter, after: Option<Place>, limit: u64) -> Statement {
    let mut values: Vec<Value> = Vec::new();
    let mut given = |value: Value| {
        values.push(value);
        format!("${}", values.len())
    };
    let mut narrowed = String::new();
    for (column, value) in [("platform", &filter.platform), ("controller_id", &filter.controller_id)] {
        if let Some(value) = value {
            narrowed.push_str(&format!(" AND c.{column} = {}", given(value.clone().into())));
        }
    }
    let mut beyond = String::from("WHERE TRUE");
    if let Some(user) = &filter.user_id {
        beyond.push_str(&format!(" AND user_id = {}", given(user.clone().into())));
    }
    if let Some(Place(turn, seq)) = after {
        beyond.push_str(&format!(" AND (turn, seq) > ({}, {})", given(turn.into()), given(seq.into())));
    }
    let limit = given(i64::try_from(limit).unwrap_or(i64::MAX).into());
    let sql = format!(
        "SELECT * FROM (SELECT w.*, row_number() OVER (PARTITION BY platform, coalesce(controller_id, '') \
         ORDER BY turn, seq) AS place FROM ({}) AS w) AS ranked {beyond} ORDER BY turn, seq LIMIT {limit}",
        waiting(backend, &narrowed)
    );
    Statement::from_sql_and_values(backend, sql, values)
}

/// Everything that waits. The condition on `command_id` is literally that of the partial index, which SQLite has to be told of.
fn waiting(backend: DbBackend, narrowed: &str) -> String {
    let of = |table: &str, kind: &str, id: &str, user: &str, awaits_room: &str| {
        let hinted = kind == session::Entity::NAME && backend == DbBackend::Sqlite;
        let hint = if hinted { " INDEXED BY idx_sessions_open" } else { "" };
        format!(
            "SELECT '{kind}' AS kind, c.{id} AS id, c.{user} AS user_id, c.platform, c.controller_id, c.command_id, \
             c.command_verb AS verb, c.attempt, c.next_attempt_ms, e.created_ms AS since_ms, c.reason, e.turn, \
             e.id AS seq, CASE WHEN c.controller_id IS NULL THEN 'place' WHEN c.next_attempt_ms IS NOT NULL THEN 'retry' \
             WHEN c.deadline_ms IS NULL AND {awaits_room} THEN 'room' WHEN c.deadline_ms IS NULL THEN 'controller' WHEN e.status = 'pending' THEN 'turn' ELSE 'delivery' END AS stage \
             FROM {table} c{hint} JOIN event_log e ON e.event_id = c.command_id AND e.direction = 'out' \
             WHERE c.command_id IS NOT NULL AND (e.status <> 'processing' OR c.next_attempt_ms IS NOT NULL \
             OR c.deadline_ms IS NULL){narrowed}"
        )
    };
    let tables =
        each!(E => of(E::default().table_name(), E::NAME, E::KEY.as_str(), E::USER_ID.as_str(), E::AWAITS_ROOM));
    tables.join(" UNION ALL ")
}
