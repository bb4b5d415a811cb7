//! What each role may do on NATS: the least that lets it do its work.
//!
//! Subjects that carry a controller's name are the boundary between controllers: in the durable lane one can
//! neither read another's commands nor report in its name. The core lane has no such subjects, so no permissions
//! can separate the core-lane controllers of one platform.
//!
//! nats-server checks the subject of a message, not its reply subject. That is why [`crate::reply`] refuses to
//! answer outside of inboxes.

use crate::ids::{ControllerId, Platform};
use crate::subject::{self, Report, Verb};
use crate::topology::{self, SS_COMMANDS, SS_DLQ, SS_REPORTS, STREAMS};

/// Prefix of all inboxes, those of clients that choose none included.
pub const INBOX: &str = "_INBOX";

/// Who connects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Role {
    /// An engine. All engines of an installation are equals.
    Engine,
    /// One durable controller.
    Controller(Platform, ControllerId),
    /// A developer on the machine of `streamspace dev`: any controller, in either lane, or any user. It can forge
    /// what a controller says, but neither command controllers nor touch streams.
    Developer,
}

/// Subjects that a client may publish and subscribe to; everything else is denied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permissions {
    /// Subjects to publish on.
    pub publish: Vec<String>,
    /// Subjects to subscribe to.
    pub subscribe: Vec<String>,
    /// Exceptions from `subscribe`.
    pub not_subscribe: Vec<String>,
    /// Whether it may answer, once, each request that it receives.
    pub responds: bool,
}

impl Role {
    /// The prefix of its inboxes, which no other role may subscribe to.
    #[must_use]
    pub fn inbox(&self) -> String {
        match self {
            Self::Engine => format!("{INBOX}.engine"),
            Self::Controller(platform, id) => format!("{INBOX}.controller.{platform}.{id}"),
            Self::Developer => INBOX.into(),
        }
    }

    /// Its permissions.
    #[must_use]
    pub fn permissions(&self) -> Permissions {
        match self {
            Self::Engine => engine(),
            Self::Controller(platform, id) => {
                controller(platform.as_str(), id.as_str(), &subject::consumer_name(platform, id), &self.inbox())
            }
            Self::Developer => developer(),
        }
    }
}

fn engine() -> Permissions {
    let mut publish = owned(&[
        "streamspace.controller.sync.*.*",
        "streamspace.controller.ask.*.*",
        "streamspace.dlq.>",
        "_INBOX.>", // answers to controllers and users
        "$JS.API.INFO",
    ]);
    publish.extend(Verb::ALL.iter().flat_map(|verb| {
        let name = verb.name();
        [format!("streamspace.{name}.*"), format!("streamspace.{name}.*.*")]
    }));
    publish.extend(topology::subjects(SS_REPORTS)); // corrected and replayed dead letters
    for stream in STREAMS {
        let requests = ["INFO", "CREATE", "UPDATE", "DELETE", "PURGE", "MSG.GET"];
        publish.extend(requests.map(|request| format!("$JS.API.STREAM.{request}.{stream}")));
        publish.push(format!("$JS.API.CONSUMER.CREATE.{stream}.>"));
        publish.push(format!("$JS.API.CONSUMER.LIST.{stream}"));
        publish.extend(["INFO", "DELETE"].map(|request| format!("$JS.API.CONSUMER.{request}.{stream}.*")));
    }
    for stream in [SS_REPORTS, SS_DLQ] {
        publish.push(format!("$JS.API.CONSUMER.MSG.NEXT.{stream}.{}", topology::ENGINE));
        publish.push(format!("$JS.ACK.{stream}.{}.>", topology::ENGINE));
    }
    let mut subscribe = owned(&[subject::HEARTBEAT, subject::OWN_HEARTBEATS, subject::INTAKE]);
    subscribe.push(format!("{}.>", Role::Engine.inbox()));
    Permissions { publish, subscribe, not_subscribe: Vec::new(), responds: false }
}

fn controller(platform: &str, id: &str, consumer: &str, inbox: &str) -> Permissions {
    let mut publish = vec![
        format!("{}.{platform}.{id}", subject::HEARTBEAT),
        format!("{}streamspace.*.*.{platform}.{id}", subject::DEAD_LETTER_PREFIX),
        "$JS.API.INFO".into(),
        format!("$JS.API.CONSUMER.INFO.{SS_COMMANDS}.{consumer}"),
        format!("$JS.API.CONSUMER.MSG.NEXT.{SS_COMMANDS}.{consumer}"),
        format!("$JS.ACK.{SS_COMMANDS}.{consumer}.>"),
    ];
    publish.extend(Report::ALL.iter().map(|report| format!("streamspace.{}.{platform}.{id}", report.name())));
    let subscribe = vec![
        format!("streamspace.controller.sync.{platform}.{id}"),
        format!("streamspace.controller.ask.{platform}.{id}"),
        format!("{inbox}.>"),
    ];
    Permissions { publish, subscribe, not_subscribe: Vec::new(), responds: true }
}

fn developer() -> Permissions {
    let any = controller("*", "*", "*", INBOX);
    let mut publish = any.publish;
    publish.push(subject::HEARTBEAT.into());
    publish.extend(Report::ALL.iter().map(|report| subject::bare_report(*report)));
    publish.push(subject::INTAKE.into());
    let mut subscribe = any.subscribe;
    subscribe.extend(Verb::ALL.iter().map(|verb| format!("streamspace.{}.*", verb.name()))); // the core lane
    let not_subscribe = vec![format!("{}.>", Role::Engine.inbox())];
    Permissions { publish, subscribe, not_subscribe, responds: true }
}

fn owned(subjects: &[&str]) -> Vec<String> {
    subjects.iter().map(|subject| (*subject).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> (Role, Role) {
        let controller =
            |id| Role::Controller(Platform::try_new("docker").unwrap(), ControllerId::try_new(id).unwrap());
        (controller("host-1"), controller("host-2"))
    }

    #[test]
    fn two_controllers_share_nothing_but_the_account_information() {
        let (one, other) = names();
        let (one, other) = (one.permissions(), other.permissions());
        let shared = one.publish.iter().filter(|subject| other.publish.contains(subject)).collect::<Vec<_>>();
        assert_eq!(shared, ["$JS.API.INFO"]);
        assert!(one.subscribe.iter().all(|subject| !other.subscribe.contains(subject)));
        for subject in one.publish.iter().chain(&one.subscribe).filter(|subject| *subject != "$JS.API.INFO") {
            assert!(subject.contains("docker.host-1") || subject.contains("docker_host-1"), "{subject}");
        }
    }

    #[test]
    fn only_engines_may_touch_streams_or_give_commands() {
        let (one, _) = names();
        for role in [one, Role::Developer] {
            for subject in role.permissions().publish {
                assert!(!subject.starts_with("$JS.API.STREAM"), "{subject}");
                assert!(!subject::is_command(&subject), "{subject}");
            }
        }
        assert!(Role::Engine.permissions().publish.iter().all(|subject| subject != ">" && subject != "streamspace.>"));
    }
}
