//! Counts the connections of each address, so that no address can take all of them, and keeps the
//! share of the limits that an address's connections have in common.
//!
//! An address stands for one host: an IPv4 address, or the first 64 bits of an IPv6 address, since
//! a host chooses the other bits freely. An address without connections is deliberately forgotten.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, MutexGuard},
};

use crate::{
    grpc::admission::{AddressShare, Shares},
    sync::lock,
};

/// The leading bits of an IPv6 address that identify a host's network.
const NETWORK_BITS: u32 = 64;

/// The connections of all addresses. Cheap to clone; clones count the same ones.
#[derive(Clone)]
pub struct Addresses(Arc<AddressesInner>);

struct AddressesInner {
    each_max: usize,
    shares: Shares,
    held: Mutex<HashMap<IpAddr, AddressUse>>,
}

struct AddressUse {
    connections: usize,
    share: AddressShare,
}

/// The slot of one connection of an address, freed when dropped.
pub struct AddressSlot {
    addresses: Addresses,
    address: IpAddr,
    share: AddressShare,
}

impl Addresses {
    /// Starts with no connections. Each address may hold up to `each_max` of them.
    pub fn new(each_max: usize, shares: Shares) -> Self {
        Self(Arc::new(AddressesInner { each_max, shares, held: Mutex::default() }))
    }

    /// Counts a connection. `None` if its address already holds as many as it may.
    pub fn take(&self, peer: IpAddr) -> Option<AddressSlot> {
        let address = network(peer);
        let mut all = self.lock();
        let held = all
            .entry(address)
            .or_insert_with(|| AddressUse { connections: 0, share: self.0.shares.address() });
        if held.connections >= self.0.each_max {
            return None;
        }
        held.connections += 1;
        let share = held.share.clone();
        Some(AddressSlot { addresses: self.clone(), address, share })
    }

    fn give_back(&self, address: IpAddr) {
        let mut all = self.lock();
        let Some(held) = all.get_mut(&address) else { return };
        held.connections -= 1;
        if held.connections == 0 {
            all.remove(&address);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, AddressUse>> {
        lock(&self.0.held)
    }
}

impl AddressSlot {
    /// The share of the limits that all connections of this address have in common.
    pub const fn share(&self) -> &AddressShare {
        &self.share
    }
}

impl Drop for AddressSlot {
    fn drop(&mut self) {
        self.addresses.give_back(self.address);
    }
}

/// The address that stands for a peer's host.
pub fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(address) => {
            let host_bits = Ipv6Addr::BITS - NETWORK_BITS;
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> host_bits << host_bits))
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grpc::admission::ShareLimits;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn addresses(each_max: usize) -> Addresses {
        let limits = ShareLimits {
            memory_bytes: 0,
            calls: 0,
            photo_bytes: 0,
            connections: 10,
            by_address: true,
        };
        Addresses::new(each_max, Shares::new(limits))
    }

    #[test]
    fn a_full_address_leaves_other_addresses_their_connections() {
        let addresses = addresses(2);
        let held: Vec<_> = (0..3).map(|_| addresses.take(address("10.0.0.1"))).collect();
        assert_eq!(held.iter().flatten().count(), 2);
        assert!(addresses.take(address("10.0.0.2")).is_some());
        drop(held);
        assert!(addresses.take(address("10.0.0.1")).is_some());
    }

    #[test]
    fn an_address_without_connections_is_forgotten() {
        let addresses = addresses(1);
        let held = addresses.take(address("10.0.0.1"));
        assert!(addresses.take(address("10.0.0.1")).is_none());
        drop(held);
        assert!(addresses.lock().is_empty());
    }

    #[test]
    fn all_spellings_of_a_hosts_address_count_as_one() {
        let addresses = addresses(1);
        for (one, other) in [
            ("10.0.0.1", "::ffff:10.0.0.1"),
            ("2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff"),
        ] {
            let _held = addresses.take(address(one)).unwrap();
            assert!(addresses.take(address(other)).is_none(), "{one} and {other}");
        }
        let _held = addresses.take(address("2001:db8:1:2::1")).unwrap();
        assert!(addresses.take(address("2001:db8:1:3::1")).is_some());
    }
}
