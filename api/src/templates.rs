//! Templates: the resource and its operations.

use std::collections::HashMap;
use std::sync::Arc;

use engine::Engine;
use engine::store::template;
use engine::use_cases::WrittenTemplate;
use poem_openapi::param::{Path, Query};
use poem_openapi::{ApiResponse, Object, OpenApi};
use serde::Serialize;
use serde_json::Value;
use streams::wire::Manifest;

use crate::auth::Caller;
use crate::cursor::{Limit, LivePage, Window};
use crate::document::Tag;
use crate::json::Json;
use crate::manifests::Manifests;
use crate::problem::{Change, Creation, Listing, Lookup, Refused};
use crate::timestamp::Timestamp;

/// A template, from which sessions are created.
#[derive(Debug, Object, Serialize)]
pub(crate) struct Template {
    /// Its name, which sessions refer to as `template_id`.
    name: String,
    /// Its number in the catalog; never reused.
    catalog_template_id: i64,
    /// Display name.
    display_name: String,
    /// Description.
    description: String,
    /// Category in the catalog.
    category: String,
    /// Icon.
    icon: Option<String>,
    /// Image for container platforms.
    base_image: Option<String>,
    /// Tags for searches.
    tags: Vec<String>,
    /// Whether it is shipped with the server.
    built_in: bool,
    /// Grows with every change.
    generation: i64,
    /// Time of its creation.
    created_at: Timestamp,
    /// Time of its last change.
    updated_at: Timestamp,
    /// The complete manifest; not in lists.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    manifest: Option<Value>,
}

impl Template {
    fn brief(row: template::Model) -> Self {
        Self {
            name: row.name,
            catalog_template_id: row.catalog_template_id,
            display_name: row.display_name,
            description: row.description,
            category: row.category,
            icon: row.icon,
            base_image: row.base_image,
            tags: serde_json::from_value(row.tags).unwrap_or_default(),
            built_in: row.built_in,
            generation: row.generation,
            created_at: Timestamp::from_ms(row.created_ms),
            updated_at: Timestamp::from_ms(row.updated_ms),
            manifest: None,
        }
    }

    fn whole(row: template::Model) -> Self {
        let manifest = Some(row.manifest.clone());
        Self { manifest, ..Self::brief(row) }
    }
}

/// The result for one manifest.
#[derive(Debug, Object, Serialize)]
struct Written {
    /// The template.
    name: String,
    /// `created`, `updated` or `unchanged`.
    outcome: String,
    /// Its number in the catalog.
    catalog_template_id: i64,
    /// Accepted, but possibly not intended.
    warnings: Vec<String>,
}

/// The results for all manifests of a request, in order.
#[derive(Debug, Object, Serialize)]
struct WrittenAll {
    items: Vec<Written>,
}

/// A deleted template.
#[derive(ApiResponse)]
enum Deleted {
    /// It is deleted; existing sessions are not affected.
    #[oai(status = 204)]
    Gone,
}

pub(crate) struct Templates(pub(crate) Arc<Engine>);

#[OpenApi(tag = "Tag::Templates")]
impl Templates {
    /// Create or replace templates
    ///
    /// A JSON manifest, or YAML with any number of documents. All are accepted, or none if one is invalid.
    #[oai(path = "/templates", method = "post", operation_id = "put_templates")]
    async fn put(&self, caller: Caller, manifests: Manifests) -> Result<Json<WrittenAll>, Refused<Creation>> {
        let acting = caller.on(&self.0);
        let warnings = warn(&manifests.0, &acting.platform_names().await?);
        let categories: Vec<String> = manifests.0.iter().map(|manifest| manifest.spec.category.clone()).collect();
        let written = acting.put_templates(manifests.0).await?;
        let items = written.into_iter().zip(warnings).zip(categories);
        Ok(Json(WrittenAll { items: items.map(|((one, warnings), now)| shown(one, warnings, &now)).collect() }))
    }

    /// List templates
    #[oai(path = "/templates", method = "get", operation_id = "list_templates")]
    async fn list(
        &self,
        caller: Caller,
        /// Filter by category.
        category: Query<Option<String>>,
        /// Page size: 1 to 200, default 50.
        limit: Query<Option<Limit>>,
        /// The `next_cursor` or `prev_cursor` of another page.
        cursor: Query<Option<String>>,
    ) -> Result<Json<LivePage<Template>>, Refused<Listing>> {
        let acting = caller.on(&self.0);
        let window = Window::<String>::open(&acting, "templates", &category.0, limit.0, cursor.as_deref()).await?;
        let (category, fetch) = (category.as_deref(), window.fetch());
        let rows = acting.list_templates(category, window.seek(), fetch).await?;
        Ok(Json(window.page(rows, |row| row.name.clone(), Template::brief)))
    }

    /// Read a template
    #[oai(path = "/templates/:name", method = "get", operation_id = "get_template")]
    async fn get(&self, caller: Caller, name: Path<String>) -> Result<Json<Template>, Refused<Lookup>> {
        Ok(Json(Template::whole(caller.on(&self.0).template(&name).await?)))
    }

    /// Delete a template
    ///
    /// Existing sessions are not affected.
    #[oai(path = "/templates/:name", method = "delete", operation_id = "delete_template")]
    async fn delete(&self, caller: Caller, name: Path<String>) -> Result<Deleted, Refused<Change>> {
        caller.on(&self.0).delete_template(&name).await?;
        Ok(Deleted::Gone)
    }
}

/// Warnings about each manifest that can be derived from the manifests and the names of the platforms.
fn warn(manifests: &[Manifest], platforms: &[String]) -> Vec<Vec<String>> {
    let mut seen: HashMap<&str, usize> = HashMap::new();
    let mut all = Vec::new();
    for (i, manifest) in manifests.iter().enumerate() {
        let unknown = manifest.unknown_fields(platforms).into_iter();
        let mut warnings: Vec<String> =
            unknown.map(|field| format!("{field} is kept, but nothing here acts on it")).collect();
        if let Some(before) = seen.insert(&manifest.metadata.name, i) {
            warnings.push(format!("documents[{before}] of this request has the same name: this one replaces it"));
        }
        all.push(warnings);
    }
    all
}

fn shown(one: WrittenTemplate, mut warnings: Vec<String>, category: &str) -> Written {
    if let Some(before) = one.category_before.filter(|before| before != category) {
        warnings.push(format!("the category changes from {before:?} to {category:?}; is it the same application?"));
    }
    let (name, catalog_template_id) = (one.name, one.catalog_template_id);
    Written { name, outcome: one.written.as_str().to_owned(), catalog_template_id, warnings }
}
