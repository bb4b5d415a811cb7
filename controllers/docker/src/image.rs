//! Images: which one a session runs, and how it comes here. One pull of an image serves all who wait for it, and goes on
//! when they are gone: what they asked for comes again.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use bollard::{
    Docker as Api,
    models::{CreateImageInfo, ImageInspect},
    query_parameters::CreateImageOptionsBuilder,
};
use controllers::driver::{retryable, user_error};
use futures::{
    FutureExt as _, StreamExt as _,
    future::{BoxFuture, Shared},
};
use streams::wire::{Failure, Scope};
use tokio::sync::watch;

use super::{
    block::Pull,
    engine::{failed, found, status},
};

/// A pull that took longer is given up; the next begins where the engine has layers already.
const PULL: Duration = Duration::from_secs(60 * 60);
/// Between two messages of a pull.
const SAY: Duration = Duration::from_secs(1);

/// The image of a session, as it is written down with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Image {
    /// The engine's id of it.
    pub(crate) id: String,
    /// What names the same bytes later: the registry's digest, else the id.
    pub(crate) digest: String,
}

type Pulling = Shared<BoxFuture<'static, Result<(), Failure>>>;

/// Pulls that are under way, by image.
#[derive(Default)]
pub(crate) struct Pulls(Mutex<HashMap<String, (Pulling, watch::Receiver<String>)>>);

impl Pulls {
    /// The image, fetched by the policy where it has to be. `pinned` is what the session was made from, and wins over the name.
    pub(crate) async fn ensure(
        self: &Arc<Self>,
        api: &Api,
        name: &str,
        pinned: Option<&str>,
        policy: Pull,
        say: &(dyn Fn(String) + Sync),
    ) -> Result<Image, Failure> {
        let name = pinned.unwrap_or(name);
        let policy = if pinned.is_some() && policy == Pull::Always { Pull::Missing } else { policy };
        if policy != Pull::Always
            && let Some(image) = inspect(api, name).await?
        {
            return Ok(image);
        }
        if policy == Pull::Never {
            let message = format!("image {name:?} is not on this host, and it is to be never pulled");
            return Err(user_error("image_missing", message));
        }
        self.pull(api, name, say).await?;
        let gone = || retryable("image_missing", format!("image {name:?} was pulled and is gone")).of(Scope::Template);
        inspect(api, name).await?.ok_or_else(gone)
    }

    async fn pull(self: &Arc<Self>, api: &Api, name: &str, say: &(dyn Fn(String) + Sync)) -> Result<(), Failure> {
        let (pulling, mut news) = self.join(api, name);
        let mut said = Instant::now().checked_sub(SAY);
        tokio::pin!(pulling);
        loop {
            tokio::select! {
                biased;
                done = &mut pulling => return done,
                Ok(()) = news.changed() => {
                    let message = news.borrow_and_update().clone();
                    if said.is_none_or(|at| at.elapsed() >= SAY) {
                        say(message);
                        said = Some(Instant::now());
                    }
                }
            }
        }
    }

    /// The pull that is under way, or a new one.
    fn join(self: &Arc<Self>, api: &Api, name: &str) -> (Pulling, watch::Receiver<String>) {
        let mut pulls = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pull) = pulls.get(name) {
            return pull.clone();
        }
        let (news, listener) = watch::channel(format!("pulls {name}"));
        let (api, image, all) = (api.clone(), name.to_owned(), self.clone());
        let task = tokio::spawn(async move {
            let done = tokio::time::timeout(PULL, fetch(&api, &image, &news)).await;
            all.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&image);
            done.unwrap_or_else(|_| {
                Err(retryable("pull_timeout", format!("{image} was not pulled within {PULL:?}")).of(Scope::Template))
            })
        });
        let broken = |_| Err(retryable("pull_failed", "the pull broke off").of(Scope::Template));
        let pulling = task.map(move |done| done.unwrap_or_else(broken)).boxed().shared();
        pulls.insert(name.to_owned(), (pulling.clone(), listener.clone()));
        (pulling, listener)
    }
}

async fn fetch(api: &Api, name: &str, news: &watch::Sender<String>) -> Result<(), Failure> {
    let options = CreateImageOptionsBuilder::default().from_image(&tagged(name)).build();
    let mut layers = HashMap::new();
    let mut stream = std::pin::pin!(api.create_image(Some(options), None, None));
    while let Some(step) = stream.next().await {
        let step = step.map_err(|e| refused(name, &e))?;
        if let Some(message) = progress(name, &mut layers, step) {
            news.send_replace(message);
        }
    }
    Ok(())
}

/// An image without a tag would be pulled with all its tags.
fn tagged(name: &str) -> String {
    let last = name.rsplit('/').next().unwrap_or(name);
    if last.contains(':') || last.contains('@') { name.to_owned() } else { format!("{name}:latest") }
}

/// How far a pull is, for people.
fn progress(name: &str, layers: &mut HashMap<String, (i64, i64)>, step: CreateImageInfo) -> Option<String> {
    let detail = step.progress_detail?;
    layers.insert(step.id?, (detail.current?, detail.total?));
    let (have, all) = layers.values().fold((0, 0), |(have, all), (current, total)| (have + current, all + total));
    Some(format!("pulls {name}: {} of {} MB", have / 1_000_000, all / 1_000_000))
}

fn refused(name: &str, error: &bollard::errors::Error) -> Failure {
    let said = error.to_string();
    let says = |words: &[&str]| words.iter().any(|word| said.contains(word));
    let message = format!("image {name:?} cannot be pulled: {said}");
    if says(&["no basic auth credentials", "unauthorized", "authentication required", "access denied", "docker login"])
    {
        return user_error("image_refused", message);
    }
    if says(&["manifest unknown", "not found", "invalid reference", "no matching manifest"]) {
        return user_error("image_not_found", message);
    }
    match status(error) {
        Some(_) => retryable("pull_failed", message).of(Scope::Template),
        None => Failure { message, ..failed("pull", error) },
    }
}

async fn inspect(api: &Api, name: &str) -> Result<Option<Image>, Failure> {
    let image = look(api, name).await?;
    Ok(image.and_then(|image| {
        let id = image.id?;
        let digest = image.repo_digests.and_then(|all| all.into_iter().next()).unwrap_or_else(|| id.clone());
        Some(Image { id, digest })
    }))
}

/// What the engine knows of an image.
pub(crate) async fn look(api: &Api, name: &str) -> Result<Option<ImageInspect>, Failure> {
    found(api.inspect_image(name).await).map_err(|e| failed("looks for the image", &e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_tag_is_pulled() {
        let table = [
            ("nginx", "nginx:latest"),
            ("nginx:1", "nginx:1"),
            ("localhost:5000/a/b", "localhost:5000/a/b:latest"),
            ("a@sha256:00", "a@sha256:00"),
        ];
        for (name, pulled) in table {
            assert_eq!(tagged(name), pulled);
        }
    }

    #[test]
    fn who_is_to_blame_for_a_pull_that_fails() {
        let table = [
            (
                "pull access denied for x, repository does not exist or may require 'docker login'",
                "image_refused",
                true,
            ),
            ("manifest for x:y not found: manifest unknown", "image_not_found", true),
            ("Get https://registry: net/http: TLS handshake timeout", "pull_failed", false),
        ];
        for (message, code, user) in table {
            let error = bollard::errors::Error::DockerResponseServerError { status_code: 500, message: message.into() };
            let failure = refused("x", &error);
            assert_eq!(
                (failure.code.as_str(), failure.user_error, failure.retryable),
                (code, user, !user),
                "{message}"
            );
        }
    }
}
