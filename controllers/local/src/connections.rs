//! How many connections each session has, or had since the last look: also a connection that was opened and closed in between
//! is use, and most of HTTP is made of them.
//!
//! What was closed stays in the kernel's tables for a minute (TIME-WAIT), on the side that closed first; both sides are on this
//! machine. A connection that was broken off (RST), or closed while the machine had too many of them, leaves nothing there.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::net::{TcpSocket, TcpStream};
use tokio::time::Instant;

use super::sockets::{ESTABLISHED, Socket};

/// A connection's end that is not the session's.
type Peer = (IpAddr, u16);

/// Counts from look to look.
#[derive(Debug, Default)]
pub(super) struct Counter {
    seen: HashMap<u16, HashSet<Peer>>,
}

impl Counter {
    /// Connections by the ports asked for, without those that `ours` names.
    pub(super) fn count(
        &mut self,
        sockets: &[Socket],
        ports: &HashSet<u16>,
        ours: impl Fn(Peer) -> bool,
    ) -> HashMap<u16, u32> {
        let mut open = HashMap::<u16, HashSet<Peer>>::new();
        let mut seen = ports.iter().map(|port| (*port, HashSet::new())).collect::<HashMap<_, HashSet<Peer>>>();
        for socket in sockets.iter().filter(|socket| socket.connected()) {
            let Some((port, peer)) = ends(socket, ports).filter(|(_, peer)| !ours(*peer)) else { continue };
            seen.entry(port).or_default().insert(peer);
            if socket.state == ESTABLISHED && socket.local.1 == port {
                open.entry(port).or_default().insert(peer);
            }
        }
        let counts = seen.iter().map(|(port, peers)| {
            let open = open.remove(port).unwrap_or_default();
            let before = self.seen.get(port);
            // what ended before the first look at a port was not counted by it
            let short = |peer: &&Peer| before.is_some_and(|before| !before.contains(*peer)) && !open.contains(*peer);
            (*port, (open.len() + peers.iter().filter(short).count()) as u32)
        });
        let counts = counts.collect();
        self.seen = seen;
        counts
    }
}

/// The session's port and the other end, from either end's line.
fn ends(socket: &Socket, ports: &HashSet<u16>) -> Option<(u16, Peer)> {
    if ports.contains(&socket.local.1) {
        return Some((socket.local.1, socket.remote));
    }
    // a connection to the same port of another machine is nobody's here
    (ports.contains(&socket.remote.1) && socket.remote.0.is_loopback()).then_some((socket.remote.1, socket.local))
}

/// Longer than a closed connection stays in the tables.
const REMEMBERED: Duration = Duration::from_secs(120);
const REMEMBERED_MAX: usize = 1 << 16;

/// The driver's own connections to sessions, which are no use of them.
#[derive(Debug, Default)]
pub(super) struct Probes(Mutex<VecDeque<(u16, Instant)>>);

impl Probes {
    /// Connects to a port of this machine, remembered before anything can be seen of it.
    pub(super) async fn connect(&self, port: u16) -> io::Result<TcpStream> {
        let socket = TcpSocket::new_v4()?;
        socket.bind((Ipv4Addr::LOCALHOST, 0).into())?;
        let from = socket.local_addr()?.port();
        {
            let (mut ports, now) = (self.0.lock().unwrap_or_else(PoisonError::into_inner), Instant::now());
            while ports.len() >= REMEMBERED_MAX || ports.front().is_some_and(|(_, at)| now - *at > REMEMBERED) {
                ports.pop_front();
            }
            ports.push_back((from, now));
        }
        socket.connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await
    }

    /// The ports that they came from.
    pub(super) fn ports(&self) -> HashSet<u16> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().map(|(port, _)| *port).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME_WAIT: u8 = 0x06;

    fn socket(local: u16, remote: u16, state: u8) -> Socket {
        let home = IpAddr::V4(Ipv4Addr::LOCALHOST);
        Socket { local: (home, local), remote: (home, remote), state, inode: 1 }
    }

    #[test]
    fn a_connection_that_came_and_went_between_two_looks_is_counted_once() {
        let (mut counter, ports) = (Counter::default(), HashSet::from([8080]));
        let mut count = |sockets: &[Socket]| counter.count(sockets, &ports, |peer| peer.1 == 999)[&8080];
        assert_eq!(count(&[socket(8080, 500, TIME_WAIT)]), 0); // from before the first look
        let later = [socket(8080, 500, TIME_WAIT), socket(501, 8080, TIME_WAIT), socket(999, 8080, TIME_WAIT)];
        assert_eq!(count(&later), 1);
        assert_eq!(count(&later), 0);
    }

    #[test]
    fn both_ends_of_an_open_connection_are_one() {
        let (mut counter, ports) = (Counter::default(), HashSet::from([8080]));
        let open = [socket(8080, 500, ESTABLISHED), socket(500, 8080, ESTABLISHED)];
        for _ in 0..2 {
            assert_eq!(counter.count(&open, &ports, |_| false)[&8080], 1);
        }
    }
}
