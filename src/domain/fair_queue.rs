//! The queue of requests to Oz while they exceed the limits: start-time fair queueing between
//! tenants (Goyal, Vin and Cheng, SIGCOMM 1996), and the order of arrival within each tenant.
//!
//! A request's start tag is the virtual time at its arrival or the finish tag of the tenant's
//! request before it, whichever is later; its finish tag is later by its cost divided by the
//! tenant's weight. The request with the least start tag is served first, and the virtual time is
//! that tag. So while two tenants always have requests waiting, what they get differs from their
//! weights by at most one request of each. A tenant with few requests waits only for the requests
//! in flight, however many another tenant has.
//!
//! Tags are made when a request becomes its tenant's next one, which gives the same tags: a removed
//! request is never charged. It deliberately knows neither permits nor time.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    num::NonZeroU32,
};

use crate::domain::TenantId;

/// So many bytes of an upload cost as much as one request.
const UPLOAD_BYTES_PER_COST: usize = 256 * 1024;

/// Binary places of virtual time after the point: weights divide costs almost exactly.
const FRACTION_BITS: u32 = 40;

/// The cost of a request that uploads so many bytes; of one without an upload: 1.
pub fn cost(upload_bytes: usize) -> u32 {
    let parts = upload_bytes.div_ceil(UPLOAD_BYTES_PER_COST);
    u32::try_from(parts).unwrap_or(u32::MAX).saturating_add(1)
}

/// Waiting requests of all tenants. `W` is what the limiter keeps of each.
pub struct FairQueue<W> {
    /// The start tag of the request that was chosen last.
    virtual_time: VirtualTime,
    flows: HashMap<TenantId, Flow<W>>,
    /// The tenants with waiting requests, by the start tag of each one's next request. Ties are
    /// broken by the arrival of that request.
    order: BTreeMap<(VirtualTime, u64), TenantId>,
    /// The tenants without waiting requests that are ahead of the virtual time, by finish tag.
    idle: BTreeSet<(VirtualTime, TenantId)>,
    /// Numbers arrivals, and places in lines.
    numbers: u64,
}

/// Cost per weight, in units of 2⁻⁴⁰.
type VirtualTime = u128;

/// Names a waiting request within its tenant.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct WaiterId(u64);

/// A request that begins to wait.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    /// The weight of its tenant.
    pub weight: NonZeroU32,
    /// Its [`cost`].
    pub cost: u32,
    /// Whether it overtakes the tenant's other requests.
    pub is_last_look: bool,
}

/// The requests of one tenant.
struct Flow<W> {
    weight: NonZeroU32,
    /// The start tag of the next request, which is the finish tag of the request before it.
    tag: VirtualTime,
    /// Last looks, and the first of the other requests, by place. Last looks overtake all requests
    /// but that one.
    line: BTreeMap<u64, Waiter<W>>,
    /// The first request that isn't a last look, and its place in `line`.
    first: Option<(WaiterId, u64)>,
    /// The other requests, in order of arrival.
    rest: BTreeMap<WaiterId, Waiter<W>>,
}

struct Waiter<W> {
    id: WaiterId,
    cost: u32,
    content: W,
}

impl<W> Default for FairQueue<W> {
    fn default() -> Self {
        Self {
            virtual_time: 0,
            flows: HashMap::new(),
            order: BTreeMap::new(),
            idle: BTreeSet::new(),
            numbers: 0,
        }
    }
}

impl<W> FairQueue<W> {
    /// Whether no request waits.
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// Adds a request.
    pub fn push(&mut self, tenant: &TenantId, arrival: Arrival, content: W) -> WaiterId {
        let id = WaiterId(self.number());
        let flow = self.flows.entry(tenant.clone()).or_insert_with(Flow::new);
        flow.weight = arrival.weight;
        let was_idle = flow.line.is_empty();
        flow.add(Waiter { id, cost: arrival.cost, content }, arrival.is_last_look);
        if was_idle {
            self.idle.remove(&(flow.tag, tenant.clone()));
            flow.tag = flow.tag.max(self.virtual_time);
            self.order.insert((flow.tag, id.0), tenant.clone());
        }
        id
    }

    /// Chooses the next request, and moves the virtual time to its start tag. It waits until it is
    /// [served](Self::serve) or [removed](Self::remove).
    pub fn choose(&mut self) -> Option<(TenantId, WaiterId, &mut W)> {
        let (&(tag, id), tenant) = self.order.first_key_value()?;
        let tenant = tenant.clone();
        self.virtual_time = self.virtual_time.max(tag);
        self.forget_idle();
        let flow = self.flows.get_mut(&tenant).expect("a tenant in the order has a flow");
        let next = flow.line.first_entry().expect("a tenant in the order has a line");
        Some((tenant, WaiterId(id), &mut next.into_mut().content))
    }

    /// Takes a request out and charges it to its tenant. `None` if it doesn't wait.
    pub fn serve(&mut self, tenant: &TenantId, id: WaiterId) -> Option<W> {
        self.take(tenant, id, |flow, cost| {
            let cost = VirtualTime::from(cost) << FRACTION_BITS;
            let span = cost / VirtualTime::from(flow.weight.get());
            flow.tag = flow.tag.saturating_add(span);
        })
    }

    /// Takes a request out that will not be sent, and charges nothing. `None` if it doesn't wait.
    pub fn remove(&mut self, tenant: &TenantId, id: WaiterId) -> Option<W> {
        self.take(tenant, id, |_, _| {})
    }

    fn take(
        &mut self,
        tenant: &TenantId,
        id: WaiterId,
        charge: impl FnOnce(&mut Flow<W>, u32),
    ) -> Option<W> {
        let place = self.number();
        let flow = self.flows.get_mut(tenant)?;
        let former = flow.key();
        let waiter = flow.take(id, place)?;
        charge(flow, waiter.cost);
        let (tag, key) = (flow.tag, flow.key());
        if former != key {
            self.order.remove(&former?);
            match key {
                Some(key) => {
                    self.order.insert(key, tenant.clone());
                }
                None => {
                    self.idle.insert((tag, tenant.clone()));
                    self.forget_idle();
                }
            }
        }
        Some(waiter.content)
    }

    /// Forgets the idle tenants that aren't ahead of the virtual time: their next requests start at
    /// the virtual time, like those of new tenants. If no request waits, the busy period has ended,
    /// and all tenants start anew.
    fn forget_idle(&mut self) {
        if self.order.is_empty() {
            self.flows.clear();
            self.idle.clear();
            self.virtual_time = 0;
        }
        while let Some((tag, _)) = self.idle.first()
            && *tag <= self.virtual_time
            && let Some((_, tenant)) = self.idle.pop_first()
        {
            self.flows.remove(&tenant);
        }
    }

    fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }
}

impl<W> Flow<W> {
    fn new() -> Self {
        Self {
            weight: NonZeroU32::MIN,
            tag: 0,
            line: BTreeMap::new(),
            first: None,
            rest: BTreeMap::new(),
        }
    }

    /// The place of the tenant in the order of all; `None` without a waiting request.
    fn key(&self) -> Option<(VirtualTime, u64)> {
        self.line.first_key_value().map(|(_, next)| (self.tag, next.id.0))
    }

    fn add(&mut self, waiter: Waiter<W>, is_last_look: bool) {
        let place = waiter.id.0;
        if !is_last_look && self.first.is_some() {
            self.rest.insert(waiter.id, waiter);
            return;
        }
        if !is_last_look {
            self.first = Some((waiter.id, place));
        }
        self.line.insert(place, waiter);
    }

    /// Takes a request out. If it was the first that isn't a last look, the next such request joins
    /// the line, at this place.
    fn take(&mut self, id: WaiterId, place: u64) -> Option<Waiter<W>> {
        match self.first {
            Some((first, at)) if first == id => {
                let waiter = self.line.remove(&at);
                self.first = None;
                if let Some((next, promoted)) = self.rest.pop_first() {
                    self.first = Some((next, place));
                    self.line.insert(place, promoted);
                }
                waiter
            }
            // The place of a last look is its own number.
            Some(_) | None => self.rest.remove(&id).or_else(|| self.line.remove(&id.0)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TENANTS: usize = 4;
    /// The cost of an upload of 10 MiB.
    const COST_MAX: u32 = 41;

    /// One step of a random history.
    #[derive(Clone, Copy, Debug)]
    enum Move {
        Arrives {
            tenant: usize,
            cost: u32,
            is_last_look: bool,
        },
        Served,
        /// The request that is so far behind the first in the list of all that wait.
        Leaves(usize),
    }

    fn tenant(nth: usize) -> TenantId {
        TenantId::from_stored(&format!("tenant-{nth}"))
    }

    fn moves() -> impl Strategy<Value = Vec<Move>> {
        let arrives = || {
            (0..TENANTS, 1..=COST_MAX, prop::bool::weighted(0.2)).prop_map(
                |(tenant, cost, is_last_look)| Move::Arrives { tenant, cost, is_last_look },
            )
        };
        let one = prop_oneof![
            5 => arrives(),
            4 => Just(Move::Served),
            1 => (0..100_usize).prop_map(Move::Leaves),
        ];
        // A crowd first, so that there are long times in which all tenants have requests waiting.
        let crowd = prop::collection::vec(arrives(), 0..200);
        let then = prop::collection::vec(one, 0..400);
        (crowd, then).prop_map(|(crowd, then)| crowd.into_iter().chain(then).collect())
    }

    fn weights() -> impl Strategy<Value = Vec<u32>> {
        prop::collection::vec(1..=10_u32, TENANTS)
    }

    /// A waiting request, as the test knows it.
    #[derive(Clone, Copy, Debug)]
    struct Known {
        tenant: usize,
        id: WaiterId,
        cost: u32,
        is_last_look: bool,
        /// How many ordinary requests of its tenant had been served when it arrived.
        overtaken_from: usize,
    }

    /// The queue, and what a test knows about it.
    struct Scene {
        queue: FairQueue<()>,
        weights: Vec<u32>,
        waiting: Vec<Known>,
        /// The requests that were served, in order.
        served: Vec<Known>,
        ordinary_served: [usize; TENANTS],
    }

    impl Scene {
        fn new(weights: &[u32]) -> Self {
            Self {
                queue: FairQueue::default(),
                weights: weights.to_vec(),
                waiting: Vec::new(),
                served: Vec::new(),
                ordinary_served: [0; TENANTS],
            }
        }

        fn arrives(&mut self, nth: usize, cost: u32, is_last_look: bool) -> WaiterId {
            let weight = NonZeroU32::new(self.weights[nth]).unwrap();
            let arrival = Arrival { weight, cost, is_last_look };
            let id = self.queue.push(&tenant(nth), arrival, ());
            let overtaken_from = self.ordinary_served[nth];
            self.waiting.push(Known { tenant: nth, id, cost, is_last_look, overtaken_from });
            id
        }

        fn serves(&mut self) -> Option<Known> {
            let (tenant, id, ()) = self.queue.choose()?;
            assert!(self.queue.serve(&tenant, id).is_some(), "the chosen request waits");
            let at = self.waiting.iter().position(|it| it.id == id).unwrap();
            let known = self.waiting.remove(at);
            self.served.push(known);
            self.ordinary_served[known.tenant] += usize::from(!known.is_last_look);
            Some(known)
        }

        fn leaves(&mut self, nth: usize) {
            if self.waiting.is_empty() {
                return;
            }
            let known = self.waiting.remove(nth % self.waiting.len());
            assert!(self.queue.remove(&tenant(known.tenant), known.id).is_some());
            assert!(self.queue.remove(&tenant(known.tenant), known.id).is_none(), "once");
        }

        fn plays(&mut self, one: Move) -> Option<Known> {
            match one {
                Move::Arrives { tenant, cost, is_last_look } => {
                    self.arrives(tenant, cost, is_last_look);
                    None
                }
                Move::Served => self.serves(),
                Move::Leaves(nth) => {
                    self.leaves(nth);
                    None
                }
            }
        }

        fn is_waiting(&self, tenant: usize) -> bool {
            self.waiting.iter().any(|it| it.tenant == tenant)
        }

        fn weight(&self, tenant: usize) -> f64 {
            f64::from(self.weights[tenant])
        }
    }

    /// By how much the services of two tenants may differ, each divided by its weight.
    fn bound(scene: &Scene, one: usize, other: usize) -> f64 {
        let most = f64::from(COST_MAX);
        most / scene.weight(one) + most / scene.weight(other) + 1e-6
    }

    proptest! {
        /// The bound of the publication, over every span of time in which both have requests
        /// waiting.
        #[test]
        fn what_two_waiting_tenants_get_differs_by_at_most_one_request_of_each(
            weights in weights(),
            moves in moves(),
        ) {
            let mut scene = Scene::new(&weights);
            // For each pair: the lead of the first over the second, its least and its greatest.
            let mut leads = [[(0.0_f64, 0.0_f64, 0.0_f64); TENANTS]; TENANTS];
            for one in moves {
                let served = scene.plays(one);
                for (i, j) in (0..TENANTS).flat_map(|i| (0..i).map(move |j| (i, j))) {
                    let (lead, least, most) = &mut leads[i][j];
                    if let Some(known) = served {
                        let got = f64::from(known.cost) / scene.weight(known.tenant);
                        *lead += if known.tenant == i { got } else { 0.0 };
                        *lead -= if known.tenant == j { got } else { 0.0 };
                        *least = least.min(*lead);
                        *most = most.max(*lead);
                        prop_assert!(*most - *least <= bound(&scene, i, j), "{i} and {j}");
                    }
                    if !scene.is_waiting(i) || !scene.is_waiting(j) {
                        leads[i][j] = (0.0, 0.0, 0.0);
                    }
                }
            }
        }

        #[test]
        fn each_tenant_is_served_in_order_of_arrival_and_last_looks_overtake_all_but_one(
            weights in weights(),
            moves in moves(),
        ) {
            let mut scene = Scene::new(&weights);
            for one in moves {
                let Some(known) = scene.plays(one) else { continue };
                if known.is_last_look {
                    let overtook = scene.ordinary_served[known.tenant] - known.overtaken_from;
                    prop_assert!(overtook <= 1, "{overtook} were served before a last look");
                }
            }
            while scene.serves().is_some() {}
            for (nth, is_last_look) in (0..TENANTS).flat_map(|nth| [(nth, true), (nth, false)]) {
                let of = |it: &&Known| it.tenant == nth && it.is_last_look == is_last_look;
                let ids: Vec<_> = scene.served.iter().filter(of).map(|it| it.id).collect();
                prop_assert!(ids.is_sorted(), "{ids:?}");
            }
        }

        /// However many requests of other tenants, and last looks of its own, arrive meanwhile.
        #[test]
        fn no_request_starves(weights in weights(), moves in moves(), cost in 1..=COST_MAX) {
            let mut scene = Scene::new(&weights);
            for one in moves.into_iter().take(20) {
                scene.plays(one);
            }
            for other in 1..TENANTS {
                scene.arrives(other, 1, false);
            }
            let id = scene.arrives(0, cost, false);
            let ahead = scene.waiting.iter().filter(|it| it.tenant == 0).count();
            // For each ordinary request there may be one last look, which arrives meanwhile.
            let own = f64::from(COST_MAX) * 2.0 * ahead as f64;
            let others: f64 = (1..TENANTS)
                .map(|it| scene.weight(it) * (own / scene.weight(0) + bound(&scene, 0, it)))
                .sum();
            let limit = 2 * ahead + others.ceil() as usize;
            let mut ordinary = 0;
            for nth in 0.. {
                prop_assert!(nth <= limit, "not served after {limit} others");
                let known = scene.serves().unwrap();
                if known.id == id {
                    break;
                }
                if known.tenant == 0 && !known.is_last_look {
                    ordinary += 1;
                    scene.arrives(0, COST_MAX, ordinary % 2 == 0);
                }
                if known.tenant != 0 {
                    scene.arrives(known.tenant, 1, nth % 3 == 0);
                }
            }
        }

        #[test]
        fn everything_that_has_left_is_forgotten(weights in weights(), moves in moves()) {
            let mut scene = Scene::new(&weights);
            for one in moves {
                scene.plays(one);
                let (queue, waiting) = (&scene.queue, &scene.waiting);
                prop_assert_eq!(queue.is_empty(), waiting.is_empty());
                let is_kept = |nth: usize| queue.flows.contains_key(&tenant(nth));
                for nth in (0..TENANTS).filter(|nth| scene.is_waiting(*nth)) {
                    prop_assert!(is_kept(nth));
                }
                prop_assert_eq!(queue.flows.len(), queue.order.len() + queue.idle.len());
            }
            while scene.serves().is_some() {}
            prop_assert!(scene.queue.flows.is_empty() && scene.queue.idle.is_empty());
        }
    }

    /// The tenants that are served, in order, as their numbers.
    fn order(scene: &mut Scene, count: usize) -> Vec<usize> {
        (0..count).map(|_| scene.serves().unwrap().tenant).collect()
    }

    #[test]
    fn weights_are_the_shares() {
        let mut scene = Scene::new(&[1, 4, 1, 1]);
        for _ in 0..100 {
            scene.arrives(0, 1, false);
            scene.arrives(1, 1, false);
        }
        let served = order(&mut scene, 100);
        assert_eq!(served.iter().filter(|it| **it == 1).count(), 80);
    }

    #[test]
    fn a_tenant_with_one_request_waits_for_none_of_the_crowd_of_another() {
        let mut scene = Scene::new(&[1; TENANTS]);
        for _ in 0..1_000 {
            scene.arrives(0, 1, false);
        }
        order(&mut scene, 500);
        scene.arrives(1, 1, false);
        assert_eq!(order(&mut scene, 2), [1, 0], "its tag is that of the request served last");
    }

    #[test]
    fn an_upload_is_paid_for_before_the_next_one() {
        let mut scene = Scene::new(&[1; TENANTS]);
        for _ in 0..3 {
            scene.arrives(0, cost(10 << 20), false);
        }
        for _ in 0..100 {
            scene.arrives(1, cost(0), false);
        }
        let served = order(&mut scene, 60);
        assert_eq!(served.iter().filter(|it| **it == 0).count(), 2, "one in 41: {served:?}");
    }

    #[test]
    fn a_request_costs_one_and_each_begun_part_of_an_upload_one_more() {
        let parts = [0, 1, 256 << 10, (256 << 10) + 1, 10 << 20, usize::MAX];
        assert_eq!(parts.map(cost)[..5], [1, 2, 2, 3, COST_MAX]);
        assert!(cost(usize::MAX) > COST_MAX);
    }

    #[test]
    fn a_removed_request_costs_its_tenant_nothing() {
        let mut scene = Scene::new(&[1; TENANTS]);
        for _ in 0..2 {
            scene.arrives(0, COST_MAX, false);
            scene.arrives(1, 1, false);
        }
        scene.leaves(0);
        scene.leaves(1);
        scene.arrives(0, 1, false);
        assert_eq!(order(&mut scene, 3), [1, 0, 1]);
    }
}
