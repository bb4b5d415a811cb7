//! Statements that change many rows at once, on both databases.
//!
//! The rows travel as one JSON parameter, which SQLite unpacks with `json_each` and PostgreSQL with `jsonb_to_recordset`: a
//! batch of any size is one statement with one parameter, prepared once.

use sea_orm::{ConnectionTrait, DbBackend, DbErr, Statement};
use serde_json::Value;

/// A column of a bulk update and how its value is read from JSON.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    name: &'static str,
    kind: Type,
}

#[derive(Debug, Clone, Copy)]
enum Type {
    Text,
    Int,
    Bool,
    Uuid,
    Json,
    Time,
}

macro_rules! constructors {
    ($($(#[$doc:meta])* $name:ident => $kind:ident),*) => {
        $($(#[$doc])*
        #[must_use]
        pub const fn $name(name: &'static str) -> Column {
            Column { name, kind: Type::$kind }
        })*
    };
}
constructors! {
    /// A text column.
    text => Text,
    /// An integer column.
    int => Int,
    /// A boolean column.
    boolean => Bool,
    /// A UUID column, in JSON with dashes.
    uuid => Uuid,
    /// A JSON column.
    json => Json,
    /// A timestamp column, in JSON as RFC 3339 in UTC.
    time => Time
}

impl Column {
    /// The expression that reads this column out of one JSON row.
    fn read(self, backend: DbBackend) -> String {
        let name = self.name;
        if backend == DbBackend::Postgres {
            return format!("v.{name}");
        }
        match self.kind {
            Type::Json => format!("v.value->'{name}'"),
            Type::Uuid => format!("unhex(replace(v.value->>'{name}','-',''))"),
            Type::Text | Type::Int | Type::Bool | Type::Time => format!("v.value->>'{name}'"),
        }
    }

    fn declare(self) -> String {
        let kind = match self.kind {
            Type::Text => "text",
            Type::Int => "bigint",
            Type::Bool => "boolean",
            Type::Uuid => "uuid",
            Type::Json => "jsonb",
            Type::Time => "timestamptz",
        };
        format!("{} {kind}", self.name)
    }
}

/// An update of many rows, each found by `key`, where `guard` (SQL over the table's columns and `v`) holds.
#[derive(Debug)]
pub struct Update<'a> {
    /// The table.
    pub table: &'static str,
    /// What identifies a row.
    pub key: Column,
    /// What is set.
    pub set: &'a [Column],
    /// More columns that only the guard reads.
    pub read: &'a [Column],
    /// A further condition; `{name}` stands for a column of the JSON row.
    pub guard: &'a str,
}

impl Update<'_> {
    /// Runs it for rows given as JSON objects; answers how many rows changed.
    ///
    /// # Errors
    /// What the database says.
    pub async fn run(&self, db: &impl ConnectionTrait, rows: Vec<Value>) -> Result<u64, DbErr> {
        if rows.is_empty() {
            return Ok(0);
        }
        let backend = db.get_database_backend();
        let sql = self.sql(backend);
        let rows = Value::Array(rows);
        let parameter: sea_orm::Value =
            if backend == DbBackend::Postgres { rows.into() } else { rows.to_string().into() };
        Ok(db.execute_raw(Statement::from_sql_and_values(backend, sql, [parameter])).await?.rows_affected())
    }

    fn sql(&self, backend: DbBackend) -> String {
        let table = self.table;
        let sets: Vec<String> = self.set.iter().map(|c| format!("{} = {}", c.name, c.read(backend))).collect();
        let mut guard = self.guard.to_owned();
        for column in self.set.iter().chain(self.read).chain([&self.key]) {
            guard = guard.replace(&format!("{{{}}}", column.name), &column.read(backend));
        }
        let from = if backend == DbBackend::Postgres {
            let all = self.set.iter().chain(self.read).chain([&self.key]);
            let columns: Vec<String> = all.map(|c| c.declare()).collect();
            format!("jsonb_to_recordset($1) AS v({})", columns.join(", "))
        } else {
            "json_each(?1) AS v".to_owned()
        };
        let key = format!("{table}.{} = {}", self.key.name, self.key.read(backend));
        format!("UPDATE {table} SET {} FROM {from} WHERE {key} AND ({guard})", sets.join(", "))
    }
}
