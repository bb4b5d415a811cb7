//! What every controller promises: one list for the suite that runs in process against a [`Driver`](crate::Driver) and for the one
//! that examines any controller from outside, over NATS (`streamspace conformance`).
//!
//! Both suites match on [`Promise`] without a wildcard, so a promise that is added here does not compile until each of them
//! checks it or [`Promise::level`] says that it cannot.

use std::fmt;

/// Where a promise can be checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// In process and from outside.
    Both,
    /// In process only: it is about calls that are cut, which nobody outside can aim at.
    Driver,
    /// From outside only: it is about messages, processes and signals, which a driver does not have.
    Wire,
}

macro_rules! promises {
    ($($(#[doc = $doc:literal])* $promise:ident $name:literal $level:ident $text:literal,)*) => {
        /// One promise.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Promise {
            $(#[doc = $text] $promise,)*
        }

        impl Promise {
            /// All promises, in the order in which they are reported.
            pub const ALL: &[Self] = &[$(Self::$promise,)*];

            /// The short name, stable, for `--only` and for reports that programs read.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$promise => $name,)* }
            }

            /// The promise in words.
            #[must_use]
            pub const fn text(self) -> &'static str {
                match self { $(Self::$promise => $text,)* }
            }

            /// Where it can be checked.
            #[must_use]
            pub const fn level(self) -> Level {
                match self { $(Self::$promise => Level::$level,)* }
            }
        }
    };
}

promises! {
    Heartbeat "heartbeat" Wire "heartbeats name the controller, its platform, its capabilities and its capacity",
    Refused "refused" Wire "a controller whose heartbeat is refused does no work until one is accepted",
    InventoryFirst "inventory-first" Wire "a controller reports its inventory before it begins to work",
    Reports "reports" Wire "every report is one of the contract: its own subject, an id of its own, the command that it answers",
    ReportThenAck "report-then-ack" Wire "a command is acknowledged after its report, never before",
    CreateTwice "create-twice" Both "creating twice is creating once",
    Page "page" Wire "the URL of a running session opens, and what is written there can be read back",
    NewerGeneration "newer-generation" Both "a newer generation takes over what runs, also when some were skipped",
    StaleGeneration "stale-generation" Both "a stale generation changes nothing",
    Duplicates "duplicates" Wire "a command that comes again long after it was done changes nothing",
    Reorder "reorder" Wire "the newest command wins, in whatever order they arrive",
    DeleteUnknown "delete-unknown" Both "deleting an unknown session is reported as deleted",
    UnknownSession "unknown-session" Wire "hibernating an unknown session is answered, and runs nothing",
    HibernateWake "hibernate-wake" Both "hibernating keeps a persistent home, and waking restores it",
    ScratchHome "scratch-home" Both "hibernating keeps a home that is not persistent",
    DeleteAll "delete-leaves-nothing" Both "deleting leaves nothing, gently or by force",
    BadTemplate "bad-template" Wire "a template that cannot run is its author's mistake: reported as such, and not retried",
    NeverReady "never-ready" Wire "a session that never becomes ready is reported as failed, and can be deleted",
    CancelledStart "cancelled-start" Wire "deleting a session that is still starting ends the start at once",
    HostileNames "hostile-names" Wire "no name of a user breaks anything, whatever characters it has",
    Unreadable "unreadable" Wire "a message that cannot be read is parked, and delays nothing else",
    InstallTwice "install-twice" Both "installing twice is installing once, and so is uninstalling",
    BadManifest "bad-manifest" Both "an invalid manifest is its author's mistake, and the failure says where",
    TemplateDelete "template-delete" Wire "deleting a template, known or not, is accepted and harms no session",
    Nodes "nodes" Wire "a node that is cordoned, drained and uncordoned is reported as such, and loses no session",
    ManyAtOnce "many-at-once" Wire "many sessions created at once all run, each at its own address",
    Inventory "inventory" Both "the inventory lists every session with its state and generation",
    Resync "resync" Wire "asked for its inventory, a controller answers in pages of at most 200, the last one marked",
    AbandonedCall "abandoned-call" Driver "a call that was abandoned is put right by the next",
    CutAnywhere "cut-anywhere" Driver "a call that is cut at any await is continued by any other",
    Killed "killed" Wire "killed at any moment, a controller finishes every command when it is started again, each once",
    RestartAdopts "restart-adopts" Both "a restart adopts what runs",
    Standby "standby" Wire "when the active process is killed, a standby takes over, and nothing is done twice",
    StopInOrder "stop-in-order" Wire "told to stop, a controller ends in time, and its sessions go on",
    NoCapacity "no-capacity" Wire "the limit of sessions is announced, and beyond it a start is refused as `no_capacity` or runs",
    NothingLeft "nothing-left" Wire "after all sessions are deleted nothing is left",
}

/// User ids that the contract allows (1 to 255 printable characters) and that careless code breaks on.
pub const HOSTILE_USERS: &[&str] = &[
    "../../etc/passwd",
    "a b; rm -rf $HOME `id` && \"quoted\" 'too' %s %00",
    "-rf",
    "Zoë 李雷 🦀 \u{202e}txt.exe\u{200b}",
    "a.very.long.name.of.a.user.that.goes.on.and.on.and.on.and.on.and.on.and.on.and.on.and.on.until.it.is.longer.than.any.file.name.or.label.of.63.or.128.characters.would.be",
];

impl fmt::Display for Promise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

#[cfg(test)]
mod tests {
    use super::Promise;

    #[test]
    fn names_are_unique_and_can_be_typed() {
        let names = Promise::ALL.iter().map(|promise| promise.name()).collect::<std::collections::BTreeSet<_>>();
        assert_eq!(names.len(), Promise::ALL.len());
        assert!(names.iter().all(|name| name.chars().all(|c| c.is_ascii_lowercase() || c == '-')));
    }
}
