//! Platforms, as controllers announce them.

use std::collections::BTreeMap;

use super::{Action, Error, UseCases};
use crate::platforms::Announced;

impl UseCases<'_> {
    /// What is announced of each platform that is known, by name.
    ///
    /// # Errors
    /// Why it was not read; so for the other.
    pub async fn platforms(&self) -> Result<BTreeMap<String, Announced>, Error> {
        self.may(Action::ReadCatalog)?;
        Ok(self.engine.platforms().await?)
    }

    /// The names of the platforms that are known.
    #[allow(clippy::missing_errors_doc)]
    pub async fn platform_names(&self) -> Result<Vec<String>, Error> {
        self.may(Action::ReadCatalog)?;
        Ok(self.engine.platform_names().await?)
    }
}
