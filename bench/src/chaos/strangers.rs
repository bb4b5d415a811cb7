//! Strangers on the bus: a client that may publish anywhere, and sends what our own parts never would. Its
//! messages are remembered, so that the dead letters that it caused can be distinguished from our own.
//!
//! It sends nothing plausible on a subject that names a real controller, because only NATS permissions can
//! distinguish that from the controller itself.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use chrono::Utc;
use engine::store::dead_letter;
use migrations::connect::Database;
use sea_orm::{ConnectionTrait, Statement};
use serde_json::{Value, json};
use streams::connect::Link;
use streams::subject::{DEAD_LETTER_PREFIX, HEARTBEAT};
use tokio::sync::Mutex;
use tokio::time::{sleep, timeout};
use uuid::Uuid;

use super::fleet::{CONTROLLERS, Fleet, READY};

/// Host of the URLs in a stranger's reports.
pub(super) const TRAP: &str = "stranger.invalid";
/// Time between two messages.
const PAUSE: Duration = Duration::from_millis(40);
/// A payload in bytes that NATS accepts (1 MiB) and our own parts never send.
const LARGE: usize = 900_000;
/// Number of large messages per round: more would fill the streams of a small disk, which is a fault of its own.
const MOST_LARGE: u64 = 3;
/// Together with the rest of the subject, 4,077 bytes; nats-server reads lines of 4,096.
const LONG_TOKEN: usize = 4_045;
/// Characters by which a subject is recognised: a letter keeps 255 of it.
const KNOWN_BY: usize = 200;
/// Nesting deeper than any reader accepts.
const DEPTH: usize = 200;

/// The payloads that strangers have sent, with the beginnings of their subjects.
#[derive(Debug, Default)]
pub(super) struct Strangers {
    sent: Mutex<HashMap<Vec<u8>, HashSet<String>>>,
    count: Mutex<u64>,
}

impl Strangers {
    /// Remembers a stranger's message.
    pub(super) async fn note(&self, subject: &str, payload: &[u8]) {
        let subject = subject.strip_prefix(DEAD_LETTER_PREFIX).unwrap_or(subject);
        self.sent.lock().await.entry(payload.to_vec()).or_default().insert(beginning(subject));
    }

    /// Whether a dead letter contains what a stranger sent, byte for byte, and on the same subject. A heartbeat
    /// that was parsed before it was parked has been re-encoded, so its values are compared.
    pub(super) async fn sent(&self, letter: &dead_letter::Model) -> bool {
        let (sent, subject) = (self.sent.lock().await, beginning(&letter.subject));
        if sent.get(&letter.payload).is_some_and(|subjects| subjects.contains(&subject)) {
            return true;
        }
        let Ok(parked) = serde_json::from_slice::<Value>(&letter.payload) else { return false };
        let same = |payload: &[u8]| serde_json::from_slice::<Value>(payload).is_ok_and(|value| value == parked);
        subject.starts_with(HEARTBEAT)
            && sent.iter().any(|(payload, subjects)| subjects.contains(&subject) && same(payload))
    }

    /// Sends all kinds of messages repeatedly. Failed publishes are ignored.
    async fn speak(&self, link: &Link, database: &Database, long: Duration) {
        let begun = Instant::now();
        let mut session = Uuid::new_v4();
        while begun.elapsed() < long {
            session = some_session(database).await.unwrap_or(session);
            let pass = {
                let mut count = self.count.lock().await;
                *count += 1;
                *count
            };
            for (subject, payload) in said(pass, session) {
                self.note(&subject, &payload).await;
                let _ = link.client.publish(subject, payload.into()).await;
                sleep(PAUSE).await;
            }
            let _ = timeout(Duration::from_secs(1), link.client.flush()).await;
        }
    }
}

impl Fleet {
    /// Strangers wait for NATS while it is down, like everyone else.
    pub(super) async fn let_strangers_speak(&self, long: Duration) -> Result<()> {
        let begun = Instant::now();
        let config = self.stack.lock().await.nats.config("stranger");
        let link = loop {
            match streams::connect::connect(&config).await {
                Ok(link) => break link,
                Err(error) => ensure!(begun.elapsed() < READY, "no connection within {READY:?}: {error}"),
            }
            sleep(Duration::from_millis(100)).await;
        };
        let database = self.stack.lock().await.database.clone();
        self.strangers.speak(&link, &database, long).await;
        Ok(())
    }
}

fn beginning(subject: &str) -> String {
    subject.chars().take(KNOWN_BY).collect()
}

/// A session of some user.
async fn some_session(database: &Database) -> Option<Uuid> {
    let sql = "SELECT session_id FROM sessions WHERE status <> 'deleted' ORDER BY random() LIMIT 1";
    let asked = database.reader.query_one_raw(Statement::from_string(database.backend, sql));
    let row = timeout(Duration::from_secs(1), asked).await.ok()?.ok()??;
    row.try_get("", "session_id").ok()
}

/// All messages of one pass, about another user's session.
fn said(pass: u64, session: Uuid) -> Vec<(String, Vec<u8>)> {
    let stranger = format!("made-up-{pass}");
    let mut all = Vec::new();
    for (subject, payload) in heartbeats(&stranger).into_iter().chain(reports(&stranger, session)) {
        all.push((subject, payload.to_string().into_bytes()));
    }
    all.extend(unreadable(&stranger, session));
    if pass <= MOST_LARGE {
        let large = json!({ "event_id": Uuid::new_v4(), "session_id": session, "message": "x".repeat(LARGE) });
        all.push(("streamspace.session.status".into(), large.to_string().into_bytes()));
    }
    all
}

/// Heartbeats of controllers that do not exist, and false ones of controllers that do.
fn heartbeats(stranger: &str) -> Vec<(String, Value)> {
    let (known, platform) = CONTROLLERS[0];
    let beat = |id: &str, platform: &str, more: Value| {
        let mut beat = json!({ "controller_id": id, "platform": platform, "timestamp": Utc::now(), "status": "healthy",
            "version": "9", "capabilities": ["sessions", "templates", "applications"], "cluster_info": {} });
        if let (Some(beat), Value::Object(more)) = (beat.as_object_mut(), more) {
            beat.extend(more);
        }
        beat
    };
    let durable = json!({ "protocol": 2, "instance_id": Uuid::new_v4(), "world_id": Uuid::new_v4(),
        "capacity": { "sessions_max": 100_000, "sessions": 0 }, "interval_seconds": u32::MAX });
    let worldless = json!({ "protocol": 2, "instance_id": Uuid::new_v4(), "interval_seconds": 3_600 });
    let nested = (0..DEPTH).fold(json!(1), |inner, _| json!({ "a": inner }));
    let on_its_own = |id: &str| format!("{HEARTBEAT}.{platform}.{id}");
    vec![
        (HEARTBEAT.into(), beat(&format!("{stranger}-core"), platform, json!({ "interval_seconds": 3_600 }))),
        (HEARTBEAT.into(), beat(&format!("{stranger}-durable"), platform, durable.clone())),
        (on_its_own(&format!("{stranger}-own")), beat(&format!("{stranger}-own"), platform, durable.clone())),
        (HEARTBEAT.into(), beat(stranger, "nowhere", durable.clone())),
        (HEARTBEAT.into(), beat(known, platform, json!({ "interval_seconds": 3_600 }))),
        (HEARTBEAT.into(), beat(known, platform, worldless)),
        (HEARTBEAT.into(), beat(known, platform, durable.clone())),
        (HEARTBEAT.into(), beat(known, "elsewhere", durable.clone())),
        (on_its_own(stranger), beat(known, platform, durable)),
        (HEARTBEAT.into(), beat(stranger, platform, json!({ "version": "9".repeat(53), "interval_seconds": 1 }))),
        (HEARTBEAT.into(), beat(stranger, platform, json!({ "cluster_info": { "a": nested } }))),
        (HEARTBEAT.into(), beat("a\u{0}b", platform, json!({}))),
    ]
}

/// Readable reports about others' sessions.
fn reports(stranger: &str, session: Uuid) -> Vec<(String, Value)> {
    let (known, platform) = CONTROLLERS[0];
    let report = |status: &str, by: Option<&str>| {
        let mut report = json!({ "event_id": Uuid::new_v4(), "timestamp": Utc::now(), "session_id": session,
            "status": status, "generation": 1_000_000, "url": format!("http://{TRAP}/") });
        if let Some(by) = by {
            report["controller_id"] = json!(by);
        }
        report
    };
    let world = |sessions: Value| {
        json!({ "event_id": Uuid::new_v4(), "timestamp": Utc::now(), "controller_id": stranger, "platform": platform,
            "sync_id": Uuid::new_v4(), "instance_id": Uuid::new_v4(), "world_id": Uuid::new_v4(), "part": 0, "last": true,
            "sessions": sessions })
    };
    let bare = || "streamspace.session.status".to_owned();
    let own = |report: &str| format!("streamspace.{report}.{platform}.{stranger}");
    vec![
        (bare(), report("running", None)),
        (bare(), report("deleted", Some(stranger))),
        (bare(), report("failed", Some(known))),
        (bare(), report("running", Some(&"c".repeat(300)))),
        (own("session.status"), report("running", Some(stranger))),
        (own("session.status"), report("deleted", Some(known))),
        (own("controller.world"), world(json!([]))),
        (own("controller.world"), world(json!([report("running", Some(stranger))]))),
    ]
}

/// Messages that are unreadable or must not be accepted.
fn unreadable(stranger: &str, session: Uuid) -> Vec<(String, Vec<u8>)> {
    let (known, platform) = CONTROLLERS[0];
    let long = format!("streamspace.session.status.{}.b", "a".repeat(LONG_TOKEN));
    let forged = json!({ "event_id": Uuid::new_v4(), "timestamp": Utc::now(), "session_id": session,
        "user_id": "somebody", "platform": platform, "force": true, "generation": 1_000_000 });
    let nul = format!(r#"{{"event_id":"{}","controller_id":"{known}","sessions":["a\u0000b"]}}"#, Uuid::new_v4());
    let nested = format!(r#"{{"by":"{stranger}","a":{}{}}}"#, "[".repeat(DEPTH), "]".repeat(DEPTH));
    let text = |text: String| text.into_bytes();
    vec![
        (long, text("{}".into())),
        (format!("{DEAD_LETTER_PREFIX}streamspace.session.delete.{platform}.{known}"), text(forged.to_string())),
        (format!("streamspace.controller.world.{platform}.{stranger}"), text(nul.clone())),
        (format!("streamspace.controller.world.{platform}.{known}"), text(nul)),
        ("streamspace.session.status".into(), text(nested)),
        ("streamspace.app.status".into(), text(format!("{stranger} has no application"))),
    ]
}
