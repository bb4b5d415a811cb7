//! Whether a heartbeat comes from the host that owns its id.
//!
//! An id belongs to the platform, the protocol and the world (`world_id`) that it was first heard with. A
//! heartbeat that omits one of these, or states another, comes from an impostor or from a host that was set up
//! with another's id: it is refused and changes nothing. An operator resets the id of a host that was
//! reinstalled or changes its protocol.

use uuid::Uuid;

use crate::controller::MISSED_HEARTBEATS;

/// Maximum time between two heartbeats, in seconds. A longer interval counts as this.
pub const MAX_INTERVAL_S: i32 = 60;
/// Interval of a controller that does not announce one, in seconds.
pub const DEFAULT_INTERVAL_S: i32 = 10;
/// Minimum silence before another world takes over an id, in milliseconds, whatever interval its host announced.
pub const TAKEOVER_MS: i64 = 30_000;

/// The effective heartbeat interval, in seconds.
#[must_use]
pub fn interval_s(said: Option<u32>) -> i32 {
    said.map_or(DEFAULT_INTERVAL_S, |said| i32::try_from(said).unwrap_or(i32::MAX).clamp(1, MAX_INTERVAL_S))
}

/// What is known of an id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known<'a> {
    /// Its platform.
    pub platform: &'a str,
    /// Its protocol; 0 after a reset by an operator.
    pub protocol: i32,
    /// Its world, if it has announced one.
    pub world_id: Option<Uuid>,
    /// It has used its own subject, on which only its credentials may publish.
    pub own_subject: bool,
    /// It announced that it stops, or has sent nothing since it was reset.
    pub left: bool,
    /// How long it has been silent while an engine was listening, in milliseconds.
    pub silent_ms: i64,
    /// Its heartbeat interval, in seconds.
    pub interval_s: i32,
}

/// What a heartbeat claims.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim<'a> {
    /// Its platform.
    pub platform: &'a str,
    /// Its protocol; 1 if it states none.
    pub protocol: i32,
    /// Its world.
    pub world_id: Option<Uuid>,
    /// It came on the id's own subject.
    pub own_subject: bool,
}

/// Why a heartbeat is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Ids are unique across platforms.
    #[error("it belongs to platform {known}; a controller of platform {claimed} needs another id")]
    Platform {
        /// The platform of the id.
        known: String,
        /// The platform in the heartbeat.
        claimed: String,
    },
    /// Anyone may publish on the bare subject.
    #[error("it uses a subject of its own, so a heartbeat on the shared subject is not from it")]
    BareSubject,
    /// A change of lane needs an operator.
    #[error(
        "it speaks protocol {known}, and this heartbeat protocol {claimed}; where that is meant, an operator resets the id"
    )]
    Protocol {
        /// The protocol of the id.
        known: i32,
        /// The protocol in the heartbeat.
        claimed: i32,
    },
    /// A world that was announced once must not be omitted.
    #[error("its world is {0}, and this heartbeat names none; where that is meant, an operator resets the id")]
    NoWorld(Uuid),
    /// Two hosts with one id: the first one stays in charge while it sends heartbeats.
    #[error(
        "two hosts claim it: world {known} is in charge, world {claimed} is refused; give one another CONTROLLER_ID"
    )]
    OtherWorld {
        /// The world in charge.
        known: Uuid,
        /// The other world.
        claimed: Uuid,
    },
}

/// How long an id must be silent before another world takes it over, in milliseconds.
#[must_use]
pub fn takeover_ms(interval_s: i32) -> i64 {
    (MISSED_HEARTBEATS * 1_000 * i64::from(interval_s.clamp(1, MAX_INTERVAL_S))).max(TAKEOVER_MS)
}

/// Compares a heartbeat with what is known of its id.
///
/// # Errors
/// [`Refusal`] if it comes from another host; it must not have any effect then.
pub fn check(known: &Known<'_>, claim: &Claim<'_>) -> Result<(), Refusal> {
    if known.platform != claim.platform {
        return Err(Refusal::Platform { known: known.platform.to_owned(), claimed: claim.platform.to_owned() });
    }
    if known.own_subject && !claim.own_subject {
        return Err(Refusal::BareSubject);
    }
    let another_lane = (known.protocol >= 2) != (claim.protocol >= 2);
    if known.protocol > 0 && (claim.protocol < known.protocol || another_lane) {
        return Err(Refusal::Protocol { known: known.protocol, claimed: claim.protocol });
    }
    match (known.world_id, claim.world_id) {
        (Some(known), None) => Err(Refusal::NoWorld(known)),
        (Some(world), Some(claimed)) if world != claimed => {
            let gone = known.left || known.silent_ms >= takeover_ms(known.interval_s);
            if gone { Ok(()) } else { Err(Refusal::OtherWorld { known: world, claimed }) }
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Option<Uuid> = Some(Uuid::from_u128(1));
    const THERE: Option<Uuid> = Some(Uuid::from_u128(2));

    fn known() -> Known<'static> {
        let (platform, protocol, world_id) = ("local", 2, HERE);
        Known { platform, protocol, world_id, own_subject: true, left: false, silent_ms: 0, interval_s: 10 }
    }

    fn claim() -> Claim<'static> {
        Claim { platform: "local", protocol: 2, world_id: HERE, own_subject: true }
    }

    #[test]
    fn the_host_itself_is_heard_and_one_that_says_less_or_something_else_is_not() {
        assert_eq!(check(&known(), &claim()), Ok(()));
        for impostor in [
            Claim { platform: "docker", ..claim() },
            Claim { own_subject: false, ..claim() },
            Claim { protocol: 1, ..claim() },
            Claim { world_id: None, ..claim() },
            Claim { world_id: THERE, ..claim() },
        ] {
            assert!(check(&known(), &impostor).is_err(), "{impostor:?}");
        }
        let old = Known { own_subject: false, world_id: None, ..known() };
        for more in [Claim { own_subject: false, world_id: None, ..claim() }, Claim { protocol: 3, ..claim() }, claim()]
        {
            assert_eq!(check(&old, &more), Ok(()), "{more:?}");
        }
    }

    #[test]
    fn a_change_of_lane_needs_a_reset() {
        let core = Known { protocol: 1, own_subject: false, world_id: None, ..known() };
        assert_eq!(check(&core, &claim()), Err(Refusal::Protocol { known: 1, claimed: 2 }));
        let reset = Known { protocol: 0, world_id: None, own_subject: false, left: true, ..known() };
        for any in [claim(), Claim { protocol: 1, world_id: None, own_subject: false, ..claim() }] {
            assert_eq!(check(&reset, &any), Ok(()));
        }
    }

    #[test]
    fn when_another_world_takes_over_is_bounded_by_the_engine() {
        let other = Claim { world_id: THERE, ..claim() };
        for (interval_s, silent_ms, taken) in [
            (10, 29_999, false),
            (10, 30_000, true),
            (1, 29_999, false),
            (1, 30_000, true),
            (60, 179_999, false),
            (60, 180_000, true),
            (i32::MAX, 180_000, true),
        ] {
            let known = Known { interval_s, silent_ms, ..known() };
            assert_eq!(check(&known, &other).is_ok(), taken, "every {interval_s} s, silent for {silent_ms} ms");
        }
        assert_eq!(check(&Known { left: true, ..known() }, &other), Ok(()));
    }

    #[test]
    fn an_interval_is_held_to_its_bounds() {
        for (said, counted) in [
            (None, 10),
            (Some(0), 1),
            (Some(1), 1),
            (Some(60), 60),
            (Some(61), 60),
            (Some(3600), 60),
            (Some(u32::MAX), 60),
        ] {
            assert_eq!(interval_s(said), counted, "{said:?}");
        }
    }
}
