//! Whether everybody who must read a stream can: the engine's consumers and those of the controllers of the durable lane are
//! there, are as they must be, keep up, and belong to somebody.

use std::collections::BTreeMap;

use streams::ids::{ControllerId, Platform};
use streams::subject;
use streams::topology::{self, ConsumerState, Difference, ENGINE, SS_COMMANDS, SS_DLQ, SS_REPORTS};

use super::{Check, Doctor, Unread};
use crate::heartbeats::names;
use crate::queries;

pub(super) const NAME: &str = "consumers";
/// Consumers of one stream that are looked at, at most.
const MOST: usize = 1_000;
/// Messages that may wait for a consumer of the engine.
const BEHIND: u64 = 10_000;

/// What was read.
struct Facts {
    /// The engine's consumer on each stream that exists.
    engine: Vec<(&'static str, Option<ConsumerState>)>,
    /// The consumers on commands; `None` where the stream is missing, which is told by its own check.
    commands: Option<Vec<ConsumerState>>,
    /// Whoever is to read commands, by the name of the consumer.
    wanted: BTreeMap<String, Reader>,
}

/// A controller of the durable lane.
struct Reader {
    platform: Platform,
    id: ControllerId,
    /// May be without a consumer.
    revoked: bool,
}

pub(super) async fn check(doctor: &Doctor) -> Result<Check, Unread> {
    let jetstream = doctor.jetstream()?;
    let mut engine = Vec::new();
    for stream in [SS_REPORTS, SS_DLQ] {
        if let Some(all) = topology::consumers(jetstream, stream, MOST).await? {
            engine.push((stream, all.into_iter().find(|one| one.name == ENGINE)));
        }
    }
    let commands = topology::consumers(jetstream, SS_COMMANDS, MOST).await?;
    let mut wanted = BTreeMap::new();
    for row in queries::controllers(&doctor.parts.database.reader).await? {
        if let Some((platform, id)) = names(&row).filter(|_| row.protocol >= 2) {
            wanted.insert(
                subject::consumer_name(&platform, &id),
                Reader { platform, id, revoked: row.revoked || !row.admitted },
            );
        }
    }
    Ok(judge(Facts { engine, commands, wanted }))
}

fn judge(facts: Facts) -> Check {
    let mut check = Check::new(NAME, "everybody who must read a stream can, and keeps up");
    for (stream, found) in facts.engine {
        let about = format!("consumer:{stream}/{ENGINE}");
        match found {
            Some(found) => of_engine(&mut check, about, stream, &found),
            None => check.wrong(
                about,
                format!("the engine's consumer on {stream} is missing: nothing of that stream is read"),
                "start an engine again: it declares its consumers when it starts, and nothing of the stream is lost",
            ),
        }
    }
    if let Some(commands) = facts.commands {
        of_controllers(&mut check, &commands, &facts.wanted);
    }
    check
}

fn of_engine(check: &mut Check, about: String, stream: &str, found: &ConsumerState) {
    check.count(format!("{stream}_pending"), found.pending);
    check.count(format!("{stream}_unacknowledged"), found.unacknowledged);
    check.count(format!("{stream}_redelivered"), found.redelivered);
    differing(
        check,
        &about,
        &found.differs_from_the_engines(),
        "start an engine again: it sets its consumers when it starts",
    );
    if found.pending > BEHIND {
        let sentence = format!("{} messages of {stream} wait for the engine", found.pending);
        check.warn(
            about,
            sentence,
            "see that the database keeps up (streamspace_writer_batch_seconds), or run one more engine",
        );
    }
}

fn of_controllers(check: &mut Check, commands: &[ConsumerState], wanted: &BTreeMap<String, Reader>) {
    let sum = |of: fn(&ConsumerState) -> u64| commands.iter().map(of).sum::<u64>();
    check.count("controllers_pending", sum(|one| one.pending));
    check.count("controllers_unacknowledged", sum(|one| one.unacknowledged));
    check.count("controllers_redelivered", sum(|one| one.redelivered));
    let complete = commands.len() < MOST;
    for (name, Reader { id: controller, .. }) in wanted.iter().filter(|(_, reader)| complete && !reader.revoked) {
        if !commands.iter().any(|one| one.name == *name) {
            let sentence = format!("controller {controller} has no consumer: it gets no commands");
            let way_out = "start the controller again: the engine declares the consumer when a new run of it is heard";
            check.wrong(format!("consumer:{SS_COMMANDS}/{name}"), sentence, way_out);
        }
    }
    for one in commands {
        let about = format!("consumer:{SS_COMMANDS}/{}", one.name);
        match wanted.get(&one.name) {
            None => {
                let sentence = format!("consumer {} belongs to no controller that is known here", one.name);
                let way_out = format!("if nobody needs it: `nats consumer rm {SS_COMMANDS} {}`", one.name);
                check.warn(about, sentence, way_out);
            }
            Some(Reader { platform, id, .. }) => {
                let way_out = "start the controller again: the engine sets the consumer when a new run of it is heard";
                differing(check, &about, &one.differs_from_that_of(platform, id), way_out);
                if i64::try_from(one.unacknowledged).is_ok_and(|n| n >= one.max_unacknowledged) {
                    let sentence = format!("controller {id} holds {} commands and gets no more", one.unacknowledged);
                    check.warn(about, sentence, "see that it runs and ends what it begins");
                }
            }
        }
    }
}

fn differing(check: &mut Check, about: &str, differences: &[Difference], way_out: &str) {
    for Difference { field, found, wanted } in differences {
        check.wrong(about, format!("its {field} is {found}, and must be {wanted}"), way_out);
    }
}
