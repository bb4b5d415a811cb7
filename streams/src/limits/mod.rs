//! The one set of limits on what comes in from outside.
//!
//! Every entrance (HTTP, the NATS intake, heartbeats, reports, inventories, dead letters and their corrections, manifests, files)
//! holds what it takes against the constants here, so that nothing is accepted that a table, another entrance or a reader
//! refuses later. [`columns`] says which limit holds for each column of the tables; a test walks PostgreSQL's catalogue and
//! fails for a column that is not listed or is narrower than its limit.
//!
//! - Lengths of texts count characters, as PostgreSQL's `varchar` does. Only sizes of whole documents count bytes.
//! - Names, ids, keys and URLs that break a limit are refused. Texts that an outside system wrote for people (messages,
//!   phases, errors, versions) are shortened with a visible mark instead: a long error must not hide that there was one.
//! - Reading is more lenient than accepting: what an older version has stored is still read, see [`json::stored`].

pub mod columns;
pub mod json;
mod payloads;
mod table;
mod texts;

pub use payloads::{Payload, controller_id, manifest, read};
pub use table::markdown;
pub use texts::{Check, printable, shorten, url_scheme};

/// Levels of objects and arrays in a document, the outermost counted. PostgreSQL's `jsonb` and serde_json (128) take more; the
/// difference is room for what documents are wrapped in on their way (log rows, kept answers, pages, state files).
pub const DEPTH: usize = 32;
/// Levels that a request's body may have around a free field such as `metadata`, which has [`DEPTH`] of its own.
pub const FRAME: usize = 2;

/// Characters of a name of somebody or something that was named outside: users, principals, idempotency keys, nodes.
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

/// Characters of a message for people from a controller, of an error, or of a reason.
pub const MESSAGE: usize = 2_000;
/// Characters of a reason that an operator gives.
pub const REASON: usize = 500;
/// Characters of the word for why a message was parked.
pub const REASON_WORD: usize = 60;
/// Characters of a platform's own word for a state.
pub const PHASE: usize = 255;
/// Characters of an error's code.
pub const CODE: usize = 100;
/// Characters of a URL.
pub const URL: usize = 2_048;
/// Characters of a platform's name for what runs a session.
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
/// Bytes of a report as it is kept in the log, after its texts were shortened.
pub const REPORT: usize = 65_536;

/// The largest generation that a report may speak of: 2^53, which every language's numbers hold, and above which the engine still
/// has room to count.
pub const GENERATION: i64 = 1 << 53;

/// Bytes of a template's manifest, as it came and as compact JSON. With metadata and its frame a command stays well below the
/// least that a message may have, 1 MiB.
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

/// Characters of a header that means something to us.
pub const HEADER: usize = 4_096;
/// Characters of a value in a path or a query.
pub const PARAMETER: usize = 2_048;
/// Bytes of a file that a program reads as configuration or as a request.
pub const FILE: usize = 4 << 20;

/// Schemes that a session's URL may have. It becomes a link in a browser that trusts this server, so nothing that runs script
/// there or reads files is among them.
pub const URL_SCHEMES: [&str; 7] = ["http", "https", "ws", "wss", "rdp", "vnc", "ssh"];

/// What breaks a limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Breach {
    /// The field, as a path: `metadata.seats[2].name`; empty for the whole document.
    pub field: String,
    /// The limit that it breaks.
    pub rule: String,
    /// The way out.
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

/// Why a document was refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is no JSON, or not of the shape that was expected.
    #[error("{0}")]
    Syntax(#[from] serde_json::Error),
    /// It breaks limits; the first twenty.
    #[error("{}", told(.0))]
    Breaches(Vec<Breach>),
}

fn told(breaches: &[Breach]) -> String {
    breaches.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}
