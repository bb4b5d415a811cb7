//! What happens after an error of which nobody knows how far it reaches: the connections that are open are not used again, nobody is
//! answered before the transaction is known to have ended, and nothing is accepted before a trial row was committed and seen.

use std::time::Duration;

use migrations::fault::Code;
use sea_orm::{ConnectionTrait, DbBackend, DbErr, RuntimeErr, Statement};

use super::group::{Failed, Group};
use super::outcome::Witness;
use crate::durability::{self, Suspended};

/// The first pause between two questions about a transaction; each further one is twice as long.
const FIRST: Duration = Duration::from_millis(5);
/// The longest.
const LONGEST: Duration = Duration::from_millis(500);

/// What PostgreSQL says of a transaction.
#[derive(Debug, PartialEq, Eq)]
enum Status {
    InProgress,
    Committed,
    Aborted,
    /// It is so old, or from another server, that the log must tell.
    Forgotten,
}

impl Group {
    /// The database, not the work, is to blame: nothing is accepted until it is proven that changes are kept.
    pub(super) fn suspend(&self, error: &DbErr) {
        self.database.distrust();
        self.durability.suspend(error);
    }

    /// Waits until the transaction that failed has ended, which on SQLite a new one proves. PostgreSQL ends a transaction whose commit
    /// was never sent, whenever it notices; nothing of it can ever be seen.
    pub(super) async fn ended(&self) {
        if self.database.backend != DbBackend::Sqlite {
            return;
        }
        let mut pause = FIRST;
        while let Err(error) = self.begin_and_end().await {
            if !self.again(&error, &mut pause).await {
                return;
            }
        }
    }

    async fn begin_and_end(&self) -> Result<(), DbErr> {
        self.begin().await.map_err(Failed::into_error)?.rollback().await
    }

    /// The answer to a commit was an error, which may have come after the commit itself. Waits until the transaction has ended, then
    /// asks over another connection whether it was committed.
    ///
    /// # Errors
    /// The error of the commit, where nothing was committed.
    pub(super) async fn settle(
        &self,
        number: Option<&str>,
        witness: Option<Witness>,
        error: DbErr,
    ) -> Result<(), DbErr> {
        self.database.distrust();
        tracing::warn!(%error, "a commit failed; asking what became of it");
        self.ended().await;
        let mut pause = FIRST;
        loop {
            match self.committed(number, witness).await {
                Ok(true) => return Ok(()),
                Ok(false) => return Err(error),
                Err(unknown) if self.again(&unknown, &mut pause).await => {}
                Err(_) => return Err(error),
            }
        }
    }

    /// Whether a transaction that has ended was committed; while that cannot be told, an error.
    async fn committed(&self, number: Option<&str>, witness: Option<Witness>) -> Result<bool, DbErr> {
        let status = match number {
            Some(number) => self.status(number).await?,
            None => Status::Forgotten,
        };
        match (status, witness) {
            (Status::Committed, _) => Ok(true),
            (Status::Forgotten, Some(witness)) => {
                Ok(durability::id_of(&self.database.reader, witness).await?.is_some())
            }
            _ => Ok(false),
        }
    }

    /// What PostgreSQL knows of a transaction that has ended; while it is in progress, an error.
    async fn status(&self, number: &str) -> Result<Status, DbErr> {
        let reader = &self.database.reader;
        let ask = Statement::from_sql_and_values(
            DbBackend::Postgres,
            "SELECT pg_xact_status($1::xid8) AS status",
            [number.into()],
        );
        let row = match reader.query_one_raw(ask).await {
            // a number that this server has not reached: it was restored, or another one took its place
            Err(error) if Code::of(&error) == Some(Code::Postgres("22023".into())) => return Ok(Status::Forgotten),
            row => row?,
        };
        let status: Option<String> = row.map_or(Ok(None), |row| row.try_get("", "status"))?;
        match read(status.as_deref()) {
            Status::InProgress => Err(DbErr::Custom(format!("transaction {number} is still in progress"))),
            status => Ok(status),
        }
    }

    /// Pauses before the same question is asked again; false where the writer is to end before.
    async fn again(&self, error: &DbErr, pause: &mut Duration) -> bool {
        tracing::debug!(%error, "it is not known yet what became of a transaction");
        self.suspend(error);
        let next = LONGEST.min(*pause * 2);
        let pause = std::mem::replace(pause, next);
        tokio::select! {
            () = tokio::time::sleep(pause) => true,
            () = self.cancel.cancelled() => false,
        }
    }

    /// Whether changes are kept; where they were not, it is tried out now, unless that was done just before.
    pub(super) async fn accepts(&self) -> bool {
        if self.durability.suspended().is_none() {
            return true;
        }
        if !self.durability.may_probe() {
            return false;
        }
        let probe = self.probe().await;
        match &probe {
            Ok(()) => self.durability.resume(),
            Err(error) => {
                tracing::debug!(%error, "changes are still not kept");
                self.database.distrust();
            }
        }
        probe.is_ok()
    }

    async fn probe(&self) -> Result<(), DbErr> {
        let tx = self.begin().await.map_err(Failed::into_error)?;
        let written = durability::write_probe(&tx).await?;
        tx.commit().await?;
        let seen = durability::read_probe(&self.database.reader).await?;
        if seen < written { Err(unseen(&Suspended::Unseen { written, seen })) } else { Ok(()) }
    }
}

/// As an error of the database, which it is.
pub(super) fn unseen(suspended: &Suspended) -> DbErr {
    DbErr::Conn(RuntimeErr::Internal(suspended.to_string()))
}

fn read(status: Option<&str>) -> Status {
    match status {
        Some("in progress") => Status::InProgress,
        Some("committed") => Status::Committed,
        Some("aborted") => Status::Aborted,
        _ => Status::Forgotten,
    }
}
