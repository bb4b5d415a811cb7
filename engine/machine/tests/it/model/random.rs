//! Long random histories through the same world, far beyond what can be walked in whole.

use proptest::prelude::*;
use proptest::sample::Index;

use super::state::{Budget, State};

const TROUBLE: Budget = Budget {
    intents: 8,
    engine_crashes: 4,
    worker_crashes: 4,
    failures: 4,
    duplicates: 6,
    losses: 2,
    crowds: 3,
    engines: 2,
};
const PEACE: Budget = Budget {
    intents: 0,
    engine_crashes: 0,
    worker_crashes: 0,
    failures: 0,
    duplicates: 0,
    losses: 0,
    crowds: 0,
    engines: 2,
};
/// Steps within which a world that is left in peace comes to rest.
const PATIENCE: usize = 2_000;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn long_histories_of_trouble_end_where_the_newest_intent_is(choices in prop::collection::vec(any::<Index>(), 1..150)) {
        let mut state = State::start(TROUBLE);
        for choice in choices {
            let steps = state.steps();
            if steps.is_empty() {
                break;
            }
            state = state.after(*choice.get(&steps), None);
            prop_assert_eq!(state.broken(), None, "{:#?}", state);
        }
        state.budget = PEACE;
        for _ in 0..PATIENCE {
            let Some(step) = state.steps().first().copied() else { break };
            state = state.after(step, None);
            prop_assert_eq!(state.broken(), None, "{:#?}", state);
        }
        prop_assert!(state.quiet(), "it never comes to rest: {:#?}", state);
    }
}
