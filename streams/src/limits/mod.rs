//! The limits on all input.
//!
//! HTTP, NATS requests, heartbeats, reports, inventories, dead letters and their corrections, manifests and
//! files are all checked against the constants here, so that nothing is accepted that a table, another
//! interface or a reader refuses later. [`columns`] has the limit of each database column; a test walks
//! PostgreSQL's catalogue and fails for a column that is missing there or narrower than its limit.
//!
//! - Lengths of texts are in characters, as PostgreSQL's `varchar` counts. Only sizes of whole documents are in bytes.
//! - Names, ids, keys and URLs that break a limit are refused. Texts that an outside system wrote for people
//!   (messages, phases, errors, versions) are shortened with a visible mark instead, because a long error must
//!   not hide that there was one.
//! - Reading is more lenient than accepting: what an earlier version has stored is still read, see [`json::stored`].

pub mod columns;
pub mod json;
mod payloads;
mod table;
mod texts;

pub use payloads::{Payload, controller_id, manifest, read};
pub use table::markdown;
pub use texts::{Check, printable, shorten, url_scheme};

/// Levels of objects and arrays in a document, including the outermost. PostgreSQL's `jsonb` and serde_json
/// (128) accept more; the difference is for the wrapping of documents on their way (log rows, kept answers,
/// pages, state files).
pub const DEPTH: usize = 32;
/// Levels of a request's body around a free field such as `metadata`, which has [`DEPTH`] of its own.
pub const FRAME: usize = 2;

/// Characters of a name given from outside: of users, principals, idempotency keys, nodes.
pub const NAME: usize = 255;
/// Characters of a template's name.
pub const TEMPLATE_NAME: usize = 128;
/// Characters of a platform's name; they are ASCII.
pub const PLATFORM: usize = 32;
/// Characters of a controller's id in the durable lane, where it is a token of subjects; they are ASCII.
pub const CONTROLLER_ID: usize = 63;
/// Characters of `event_log.entity`, as `session:<uuid>`.
pub const ENTITY: usize = 160;
/// Characters of a controller's id in the core lane: `controller:<id>` must fit [`ENTITY`].
pub const CORE_CONTROLLER_ID: usize = ENTITY - "controller:".len();
/// Characters of a user's name where it is a token of subjects; they are ASCII.
pub const USER_TOKEN: usize = 64;

/// Tags of a session or template.
pub const TAGS: usize = 32;
/// Characters of a tag.
pub const TAG: usize = 64;
/// Labels of a selector or a controller.
pub const LABELS: usize = 16;
/// Characters of a label's name, and of its value.
pub const LABEL: usize = 64;
/// Bytes of a free JSON object (`metadata`, `cluster_info`), as compact JSON.
pub const FREE_JSON: usize = 16_384;

/// Characters of a controller's message for people, of an error, or of a reason.
pub const MESSAGE: usize = 2_000;
/// Characters of a reason that an operator gives.
pub const REASON: usize = 500;
/// Characters of the reason code of a parked message.
pub const REASON_WORD: usize = 60;
/// Characters of a platform's own name for a state.
pub const PHASE: usize = 255;
/// Characters of an error's code.
pub const CODE: usize = 100;
/// Characters of a URL.
pub const URL: usize = 2_048;
/// Characters of a platform's name for the resource that runs a session.
pub const RESOURCE_NAME: usize = 255;
/// Characters of a quantity, as `512Mi`.
pub const QUANTITY: usize = 32;
/// Characters of a controller's version.
pub const VERSION: usize = 50;
/// Capabilities of a controller or a template.
pub const CAPABILITIES: usize = 64;
/// Characters of a capability.
pub const CAPABILITY: usize = 64;
/// Characters of a public key in base64.
pub const SEALING_KEY: usize = 1_024;
/// Characters of the hash of a platform's template schema.
pub const SCHEMA_HASH: usize = 64;
/// Bytes of a report as it is logged, after its texts were shortened.
pub const REPORT: usize = 65_536;

/// The largest generation in a report: 2^53, which is exact in every language's numbers and leaves the engine
/// room to count.
pub const GENERATION: i64 = 1 << 53;

/// Bytes of a template's manifest, as received and as compact JSON. With metadata and envelope, a command stays
/// well below the minimum size of a message, 1 MiB.
pub const MANIFEST: usize = 262_144;
/// Characters of a display name or category.
pub const DISPLAY_NAME: usize = 255;
/// Characters of a description.
pub const DESCRIPTION: usize = 16_384;
/// Characters of an icon: a URL, a path, or a small picture as a `data:` URL.
pub const ICON: usize = 65_536;
/// Characters of the name of an image.
pub const IMAGE: usize = 512;
/// Entries of a list in a manifest (ports, environment, mounts, arguments).
pub const ENTRIES: usize = 256;

/// Characters of a header that is interpreted here.
pub const HEADER: usize = 4_096;
/// Characters of a value in a path or a query.
pub const PARAMETER: usize = 2_048;
/// Bytes of a file that a program reads as configuration or as a request.
pub const FILE: usize = 4 << 20;

/// Schemes of a session's URL. It becomes a link in a browser that trusts this server, so no scheme is included
/// that runs script there or reads files.
pub const URL_SCHEMES: [&str; 7] = ["http", "https", "ws", "wss", "rdp", "vnc", "ssh"];

/// A breach of a limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Breach {
    /// The field, as a path: `metadata.seats[2].name`; empty for the whole document.
    pub field: String,
    /// The rule that it breaks.
    pub rule: String,
    /// What to do about it.
    pub hint: String,
}

impl std::fmt::Display for Breach {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.field.as_str() {
            "" => f.write_str(&self.rule),
            field => write!(f, "{field}: {}", self.rule),
        }
    }
}

/// A refused document.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Invalid JSON, or not of the expected shape.
    #[error("{0}")]
    Syntax(#[from] serde_json::Error),
    /// Breaches of limits; the first twenty.
    #[error("{}", join(.0))]
    Breaches(Vec<Breach>),
}

fn join(breaches: &[Breach]) -> String {
    breaches.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}
