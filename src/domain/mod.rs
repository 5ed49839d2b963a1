//! The domain model of a match: events, the state they fold into, and the next step that follows.
//!
//! Everything here is pure: no async, IO, clock or logging, and no types of the transport, the
//! store or the HTTP client. Time and randomness are passed in as values. It deliberately doesn't
//! talk to Oz, store anything, or know the watchers.

pub mod ask;
pub mod circuit_breaker;
pub mod event;
pub mod fair_queue;
pub mod id;
pub mod limit;
pub mod liveness;
pub mod photo;
pub mod progress;
pub mod reason;
pub mod reference;
pub mod request;
pub mod retry;
pub mod settle;
pub mod shares;
pub mod state;
pub mod step;
pub mod tenant;
pub mod time;
pub mod token_bucket;
pub mod trace;
pub mod verdict;
pub mod volatile;

pub use ask::{Analysis, Ask, Failure, FailureKind, Folder, LibraryFault, Media, Reply};
pub use circuit_breaker::{CircuitBreaker, Deferred, RequestTraits, Ticket};
pub use event::{
    AttemptFailed, Cursor, Event, LivenessResult, MatchError, MatchResult, OzStatus, Recorded,
    Resolution,
};
pub use fair_queue::FairQueue;
pub use id::{AnalysisId, FolderId, MatchId, MediaId, Position, RequestId, Sequence, TenantId};
pub use limit::Limit;
pub use photo::{Format, PhotoKind};
pub use progress::Progress;
pub use reason::{Cause, Reason};
pub use reference::{KeyForm, ReferenceKey};
pub use request::{Digest, DigestKey, LivenessPolicy, PhotoSource, Spec, Timeout};
pub use settle::{
    Moment, OzResult, Settled, adoptable_analyses, held_back, is_biometry_poll, request_traits,
    settle,
};
pub use shares::{Exhausted, TenantShares};
pub use state::{IllegalEvent, Match, State, Trouble, apply};
pub use step::{Step, next_step};
pub use tenant::{TenantTerms, Tenants, TenantsNow};
pub use time::Timestamp;
pub use token_bucket::TokenBucket;
pub use trace::{CreatorTrace, TraceContext, TraceState};
pub use volatile::{Policy, VolatileState};

#[cfg(test)]
mod tests;
