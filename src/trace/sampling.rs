//! Which traces are recorded.
//!
//! The decision about a trace depends on its id, so that all replicas, and other services with the
//! same ratio, decide alike. A caller's own decision counts only if the caller is authenticated, and
//! can't raise the ratio: otherwise each caller could have everything recorded.

use crate::domain::TraceContext;

/// Which traces are recorded.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Sampling {
    root: f64,
    parent: Option<f64>,
}

impl Default for Sampling {
    /// One trace in ten; authenticated callers may opt out of it.
    fn default() -> Self {
        Self::parent_based(0.1, 0.1)
    }
}

impl Sampling {
    /// This part of all traces. What callers ask for has no effect.
    pub const fn ratio(root: f64) -> Self {
        Self { root, parent: None }
    }

    /// The part `root` of all traces, and the part `parent` of those that an authenticated caller
    /// records; none that an authenticated caller doesn't record.
    pub const fn parent_based(root: f64, parent: f64) -> Self {
        Self { root, parent: Some(parent) }
    }

    /// Whether a call is recorded, by its trace and what its caller says about it.
    pub fn takes_call(
        &self,
        parent: Option<&TraceContext>,
        is_authenticated: bool,
        trace_id: [u8; 16],
    ) -> bool {
        match (parent, self.parent) {
            (Some(parent), Some(ratio)) if is_authenticated => {
                parent.is_sampled() && is_within(ratio, trace_id)
            }
            (Some(_) | None, Some(_) | None) => is_within(self.root, trace_id),
        }
    }

    /// Whether a match is recorded: as the call is that has created it, but at most at the ratio,
    /// since a replica that records nothing may have admitted it.
    pub fn takes_match(&self, creator: Option<&TraceContext>, trace_id: [u8; 16]) -> bool {
        match creator {
            Some(creator) => {
                let ratio = self.root.max(self.parent.unwrap_or(0.0));
                creator.is_sampled() && is_within(ratio, creator.trace_id())
            }
            None => is_within(self.root, trace_id),
        }
    }
}

/// Whether a trace is in this part of all traces, by the rule of OpenTelemetry's `traceidratio`.
fn is_within(ratio: f64, trace_id: [u8; 16]) -> bool {
    if ratio >= 1.0 {
        return true;
    }
    let bound = (ratio.max(0.0) * (1_u64 << 63) as f64) as u64;
    let low = u128::from_be_bytes(trace_id) as u64;
    low >> 1 < bound
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOW: [u8; 16] = [0x10; 16];
    const HIGH: [u8; 16] = [0xf0; 16];

    fn parent(trace_id: [u8; 16], sampled: bool) -> TraceContext {
        TraceContext::new(trace_id, [1; 8], sampled)
    }

    #[test]
    fn a_ratio_takes_that_part_of_all_traces() {
        for ratio in [0.0, 0.1, 0.5, 1.0] {
            let id = |n: u64| [[0; 8], (n << 48).to_be_bytes()].concat().try_into().unwrap();
            let taken = (0..1 << 16).filter(|n| is_within(ratio, id(*n))).count();
            assert_eq!(taken, (ratio * f64::from(1 << 16)).ceil() as usize, "{ratio}");
        }
        assert!(!is_within(-1.0, [0; 16]) && !is_within(f64::NAN, [0; 16]));
    }

    #[test]
    fn a_callers_flag_counts_only_if_the_caller_is_authenticated() {
        let sampling = Sampling::parent_based(0.5, 0.5);
        for (trace_id, flag, is_authenticated, taken) in [
            (LOW, true, true, true),
            (LOW, false, true, false),
            (HIGH, true, true, false),
            (HIGH, false, true, false),
            (LOW, true, false, true),
            (LOW, false, false, true),
            (HIGH, true, false, false),
            (HIGH, false, false, false),
        ] {
            let parent = parent(trace_id, flag);
            let found = sampling.takes_call(Some(&parent), is_authenticated, trace_id);
            assert_eq!(found, taken, "{trace_id:?} {flag} {is_authenticated}");
        }
        assert!(sampling.takes_call(None, true, LOW) && !sampling.takes_call(None, true, HIGH));
    }

    #[test]
    fn a_ratio_alone_ignores_every_callers_flag() {
        let all = Sampling::ratio(1.0);
        assert!(all.takes_call(Some(&parent(HIGH, false)), true, HIGH));
        let none = Sampling::ratio(0.0);
        assert!(!none.takes_call(Some(&parent(LOW, true)), true, LOW));
    }

    #[test]
    fn a_match_follows_its_call_at_most_at_the_ratio() {
        let sampling = Sampling::parent_based(0.5, 0.5);
        assert!(sampling.takes_match(Some(&parent(LOW, true)), HIGH));
        assert!(!sampling.takes_match(Some(&parent(LOW, false)), LOW));
        assert!(!sampling.takes_match(Some(&parent(HIGH, true)), LOW));
        assert!(sampling.takes_match(None, LOW) && !sampling.takes_match(None, HIGH));
        let callers_decide = Sampling::parent_based(0.0, 1.0);
        assert!(callers_decide.takes_match(Some(&parent(HIGH, true)), HIGH));
        assert!(!callers_decide.takes_match(None, LOW));
    }
}
