//! What happens when old rows of the log go: the last of them becomes the snapshot that stands for all of them, unless the record
//! went, too, and nothing is left to stand for.
//!
//! The row keeps its id, its place and its time, so that the log stays in the order of time, and nothing new is told to
//! watchers; where they can no longer go on from is written down with it.

use sea_orm::sea_query::Expr;
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseTransaction, DbErr, EntityTrait, PaginatorTrait, QueryFilter, Statement,
};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::batch::Batch;
use crate::feed;
use crate::fold::SNAPSHOT;
use crate::retention::MARK;
use crate::store::bulk::MANY;
use crate::store::event::{self, Column as C};

/// What goes of one log.
#[derive(Debug, Clone)]
pub struct Cut {
    /// Whose log.
    pub entity: String,
    /// Its first rows, of which the last becomes the snapshot.
    pub ids: Vec<i64>,
    /// What they add up to; `None`: the last of them goes as well.
    pub facts: Option<Map<String, Value>>,
}

/// One step through the log.
#[derive(Debug, Clone)]
pub struct Prune {
    /// Up to where it was looked through when this was decided.
    pub from: i64,
    /// And up to where then.
    pub to: i64,
    /// What goes.
    pub cuts: Vec<Cut>,
}

impl Batch<'_> {
    pub(super) async fn flush_prunes(&mut self, tx: &DatabaseTransaction) -> Result<(), DbErr> {
        for prune in std::mem::take(&mut self.prunes) {
            prune.run(tx).await?;
        }
        Ok(())
    }
}

impl Prune {
    /// Does nothing where another engine took the step, or where anything is not as it was when it was decided.
    async fn run(&self, tx: &DatabaseTransaction) -> Result<(), DbErr> {
        let ids: Vec<i64> = self.cuts.iter().flat_map(|cut| cut.ids.iter().copied()).collect();
        for ids in ids.chunks(MANY) {
            let ended = event::Entity::find().filter(C::Id.is_in(ids.to_vec()));
            let ended = ended.filter(C::Status.is_in(["completed", "failed"])).count(tx).await?;
            if ended != ids.len() as u64 {
                tracing::debug!("rows that were to go have gone or changed; this step is left to the next look");
                return Ok(());
            }
        }
        if !self.take(tx).await? {
            return Ok(());
        }
        let horizon = feed::last_of(tx, self.cuts.iter().filter_map(|cut| cut.ids.last().copied())).await?;
        let gone: Vec<i64> = self.cuts.iter().flat_map(Cut::goes).copied().collect();
        for ids in gone.chunks(MANY) {
            event::Entity::delete_many().filter(C::Id.is_in(ids.to_vec())).exec(tx).await?;
        }
        for cut in &self.cuts {
            cut.leave_snapshot(tx).await?;
        }
        feed::raise_horizon(tx, horizon).await
    }

    /// Moves the mark, if it still stands where this step began.
    async fn take(&self, tx: &DatabaseTransaction) -> Result<bool, DbErr> {
        let backend = tx.get_database_backend();
        let begin = format!("INSERT INTO meta (key, value) VALUES ('{MARK}', '0') ON CONFLICT (key) DO NOTHING");
        tx.execute_raw(Statement::from_string(backend, begin)).await?;
        let step = format!("UPDATE meta SET value = '{}' WHERE key = '{MARK}' AND value = '{}'", self.to, self.from);
        Ok(tx.execute_raw(Statement::from_string(backend, step)).await?.rows_affected() == 1)
    }
}

impl Cut {
    /// The rows that are deleted.
    fn goes(&self) -> &[i64] {
        match &self.facts {
            Some(_) => self.ids.split_last().map_or(&[], |(_, first)| first),
            None => &self.ids,
        }
    }

    async fn leave_snapshot(&self, tx: &DatabaseTransaction) -> Result<(), DbErr> {
        let Some(facts) = &self.facts else { return Ok(()) };
        let payload = json!({ "decision": SNAPSHOT, "entity": self.entity, "rows": self.ids.len() });
        let row = event::Entity::update_many().filter(C::Id.is_in(self.ids.last().copied()));
        row.col_expr(C::EventId, Expr::value(Uuid::now_v7()))
            .col_expr(C::Subject, Expr::value(SNAPSHOT))
            .col_expr(C::Kind, Expr::value(event::Kind::Decision.as_str()))
            .col_expr(C::Direction, Expr::value(event::Kind::Decision.direction()))
            .col_expr(C::Status, Expr::value("completed"))
            .col_expr(C::Payload, Expr::value(payload))
            .col_expr(C::Changes, Expr::value(Value::Object(facts.clone())))
            .col_expr(C::CausationId, Expr::value(None::<Uuid>))
            .col_expr(C::ErrorMessage, Expr::value(None::<String>))
            .col_expr(C::Traceparent, Expr::value(None::<String>))
            .exec(tx)
            .await
            .map(drop)
    }
}
