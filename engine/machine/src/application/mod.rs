//! The life of an application on one platform: installed, upgraded, uninstalled.
//!
//! It has at most one open command, as a session has; [`crate::command`] is what both share. Here is what is its own: which
//! states there are, and what the world's word makes of them. That the state becomes `ready` is what registers its template,
//! and `uninstalled` what takes it back; the writer does both in the transaction that stores the state.

mod facts;
mod report;

use streams::subject::Verb;
use streams::wire::AppState as S;
use uuid::Uuid;

use crate::Context;
use crate::command::{CommandState, Commanded, DecisionKind};
use crate::placement::Place;

pub use crate::command::{Attempt, Effect, Error, FailedAttempt, Source};
pub use facts::{Application, Desired};
pub use report::Observation;

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// Someone wants it installed. The place is used where it has no owner.
    Install {
        /// Where, if it has no place yet.
        place: Place,
        /// Its manifest is another one: whatever it is doing, it is to be done anew.
        changed: bool,
    },
    /// Someone wants it gone.
    Uninstall,
    /// An operator replays its dead letter: what is desired is tried once more.
    Again,
    /// Placement looked again for one that waits.
    Placed(Place),
    /// The owner takes work again.
    OwnerReady,
    /// The owner reports.
    Report(Box<Observation>),
    /// Time passed.
    Tick,
    /// The deadline passed; `held` says whether the stream still has the command.
    Deadline {
        /// JetStream still owns the delivery.
        held: bool,
    },
    /// JetStream lost the command (its store is gone).
    Lost,
    /// An attempt came to nothing, and no report says so.
    AttemptFailed(Box<FailedAttempt>),
}

/// New facts and what is to be done.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// The facts after the event.
    pub application: Application,
    /// What is to be done.
    pub effects: Vec<Effect>,
}

/// The first facts of an application, and its install command.
#[must_use]
pub fn create(install_id: Uuid, place: &Place, context: &Context) -> Decision {
    let mut step = Step { app: Application::new(install_id), effects: Vec::new(), context };
    step.assign(place);
    step.issue(false);
    Decision { application: step.app, effects: step.effects }
}

/// Decides.
///
/// # Errors
/// [`Error`] where the pair of state and event is illegal; the facts then stay as they are.
pub fn decide(application: &Application, event: &Event, context: &Context) -> Result<Decision, Error> {
    let mut step = Step { app: application.clone(), effects: Vec::new(), context };
    step.follow_owner();
    match event {
        Event::Install { place, changed } => step.install(place, *changed)?,
        Event::Uninstall => step.uninstall(),
        Event::Again => step.again()?,
        Event::Placed(place) => step.placed(place),
        Event::OwnerReady => step.owner_ready(),
        Event::Report(observation) => step.report(observation)?,
        Event::Tick => step.retry_if_due(),
        Event::Deadline { held } => step.deadline(*held),
        Event::Lost => step.lost(),
        Event::AttemptFailed(failed) => step.came_to_nothing(failed),
    }
    if step.app.command.reason.is_none() {
        step.explain_wait();
    }
    Ok(Decision { application: step.app, effects: step.effects })
}

/// What may be asked of an application in a state.
#[must_use]
pub fn allowed(state: S) -> Vec<&'static str> {
    match state {
        S::Uninstalled => vec![],
        _ => vec!["install", "uninstall"],
    }
}

/// One decision in the making.
struct Step<'a> {
    app: Application,
    effects: Vec<Effect>,
    context: &'a Context,
}

impl Commanded for Step<'_> {
    fn open(&mut self) -> &mut CommandState {
        &mut self.app.command
    }

    fn effects(&mut self) -> &mut Vec<Effect> {
        &mut self.effects
    }

    fn context(&self) -> &Context {
        self.context
    }

    fn verb(&self) -> Verb {
        match self.app.desired {
            Desired::Installed => Verb::AppInstall,
            Desired::Uninstalled => Verb::AppUninstall,
        }
    }

    fn ends(&self) -> bool {
        self.app.desired == Desired::Uninstalled
    }

    fn placeable(&self) -> bool {
        self.app.desired == Desired::Installed
    }

    fn failed(&mut self) {
        self.app.status = S::Failed;
    }
}

impl Step<'_> {
    fn illegal(&self, asked: &'static str) -> Error {
        let state = self.app.status;
        Error::Illegal { what: "an application", state: state.as_str(), asked, allowed: allowed(state) }
    }

    /// Asking for what holds or is under way changes nothing, unless it is another manifest.
    fn install(&mut self, place: &Place, changed: bool) -> Result<(), Error> {
        match self.app.status {
            S::Uninstalled => return Err(self.illegal("install")),
            S::Pending | S::Installing | S::Ready if !changed => return Ok(()),
            _ => {}
        }
        self.app.desired = Desired::Installed;
        if self.app.command.controller_id.is_none() {
            self.assign(place);
        }
        self.set_out();
        Ok(())
    }

    fn uninstall(&mut self) {
        match self.app.status {
            S::Uninstalling | S::Uninstalled => {}
            _ if self.app.command.controller_id.is_none() => self.vanish(),
            _ => {
                self.app.desired = Desired::Uninstalled;
                self.set_out();
            }
        }
    }

    /// What failed is tried once more, towards what is desired now.
    fn again(&mut self) -> Result<(), Error> {
        if self.app.status != S::Failed {
            return Err(self.illegal("replay"));
        }
        self.set_out();
        Ok(())
    }

    /// Begins the way to what is desired, with a new generation.
    fn set_out(&mut self) {
        self.app.status = match self.app.desired {
            Desired::Installed => S::Pending,
            Desired::Uninstalled => S::Uninstalling,
        };
        self.app.command.message = None;
        let reason = self.app.command.reason.take().filter(|_| self.app.command.controller_id.is_none());
        self.command(false);
        if self.app.command.reason.is_none() {
            self.app.command.reason = reason; // why it has no place
        }
    }

    /// It never reached a controller, so there is nothing to take back.
    fn vanish(&mut self) {
        self.app.desired = Desired::Uninstalled;
        self.app.command.generation += 1;
        self.app.status = S::Uninstalled;
        self.app.command.reason = Some("uninstalled before it was placed".into());
        self.supersede();
        self.effects.push(Effect::Decide(DecisionKind::UninstalledUnplaced));
    }
}
