//! Lists of sessions, and the indexes that they are read by.
//!
//! A list is read in parts, each a range of one index in the order of the list, and merged: a page costs what is on it, however many
//! sessions there are and whatever became of them. The parts are what lives and what is deleted, where the list is of everything or
//! of a user, and the single states elsewhere. What nothing of this finds is looked for among what it leaves: one user's sessions in
//! a state, or what has a tag. In the order of users only the list of everything is read so; what is narrowed is sorted.
//!
//! Only keys are merged, which the indexes hold; then the rows of the page are read.

use std::collections::BTreeSet;

use sea_orm::{
    ConnectionTrait, DbBackend, DbErr, EntityTrait, FromQueryResult, IdenStatic, Iterable, Statement, Value,
};
use serde::{Deserialize, Serialize};
use streams::wire::SessionState;
use uuid::Uuid;

use super::{Position, Seek};
use crate::store::session;

/// What a list of sessions is narrowed by.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[allow(missing_docs)] // the fields are those of the API
pub struct SessionFilter {
    pub user_id: Option<String>,
    /// States, or `all`; none of them: all but deleted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub status: Vec<String>,
    pub platform: Option<String>,
    pub controller_id: Option<String>,
    pub template_id: Option<String>,
    pub tag: Option<String>,
    /// Only sessions that were created by this time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until_ms: Option<i64>,
}

/// The order of a list of sessions: by what never changes, so that a page ends where the next begins.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct SessionSort {
    /// By user and then by creation, rather than by creation alone.
    pub by_user: bool,
    /// The least first.
    pub ascending: bool,
}

/// A session's position in a list: its user where they are the order, its creation time and its id.
pub type SessionPosition = (Option<String>, i64, Uuid);

impl SessionSort {
    /// The place of a row in this order.
    #[must_use]
    pub fn position(self, row: &session::Model) -> SessionPosition {
        (self.by_user.then(|| row.user_id.clone()), row.created_ms, row.session_id)
    }

    const fn reversed(self) -> Self {
        Self { ascending: !self.ascending, ..self }
    }

    const fn columns(self) -> &'static [&'static str] {
        if self.by_user { &["user_id", "created_ms", "session_id"] } else { &["created_ms", "session_id"] }
    }

    fn order(self) -> String {
        let direction = if self.ascending { "" } else { " DESC" };
        self.columns().iter().map(|column| format!("{column}{direction}")).collect::<Vec<_>>().join(", ")
    }
}

/// The states of sessions that are not deleted.
pub(crate) fn living() -> impl Iterator<Item = &'static str> {
    SessionState::ALL.into_iter().filter(|state| *state != SessionState::Deleted).map(SessionState::as_str)
}

/// A page of sessions, stable while others are written.
///
/// # Errors
/// What the database says.
pub async fn sessions(
    db: &impl ConnectionTrait,
    filter: &SessionFilter,
    sort: SessionSort,
    seek: Option<Seek<SessionPosition>>,
    limit: u64,
) -> Result<Vec<session::Model>, DbErr> {
    let (backwards, row) = Seek::split(seek);
    let sort = if backwards { sort.reversed() } else { sort };
    let mut list = List::new(db.get_database_backend(), filter, sort);
    if let Some((user_id, created_ms, id)) = row {
        list.begin(user_id.unwrap_or_default(), created_ms, id);
    }
    let (keys, columns) = (list.keys(limit), session::Column::iter().map(|column| column.as_str().to_owned()));
    let sql = format!(
        "SELECT {} FROM sessions WHERE session_id IN (SELECT session_id FROM ({keys}) AS page) ORDER BY {}",
        columns.collect::<Vec<_>>().join(", "),
        sort.order()
    );
    session::Entity::find().from_raw_sql(list.statement(sql)).all(db).await
}

#[derive(FromQueryResult)]
struct Key {
    created_ms: i64,
    session_id: Uuid,
}

/// The next sessions that a job walks, oldest first, none younger than `until_ms`.
pub(crate) async fn walked(
    db: &impl ConnectionTrait,
    filter: &SessionFilter,
    after: Option<Position>,
    until_ms: i64,
    limit: u64,
) -> Result<Vec<Position>, DbErr> {
    let oldest_first = SessionSort { by_user: false, ascending: true };
    let mut list = List::new(db.get_database_backend(), filter, oldest_first);
    list.narrow("created_ms <=", until_ms);
    if let Some((created_ms, id)) = after {
        list.begin(String::new(), created_ms, id);
    }
    let keys = list.keys(limit);
    let keys = Key::find_by_statement(list.statement(keys)).all(db).await?;
    Ok(keys.into_iter().map(|key| (key.created_ms, key.session_id)).collect())
}

/// How many sessions a filter means.
pub(crate) async fn count(db: &impl ConnectionTrait, filter: &SessionFilter) -> Result<i64, DbErr> {
    let list = List::new(db.get_database_backend(), filter, SessionSort::default());
    let sql = format!("SELECT count(*) AS n FROM ({}) AS meant", list.parts().join(" UNION ALL "));
    let row = db.query_one_raw(list.statement(sql)).await?;
    row.map_or(Ok(0), |row| row.try_get("", "n"))
}

/// A range of one index.
struct Part {
    index: &'static str,
    rows: String,
}

/// A statement in the making.
struct List {
    backend: DbBackend,
    sort: SessionSort,
    parts: Vec<Part>,
    /// What holds in all parts.
    narrowed: String,
    values: Vec<Value>,
}

impl List {
    fn new(backend: DbBackend, filter: &SessionFilter, sort: SessionSort) -> Self {
        let mut list = Self { backend, sort, parts: Vec::new(), narrowed: String::new(), values: Vec::new() };
        let equal = [
            ("user_id =", &filter.user_id),
            ("platform =", &filter.platform),
            ("controller_id =", &filter.controller_id),
            ("template_id =", &filter.template_id),
        ];
        for (condition, value) in equal {
            if let Some(value) = value {
                list.narrow(condition, value.clone());
            }
        }
        if let Some(tag) = &filter.tag {
            list.tagged(tag);
        }
        if let Some(until_ms) = filter.until_ms {
            list.narrow("created_ms <=", until_ms);
        }
        list.divide(filter);
        list
    }

    /// The name of a value in the statement. PostgreSQL is not to know it when it plans: what it knows it plans anew for each
    /// request, which takes as long as the answer, and every part is a range of its index whatever the value.
    fn given(&mut self, value: impl Into<Value>) -> String {
        self.values.push(value.into());
        match self.backend {
            DbBackend::Postgres => format!("(SELECT ${})", self.values.len()),
            _ => format!("${}", self.values.len()),
        }
    }

    fn narrow(&mut self, condition: &str, value: impl Into<Value>) {
        let value = self.given(value);
        self.narrowed.push_str(&format!(" AND {condition} {value}"));
    }

    fn tagged(&mut self, tag: &str) {
        if self.backend == DbBackend::Postgres {
            self.narrow("tags <> '[]'::jsonb AND tags @>", serde_json::json!([tag])); // the former as in the partial index
        } else {
            let tag = self.given(tag);
            self.narrowed.push_str(&format!(" AND EXISTS (SELECT 1 FROM json_each(tags) AS t WHERE t.value = {tag})"));
        }
    }

    /// Begins behind a row: a comparison of rows, which both databases answer from the index of the order.
    fn begin(&mut self, user_id: String, created_ms: i64, id: Uuid) {
        let mut after = vec![self.given(created_ms), self.given(id)];
        if self.sort.by_user {
            after.insert(0, self.given(user_id));
        }
        let beyond = if self.sort.ascending { ">" } else { "<" };
        self.narrowed.push_str(&format!(" AND ({}) {beyond} ({})", self.sort.columns().join(", "), after.join(", ")));
    }

    /// Finds the parts of the list.
    fn divide(&mut self, filter: &SessionFilter) {
        let whole = filter.status.is_empty() || filter.status == ["all"];
        let narrowest = [
            (&filter.controller_id, "idx_sessions_controller_status"),
            (&filter.template_id, "idx_sessions_template_status"),
            (&filter.platform, "idx_sessions_platform_status"),
        ];
        let narrowest = narrowest.into_iter().find_map(|(value, index)| value.as_ref().map(|_| index));
        if filter.user_id.is_some() || (whole && narrowest.is_none()) {
            self.halve(filter, filter.user_id.is_some() || self.sort.by_user);
            return;
        }
        for state in states(filter) {
            let rows = format!("status = {}", self.given(state));
            self.parts.push(Part { index: narrowest.unwrap_or("idx_sessions_status"), rows });
        }
    }

    /// What lives and what is deleted, each literally as in its partial index.
    fn halve(&mut self, filter: &SessionFilter, by_user: bool) {
        let (gone, alive): (Vec<String>, Vec<String>) = states(filter).partition(|state| state == "deleted");
        if !alive.is_empty() {
            let mut rows = "status <> 'deleted'".to_owned();
            if alive.len() < living().count() {
                let states: Vec<String> = alive.into_iter().map(|state| self.given(state)).collect();
                rows.push_str(&format!(" AND status IN ({})", states.join(", ")));
            }
            let index = if by_user { "idx_sessions_user_living" } else { "idx_sessions_living" };
            self.parts.push(Part { index, rows });
        }
        if !gone.is_empty() {
            let index = if by_user { "idx_sessions_user_gone" } else { "idx_sessions_status" };
            self.parts.push(Part { index, rows: "status = 'deleted'".into() });
        }
    }

    /// The parts. SQLite has no statistics and is told which index each is a range of.
    fn parts(&self) -> Vec<String> {
        let (columns, narrowed) = (self.sort.columns().join(", "), &self.narrowed);
        let part = |Part { index, rows }: &Part| {
            let hint = if self.backend == DbBackend::Sqlite { format!(" INDEXED BY {index}") } else { String::new() };
            format!("SELECT {columns} FROM sessions{hint} WHERE {rows}{narrowed}")
        };
        self.parts.iter().map(part).collect()
    }

    /// The keys of a page. SQLite merges parts by reading each in order; PostgreSQL does so only where each says its order itself.
    fn keys(&self, limit: u64) -> String {
        let end = format!("ORDER BY {} LIMIT {limit}", self.sort.order()); // literally: by it the plan knows that it is few
        let parts = self.parts().into_iter().map(|part| match self.backend {
            DbBackend::Postgres => format!("SELECT * FROM ({part} {end}) AS part"),
            _ => part,
        });
        format!("{} {end}", parts.collect::<Vec<_>>().join(" UNION ALL "))
    }

    fn statement(self, sql: String) -> Statement {
        Statement::from_sql_and_values(self.backend, sql, self.values)
    }
}

/// The states that a filter means, each once.
fn states(filter: &SessionFilter) -> impl Iterator<Item = String> {
    let states: BTreeSet<String> = match filter.status.as_slice() {
        [] => living().map(str::to_owned).collect(),
        [one] if one == "all" => SessionState::ALL.into_iter().map(|state| state.as_str().to_owned()).collect(),
        given => given.iter().cloned().collect(),
    };
    states.into_iter()
}
