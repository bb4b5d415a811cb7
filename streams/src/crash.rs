//! Points at which a test may kill the process, to prove that the next start recovers.
//!
//! Without the feature `crash-points` a point does nothing. With it,
//! `STREAMSPACE_CRASH_AT=relay.publish:before` kills the process there, `relay.publish:before:3` at the third
//! time. `STREAMSPACE_CRASH_ONCE=<path>` names a file that is created just before; if it exists, no point does
//! anything.

/// All steps that have points.
pub const STEPS: &[&str] = &[
    "writer.commit",
    "relay.publish",
    "relay.mark",
    "worker.receive",
    "driver.ensure",
    "worker.report",
    "worker.ack",
    "projector.receive",
    "projector.apply",
    "projector.ack",
    "deadletter.park",
    "deadletter.record",
    "timer.fire",
    "placement.decide",
    "job.step",
];

/// The moment within a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Before the step.
    Before,
    /// The step may or may not have taken effect.
    During,
    /// The step has taken effect, but no one has been notified.
    After,
}

impl Moment {
    /// All moments, in order.
    pub const ALL: [Self; 3] = [Self::Before, Self::During, Self::After];

    /// The spelling in the environment.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Before => "before",
            Self::During => "during",
            Self::After => "after",
        }
    }
}

/// Kills the process if the environment requests it.
#[cfg(not(feature = "crash-points"))]
#[inline(always)]
pub fn point(_step: &str, _moment: Moment) {}

/// Kills the process if the environment requests it.
#[cfg(feature = "crash-points")]
pub fn point(step: &str, moment: Moment) {
    armed::point(step, moment);
}

#[cfg(feature = "crash-points")]
mod armed {
    use std::path::PathBuf;
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::Moment;

    struct Plan {
        step: String,
        moment: String,
        nth: u64,
        hits: AtomicU64,
        once: Option<PathBuf>,
    }

    static PLAN: LazyLock<Option<Plan>> = LazyLock::new(|| {
        let wish = std::env::var("STREAMSPACE_CRASH_AT").ok()?;
        let mut parts = wish.split(':');
        let (step, moment) = (parts.next()?.to_owned(), parts.next()?.to_owned());
        let nth = parts.next().and_then(|n| n.parse().ok()).unwrap_or(1);
        let once = std::env::var_os("STREAMSPACE_CRASH_ONCE").map(PathBuf::from);
        Some(Plan { step, moment, nth, hits: AtomicU64::new(0), once })
    });

    pub(super) fn point(step: &str, moment: Moment) {
        let Some(plan) = PLAN.as_ref() else { return };
        if plan.step != step || plan.moment != moment.as_str() {
            return;
        }
        if plan.hits.fetch_add(1, Ordering::SeqCst) + 1 == plan.nth && claim(plan) {
            let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
        }
    }

    /// Whether this process is the one to die: only one can create the file.
    fn claim(plan: &Plan) -> bool {
        plan.once.as_ref().is_none_or(|path| std::fs::File::create_new(path).is_ok())
    }
}
