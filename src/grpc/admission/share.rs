//! Tracks how much of the shared limits each tenant, each address and each connection holds.
//!
//! A lease gives back what it holds when it is dropped, and a share lives as long as its last
//! lease. [`Pool`] decides how much an address or a connection may hold. A connection may take only
//! what both it and its address may have, so that an address gains nothing by opening more
//! connections. Where there are several tenants, a call takes only what its tenant may have, too:
//! tenants may share an address, as behind a proxy.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use crate::{
    domain::{TenantId, photo},
    grpc::admission::pool::Pool,
    sync::lock,
};

/// At most one in this many open calls may be a list. Lists wait for each other, so the bound keeps
/// that wait within seconds, however many lists other callers ask for.
const CALLS_FOR_A_LIST: usize = 25;
/// The number of lists that is allowed in any case.
const LISTS_MIN: usize = 64;
/// The least memory for answers: enough for the largest page of a list.
const ANSWERS_BYTES_MIN: usize = 16 * 1024 * 1024;

/// The limits of the process.
#[derive(Clone, Copy, Debug)]
pub struct CallLimits {
    /// The most bytes of requests being received, and also of answers that wait to be read.
    pub memory_bytes: usize,
    /// The most open calls.
    pub calls: usize,
    /// The most bytes of photos.
    pub photo_bytes: usize,
    /// How many connections share the limits.
    pub connections: usize,
    /// Whether the limits are shared among addresses as well. False if one address may hold all
    /// connections, as behind a proxy.
    pub by_address: bool,
}

/// The limits of the process, shared. Cheap to clone; clones share them.
#[derive(Clone)]
pub struct Shares {
    connections: Pools,
    addresses: Option<Pools>,
    tenants: Pools,
    /// What each tenant holds. Bounded by the operator, who names the tenants.
    by_tenant: Arc<Mutex<HashMap<TenantId, Holdings>>>,
}

/// One address's share of the limits. Cheap to clone; clones belong to the same address.
#[derive(Clone)]
pub struct AddressShare(Option<Holdings>);

/// One connection's share of the limits. Cheap to clone; clones belong to the same connection.
#[derive(Clone)]
pub struct ConnectionShare {
    connection: Holdings,
    /// The tenant that must have room as well. `None` where there is one tenant, and for calls that
    /// belong to none.
    tenant: Option<Holdings>,
}

/// One pool for each limit.
#[derive(Clone)]
struct Pools {
    memory: Arc<Mutex<Pool>>,
    answers: Arc<Mutex<Pool>>,
    calls: Arc<Mutex<Pool>>,
    lists: Arc<Mutex<Pool>>,
    photos: Arc<Mutex<Pool>>,
}

/// What one holder has of each limit.
#[derive(Clone)]
struct Holdings {
    memory: Arc<HeldShare>,
    answers: Arc<HeldShare>,
    calls: Arc<HeldShare>,
    lists: Arc<HeldShare>,
    photos: Arc<HeldShare>,
}

/// What one holder has of one limit.
struct HeldShare {
    pool: Arc<Mutex<Pool>>,
    /// Written only while the pool is locked.
    amount: Mutex<usize>,
    /// A connection's address, which must have room as well. `None` for an address itself, and if
    /// addresses don't share the limits.
    whole: Option<Arc<HeldShare>>,
}

/// A part of a limit, held until the lease is dropped.
pub struct Lease {
    held: Arc<HeldShare>,
    tenant: Option<Arc<HeldShare>>,
    amount: usize,
}

impl Shares {
    /// Shares of these limits.
    pub fn new(limits: CallLimits) -> Self {
        let set_aside = |limit| Pool::new(limit, limits.connections);
        let connections = Pools::new(limits, set_aside);
        let addresses = limits.by_address.then(|| Pools::generous(limits));
        let tenants = Pools::generous(limits);
        Self { connections, addresses, tenants, by_tenant: Arc::default() }
    }

    /// The share of a new address.
    pub fn address(&self) -> AddressShare {
        AddressShare(self.addresses.as_ref().map(|pools| pools.holdings(None)))
    }

    /// The share of a new connection from an address.
    pub fn connection(&self, address: &AddressShare) -> ConnectionShare {
        let connection = self.connections.holdings(address.0.as_ref());
        ConnectionShare { connection, tenant: None }
    }

    /// A connection's share for the calls of a tenant beside other tenants.
    pub fn of_tenant(&self, share: &ConnectionShare, tenant: &TenantId) -> ConnectionShare {
        let mut by_tenant = lock(&self.by_tenant);
        let held = by_tenant.entry(tenant.clone()).or_insert_with(|| self.tenants.holdings(None));
        ConnectionShare { connection: share.connection.clone(), tenant: Some(held.clone()) }
    }
}

impl Pools {
    fn new(limits: CallLimits, pool: impl Fn(usize) -> Pool) -> Self {
        Self {
            memory: shared(pool(limits.memory_bytes)),
            answers: shared(pool(limits.memory_bytes.max(ANSWERS_BYTES_MIN))),
            calls: shared(pool(limits.calls)),
            lists: shared(pool((limits.calls / CALLS_FOR_A_LIST).max(LISTS_MIN))),
            photos: shared(photos(limits)),
        }
    }

    /// Pools from which one holder may take two thirds.
    fn generous(limits: CallLimits) -> Self {
        let mut pools = Self::new(limits, |limit| Pool::with_free_floors(limit, 0).generous());
        pools.photos = shared(photos(limits).generous());
        pools
    }

    /// The empty holdings of a new holder. `whole` is its address, if addresses share the limits.
    fn holdings(&self, whole: Option<&Holdings>) -> Holdings {
        let held = |pool: &Arc<Mutex<Pool>>, whole: Option<&Arc<HeldShare>>| {
            let (pool, whole) = (Arc::clone(pool), whole.map(Arc::clone));
            Arc::new(HeldShare { pool, amount: Mutex::default(), whole })
        };
        Holdings {
            memory: held(&self.memory, whole.map(|it| &it.memory)),
            answers: held(&self.answers, whole.map(|it| &it.answers)),
            calls: held(&self.calls, whole.map(|it| &it.calls)),
            lists: held(&self.lists, whole.map(|it| &it.lists)),
            photos: held(&self.photos, whole.map(|it| &it.photos)),
        }
    }
}

impl ConnectionShare {
    /// Takes one more call. `None` if the connection may not have it.
    pub fn call(&self) -> Option<Lease> {
        self.lease(|held| &held.calls, 1)
    }

    /// Takes one more list. `None` if the connection may not have it.
    pub fn list(&self) -> Option<Lease> {
        self.lease(|held| &held.lists, 1)
    }

    /// Takes memory for bytes of an answer. `None` if the connection may not have it.
    pub fn answer(&self, bytes: usize) -> Option<Lease> {
        self.lease(|held| &held.answers, bytes)
    }

    /// Takes request memory. `None` if the connection may not have it.
    pub fn memory(&self, bytes: usize) -> Option<Lease> {
        self.lease(|held| &held.memory, bytes)
    }

    /// An empty lease of photo memory, which grows while a photo is received.
    pub fn photo(&self) -> Lease {
        self.empty_lease(|held| &held.photos)
    }

    fn lease(&self, of: fn(&Holdings) -> &Arc<HeldShare>, amount: usize) -> Option<Lease> {
        let mut lease = self.empty_lease(of);
        lease.grow_to(amount).then_some(lease)
    }

    fn empty_lease(&self, of: fn(&Holdings) -> &Arc<HeldShare>) -> Lease {
        let held = Arc::clone(of(&self.connection));
        Lease { held, tenant: self.tenant.as_ref().map(|tenant| Arc::clone(of(tenant))), amount: 0 }
    }
}

impl HeldShare {
    /// Takes `more`, and returns true, if the holder and its address may have it. A connection
    /// takes no more once it holds more than its address has room for, so that the address's
    /// further connections find some.
    fn take(&self, more: usize) -> bool {
        let Some(whole) = &self.whole else { return self.take_here(more) };
        let held = *lock(&self.amount);
        if held > whole.room().saturating_sub(more) || !whole.take_here(more) {
            return false;
        }
        let may = self.take_here(more);
        if !may {
            whole.give_back_here(more);
        }
        may
    }

    fn give_back(&self, less: usize) {
        self.give_back_here(less);
        if let Some(whole) = &self.whole {
            whole.give_back_here(less);
        }
    }

    fn room(&self) -> usize {
        let (pool, held) = (lock(&self.pool), lock(&self.amount));
        pool.room(*held)
    }

    fn take_here(&self, more: usize) -> bool {
        let (mut pool, mut held) = (lock(&self.pool), lock(&self.amount));
        let may = pool.take(*held, more);
        *held += if may { more } else { 0 };
        may
    }

    fn give_back_here(&self, less: usize) {
        let (mut pool, mut held) = (lock(&self.pool), lock(&self.amount));
        pool.give_back(*held, less);
        *held -= less;
    }
}

impl Lease {
    /// How much it holds.
    #[cfg(any(test, fuzzing))]
    pub const fn amount(&self) -> usize {
        self.amount
    }

    /// Makes the lease hold at least `amount`. Returns false, and changes nothing, if the
    /// connection or its tenant may not have it.
    pub fn grow_to(&mut self, amount: usize) -> bool {
        let more = amount.saturating_sub(self.amount);
        let may = more == 0 || self.take(more);
        self.amount += if may { more } else { 0 };
        may
    }

    fn take(&self, more: usize) -> bool {
        if !self.held.take(more) {
            return false;
        }
        let may = self.tenant.as_ref().is_none_or(|tenant| tenant.take(more));
        if !may {
            self.held.give_back(more);
        }
        may
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.held.give_back(self.amount);
        if let Some(tenant) = &self.tenant {
            tenant.give_back(self.amount);
        }
    }
}

/// The pool of photo memory. `PhotoMemory` enforces the total, and the floor is one photo, since
/// less is of no use.
const fn photos(limits: CallLimits) -> Pool {
    Pool::with_free_floors(limits.photo_bytes, photo::BYTES_MAX)
}

fn shared(pool: Pool) -> Arc<Mutex<Pool>> {
    Arc::new(Mutex::new(pool))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: CallLimits = CallLimits {
        memory_bytes: 1_000,
        calls: 100,
        photo_bytes: 0,
        connections: 25,
        by_address: true,
    };

    fn alone(limits: CallLimits) -> ConnectionShare {
        let shares = Shares::new(limits);
        shares.connection(&shares.address())
    }

    #[test]
    fn a_lease_gives_back_what_it_grew_to() {
        let connection = alone(CallLimits { connections: 1, by_address: false, ..LIMITS });
        for _ in 0..3 {
            let mut lease = connection.memory(100).unwrap();
            assert!(lease.grow_to(600) && lease.grow_to(50), "it holds more than that");
            assert!(!lease.grow_to(700), "it holds more than is free");
            assert!(connection.memory(100).is_none());
        }
        assert_eq!(*lock(&connection.connection.memory.amount), 0);
    }

    #[test]
    fn one_connection_cannot_take_the_calls_of_another() {
        let shares = Shares::new(CallLimits { by_address: false, ..LIMITS });
        let connection = || shares.connection(&shares.address());
        let (hog, other) = (connection(), connection());
        let taken: Vec<_> = std::iter::from_fn(|| hog.call()).collect();
        assert_eq!(taken.len(), 1 + 38, "its floor and half of 75");
        assert!(other.call().is_some());
        drop(taken);
        assert!(hog.call().is_some());
    }

    #[test]
    fn an_address_with_many_connections_leaves_room_for_other_addresses() {
        let shares = Shares::new(LIMITS);
        let (hog, other) = (shares.address(), shares.address());
        let hogs: Vec<_> = (0..20).map(|_| shares.connection(&hog)).collect();
        let taken: Vec<_> = hogs.iter().flat_map(|hog| std::iter::from_fn(|| hog.call())).collect();
        assert!((55..=67).contains(&taken.len()), "{}", taken.len());
        let other = shares.connection(&other);
        assert_eq!(std::iter::from_fn(|| other.call()).take(10).count(), 10);
        drop(taken);
        assert_eq!(*lock(&hog.0.unwrap().calls.amount), 0);
    }

    #[test]
    fn one_connection_leaves_room_for_others_of_its_address() {
        let shares = Shares::new(CallLimits { calls: 1_000, ..LIMITS });
        let address = shares.address();
        let mut taken = Vec::new();
        for at_least in [300, 100, 30, 10] {
            let one = shares.connection(&address);
            let before = taken.len();
            taken.extend(std::iter::from_fn(|| one.call()));
            let count = taken.len() - before;
            assert!(count >= at_least, "{count} of {at_least}");
        }
    }

    #[test]
    fn a_tenant_with_many_addresses_leaves_room_for_other_tenants() {
        let shares = Shares::new(CallLimits { connections: 1_000, calls: 1_000, ..LIMITS });
        let of = |tenant: &str| {
            let share = shares.connection(&shares.address());
            shares.of_tenant(&share, &TenantId::from_stored(tenant))
        };
        let mut taken = Vec::new();
        for _ in 0..100 {
            let share = of("greedy");
            taken.extend(std::iter::from_fn(|| share.call()).take(100));
        }
        assert!((600..=667).contains(&taken.len()), "{}", taken.len());
        assert_eq!(std::iter::from_fn(|| of("small").call()).take(100).count(), 100);
        drop(taken);
        let held = lock(&shares.by_tenant);
        assert_eq!(*lock(&held[&TenantId::from_stored("greedy")].calls.amount), 0);
    }

    #[test]
    fn a_lease_that_the_tenant_may_not_have_leaves_nothing_held_by_the_connection() {
        let shares = Shares::new(LIMITS);
        let share = shares.connection(&shares.address());
        let of_tenant = shares.of_tenant(&share, &TenantId::from_stored("tenant"));
        let others: Vec<_> = (0..20)
            .filter_map(|_| {
                let share = shares.connection(&shares.address());
                shares.of_tenant(&share, &TenantId::from_stored("tenant")).memory(40)
            })
            .collect();
        assert!(of_tenant.memory(100).is_none() && share.memory(100).is_some());
        assert_eq!(*lock(&share.connection.memory.amount), 0);
        drop(others);
        assert!(of_tenant.memory(100).is_some());
    }

    #[test]
    fn a_refused_lease_leaves_nothing_held_by_the_address() {
        let shares = Shares::new(LIMITS);
        let address = shares.address();
        let connection = shares.connection(&address);
        let _held = connection.memory(300).unwrap();
        assert!(connection.memory(200).is_none(), "the address has room, the connection has not");
        assert_eq!(*lock(&address.0.as_ref().unwrap().memory.amount), 300);
    }
}
