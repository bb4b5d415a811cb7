//! The faults of a round, drawn from its seed alone so that they can be reproduced.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// Controllers per fleet.
pub(super) const CONTROLLERS: usize = 3;
/// Servers per fleet.
pub(super) const SERVERS: usize = 2;
/// Duration of the faults in a round.
const LENGTH: Duration = Duration::from_secs(8);
/// Every so many rounds consist of rolling restarts only, which no client may notice.
const CALM_EVERY: u64 = 4;

/// A fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// SIGKILL, and a restart after this time.
    KillServer(usize, Duration),
    /// SIGSTOP for this time.
    PauseServer(usize, Duration),
    /// SIGTERM, restart, ready; one server after the other.
    RollServers,
    /// The database closes every connection.
    CutDatabase,
    /// The database closes every connection, and refuses new ones for this time.
    LoseDatabase(Duration),
    /// SIGKILL, and a restart after this time.
    KillController(usize, Duration),
    /// SIGSTOP for this time.
    PauseController(usize, Duration),
    /// SIGKILL, and a restart on the same store after this time.
    KillNats(Duration),
    /// SIGSTOP for this time.
    PauseNats(Duration),
    /// SIGKILL, and a restart without the store.
    LoseStore,
    /// SIGKILL, and a restart on the store, of which a copy is made.
    BackUpStore,
    /// SIGKILL, and a restart on that copy; lasts until the engines have noticed.
    RestoreStore,
    /// This many unreadable reports, more than fit; each must become a dead letter.
    Poison(usize),
    /// The command stream is full of unread messages for this time.
    Crowd(Duration),
    /// Another file uses up all space of NATS's streams for this time; then there is space, and NATS is restarted.
    FillDisk(Duration),
    /// A foreign client publishes for this time: announces controllers, uses others' names, forges letters.
    Strangers(Duration),
}

/// A pause, followed by an action.
pub type Step = (Duration, Action);

/// The plan of a round. Its three sequences run at the same time, each on targets of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Its seed.
    pub seed: u64,
    /// Whether it consists of rolling restarts only.
    pub calm: bool,
    /// Faults of servers and database.
    pub above: Vec<Step>,
    /// Faults of NATS and controllers.
    pub below: Vec<Step>,
    /// Foreign traffic on the bus.
    pub beside: Vec<Step>,
    /// Additional environment of the servers.
    pub settings: Vec<(&'static str, String)>,
}

impl Plan {
    /// A plan with given faults. The seed only determines the users' requests.
    #[must_use]
    pub const fn thought_of(seed: u64, above: Vec<Step>, below: Vec<Step>) -> Self {
        Self { seed, calm: false, above, below, beside: Vec::new(), settings: Vec::new() }
    }

    fn steps(&self) -> impl Iterator<Item = &Step> {
        self.above.iter().chain(&self.below).chain(&self.beside)
    }

    /// Whether NATS stores its streams on a small disk that is filled.
    #[must_use]
    pub fn fills_disk(&self) -> bool {
        self.steps().any(|(_, action)| matches!(action, Action::FillDisk(_)))
    }

    /// Whether strangers use the bus.
    #[must_use]
    pub fn has_strangers(&self) -> bool {
        self.steps().any(|(_, action)| matches!(action, Action::Strangers(_)))
    }

    /// Number of unreadable reports.
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
