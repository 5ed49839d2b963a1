//! How many connections each address holds, and what they share: no address may hold all that there
//! may be.
//!
//! An address is what one host has: an IPv4 address, or the first 64 bits of an IPv6 address, since
//! a host may choose the others as it likes.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::grpc::admission::{AddressShare, Shares};

/// The bits of an IPv6 address that name a host's network.
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

/// One connection of an address, given back when dropped.
pub struct AddressSlot {
    addresses: Addresses,
    address: IpAddr,
    share: AddressShare,
}

impl Addresses {
    /// No connections yet; each address may hold so many, and its share of the limits.
    pub fn new(each_max: usize, shares: Shares) -> Self {
        Self(Arc::new(AddressesInner { each_max, shares, held: Mutex::default() }))
    }

    /// Counts a connection, unless its address holds as many as it may.
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
        // Nothing that holds this lock can panic half-way, so a poisoned one is sound.
        self.0.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AddressSlot {
    /// What the connections of its address share.
    pub const fn share(&self) -> &AddressShare {
        &self.share
    }
}

impl Drop for AddressSlot {
    fn drop(&mut self) {
        self.addresses.give_back(self.address);
    }
}

/// What connections of one host have in common.
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
    fn an_address_holds_as_many_as_it_may_and_others_are_not_concerned() {
        let addresses = addresses(2);
        let held: Vec<_> = (0..3).map(|_| addresses.take(address("10.0.0.1"))).collect();
        assert_eq!(held.iter().flatten().count(), 2);
        assert!(addresses.take(address("10.0.0.2")).is_some());
        drop(held);
        assert!(addresses.take(address("10.0.0.1")).is_some());
    }

    #[test]
    fn nothing_is_kept_of_an_address_without_connections() {
        let addresses = addresses(1);
        let held = addresses.take(address("10.0.0.1"));
        assert!(addresses.take(address("10.0.0.1")).is_none());
        drop(held);
        assert!(addresses.lock().is_empty());
    }

    #[test]
    fn a_host_is_counted_once_however_it_writes_its_address() {
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
