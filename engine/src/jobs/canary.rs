//! What became of the items that a job let go first: a command has ended when its row of the log has; a message has ended when its
//! stream does not hold it any more and all that was parked meanwhile is recorded.

use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use streams::topology::{self, SS_DLQ};
use uuid::Uuid;

use super::{Error, Moved, Runner};
use crate::queries;
use crate::store::canary::{Canary, Sent, Try};
use crate::store::{dead_letter, job};
use crate::writer::{self, JobWrite, Judged};

/// The pause between two looks.
const LOOK_MS: i64 = 500;

impl Runner {
    /// Looks at the items that went first; the writer decides what follows.
    pub(super) async fn judge(&self, job: &job::Model, canary: &Canary) -> Result<Moved, Error> {
        let mut tries = canary.tries.clone();
        for one in tries.iter_mut().filter(|one| !one.has_ended()) {
            let (outcome, error) = match &one.sent {
                Sent::Command(id) => self.command(*id).await?,
                Sent::Message { stream, sequence } => self.message(one, stream, *sequence).await?,
            };
            (one.outcome, one.error) = (outcome, error);
        }
        if tries == canary.tries && !tries.iter().all(Try::has_ended) {
            return Ok(Moved::Wait(LOOK_MS));
        }
        let judged = Judged { id: job.job_id, runner: self.me, tries };
        match self.write(JobWrite::Judge(Box::new(judged))).await {
            Ok(row) if row.status == job::HALTED => {
                tracing::warn!(job.id = %row.job_id, reason = row.reason, "a job has halted");
                Ok(Moved::On)
            }
            Ok(_) => Ok(Moved::On),
            Err(writer::Error::Conflict(_)) => Ok(Moved::Wait(1_000)), // cancelled, or another's meanwhile
            Err(error) => Err(error.into()),
        }
    }

    async fn command(&self, id: Uuid) -> Result<(String, Option<String>), Error> {
        let row = queries::command(&self.parts.database.reader, id).await?;
        Ok(match row {
            Some(row) => {
                let status = row.status.unwrap_or_default();
                let error = row.error_message.filter(|_| status == "failed");
                (status, error)
            }
            None => ("completed".into(), None), // it ended so long ago that the log has let it go
        })
    }

    async fn message(&self, one: &Try, stream: &str, sequence: u64) -> Result<(String, Option<String>), Error> {
        let jetstream = &self.parts.link.jetstream;
        if topology::holds(jetstream, stream, sequence).await? || !self.all_recorded().await? {
            return Ok(("sent".into(), None));
        }
        let source = format!("dlq:{stream}:{sequence}:");
        let again = dead_letter::Entity::find()
            .filter(dead_letter::Column::CreatedMs.gte(one.at_ms))
            .filter(dead_letter::Column::Source.starts_with(source));
        Ok(match again.one(&self.parts.database.reader).await? {
            Some(letter) => ("failed".into(), Some(format!("{}: {}", letter.reason, letter.error))),
            None => ("completed".into(), None),
        })
    }

    /// Whether every message of the dead-letter stream is a row.
    async fn all_recorded(&self) -> Result<bool, Error> {
        let consumer = topology::bind_engine_consumer(&self.parts.link.jetstream, SS_DLQ).await?;
        let left = consumer.map(|consumer| {
            let info = consumer.cached_info();
            info.num_pending + info.num_ack_pending as u64
        });
        Ok(left == Some(0))
    }
}
