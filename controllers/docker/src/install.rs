//! What an application needs before its first session: the manifest is one that can run here, and its image is on this host.

use controllers::driver::{self, Progress, Spec, user_error};
use streams::wire::{AppInstall, Failure, line_of};

use super::{Host, image, plan::Plan};

impl Host {
    /// Checks the manifest, and fetches the image.
    pub(crate) async fn install(&self, app: &AppInstall, progress: &Progress) -> Result<String, Failure> {
        let name = app.template_name.clone();
        let spec = Spec { template_id: name, template: Some(driver::manifest(app)?), ..Spec::default() };
        let plan = Plan::of(&spec, &self.config).map_err(|failure| in_manifest(failure, &app.manifest))?;
        progress.say(format!("looks for image {}", plan.image));
        let say = |message: String| progress.say(message);
        let policy = plan.block.pull.unwrap_or(self.config.pull);
        let image = self.pulls.ensure(&self.api, &plan.image, None, policy, &say).await;
        let image = image.map_err(|failure| in_manifest(failure, &app.manifest))?;
        self.check_architecture(&plan.image, &image.id).await?;
        Ok(format!("runs {} ({})", plan.image, image.digest))
    }

    /// An image for other machines starts, and fails with a message that helps nobody.
    async fn check_architecture(&self, name: &str, id: &str) -> Result<(), Failure> {
        let Some(image) = image::look(&self.api, id).await? else { return Ok(()) };
        let version = self.api.version().await.ok().and_then(|version| version.arch);
        match (image.architecture.filter(|arch| !arch.is_empty()), version) {
            (Some(image), Some(engine)) if image != engine => {
                let message = format!("image {name:?} is for {image}, and this host is {engine}");
                Err(user_error("wrong_architecture", message))
            }
            _ => Ok(()),
        }
    }
}

/// The same failure with the line of the manifest that it is about.
fn in_manifest(failure: Failure, manifest: &str) -> Failure {
    let field = match failure.code.as_str() {
        "template_not_for_docker" => "spec",
        "image_missing" | "image_refused" | "image_not_found" => "spec.baseImage",
        "not_allowed" | "bad_template" => "spec.docker",
        _ => return failure,
    };
    let line = line_of(manifest, field).map(|line| format!("line {line}: ")).unwrap_or_default();
    Failure { message: format!("{line}{}", failure.message), ..failure }
}
