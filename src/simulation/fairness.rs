//! Two tenants, of which one has more matches under way than the limits allow to be polled at the
//! usual interval: the polls of its own matches become rare, and those of the other tenant don't.

use std::{num::NonZeroU32, time::Duration};

use crate::{
    domain::{TenantId, TenantTerms, Tenants},
    simulation::{
        History,
        caller::{Caller, Plan},
    },
    worker::OzLimits,
};

/// The matches of the large tenant. With one request at a time, of 30 ms, each is polled every 6
/// seconds.
const CROWD: u32 = 200;
/// The matches of the small tenant. Together they need less than a fifth of the requests.
const FEW: u32 = 4;
/// When the matches of the small tenant arrive, and when all analyses end.
const ARRIVE: f64 = 60.0;
const END: f64 = 66.0;

fn tenant(name: &str) -> TenantId {
    TenantId::from_stored(name)
}

fn plan(history: &History, name: &str, n: u32, arrives: f64) -> Plan {
    let (tenant, arrives) = (tenant(name), History::at(arrives));
    Plan { tenant, arrives, ..Plan::plain(&history.oz, n) }
}

/// How long each of a few matches took, beside so many matches of the large tenant. They belong to
/// this tenant.
fn times(of: &str, limits: OzLimits, weights: (u32, u32), crowd: u32) -> Vec<Duration> {
    let mut history = History::new(1);
    history.limits = limits;
    let terms = |weight| TenantTerms {
        weight: NonZeroU32::new(weight).expect("a weight"),
        ..TenantTerms::default()
    };
    let named = [(tenant("small"), terms(weights.0)), (tenant("large"), terms(weights.1))];
    history.tenants = Tenants::new(named.into());
    for n in 0..crowd {
        let arrives = 1.0 + 20.0 * f64::from(n) / f64::from(CROWD);
        history.callers.push(Caller::new(plan(&history, "large", n, arrives)));
    }
    for n in CROWD..CROWD + FEW {
        history.callers.push(Caller::new(plan(&history, of, n, ARRIVE)));
    }
    history.oz.end_analyses_at(History::at(END));
    history.run();
    let few = history.callers.iter().skip(crowd as usize);
    let mut times: Vec<_> = few.map(|it| it.seen()[0].time.since(History::at(ARRIVE))).collect();
    times.sort();
    times
}

#[test]
fn a_tenant_with_few_matches_is_as_fast_beside_a_crowd_as_alone() {
    let by_permits = OzLimits { requests_max: 1, rate_max: None };
    let by_rate = OzLimits { requests_max: 512, rate_max: NonZeroU32::new(33) };
    for limits in [by_permits, by_rate] {
        let alone = times("small", limits, (1, 1), 0);
        let in_the_crowd = times("large", limits, (1, 1), CROWD);
        assert!(in_the_crowd[0] > alone[0].mul_f64(1.5), "{in_the_crowd:?}, alone {alone:?}");
        for weights in [(1, 1), (1, 4), (4, 1)] {
            let beside = times("small", limits, weights, CROWD);
            assert_eq!(beside.len(), FEW as usize);
            for (beside, alone) in beside.iter().zip(&alone) {
                let most = alone.mul_f64(1.3);
                assert!(*beside <= most, "{beside:?}, alone {alone:?}, {weights:?}, {limits:?}");
            }
        }
    }
}
