//! The retry budget of a controller, shared by everything that it owns: a burst, then a steady rate.
//!
//! Back-off spaces out the attempts of one command, but the commands of a thousand sessions would still hammer
//! a broken host. So each retry that is due takes the next slot of its controller's budget, and visibly waits
//! for it. First attempts take none. (The generic cell rate algorithm, whose only state is the time up to which
//! slots are taken.)

/// Number of retries that may go at once after a quiet time.
pub const BURST: i64 = 20;
/// Time between two retries after that, in milliseconds.
pub const INTERVAL_MS: i64 = 500;

/// The budget of one controller.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Budget {
    /// The time up to which slots are taken, in milliseconds since the epoch.
    pub spoken_for_ms: i64,
}

impl Budget {
    /// Time of the next free slot, now or later.
    #[must_use]
    pub fn next(self, now_ms: i64) -> i64 {
        (self.spoken_for_ms - (BURST - 1) * INTERVAL_MS).max(now_ms)
    }

    /// The budget after the next slot was taken.
    #[must_use]
    pub fn taken(self, now_ms: i64) -> Self {
        Self { spoken_for_ms: self.spoken_for_ms.max(now_ms) + INTERVAL_MS }
    }

    /// Number of retries that could go at once.
    #[must_use]
    pub fn left(self, now_ms: i64) -> i64 {
        let ahead = (self.spoken_for_ms - now_ms).max(0);
        (BURST * INTERVAL_MS - ahead).max(0) / INTERVAL_MS
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The slots of `count` retries that are all due now.
    fn places(count: i64, now_ms: i64) -> Vec<i64> {
        let mut budget = Budget::default();
        let mut one = || {
            let at = budget.next(now_ms);
            budget = budget.taken(now_ms);
            at
        };
        (0..count).map(|_| one()).collect()
    }

    #[test]
    fn a_crowd_goes_as_a_burst_and_then_at_a_steady_pace() {
        let places = places(BURST + 3, 10_000);
        assert!(places[..BURST as usize].iter().all(|at| *at == 10_000), "{places:?}");
        assert_eq!(places[BURST as usize..], [1, 2, 3].map(|n| 10_000 + n * INTERVAL_MS));
    }

    #[test]
    fn what_is_left_is_what_could_go_at_once() {
        let full = Budget::default();
        assert_eq!((full.left(5_000), full.taken(5_000).left(5_000)), (BURST, BURST - 1));
        let spent = (0..BURST).fold(full, |budget, _| budget.taken(5_000));
        assert_eq!((spent.left(5_000), spent.left(5_000 + 4 * INTERVAL_MS)), (0, 4));
        assert_eq!(spent.left(5_000 + BURST * INTERVAL_MS), BURST, "it fills up, and no further");
    }

    proptest! {
        #[test]
        fn no_stretch_of_time_sees_more_than_the_burst_and_its_pace(waits in prop::collection::vec(0_i64..2_000, 1..400)) {
            let (mut now, mut budget, mut gone) = (0, Budget::default(), Vec::new());
            for wait in waits {
                now += wait;
                gone.push(budget.next(now));
                budget = budget.taken(now);
            }
            gone.sort_unstable();
            for (i, from) in gone.iter().enumerate() {
                let within = gone[i..].iter().filter(|at| **at <= from + 10_000).count() as i64;
                prop_assert!(within <= BURST + 10_000 / INTERVAL_MS, "{within} from {from}");
            }
        }
    }
}
