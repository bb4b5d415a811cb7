//! A rolling upgrade: the next minor release has added to the schema and to the wire, and this one goes on beside it.

use engine::writer::Ask;
use migrations::testing::TestDatabase;
use sea_orm::{ConnectionTrait, DbBackend, Statement};
use serde_json::json;

use crate::rig::Rig;

/// What a newer release may do to a schema while this one runs: add tables, and columns that are nullable or have a default.
async fn migrate_ahead(database: &TestDatabase) {
    let db = &database.database.writer;
    let list = match db.get_database_backend() {
        DbBackend::Postgres => "SELECT table_name AS name FROM information_schema.tables WHERE table_schema = 'public'",
        _ => "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'",
    };
    let tables = db.query_all_raw(Statement::from_string(db.get_database_backend(), list)).await.expect("tables");
    for table in tables {
        let table: String = table.try_get("", "name").expect("a name");
        let alter = |column: &str| format!("ALTER TABLE {table} ADD COLUMN {column}");
        db.execute_unprepared(&alter("next_note TEXT NULL")).await.expect("added");
        db.execute_unprepared(&alter("next_count BIGINT NOT NULL DEFAULT 7")).await.expect("added");
    }
    db.execute_unprepared("CREATE TABLE next_things (id BIGINT PRIMARY KEY, note TEXT)").await.expect("created");
}

#[tokio::test]
async fn a_session_lives_on_while_a_newer_release_has_added_to_the_schema_and_to_the_wire() {
    for rig in [Rig::sqlite().await, Rig::postgres().await] {
        let mut controller = rig.controller().await;
        let (id, _) = rig.running(&mut controller).await;
        migrate_ahead(&rig.database).await;
        let steps = [(Ask::Hibernate, "hibernated"), (Ask::Wake, "running"), (Ask::Delete { force: false }, "deleted")];
        for (ask, goal) in steps {
            rig.engine.ask(id, ask).await.expect("asked");
            let command = controller.take().await;
            let newer = controller.status(&command, goal, json!({ "next_field": { "of": ["a", "newer", "release"] } }));
            controller.publish(&crate::rig::lane(), newer).await;
            rig.until(id, goal).await;
        }
        let (fresh, _) = rig.running(&mut controller).await;
        assert_ne!(fresh, id);
        assert!(rig.dead_letters().await.is_empty());
        assert_eq!(engine::account::unaccounted(rig.engine.reader()).await.expect("readable"), 0);
        rig.engine.stop().await;
    }
}
