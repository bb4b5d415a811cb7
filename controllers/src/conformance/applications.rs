//! Applications are installed and uninstalled.

use streams::wire::{AppInstall, SessionState};
use uuid::Uuid;

use super::{Platform, Subject, said, same};
use crate::driver::{Goal, Progress};

/// An application of the platform's own template; JSON is YAML.
fn app(platform: &dyn Platform) -> AppInstall {
    let spec = platform.spec();
    AppInstall {
        event_id: Uuid::new_v4(),
        timestamp: chrono::Utc::now(),
        install_id: Uuid::new_v4(),
        catalog_template_id: 1,
        manifest: serde_json::to_string(&spec.template).unwrap_or_default(),
        display_name: spec.template_id.clone(),
        template_name: spec.template_id,
        installed_by: "conformance".into(),
        platform: "conformance".into(),
        generation: 1,
        attempt: 1,
    }
}

pub(super) async fn install_and_uninstall(platform: &dyn Platform) -> Result<(), String> {
    let (driver, app, (progress, _told)) = (platform.open().await, app(platform), Progress::channel());
    driver.uninstall(&app.template_name).await.map_err(|e| said(&e))?;
    for _ in 0..2 {
        driver.install(&app, &progress).await.map_err(|e| said(&e))?;
    }
    let subject = Subject::new(platform);
    subject.reach(&*driver, Goal::Running, 1).await?;
    for _ in 0..2 {
        driver.uninstall(&app.template_name).await.map_err(|e| said(&e))?;
    }
    let observed = driver.observe(subject.id).await.map_err(|e| said(&e))?;
    same(&observed.map(|o| o.state), &Some(SessionState::Running), "a session after its application was uninstalled")?;
    subject.delete(&*driver).await
}

pub(super) async fn bad_manifest(platform: &dyn Platform) -> Result<(), String> {
    let driver = platform.open().await;
    let app = AppInstall { manifest: "kind: Template\nspec: [\n".into(), ..app(platform) };
    match driver.install(&app, &Progress::channel().0).await {
        Ok(message) => Err(format!("it was installed: {message}")),
        Err(failure) if failure.user_error && !failure.retryable && failure.message.contains("line") => Ok(()),
        Err(failure) => Err(format!("the failure should be a user's and name the line: {failure:?}")),
    }
}
