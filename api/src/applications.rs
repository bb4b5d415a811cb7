//! Applications: the resource and its operations.

use std::collections::HashMap;
use std::sync::Arc;

use engine::store::application;
use engine::use_cases::{ApplicationFilter, Position, UseCases};
use engine::{Engine, InstallApplication};
use poem_openapi::param::{Path, Query};
use poem_openapi::types::Example;
use poem_openapi::{ApiResponse, Enum, Object, OpenApi};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::auth::Caller;
use crate::body::Body;
use crate::cursor::{Limit, LivePage, Page, Wanted, Window};
use crate::document::Tag;
use crate::events::Event;
use crate::json::Json;
use crate::problem::{Creation, Listing, Lookup, Problem, Refused, Removal};
use crate::routes::PREFIX;
use crate::timestamp::Timestamp;

const MANIFEST: &str = "\
apiVersion: stream.space/v1alpha1
kind: Template
metadata: { name: firefox }
spec:
  displayName: Firefox
  baseImage: lscr.io/linuxserver/firefox:latest
";

/// The application to install: exactly one of `manifest` and `template_name`.
#[derive(Debug, Object, Deserialize)]
#[oai(rename = "InstallApplication", example)]
#[serde(deny_unknown_fields)]
struct NewApplication {
    /// A template manifest as YAML. It is stored unchanged, so that errors can name its lines.
    manifest: Option<String>,
    /// A template of the catalog, whose manifest is installed.
    template_name: Option<String>,
    /// Platform to install on; default: the server's.
    platform: Option<String>,
}

impl Example for NewApplication {
    fn example() -> Self {
        Self { manifest: Some(MANIFEST.into()), template_name: None, platform: Some("docker".into()) }
    }
}

/// An application on one platform.
#[derive(Debug, Object, Serialize)]
#[oai(example)]
struct Application {
    /// Identity.
    install_id: Uuid,
    /// Its template's number in the catalog.
    catalog_template_id: i64,
    /// Its template's name: what sessions name as `template_id` once it is ready.
    template_name: String,
    /// Display name.
    display_name: String,
    /// Its manifest, as it was sent.
    manifest: String,
    /// Who installed it, or upgraded it last.
    installed_by: String,
    /// Platform.
    platform: String,
    /// Controller that carries it out; null while it has none.
    controller_id: Option<String>,
    /// `pending`, `installing`, `ready`, `uninstalling`, `uninstalled` or `failed`.
    install_status: String,
    /// Progress, as its controller describes it.
    install_message: Option<String>,
    /// Grows with every change of the desired state.
    generation: i64,
    /// Why it waits, or why it failed.
    reason: Option<String>,
    /// Number of the present attempt of the open command; 0 if there is none.
    attempt: i32,
    /// When the next attempt is due.
    next_attempt_at: Option<Timestamp>,
    /// Number of existing sessions on its platform that use its template.
    in_use_by: i64,
    /// When it was accepted.
    created_at: Timestamp,
    /// When it last changed.
    updated_at: Timestamp,
}

impl Application {
    fn new(row: application::Model, in_use_by: i64) -> Self {
        Self {
            install_id: row.install_id,
            catalog_template_id: row.catalog_template_id,
            template_name: row.template_name,
            display_name: row.display_name,
            manifest: row.manifest,
            installed_by: row.installed_by,
            platform: row.platform,
            controller_id: row.controller_id,
            install_status: row.install_status,
            install_message: row.install_message,
            generation: row.generation,
            reason: row.reason,
            attempt: row.attempt,
            next_attempt_at: row.next_attempt_ms.map(Timestamp::from_ms),
            in_use_by,
            created_at: Timestamp::from_ms(row.created_ms),
            updated_at: Timestamp::from_ms(row.updated_ms),
        }
    }
}

impl Example for Application {
    fn example() -> Self {
        Self {
            install_id: Uuid::from_u128(0x0198_f3c2_7a10_7b3e_9d51_2f6a_c04e_8b18),
            catalog_template_id: 42,
            template_name: "firefox".into(),
            display_name: "Firefox".into(),
            manifest: MANIFEST.into(),
            installed_by: "ada".into(),
            platform: "docker".into(),
            controller_id: Some("docker-1".into()),
            install_status: "ready".into(),
            install_message: Some("template firefox is available".into()),
            generation: 1,
            reason: None,
            attempt: 0,
            next_attempt_at: None,
            in_use_by: 3,
            created_at: Timestamp::from_ms(1_767_254_400_000),
            updated_at: Timestamp::from_ms(1_767_254_409_000),
        }
    }
}

/// A state to filter by.
#[derive(Debug, Clone, Copy, Enum)]
#[oai(rename = "ApplicationStatusFilter", rename_all = "lowercase")]
enum StatusFilter {
    Pending,
    Installing,
    Ready,
    Uninstalling,
    Uninstalled,
    Failed,
    All,
}

/// An accepted application.
#[derive(ApiResponse)]
enum Installed {
    /// The same manifest is installed there already.
    #[oai(status = 200)]
    Holds(
        Json<Application>,
        /// Path of the application.
        #[oai(header = "Location")]
        String,
    ),
    /// The application is durable and under way.
    #[oai(status = 202)]
    Underway(
        Json<Application>,
        /// Path of the application.
        #[oai(header = "Location")]
        String,
    ),
}

/// The answer to a request to uninstall.
#[derive(ApiResponse)]
enum Uninstalled {
    /// It is uninstalled.
    #[oai(status = 200)]
    Holds(Json<Application>),
    /// It is durable and under way.
    #[oai(status = 202)]
    Underway(Json<Application>),
}

impl NewApplication {
    fn by(self, installed_by: String) -> InstallApplication {
        let Self { manifest, template_name, platform } = self;
        InstallApplication { manifest, template_name, platform, installed_by }
    }
}

pub(crate) struct Applications(pub(crate) Arc<Engine>);

#[OpenApi(tag = "Tag::Applications")]
impl Applications {
    /// Install or upgrade an application
    ///
    /// If the platform has an application of this name, the same manifest returns it, and retries a failed
    /// installation; another manifest is an upgrade. Once it is `ready`, sessions can be created from its
    /// template.
    #[oai(path = "/applications", method = "post", operation_id = "install_application")]
    async fn install(&self, caller: Caller, body: Body<NewApplication>) -> Result<Installed, Refused<Creation>> {
        let acting = caller.on(&self.0);
        let request = body.request(|new| Ok(new.by(caller.0.name)), async |new| acting.install_mistakes(new).await);
        let request = request.await?;
        let row = acting.install(request).await?;
        let location = format!("{PREFIX}/applications/{}", row.install_id);
        let ready = row.install_status == "ready";
        let shown = Json(one(&acting, row).await?);
        Ok(if ready { Installed::Holds(shown, location) } else { Installed::Underway(shown, location) })
    }

    /// List applications
    ///
    /// Newest first. Without `status`, all but uninstalled ones.
    #[oai(path = "/applications", method = "get", operation_id = "list_applications")]
    async fn list(
        &self,
        caller: Caller,
        /// Filter by platform.
        platform: Query<Option<String>>,
        /// Filter by state; `all` for every one.
        status: Query<Option<StatusFilter>>,
        /// Filter by template name.
        template_name: Query<Option<String>>,
        /// Page size: 1 to 200, default 50.
        limit: Query<Option<Limit>>,
        /// The `next_cursor` or `prev_cursor` of another page.
        cursor: Query<Option<String>>,
    ) -> Result<Json<LivePage<Application>>, Refused<Listing>> {
        let status = status.0.map(|status| format!("{status:?}").to_lowercase());
        let filter = ApplicationFilter { platform: platform.0, status, template_name: template_name.0 };
        let acting = caller.on(&self.0);
        let window = Window::<Position>::open(&acting, "applications", &filter, limit.0, cursor.as_deref()).await?;
        let rows = acting.list_applications(&filter, window.seek(), window.fetch()).await?;
        let counts = counts(&acting, &rows.rows).await?;
        let show = |row: application::Model| {
            let count = counts.get(&(row.template_name.clone(), row.platform.clone())).copied().unwrap_or(0);
            Application::new(row, count)
        };
        Ok(Json(window.page(rows, |row| (row.created_ms, row.install_id), show)))
    }

    /// Read an application
    #[oai(path = "/applications/:id", method = "get", operation_id = "get_application")]
    async fn get(&self, caller: Caller, id: Path<Uuid>) -> Result<Json<Application>, Refused<Lookup>> {
        let acting = caller.on(&self.0);
        let row = acting.application(id.0).await?;
        Ok(Json(one(&acting, row).await?))
    }

    /// Uninstall an application
    ///
    /// Its template is deleted with it. Refused while sessions use the template, unless forced: they keep what
    /// they were created from.
    #[oai(path = "/applications/:id", method = "delete", operation_id = "uninstall_application")]
    async fn uninstall(
        &self,
        caller: Caller,
        id: Path<Uuid>,
        /// Uninstall even while sessions use its template.
        force: Query<Option<bool>>,
    ) -> Result<Uninstalled, Refused<Removal>> {
        let acting = caller.on(&self.0);
        let row = acting.uninstall(id.0, force.unwrap_or_default()).await?;
        let gone = row.install_status == "uninstalled";
        let shown = Json(one(&acting, row).await?);
        Ok(if gone { Uninstalled::Holds(shown) } else { Uninstalled::Underway(shown) })
    }

    /// Read the log of an application
    ///
    /// Oldest first; newer rows appear after the last page as they happen.
    #[oai(path = "/applications/:id/events", method = "get", operation_id = "list_application_events")]
    async fn events(
        &self,
        caller: Caller,
        id: Path<Uuid>,
        /// Page size: 1 to 200, default 50.
        limit: Query<Option<Limit>>,
        /// The `next_cursor` of the previous page.
        cursor: Query<Option<String>>,
    ) -> Result<Json<Page<Event>>, Refused<Lookup>> {
        let entity = application::Model::entity(id.0);
        let wanted = Wanted::<i64>::new("events", &entity, limit.0, cursor.as_deref())?;
        let after = wanted.after.unwrap_or(0);
        let rows = caller.on(&self.0).application_events(id.0, after, wanted.fetch()).await?;
        Ok(Json(wanted.page(rows, |row| row.entity_seq, Into::into)))
    }
}

async fn one(acting: &UseCases<'_>, row: application::Model) -> Result<Application, Problem> {
    let counts = counts(acting, std::slice::from_ref(&row)).await?;
    let count = counts.into_iter().find(|((_, platform), _)| *platform == row.platform);
    Ok(Application::new(row, count.map_or(0, |(_, count)| count)))
}

/// Existing sessions by template name and platform.
async fn counts(acting: &UseCases<'_>, rows: &[application::Model]) -> Result<HashMap<(String, String), i64>, Problem> {
    let counts = acting.application_users(rows).await?;
    Ok(counts.into_iter().map(|(name, platform, count)| ((name, platform), count)).collect())
}
