//! The kernel's tables of TCP sockets, read once for all sessions.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// States as in `include/net/tcp_states.h`.
pub(super) const ESTABLISHED: u8 = 0x01;
pub(super) const LISTEN: u8 = 0x0A;
/// On their way to the end: both FIN-WAITs, TIME-WAIT, CLOSE-WAIT, LAST-ACK, CLOSING.
const ENDING: [u8; 6] = [0x04, 0x05, 0x06, 0x08, 0x09, 0x0B];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Socket {
    pub(super) local: (IpAddr, u16),
    pub(super) remote: (IpAddr, u16),
    pub(super) state: u8,
    pub(super) inode: u64,
}

impl Socket {
    /// Whether it is, or was a moment ago, a connection.
    pub(super) fn connected(&self) -> bool {
        self.state == ESTABLISHED || ENDING.contains(&self.state)
    }
}

/// All of this network namespace, over IPv4 and IPv6.
pub(super) fn all() -> Vec<Socket> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|table| fs::read_to_string(table).unwrap_or_default());
    tables.iter().flat_map(|text| text.lines().skip(1).filter_map(line)).collect() // no IPv6: no table
}

fn line(text: &str) -> Option<Socket> {
    let fields = text.split_ascii_whitespace().collect::<Vec<_>>();
    let (local, remote) = (address(fields.get(1)?)?, address(fields.get(2)?)?);
    let state = u8::from_str_radix(fields.get(3)?, 16).ok()?;
    Some(Socket { local, remote, state, inode: fields.get(9)?.parse().ok()? })
}

/// Words of four bytes, each as this machine stores a number; an IPv4 address in an IPv6 socket is that address.
fn address(text: &str) -> Option<(IpAddr, u16)> {
    let (address, port) = text.rsplit_once(':')?;
    let word = |at: usize| u32::from_str_radix(address.get(at * 8..at * 8 + 8)?, 16).ok().map(u32::to_ne_bytes);
    let ip = match address.len() {
        8 => IpAddr::V4(Ipv4Addr::from(word(0)?)),
        32 => {
            let mut bytes = [0; 16];
            for (at, chunk) in bytes.chunks_mut(4).enumerate() {
                chunk.copy_from_slice(&word(at)?);
            }
            IpAddr::V6(Ipv6Addr::from(bytes)).to_canonical()
        }
        _ => return None,
    };
    Some((ip, u16::from_str_radix(port, 16).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_either_family_is_read() {
        let tail = "00000000:00000000 00:00000000 00000000  1000        0 4711 1 0000000000000000 100 0 0 10 0";
        let four = line(&format!("   0: 0100007F:1F90 0200007F:C001 01 {tail}")).unwrap();
        assert_eq!(four.local, ("127.0.0.1".parse().unwrap(), 8080));
        assert_eq!(four.remote, ("127.0.0.2".parse().unwrap(), 0xC001));
        assert_eq!((four.state, four.inode), (ESTABLISHED, 4711));
        let mapped = "0000000000000000FFFF00000100007F:1F90 00000000000000000000000000000000:0000 0A";
        assert_eq!(line(&format!("   1: {mapped} {tail}")).unwrap().local, four.local);
        assert_eq!(line("garbage"), None);
    }
}
