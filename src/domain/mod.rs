//! What a match is: facts, the state they fold into, and what follows from either.
//!
//! Everything here is pure: no async, no IO, no clock, no logging, and nothing of the transport,
//! the store or the HTTP client. Time and chance come in as values.
//! What it deliberately does not do: talk to Oz, keep anything, or know who watches.

pub mod ask;
pub mod circuit_breaker;
pub mod event;
pub mod id;
pub mod limit;
pub mod liveness;
pub mod photo;
pub mod progress;
pub mod reason;
pub mod request;
pub mod retry;
pub mod settle;
pub mod state;
pub mod step;
pub mod time;
pub mod token_bucket;
pub mod verdict;
pub mod volatile;

pub use ask::{Analysis, Ask, Failure, FailureKind, Folder, Media, Reply};
pub use circuit_breaker::{CircuitBreaker, Deferred, RequestTraits, Ticket};
pub use event::{
    AttemptFailed, Cursor, Event, LivenessResult, MatchError, MatchResult, OzStatus, Recorded,
    Resolution,
};
pub use id::{AnalysisId, CallerId, FolderId, MatchId, MediaId, Position, RequestId, Sequence};
pub use limit::Limit;
pub use photo::{Format, PhotoKind};
pub use progress::Progress;
pub use reason::{Cause, Reason};
pub use request::{Digest, LivenessPolicy, PhotoSource, Spec, Timeout};
pub use settle::{Moment, OzResult, Settled, held_back, settle};
pub use state::{IllegalEvent, Match, State, Trouble, apply};
pub use step::{Step, next_step};
pub use time::Timestamp;
pub use token_bucket::TokenBucket;
pub use volatile::{Policy, VolatileState};

#[cfg(test)]
mod tests;
