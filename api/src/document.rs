//! The API document: generated from the operations, served as `/openapi.json`, and kept as a snapshot that a
//! test compares.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use engine::Engine;
use poem::endpoint::BoxEndpoint;
use poem::http::Method;
use poem_openapi::registry::{MetaApi, Registry};
use poem_openapi::{OpenApi, OpenApiService, Tags};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::Config;
use crate::applications::Applications;
use crate::controllers::Controllers;
use crate::dead_letters::{Causes, DeadLetters};
use crate::doctor::Doctor;
use crate::events::Events;
use crate::examples;
use crate::fate::Fates;
use crate::feed::Live;
use crate::homes::Kept;
use crate::jobs::Jobs;
use crate::openapi31;
use crate::operators::Operators;
use crate::platforms::Platforms;
use crate::queue::Queue;
use crate::rebuild::Rebuild;
use crate::routes::PREFIX;
use crate::sessions::Sessions;
use crate::tasks::TasksApi;
use crate::templates::Templates;

/// Groups of operations.
#[derive(Tags)]
pub(crate) enum Tag {
    /// Streamed sessions and their life cycle.
    Sessions,
    /// Templates that sessions are created from.
    Templates,
    /// Applications installed on platforms.
    Applications,
    /// Controllers and their platforms.
    Controllers,
    /// The log of commands, reports and decisions.
    Events,
    /// Actions on many items.
    Jobs,
    /// Messages that could not be processed.
    DeadLetters,
    /// Changes as they happen.
    Feed,
}

/// All operations.
pub(crate) type Apis = (
    Sessions,
    Events,
    Fates,
    Templates,
    Applications,
    Controllers,
    Operators,
    Platforms,
    Queue,
    Rebuild,
    Doctor,
    TasksApi,
    (DeadLetters, Causes), // the framework accepts at most sixteen, or groups
    Jobs,
    Kept,
    Live,
);

/// All operations of an engine; requests that wait are answered once `stopping` fires.
pub(crate) fn apis(engine: &Arc<Engine>, config: &Config, live: Live, stopping: CancellationToken) -> Apis {
    let engine = || engine.clone();
    (
        Sessions::new(engine(), config.max_waiting, stopping),
        Events(engine()),
        Fates(engine()),
        Templates(engine()),
        Applications(engine()),
        Controllers(engine()),
        Operators(engine()),
        Platforms(engine()),
        Queue(engine()),
        Rebuild(engine()),
        Doctor(engine()),
        TasksApi(engine()),
        (DeadLetters(engine()), Causes(engine())),
        Jobs(engine()),
        Kept(engine()),
        live,
    )
}

pub(crate) fn service<A: OpenApi>(apis: A, version: &str) -> OpenApiService<A, ()> {
    OpenApiService::new(apis, "StreamSpace", version)
        .description(
            "Manages the life cycle of streamed sessions. 202 means that the intent is durable and will be carried out; \
             read the resource to follow it, or use `wait`. Every refusal is a problem document (RFC 9457) whose \
             `type` can be opened on the server. A request with an `Idempotency-Key` can be repeated without a second \
             effect; `If-Match` applies a request only if the session is unchanged since that ETag. Lists come in pages that neither skip nor repeat.",
        )
        .server(PREFIX)
}

/// The API document as JSON with sorted keys.
#[must_use]
pub fn document(version: &str) -> String {
    let mut value: Value = serde_json::from_str(&service(Described, version).spec()).unwrap_or_default();
    examples::complete(&mut value);
    serde_json::to_string_pretty(&sorted(openapi31::modern(value))).unwrap_or_default()
}

/// The operations without an engine, just to be described.
struct Described;

impl OpenApi for Described {
    fn meta() -> Vec<MetaApi> {
        Apis::meta()
    }

    fn register(registry: &mut Registry) {
        Apis::register(registry);
    }

    fn add_routes(self, _: &mut HashMap<String, HashMap<Method, BoxEndpoint<'static>>>) {}
}

fn sorted(value: Value) -> Value {
    match value {
        Value::Object(object) => {
            let ordered: BTreeMap<String, Value> =
                object.into_iter().map(|(name, value)| (name, sorted(value))).collect();
            Value::Object(ordered.into_iter().collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(sorted).collect()),
        other => other,
    }
}
