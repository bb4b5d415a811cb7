//! Whose socket it is that answers on a session's port.
//!
//! A server of somebody else that holds the port answers a probe as well as the session's own would; the url would then lead
//! its user to a stranger. So the listening socket is looked for among the open files of the session's processes.

use std::{collections::HashSet, fs, net::IpAddr};

use super::{
    sockets::{self, LISTEN, Socket},
    state::Identity,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Listener {
    Ours,
    /// Somebody else's.
    Foreign,
    /// It is gone, or the session's open files may not be read (a program with privileges of its own).
    Unknown,
}

/// Who listens where `127.0.0.1:port` leads to.
pub(super) fn of(port: u16, session: &[Identity]) -> Listener {
    let answering = answering(&sockets::all(), port);
    if answering.is_empty() {
        return Listener::Unknown;
    }
    let (mut held, mut readable) = (HashSet::new(), true);
    for identity in session {
        match open_sockets(identity.pid) {
            Some(inodes) => held.extend(inodes),
            None => readable &= super::process::started(identity.pid).is_none(), // ended meanwhile
        }
    }
    match answering.iter().all(|inode| held.contains(inode)) {
        true => Listener::Ours,
        false if readable => Listener::Foreign,
        false => Listener::Unknown,
    }
}

/// The inodes of the sockets that the kernel would hand a connection to: the most specific address wins.
fn answering(sockets: &[Socket], port: u16) -> Vec<u64> {
    let listening = sockets.iter().filter(|socket| socket.state == LISTEN && socket.local.1 == port);
    let rank = |socket: &&Socket| match socket.local.0 {
        IpAddr::V4(ip) if ip.is_loopback() => Some(0),
        IpAddr::V4(ip) if ip.is_unspecified() => Some(1),
        IpAddr::V6(ip) if ip.is_unspecified() => Some(2),
        _ => None,
    };
    let ranked = listening.filter_map(|socket| Some((rank(&socket)?, socket.inode))).collect::<Vec<_>>();
    let best = ranked.iter().map(|(rank, _)| *rank).min();
    ranked.into_iter().filter(|(rank, _)| Some(*rank) == best).map(|(_, inode)| inode).collect()
}

fn open_sockets(pid: i32) -> Option<Vec<u64>> {
    let files = fs::read_dir(format!("/proc/{pid}/fd")).ok()?;
    let inode =
        |link: std::path::PathBuf| link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse::<u64>().ok();
    Some(files.flatten().filter_map(|file| inode(fs::read_link(file.path()).ok()?)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_specific_address_answers() {
        let at = |ip: &str, inode| Socket {
            local: (ip.parse().unwrap(), 80),
            remote: ("0.0.0.0".parse().unwrap(), 0),
            state: LISTEN,
            inode,
        };
        assert_eq!(answering(&[at("0.0.0.0", 1), at("127.0.0.1", 2), at("::", 3)], 80), [2]);
        assert_eq!(answering(&[at("0.0.0.0", 1), at("::", 3), at("10.0.0.1", 4)], 80), [1]);
        assert_eq!(answering(&[at("::", 3)], 81), Vec::<u64>::new());
    }
}
