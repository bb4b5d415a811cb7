//! Persistent homes: volumes that are a user's, outlive every session, and are used by one session at a time unless the
//! templates of all that use one share it.

use std::sync::PoisonError;

use bollard::query_parameters::{ListContainersOptionsBuilder, RemoveVolumeOptions};
use controllers::driver::{retryable, user_error};
use streams::wire::{Failure, HOMES_MAX, Home, Scope};
use uuid::Uuid;

use super::{
    Host,
    engine::{failed, found, status},
    look,
    names::{self, Role},
};

/// A home that is being taken into use; it is free again when this is dropped, and by then the container runs or does not.
pub(crate) struct Claim<'a> {
    host: &'a Host,
    home: String,
    session: Uuid,
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        let mut claims = self.host.claims.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(by) = claims.get_mut(&self.home) {
            by.remove(&self.session);
            if by.is_empty() {
                claims.remove(&self.home);
            }
        }
    }
}

impl Host {
    /// The volume of a user's home, made where there is none. Its owner is read before it is used.
    pub(crate) async fn home(&self, user: &str) -> Result<String, Failure> {
        let name = self.names.home(user);
        let labels = self.names.labels(Role::Home, [(names::USER, user.to_owned())]);
        let volume = look::volume(&self.api, name, labels).await?;
        if volume.labels.get(names::USER).map(String::as_str) != Some(user) {
            let message = format!("volume {} is not the home of this user; it is not touched", volume.name);
            return Err(Failure { retryable: false, ..retryable("home_taken", message) }.of(Scope::Session));
        }
        Ok(volume.name)
    }

    /// Takes the home of a session into use; `None` where it has none.
    pub(crate) async fn claim_home(&self, session: Uuid) -> Result<Option<Claim<'_>>, Failure> {
        let container = self.container(session).await?;
        let labels = container.and_then(|container| container.config?.labels).unwrap_or_default();
        let Some(home) = labels.get(names::HOME) else { return Ok(None) };
        let shared = labels.contains_key(names::SHARES_HOME);
        {
            let mut claims = self.claims.lock().unwrap_or_else(PoisonError::into_inner);
            let by = claims.entry(home.clone()).or_default();
            if let Some((other, _)) = by.iter().find(|(id, shares)| **id != session && !(shared && **shares)) {
                return Err(in_use(*other));
            }
            by.insert(session, shared);
        }
        let claim = Claim { host: self, home: home.clone(), session };
        for (other, shares) in self.users_of(home, true).await? {
            if other != session && !(shared && shares) {
                return Err(in_use(other));
            }
        }
        Ok(Some(claim))
    }

    /// Sessions whose containers have a home, and whether they share it.
    async fn users_of(&self, home: &str, running: bool) -> Result<Vec<(Uuid, bool)>, Failure> {
        let mut filters = self.names.filter(Role::Session, None);
        filters.entry("label".into()).or_default().push(format!("{}={home}", names::HOME));
        let options = ListContainersOptionsBuilder::default().all(!running).filters(&filters).build();
        let listed = self.api.list_containers(Some(options)).await.map_err(|e| failed("lists containers", &e))?;
        let user = |labels: names::Labels| {
            Some((labels.get(names::SESSION)?.parse().ok()?, labels.contains_key(names::SHARES_HOME)))
        };
        Ok(listed.into_iter().filter_map(|one| user(one.labels?)).collect())
    }

    /// The homes that there are, or those of one user.
    pub(crate) async fn homes_kept(&self, user: Option<&str>) -> Result<Vec<Home>, Failure> {
        let mut volumes = self.volumes(Role::Home, None).await?;
        let of = |volume: &bollard::models::Volume| volume.labels.get(names::USER).cloned();
        volumes.retain(|volume| user.is_none_or(|user| of(volume).as_deref() == Some(user)));
        volumes.sort_by(|a, b| a.name.cmp(&b.name));
        volumes.truncate(HOMES_MAX + 1);
        let mut homes = Vec::new();
        for volume in volumes {
            let sessions = self.users_of(&volume.name, false).await?.into_iter().map(|(session, _)| session).collect();
            homes.push(Home { user_id: of(&volume), name: volume.name, bytes: None, sessions });
        }
        Ok(homes)
    }

    /// Removes a home that no session has.
    pub(crate) async fn remove_home(&self, name: &str) -> Result<(), Failure> {
        let unknown = || user_error("not_found", format!("home {name:?} on this host"));
        let legal = name.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c)) && !name.is_empty();
        let volume = match legal {
            true => found(self.api.inspect_volume(name).await).map_err(|e| failed("looks for the home", &e))?,
            false => None,
        };
        let ours = [(names::ROLE, Role::Home.as_str()), (names::INSTALLATION, self.names.installation.as_str())];
        let is_ours = |volume: &bollard::models::Volume| {
            ours.iter().all(|(label, value)| volume.labels.get(*label).map(String::as_str) == Some(*value))
        };
        volume.filter(is_ours).ok_or_else(unknown)?;
        if let Some((session, _)) = self.users_of(name, false).await?.first() {
            let message = format!("session {session} has this home: delete that session first");
            return Err(user_error("home_in_use", message).of(Scope::Session));
        }
        match self.api.remove_volume(name, None::<RemoveVolumeOptions>).await {
            Err(error) if status(&error) == Some(409) => {
                Err(user_error("home_in_use", "a container that is not ours uses this home").of(Scope::Session))
            }
            Err(error) if status(&error) != Some(404) => Err(failed("removes the home", &error)),
            _ => Ok(()),
        }
    }
}

fn in_use(session: Uuid) -> Failure {
    let message = format!(
        "the persistent home of this user is in use by session {session}: hibernate or delete that one, create this one \
         without a persistent home, or use templates that say `spec.docker.home: {{ shared: true }}`"
    );
    user_error("home_in_use", message).of(Scope::Session)
}
