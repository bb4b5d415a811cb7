//! The next items of a job: what its filter means, after its cursor, and no younger than the job.

use sea_orm::sea_query::Condition;
use sea_orm::{ColumnTrait, QueryFilter, QueryOrder, QuerySelect, Select};

use super::{Error, Kind, Runner, What};
use crate::queries::{self, LetterFilter, Position, SessionFilter, sessions};
use crate::replay;
use crate::store::{dead_letter, job};
use crate::writer::{Ask, Failure, Item};

/// The items of one step, and where the job stands after them.
pub(super) struct Page {
    pub(super) items: Vec<Item>,
    pub(super) to: Option<Position>,
    /// Nothing comes after.
    pub(super) last: bool,
}

/// Letters of a step at most; the writer reads each with its bytes.
const LETTERS: u64 = 16;

impl Runner {
    pub(super) async fn page(&self, job: &job::Model, most: u64) -> Result<Page, Error> {
        let kind = Kind::from_name(&job.kind).ok_or(Error::Unknown(job.job_id))?;
        let ask = match kind {
            Kind::Hibernate => Ask::Hibernate,
            Kind::Wake => Ask::Wake,
            Kind::Delete => Ask::Delete { force: job.force },
            Kind::Replay | Kind::Discard | Kind::Verify => Ask::Again,
            Kind::Move => Ask::Move,
        };
        match kind.what(job.filter.clone()).map_err(|_| Error::Unknown(job.job_id))? {
            What::Sessions(filter) => self.sessions(job, &filter, ask, most).await,
            What::Letters(filter) => self.letters(job, kind, &filter, most.min(LETTERS)).await,
            What::Log(_) => Err(Error::Unknown(job.job_id)), // it has no items: see `scan`
        }
    }

    async fn sessions(&self, job: &job::Model, filter: &SessionFilter, ask: Ask, most: u64) -> Result<Page, Error> {
        let db = &self.parts.database.reader;
        let rows = sessions::walked(db, filter, job.cursor(), job.created_ms, most).await?;
        let items = rows.iter().map(|(_, id)| Item::Session(*id, ask)).collect();
        let last = (rows.len() as u64) < most;
        Ok(Page { items, to: rows.last().copied(), last })
    }

    /// Letters may have a megabyte each: they are found without their bytes, and read one at a time by who needs them.
    async fn letters(&self, job: &job::Model, kind: Kind, filter: &LetterFilter, most: u64) -> Result<Page, Error> {
        use dead_letter::Column as C;
        let db = &self.parts.database.reader;
        let select = walk(queries::letters(filter), job).select_only().columns([C::CreatedMs, C::Id]).limit(most);
        let rows: Vec<Position> = select.into_tuple().all(db).await?;
        let mut items = Vec::with_capacity(rows.len());
        for (_, id) in &rows {
            if kind == Kind::Discard {
                items.push(Item::Discard(*id, job.reason.clone().unwrap_or_default()));
            } else if let Some(letter) = queries::dead_letter(db, *id).await? {
                items.push(self.letter(job, &letter).await?);
            }
        }
        let last = (rows.len() as u64) < most;
        Ok(Page { items, to: rows.last().copied(), last })
    }

    /// Messages go out here, before the step is written; one that goes out twice after a crash has the same id.
    async fn letter(&self, job: &job::Model, letter: &dead_letter::Model) -> Result<Item, Error> {
        let sends = !job.dry_run && letter.status == "open";
        match replay::prepare(&self.parts, sends.then_some(&self.publisher), letter).await {
            Ok(how) => Ok(Item::Letter(letter.id, how)),
            Err(replay::Error::Database(error)) => Err(Error::Letter(error)),
            Err(replay::Error::Publish(error)) if !self.parts.link.state.borrow().connected => Err(Error::Away(error)),
            Err(error) => {
                let (id, r#type, detail) = (letter.id, error.problem(), error.to_string());
                Ok(Item::Refused(Failure { id, r#type, detail }))
            }
        }
    }
}

/// Oldest first, after the job's cursor, up to its creation.
fn walk(select: Select<dead_letter::Entity>, job: &job::Model) -> Select<dead_letter::Entity> {
    use dead_letter::Column as C;
    let mut select = select.filter(C::CreatedMs.lte(job.created_ms));
    if let Some((created_ms, last)) = job.cursor() {
        let same = Condition::all().add(C::CreatedMs.eq(created_ms)).add(C::Id.gt(last));
        select = select.filter(Condition::any().add(C::CreatedMs.gt(created_ms)).add(same));
    }
    select.order_by_asc(C::CreatedMs).order_by_asc(C::Id)
}
