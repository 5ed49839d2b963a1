//! A rate limit. For requests to Oz: one rate, shared by all replicas that use an Oz account. For
//! the calls of a tenant: one rate on each replica.
//!
//! It deliberately keeps no queue: it says when the next request may be sent, and charges nothing
//! until that request is sent.

use std::{num::NonZeroU32, time::Duration};

use crate::domain::time::Timestamp;

/// After a quiet time, as many requests as the rate allows in this span may be sent at once, and at
/// least one. So a late timer or a busy runtime doesn't lower the rate. The span is too short for
/// Oz to see more than the rate in any second that it counts.
pub const BURST: Duration = Duration::from_millis(100);

/// The cost of one request for a single replica, in tokens.
const REQUEST: u64 = 1_000_000;

/// The token bucket that requests are paid from.
///
/// A token is a millionth of a request, so that neither a rate nor a share is ever rounded: each
/// microsecond earns as many tokens as the rate says. Every replica earns at the full rate, so the
/// cost of a request is a whole request times the number of replicas.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TokenBucket {
    /// Requests a second of all replicas together, which is also the tokens earned per microsecond.
    rate: u64,
    /// The cost of one request, in tokens.
    cost: u64,
    /// The span of time for which it saves tokens up.
    burst: Duration,
    credit: u64,
    as_of: Timestamp,
}

impl TokenBucket {
    /// A full bucket at this rate, in requests a second, for a single replica.
    pub fn new(rate: NonZeroU32, now: Timestamp) -> Self {
        Self::with_burst(rate, BURST, now)
    }

    /// The same, but it saves up what the rate allows in this span.
    pub fn with_burst(rate: NonZeroU32, burst: Duration, now: Timestamp) -> Self {
        let empty = Self { rate: rate.get().into(), cost: REQUEST, burst, credit: 0, as_of: now };
        Self { credit: empty.capacity(), ..empty }
    }

    /// Sets the rate. What was saved up stays, as far as the new rate allows.
    pub fn set_rate(&mut self, rate: NonZeroU32, now: Timestamp) {
        self.earn(now);
        self.rate = rate.get().into();
        self.credit = self.credit.min(self.capacity());
    }

    /// When the next request may be sent: `now` or later.
    pub fn due(&mut self, now: Timestamp) -> Timestamp {
        self.earn(now);
        let missing = self.cost.saturating_sub(self.credit);
        now.after(Duration::from_micros(missing.div_ceil(self.rate)))
    }

    /// Pays for a request that is sent now.
    pub fn take(&mut self, now: Timestamp) {
        self.earn(now);
        self.credit = self.credit.saturating_sub(self.cost);
    }

    /// Sets the number of replicas that share the rate.
    pub fn share_among(&mut self, replicas: usize, now: Timestamp) {
        self.earn(now);
        let replicas = u64::try_from(replicas).unwrap_or(u64::MAX).max(1);
        self.cost = REQUEST.saturating_mul(replicas);
        self.credit = self.credit.min(self.capacity());
    }

    fn earn(&mut self, now: Timestamp) {
        let micros = u64::try_from(now.since(self.as_of).as_micros()).unwrap_or(u64::MAX);
        let earned = micros.saturating_mul(self.rate);
        self.credit = self.credit.saturating_add(earned).min(self.capacity());
        self.as_of = now.max(self.as_of);
    }

    fn capacity(&self) -> u64 {
        let micros = u64::try_from(self.burst.as_micros()).unwrap_or(u64::MAX);
        self.rate.saturating_mul(micros).max(self.cost)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const START: Timestamp = Timestamp::from_micros(1_764_000_000_512_345);

    fn pace(rate: u32) -> TokenBucket {
        TokenBucket::new(NonZeroU32::new(rate).unwrap(), START)
    }

    /// The times at which requests are sent if another one is always waiting.
    fn sent(pace: &mut TokenBucket, from: Timestamp, until: Timestamp) -> Vec<Timestamp> {
        let mut times = Vec::new();
        let mut now = pace.due(from);
        while now < until {
            pace.take(now);
            times.push(now);
            now = pace.due(now);
        }
        times
    }

    /// Microseconds from each request to the next.
    fn gaps(times: &[Timestamp]) -> Vec<u128> {
        times.windows(2).map(|pair| pair[1].since(pair[0]).as_micros()).collect()
    }

    #[test]
    fn no_span_of_time_has_more_than_its_rate_and_one_burst() {
        for (rate, replicas) in [(1, 1), (3, 1), (7, 4), (10, 1), (999, 2), (40_000, 3)] {
            let mut pace = pace(rate);
            pace.share_among(replicas, START);
            let times = sent(&mut pace, START, START.after(20 * SECOND));
            let share = f64::from(rate) / replicas as f64;
            let burst = (share * BURST.as_secs_f64()).max(1.0);
            for (nth, time) in times.iter().enumerate() {
                let allowed = burst + share * time.since(START).as_secs_f64();
                assert!((nth + 1) as f64 <= allowed + 1e-6, "{rate} among {replicas}: {nth}");
            }
            let least = share * 20.0;
            assert!(times.len() as f64 >= least.floor(), "{rate} among {replicas}: too few");
        }
    }

    #[test]
    fn a_rate_that_does_not_divide_a_second_is_kept_to_the_microsecond() {
        let mut three = pace(3);
        let times = sent(&mut three, START, START.after(100 * SECOND));
        assert_eq!(times.len(), 300);
        assert!(gaps(&times).iter().all(|gap| (333_333..=333_334).contains(gap)));
    }

    #[test]
    fn requests_are_evenly_paced_once_the_burst_is_spent() {
        let mut hundred = pace(100);
        let times = sent(&mut hundred, START, START.after(SECOND));
        let gaps = gaps(&times);
        assert!(gaps[..9].iter().all(|gap| *gap == 0), "as many as fit into 100 ms: {gaps:?}");
        assert!(gaps[9..].iter().all(|gap| *gap == 10_000), "{gaps:?}");
    }

    #[test]
    fn a_quiet_hour_saves_up_no_more_than_one_burst() {
        let mut hundred = pace(100);
        sent(&mut hundred, START, START.after(SECOND));
        let later = START.after(3_600 * SECOND);
        let at_once = sent(&mut hundred, later, later.after(Duration::from_micros(1)));
        assert_eq!(at_once.len(), 10);
    }

    #[test]
    fn a_longer_burst_saves_more_up_and_a_new_rate_keeps_what_fits() {
        let at_once = |bucket: &TokenBucket| {
            let soon = START.after(Duration::from_micros(1));
            sent(&mut bucket.clone(), START, soon).len()
        };
        let mut bucket = TokenBucket::with_burst(NonZeroU32::new(20).unwrap(), SECOND, START);
        assert_eq!(at_once(&bucket), 20);
        for (rate, saved) in [(100, 20), (5, 5), (20, 5)] {
            bucket.set_rate(NonZeroU32::new(rate).unwrap(), START);
            assert_eq!(at_once(&bucket), saved, "at {rate} a second");
        }
    }

    #[test]
    fn asking_when_a_request_is_due_costs_nothing() {
        let mut one = pace(1);
        one.take(START);
        for _ in 0..10 {
            assert_eq!(one.due(START.after(SECOND / 2)), START.after(SECOND));
        }
    }

    #[test]
    fn a_share_may_be_below_one_a_second_and_changes_at_once() {
        let mut two = pace(2);
        two.share_among(10, START);
        two.take(START);
        assert_eq!(two.due(START), START.after(5 * SECOND));
        two.share_among(5, START.after(SECOND));
        assert_eq!(two.due(START.after(SECOND)), START.after(SECOND * 5 / 2));
        two.share_among(0, START.after(SECOND));
        assert_eq!(two.due(START.after(SECOND)), START.after(SECOND), "a single replica again");
    }

    #[test]
    fn all_replicas_together_keep_the_rate() {
        let mut replicas: Vec<TokenBucket> = (0..7).map(|_| pace(5)).collect();
        let mut sent_in_all = 0;
        for pace in &mut replicas {
            pace.share_among(7, START);
            sent_in_all += sent(pace, START, START.after(700 * SECOND)).len();
        }
        assert!((3_500..=3_507).contains(&sent_in_all), "{sent_in_all}");
    }

    #[test]
    fn a_clock_that_goes_back_earns_nothing_twice() {
        let mut one = pace(1);
        one.take(START);
        one.due(START.after(SECOND / 2));
        one.due(START);
        assert_eq!(one.due(START.after(SECOND / 2)), START.after(SECOND));
    }

    #[test]
    fn extreme_values_do_not_overflow() {
        let mut fastest = pace(u32::MAX);
        assert_eq!(fastest.due(Timestamp::MAX), Timestamp::MAX);
        fastest.share_among(usize::MAX, START);
        fastest.take(START);
        assert!(fastest.due(START) > START);
    }
}
