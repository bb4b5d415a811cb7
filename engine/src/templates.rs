//! How templates are written, and those that requests are checked against, kept in memory for a moment.
//!
//! The latter spares each request a read. It decides nothing: what a session gets is read again in the transaction that accepts it.

use std::sync::Arc;
use std::time::Duration;

use moka::future::Cache;
use sea_orm::{ConnectionTrait, DbErr};
use streams::wire::Manifest;

use crate::Engine;
use crate::platforms::Mistake;
use crate::request::{FieldError, Invalid};
use crate::writer::{self, TemplateWrite, WrittenTemplate};

/// How long a change that another engine made may stay unseen here. What changes here is seen at once.
const AGE: Duration = Duration::from_secs(1);
/// Mistakes of a request that are named.
const MISTAKES_MAX: usize = 20;
const KEPT: u64 = 1_024;

impl Engine {
    /// Creates or replaces templates that were checked: either all of them or none.
    ///
    /// # Errors
    /// Why they were not written.
    pub async fn put_templates(&self, manifests: Vec<Manifest>) -> Result<Vec<WrittenTemplate>, writer::Error> {
        self.check_blocks(&manifests)?;
        let names: Vec<String> = manifests.iter().map(|manifest| manifest.metadata.name.clone()).collect();
        let write = TemplateWrite::Put { manifests, built_in: false };
        let written = self.parts.writer.submit(write).await;
        for name in &names {
            self.templates.forget(name).await;
        }
        written
    }

    /// Checks the platforms' blocks against what their controllers accept.
    fn check_blocks(&self, manifests: &[Manifest]) -> Result<(), Invalid> {
        let of = |(index, manifest): (usize, &Manifest)| {
            let place = if manifests.len() == 1 { String::new() } else { format!("documents[{index}].") };
            let mistakes = self.parts.platforms.all_mistakes(manifest).into_iter();
            let hint = "correct it and send the whole request again; nothing of it was accepted";
            let placed =
                move |Mistake { field, rule }| FieldError { field: place.clone() + &field, rule, hint: hint.into() };
            mistakes.map(placed).collect::<Vec<_>>()
        };
        let mistakes: Vec<_> = manifests.iter().enumerate().flat_map(of).take(MISTAKES_MAX).collect();
        if mistakes.is_empty() { Ok(()) } else { Err(Invalid(mistakes)) }
    }

    /// Deletes a template; sessions keep what they were created with.
    ///
    /// # Errors
    /// Why it was not done.
    pub async fn delete_template(&self, name: &str) -> Result<(), writer::Error> {
        let write = TemplateWrite::Delete { name: name.to_owned() };
        let written = self.parts.writer.submit(write).await;
        self.templates.forget(name).await;
        written.map(drop)
    }
}

/// Manifests of templates that exist, by name. Those that do not exist are asked for each time.
#[derive(Debug, Clone)]
pub(crate) struct Templates(Cache<String, Arc<Manifest>>);

impl Templates {
    pub(crate) fn new() -> Self {
        Self(Cache::builder().max_capacity(KEPT).time_to_live(AGE).build())
    }

    /// The manifest of a template that exists and is not deleted.
    pub(crate) async fn living(&self, db: &impl ConnectionTrait, name: &str) -> Result<Option<Arc<Manifest>>, DbErr> {
        if !streams::limits::printable(name, streams::limits::TEMPLATE_NAME) {
            return Ok(None);
        }
        if let Some(manifest) = self.0.get(name).await {
            return Ok(Some(manifest));
        }
        let row = Box::pin(crate::queries::template(db, name)).await?.filter(|row| !row.deleted);
        let manifest = row.and_then(|row| serde_json::from_value::<Manifest>(row.manifest).ok()).map(Arc::new);
        if let Some(manifest) = &manifest {
            self.0.insert(name.to_owned(), manifest.clone()).await;
        }
        Ok(manifest)
    }

    /// A template was written.
    pub(crate) async fn forget(&self, name: &str) {
        self.0.invalidate(name).await;
    }
}
