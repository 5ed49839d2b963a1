//! The limits of a tenant on its calls: how many it may begin a second, and how many streams it may
//! have open, on one replica.
//!
//! A tenant without such limits is never refused and costs nothing. The limits are those of the
//! moment: the operator may change them at any time. It deliberately knows no call.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use crate::{
    clock::Clock,
    domain::{Limit, TenantId, Tenants, TenantsNow, Timestamp, TokenBucket},
    sync::lock,
};

/// After a pause, as many calls may begin at once as the rate allows in this span.
const BURST: Duration = Duration::from_secs(1);

/// Counts the calls and streams of all tenants. Cheap to clone; clones share the counts.
#[derive(Clone)]
pub struct Quotas {
    counts: Arc<Mutex<Counts>>,
    tenants: TenantsNow,
    clock: Clock,
}

#[derive(Default)]
struct Counts {
    /// The tenants for whom `rates` was cleared up.
    tenants: Tenants,
    /// Only of tenants that have a rate limit.
    rates: HashMap<TenantId, TokenBucket>,
    /// Only of tenants that have a stream open.
    streams: HashMap<TenantId, usize>,
}

/// A call is refused because its tenant is at a limit of its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the tenant is at its limit of {limit}")]
pub struct QuotaExceeded {
    /// The limit.
    pub limit: Limit,
    /// How long until a call may begin, if that is known.
    pub retry_after: Option<Duration>,
}

/// Counts one open stream of a tenant for as long as it is held.
pub struct StreamSlot {
    counts: Arc<Mutex<Counts>>,
    tenant: TenantId,
}

impl Quotas {
    /// Quotas of tenants that haven't called yet.
    pub fn new(tenants: TenantsNow, clock: Clock) -> Self {
        Self { counts: Arc::default(), tenants, clock }
    }

    /// Counts a call that begins.
    ///
    /// # Errors
    /// [`Limit::Rate`]. The call isn't counted then.
    pub fn begin_call(&self, tenant: &TenantId) -> Result<(), QuotaExceeded> {
        let tenants = (self.tenants)();
        let Some(rate) = tenants.terms(tenant).rate_max else { return Ok(()) };
        let now = self.clock.now();
        let mut counts = self.counts();
        counts.forget_unlimited(&tenants);
        let bucket = counts
            .rates
            .entry(tenant.clone())
            .or_insert_with(|| TokenBucket::with_burst(rate, BURST, now));
        bucket.set_rate(rate, now);
        take(bucket, now)
    }

    /// Counts a stream that opens.
    ///
    /// # Errors
    /// [`Limit::Streams`]. The stream isn't counted then.
    pub fn open_stream(&self, tenant: &TenantId) -> Result<StreamSlot, QuotaExceeded> {
        let streams_max = (self.tenants)().terms(tenant).streams_max;
        let mut counts = self.counts();
        let open = counts.streams.get(tenant).copied().unwrap_or(0);
        if streams_max.is_some_and(|max| open >= max) {
            return Err(QuotaExceeded { limit: Limit::Streams, retry_after: None });
        }
        counts.streams.insert(tenant.clone(), open + 1);
        Ok(StreamSlot { counts: Arc::clone(&self.counts), tenant: tenant.clone() })
    }

    /// How many streams a tenant has open.
    pub fn streams(&self, tenant: &TenantId) -> usize {
        self.counts().streams.get(tenant).copied().unwrap_or(0)
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        lock(&self.counts)
    }
}

impl Counts {
    /// Forgets the tenants that have no rate limit any more.
    fn forget_unlimited(&mut self, tenants: &Tenants) {
        if !self.tenants.is_same(tenants) {
            self.rates.retain(|tenant, _| tenants.terms(tenant).rate_max.is_some());
            self.tenants = tenants.clone();
        }
    }
}

fn take(bucket: &mut TokenBucket, now: Timestamp) -> Result<(), QuotaExceeded> {
    let due = bucket.due(now);
    if due > now {
        let retry_after = Some(due.since(now));
        return Err(QuotaExceeded { limit: Limit::Rate, retry_after });
    }
    bucket.take(now);
    Ok(())
}

impl Drop for StreamSlot {
    fn drop(&mut self) {
        let mut counts = lock(&self.counts);
        match counts.streams.get_mut(&self.tenant) {
            Some(open) if *open > 1 => *open -= 1,
            Some(_) | None => {
                counts.streams.remove(&self.tenant);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;
    use crate::{clock::Hand, domain::TenantTerms};

    fn tenant(name: &str) -> TenantId {
        TenantId::from_stored(name)
    }

    /// Quotas whose tenants the test changes.
    struct Scene {
        quotas: Quotas,
        tenants: Arc<Mutex<Tenants>>,
        hand: Hand,
    }

    impl Scene {
        /// A tenant `small` with these limits, and a tenant `other` with none.
        fn new(rate: Option<u32>, streams_max: Option<usize>) -> Self {
            let (clock, hand) = Clock::manual(Timestamp::from_micros(0));
            let tenants = Arc::<Mutex<Tenants>>::default();
            let now = Arc::clone(&tenants);
            let quotas = Quotas::new(Arc::new(move || lock(&now).clone()), clock);
            let scene = Self { quotas, tenants, hand };
            scene.limits(rate, streams_max);
            scene
        }

        fn limits(&self, rate: Option<u32>, streams_max: Option<usize>) {
            let rate_max = rate.and_then(NonZeroU32::new);
            let small = TenantTerms { rate_max, streams_max, ..TenantTerms::default() };
            let terms = [(tenant("small"), small), (tenant("other"), TenantTerms::default())];
            *lock(&self.tenants) = Tenants::new(terms.into());
        }

        /// How many calls the small tenant may begin at once.
        fn calls(&self) -> usize {
            (0..1_000).take_while(|_| self.quotas.begin_call(&tenant("small")).is_ok()).count()
        }
    }

    #[test]
    fn a_tenant_begins_as_many_calls_at_once_as_its_rate_and_then_one_after_the_other() {
        let scene = Scene::new(Some(20), None);
        assert_eq!(scene.calls(), 20);
        let refused = scene.quotas.begin_call(&tenant("small")).unwrap_err();
        let retry_after = Some(Duration::from_millis(50));
        assert_eq!(refused, QuotaExceeded { limit: Limit::Rate, retry_after });
        scene.hand.advance(Duration::from_millis(50));
        assert_eq!(scene.calls(), 1, "the refused calls were not counted");
        scene.hand.advance(Duration::from_secs(3_600));
        assert_eq!(scene.calls(), 20);
    }

    #[test]
    fn a_tenant_at_its_limits_takes_nothing_of_another() {
        let scene = Scene::new(Some(1), Some(1));
        assert_eq!(scene.calls(), 1);
        let _stream = scene.quotas.open_stream(&tenant("small")).unwrap();
        let mut streams = Vec::new();
        for _ in 0..100 {
            scene.quotas.begin_call(&tenant("other")).unwrap();
            streams.push(scene.quotas.open_stream(&tenant("other")).unwrap());
        }
    }

    #[test]
    fn a_stream_that_ends_makes_room_for_another() {
        let scene = Scene::new(None, Some(2));
        let open = || scene.quotas.open_stream(&tenant("small"));
        let mut streams = vec![open().unwrap(), open().unwrap()];
        let refused = open().err();
        assert_eq!(refused, Some(QuotaExceeded { limit: Limit::Streams, retry_after: None }));
        streams.pop();
        streams.push(open().unwrap());
        assert!(open().is_err());
        drop(streams);
        assert!(lock(&scene.quotas.counts).streams.is_empty());
    }

    #[test]
    fn changed_limits_hold_from_the_next_call_on() {
        let scene = Scene::new(None, None);
        assert_eq!(scene.calls(), 1_000);
        let streams: Vec<_> =
            (0..5).map(|_| scene.quotas.open_stream(&tenant("small")).unwrap()).collect();
        scene.limits(Some(10), Some(3));
        assert_eq!(scene.calls(), 10);
        assert!(scene.quotas.open_stream(&tenant("small")).is_err(), "five are open");
        scene.limits(Some(100), Some(6));
        assert_eq!(scene.calls(), 0, "a higher rate gives back nothing that was spent");
        scene.hand.advance(Duration::from_secs(1));
        assert_eq!(scene.calls(), 100);
        assert!(scene.quotas.open_stream(&tenant("small")).is_ok());
        scene.limits(None, None);
        scene.quotas.begin_call(&tenant("other")).unwrap();
        assert_eq!(scene.calls(), 1_000);
        drop(streams);
    }
}
