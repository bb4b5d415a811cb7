//! What is wrong, said so that whoever is woken by it knows what to do: what the outbox, the streams, the consumers, the dead
//! letters and the controllers say of the same things, held against each other.
//!
//! A file a check: what is read for it, and, without asking anybody, what that means. A check costs what is wrong and what is
//! on its way, never what exists. What cannot be read, or not in time, is wrong in its own check; the others are still told.

mod again;
mod check;
mod consumers;
mod controllers;
mod database;
mod due;
mod letters;
mod outbox;
mod streams;
mod tasks;
mod worlds;

use std::time::Duration;

use ::streams::topology::{self, Settings};
use sea_orm::{ConnectionTrait, DbErr, QueryResult, Statement, Value};

use crate::parts::Parts;

pub use check::{Check, Finding, SHOWN, Verdict};

/// How long one check may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long something may be on its way before it counts as stuck, in milliseconds.
const GRACE_MS: i64 = 60_000;

/// What was found, a check at a time.
#[derive(Debug, Clone)]
pub struct Report {
    /// In the order of the trip.
    pub checks: Vec<Check>,
}

impl Report {
    /// Whether nothing is wrong; warnings do not count.
    #[must_use]
    pub fn healthy(&self) -> bool {
        self.checks.iter().all(|check| check.verdict() < Verdict::Wrong)
    }
}

/// Why something could not be read.
#[derive(Debug, thiserror::Error)]
enum Unread {
    #[error("the database does not answer: {0}")]
    Database(#[from] DbErr),
    #[error("JetStream does not answer: {0}")]
    Topology(#[from] topology::Error),
    #[error("NATS is away: there is no connection to it now")]
    Away,
    #[error("it took longer than {} s", PATIENCE.as_secs())]
    Slow,
}

/// Whom to ask, and what was promised.
#[derive(Debug)]
pub(crate) struct Doctor {
    parts: Parts,
    settings: Settings,
    outbox_limit: i64,
}

impl Doctor {
    pub(crate) const fn new(parts: Parts, settings: Settings, outbox_limit: i64) -> Self {
        Self { parts, settings, outbox_limit }
    }

    async fn examine(&self) -> Report {
        let checks = tokio::join!(
            checked(database::NAME, database::check(self)),
            checked(outbox::NAME, outbox::check(self)),
            checked(streams::NAME, streams::check(self)),
            checked(consumers::NAME, consumers::check(self)),
            checked(letters::NAME, letters::check(self)),
            checked(controllers::NAME, controllers::check(self)),
            checked(worlds::NAME, worlds::check(self)),
            checked(due::NAME, due::check(self)),
            checked(tasks::NAME, tasks::check(self)),
            checked(again::NAME, again::check(self)),
        );
        let (database, outbox, streams, consumers, letters, controllers, worlds, due, tasks, again) = checks;
        let checks = vec![database, outbox, streams, consumers, letters, controllers, worlds, due, tasks, again];
        Report { checks }
    }

    async fn now_ms(&self) -> Result<i64, DbErr> {
        self.parts.clock.now_ms(&self.parts.database.reader).await
    }

    /// JetStream, where there is a connection.
    fn jetstream(&self) -> Result<&async_nats::jetstream::Context, Unread> {
        let connected = self.parts.link.state.borrow().connected;
        connected.then_some(&self.parts.link.jetstream).ok_or(Unread::Away)
    }

    async fn rows(&self, sql: &str, values: impl IntoIterator<Item = Value>) -> Result<Vec<QueryResult>, DbErr> {
        let db = &self.parts.database.reader;
        db.query_all_raw(Statement::from_sql_and_values(self.parts.database.backend, sql, values)).await
    }
}

/// A check within its time; what could not be read is what is wrong.
async fn checked(name: &'static str, check: impl Future<Output = Result<Check, Unread>>) -> Check {
    let read = tokio::time::timeout(PATIENCE, check).await.unwrap_or(Err(Unread::Slow));
    read.unwrap_or_else(|why| {
        let way_out = match why {
            Unread::Database(_) => "see that the database answers and is not overloaded, and ask again",
            Unread::Slow => "see that the database and NATS answer and are not overloaded, and ask again",
            Unread::Away | Unread::Topology(_) => {
                "see that nats-server runs and can be reached from here (NATS_URL); what is accepted meanwhile waits in the outbox"
            }
        };
        let mut check = Check::new(name, "");
        check.wrong(name, format!("this cannot be told now: {why}"), way_out);
        check
    })
}

/// A length of time as people say it.
fn said(ms: i64) -> String {
    let seconds = ms.max(0) / 1000;
    match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7_199 => format!("{} min", seconds / 60),
        7_200..=172_799 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

impl crate::Engine {
    /// Holds what outbox, streams, consumers, dead letters and controllers say against each other.
    pub async fn doctor(&self) -> Report {
        self.doctor.examine().await
    }
}
