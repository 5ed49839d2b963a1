//! What the operator grants each tenant: limits, a weight and a retention.
//!
//! It deliberately doesn't know who acts for a tenant: that is `access`.

use std::{collections::HashMap, num::NonZeroU32, sync::Arc, time::Duration};

use crate::domain::TenantId;

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

    /// Whether the operator has named a tenant.
    pub fn has(&self, tenant: &TenantId) -> bool {
        self.0.contains_key(tenant)
    }

    /// How many tenants there are, and at least one: without a callers file there is `default`.
    pub fn count(&self) -> usize {
        self.0.len().max(1)
    }
}
