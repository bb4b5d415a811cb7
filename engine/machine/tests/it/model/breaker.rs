//! The breaker amid the starts of six sessions, in every order: the production type beside a plain book of what failed, which says
//! what the breaker may do.
//!
//! Five sessions are of one template and one is of another. Time is a step: whatever the breaker waits for is over by then.

use std::collections::BTreeMap;

use machine::breaker::{Breaker, FAILURES, Failing, Kind, Kinds, PLATFORM, State as Stands, THRESHOLD};
use stateright::{Checker as _, Model, Property};
use streams::wire::Scope;

use crate::world::id;

const SESSIONS: usize = 6;
/// Those of the first template.
const CROWD: usize = 5;
const TEMPLATES: [&str; 2] = ["a@1", "b@1"];

/// A mistake in whoever tells the breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bug {
    /// Each attempt is taken for a session of its own.
    CountsAttempts,
    /// Whatever comes first is the probe.
    AnyProbe,
}

/// How often each may happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Budget {
    failures: u8,
    successes: u8,
    silences: u8,
    /// Starts beyond the first of each session.
    retries: u8,
    /// What failures are said to be about.
    scopes: &'static [Option<Scope>],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Start(usize),
    Succeed(usize),
    Fail(usize, Option<Scope>),
    Delete(usize),
    Silence,
    Wait,
}

/// A start that is on its way; whether it went out on probation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Out {
    probing: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct State {
    budget: Budget,
    breaker: Breaker,
    out: [Option<Out>; SESSIONS],
    begun: [bool; SESSIONS],
    /// What failed since the last start that ended well, and how.
    book: BTreeMap<usize, Option<Scope>>,
    /// Failures of the platform, and silences, since then.
    blames: i32,
    silences: i32,
    ran: [bool; 2],
    broken: Option<&'static str>,
}

const fn template(session: usize) -> usize {
    if session < CROWD { 0 } else { 1 }
}

fn command(session: usize) -> uuid::Uuid {
    id(100 + session as u128)
}

impl State {
    fn start(budget: Budget) -> Self {
        Self {
            budget,
            breaker: Breaker::default(),
            out: [None; SESSIONS],
            begun: [false; SESSIONS],
            book: BTreeMap::new(),
            blames: 0,
            silences: 0,
            ran: [false; 2],
            broken: None,
        }
    }

    fn steps(&self, bug: Option<Bug>) -> Vec<Step> {
        let mut steps = Vec::new();
        for session in 0..SESSIONS {
            match self.out[session] {
                Some(_) => {
                    steps.push(Step::Delete(session));
                    steps.extend((self.budget.successes > 0).then_some(Step::Succeed(session)));
                    if self.budget.failures > 0 {
                        steps.extend(self.budget.scopes.iter().map(|scope| Step::Fail(session, *scope)));
                    }
                }
                None if self.begun[session] && self.budget.retries == 0 => {}
                // sessions of one template that have not begun are alike: the first goes first
                None if !self.begun[session] && session > 0 && session < CROWD && !self.begun[session - 1] => {}
                None => {
                    let any = bug == Some(Bug::AnyProbe) && self.breaker.admits();
                    let admitted = any || self.breaker.admits_start_of(id(session as u128));
                    steps.extend(admitted.then_some(Step::Start(session)));
                }
            }
        }
        steps.extend((self.budget.silences > 0).then_some(Step::Silence));
        steps.extend(self.breaker.until_ms.is_some().then_some(Step::Wait));
        steps
    }

    fn after(&self, step: Step, bug: Option<Bug>) -> Self {
        let mut next = self.clone();
        next.take(step, bug);
        next.judge(self);
        next.forget_times();
        next
    }

    fn take(&mut self, step: Step, bug: Option<Bug>) {
        match step {
            Step::Start(session) => {
                self.budget.retries -= u8::from(self.begun[session]);
                self.begun[session] = true;
                let probing = self.breaker.state == Stands::HalfOpen;
                let probation = probing && self.breaker.until_ms.is_some();
                if probation && self.breaker.probe.is_none() && self.book.contains_key(&session) {
                    self.broken = Some("the probe has not failed here while another may come");
                }
                self.out[session] = Some(Out { probing });
                self.breaker.sent(command(session), None, 0);
            }
            Step::Succeed(session) => {
                self.budget.successes -= 1;
                self.out[session] = None;
                self.ran[template(session)] = true;
                if self.breaker.state == Stands::Closed {
                    self.forget();
                }
                self.breaker.succeeded(command(session), Some(TEMPLATES[template(session)]), 0);
            }
            Step::Fail(session, scope) => self.fail(session, scope, bug),
            Step::Delete(session) => {
                self.out[session] = None;
                self.breaker.abandoned(command(session), 0);
            }
            Step::Silence => {
                self.budget.silences -= 1;
                self.silences += 1;
                self.breaker.failed(None, None, Kind::Unreachable, "silent", 0);
            }
            Step::Wait => self.breaker.tick(self.breaker.until_ms.unwrap_or(0)),
        }
    }

    fn fail(&mut self, session: usize, scope: Option<Scope>, bug: Option<Bug>) {
        self.budget.failures -= 1;
        self.out[session] = None;
        self.book.insert(session, scope);
        self.blames += i32::from(scope == Some(Scope::Platform));
        let name = match bug {
            Some(Bug::CountsAttempts) => 1_000 + u128::from(self.budget.failures),
            _ => session as u128,
        };
        let whose = Failing { id: id(name), template: TEMPLATES[template(session)].into(), scope };
        self.breaker.failed(Some(command(session)), Some(whose), Kind::of(scope, "boom"), "boom", 0);
    }

    fn forget(&mut self) {
        self.book.clear();
        (self.blames, self.silences) = (0, 0);
    }

    /// By the book: what failed cannot be put down to one session or one template.
    fn is_the_platforms(&self) -> bool {
        let enough = THRESHOLD.unsigned_abs() as usize;
        let templates: std::collections::BTreeSet<_> = self.book.keys().map(|session| template(*session)).collect();
        let of = |one: usize| {
            let theirs = self
                .book
                .iter()
                .filter(|(session, scope)| template(**session) == one && **scope != Some(Scope::Template));
            self.ran[one] && theirs.count() >= enough
        };
        let sessions = self.book.len() >= enough && (templates.len() > 1 || of(0) || of(1));
        self.blames >= PLATFORM || self.silences >= THRESHOLD || sessions
    }

    /// What the step did to the breaker, against the book.
    fn judge(&mut self, before: &Self) {
        let (was, is) = (before.breaker.state, self.breaker.state);
        let probes = self.out.iter().flatten().filter(|out| out.probing).count();
        let rules = [
            (
                was != Stands::Closed || is == Stands::Closed || self.is_the_platforms(),
                "it opens by the platform alone",
            ),
            (is != Stands::Closed || was != is || !self.is_the_platforms(), "what is the platform's opens it"),
            (is != Stands::HalfOpen || probes <= 1, "one probe at a time"),
            (is == Stands::Closed || self.breaker.admits() || self.breaker.until_ms.is_some(), "it never stays shut"),
            (is != Stands::Open || self.breaker.by.as_deref() == Some(FAILURES), "it says who opened it"),
        ];
        if let Some((_, rule)) = rules.into_iter().find(|(holds, _)| !holds) {
            self.broken = self.broken.or(Some(rule));
        }
        if was != is {
            self.out.iter_mut().flatten().for_each(|out| out.probing = false); // those are late answers from here on
            if is == Stands::Closed {
                self.forget();
            }
        }
    }

    /// How late it is, how often it opened, and what else no decision looks at, must not tell states apart.
    fn forget_times(&mut self) {
        let breaker = &mut self.breaker;
        breaker.until_ms = breaker.until_ms.map(|_| 1);
        (breaker.since_ms, breaker.trips, breaker.reason) = (None, breaker.trips.min(1), None);
        let Kinds { unreachable, platform, .. } = breaker.kinds;
        breaker.kinds = Kinds { unreachable, platform, ..Kinds::default() };
        breaker.failing.sort_by_key(|past| past.id);
        breaker.ran.sort();
    }
}

#[derive(Clone, Copy)]
struct Bounded(Budget, Option<Bug>);

impl Model for Bounded {
    type State = State;
    type Action = Step;

    fn init_states(&self) -> Vec<State> {
        vec![State::start(self.0)]
    }

    fn actions(&self, state: &State, steps: &mut Vec<Step>) {
        steps.extend(state.steps(self.1));
    }

    fn next_state(&self, last: &State, step: Step) -> Option<State> {
        let next = last.after(step, self.1);
        (next != *last).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("every promise holds", |_, state: &State| state.broken.is_none()),
            Property::sometimes("it opens", |_, state: &State| state.breaker.state == Stands::Open),
        ]
    }
}

fn found(budget: Budget, bug: Option<Bug>) -> (usize, bool, Option<(&'static str, String)>) {
    let checker = Bounded(budget, bug).checker().threads(2).spawn_bfs().join();
    let path = checker.discovery("every promise holds").map(|path| {
        let last = path.last_state().clone();
        (last.broken.unwrap_or("?"), format!("{:?}\n{last:#?}", path.into_actions()))
    });
    (checker.unique_state_count(), checker.discovery("it opens").is_some(), path)
}

const NONE: Budget = Budget { failures: 0, successes: 0, silences: 0, retries: 0, scopes: &[None] };
const TEMPLATE: &[Option<Scope>] = &[None, Some(Scope::Template)];
const OTHERS: &[Option<Scope>] = &[None, Some(Scope::Session), Some(Scope::Platform)];

#[test]
fn a_breaker_keeps_its_promises_in_every_order_of_starts_and_failures() {
    let bounds = [
        ("six failures", Budget { failures: 6, scopes: TEMPLATE, ..NONE }),
        ("five failures, a success", Budget { failures: 5, successes: 1, retries: 1, ..NONE }),
        ("five silences, a failure", Budget { silences: 5, failures: 1, successes: 1, ..NONE }),
        (
            "three failures, a retry, a success",
            Budget { failures: 3, successes: 1, retries: 1, scopes: OTHERS, ..NONE },
        ),
    ];
    for (name, budget) in bounds {
        let begun = std::time::Instant::now();
        let (states, opens, broken) = found(budget, None);
        eprintln!("{name}: {states} states in {:.1?}", begun.elapsed());
        assert!(states > 200 && opens, "{name}: the model hardly moves");
        assert!(broken.is_none(), "{name}: {}", broken.map_or(String::new(), |(rule, path)| format!("{rule}\n{path}")));
    }
}

#[track_caller]
fn breaks(bug: Bug, budget: Budget, promise: &str) {
    let broken = found(budget, Some(bug)).2;
    assert_eq!(broken.as_ref().map(|(rule, _)| *rule), Some(promise), "{}", broken.map_or(String::new(), |b| b.1));
}

#[test]
fn attempts_that_are_counted_as_sessions_are_found() {
    breaks(Bug::CountsAttempts, Budget { failures: 5, retries: 1, ..NONE }, "it opens by the platform alone");
}

#[test]
fn a_probe_of_what_has_failed_here_is_found() {
    let budget = Budget { failures: 2, retries: 1, scopes: OTHERS, ..NONE };
    breaks(Bug::AnyProbe, budget, "the probe has not failed here while another may come");
}
