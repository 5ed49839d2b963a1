//! The limit of unfinished matches on this replica, and how tenants share it. It decides whether a
//! match may be driven here, and knows nothing about the match but its tenant.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
};

use tracing::warn;

use crate::{
    domain::{Exhausted, TenantId, TenantShares, TenantsNow},
    sync::lock,
};

/// The slots of unfinished matches.
pub struct Slots {
    shares: Arc<Mutex<TenantShares>>,
    tenants: TenantsNow,
    /// Claiming stopped at the limit. Unclaimed matches come before new ones.
    has_backlog: AtomicBool,
}

/// Counts one unfinished match of a tenant for as long as it is held.
pub struct UnfinishedSlot {
    shares: Arc<Mutex<TenantShares>>,
    tenant: TenantId,
}

impl Slots {
    /// This many slots, all of them free.
    pub fn new(max: usize, tenants: TenantsNow) -> Self {
        let shares = Arc::new(Mutex::new(TenantShares::new(max)));
        Self { shares, tenants, has_backlog: AtomicBool::new(false) }
    }

    /// Changes how many slots there are. Those that are taken stay so.
    pub fn set_max(&self, max: usize) {
        self.shares().set_total(max);
    }

    /// How many slots are taken.
    pub fn taken(&self) -> usize {
        self.shares().held()
    }

    /// How many slots each tenant has taken.
    pub fn by_tenant(&self) -> HashMap<TenantId, usize> {
        self.shares().by_tenant()
    }

    /// How many slots are free.
    pub fn free(&self) -> usize {
        let shares = self.shares();
        shares.total().saturating_sub(shares.held())
    }

    /// A slot for a match that this replica has claimed, also beyond all limits.
    pub fn take(&self, tenant: &TenantId) -> UnfinishedSlot {
        let tenants = (self.tenants)();
        self.shares().force(tenant, 1, &tenants);
        self.slot(tenant)
    }

    /// A slot for a new match.
    ///
    /// # Errors
    /// Which limit is reached: the tenant's own or that of all. While older matches wait unclaimed,
    /// that of all counts as reached, but what is set aside for a tenant is open to it.
    pub fn take_free(&self, tenant: &TenantId) -> Result<UnfinishedSlot, Exhausted> {
        let tenants = (self.tenants)();
        let own_max = tenants.terms(tenant).unfinished_max;
        let mut shares = self.shares();
        if self.has_backlog() && !shares.is_set_aside(tenant, 1, &tenants) {
            return Err(Exhausted::Common);
        }
        shares.take(tenant, 1, own_max, &tenants)?;
        drop(shares);
        Ok(self.slot(tenant))
    }

    fn slot(&self, tenant: &TenantId) -> UnfinishedSlot {
        UnfinishedSlot { shares: Arc::clone(&self.shares), tenant: tenant.clone() }
    }

    /// Whether there may be unclaimed matches beyond the limit.
    pub fn has_backlog(&self) -> bool {
        self.has_backlog.load(Ordering::Relaxed)
    }

    /// Notes whether there may be unclaimed matches beyond the limit.
    pub fn note_backlog(&self, has_backlog: bool) {
        let had_backlog = self.has_backlog.swap(has_backlog, Ordering::Relaxed);
        if has_backlog && !had_backlog {
            warn!(
                unfinished = self.shares().total(),
                "claiming paused at --max-unfinished: new matches are refused while unclaimed ones wait"
            );
        }
    }

    fn shares(&self) -> MutexGuard<'_, TenantShares> {
        lock(&self.shares)
    }
}

impl Drop for UnfinishedSlot {
    fn drop(&mut self) {
        lock(&self.shares).give_back(&self.tenant, 1);
    }
}
