//! Open connections, their limit, and which one is closed to make room.
//!
//! An idle connection costs a descriptor, which the database and NATS need as well. So the limit is well below
//! what the process may open, and when it is reached a new connection is accepted and the one that has been
//! idle longest is closed, starting with those that have never sent a whole request. Half-open connections,
//! however many, cannot lock others out.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::paced::Progress;
use crate::Sockets;

/// Not set.
const NEVER: u64 = u64::MAX;

/// All connections of a server.
#[derive(Debug)]
pub(super) struct Connections {
    pub(super) sockets: Sockets,
    begun: Instant,
    open: Mutex<Open>,
    next: AtomicU64,
}

#[derive(Debug, Default)]
struct Open {
    all: HashMap<u64, Arc<Entry>>,
    by_address: HashMap<IpAddr, usize>,
}

/// A connection.
#[derive(Debug)]
pub(super) struct Entry {
    id: u64,
    address: IpAddr,
    begun: Instant,
    opened_ms: u64,
    /// Requests whose responses have not been sent.
    in_flight: AtomicUsize,
    /// Whether a complete request head ever arrived.
    asked: AtomicBool,
    /// HTTP/2 has pings, so silence in the middle of a head is not checked.
    second_version: AtomicBool,
    /// It has become a WebSocket, which has limits of its own.
    upgraded: AtomicBool,
    /// When the last response was sent.
    ended_ms: AtomicU64,
    /// When the first byte of the next request arrived.
    head_ms: AtomicU64,
    bodies: Mutex<Vec<Weak<Progress>>>,
    /// Fires when the connection should close to make room.
    pub(super) leave: CancellationToken,
}

/// What a connection was too slow with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Overdue {
    /// No complete request head in time.
    Head,
    /// No request for a long time.
    Idle,
    /// It does not read its response.
    Stalled,
}

/// Held by the socket; the connection counts while this exists.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) entry: Arc<Entry>,
    connections: Arc<Connections>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.connections.open().remove(&self.entry);
    }
}

impl Connections {
    pub(super) fn new(sockets: Sockets) -> Arc<Self> {
        Arc::new(Self { sockets, begun: Instant::now(), open: Mutex::default(), next: AtomicU64::new(0) })
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Admits a connection, closing another one if necessary; `None` if all are busy.
    pub(super) fn admit(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let (address, id) = (network(address), self.next.fetch_add(1, Ordering::Relaxed));
        let mut open = self.open();
        let crowded = open.by_address.get(&address).is_some_and(|here| *here >= self.sockets.per_address);
        if crowded || open.all.len() >= self.sockets.connections {
            let victim = open.victim(crowded.then_some(address))?;
            open.remove(&victim);
            victim.leave.cancel();
        }
        let entry = Arc::new(Entry::new(id, address, self.begun));
        *open.by_address.entry(address).or_default() += 1;
        open.all.insert(id, entry.clone());
        Some(Place { entry, connections: self.clone() })
    }

    /// Closes the connection that has been idle longest; returns whether there was one.
    pub(super) fn shed(&self) -> bool {
        let mut open = self.open();
        let Some(victim) = open.victim(None) else { return false };
        open.remove(&victim);
        victim.leave.cancel();
        true
    }
}

impl Open {
    /// The connection that has been idle longest; those that never sent a request come first.
    fn victim(&self, of: Option<IpAddr>) -> Option<Arc<Entry>> {
        let idle = |entry: &&Arc<Entry>| {
            entry.in_flight.load(Ordering::Acquire) == 0
                && !entry.upgraded.load(Ordering::Relaxed)
                && of.is_none_or(|address| address == entry.address)
        };
        let since = |entry: &&Arc<Entry>| match entry.asked.load(Ordering::Relaxed) {
            false => (false, entry.opened_ms, entry.id),
            true => (true, entry.ended_ms.load(Ordering::Relaxed), entry.id),
        };
        self.all.values().filter(idle).min_by_key(since).cloned()
    }

    fn remove(&mut self, entry: &Entry) {
        if self.all.remove(&entry.id).is_none() {
            return; // it was asked to close
        }
        if let Some(here) = self.by_address.get_mut(&entry.address) {
            *here -= 1;
            if *here == 0 {
                self.by_address.remove(&entry.address);
            }
        }
    }
}

impl Entry {
    fn new(id: u64, address: IpAddr, begun: Instant) -> Self {
        Self {
            id,
            address,
            begun,
            opened_ms: elapsed_ms(begun),
            in_flight: AtomicUsize::new(0),
            asked: AtomicBool::new(false),
            second_version: AtomicBool::new(false),
            upgraded: AtomicBool::new(false),
            ended_ms: AtomicU64::new(0),
            head_ms: AtomicU64::new(NEVER),
            bodies: Mutex::default(),
            leave: CancellationToken::new(),
        }
    }

    fn now_ms(&self) -> u64 {
        elapsed_ms(self.begun)
    }

    /// Bytes have arrived.
    pub(super) fn read(&self) {
        if self.in_flight.load(Ordering::Acquire) == 0 && !self.second_version.load(Ordering::Relaxed) {
            let _ = self.head_ms.compare_exchange(NEVER, self.now_ms(), Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    /// A complete request head has arrived.
    pub(super) fn asked(self: &Arc<Self>, second_version: bool) -> InFlight {
        self.in_flight.fetch_add(1, Ordering::AcqRel);
        self.second_version.store(second_version, Ordering::Relaxed);
        self.asked.store(true, Ordering::Relaxed);
        self.head_ms.store(NEVER, Ordering::Relaxed);
        InFlight(self.clone())
    }

    /// It uses another protocol from now on.
    pub(super) fn upgraded(&self) {
        self.upgraded.store(true, Ordering::Relaxed);
    }

    /// A response is being sent.
    pub(super) fn sends(&self) -> Arc<Progress> {
        let progress = Arc::new(Progress::new(self.begun));
        let mut bodies = self.bodies.lock().unwrap_or_else(PoisonError::into_inner);
        bodies.retain(|body| body.strong_count() > 0);
        bodies.push(Arc::downgrade(&progress));
        progress
    }

    /// What it was too slow with.
    pub(super) fn overdue(&self, sockets: &Sockets) -> Option<Overdue> {
        let now_ms = self.now_ms();
        let over =
            |since: u64, limit: std::time::Duration| u128::from(now_ms.saturating_sub(since)) > limit.as_millis();
        if self.in_flight.load(Ordering::Acquire) > 0 {
            let bodies = self.bodies.lock().unwrap_or_else(PoisonError::into_inner);
            let stalled = |body: &Arc<Progress>| body.waits_since_ms().is_some_and(|since| over(since, sockets.stall));
            return bodies.iter().filter_map(Weak::upgrade).any(|body| stalled(&body)).then_some(Overdue::Stalled);
        }
        if !self.asked.load(Ordering::Relaxed) {
            return over(self.opened_ms, sockets.head).then_some(Overdue::Head);
        }
        match self.head_ms.load(Ordering::Relaxed) {
            NEVER => over(self.ended_ms.load(Ordering::Relaxed), sockets.idle).then_some(Overdue::Idle),
            head_ms => over(head_ms, sockets.head).then_some(Overdue::Head),
        }
    }
}

/// A request until its response was sent or given up.
#[derive(Debug)]
pub(super) struct InFlight(Arc<Entry>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.ended_ms.fetch_max(self.0.now_ms(), Ordering::Relaxed);
        self.0.in_flight.fetch_sub(1, Ordering::AcqRel);
    }
}

fn elapsed_ms(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// The unit of an address: for IPv6 a network of 64 bits, the least that a host has.
pub(crate) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
        v4 => v4,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // in tests a panic is the answer
mod tests {
    use std::time::Duration;

    use super::*;

    fn bounded(connections: usize, per_address: usize) -> Arc<Connections> {
        Connections::new(Sockets { connections, per_address, ..Sockets::default() })
    }

    fn at(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn who_never_asked_makes_room_first_and_who_is_busy_never() {
        let connections = bounded(3, 3);
        let [a, b, c] = ["10.0.0.1", "10.0.0.2", "10.0.0.3"].map(|address| connections.admit(at(address)).unwrap());
        let busy = a.entry.asked(false);
        drop(b.entry.asked(false));
        let d = connections.admit(at("10.0.0.4")).unwrap();
        assert!(c.entry.leave.is_cancelled() && !b.entry.leave.is_cancelled());
        drop(d.entry.asked(false));
        let e = connections.admit(at("10.0.0.5")).unwrap();
        assert!(b.entry.leave.is_cancelled(), "idle longest");
        let (_d, _e) = (d.entry.asked(false), e.entry.asked(false));
        assert!(connections.admit(at("10.0.0.6")).is_none(), "all are busy");
        drop(busy);
        assert!(connections.admit(at("10.0.0.6")).is_some());
        assert!(a.entry.leave.is_cancelled());
    }

    #[tokio::test]
    async fn one_address_takes_no_more_than_its_part_and_makes_room_for_itself_only() {
        let connections = bounded(10, 2);
        let other = connections.admit(at("10.0.0.9")).unwrap();
        let mine: Vec<_> = (0..4).map(|_| connections.admit(at("10.0.0.1")).unwrap()).collect();
        let left = mine.iter().filter(|place| place.entry.leave.is_cancelled()).count();
        assert_eq!((left, other.entry.leave.is_cancelled()), (2, false));
        drop(mine);
        assert_eq!(connections.open().by_address.len(), 1, "who is gone is forgotten");
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_has_a_time_and_so_has_silence() {
        let connections = bounded(10, 10);
        let place = connections.admit(at("10.0.0.1")).unwrap();
        let (entry, sockets) = (&place.entry, connections.sockets);
        let pass = async |time: Duration| tokio::time::advance(time + Duration::from_millis(2)).await;
        assert_eq!(entry.overdue(&sockets), None);
        pass(sockets.head).await;
        assert_eq!(entry.overdue(&sockets), Some(Overdue::Head), "nothing was ever asked");
        drop(entry.asked(false));
        pass(sockets.head).await;
        assert_eq!(entry.overdue(&sockets), None, "it is kept alive");
        entry.read();
        pass(sockets.head).await;
        entry.read();
        assert_eq!(entry.overdue(&sockets), Some(Overdue::Head), "a byte now and then is no head");
        drop(entry.asked(false));
        pass(sockets.idle).await;
        assert_eq!(entry.overdue(&sockets), Some(Overdue::Idle));
        let in_flight = entry.asked(false);
        pass(sockets.idle).await;
        assert_eq!(entry.overdue(&sockets), None, "a request may take long");
        let body = entry.sends();
        pass(sockets.stall).await;
        assert_eq!(entry.overdue(&sockets), Some(Overdue::Stalled));
        body.taken();
        assert_eq!(entry.overdue(&sockets), None);
        drop(in_flight);
    }

    #[test]
    fn a_host_has_a_network_of_its_own_in_ipv6() {
        assert_eq!(network(at("2001:db8::1")), network(at("2001:db8::ffff:2")));
        assert_ne!(network(at("2001:db8::1")), network(at("2001:db8:0:1::1")));
        assert_eq!(network(at("::ffff:10.0.0.1")), at("10.0.0.1"));
    }
}
