//! Admission of controllers: the first one of a platform serves at once, later ones as the installation's policy says.
//!
//! Until credentials prove who a controller is, anyone on the bus can announce one, so a newcomer must not take
//! work from those that already serve a platform: an operator admits it, unless the installation trusts its
//! bus. A newcomer of the core lane is never trusted, because a core-lane controller hears the commands of its
//! whole platform.

use crate::Lane;

/// What a newcomer may do on a platform that others serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Policy {
    /// A newcomer of the durable lane serves at once.
    Open,
    /// An operator has to admit each newcomer.
    #[default]
    Operator,
}

impl Policy {
    /// The spelling in settings.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Operator => "operator",
        }
    }
}

/// An unknown policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is neither open nor operator")]
pub struct UnknownPolicy(String);

impl std::str::FromStr for Policy {
    type Err = UnknownPolicy;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::Open, Self::Operator]
            .into_iter()
            .find(|policy| policy.as_str() == text)
            .ok_or_else(|| UnknownPolicy(text.to_owned()))
    }
}

/// Maximum number of controllers waiting for admission. Beyond it a newcomer that would have to wait is refused.
pub const MOST_WAITING: usize = 64;

/// Why an operator's decision, or a newcomer, is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Too many controllers are waiting.
    #[error(
        "{MOST_WAITING} controllers wait to be admitted, which is the most; admit or remove some (`streamspace controller list`)"
    )]
    QueueFull,
    /// Two controllers of the core lane would both carry out each command of their platform.
    #[error(
        "controller {0} serves this platform in the core lane, and two would carry out each command twice; remove it first"
    )]
    CoreLaneTaken(String),
    /// It still sends heartbeats.
    #[error("controller {0} still speaks; stop it before it is removed")]
    Speaks(String),
    /// It still has sessions, applications or pending clean-ups.
    #[error(
        "controller {controller} still has {sessions} sessions, {applications} applications and {debts} pending clean-ups; \
         revoke it, so that its sessions move, or delete them"
    )]
    InUse {
        /// Its id.
        controller: String,
        /// Sessions that are not deleted, or whose clean-up is pending.
        sessions: u64,
        /// Applications that are not uninstalled.
        applications: u64,
        /// Pending clean-ups of sessions that have moved elsewhere.
        debts: u64,
    },
}

/// Another admitted controller of the same platform.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Other<'a> {
    /// Its id.
    pub controller_id: &'a str,
    /// How it is reached.
    pub lane: Lane,
}

/// Whether a new controller serves its platform at once. `others` are the admitted controllers of its platform,
/// healthy or not: a host that is down must not lose its platform to another that announces itself meanwhile.
#[must_use]
pub fn at_once(policy: Policy, lane: Lane, others: usize) -> bool {
    others == 0 || (policy == Policy::Open && lane == Lane::Durable)
}

/// Whether a newcomer may wait for admission.
///
/// # Errors
/// [`Refusal::QueueFull`].
pub fn room(at_once: bool, waiting: usize) -> Result<(), Refusal> {
    if !at_once && waiting >= MOST_WAITING {
        return Err(Refusal::QueueFull);
    }
    Ok(())
}

/// Whether an operator may admit a controller beside the others of its platform.
///
/// # Errors
/// [`Refusal::CoreLaneTaken`].
pub fn admit(lane: Lane, others: &[Other<'_>]) -> Result<(), Refusal> {
    let taken = others.iter().find(|other| lane == Lane::Core && other.lane == Lane::Core);
    taken.map_or(Ok(()), |other| Err(Refusal::CoreLaneTaken(other.controller_id.to_owned())))
}

/// What a controller to be removed still holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Held {
    /// It is admitted and has not missed its heartbeats.
    pub speaks: bool,
    /// Sessions that are not deleted, or whose clean-up is pending.
    pub sessions: u64,
    /// Applications that are not uninstalled.
    pub applications: u64,
    /// Pending clean-ups of sessions that have moved elsewhere.
    pub debts: u64,
}

/// Whether a controller may be removed.
///
/// # Errors
/// [`Refusal::Speaks`] or [`Refusal::InUse`].
pub fn remove(controller: &str, held: Held) -> Result<(), Refusal> {
    let Held { speaks, sessions, applications, debts } = held;
    let controller = controller.to_owned();
    if sessions + applications + debts > 0 {
        return Err(Refusal::InUse { controller, sessions, applications, debts });
    }
    if speaks { Err(Refusal::Speaks(controller)) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newcomer_serves_at_once_only_where_nobody_serves_or_the_durable_lane_is_open() {
        for (policy, lane, others, expected) in [
            (Policy::Open, Lane::Durable, 0, true),
            (Policy::Open, Lane::Core, 0, true),
            (Policy::Operator, Lane::Durable, 0, true),
            (Policy::Operator, Lane::Core, 0, true),
            (Policy::Open, Lane::Durable, 1, true),
            (Policy::Open, Lane::Core, 1, false),
            (Policy::Operator, Lane::Durable, 1, false),
            (Policy::Operator, Lane::Core, 1, false),
        ] {
            assert_eq!(at_once(policy, lane, others), expected, "{policy:?} {lane:?} beside {others}");
        }
    }

    #[test]
    fn rows_that_strangers_can_make_have_a_bound() {
        assert_eq!(room(false, MOST_WAITING - 1), Ok(()));
        assert_eq!(room(true, MOST_WAITING), Ok(()));
        assert_eq!(room(false, MOST_WAITING), Err(Refusal::QueueFull));
    }

    #[test]
    fn an_operator_admits_any_controller_but_a_second_one_of_the_core_lane() {
        let other = |lane| [Other { controller_id: "a", lane }];
        assert_eq!(admit(Lane::Core, &other(Lane::Durable)), Ok(()));
        assert_eq!(admit(Lane::Durable, &other(Lane::Core)), Ok(()));
        assert_eq!(admit(Lane::Durable, &other(Lane::Durable)), Ok(()));
        assert_eq!(admit(Lane::Core, &other(Lane::Core)), Err(Refusal::CoreLaneTaken("a".into())));
    }

    #[test]
    fn only_a_controller_that_is_gone_and_has_nothing_is_removed() {
        assert_eq!(remove("a", Held::default()), Ok(()));
        assert_eq!(remove("a", Held { speaks: true, ..Held::default() }), Err(Refusal::Speaks("a".into())));
        for held in [
            Held { sessions: 1, ..Held::default() },
            Held { applications: 1, ..Held::default() },
            Held { debts: 1, ..Held::default() },
        ] {
            assert!(matches!(remove("a", held), Err(Refusal::InUse { .. })), "{held:?}");
        }
    }

    #[test]
    fn a_policy_is_spelled_as_it_is_read() {
        for policy in [Policy::Open, Policy::Operator] {
            assert_eq!(policy.as_str().parse(), Ok(policy));
        }
        assert!("Open".parse::<Policy>().is_err());
    }
}
