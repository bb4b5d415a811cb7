//! What a report means to the open command. Only what is newer than the fence (generation, stream epoch, stream sequence)
//! counts.

use streams::wire::Failure;
use uuid::Uuid;

use super::{Attempt, Commanded, Effect, Error, MAX_STARTS, RUN_LOST};
use crate::Lane;

/// Where a report stands in the order of reports: its stream's epoch and sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Source {
    /// Grows whenever the stream was made anew.
    pub epoch: i64,
    /// Sequence in the stream.
    pub seq: i64,
}

/// What every report says, whatever it is about.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Word<'a> {
    pub(crate) controller_id: &'a str,
    pub(crate) lane: Lane,
    pub(crate) source: Source,
    pub(crate) generation: Option<i64>,
    pub(crate) causation_id: Option<Uuid>,
    pub(crate) attempt: Option<i32>,
    pub(crate) instance_id: Option<Uuid>,
    pub(crate) failed: bool,
}

/// What a report is worth.
pub(crate) enum Worth {
    /// It is news of the present generation, and the fence has moved.
    News,
    /// It is known, or older than what is known.
    Old,
    /// It is of an older generation, but was said after the last word.
    Afterthought,
    /// The owner knows a generation that this database does not: it was restored from a backup. Ours was raised above it.
    Future,
}

/// The same report, of whatever it is about.
macro_rules! word {
    ($seen:expr) => {
        $crate::command::Word {
            controller_id: &$seen.controller_id,
            lane: $seen.lane,
            source: $seen.source,
            generation: $seen.generation,
            causation_id: $seen.causation_id,
            attempt: $seen.attempt,
            instance_id: $seen.instance_id,
            failed: $seen.error.is_some(),
        }
    };
}
pub(crate) use word;

pub(crate) trait Listens: Commanded {
    /// Holds a report against the owner and the fence.
    fn weigh(&mut self, word: Word<'_>) -> Result<Worth, Error> {
        self.check_owner(word)?;
        let open = self.open();
        let generation = word.generation.unwrap_or(open.generation);
        let place = (word.source.epoch, word.source.seq);
        if generation > open.generation.saturating_add(1_000_000_000) {
            return Err(Error::Nonsense(format!("generation {generation} is beyond anything that was ever issued")));
        }
        if generation < open.generation {
            let said_later = place > (open.seen_epoch, open.seen_seq);
            self.effects().push(Effect::Superseded);
            return Ok(if said_later { Worth::Afterthought } else { Worth::Old });
        }
        let future = generation > open.generation;
        if !future && (generation, place.0, place.1) <= (open.seen_generation, open.seen_epoch, open.seen_seq) {
            self.effects().push(Effect::Superseded);
            return Ok(Worth::Old);
        }
        if !future && self.is_overtaken(word) {
            self.effects().push(Effect::Superseded);
            return Ok(Worth::Old);
        }
        let open = self.open();
        open.generation = generation;
        (open.seen_generation, open.seen_epoch, open.seen_seq) = (generation, place.0, place.1);
        Ok(if future { Worth::Future } else { Worth::News })
    }

    /// Whether an attempt failed after a newer one had begun. That says nothing of what exists, so it must not fence off what the
    /// newer one said a moment before, which may arrive later.
    fn is_overtaken(&mut self, word: Word<'_>) -> bool {
        let newest = self.open().attempt;
        word.failed
            && self.answers_open_command(word)
            && word.attempt.is_some_and(|attempt| attempt > 0 && attempt < newest)
    }

    fn check_owner(&mut self, word: Word<'_>) -> Result<(), Error> {
        let open = self.open();
        if open.lane == Some(Lane::Core) && word.lane == Lane::Core && word.controller_id.is_empty() {
            return Ok(()); // bare reports need not name their sender; then the lane is all that is known
        }
        if open.controller_id.as_deref() == Some(word.controller_id) && open.lane == Some(word.lane) {
            return Ok(());
        }
        let owner = open.controller_id.clone().unwrap_or_else(|| "nobody".into());
        Err(Error::NotOwner { owner, reporter: word.controller_id.to_owned() })
    }

    fn answers_open_command(&mut self, word: Word<'_>) -> bool {
        let open = self.open();
        match word.causation_id {
            Some(id) => {
                open.id == Some(id) && word.attempt.is_none_or(|attempt| attempt == 0 || attempt <= open.attempt)
            }
            None => word.lane == Lane::Core && open.id.is_some(),
        }
    }

    /// The attempt that is under way failed; says whether the failure is the open command's at all.
    fn answered_badly(&mut self, word: Word<'_>, error: &Failure) -> bool {
        if !self.answers_open_command(word) {
            return false;
        }
        let open = self.open();
        let current = word.attempt.is_none_or(|attempt| attempt == 0 || attempt == open.attempt);
        if current && open.deadline_ms.is_some() {
            self.attempt_failed(error, false);
        }
        true
    }

    /// The owner began. Run after run of it that begins and does not come back makes the command poison. A command that is handed
    /// out again while its owner is down is begun by nobody, and blamed for nothing.
    fn began(&mut self, event_id: Uuid, word: Word<'_>) {
        self.effects().push(Effect::Started { event_id });
        let at_ms = self.context().now_ms;
        let open = self.open();
        if let Some(run) = word.instance_id.filter(|run| Some(*run) != open.starter) {
            let lost = open.starter.replace(run).map(|lost| run_lost(lost, run));
            open.failures.extend(lost.map(|error| Attempt { attempt: open.attempt, at_ms, error }));
            open.starts += 1;
        }
        let starts = open.starts;
        if starts > MAX_STARTS {
            let error = Failure {
                code: "poison".into(),
                message: format!("{starts} runs of the controller began it and none came back"),
                retryable: false,
                user_error: false,
                scope: None,
            };
            self.give_up("poison", &error);
        }
    }

    /// What was commanded holds.
    fn done(&mut self, event_id: Uuid) {
        self.close();
        self.effects().push(Effect::Complete { event_id, superseded: false });
    }
}

impl<T: Commanded> Listens for T {}

/// In the history of a command: a run of its owner that began it and did not come back, known by the next one.
fn run_lost(lost: Uuid, next: Uuid) -> Failure {
    Failure {
        code: RUN_LOST.into(),
        message: format!("run {lost} of the controller began it and did not come back; run {next} began it again"),
        retryable: true,
        user_error: false,
        scope: None,
    }
}
