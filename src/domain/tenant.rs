//! What the operator grants each tenant: limits, a weight and a retention.
//!
//! It deliberately doesn't know who acts for a tenant: that is `access`.

use std::{collections::HashMap, num::NonZeroU32, sync::Arc, time::Duration};

use crate::domain::{Policy, TenantId};

/// The terms of one tenant. A limit that is unset is the server's own.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TenantTerms {
    /// Its share of the requests to Oz while requests of several tenants wait, relative to theirs.
    pub weight: NonZeroU32,
    /// How long its matches are kept after their end.
    pub retention: Option<Duration>,
    /// How many unfinished matches it may have on one replica.
    pub unfinished_max: Option<usize>,
    /// How many bytes of photos it may have in memory.
    pub photo_bytes_max: Option<usize>,
    /// How many calls it may begin per second, and at once after a pause.
    pub rate_max: Option<NonZeroU32>,
    /// How many streams it may have open.
    pub streams_max: Option<usize>,
}

impl Default for TenantTerms {
    fn default() -> Self {
        Self {
            weight: NonZeroU32::MIN,
            retention: None,
            unfinished_max: None,
            photo_bytes_max: None,
            rate_max: None,
            streams_max: None,
        }
    }
}

impl TenantTerms {
    /// The policy by which the tenant's matches are driven: that of the server, but for their
    /// retention, which is never longer than the server's.
    pub fn policy(&self, server: Policy) -> Policy {
        let retention = self.retention.map_or(server.retention, |own| own.min(server.retention));
        Policy { retention, ..server }
    }
}

/// The tenants that the operator has named, each with its terms, as of one moment. Cheap to clone.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Tenants(Arc<HashMap<TenantId, TenantTerms>>);

/// Tells the tenants of this moment: the operator may change their terms while the service runs.
pub type TenantsNow = Arc<dyn Fn() -> Tenants + Send + Sync>;

impl Tenants {
    /// These tenants, and no others.
    pub fn new(terms: HashMap<TenantId, TenantTerms>) -> Self {
        Self(Arc::new(terms))
    }

    /// The terms of a tenant. A tenant without terms of its own has the default ones: matches may
    /// outlive the tenant to which they belong.
    pub fn terms(&self, tenant: &TenantId) -> TenantTerms {
        self.0.get(tenant).cloned().unwrap_or_default()
    }

    /// The named tenants with their terms, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&TenantId, &TenantTerms)> {
        self.0.iter()
    }

    /// Whether the operator has named a tenant.
    pub fn has(&self, tenant: &TenantId) -> bool {
        self.0.contains_key(tenant)
    }

    /// Whether the operator has named no tenant, as without a callers file.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether both are the tenants of the same moment. Equal tenants of different moments may
    /// count as different.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// How many tenants there are, and at least one: without a callers file there is `default`.
    pub fn count(&self) -> usize {
        self.0.len().max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_keeps_matches_for_its_own_retention_and_at_most_for_the_servers() {
        let day = Duration::from_secs(86_400);
        let server = Policy {
            poll_interval: Duration::from_secs(1),
            oz_settle: Duration::from_secs(5),
            photo_grace: Duration::from_secs(60),
            retention: 7 * day,
        };
        for (own, kept) in [(None, 7 * day), (Some(day), day), (Some(30 * day), 7 * day)] {
            let terms = TenantTerms { retention: own, ..TenantTerms::default() };
            assert_eq!(terms.policy(server), Policy { retention: kept, ..server });
        }
    }
}
