//! An application's row as it is first written, the columns that people set, and its commands' payloads.

use machine::application::Application;
use serde_json::{Map, Value, json};
use streams::subject::Verb;
use streams::wire::{AppInstall, AppUninstall};
use uuid::Uuid;

use crate::entities::application;
use crate::store::text::Body;
use crate::writer::NewApplication;

pub(crate) fn first(new: &NewApplication, catalog_id: i64, facts: &Application, now_ms: i64) -> application::Model {
    let mut row = application::Model {
        install_id: new.install_id,
        catalog_template_id: catalog_id,
        template_name: new.manifest.metadata.name.clone(),
        display_name: new.manifest.spec.display_name.clone(),
        manifest: new.text.clone(),
        installed_by: new.installed_by.clone(),
        platform: new.platform.clone(),
        created_ms: now_ms,
        ..application::Model::default()
    };
    row.assume(facts.clone(), now_ms);
    row.command_verb = None; // what was open before there was a row
    row
}

/// The columns that people set, for the log.
pub(crate) fn asked(row: &application::Model) -> Map<String, Value> {
    let asked = json!({ "template_name": row.template_name, "display_name": row.display_name, "manifest": row.manifest,
        "installed_by": row.installed_by, "platform": row.platform, "catalog_template_id": row.catalog_template_id });
    asked.as_object().cloned().unwrap_or_default()
}

pub(crate) fn is_gone(row: &application::Model) -> bool {
    row.install_status == "uninstalled"
}

/// The contract's payload of a command.
pub(crate) fn payload(row: &application::Model, after: &Application, event_id: Uuid, verb: Verb, now_ms: i64) -> Body {
    let timestamp = chrono::DateTime::from_timestamp_millis(now_ms).unwrap_or_default();
    let (install_id, template_name) = (row.install_id, row.template_name.clone());
    let (platform, generation, attempt) = (row.platform.clone(), after.command.generation, after.command.attempt);
    if verb == Verb::AppUninstall {
        let command = AppUninstall { event_id, timestamp, install_id, template_name, platform, generation, attempt };
        return Body::object(&command);
    }
    Body::object(&AppInstall {
        event_id,
        timestamp,
        install_id,
        catalog_template_id: row.catalog_template_id,
        template_name,
        display_name: row.display_name.clone(),
        manifest: row.manifest.clone(),
        installed_by: row.installed_by.clone(),
        platform,
        generation,
        attempt,
    })
}
