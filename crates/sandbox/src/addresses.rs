//! Addresses of this machine: a block of loopback addresses per sandbox, or a network that is all
//! local; in it an address per pod and per Service.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::{Error, Result};

/// Who holds this port on a block's first address holds the block.
const CLAIM_PORT: u16 = 53_999;
const BLOCK_BITS: u32 = 14;
/// Blocks from 127.64.0.0 up: what is below is left to other users of loopback addresses.
const FIRST: u32 = 0x7f40_0000;
const BLOCKS: u32 = (0x8000_0000 - FIRST) >> BLOCK_BITS;
/// The gateway's address within the block; pods and Services come after it.
const GATEWAY: u32 = 2;

/// A block. Freed when dropped.
#[derive(Debug)]
pub(crate) struct Addresses {
    base: u32,
    /// How many low bits of an address are free.
    bits: u32,
    state: Mutex<State>,
    /// Of a claimed block: held, never accepted from.
    _claim: Option<TcpListener>,
}

#[derive(Debug, Default)]
struct State {
    last: u32,
    used: BTreeSet<u32>,
    services: BTreeMap<(String, String), u32>,
    /// Where a privileged port is really listened on, when this process may not have it.
    moved: BTreeMap<SocketAddr, SocketAddr>,
}

impl Addresses {
    /// Claims the first free block, starting at one that differs from process to process.
    pub(crate) fn claim() -> Result<Self> {
        let start = std::process::id().wrapping_mul(7) % BLOCKS;
        let mut last = std::io::Error::from(std::io::ErrorKind::AddrInUse);
        for offset in 0..BLOCKS {
            let base = FIRST + (((start + offset) % BLOCKS) << BLOCK_BITS);
            let first = SocketAddr::new(IpAddr::V4(Ipv4Addr::from_bits(base + 1)), CLAIM_PORT);
            match TcpListener::bind(first) {
                Ok(claim) => {
                    return Ok(Self::of(base, BLOCK_BITS, Some(claim)));
                }
                Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => last = error,
                Err(error) => return Err(Error::Addresses(error)),
            }
        }
        Err(Error::Addresses(last))
    }

    /// All of a network that the caller has made local, and has alone: `base/prefix`, `prefix` from
    /// 8 to 30.
    pub(crate) fn network(base: Ipv4Addr, prefix: u32) -> Self {
        let bits = 32 - prefix.clamp(8, 30);
        Self::of(base.to_bits() & !((1 << bits) - 1), bits, None)
    }

    fn of(base: u32, bits: u32, claim: Option<TcpListener>) -> Self {
        Self {
            base,
            bits,
            state: Mutex::new(State {
                last: GATEWAY,
                ..State::default()
            }),
            _claim: claim,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ip(&self, host: u32) -> IpAddr {
        IpAddr::V4(Ipv4Addr::from_bits(self.base + host))
    }

    pub(crate) fn gateway(&self) -> IpAddr {
        self.ip(GATEWAY)
    }

    /// A free address; those given back come again last, so that late packets find nobody. `None` =
    /// the block is full.
    pub(crate) fn take(&self) -> Option<IpAddr> {
        let host = next(&mut self.lock(), self.bits)?;
        Some(self.ip(host))
    }

    pub(crate) fn give_back(&self, address: IpAddr) {
        if let IpAddr::V4(address) = address {
            let mut state = self.lock();
            state
                .used
                .remove(&address.to_bits().wrapping_sub(self.base));
            state
                .moved
                .retain(|from, _| from.ip() != IpAddr::V4(address));
        }
    }

    /// The address of a Service, the same every time.
    pub(crate) fn service(&self, namespace: &str, name: &str) -> Option<IpAddr> {
        let key = (namespace.to_owned(), name.to_owned());
        let mut state = self.lock();
        let known = state.services.get(&key).copied();
        let host = if let Some(host) = known {
            host
        } else {
            let host = next(&mut state, self.bits)?;
            state.services.insert(key, host);
            host
        };
        drop(state);
        Some(self.ip(host))
    }

    pub(crate) fn forget_service(&self, namespace: &str, name: &str) {
        let mut state = self.lock();
        if let Some(host) = state
            .services
            .remove(&(namespace.to_owned(), name.to_owned()))
        {
            state.used.remove(&host);
        }
    }

    /// Listens there, or, where a privileged port is not to be had, on another port of the same
    /// address.
    pub(crate) fn listen(&self, wanted: SocketAddr) -> std::io::Result<TcpListener> {
        let listener = match TcpListener::bind(wanted) {
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
                let listener = TcpListener::bind(SocketAddr::new(wanted.ip(), 0))?;
                self.lock().moved.insert(wanted, listener.local_addr()?);
                listener
            }
            other => other?,
        };
        listener.set_nonblocking(true)?;
        Ok(listener)
    }

    /// Where that address is really listened on.
    pub(crate) fn resolve(&self, address: SocketAddr) -> SocketAddr {
        self.lock().moved.get(&address).copied().unwrap_or(address)
    }
}

fn next(state: &mut State, bits: u32) -> Option<u32> {
    let size = (1 << bits) - 1;
    for _ in 0..size {
        state.last = if state.last + 1 < size {
            state.last + 1
        } else {
            GATEWAY + 1
        };
        let host = state.last;
        if state.used.insert(host) {
            return Some(host);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_of_two_sandboxes_differ() {
        let (a, b) = (Addresses::claim().unwrap(), Addresses::claim().unwrap());
        assert_ne!(a.base, b.base);
        assert!(a.gateway().is_loopback() && b.gateway().is_loopback());
    }

    #[test]
    fn a_network_has_its_own_addresses() {
        let addresses = Addresses::network(Ipv4Addr::new(10, 244, 7, 9), 16);
        assert_eq!(addresses.gateway(), IpAddr::from([10, 244, 0, 2]));
        assert_eq!(addresses.take(), Some(IpAddr::from([10, 244, 0, 3])));
        let rest = std::iter::from_fn(|| addresses.take()).count();
        assert_eq!(rest, (1 << 16) - 1 - 3 - 1);
    }

    #[test]
    fn addresses_come_back_last_and_run_out() {
        let addresses = Addresses::claim().unwrap();
        let first = addresses.take().unwrap();
        addresses.give_back(first);
        assert_ne!(addresses.take().unwrap(), first);
        let service = addresses.service("default", "web").unwrap();
        assert_eq!(addresses.service("default", "web"), Some(service));
        let rest = std::iter::from_fn(|| addresses.take()).count();
        assert_eq!(rest, (1 << BLOCK_BITS) - 1 - 3 - 2);
        assert_eq!(addresses.service("default", "other"), None);
    }
}
