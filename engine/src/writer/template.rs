//! What happens when a template is written or deleted.

use std::sync::Arc;

use sea_orm::{DatabaseTransaction, DbErr};
use serde_json::{Value, json};
use streams::wire::Manifest;
use uuid::Uuid;

use super::Error;
use super::batch::{Batch, Slot, State};
use super::work::{Done, TemplateWrite, Written, WrittenTemplate};
use crate::entities::replace;
use crate::entities::session::Pinned;
use crate::store::{event, template};

impl Batch<'_> {
    pub(super) fn template(&mut self, write: &TemplateWrite, trace: Option<&str>) -> Result<Done, Error> {
        match write {
            TemplateWrite::Put { manifests, built_in } => {
                let source = if *built_in { "built_in" } else { "operator" };
                for manifest in manifests {
                    self.sizes.check_template(manifest)?; // all of them before any is written
                }
                let each = manifests.iter().map(|manifest| self.put_template(manifest, source, None, trace));
                each.collect::<Result<_, _>>().map(Done::Templates)
            }
            TemplateWrite::Delete { name } => Ok(Done::Templates(vec![self.delete_template(name, trace)?])),
        }
    }

    pub(super) fn living_template(&self, name: &str) -> Result<&template::Model, Error> {
        let living = self.templates.get(name).map(|slot| &slot.row).filter(|row| !row.deleted);
        living.ok_or_else(|| missing(name))
    }

    /// What a session that is created now takes of its template.
    pub(super) fn pinned(&mut self, name: &str) -> Result<Arc<Pinned>, Error> {
        if let Some(pinned) = self.pinned.get(name) {
            return Ok(pinned.clone());
        }
        let pinned = Arc::new(Pinned::of(&self.living_template(name)?.manifest));
        self.pinned.insert(name.to_owned(), pinned.clone());
        Ok(pinned)
    }

    /// Writes a template; `source` says who does. A new one gets the next number of the catalog, unless it has one already.
    pub(super) fn put_template(
        &mut self,
        manifest: &Manifest,
        source: &str,
        catalog_id: Option<i64>,
        trace: Option<&str>,
    ) -> Result<WrittenTemplate, Error> {
        self.sizes.check_template(manifest)?;
        let name = manifest.metadata.name.clone();
        let now_ms = self.now_ms;
        let Some(slot) = self.templates.get_mut(&name) else {
            let row = row_of(manifest, source, catalog_id.unwrap_or(self.next_catalog_id), now_ms);
            self.next_catalog_id += i64::from(catalog_id.is_none());
            self.templates.insert(name.clone(), Slot { row, state: State::New });
            return self.template_changed(&name, Written::Created, None, trace);
        };
        let category_before = (!slot.row.deleted).then(|| slot.row.category.clone());
        let mut next = row_of(manifest, source, slot.row.catalog_template_id, slot.row.created_ms);
        (next.generation, next.entity_seq, next.updated_ms) =
            (slot.row.generation, slot.row.entity_seq, slot.row.updated_ms);
        if next == slot.row {
            return Ok(written(&next, Written::Unchanged, category_before));
        }
        let what = if slot.row.deleted { Written::Created } else { Written::Updated };
        next.generation += 1;
        next.updated_ms = now_ms;
        slot.row = next;
        slot.touch();
        self.template_changed(&name, what, category_before, trace)
    }

    pub(super) fn delete_template(&mut self, name: &str, trace: Option<&str>) -> Result<WrittenTemplate, Error> {
        let now_ms = self.now_ms;
        let slot = self.templates.get_mut(name).filter(|slot| !slot.row.deleted).ok_or_else(|| missing(name))?;
        slot.row.deleted = true;
        slot.row.generation += 1;
        slot.row.updated_ms = now_ms;
        slot.touch();
        self.template_changed(name, Written::Deleted, None, trace)
    }

    fn template_changed(
        &mut self,
        name: &str,
        what: Written,
        category_before: Option<String>,
        trace: Option<&str>,
    ) -> Result<WrittenTemplate, Error> {
        self.pinned.remove(name);
        let slot = self.templates.get_mut(name).ok_or_else(|| missing(name))?;
        slot.row.entity_seq += 1;
        let row = slot.row.clone();
        let subject = format!("streamspace.decision.template_{}", what.as_str());
        let mut log = self.log_row(event::Kind::Decision, Uuid::now_v7(), subject, template::Model::entity(name));
        log.payload = json!({ "decision": format!("template_{}", what.as_str()), "template_name": name }).into();
        log.changes = serde_json::to_value(&row).ok().map(|row| without_seq(row).into());
        log.entity_seq = row.entity_seq;
        log.generation = row.generation;
        log.traceparent = trace.map(str::to_owned);
        self.log.push(log);
        Ok(written(&row, what, category_before))
    }

    pub(super) async fn flush_templates(&mut self, tx: &DatabaseTransaction) -> Result<(), DbErr> {
        let touched = self.templates.values().filter(|slot| slot.state != State::Clean);
        replace::<template::Entity>(tx, touched.map(|slot| slot.row.clone()).collect()).await
    }
}

fn written(row: &template::Model, written: Written, category_before: Option<String>) -> WrittenTemplate {
    let (name, catalog_template_id) = (row.name.clone(), row.catalog_template_id);
    WrittenTemplate { name, catalog_template_id, written, category_before }
}

fn missing(name: &str) -> Error {
    Error::NotFound { what: "template", name: name.to_owned() }
}

fn without_seq(mut row: Value) -> Value {
    if let Some(row) = row.as_object_mut() {
        row.remove("entity_seq");
    }
    row
}

fn row_of(manifest: &Manifest, source: &str, catalog_template_id: i64, now_ms: i64) -> template::Model {
    let spec = &manifest.spec;
    template::Model {
        name: manifest.metadata.name.clone(),
        catalog_template_id,
        display_name: spec.display_name.clone(),
        description: spec.description.clone(),
        category: spec.category.clone(),
        icon: spec.icon.clone(),
        base_image: spec.base_image.clone(),
        tags: json!(spec.tags),
        manifest: json!(manifest),
        generation: 1,
        built_in: source == "built_in",
        source: source.to_owned(),
        deleted: false,
        created_ms: now_ms,
        updated_ms: now_ms,
        entity_seq: 0,
    }
}
