//! The faults of the model of Oz: those of [`oz_faults`], and what only a model can do.

use std::time::Duration;

use crate::{
    domain::{FailureKind, Timestamp, ask::AskKind},
    oz_faults::{self, Acts, OzFault},
};

/// How one request goes wrong.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Fault {
    /// The name in messages.
    pub name: &'static str,
    /// The failure of the request; `None`: it is answered as it should be.
    pub failure: Option<FailureKind>,
    /// Whether and when the request takes effect all the same.
    pub acts: Acts,
    /// How long the answer takes.
    pub delay: Duration,
    /// The `Retry-After` of the answer.
    pub retry_after: Option<Duration>,
}

/// How long after its failure a request takes effect, if it does so later.
pub const LATER: Duration = Duration::from_secs(3);

const fn fault(name: &'static str, failure: FailureKind, acts: Acts) -> Fault {
    Fault { name, failure: Some(failure), acts, delay: Duration::ZERO, retry_after: None }
}

const fn modelled(of: OzFault) -> Fault {
    fault(of.name, of.kind, of.acts)
}

/// Every temporary failure of Oz: each passes, and no match may be harmed. Seeds draw from it by
/// place, so a known seed repeats its history only as long as no place changes.
pub const FAULTS: &[Fault] = &[
    fault("no connection", FailureKind::Unreachable, Acts::Never),
    modelled(oz_faults::DROP_BEFORE_ACTING),
    modelled(oz_faults::DROP_AFTER_ACTING),
    modelled(oz_faults::ACT_AFTER_DROP),
    fault("a timeout", FailureKind::TimedOut, Acts::Never),
    Fault {
        delay: Duration::from_secs(30),
        ..fault("a timeout, act", FailureKind::TimedOut, Acts::AtOnce)
    },
    Fault {
        name: "a late answer",
        failure: None,
        acts: Acts::AtOnce,
        delay: Duration::from_secs(20),
        retry_after: None,
    },
    modelled(oz_faults::EXPIRE_SESSION),
    modelled(oz_faults::STATUS_429),
    Fault {
        retry_after: Some(Duration::from_secs(7)),
        ..modelled(oz_faults::STATUS_429_WITH_RETRY_AFTER)
    },
    modelled(oz_faults::STATUS_500),
    modelled(oz_faults::STATUS_500_AFTER_ACTING),
    modelled(oz_faults::HTML_502_AFTER_ACTING),
    modelled(oz_faults::REDIRECT),
    modelled(oz_faults::GATEWAY_404),
    modelled(oz_faults::GATEWAY_403_AFTER_ACTING),
    modelled(oz_faults::STATUS_401),
    modelled(oz_faults::STATUS_401_AFTER_ACTING),
    modelled(oz_faults::INVALID_JSON),
    modelled(oz_faults::EMPTY_BODY),
];

/// The kinds of outage: nothing answers, or a gateway does, which may even lose Oz's answers.
pub const OUTAGES: &[Fault] = &[
    fault("no connection", FailureKind::Unreachable, Acts::Never),
    modelled(oz_faults::GATEWAY_404),
    fault("a gateway's 404, act", FailureKind::Foreign, Acts::AtOnce),
];

/// A fault that lasts for a while.
#[derive(Clone, Copy)]
pub struct Outage {
    pub from: Timestamp,
    pub to: Timestamp,
    /// Which requests; `None`: all.
    pub of: Option<AskKind>,
    pub fault: Fault,
}

#[test]
fn the_model_has_every_fault_that_the_wire_has() {
    for of in oz_faults::OZ_FAULTS {
        let is_modelled = |fault: &&Fault| (fault.failure, fault.acts) == (Some(of.kind), of.acts);
        assert!(FAULTS.iter().any(|fault| is_modelled(&fault)), "{of:?}");
    }
}
