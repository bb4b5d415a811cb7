//! What the engine has of a session: its container, and the marks that hold goal and generation.
//!
//! Labels of a container cannot change, so goal and generation stand in an empty volume whose name ends with the generation. It
//! is made before anything is done, and older ones are removed after. So a standby, a restart and a controller without its
//! state folder read the same.

use std::{collections::HashMap, sync::Arc};

use bollard::{
    Docker as Api,
    models::{ContainerInspectResponse, ContainerStateStatusEnum as Status, Volume, VolumeCreateRequest},
    query_parameters::{ListContainersOptionsBuilder, ListVolumesOptionsBuilder, RemoveVolumeOptions},
};
use controllers::driver::{Desired, Goal, Spec, retryable};
use futures::{StreamExt as _, TryStreamExt as _};
use streams::wire::{Failure, Scope};
use uuid::Uuid;

use super::{
    Host,
    engine::{done, failed, found},
    names::{self, Role},
};

/// Containers that are inspected at the same time.
const AT_ONCE: usize = 8;

/// Goal and generation of a session, as a volume of ours holds them.
#[derive(Debug, Clone)]
pub(crate) struct Mark {
    pub(crate) name: String,
    pub(crate) generation: i64,
    pub(crate) goal: Goal,
    user: String,
    image: Option<String>,
}

impl Mark {
    fn read(volume: &Volume) -> Option<(Uuid, Self)> {
        let label = |name: &str| volume.labels.get(name);
        let session = label(names::SESSION)?.parse().ok()?;
        let goal = match label(names::GOAL)?.as_str() {
            "running" => Goal::Running,
            "hibernated" => Goal::Hibernated,
            "deleted" => Goal::Deleted,
            _ => return None,
        };
        let mark = Self {
            name: volume.name.clone(),
            generation: label(names::GENERATION)?.parse().ok()?,
            goal,
            user: label(names::USER).cloned().unwrap_or_default(),
            image: label(names::IMAGE).cloned(),
        };
        Some((session, mark))
    }
}

const fn goal_name(goal: Goal) -> &'static str {
    match goal {
        Goal::Running => "running",
        Goal::Hibernated => "hibernated",
        Goal::Deleted => "deleted",
    }
}

/// All that there is of a session.
#[derive(Debug, Clone, Default)]
pub(crate) struct Found {
    pub(crate) marks: Vec<Mark>,
    pub(crate) container: Option<ContainerInspectResponse>,
}

impl Found {
    fn newest(&self) -> Option<&Mark> {
        self.marks.iter().max_by_key(|mark| mark.generation)
    }

    pub(crate) fn label(&self, name: &str) -> Option<&String> {
        self.container.as_ref()?.config.as_ref()?.labels.as_ref()?.get(name)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.marks.is_empty() && self.container.is_none()
    }

    /// The highest generation that this engine has seen for it. Where somebody removed the marks it is the one of its creation.
    pub(crate) fn generation(&self) -> Option<i64> {
        let marked = self.newest().map(|mark| mark.generation);
        marked.or_else(|| self.label(names::GENERATION)?.parse().ok())
    }

    pub(crate) fn goal(&self) -> Goal {
        self.newest().map_or(Goal::Running, |mark| mark.goal)
    }

    pub(crate) fn user(&self) -> String {
        let marked = self.newest().map(|mark| mark.user.clone());
        marked.or_else(|| self.label(names::USER).cloned()).unwrap_or_default()
    }

    /// What it was made from, digest of the image and all.
    pub(crate) fn image(&self) -> Option<String> {
        let marked = || self.newest().and_then(|mark| mark.image.clone());
        self.label(names::IMAGE).cloned().or_else(marked)
    }

    pub(crate) fn spec(&self) -> Option<Arc<Spec>> {
        streams::limits::json::stored(self.label(names::SPEC)?.as_bytes()).ok().map(Arc::new)
    }

    pub(crate) fn status(&self) -> Option<Status> {
        self.container.as_ref()?.state.as_ref()?.status
    }

    /// The container at one of its runs: it is another after each start.
    pub(crate) fn run(&self) -> Option<String> {
        let container = self.container.as_ref()?;
        Some(format!("{}@{}", container.id.as_ref()?, container.state.as_ref()?.started_at.as_ref()?))
    }
}

/// A volume of that name, made with labels where there is none. Labels are read after: those of one that is there stay as they are,
/// and some engines answer a create without them.
pub(crate) async fn volume(api: &Api, name: String, labels: names::Labels) -> Result<Volume, Failure> {
    let failed = |e| failed("makes a volume", &e);
    if let Some(volume) = found(api.inspect_volume(&name).await).map_err(failed)? {
        return Ok(volume);
    }
    let fresh =
        VolumeCreateRequest { name: Some(name.clone()), labels: Some(labels), ..VolumeCreateRequest::default() };
    api.create_volume(fresh).await.map_err(failed)?;
    api.inspect_volume(&name).await.map_err(failed)
}

impl Host {
    /// What there is of one session.
    pub(crate) async fn look(&self, session: Uuid) -> Result<Found, Failure> {
        let (container, marks) = futures::try_join!(self.container(session), self.marks(Some(session)))?;
        let marks = marks.into_iter().map(|(_, mark)| mark).collect();
        Ok(Found { marks, container })
    }

    pub(crate) async fn container(&self, session: Uuid) -> Result<Option<ContainerInspectResponse>, Failure> {
        let name = self.names.container(session);
        let container = found(self.api.inspect_container(&name, None).await);
        container.map_err(|e| failed("looks for the container", &e))
    }

    async fn marks(&self, session: Option<Uuid>) -> Result<Vec<(Uuid, Mark)>, Failure> {
        Ok(self.volumes(Role::Mark, session).await?.iter().filter_map(Mark::read).collect())
    }

    /// Volumes of ours.
    pub(crate) async fn volumes(&self, role: Role, session: Option<Uuid>) -> Result<Vec<Volume>, Failure> {
        let options = ListVolumesOptionsBuilder::default().filters(&self.names.filter(role, session)).build();
        let listed = self.api.list_volumes(Some(options)).await.map_err(|e| failed("lists volumes", &e))?;
        Ok(listed.volumes.unwrap_or_default())
    }

    /// What there is of every session.
    pub(crate) async fn look_at_all(&self) -> Result<HashMap<Uuid, Found>, Failure> {
        let options =
            ListContainersOptionsBuilder::default().all(true).filters(&self.names.filter(Role::Session, None));
        let listed =
            self.api.list_containers(Some(options.build())).await.map_err(|e| failed("lists containers", &e))?;
        let ids = listed.into_iter().filter_map(|one| one.labels?.get(names::SESSION)?.parse::<Uuid>().ok());
        let looks =
            futures::stream::iter(ids.map(|id| async move { Ok::<_, Failure>((id, self.container(id).await?)) }));
        let containers = looks.buffer_unordered(AT_ONCE).try_collect::<Vec<_>>().await?;
        let mut all = HashMap::<Uuid, Found>::new();
        for (id, container) in containers {
            all.entry(id).or_default().container = container;
        }
        for (id, mark) in self.marks(None).await? {
            all.entry(id).or_default().marks.push(mark);
        }
        all.retain(|_, found| !found.is_empty()); // removed while we looked
        Ok(all)
    }

    /// Writes down what is to be, before it is done.
    pub(crate) async fn mark(&self, desired: &Desired, found: &Found) -> Result<(), Failure> {
        if found.marks.iter().any(|mark| mark.generation == desired.generation) {
            return Ok(());
        }
        let more = [
            (names::SESSION, desired.session_id.to_string()),
            (names::USER, desired.user_id.clone()),
            (names::GENERATION, desired.generation.to_string()),
            (names::GOAL, goal_name(desired.goal).to_owned()),
        ];
        let image = found.image().map(|image| (names::IMAGE, image));
        let labels = self.names.labels(Role::Mark, more.into_iter().chain(image));
        let (api, name) = (self.api.clone(), self.names.mark(desired.session_id, desired.generation));
        let session = self.session(desired.session_id);
        let made = session.request(async move { volume(&api, name, labels).await }).await?;
        match made.labels.get(names::GOAL) {
            Some(goal) if goal == goal_name(desired.goal) => Ok(()),
            _ => {
                let message = format!("volume {} holds another goal for this generation", made.name);
                Err(retryable("mark_taken", message).of(Scope::Session))
            }
        }
    }

    /// Removes the marks of older generations.
    pub(crate) async fn remove_marks(&self, found: &Found, below: i64) -> Result<(), Failure> {
        for mark in found.marks.iter().filter(|mark| mark.generation < below) {
            self.remove_volume(&mark.name).await?;
        }
        Ok(())
    }

    /// Removes a volume; one that is in use stays, and is removed with what uses it.
    pub(crate) async fn remove_volume(&self, name: &str) -> Result<(), Failure> {
        done(self.api.remove_volume(name, None::<RemoveVolumeOptions>).await)
            .map_err(|e| failed("removes a volume", &e))
    }
}
