//! The next items of a job: what its filter means, after its cursor, and no younger than the job.

use sea_orm::sea_query::Condition;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Select};
use uuid::Uuid;

use super::{Error, Kind, Runner, What};
use crate::queries::{self, LetterFilter, Position, SessionFilter};
use crate::replay;
use crate::store::{dead_letter, job, session};
use crate::writer::{Ask, Failure, Item};

/// The items of one step, and where the job stands after them.
pub(super) struct Page {
    pub(super) items: Vec<Item>,
    pub(super) to: Option<Position>,
}

impl Runner {
    pub(super) async fn page(&self, job: &job::Model, most: u64) -> Result<Page, Error> {
        let kind = Kind::from_name(&job.kind).ok_or(Error::Unknown(job.job_id))?;
        let ask = match kind {
            Kind::Hibernate => Ask::Hibernate,
            Kind::Wake => Ask::Wake,
            Kind::Delete => Ask::Delete { force: job.force },
            Kind::Replay | Kind::Verify => Ask::Again,
            Kind::Move => Ask::Move,
        };
        match kind.what(job.filter.clone()).map_err(|_| Error::Unknown(job.job_id))? {
            What::Sessions(filter) => self.sessions(job, &filter, ask, most).await,
            What::Letters(filter) => self.letters(job, &filter, most).await,
            What::Log(_) => Err(Error::Unknown(job.job_id)), // it has no items: see `scan`
        }
    }

    async fn sessions(&self, job: &job::Model, filter: &SessionFilter, ask: Ask, most: u64) -> Result<Page, Error> {
        use session::Column as C;
        let db = &self.parts.database.reader;
        let select = walk(queries::narrowed(db, filter), job, C::CreatedMs, C::SessionId).limit(most);
        let rows: Vec<Position> =
            select.select_only().column(C::CreatedMs).column(C::SessionId).into_tuple().all(db).await?;
        let items = rows.iter().map(|(_, id)| Item::Session(*id, ask)).collect();
        Ok(Page { items, to: rows.last().copied() })
    }

    async fn letters(&self, job: &job::Model, filter: &LetterFilter, most: u64) -> Result<Page, Error> {
        use dead_letter::Column as C;
        let select = walk(queries::letters(filter), job, C::CreatedMs, C::Id).limit(most);
        let rows = select.all(&self.parts.database.reader).await?;
        let to = rows.last().map(|row| (row.created_ms, row.id));
        let mut items = Vec::with_capacity(rows.len());
        for letter in &rows {
            items.push(self.letter(job, letter).await?);
        }
        Ok(Page { items, to })
    }

    /// Messages go out here, before the step is written; one that goes out twice after a crash has the same id.
    async fn letter(&self, job: &job::Model, letter: &dead_letter::Model) -> Result<Item, Error> {
        let sends = !job.dry_run && letter.status == "open";
        match replay::prepare(&self.parts, sends.then_some(&self.publisher), letter).await {
            Ok(how) => Ok(Item::Letter(letter.id, how)),
            Err(replay::Error::Database(error)) => Err(error.into()),
            Err(replay::Error::Publish(error)) if !self.parts.link.state.borrow().connected => Err(Error::Away(error)),
            Err(error) => {
                let (id, r#type, detail) = (letter.id, error.problem(), error.to_string());
                Ok(Item::Refused(Failure { id, r#type, detail }))
            }
        }
    }
}

/// Oldest first, after the job's cursor, up to its creation.
fn walk<E: EntityTrait>(select: Select<E>, job: &job::Model, created: E::Column, id: E::Column) -> Select<E> {
    let mut select = select.filter(created.lte(job.created_ms));
    if let Some((created_ms, last)) = job.cursor() {
        let same = Condition::all().add(created.eq(created_ms)).add(id.gt::<Uuid>(last));
        select = select.filter(Condition::any().add(created.gt(created_ms)).add(same));
    }
    select.order_by_asc(created).order_by_asc(id)
}
