//! What a platform has to offer: make the world match, say what is there, say when it changed by itself.
//!
//! The trait is level-triggered. Nobody tells a driver what to do next, only how the world should be; so a command that
//! comes twice, late, or after a crash in the middle needs no case of its own.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use streams::wire::{
    AppInstall, Capacity, Failure, Home, Keeps, LogEnd, Manifest, Object, Resources, Scope, SessionState,
};
use tokio::sync::OwnedSemaphorePermit;
use uuid::Uuid;

/// What a session should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goal {
    /// It runs and can be reached.
    Running,
    /// It uses nothing but storage. All that its user wrote is kept, in a persistent home or not: hibernation never loses it.
    Hibernated,
    /// Nothing of it is left. A persistent home is no part of it: that is the user's, and outlives the session.
    Deleted,
}

impl Goal {
    /// The state in which this goal is reached.
    #[must_use]
    pub const fn state(self) -> SessionState {
        match self {
            Self::Running => SessionState::Running,
            Self::Hibernated => SessionState::Hibernated,
            Self::Deleted => SessionState::Deleted,
        }
    }
}

/// What a session is made of. Creating and waking carry it whole, so that a driver needs no memory of its own. It is large and never
/// changes: whoever keeps it or tells it shares it.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Spec {
    /// Name of the template.
    pub template_id: String,
    /// The template as it was when the session was created.
    #[serde(default)]
    pub template: Option<Manifest>,
    /// What it may use.
    #[serde(default)]
    pub resources: Resources,
    /// The home is the user's and outlives the session; else it is scratch, and lives until the session is deleted.
    #[serde(default)]
    pub persistent_home: bool,
    /// What the caller attached.
    #[serde(default)]
    pub metadata: Object,
}

/// How one session should be.
#[derive(Debug, Clone, PartialEq)]
pub struct Desired {
    /// The session. Names of resources derive from it and from `installation`, so that creating what exists adopts it.
    pub session_id: Uuid,
    /// Who it is for.
    pub user_id: String,
    /// Grows with each change of the intent; the world remembers the highest it has seen.
    pub generation: i64,
    /// What it should be.
    pub goal: Goal,
    /// Skip what is gentle: kill at once.
    pub force: bool,
    /// What to run; commands that stop things carry none.
    pub spec: Option<Arc<Spec>>,
    /// Tells the resources of two installations on one platform apart.
    pub installation: String,
}

impl Desired {
    /// How long becoming ready may take by its template, on top of what every command may take.
    #[must_use]
    pub fn readiness(&self) -> Duration {
        let template = self.spec.as_ref().and_then(|spec| spec.template.as_ref());
        template.and_then(Manifest::readiness_timeout).unwrap_or_default()
    }
}

/// How one session is.
#[derive(Debug, Clone, PartialEq)]
pub struct Observed {
    /// The session.
    pub session_id: Uuid,
    /// Who it is for; empty where the world does not say.
    pub user_id: String,
    /// The highest generation that the world has seen for it.
    pub generation: i64,
    /// What it is.
    pub state: SessionState,
    /// The platform's own word for that.
    pub phase: Option<String>,
    /// Where a browser reaches it.
    pub url: Option<String>,
    /// The platform's name of what runs it.
    pub resource_name: Option<String>,
    /// For people.
    pub message: Option<String>,
    /// What it uses now, where that is cheap to know.
    pub resource_usage: Option<Resources>,
    /// Open connections to it, where known.
    pub connections: Option<u32>,
    /// Why it is `failed`.
    pub failure: Option<Failure>,
    /// What it was made from, where the world remembers.
    pub spec: Option<Arc<Spec>>,
}

impl Observed {
    /// A session in `state`, with nothing else known about it.
    #[must_use]
    pub const fn bare(session_id: Uuid, generation: i64, state: SessionState) -> Self {
        Self {
            session_id,
            user_id: String::new(),
            generation,
            state,
            phase: None,
            url: None,
            resource_name: None,
            message: None,
            resource_usage: None,
            connections: None,
            failure: None,
            spec: None,
        }
    }

    /// A session of which nothing is left.
    #[must_use]
    pub const fn deleted(session_id: Uuid, generation: i64) -> Self {
        Self::bare(session_id, generation, SessionState::Deleted)
    }
}

/// How far a start has come, told by the driver to whoever asked for it.
///
/// A start makes things (pulls, boots, spawns), and then waits until what it made answers. Making takes one of the
/// controller's slots; waiting takes none, so a thousand sessions that boot slowly keep nobody else away.
#[derive(Debug)]
pub struct Stage {
    /// Given up when only readiness is waited for.
    slot: Mutex<Option<OwnedSemaphorePermit>>,
    /// What is said on the way is shown to people.
    progress: Option<Progress>,
}

impl Stage {
    /// A start that nobody follows.
    #[must_use]
    pub const fn unobserved() -> Self {
        Self { slot: Mutex::new(None), progress: None }
    }

    pub(crate) const fn holding(slot: OwnedSemaphorePermit, progress: Progress) -> Self {
        Self { slot: Mutex::new(Some(slot)), progress: Some(progress) }
    }

    /// For people: it is shown as the session's message while the start goes on. Once a second is often enough.
    pub fn say(&self, what: impl Into<String>) {
        if let Some(progress) = &self.progress {
            progress.say(what);
        }
    }

    /// All is made: from here on only readiness is waited for.
    pub fn waits_for_readiness(&self) {
        drop(self.slot.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

/// Says how far something is, while it is under way. Nobody has to listen.
#[derive(Debug, Clone)]
pub struct Progress(tokio::sync::mpsc::UnboundedSender<String>);

impl Progress {
    /// A teller and its listener.
    #[must_use]
    pub fn channel() -> (Self, tokio::sync::mpsc::UnboundedReceiver<String>) {
        let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
        (Self(sender), receiver)
    }

    /// For people: it is shown as the application's message.
    pub fn say(&self, what: impl Into<String>) {
        let _ = self.0.send(what.into()); // nobody listens any more
    }
}

/// One platform.
///
/// Promises that every driver keeps (the `conformance` module tests them):
/// - ensuring twice is ensuring once, also after the process died in between, at any step;
/// - hibernating loses nothing that the session's user wrote (a driver that cannot keep it leaves `keeps-files` out of its
///   [`Driver::capabilities`]);
/// - deleting the unknown answers `deleted`, and a persistent home outlives every session;
/// - a generation older than the world's is answered with the world as it is, without acting;
/// - [`Driver::list`] names everything, running or not, that this driver ever made and did not delete;
/// - dropping the future of [`Driver::ensure`] at any point, as happens when a newer command takes the session over, leaves a
///   world that the next call can put right, whatever its goal.
#[async_trait]
pub trait Driver: Send + Sync + 'static {
    /// Makes one session match, and answers how it is then.
    async fn ensure(&self, desired: &Desired) -> Result<Observed, Failure>;

    /// The same as [`Driver::ensure`], telling `stage` when a start has made everything and only waits for readiness. A driver
    /// that never tells holds one of its controller's slots until the session is ready.
    async fn ensure_staged(&self, desired: &Desired, stage: &Stage) -> Result<Observed, Failure> {
        let _ = stage;
        self.ensure(desired).await
    }

    /// Everything in this driver's world.
    async fn list(&self) -> Result<Vec<Observed>, Failure>;

    /// One session as it is now; `None` where nothing of it exists.
    async fn observe(&self, session_id: Uuid) -> Result<Option<Observed>, Failure>;

    /// Waits for a session to change by itself, and names it. It carries no state on purpose: whoever is woken looks
    /// again, so that nothing old is ever reported. Cancel-safe; one caller at a time.
    async fn changed(&self) -> Uuid {
        std::future::pending().await
    }

    /// What the platform could still take.
    async fn capacity(&self) -> Capacity;

    /// The name of the platform in subjects, unless the configuration gives another.
    fn platform(&self) -> &str;

    /// Which domains it serves: `sessions`, `applications`, `templates`, `nodes`; and `keeps-files` where hibernation keeps what
    /// sessions wrote. Of a controller in the core lane, which need not say so, that is unknown.
    fn capabilities(&self) -> Vec<String> {
        vec!["sessions".into(), "applications".into(), "templates".into(), "keeps-files".into()]
    }

    /// The platform's own facts, for people.
    fn cluster_info(&self) -> Object {
        Object::new()
    }

    /// Attributes of the platform for people who choose one: `os`, `architecture`, `gpu`, `images` and others, as far as
    /// they are known. Unlike [`Driver::cluster_info`] they say what sessions get.
    fn attributes(&self) -> Object {
        Object::new()
    }

    /// What a session keeps while it is hibernated.
    fn keeps(&self) -> Keeps {
        let files = self.capabilities().iter().any(|capability| capability == "keeps-files");
        if files { Keeps::Filesystem } else { Keeps::Nothing }
    }

    /// Identity of the world that it drives. It lives as long as that world does, not as long as the process.
    fn world_id(&self) -> Uuid;

    /// Whether work takes long enough to be announced with `creating`, `waking` and so on before it is done.
    fn announces(&self) -> bool {
        true
    }

    /// The end of what a session wrote to its standard output and error, at most so many bytes.
    async fn log(&self, session_id: Uuid, bytes: u32) -> Result<LogEnd, Failure> {
        let _ = (session_id, bytes);
        Err(user_error("not_found", "log on this platform: it keeps none that could be asked for"))
    }

    /// The persistent homes that it keeps, by name, or those of one user. More than [`streams::wire::HOMES_MAX`] are not asked for: one
    /// beyond it says that there are others. A driver that answers this has the capability `homes`.
    async fn homes(&self, user_id: Option<&str>) -> Result<Vec<Home>, Failure> {
        let _ = user_id;
        Err(user_error("not_supported", "this platform does not say which homes it keeps"))
    }

    /// Removes a persistent home; one that a session has, running or not, is refused as `home_in_use`.
    async fn delete_home(&self, name: &str) -> Result<(), Failure> {
        Err(user_error("not_found", format!("home {name:?} on this platform")))
    }

    /// Makes an application's template available; the answer is for people. Unless a driver prepares something (pulls an
    /// image, writes a resource), it is enough that the manifest is one. Installing twice is installing once.
    async fn install(&self, app: &AppInstall, progress: &Progress) -> Result<String, Failure> {
        let _ = progress;
        manifest(app).map(|manifest| format!("template {} can be run", manifest.metadata.name))
    }

    /// Takes back what [`Driver::install`] prepared. Taking back the unknown is done already.
    async fn uninstall(&self, template_name: &str) -> Result<(), Failure> {
        let _ = template_name;
        Ok(())
    }
}

/// The manifest of an application.
///
/// # Errors
/// A user's mistake where it is none.
pub fn manifest(app: &AppInstall) -> Result<Manifest, Failure> {
    let mut all =
        Manifest::parse_all(&app.manifest).map_err(|e| user_error("bad_manifest", e.in_text(&app.manifest)))?;
    if all.is_empty() { Err(user_error("bad_manifest", "it holds no template")) } else { Ok(all.swap_remove(0)) }
}

/// A failure that another attempt may get over; [`Failure::of`] says what it is about, where that is known.
#[must_use]
pub fn retryable(code: &str, message: impl Into<String>) -> Failure {
    Failure { code: code.into(), message: message.into(), retryable: true, user_error: false, scope: None }
}

/// A failure that only the template's author, or whoever chose the template, can mend.
#[must_use]
pub fn user_error(code: &str, message: impl Into<String>) -> Failure {
    let (code, message, scope) = (code.into(), message.into(), Some(Scope::Template));
    Failure { code, message, retryable: false, user_error: true, scope }
}
