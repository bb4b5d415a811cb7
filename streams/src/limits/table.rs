//! The limits as a table for `docs/limits.md`, which a test compares.

use super::{
    CAPABILITIES, CAPABILITY, CODE, CONTROLLER_ID, CORE_CONTROLLER_ID, DEPTH, DESCRIPTION, DISPLAY_NAME, ENTRIES, FILE,
    FREE_JSON, HEADER, ICON, IMAGE, LABEL, LABELS, MANIFEST, MESSAGE, NAME, PARAMETER, PHASE, PLATFORM, QUANTITY,
    REASON, REPORT, RESOURCE_NAME, SCHEMA_HASH, SEALING_KEY, TAG, TAGS, TEMPLATE_NAME, URL, URL_SCHEMES, USER_TOKEN,
    VERSION,
};
use crate::wire::SCHEMA_BYTES_MAX;

/// One row: the bound, its value, and what happens beyond it.
type Row = (&'static str, String, &'static str);

const REFUSED: &str = "refused with the field named: 422 or 400 for a request, parked as a message";
const SHORTENED: &str = "shortened, with `… [shortened from N characters]` at its end";

/// Rows of a Markdown table: bound, default, setting, what happens there. None has a setting, because tables
/// and peers rely on the values.
#[must_use]
pub fn markdown() -> String {
    let mut text = String::from("| bound | default | setting | what happens there |\n|---|---|---|---|\n");
    for (bound, value, beyond) in rows() {
        text.push_str(&format!("| {bound} | {value} | - | {beyond} |\n"));
    }
    text
}

fn characters(count: usize) -> String {
    format!("{count} characters")
}

fn bytes(count: usize) -> String {
    match count {
        count if count % (1 << 20) == 0 => format!("{} MiB", count >> 20),
        count => format!("{} KiB", count >> 10),
    }
}

fn rows() -> Vec<Row> {
    let mut rows = documents();
    rows.extend(names());
    rows.extend(controllers());
    rows.extend(templates());
    rows
}

fn documents() -> Vec<Row> {
    vec![
        (
            "levels of JSON or YAML: a report, a heartbeat, a manifest, or `metadata` in a request",
            DEPTH.to_string(),
            REFUSED,
        ),
        ("integers", "-2^63 to 2^64-1".into(), REFUSED),
        ("other numbers", "finite, as 64-bit floats".into(), REFUSED),
        ("duplicate keys in one object; NUL characters", "none".into(), REFUSED),
        ("`metadata` of a session, `cluster_info` and `attributes` of a heartbeat", bytes(FREE_JSON), REFUSED),
        (
            "header that is interpreted (`If-Match`, `Idempotency-Key`, ...)",
            characters(HEADER),
            "400; also if it is not ASCII, repeated, or a condition that the operation does not support",
        ),
        ("value in a path or a query", characters(PARAMETER), "400"),
        ("file that the command line reads", bytes(FILE), "refused"),
        ("levels of data stored by an earlier version", "512".into(), "deeper data cannot be read"),
    ]
}

fn names() -> Vec<Row> {
    vec![
        ("user, principal, idempotency key, node", characters(NAME), REFUSED),
        ("user in a NATS subject", format!("{USER_TOKEN} of `A-Za-z0-9_-`"), REFUSED),
        ("platform", format!("{PLATFORM} of `a-z0-9-`"), REFUSED),
        ("controller id in the durable lane", format!("{CONTROLLER_ID} of `A-Za-z0-9-`"), REFUSED),
        ("controller id in the core lane", characters(CORE_CONTROLLER_ID), REFUSED),
        ("template name", characters(TEMPLATE_NAME), REFUSED),
        ("tags", format!("{TAGS} of {}", characters(TAG)), REFUSED),
        ("labels", format!("{LABELS}, name and value of {}", characters(LABEL)), REFUSED),
        ("quantity, such as `512Mi`", characters(QUANTITY), REFUSED),
        ("reason given by an operator", characters(REASON), REFUSED),
    ]
}

fn controllers() -> Vec<Row> {
    vec![
        ("message or error in a report", characters(MESSAGE), SHORTENED),
        ("phase in a report", characters(PHASE), SHORTENED),
        ("version of a controller", characters(VERSION), SHORTENED),
        ("code of an error", characters(CODE), REFUSED),
        ("platform's name for the resource that runs a session", characters(RESOURCE_NAME), REFUSED),
        ("URL of a session", format!("{}, one of the schemes {}", characters(URL), URL_SCHEMES.join(", ")), REFUSED),
        ("capabilities", format!("{CAPABILITIES} of {}", characters(CAPABILITY)), REFUSED),
        ("sealing key", characters(SEALING_KEY), REFUSED),
        ("hash of a platform's template schema", characters(SCHEMA_HASH), REFUSED),
        ("a platform's template schema", bytes(SCHEMA_BYTES_MAX), REFUSED),
        ("generation in a report", "0 to 2^53".into(), REFUSED),
        ("report as it is logged, except `template.create`", bytes(REPORT), REFUSED),
    ]
}

fn templates() -> Vec<Row> {
    vec![
        ("manifest, as received and as JSON", bytes(MANIFEST), REFUSED),
        ("display name, category", characters(DISPLAY_NAME), REFUSED),
        ("description", characters(DESCRIPTION), REFUSED),
        ("icon: a path, `http`, `https` or `data:image/`", characters(ICON), REFUSED),
        ("image", characters(IMAGE), REFUSED),
        ("ports, variables, mounts, arguments", format!("{ENTRIES} of each"), REFUSED),
    ]
}
