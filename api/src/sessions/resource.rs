//! A session as it is requested, and as it is shown.

use std::collections::{BTreeMap, HashMap};

use engine::CreateSession;
use engine::store::session;
use engine::use_cases::Action;
use poem_openapi::Object;
use poem_openapi::types::Example;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use streams::wire;
use uuid::Uuid;

use super::awake::Awake;
use crate::auth::Caller;
use crate::problem::Problem;
use crate::timestamp::Timestamp;

/// Resource limits or usage of a session, as Kubernetes quantities.
#[derive(Debug, Clone, Default, Object, Deserialize, Serialize)]
#[oai(skip_serializing_if_is_none)]
#[serde(deny_unknown_fields)]
pub(crate) struct Resources {
    /// Bytes of memory, such as `512Mi` or `2Gi`.
    #[oai(validator(pattern = "^[0-9.]+([KMGTPE]i?|[mk])?$"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    memory: Option<String>,
    /// Cores, such as `500m` or `2`.
    #[oai(validator(pattern = "^[0-9.]+([KMGTPE]i?|[mk])?$"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    cpu: Option<String>,
}

/// A new session.
#[derive(Debug, Object, Deserialize)]
#[oai(rename = "CreateSession", example)]
#[serde(deny_unknown_fields)]
pub(super) struct NewSession {
    /// Name of the template.
    #[oai(validator(min_length = 1, max_length = 128))]
    template_id: String,
    /// Platform to run on; default: the server's.
    #[oai(validator(pattern = "^[a-z0-9-]{1,32}$"))]
    platform: Option<String>,
    /// User it is for; default: the caller.
    #[oai(validator(min_length = 1, max_length = 255, pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]+$"))]
    user_id: Option<String>,
    /// Resource limits; the template's defaults apply to the rest.
    resources: Option<Resources>,
    /// Labels that its controller must have, each with a name and value of 1 to 64 characters; at most 16.
    #[oai(validator(max_properties = 16))]
    selector: Option<HashMap<String, String>>,
    /// Whether its home is the user's and outlives the session; default: false. Any other home is removed with
    /// the session. Hibernation keeps either.
    persistent_home: Option<bool>,
    /// Idle time after which it is hibernated, such as `30m`.
    #[oai(validator(pattern = "^[0-9A-Za-z .]+$"))]
    idle_timeout: Option<String>,
    /// Longest time that it may run without a break, such as `8h`.
    #[oai(validator(pattern = "^[0-9A-Za-z .]+$"))]
    max_duration: Option<String>,
    /// Tags for filters; at most 32.
    #[oai(validator(max_items = 32, min_length = 1, max_length = 64, pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]+$"))]
    tags: Option<Vec<String>>,
    /// Metadata of the caller; at most 16 KiB.
    metadata: Option<HashMap<String, Value>>,
}

impl Example for NewSession {
    fn example() -> Self {
        Self {
            template_id: "firefox".into(),
            platform: Some("docker".into()),
            user_id: Some("ada".into()),
            resources: Some(Resources { memory: Some("2Gi".into()), cpu: Some("1000m".into()) }),
            selector: Some(HashMap::from([("zone".into(), "eu-1".into())])),
            persistent_home: Some(true),
            idle_timeout: Some("30m".into()),
            max_duration: Some("8h".into()),
            tags: Some(vec!["course-7".into()]),
            metadata: None,
        }
    }
}

impl NewSession {
    pub(super) fn into_request(self, caller: &Caller) -> Result<CreateSession, Problem> {
        let resources = self.resources.unwrap_or_default();
        Ok(CreateSession {
            template_id: self.template_id,
            user_id: caller.0.owner(Action::CreateSession, self.user_id)?.unwrap_or_else(|| caller.0.name.clone()),
            platform: self.platform,
            resources: wire::Resources { memory: resources.memory, cpu: resources.cpu },
            selector: self.selector.into_iter().flatten().map(|(name, value)| (name, value.into())).collect(),
            persistent_home: self.persistent_home.unwrap_or_default(),
            idle_timeout: self.idle_timeout,
            max_duration: self.max_duration,
            tags: self.tags.unwrap_or_default(),
            metadata: self.metadata.unwrap_or_default().into_iter().collect(),
        })
    }
}

/// A session: its desired and its present state.
#[derive(Debug, Object, Serialize)]
#[oai(example)]
pub(crate) struct Session {
    /// Identity.
    session_id: Uuid,
    /// User it is for.
    user_id: String,
    /// Name of its template.
    template_id: String,
    /// Platform.
    platform: String,
    /// Controller that runs it; null while it has none.
    controller_id: Option<String>,
    /// Why this controller was chosen.
    placement: Option<String>,
    /// Present state.
    status: String,
    /// Desired state: `running`, `hibernated` or `deleted`.
    desired: String,
    /// Grows with every change of the desired state.
    generation: i64,
    /// Grows with every logged change, amendments included. Together with the generation it is the `ETag`.
    revision: i64,
    /// Why it waits, or why the engine moved it.
    reason: Option<String>,
    /// Message of its controller.
    message: Option<String>,
    /// The platform's own name for its state.
    phase: Option<String>,
    /// URL of the session for a browser.
    url: Option<String>,
    /// The platform's name of the resource that runs it.
    pod_name: Option<String>,
    /// Its resource limits.
    resources: Resources,
    /// Labels that its controller must have.
    selector: BTreeMap<String, String>,
    /// Whether its home is the user's and outlives the session. Hibernation keeps the home either way.
    persistent_home: bool,
    /// Idle time after which it is hibernated.
    idle_timeout: Option<String>,
    /// Longest time that it may run without a break.
    max_duration: Option<String>,
    /// Tags for filters.
    tags: Vec<String>,
    /// Metadata of the caller.
    metadata: BTreeMap<String, Value>,
    /// Number of the present attempt of the open command; 0 if there is none.
    attempt: i32,
    /// When the next attempt is due.
    next_attempt_at: Option<Timestamp>,
    /// Open connections, if counted.
    connections: Option<i32>,
    /// Present resource usage.
    resource_usage: Option<Resources>,
    /// Why it is awake and when it is stopped; null if it does not run.
    awake: Option<Awake>,
    /// Time of the last activity.
    last_activity: Timestamp,
    /// When it was accepted.
    created_at: Timestamp,
    /// When it last changed.
    updated_at: Timestamp,
}

impl From<session::Model> for Session {
    fn from(row: session::Model) -> Self {
        let awake = row.facts().ok().and_then(|facts| machine::session::awake(&facts));
        Self {
            awake: awake.map(Into::into),
            session_id: row.session_id,
            user_id: row.user_id,
            template_id: row.template_id,
            platform: row.platform,
            controller_id: row.controller_id,
            placement: row.placement,
            status: row.status,
            desired: row.desired,
            generation: row.generation,
            revision: row.entity_seq,
            reason: row.reason,
            message: row.message,
            phase: row.phase,
            url: row.url,
            pod_name: row.pod_name,
            resources: lenient(row.resources),
            selector: lenient(row.selector),
            persistent_home: row.persistent_home,
            idle_timeout: row.idle_timeout_s.map(duration),
            max_duration: row.max_duration_s.map(duration),
            tags: lenient(row.tags),
            metadata: lenient(row.metadata),
            attempt: row.attempt,
            next_attempt_at: row.next_attempt_ms.map(Timestamp::from_ms),
            connections: row.connections,
            // a stored JSON null is read as a value
            resource_usage: row.resource_usage.filter(Value::is_object).map(lenient),
            last_activity: Timestamp::from_ms(row.last_activity_ms),
            created_at: Timestamp::from_ms(row.created_ms),
            updated_at: Timestamp::from_ms(row.updated_ms),
        }
    }
}

impl Session {
    /// The session as it was; why it was awake depended on data that is in no log.
    pub(super) fn as_it_was(row: session::Model) -> Self {
        Self { awake: None, ..row.into() }
    }
}

/// A column that the engine wrote; unexpected content is shown as empty rather than as an error.
fn lenient<T: serde::de::DeserializeOwned + Default>(value: Value) -> T {
    serde_json::from_value(value).unwrap_or_default()
}

fn duration(seconds: i64) -> String {
    streams::duration::format(std::time::Duration::from_secs(seconds.unsigned_abs()))
}

impl Example for Session {
    fn example() -> Self {
        Self {
            session_id: Uuid::from_u128(0x0198_f3c2_7a10_7b3e_9d51_2f6a_c04e_8b17),
            user_id: "ada".into(),
            template_id: "firefox".into(),
            platform: "docker".into(),
            controller_id: Some("docker-1".into()),
            placement: Some("the emptiest of 2 that fit, with 12 of 50 sessions".into()),
            status: "running".into(),
            desired: "running".into(),
            generation: 1,
            revision: 4,
            reason: None,
            message: None,
            phase: Some("healthy".into()),
            url: Some("http://10.0.0.7:32801/".into()),
            pod_name: Some("streamspace-0198f3c2".into()),
            resources: Resources { memory: Some("2Gi".into()), cpu: Some("1000m".into()) },
            selector: BTreeMap::from([("zone".into(), "eu-1".into())]),
            persistent_home: true,
            idle_timeout: Some("30m".into()),
            max_duration: Some("8h".into()),
            tags: vec!["course-7".into()],
            metadata: BTreeMap::new(),
            attempt: 0,
            next_attempt_at: None,
            connections: Some(1),
            resource_usage: Some(Resources { memory: Some("640Mi".into()), cpu: Some("120m".into()) }),
            awake: Some(Awake::example()),
            last_activity: Timestamp::from_ms(1_767_258_000_000),
            created_at: Timestamp::from_ms(1_767_254_400_000),
            updated_at: Timestamp::from_ms(1_767_254_409_000),
        }
    }
}
