//! What a request for an application must be before it becomes an intent, and what is then asked of it.
//!
//! The manifest's text is kept as it came, so that the lines that errors name are those of whoever wrote it.

use sea_orm::ConnectionTrait;
use serde_json::json;
use streams::limits::{MANIFEST, TEMPLATE_NAME, printable, shorten};
use streams::wire::{Manifest, line_of};
use uuid::Uuid;

use crate::Engine;
use crate::hint::Hint;
use crate::platforms::{Mistake, Platforms};
use crate::request::{Error, FieldError, Invalid, mistakes};
use crate::store::application;
use crate::writer::{self, NewApplication, UninstallApplication};

/// A request as it came: a manifest, or the name of a template whose manifest is meant.
#[derive(Debug, Clone, Default)]
#[allow(missing_docs)] // the fields are those of the API
pub struct InstallApplication {
    pub manifest: Option<String>,
    pub template_name: Option<String>,
    pub platform: Option<String>,
    pub installed_by: String,
}

impl Engine {
    /// Installs an application, or upgrades the one of its name on its platform; answers once that is durable.
    ///
    /// # Errors
    /// [`Error`]: invalid fields, or why it could not be written.
    pub async fn install(&self, request: InstallApplication) -> Result<application::Model, Error> {
        let new = async {
            self.room()?;
            check(&self.parts.database.reader, &self.parts.platforms, request).await
        };
        self.parts.writer.once(new).await
    }

    /// What is wrong with the values of a request that is refused anyway, so that the refusal can name them too.
    ///
    /// # Errors
    /// What the database says.
    pub async fn install_mistakes(&self, request: InstallApplication) -> Result<Vec<FieldError>, Error> {
        mistakes(check(&self.parts.database.reader, &self.parts.platforms, request).await)
    }

    /// Uninstalls an application; `force`: also while sessions use its template. Answers once that is durable.
    ///
    /// # Errors
    /// Why it was refused or not written.
    pub async fn uninstall(&self, id: Uuid, force: bool) -> Result<application::Model, writer::Error> {
        self.parts.writer.submit(UninstallApplication { id, force }).await
    }
}

/// Checks a request against the rules and against what exists.
async fn check(
    db: &impl ConnectionTrait,
    platforms: &Platforms,
    request: InstallApplication,
) -> Result<NewApplication, Error> {
    let platform = platforms.of_request(db, request.platform.as_deref()).await?;
    let (mut mistakes, platform) = match platform {
        Ok(platform) => (Vec::new(), Some(platform)),
        Err(mistake) => (vec![mistake], None),
    };
    let (text, manifest) = match read(db, &request).await? {
        Ok(read) => read,
        Err(mistake) => {
            mistakes.push(mistake);
            return Err(Invalid(mistakes).into());
        }
    };
    mistakes.extend(platform.iter().flat_map(|platform| check_runnable(&manifest, &text, platform, platforms)));
    let (Some(platform), true) = (platform, mistakes.is_empty()) else { return Err(Invalid(mistakes).into()) };
    let (install_id, event_id) = (Uuid::now_v7(), Uuid::now_v7());
    Ok(NewApplication { install_id, event_id, text, manifest, installed_by: request.installed_by, platform })
}

fn mistake(field: &str, rule: impl Into<String>, hint: impl Into<Hint>) -> FieldError {
    FieldError { field: field.into(), rule: rule.into(), hint: hint.into() }
}

type Read = Result<(String, Manifest), FieldError>;

/// The manifest that is meant, as text and as what it says.
async fn read(db: &impl ConnectionTrait, request: &InstallApplication) -> Result<Read, Error> {
    match (&request.manifest, &request.template_name) {
        (Some(text), None) => Ok(parse(text)),
        (None, Some(name)) => of_template(db, name).await,
        _ => Ok(Err(mistake("manifest", "exactly one of manifest and template_name is needed", "leave the other out"))),
    }
}

fn parse(text: &str) -> Read {
    let hint = "correct it and send it again; nothing was accepted";
    if text.len() > MANIFEST || text.contains('\0') {
        let rule = format!("must be YAML of at most {MANIFEST} bytes without NUL characters");
        return Err(mistake("manifest", rule, hint));
    }
    let mut all = Manifest::parse_all(text).map_err(|error| mistake("manifest", error.in_text(text), hint))?;
    if all.len() != 1 {
        let rule = format!("must hold one document, not {}", all.len());
        return Err(mistake("manifest", rule, "install each with a request of its own"));
    }
    Ok((text.to_owned(), all.swap_remove(0)))
}

async fn of_template(db: &impl ConnectionTrait, name: &str) -> Result<Read, Error> {
    let row = if printable(name, TEMPLATE_NAME) { crate::queries::template(db, name).await? } else { None };
    let manifest = row.filter(|row| !row.deleted).and_then(|row| serde_json::from_value::<Manifest>(row.manifest).ok());
    Ok(match manifest {
        Some(manifest) => Ok((format!("{:#}\n", json!(manifest)), manifest)), // JSON is YAML
        None => {
            let rule = format!("there is no template {:?}", shorten(name, TEMPLATE_NAME));
            Err(mistake("template_name", rule, Hint::TemplatesOrManifest))
        }
    })
}

/// What no attempt would make up for: a part that the platform needs, or a block that it would not accept.
fn check_runnable(manifest: &Manifest, text: &str, platform: &str, platforms: &Platforms) -> Vec<FieldError> {
    let line = |field: &str| line_of(text, field).map(|line| format!("line {line}: ")).unwrap_or_default();
    let (needs, has) = crate::request::needs(manifest, platform);
    if !has {
        let rule = format!("{}spec: platform {platform} needs {needs}", line("spec"));
        return vec![mistake("manifest", rule, "add it, or choose another platform")];
    }
    let rule = |found: &Mistake| format!("{}{}: {}", line(&found.field), found.field, found.rule);
    let mistakes = platforms.mistakes(manifest, platform);
    mistakes.iter().map(|found| mistake("manifest", rule(found), "correct it, or choose another platform")).collect()
}
