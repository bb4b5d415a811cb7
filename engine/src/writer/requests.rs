//! What the writer is asked for: each request names its reply.
//!
//! The writer's queue carries [`Work`] and answers with [`Done`], so that a batch holds requests of every kind. Callers see
//! neither: they submit a [`Request`] and get its [`Request::Reply`]. A new kind of request is a type and one line in
//! `requests!`.

use std::marker::PhantomData;

use uuid::Uuid;

use super::application::{ApplicationReport, ApplicationWork, NewApplication, TemplateReport, UninstallApplication};
use super::outlook::Outlook;
use super::prune::Prune;
use super::records::Records;
use super::work::{
    Amend, AskSession, Beat, ControllerEvent, DiscardLetter, Done, EditLetter, JobWrite, KnownEpoch, LostAttempt,
    MarkCopied, MarkPublished, NewDeadLetter, NewSession, Operate, Rebuild, Reinstate, ReplayLetter, ReportIn,
    Revocation, Synced, TemplateWrite, TryReplay, Work, WrittenTemplate,
};
use crate::entities::commanded::{Commanded, Nudge};
use crate::store::{application, controller, dead_letter, job, session};

/// A request to the writer.
pub(crate) trait Request {
    /// The reply to it.
    type Reply: Reply;

    /// The request as the queue carries it.
    fn into_work(self) -> Work;
}

/// A reply, as it is read from what the queue carries.
pub(crate) trait Reply: Sized {
    /// `None` where `done` is of another kind, which is a defect of the writer.
    fn from_done(done: Done) -> Option<Self>;
}

macro_rules! replies {
    ($($reply:ty: $pattern:pat => $value:expr;)*) => {
        $(impl Reply for $reply {
            fn from_done(done: Done) -> Option<Self> {
                match done {
                    $pattern => Some($value),
                    _ => None,
                }
            }
        })*
    };
}
replies! {
    session::Model: Done::Session(row) => *row;
    application::Model: Done::Application(row) => *row;
    controller::Model: Done::Controller(row) => *row;
    dead_letter::Model: Done::DeadLetter(row) => *row;
    job::Model: Done::Job(row) => *row;
    Outlook: Done::Outlook(outlook) => *outlook;
    Vec<WrittenTemplate>: Done::Templates(written) => written;
}

/// For requests of which only the success matters.
impl Reply for () {
    fn from_done(_: Done) -> Option<Self> {
        Some(())
    }
}

/// What became of a command's attempt that was said to have failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// It counts as failed.
    Failed,
    /// It had ended already, or is somebody else's; nothing changed.
    Overtaken,
}

impl Reply for Ended {
    fn from_done(done: Done) -> Option<Self> {
        Some(if matches!(done, Done::Duplicate) { Self::Overtaken } else { Self::Failed })
    }
}

/// How far an open command is after a nudge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Progress {
    /// A controller was chosen for it.
    pub(crate) has_owner: bool,
    /// It was sent, or its next attempt has a time.
    pub(crate) is_under_way: bool,
}

impl Reply for Progress {
    fn from_done(done: Done) -> Option<Self> {
        let (owner, time) = match done {
            Done::Session(row) => (row.controller_id, row.deadline_ms.or(row.next_attempt_ms)),
            Done::Application(row) => (row.controller_id, row.deadline_ms.or(row.next_attempt_ms)),
            _ => (None, None), // a pending clean-up has its owner from the beginning
        };
        Some(Self { has_owner: owner.is_some(), is_under_way: time.is_some() })
    }
}

/// A nudge for the open command of a row of `E`.
#[derive(Debug)]
pub(crate) struct NudgeCommand<E> {
    id: Uuid,
    nudge: Nudge,
    of: PhantomData<fn() -> E>,
}

impl<E: Commanded> NudgeCommand<E> {
    pub(crate) const fn new(id: Uuid, nudge: Nudge) -> Self {
        Self { id, nudge, of: PhantomData }
    }
}

impl<E: Commanded> Request for NudgeCommand<E> {
    type Reply = Progress;

    fn into_work(self) -> Work {
        E::work(self.id, self.nudge)
    }
}

macro_rules! requests {
    ($($request:ident -> $reply:ty: $of:pat => $work:expr;)*) => {
        $(impl Request for $request {
            type Reply = $reply;

            fn into_work(self) -> Work {
                let $of = self;
                $work
            }
        })*
    };
}
requests! {
    NewSession -> session::Model: new => Work::Create(Box::new(new));
    AskSession -> session::Model: AskSession { session, stands, ask } => Work::when(session, stands, Work::Ask(session, ask));
    Amend -> session::Model: Amend { session, stands, change } => Work::when(session, stands, Work::Amend(session, Box::new(change)));
    ReportIn -> (): report => Work::Report(Box::new(report));
    LostAttempt -> Ended: lost => Work::AttemptFailed(Box::new(lost));
    NewApplication -> application::Model: new => ApplicationWork::Install(Box::new(new)).into();
    UninstallApplication -> application::Model: asked => ApplicationWork::Uninstall(asked).into();
    ApplicationReport -> (): report => ApplicationWork::Report(Box::new(report)).into();
    TemplateReport -> (): report => ApplicationWork::Template(Box::new(report)).into();
    TemplateWrite -> Vec<WrittenTemplate>: write => Work::Template(write);
    Beat -> controller::Model: beat => Work::Heartbeat(Box::new(beat));
    ControllerEvent -> controller::Model: event => Work::Controller(event);
    Revocation -> controller::Model: revocation => Work::Revoke(Box::new(revocation));
    Reinstate -> controller::Model: asked => Work::Reinstate(asked);
    Operate -> controller::Model: asked => Work::Operate(asked);
    Synced -> (): synced => Work::Synced(synced);
    MarkPublished -> (): MarkPublished(marks) => Work::Published(marks);
    NewDeadLetter -> (): letter => Work::Park(Box::new(letter));
    MarkCopied -> (): MarkCopied(letters) => Work::Copied(letters);
    ReplayLetter -> dead_letter::Model: asked => Work::Replay(asked);
    TryReplay -> Outlook: asked => Work::TryReplay(asked);
    EditLetter -> dead_letter::Model: asked => Work::Edit(Box::new(asked));
    DiscardLetter -> dead_letter::Model: asked => Work::Discard(asked);
    JobWrite -> job::Model: write => Work::Job(write);
    Rebuild -> (): asked => Work::Rebuild(asked);
    Prune -> (): prune => Work::Prune(Box::new(prune));
    Records -> (): records => Work::PruneRecords(records);
    KnownEpoch -> (): known => Work::Epoch(known);
}
