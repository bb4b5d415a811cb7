//! Statements that write many rows at once, on both databases.
//!
//! A statement for n rows is one text with n lists of parameters, n being the next power of two: what is missing are rows of nulls,
//! which have no key and so mean nothing. So it has few texts in all, each prepared once by a connection, and up to 128 rows are one
//! trip to the database. (Rows that travel as one JSON parameter cost more than the rest of a transaction: SQLite reads the whole text
//! again for every column that it takes out of it.)

use std::sync::OnceLock;

use sea_orm::sea_query::ColumnType;
use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, DbBackend, DbErr, EntityTrait, IdenStatic, IntoActiveModel,
    Iterable, Statement, Value,
};

/// Ids in one statement, at most.
pub(crate) const MANY: usize = 5_000;
/// Powers of two rows that a statement comes in, up to 128.
const SIZES: usize = 8;

/// The texts of a statement: one for each number of rows and each database, made when first needed.
#[derive(Debug, Default)]
struct Texts([OnceLock<String>; 2 * SIZES]);

impl Texts {
    fn get(&self, backend: DbBackend, size: usize, make: impl FnOnce() -> String) -> &str {
        let first = if backend == DbBackend::Postgres { 0 } else { SIZES };
        self.0[first + size].get_or_init(make)
    }
}

/// An update of many rows, each found by its key.
#[derive(Debug)]
pub struct Update {
    table: &'static str,
    key: &'static str,
    set: Vec<&'static str>,
    /// Those that are set only where something came for them.
    kept: Vec<&'static str>,
    read: Vec<&'static str>,
    guard: &'static str,
    texts: Texts,
}

impl Update {
    /// Sets these columns of the row with this key.
    pub fn new(table: &'static str, key: &'static str, set: impl IntoIterator<Item = &'static str>) -> Self {
        let set = set.into_iter().collect();
        Self { table, key, set, kept: Vec::new(), read: Vec::new(), guard: "true", texts: Texts::default() }
    }

    /// And these, where what comes for them is not null.
    #[must_use]
    pub fn keeping(self, kept: &[&'static str]) -> Self {
        Self { kept: kept.to_vec(), ..self }
    }

    /// The same, only where a condition holds, in SQL over the table's columns and those that came, as `v.<column>`. `read` are
    /// columns that come for its sake alone.
    #[must_use]
    pub fn guarded(self, guard: &'static str, read: &[&'static str]) -> Self {
        Self { guard, read: read.to_vec(), ..self }
    }

    /// Runs it for rows of values in the order key, set, kept, read; answers how many rows changed.
    ///
    /// # Errors
    /// What the database says.
    pub async fn run(&self, db: &impl ConnectionTrait, rows: Vec<Vec<Value>>) -> Result<u64, DbErr> {
        let backend = db.get_database_backend();
        run(db, rows, backend == DbBackend::Sqlite, |size| {
            self.texts.get(backend, size, || self.text(backend, 1 << size))
        })
        .await
    }

    /// Its text for so many rows. The guard is looked at on the rows that their keys find: behind `CASE` it is no way to rows, or
    /// PostgreSQL goes to all that are pending, or all commands, while it believes a table to be small.
    #[must_use]
    pub fn text(&self, backend: DbBackend, rows: usize) -> String {
        let (table, key) = (self.table, self.key);
        let came: Vec<&str> = [&[key], &*self.set, &self.kept, &self.read].concat();
        let kept = self.kept.iter().map(|name| format!("{name} = coalesce(v.{name}, {table}.{name})"));
        let sets: Vec<String> = self.set.iter().map(|name| format!("{name} = v.{name}")).chain(kept).collect();
        format!(
            "WITH v({}) AS (VALUES {}) UPDATE {table} SET {} FROM v WHERE {table}.{key} = v.{key} \
             AND CASE WHEN {} THEN true ELSE false END",
            came.join(", "),
            lists(rows, came.len(), |n| if backend == DbBackend::Postgres { format!("${n}") } else { "?".to_owned() }),
            sets.join(", "),
            self.guard
        )
    }
}

/// An insert of many rows.
#[derive(Debug)]
pub struct Insert {
    table: &'static str,
    columns: Vec<&'static str>,
    /// Those of them that hold JSON.
    json: Vec<bool>,
    texts: Texts,
}

impl Insert {
    /// All columns of an entity but those that the database fills. The first of them is never null.
    #[must_use]
    pub fn of<E: EntityTrait>(table: &'static str, filled: &[&str]) -> Self {
        let columns: Vec<E::Column> = E::Column::iter().filter(|column| !filled.contains(&column.as_str())).collect();
        let json =
            |column: &E::Column| matches!(column.def().get_column_type(), ColumnType::Json | ColumnType::JsonBinary);
        let (json, columns) = (columns.iter().map(json).collect(), columns.iter().map(IdenStatic::as_str).collect());
        Self { table, columns, json, texts: Texts::default() }
    }

    /// The columns, in the order of a row's values.
    #[must_use]
    pub fn columns(&self) -> &[&'static str] {
        &self.columns
    }

    /// Runs it for rows of values in the order of the columns.
    ///
    /// # Errors
    /// What the database says.
    pub async fn run(&self, db: &impl ConnectionTrait, rows: Vec<Vec<Value>>) -> Result<u64, DbErr> {
        let backend = db.get_database_backend();
        run(db, rows, true, |size| self.texts.get(backend, size, || self.text(backend, 1 << size))).await
    }

    /// JSON travels as text, which the ORM copies at once, and PostgreSQL is told what it is.
    pub(crate) fn text(&self, backend: DbBackend, rows: usize) -> String {
        let place = |n: usize| match (backend, self.json[(n - 1) % self.columns.len()]) {
            (DbBackend::Postgres, true) => format!("CAST(${n} AS jsonb)"),
            (DbBackend::Postgres, false) => format!("${n}"),
            _ => "?".to_owned(),
        };
        let (table, columns) = (self.table, self.columns.join(", "));
        let (lists, key) = (lists(rows, self.columns.len(), place), self.columns.first().copied().unwrap_or_default());
        format!(
            "WITH v({columns}) AS (VALUES {lists}) INSERT INTO {table} ({columns}) SELECT * FROM v WHERE {key} IS NOT NULL"
        )
    }
}

/// The values of a row, in the order of the columns.
pub fn values<E, A>(row: E::Model, columns: impl IntoIterator<Item = E::Column>) -> Vec<Value>
where
    E: EntityTrait,
    A: ActiveModelTrait<Entity = E>,
    E::Model: IntoActiveModel<A>,
{
    let mut row = row.into_active_model();
    let value = |column| row.take(column).into_value().unwrap_or(Value::String(None));
    columns.into_iter().map(value).collect()
}

/// The values of all columns of a row, as [`Insert::of`] the entity wants them where the database fills none.
pub fn all_values<E, A>(row: E::Model) -> Vec<Value>
where
    E: EntityTrait,
    A: ActiveModelTrait<Entity = E>,
    E::Model: IntoActiveModel<A>,
{
    values::<E, A>(row, E::Column::iter())
}

/// The same values, the last of them repeated up to a power of two, so that a list of any length is one of few statements.
pub(crate) fn padded<V: Clone>(mut values: Vec<V>) -> Vec<V> {
    if let Some(last) = values.last().cloned() {
        values.resize(values.len().next_power_of_two(), last);
    }
    values
}

/// `as_text`: JSON travels as text.
async fn run<'a>(
    db: &impl ConnectionTrait,
    rows: Vec<Vec<Value>>,
    as_text: bool,
    text: impl Fn(usize) -> &'a str,
) -> Result<u64, DbErr> {
    let (backend, mut changed) = (db.get_database_backend(), 0);
    let mut rows = rows.into_iter();
    while rows.len() > 0 {
        let size = (rows.len().next_power_of_two().ilog2() as usize).min(SIZES - 1);
        let values = filled(rows.by_ref().take(1 << size), as_text, 1 << size);
        let statement = Statement::from_sql_and_values(backend, text(size), values);
        changed += db.execute_raw(statement).await?.rows_affected();
    }
    Ok(changed)
}

/// The values of these rows, and nulls of the same types for those that are missing.
fn filled(rows: impl Iterator<Item = Vec<Value>>, as_text: bool, wanted: usize) -> Vec<Value> {
    let (mut values, mut width) = (Vec::new(), 0);
    for row in rows {
        if values.is_empty() {
            width = row.len();
            values.reserve_exact(width * wanted);
        }
        values.extend(row.into_iter().map(|value| if as_text { flat(value) } else { value }));
    }
    let nothing: Vec<Value> = values.iter().take(width).map(Value::as_null).collect();
    let missing = width * wanted - values.len();
    values.extend(nothing.into_iter().cycle().take(missing));
    values
}

/// JSON as text, which SQLite stores anyway: the ORM copies the values of a statement, and a text is copied at once.
fn flat(value: Value) -> Value {
    match value {
        Value::Json(json) => Value::String(json.and_then(|json| serde_json::to_string(&json).ok())),
        other => other,
    }
}

/// `(?, ?), (?, ?)`; `place` spells the nth parameter, counted from 1.
fn lists(rows: usize, columns: usize, place: impl Fn(usize) -> String) -> String {
    let list = |row: usize| {
        let places: Vec<String> = (1..=columns).map(|column| place(row * columns + column)).collect();
        format!("({})", places.join(", "))
    };
    (0..rows).map(list).collect::<Vec<_>>().join(", ")
}
