//! What would become of something if it were asked now: the machine decides as it would, and nothing is written.

use machine::application::Application;
use machine::command::CommandState;
use machine::command::Effect;
use machine::debt::Debt;
use machine::session::Session;
use serde::{Deserialize, Serialize};
use streams::subject::Verb;
use uuid::Uuid;

use super::Error;
use super::batch::Batch;
use super::work::{Ask, Commanded, Done, Failure, Item, Replay};

/// Outlooks that a job keeps.
const KEPT: usize = 100;
/// The outcome where what is asked holds, or is under way.
pub(crate) const NOTHING: &str = "nothing";

/// What would become of one thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outlook {
    /// The session or the dead letter that was asked about.
    pub id: Uuid,
    /// What it is about, as in `event_log.entity`.
    pub entity: Option<String>,
    /// A stable word: the verb of a command that would be issued, `message`, `nothing`, or a decision.
    pub outcome: String,
    /// The same for people, with where it stands and where it would stand.
    pub text: String,
    /// Whose it is.
    #[serde(default)]
    pub user_id: Option<String>,
    /// Who would carry it out.
    #[serde(default)]
    pub controller_id: Option<String>,
    /// What would be destroyed, where anything would.
    #[serde(default)]
    pub destroys: Option<String>,
}

/// What a job that only tries found out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Outlooks {
    /// How often each outcome was found; refusals are counted by the type of problem.
    pub counts: std::collections::BTreeMap<String, i64>,
    /// The first hundred that would not be refused.
    pub items: Vec<Outlook>,
}

impl Outlooks {
    /// Counts one, and keeps it while there is room.
    pub(super) fn keep(&mut self, outlook: Outlook) {
        self.count(&outlook.outcome);
        if self.items.len() < KEPT {
            self.items.push(outlook);
        }
    }

    pub(super) fn count(&mut self, outcome: &str) {
        *self.counts.entry(outcome.to_owned()).or_default() += 1;
    }
}

/// Where something stands, in the words of an outlook.
struct Stand<'a> {
    status: &'a str,
    generation: i64,
    reason: Option<&'a str>,
    owner: Option<&'a str>,
}

impl<'a> Stand<'a> {
    fn of(status: &'a str, command: &'a CommandState) -> Self {
        let (reason, owner) = (command.reason.as_deref(), command.controller_id.as_deref());
        Self { status, generation: command.generation, reason, owner }
    }
}

impl<'a> From<&'a Session> for Stand<'a> {
    fn from(of: &'a Session) -> Self {
        Self::of(of.status.as_str(), &of.command)
    }
}

impl<'a> From<&'a Application> for Stand<'a> {
    fn from(of: &'a Application) -> Self {
        Self::of(of.status.as_str(), &of.command)
    }
}

impl<'a> From<&'a Debt> for Stand<'a> {
    fn from(of: &'a Debt) -> Self {
        Self::of(of.status.as_str(), &of.command)
    }
}

impl Batch<'_> {
    /// What would become of an item of a job.
    pub(super) fn outlook(&self, item: &Item) -> Result<Outlook, Failure> {
        match item {
            Item::Session(id, ask) => self.session_outlook(*id, *ask).map_err(|error| Failure::of(*id, &error)),
            Item::Letter(id, how) => self.letter_outlook(*id, how).map_err(|error| Failure::of(*id, &error)),
            Item::Discard(id, _) => self.discard_outlook(*id).map_err(|error| Failure::of(*id, &error)),
            Item::Refused(failure) => Err(failure.clone()),
        }
    }

    /// What would become of a dead letter that is replayed.
    pub(super) fn try_replay(&self, letter: Uuid, how: &Replay) -> Result<Done, Error> {
        self.letter_outlook(letter, how).map(|outlook| Done::Outlook(Box::new(outlook)))
    }

    fn discard_outlook(&self, letter: Uuid) -> Result<Outlook, Error> {
        let row = self.known_letter(letter)?;
        if row.status == "discarded" {
            return Ok(unchanged(letter, row.entity.clone(), "it was discarded already".into()));
        }
        self.is_open(letter)?;
        let text = format!("it is closed, and not processed any more: {} on {}", row.reason, row.subject);
        Ok(Outlook {
            id: letter,
            entity: row.entity.clone(),
            outcome: "discard".into(),
            text,
            user_id: None,
            controller_id: None,
            destroys: None,
        })
    }

    fn letter_outlook(&self, letter: Uuid, how: &Replay) -> Result<Outlook, Error> {
        if self.known_letter(letter)?.status == "replayed" {
            return Ok(unchanged(letter, None, "it was replayed already".into()));
        }
        self.is_open(letter)?;
        let outlook = match how {
            Replay::Sent { note, .. } => self.message_outlook(letter, note)?,
            Replay::Ask { of, generation } => {
                self.is_current(*of, *generation)?;
                match of {
                    Commanded::Session(id) => self.session_outlook(*id, Ask::Again)?,
                    Commanded::Application(id) => self.application_outlook(*id)?,
                    Commanded::Debt(id) => self.debt_outlook(*id)?,
                }
            }
        };
        Ok(Outlook { id: letter, ..outlook })
    }

    fn message_outlook(&self, letter: Uuid, note: &str) -> Result<Outlook, Error> {
        let row = self.known_letter(letter)?;
        let text = format!("the message goes back to {}, byte for byte{note}", row.subject);
        let (entity, controller_id) = (row.entity.clone(), row.controller_id.clone());
        Ok(Outlook {
            id: letter,
            entity,
            outcome: "message".into(),
            text,
            controller_id,
            user_id: None,
            destroys: None,
        })
    }

    fn session_outlook(&self, id: Uuid, ask: Ask) -> Result<Outlook, Error> {
        let (before, decision) = match ask {
            Ask::Move => match self.would_move(id)? {
                Some(moves) => moves,
                None => return Ok(unchanged(id, Some(format!("session:{id}")), "its owner is in service".into())),
            },
            ask => self.decided(id, &self.asked(id, ask)?)?,
        };
        let row = &self.slot(id)?.row;
        let outlook = told("session", id, &before, &decision.session, &decision.effects);
        Ok(outlook.touching(&row.user_id, decision.session.command.controller_id, || doomed(id, row.persistent_home)))
    }

    fn debt_outlook(&self, id: Uuid) -> Result<Outlook, Error> {
        let (before, decision) = self.debt_decided(id, &machine::debt::Event::Again)?;
        let outlook = told("debt", id, &before, &decision.debt, &decision.effects);
        let (session, user) = self.debt_owner(id)?;
        Ok(outlook.touching(&user, decision.debt.command.controller_id, || {
            format!("what the former owner of session {session} still has of it")
        }))
    }

    fn application_outlook(&self, id: Uuid) -> Result<Outlook, Error> {
        let (before, decision) = self.application_would_again(id)?;
        let outlook = told("application", id, &before, &decision.application, &decision.effects);
        let user = self.application_owner(id)?;
        Ok(outlook.touching(&user, decision.application.command.controller_id, || {
            format!("application {id} on its platform")
        }))
    }
}

impl Outlook {
    /// With whom it touches, and what of theirs it would destroy.
    fn touching(mut self, user: &str, controller_id: Option<String>, doomed: impl FnOnce() -> String) -> Self {
        let ends = [Verb::SessionDelete, Verb::AppUninstall].map(Verb::name);
        if ends.contains(&self.outcome.as_str()) {
            let doomed = doomed();
            self.text = format!("{}; that destroys {doomed}, which is {user}'s", self.text);
            self.destroys = Some(doomed);
        }
        (self.user_id, self.controller_id) = (Some(user.to_owned()), controller_id);
        self
    }
}

/// What goes with a session.
fn doomed(id: Uuid, persistent_home: bool) -> String {
    let home =
        if persistent_home { ", its persistent home too where the platform keeps it with the session" } else { "" };
    format!("session {id} and its files{home}")
}

fn unchanged(id: Uuid, entity: Option<String>, text: String) -> Outlook {
    Outlook { id, entity, outcome: NOTHING.into(), text, user_id: None, controller_id: None, destroys: None }
}

fn told<'a, S: Into<Stand<'a>>>(noun: &str, id: Uuid, before: S, after: S, effects: &[Effect]) -> Outlook {
    let (was, is): (Stand<'_>, Stand<'_>) = (before.into(), after.into());
    let entity = Some(format!("{noun}:{id}"));
    let stands = format!("{noun} {id}: {} at generation {}", was.status, was.generation);
    if effects.is_empty() {
        return unchanged(id, entity, format!("{stands}; it holds already, or is under way"));
    }
    let sent = effects.iter().find_map(|effect| match effect {
        Effect::Send { verb, ready, .. } => Some((verb.name(), *ready)),
        _ => None,
    });
    let (outcome, how) = match sent {
        Some((verb, true)) => (verb, format!("to {}", is.owner.unwrap_or("its controller"))),
        Some((verb, false)) => {
            (verb, format!("which waits: {}", is.reason.unwrap_or("its controller takes no work now")))
        }
        None => (decision(effects), "without a command".into()),
    };
    let text = format!("{stands} → {outcome} at generation {}, {how}; then {}", is.generation, is.status);
    Outlook { id, entity, outcome: outcome.into(), text, user_id: None, controller_id: None, destroys: None }
}

fn decision(effects: &[Effect]) -> &'static str {
    let named = effects.iter().find_map(|effect| match effect {
        Effect::Decide(what) => Some(what.as_str()),
        _ => None,
    });
    named.unwrap_or("changed")
}
