//! Templates.

use streams::wire::Manifest;

use super::{Action, Error, UseCases};
use crate::queries::{self, Rows, Seek};
use crate::store::template;
use crate::writer::WrittenTemplate;

impl UseCases<'_> {
    /// Creates or replaces templates that were checked: either all of them or none.
    ///
    /// # Errors
    /// Why they were not written, or not read; so for the others.
    pub async fn put_templates(&self, manifests: Vec<Manifest>) -> Result<Vec<WrittenTemplate>, Error> {
        self.may(Action::ManageTemplates)?;
        Ok(self.engine.put_templates(manifests).await?)
    }

    /// A page of templates by name.
    #[allow(clippy::missing_errors_doc)]
    pub async fn list_templates(
        &self,
        category: Option<&str>,
        seek: Option<Seek<String>>,
        limit: u64,
    ) -> Result<Rows<template::Model>, Error> {
        self.may(Action::ReadCatalog)?;
        Ok(queries::templates(self.engine.reader(), category, seek, limit).await?)
    }

    /// One template.
    #[allow(clippy::missing_errors_doc)]
    pub async fn template(&self, name: &str) -> Result<template::Model, Error> {
        self.may(Action::ReadCatalog)?;
        let row = queries::template(self.engine.reader(), name).await?.filter(|row| !row.deleted);
        row.ok_or_else(|| Error::not_found("template", name))
    }

    /// Deletes a template; sessions keep what they were created with.
    #[allow(clippy::missing_errors_doc)]
    pub async fn delete_template(&self, name: &str) -> Result<(), Error> {
        self.may(Action::ManageTemplates)?;
        Ok(self.engine.delete_template(name).await?)
    }
}
