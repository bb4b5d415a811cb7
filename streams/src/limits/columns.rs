//! Which limit holds for each column that can hold text.
//!
//! Numbers, times and UUIDs are as wide in the tables as in the types that they are read into, and are not listed.

use super::{
    CAPABILITIES, CAPABILITY, CORE_CONTROLLER_ID, DESCRIPTION, DISPLAY_NAME, ENTITY, FREE_JSON, ICON, IMAGE, LABEL,
    LABELS, MANIFEST, MESSAGE, NAME, PHASE, PLATFORM, QUANTITY, REASON, REASON_WORD, REPORT, RESOURCE_NAME,
    SEALING_KEY, TAG, TAGS, TEMPLATE_NAME, URL, VERSION,
};

/// What a column holds at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// So many characters; what is longer is refused where it comes in.
    Characters(usize),
    /// So many characters; what is longer is shortened where it comes in.
    Shortened(usize),
    /// JSON of so many bytes; what is longer is refused where it comes in.
    Json(usize),
    /// Words of this program: fixed, or made of what is bounded in other columns.
    Own,
    /// A whole message, as large as the stream took it.
    Message,
}

/// A column and its bound.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    /// Its table.
    pub table: &'static str,
    /// Its name.
    pub name: &'static str,
    /// What it holds at most.
    pub bound: Bound,
}

const fn column(table: &'static str, name: &'static str, bound: Bound) -> Column {
    Column { table, name, bound }
}

/// The column of this table and name.
#[must_use]
pub fn find(table: &str, name: &str) -> Option<&'static Column> {
    ALL.iter().find(|column| column.table == table && column.name == name)
}

/// Bytes of a character in JSON, where it is escaped.
const ESCAPED: usize = 6;
/// Bytes of a list of names, and of labels.
const fn names(count: usize, characters: usize) -> usize {
    count * (ESCAPED * characters + 3) + 2
}

use Bound::{Characters, Json, Message, Own, Shortened};

/// Every column of text, JSON or bytes in every table.
pub const ALL: &[Column] = &[
    column("sessions", "user_id", Characters(NAME)),
    column("sessions", "template_id", Characters(TEMPLATE_NAME)),
    column("sessions", "template", Json(MANIFEST)),
    column("sessions", "platform", Characters(PLATFORM)),
    column("sessions", "controller_id", Characters(CORE_CONTROLLER_ID)),
    column("sessions", "lane", Own),
    column("sessions", "placement", Own),
    column("sessions", "status", Own),
    column("sessions", "desired", Own),
    column("sessions", "resources", Json(names(2, QUANTITY) + 32)),
    column("sessions", "selector", Json(2 * names(LABELS, LABEL))),
    column("sessions", "tags", Json(names(TAGS, TAG))),
    column("sessions", "metadata", Json(FREE_JSON)),
    column("sessions", "reason", Shortened(MESSAGE)),
    column("sessions", "message", Shortened(MESSAGE)),
    column("sessions", "phase", Shortened(PHASE)),
    column("sessions", "url", Characters(URL)),
    column("sessions", "pod_name", Characters(RESOURCE_NAME)),
    column("sessions", "command_verb", Own),
    column("sessions", "failures", Own),
    column("sessions", "last_sign", Own),
    column("sessions", "resource_usage", Json(names(2, QUANTITY) + 32)),
    column("event_log", "subject", Characters(NAME)),
    column("event_log", "payload", Json(2 * MANIFEST + REPORT)),
    column("event_log", "processed_by", Characters(CORE_CONTROLLER_ID)),
    column("event_log", "status", Own),
    column("event_log", "error_message", Own),
    column("event_log", "entity", Characters(ENTITY)),
    column("event_log", "kind", Own),
    column("event_log", "direction", Own),
    column("event_log", "lane", Own),
    column("event_log", "controller_id", Characters(CORE_CONTROLLER_ID)),
    column("event_log", "changes", Own),
    column("event_log", "traceparent", Own),
    column("platform_controllers", "controller_id", Characters(CORE_CONTROLLER_ID)),
    column("platform_controllers", "platform", Characters(PLATFORM)),
    column("platform_controllers", "display_name", Characters(DISPLAY_NAME)),
    column("platform_controllers", "status", Own),
    column("platform_controllers", "version", Shortened(VERSION)),
    column("platform_controllers", "capabilities", Json(names(CAPABILITIES, CAPABILITY))),
    column("platform_controllers", "cluster_info", Json(FREE_JSON)),
    column("platform_controllers", "capacity", Own),
    column("platform_controllers", "labels", Json(2 * names(LABELS, LABEL))),
    column("platform_controllers", "sealing_key", Characters(SEALING_KEY)),
    column("platform_controllers", "reason", Shortened(MESSAGE)),
    column("platform_controllers", "breaker", Own),
    column("platform_controllers", "breaker_kinds", Own),
    column("platform_controllers", "breaker_by", Own),
    column("platform_controllers", "breaker_reason", Shortened(MESSAGE)),
    column("platform_controllers", "breaker_failing", Own),
    column("platform_controllers", "breaker_ran", Own),
    column("platform_controllers", "refused_why", Own),
    column("platform_controllers", "revoked_by", Characters(NAME)),
    column("platform_controllers", "revoked_reason", Characters(REASON)),
    column("templates", "name", Characters(TEMPLATE_NAME)),
    column("templates", "display_name", Characters(DISPLAY_NAME)),
    column("templates", "description", Characters(DESCRIPTION)),
    column("templates", "category", Characters(DISPLAY_NAME)),
    column("templates", "icon", Characters(ICON)),
    column("templates", "base_image", Characters(IMAGE)),
    column("templates", "tags", Json(names(TAGS, TAG))),
    column("templates", "manifest", Json(MANIFEST)),
    column("templates", "source", Own),
    column("installed_applications", "template_name", Characters(TEMPLATE_NAME)),
    column("installed_applications", "display_name", Characters(DISPLAY_NAME)),
    column("installed_applications", "manifest", Json(MANIFEST)),
    column("installed_applications", "installed_by", Characters(NAME)),
    column("installed_applications", "install_status", Own),
    column("installed_applications", "install_message", Shortened(MESSAGE)),
    column("installed_applications", "platform", Characters(PLATFORM)),
    column("installed_applications", "controller_id", Characters(CORE_CONTROLLER_ID)),
    column("installed_applications", "desired", Own),
    column("installed_applications", "lane", Own),
    column("installed_applications", "reason", Shortened(MESSAGE)),
    column("installed_applications", "command_verb", Own),
    column("installed_applications", "failures", Own),
    column("dead_letters", "source", Own),
    column("engine_secrets", "name", Own),
    column("engine_secrets", "secret", Own),
    column("dead_letters", "subject", Shortened(NAME)),
    column("dead_letters", "reason", Shortened(REASON_WORD)),
    column("dead_letters", "error", Own),
    column("dead_letters", "payload", Message),
    column("dead_letters", "headers", Message),
    column("dead_letters", "attempts", Own),
    column("dead_letters", "entity", Characters(ENTITY)),
    column("dead_letters", "controller_id", Characters(CORE_CONTROLLER_ID)),
    column("dead_letters", "platform", Characters(PLATFORM)),
    column("dead_letters", "fingerprint", Own),
    column("dead_letters", "status", Own),
    column("dead_letters", "note", Characters(REASON)),
    column("dead_letters", "settled_by", Characters(NAME)),
    column("dead_letters", "edit", Message),
    column("dead_letters", "digest", Own),
    column("dead_letters", "repeats", Own),
    column("idempotency_keys", "principal", Characters(NAME)),
    column("idempotency_keys", "key", Characters(NAME)),
    column("idempotency_keys", "request_hash", Own),
    column("idempotency_keys", "answer", Own),
    column("jobs", "kind", Own),
    column("jobs", "status", Own),
    column("jobs", "filter", Own),
    column("jobs", "created_by", Characters(NAME)),
    column("jobs", "failures", Own),
    column("jobs", "outlook", Own),
    column("jobs", "canary", Own),
    column("jobs", "reason", Own),
    column("jobs", "scan", Own),
    column("debts", "controller_id", Characters(CORE_CONTROLLER_ID)),
    column("debts", "user_id", Characters(NAME)),
    column("debts", "platform", Characters(PLATFORM)),
    column("debts", "lane", Own),
    column("debts", "status", Own),
    column("debts", "reason", Shortened(MESSAGE)),
    column("debts", "message", Shortened(MESSAGE)),
    column("debts", "command_verb", Own),
    column("debts", "failures", Own),
    column("stream_epochs", "name", Own),
    column("stream_epochs", "created_at", Own),
    column("meta", "key", Own),
    column("meta", "value", Own),
];
