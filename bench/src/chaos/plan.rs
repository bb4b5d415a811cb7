//! What will go wrong in a round: drawn from its seed alone, so that the same seed is the same bad day.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// Controllers of a fleet.
pub(super) const CONTROLLERS: usize = 3;
/// Servers of a fleet.
pub(super) const SERVERS: usize = 2;
/// How long things go wrong in a round.
const LENGTH: Duration = Duration::from_secs(8);
/// Every so many rounds nothing goes wrong but rolling restarts, and then no client may notice.
const CALM_EVERY: u64 = 4;

/// One thing that happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// SIGKILL, and started again after so long.
    KillServer(usize, Duration),
    /// SIGSTOP for so long.
    PauseServer(usize, Duration),
    /// SIGTERM, started again, ready, and then the other.
    RollServers,
    /// Every connection to the database is ended by the database.
    CutDatabase,
    /// The database ends every connection, and takes no new ones for so long.
    LoseDatabase(Duration),
    /// SIGKILL, and started again after so long.
    KillController(usize, Duration),
    /// SIGSTOP for so long.
    PauseController(usize, Duration),
    /// SIGKILL, and started again after so long on its store.
    KillNats(Duration),
    /// SIGSTOP for so long.
    PauseNats(Duration),
    /// SIGKILL, and started again without anything that JetStream stored.
    LoseStore,
    /// SIGKILL, and started again on its store, of which a copy is kept.
    BackUpStore,
    /// SIGKILL, and started again on that copy; until the engines have noticed.
    RestoreStore,
    /// So many reports that nobody can read, more than there is room for; each must become a dead letter.
    Poison(usize),
    /// The stream of commands is full of what nobody reads, for so long.
    Crowd(Duration),
    /// Another file takes all the room where NATS stores its streams, for so long; then there is room, and it is started again.
    FillDisk(Duration),
    /// Somebody who may publish says anything, for so long: announces controllers, speaks under others' names, forges letters.
    Strangers(Duration),
}

/// A pause, and then an action.
pub type Step = (Duration, Action);

/// The plan of a round. Its hands act at the same time, each on things of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// What it was drawn from.
    pub seed: u64,
    /// Nothing but rolling restarts.
    pub calm: bool,
    /// On servers and database.
    pub above: Vec<Step>,
    /// On NATS and controllers.
    pub below: Vec<Step>,
    /// On nothing: what others say on the bus.
    pub beside: Vec<Step>,
    /// More of the environment of the servers.
    pub settings: Vec<(&'static str, String)>,
}

impl Plan {
    /// A plan that somebody thought of. The seed gives only what users ask for.
    #[must_use]
    pub const fn thought_of(seed: u64, above: Vec<Step>, below: Vec<Step>) -> Self {
        Self { seed, calm: false, above, below, beside: Vec::new(), settings: Vec::new() }
    }

    fn steps(&self) -> impl Iterator<Item = &Step> {
        self.above.iter().chain(&self.below).chain(&self.beside)
    }

    /// Whether NATS stores its streams on a small disk, which another file will fill.
    #[must_use]
    pub fn fills_disk(&self) -> bool {
        self.steps().any(|(_, action)| matches!(action, Action::FillDisk(_)))
    }

    /// Whether somebody else speaks on the bus.
    #[must_use]
    pub fn has_strangers(&self) -> bool {
        self.steps().any(|(_, action)| matches!(action, Action::Strangers(_)))
    }

    /// Reports that nobody can read.
    pub(super) fn poison(&self) -> usize {
        let poison = |step: &Step| if let (_, Action::Poison(count)) = step { *count } else { 0 };
        self.steps().map(poison).sum()
    }

    /// Draws a plan.
    #[must_use]
    pub fn draw(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        if seed.is_multiple_of(CALM_EVERY) {
            let roll = (Duration::from_millis(rng.random_range(200..1_000)), Action::RollServers);
            return Self { calm: true, ..Self::thought_of(seed, vec![roll, roll], Vec::new()) };
        }
        let (above, below) = (hand(&mut rng, above), hand(&mut rng, below));
        let beside = if rng.random_bool(0.5) { hand(&mut rng, beside) } else { Vec::new() };
        Self { beside, ..Self::thought_of(seed, above, below) }
    }
}

fn hand(rng: &mut StdRng, action: fn(&mut StdRng) -> (Duration, Action)) -> Vec<Step> {
    let (mut steps, mut filled) = (Vec::new(), Duration::ZERO);
    while filled < LENGTH {
        let pause = Duration::from_millis(rng.random_range(100..2_000));
        let (takes, action) = action(rng);
        filled += pause + takes;
        steps.push((pause, action));
    }
    steps
}

fn above(rng: &mut StdRng) -> (Duration, Action) {
    let (which, long) = (rng.random_range(0..SERVERS), Duration::from_millis(rng.random_range(0..3_000)));
    match rng.random_range(0..10) {
        0..4 => (long, Action::KillServer(which, long)),
        4..6 => (long, Action::PauseServer(which, long)),
        6..8 => (Duration::from_secs(3), Action::RollServers),
        8 => (Duration::ZERO, Action::CutDatabase),
        _ => (long, Action::LoseDatabase(long)),
    }
}

fn below(rng: &mut StdRng) -> (Duration, Action) {
    let (which, long) = (rng.random_range(0..CONTROLLERS), Duration::from_millis(rng.random_range(0..4_000)));
    match rng.random_range(0..22) {
        0..8 => (long, Action::KillController(which, long)),
        8..13 => (long, Action::PauseController(which, long)),
        13..16 => (long, Action::KillNats(long)),
        16..19 => (long, Action::PauseNats(long)),
        19 => (Duration::ZERO, Action::LoseStore),
        _ => (long, Action::FillDisk(long)),
    }
}

fn beside(rng: &mut StdRng) -> (Duration, Action) {
    let long = Duration::from_millis(rng.random_range(500..4_000));
    (long, Action::Strangers(long))
}
