//! Lists of sessions: what is on a page, and that reading it costs what is on it, on both databases.

use std::cmp::Reverse;
use std::sync::{Arc, Mutex};

use engine::queries::{self, Seek, SessionFilter, SessionPosition, SessionSort};
use engine::store::session;
use migrations::testing::TestDatabase;
use sea_orm::{ConnectionTrait, DbBackend, EntityTrait, Statement, TransactionTrait};
use uuid::Uuid;

/// Sessions in most states, of few and of many, created two at a time.
const LIVED: &str = "
    INSERT INTO sessions (session_id, user_id, template_id, template, platform, controller_id, desired, status, created_ms, \
        updated_ms, tags) \
    WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < 6000) \
    SELECT {id}, 'user-' || (n / 20), CASE WHEN n % 600 < 3 THEN 'rare' ELSE 'app' END, '{}', \
        CASE WHEN n % 600 < 3 THEN 'rare' ELSE 'noop' END, CASE WHEN n % 600 < 3 THEN 'rare' ELSE 'host' END, 'running', \
        CASE WHEN n % 100 < 60 THEN 'deleted' WHEN n % 100 < 80 THEN 'hibernated' WHEN n % 100 < 98 THEN 'running' \
        WHEN n % 200 < 100 THEN 'failed' ELSE 'pending' END, n / 2, n, {tags} FROM s";

/// So many on a page.
const LIMIT: u64 = 20;

struct Asked {
    database: TestDatabase,
    statements: Arc<Mutex<Vec<Statement>>>,
}

/// Both databases, with all sessions.
async fn aged() -> Vec<(Asked, Vec<session::Model>)> {
    let mut all = Vec::new();
    for database in [TestDatabase::sqlite().await, TestDatabase::postgres().await] {
        let (mut database, statements) = (database.expect("a database"), Arc::new(Mutex::new(Vec::new())));
        let (id, json) = match database.backend() {
            DbBackend::Postgres => ("gen_random_uuid()", "::jsonb"),
            _ => ("randomblob(16)", ""),
        };
        let tags = format!("(CASE WHEN n % 50 = 1 THEN '[\"x\"]' ELSE '[]' END){json}");
        let lived = LIVED.replace("{id}", id).replace("{tags}", &tags);
        database.database.writer.execute_unprepared(&lived).await.expect("written");
        if database.backend() == DbBackend::Postgres {
            database.database.writer.execute_unprepared("VACUUM ANALYZE sessions").await.expect("analyzed");
        }
        let rows = session::Entity::find().all(&database.database.reader).await.expect("readable");
        let heard = Arc::clone(&statements);
        let hear = move |info: &sea_orm::metric::Info<'_>| heard.lock().unwrap().push(info.statement.clone());
        database.database.reader.set_metric_callback(hear);
        all.push((Asked { database, statements }, rows));
    }
    all
}

fn filters() -> Vec<SessionFilter> {
    let states: [&[&str]; 6] =
        [&[], &["all"], &["running"], &["deleted"], &["pending", "running"], &["deleted", "failed"]];
    let narrow: [fn(&mut SessionFilter); 6] = [
        |_| {},
        |filter| filter.user_id = Some("user-7".into()),
        |filter| filter.platform = Some("noop".into()),
        |filter| filter.platform = Some("rare".into()),
        |filter| filter.controller_id = Some("rare".into()),
        |filter| filter.template_id = Some("app".into()),
    ];
    let of = |states: &[&str], narrow: &fn(&mut SessionFilter)| {
        let status = states.iter().map(|&state| state.to_owned()).collect();
        let mut filter = SessionFilter { status, ..SessionFilter::default() };
        narrow(&mut filter);
        filter
    };
    states.iter().flat_map(|states| narrow.iter().map(|narrow| of(states, narrow))).collect()
}

fn sorts() -> Vec<SessionSort> {
    let both = [false, true];
    both.into_iter().flat_map(|by_user| both.map(|ascending| SessionSort { by_user, ascending })).collect()
}

/// What a list has on all its pages, by its definition.
fn expected(rows: &[session::Model], filter: &SessionFilter, sort: SessionSort) -> Vec<Uuid> {
    let meant = |row: &&session::Model| {
        let state = match filter.status.as_slice() {
            [] => row.status != "deleted",
            [one] if one == "all" => true,
            states => states.contains(&row.status),
        };
        let is = |wanted: &Option<String>, value: &str| wanted.as_deref().is_none_or(|wanted| wanted == value);
        let tags = |tag: &String| row.tags.as_array().is_some_and(|tags| tags.contains(&tag.as_str().into()));
        state
            && is(&filter.user_id, &row.user_id)
            && is(&filter.platform, &row.platform)
            && is(&filter.controller_id, row.controller_id.as_deref().unwrap_or_default())
            && is(&filter.template_id, &row.template_id)
            && filter.tag.as_ref().is_none_or(tags)
    };
    let mut found: Vec<(SessionPosition, Uuid)> =
        rows.iter().filter(meant).map(|row| (sort.position(row), row.session_id)).collect();
    if sort.ascending {
        found.sort()
    } else {
        found.sort_by_key(|(position, _)| Reverse(position.clone()))
    }
    found.into_iter().map(|(_, id)| id).collect()
}

impl Asked {
    async fn page(
        &self,
        filter: &SessionFilter,
        sort: SessionSort,
        seek: Option<Seek<SessionPosition>>,
    ) -> Vec<session::Model> {
        let db = &self.database.database.reader;
        queries::sessions(db, filter, sort, seek, LIMIT).await.unwrap_or_else(|error| panic!("{filter:?}: {error}"))
    }

    /// The first three pages, one after the other.
    async fn pages(&self, filter: &SessionFilter, sort: SessionSort) -> Vec<Uuid> {
        let (mut all, mut after) = (Vec::new(), None);
        for _ in 0..3 {
            let page = self.page(filter, sort, after).await;
            all.extend(page.iter().map(|row| row.session_id));
            after = page.last().map(|row| Seek::After(sort.position(row)));
            if (page.len() as u64) < LIMIT {
                break;
            }
        }
        all
    }

    /// What shows that reading a page took more than what is on it: on PostgreSQL what was looked at, on SQLite the plan.
    async fn waste(&self, statement: &Statement, everything: bool) -> Option<String> {
        let backend = self.database.backend();
        let (explain, column) = match backend {
            DbBackend::Postgres => ("EXPLAIN (ANALYZE, FORMAT JSON)", "QUERY PLAN"),
            _ => ("EXPLAIN QUERY PLAN", "detail"),
        };
        let (sql, values) = (format!("{explain} {}", statement.sql), statement.values.clone().expect("values"));
        let explain = Statement::from_sql_and_values(backend, sql, values);
        let rows = self.database.database.reader.query_all_raw(explain).await.expect("a plan");
        if backend == DbBackend::Postgres {
            let plan: serde_json::Value = rows[0].try_get("", column).expect("a plan");
            // each row once by its part and once by its key; a part may be one row ahead, and a user has twenty rows
            return (looked_at(&plan[0]["Plan"]) > 2.0 * LIMIT as f64 + 25.0).then(|| format!("{plan:#}"));
        }
        let plan: Vec<String> = rows.iter().map(|row| row.try_get("", column).expect("a line")).collect();
        let by_range = |line: &String| line.starts_with("SEARCH ") || everything && line.contains("USING");
        let ranges = plan.iter().filter(|line| line.contains(" sessions ")).all(by_range);
        let sorts = plan.iter().filter(|line| line.contains("TEMP B-TREE")).count(); // one is that of the page's rows
        (!ranges || sorts > 1).then(|| plan.join("\n"))
    }
}

/// Rows and entries of indexes that the leaves of a plan went through.
fn looked_at(node: &serde_json::Value) -> f64 {
    let number = |name: &str| node[name].as_f64().unwrap_or(0.0);
    let below: f64 = node["Plans"].as_array().into_iter().flatten().map(looked_at).sum();
    let leaf = node["Node Type"].as_str().is_some_and(|kind| kind.contains("Scan") && kind != "Subquery Scan");
    let here = (number("Actual Rows") + number("Rows Removed by Filter")) * number("Actual Loops");
    below + if leaf { here } else { 0.0 }
}

#[tokio::test]
async fn pages_hold_what_a_list_means_in_its_order() {
    for (asked, rows) in aged().await {
        let tagged = SessionFilter { tag: Some("x".into()), ..SessionFilter::default() };
        let late = SessionFilter { tag: Some("x".into()), status: vec!["all".into()], ..SessionFilter::default() };
        for filter in filters().into_iter().chain([tagged, late]) {
            for sort in sorts() {
                let (mut expected, found) = (expected(&rows, &filter, sort), asked.pages(&filter, sort).await);
                expected.truncate(3 * LIMIT as usize);
                assert_eq!(found, expected, "{filter:?} {sort:?}");
            }
        }
    }
}

#[tokio::test]
async fn the_page_before_a_row_is_read_backwards_from_it() {
    for (asked, rows) in aged().await {
        for filter in filters() {
            for sort in sorts() {
                let all = expected(&rows, &filter, sort);
                let Some(from) = all.get(30.min(all.len().saturating_sub(1))) else { continue };
                let row = rows.iter().find(|row| row.session_id == *from).expect("listed");
                let page = asked.page(&filter, sort, Some(Seek::Before(sort.position(row)))).await;
                let found: Vec<Uuid> = page.iter().map(|row| row.session_id).collect();
                let before = all.iter().copied().take_while(|id| id != from).collect::<Vec<_>>();
                let expected: Vec<Uuid> = before.into_iter().rev().take(LIMIT as usize).collect();
                assert_eq!(found, expected, "{filter:?} {sort:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_page_costs_what_is_on_it() {
    for (asked, _) in aged().await {
        for filter in filters() {
            let whole = filter.status.is_empty() || filter.status == ["all"];
            let everything = whole && filter == SessionFilter { status: filter.status.clone(), ..Default::default() };
            let in_order = |sort: &SessionSort| !sort.by_user || everything || filter.user_id.is_some();
            for sort in sorts().into_iter().filter(in_order) {
                let first = asked.page(&filter, sort, None).await;
                asked.page(&filter, sort, first.last().map(|row| Seek::After(sort.position(row)))).await;
                asked.page(&filter, sort, first.last().map(|row| Seek::Before(sort.position(row)))).await;
                let statements = std::mem::take(&mut *asked.statements.lock().unwrap());
                for statement in &statements {
                    let waste = asked.waste(statement, everything).await;
                    assert_eq!(waste, None, "{filter:?} {sort:?}\n{statement}");
                }
                asked.statements.lock().unwrap().clear(); // the questions for plans
            }
        }
    }
}

/// Planning takes as long as the rest, and PostgreSQL does it again for each request whose values it thinks rarer than others.
#[tokio::test]
async fn postgres_plans_a_list_once() {
    let all = aged().await;
    let (asked, _) = all.iter().find(|(asked, _)| asked.database.backend() == DbBackend::Postgres).expect("PostgreSQL");
    let one = asked.database.database.reader.begin().await.expect("one connection");
    for filter in filters() {
        for _ in 0..8 {
            queries::sessions(&one, &filter, SessionSort::default(), None, LIMIT).await.expect("a page");
        }
    }
    let sql = "SELECT statement, generic_plans FROM pg_prepared_statements WHERE statement LIKE '%FROM sessions%'";
    let rows = one.query_all_raw(Statement::from_string(DbBackend::Postgres, sql)).await.expect("readable");
    assert!(!rows.is_empty(), "no list is prepared");
    for row in rows {
        let (text, reused): (String, i64) = (row.try_get("", "statement").unwrap(), row.try_get_by_index(1).unwrap());
        assert!(reused > 0, "planned each time: {text}");
    }
}
