//! The statements that write a noun's rows, which follow from its columns.

use std::sync::OnceLock;

use sea_orm::sea_query::OnConflict;
use sea_orm::{ColumnTrait, DatabaseTransaction, DbErr, IdenStatic as _, InsertMany};
use sea_orm::{IntoActiveModel, Iterable, QueryFilter as _, QueryOrder as _, QuerySelect as _};

use super::Noun;
use crate::store::bulk;

/// The table of a noun.
fn table<N: Noun>() -> &'static str {
    N::default().table_name()
}

/// The columns that the usual update of a row sets, the key first: all but the fixed ones.
fn changed<N: Noun>() -> Vec<N::Column> {
    let fixed = |column: &N::Column| N::FIXED.iter().chain([&N::KEY]).any(|one| one.as_str() == column.as_str());
    [N::KEY].into_iter().chain(N::Column::iter().filter(|column| !fixed(column))).collect()
}

/// The insert of many rows of a noun, prepared once.
#[derive(Debug)]
pub(crate) struct Insert(OnceLock<bulk::Insert>);

impl Insert {
    pub(crate) const fn new() -> Self {
        Self(OnceLock::new())
    }

    pub(crate) fn statement<N: Noun>(&self) -> &bulk::Insert {
        self.0.get_or_init(|| bulk::Insert::of::<N>(table::<N>(), &[]))
    }

    pub(crate) async fn run<N: Noun>(&self, tx: &DatabaseTransaction, rows: Vec<N::Model>) -> Result<(), DbErr> {
        let rows = rows.into_iter().map(bulk::all_values::<N, N::ActiveModel>).collect();
        self.statement::<N>().run(tx, rows).await.map(drop)
    }
}

/// The update of many rows of a noun, prepared once.
#[derive(Debug)]
pub(crate) struct Update<C>(OnceLock<(Vec<C>, bulk::Update)>);

impl<C: ColumnTrait> Update<C> {
    pub(crate) const fn new() -> Self {
        Self(OnceLock::new())
    }

    pub(crate) fn statement<N: Noun<Column = C>>(&self) -> &(Vec<C>, bulk::Update) {
        self.0.get_or_init(|| {
            let columns = changed::<N>();
            let set = columns.iter().skip(1).map(|column| column.as_str());
            let update = bulk::Update::new(table::<N>(), N::KEY.as_str(), set);
            (columns, update)
        })
    }

    pub(crate) async fn run<N: Noun<Column = C>>(
        &self,
        tx: &DatabaseTransaction,
        rows: Vec<N::Model>,
    ) -> Result<(), DbErr> {
        let (columns, update) = self.statement::<N>();
        let values = |row| bulk::values::<N, N::ActiveModel>(row, columns.iter().copied());
        update.run(tx, rows.into_iter().map(values).collect()).await.map(drop)
    }
}

/// Reads and locks the rows with these keys, in their order.
pub(crate) async fn locked<N: Noun>(tx: &DatabaseTransaction, keys: Vec<N::Key>) -> Result<Vec<N::Model>, DbErr> {
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    N::find().filter(N::KEY.is_in(keys)).order_by_asc(N::KEY).lock_exclusive().all(tx).await
}

/// Writes whole rows, new ones and those that are there, for nouns of which few change at once.
pub(crate) async fn replace<N: Noun>(tx: &DatabaseTransaction, rows: Vec<N::Model>) -> Result<(), DbErr> {
    if rows.is_empty() {
        return Ok(());
    }
    replacement::<N>(rows).exec_without_returning(tx).await.map(drop)
}

fn replacement<N: Noun>(rows: Vec<N::Model>) -> InsertMany<N::ActiveModel> {
    let columns = changed::<N>().into_iter().skip(1);
    let replace = OnConflict::column(N::KEY).update_columns(columns).to_owned();
    N::insert_many(rows.into_iter().map(IntoActiveModel::into_active_model)).on_conflict(replace)
}

#[cfg(test)]
mod tests {
    use sea_orm::{DbBackend, QueryTrait as _};

    use super::*;
    use crate::entities::{application, cleanup, controller, job, session, template};
    use crate::writer;

    fn replacing<N: Noun<Model: Default>>(backend: DbBackend) -> String {
        replacement::<N>(vec![N::Model::default()]).build(backend).sql
    }

    /// A statement that changes is a change of every engine's load, and one without a column loses what belongs there.
    #[test]
    fn every_table_is_written_by_the_statements_of_the_snapshot() {
        let mut all = String::new();
        for backend in [DbBackend::Sqlite, DbBackend::Postgres] {
            let mut add = |what: &str, sql: String| all.push_str(&format!("-- {backend:?}: {what}\n{sql};\n\n"));
            add("insert sessions", session::INSERT.statement::<session::Entity>().text(backend, 2));
            add("update sessions", session::UPDATE.statement::<session::Entity>().1.text(backend, 2));
            add("amend sessions", session::AMEND.text(backend, 2));
            add("write installed_applications", replacing::<application::Entity>(backend));
            add("write debts", replacing::<cleanup::Entity>(backend));
            add("write platform_controllers", replacing::<controller::Entity>(backend));
            add("write templates", replacing::<template::Entity>(backend));
            add("write jobs", replacing::<job::Entity>(backend));
            add("settle dead_letters", writer::dead_letter::SETTLED.text(backend, 2));
            add("insert event_log", crate::store::event::INSERT.text(backend, 2));
        }
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/entities/statements.sql");
        if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
            std::fs::write(path, &all).expect("writable");
        }
        let snapshot = std::fs::read_to_string(path).expect("the snapshot is there");
        assert_eq!(snapshot, all, "run the test with UPDATE_SNAPSHOTS=1 where the change is meant");
    }
}
