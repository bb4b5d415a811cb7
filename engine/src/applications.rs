//! What a request for an application must be before it becomes an intent, and what is then asked of it.
//!
//! The manifest's text is kept as it came, so that the lines that errors name are those of whoever wrote it.

use sea_orm::ConnectionTrait;
use serde_json::json;
use streams::ids::Platform;
use streams::limits::{MANIFEST, TEMPLATE_NAME, printable, shorten};
use streams::wire::Manifest;
use uuid::Uuid;

use crate::Engine;
use crate::hint::Hint;
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
            check(&self.parts.database.reader, &self.default_platform, request).await
        };
        self.parts.writer.once(new).await
    }

    /// What is wrong with the values of a request that is refused anyway, so that the refusal can name them too.
    ///
    /// # Errors
    /// What the database says.
    pub async fn install_mistakes(&self, request: InstallApplication) -> Result<Vec<FieldError>, Error> {
        mistakes(check(&self.parts.database.reader, &self.default_platform, request).await)
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
    default_platform: &str,
    request: InstallApplication,
) -> Result<NewApplication, Error> {
    let platform = request.platform.clone().unwrap_or_else(|| default_platform.to_owned());
    let (manifest, platform_rule) = (read(db, &request).await?, check_platform(db, &platform).await?);
    let mut mistakes: Vec<FieldError> = platform_rule.into_iter().collect();
    let (text, manifest) = match manifest {
        Ok(read) => read,
        Err(mistake) => {
            mistakes.push(mistake);
            return Err(Invalid(mistakes).into());
        }
    };
    mistakes.extend(check_runnable(&manifest, &text, &platform));
    if !mistakes.is_empty() {
        return Err(Invalid(mistakes).into());
    }
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

async fn check_platform(db: &impl ConnectionTrait, platform: &str) -> Result<Option<FieldError>, Error> {
    if let Err(error) = Platform::try_new(platform) {
        return Ok(Some(mistake("platform", error.to_string(), Hint::Platforms)));
    }
    if crate::request::PLATFORMS.contains(&platform) || crate::queries::has_controller(db, platform).await? {
        return Ok(None);
    }
    Ok(Some(mistake("platform", format!("{platform:?} is no platform that is known here"), Hint::Platforms)))
}

/// What a platform needs of a manifest, which no attempt would make up for.
fn check_runnable(manifest: &Manifest, text: &str, platform: &str) -> Option<FieldError> {
    let (needs, has) = crate::request::needs(manifest, platform);
    let line = streams::wire::line_of(text, "spec").map(|line| format!("line {line}: ")).unwrap_or_default();
    let rule = format!("{line}spec: platform {platform} needs {needs}");
    (!has).then(|| mistake("manifest", rule, "add it, or choose another platform"))
}
