//! Which check sees to which promise.

pub(crate) mod begin;
pub(crate) mod crowd;
pub(crate) mod end;
pub(crate) mod kills;
pub(crate) mod stop;

mod applications;
mod failures;
mod lives;
mod order;

use controllers::promise::Promise;
use futures::future::BoxFuture;

use crate::account::Finding;
use crate::exam::Exam;

type Check = for<'a> fn(&'a Exam) -> BoxFuture<'a, Finding>;

/// When a promise is checked.
#[derive(Clone, Copy)]
pub(crate) enum Phase {
    /// While the controller starts for the first time.
    Begin,
    /// With all others that need nothing but a running controller.
    Together(Check),
    /// While many sessions run.
    Crowd,
    /// Around kill -9.
    Kills,
    /// Around SIGTERM.
    Stop,
    /// After all sessions were deleted.
    End,
    /// In process only.
    Elsewhere,
}

impl Phase {
    pub(crate) fn is(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }
}

/// The phase that checks a promise.
pub(crate) fn phase(promise: Promise) -> Phase {
    match promise {
        Promise::Heartbeat | Promise::Refused | Promise::InventoryFirst => Phase::Begin,
        Promise::CreateTwice => Phase::Together(|e| Box::pin(lives::create_twice(e))),
        Promise::Page => Phase::Together(|e| Box::pin(lives::page(e))),
        Promise::HibernateWake => Phase::Together(|e| Box::pin(lives::hibernate_wake(e))),
        Promise::ScratchHome => Phase::Together(|e| Box::pin(lives::scratch_home(e))),
        Promise::DeleteAll => Phase::Together(|e| Box::pin(lives::delete_leaves_nothing(e))),
        Promise::HostileNames => Phase::Together(|e| Box::pin(lives::hostile_names(e))),
        Promise::NewerGeneration => Phase::Together(|e| Box::pin(order::newer_generation(e))),
        Promise::StaleGeneration => Phase::Together(|e| Box::pin(order::stale_generation(e))),
        Promise::Duplicates => Phase::Together(|e| Box::pin(order::duplicates(e))),
        Promise::Reorder => Phase::Together(|e| Box::pin(order::reorder(e))),
        Promise::DeleteUnknown => Phase::Together(|e| Box::pin(order::delete_unknown(e))),
        Promise::UnknownSession => Phase::Together(|e| Box::pin(order::unknown_session(e))),
        Promise::BadTemplate => Phase::Together(|e| Box::pin(failures::bad_template(e))),
        Promise::NeverReady => Phase::Together(|e| Box::pin(failures::never_ready(e))),
        Promise::CancelledStart => Phase::Together(|e| Box::pin(failures::cancelled_start(e))),
        Promise::Unreadable => Phase::Together(|e| Box::pin(failures::unreadable(e))),
        Promise::InstallTwice => Phase::Together(|e| Box::pin(applications::install_twice(e))),
        Promise::BadManifest => Phase::Together(|e| Box::pin(applications::bad_manifest(e))),
        Promise::TemplateDelete => Phase::Together(|e| Box::pin(applications::template_delete(e))),
        Promise::Nodes => Phase::Together(|e| Box::pin(applications::nodes(e))),
        Promise::Inventory | Promise::ManyAtOnce | Promise::Resync => Phase::Crowd,
        Promise::Killed | Promise::RestartAdopts | Promise::Standby => Phase::Kills,
        Promise::StopInOrder | Promise::NoCapacity => Phase::Stop,
        Promise::NothingLeft | Promise::Reports | Promise::ReportThenAck => Phase::End,
        Promise::AbandonedCall | Promise::CutAnywhere => Phase::Elsewhere,
    }
}

/// An error unless two things are the same.
pub(crate) fn same<T: PartialEq + std::fmt::Debug>(found: &T, expected: &T, what: &str) -> Result<(), String> {
    if found == expected { Ok(()) } else { Err(format!("{what} should be {expected:?}, and is {found:?}")) }
}

#[cfg(test)]
mod tests {
    use super::{Phase, phase};
    use controllers::promise::{Level, Promise};

    #[test]
    fn every_promise_that_can_be_seen_from_outside_is_checked_from_there() {
        for promise in Promise::ALL.iter().copied() {
            let elsewhere = phase(promise).is(&Phase::Elsewhere);
            assert_eq!(elsewhere, promise.level() == Level::Driver, "{promise:?}");
        }
    }
}
