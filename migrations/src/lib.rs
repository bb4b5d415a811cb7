//! The schema of StreamSpace, one file per step, for SQLite and PostgreSQL alike, and opening either.
//!
//! - [`connect`] opens a database and explains failures;
//! - [`fault`] says how far an error reaches, and what must not be used after it;
//! - [`schema`] migrates, reverts and reports steps;
//! - the `m…` files are the steps, in order. A released step is never edited: a change is a new step.

mod class;
pub mod connect;
mod error;
pub mod fault;
mod installation;
mod m20260101_000001_controllers;
mod m20260101_000002_templates;
mod m20260101_000003_sessions;
mod m20260101_000004_event_log;
mod m20260101_000005_dead_letters;
mod m20260101_000006_idempotency;
mod m20260101_000007_streams;
mod m20260101_000008_applications;
mod m20260102_000001_applications;
mod m20260102_000002_feed;
mod m20260102_000003_jobs;
mod m20260102_000004_letter;
mod m20260102_000005_idle;
mod m20260102_000006_turns;
mod m20260102_000007_breaker;
mod m20260102_000008_revocation;
mod m20260102_000009_letters;
mod m20260102_000011_verify;
mod m20260102_000012_retention;
mod m20260102_000013_placement;
mod m20260102_000014_platform_status;
mod m20260102_000015_records;
mod m20260102_000016_living;
mod m20260103_000001_lists;
mod m20261130_000015_unfinished;
mod m20261130_000021_admission;
mod m20261130_000022_parked;
mod m20261130_000050_room;
mod m20261130_000051_breaker;
mod m20261130_000061_repeats;
mod m20261201_000031_platforms;
mod restored;
pub mod schema;
#[cfg(feature = "testing")]
pub mod testing;
mod trust;

pub use class::{Class, class};
pub use error::Error;
pub use installation::installation;
pub use schema::{Applied, Step, down, migrate, status};

/// The steps of the schema, in order.
fn steps() -> Vec<Box<dyn sea_orm_migration::MigrationTrait>> {
    vec![
        Box::new(m20260101_000001_controllers::Migration),
        Box::new(m20260101_000002_templates::Migration),
        Box::new(m20260101_000003_sessions::Migration),
        Box::new(m20260101_000004_event_log::Migration),
        Box::new(m20260101_000005_dead_letters::Migration),
        Box::new(m20260101_000006_idempotency::Migration),
        Box::new(m20260101_000007_streams::Migration),
        Box::new(m20260101_000008_applications::Migration),
        Box::new(m20260102_000001_applications::Migration),
        Box::new(m20260102_000002_feed::Migration),
        Box::new(m20260102_000003_jobs::Migration),
        Box::new(m20260102_000004_letter::Migration),
        Box::new(m20260102_000005_idle::Migration),
        Box::new(m20260102_000006_turns::Migration),
        Box::new(m20260102_000007_breaker::Migration),
        Box::new(m20260102_000008_revocation::Migration),
        Box::new(m20260102_000009_letters::Migration),
        Box::new(m20260102_000011_verify::Migration),
        Box::new(m20260102_000012_retention::Migration),
        Box::new(m20260102_000013_placement::Migration),
        Box::new(m20260102_000014_platform_status::Migration),
        Box::new(m20260102_000015_records::Migration),
        Box::new(m20260102_000016_living::Migration),
        Box::new(m20260103_000001_lists::Migration),
        Box::new(m20261130_000015_unfinished::Migration),
        Box::new(m20261130_000021_admission::Migration),
        Box::new(m20261130_000022_parked::Migration),
        Box::new(m20261130_000050_room::Migration),
        Box::new(m20261130_000051_breaker::Migration),
        Box::new(m20261130_000061_repeats::Migration),
        Box::new(m20261201_000031_platforms::Migration),
    ]
}
