//! The Oz client: one operation, which hides sessions, repeated logins and JSON.
//!
//! It deliberately doesn't decide what a match does next, and it repeats no request that may have
//! changed something. It reports what happened; the domain decides.

mod client;
mod config;
mod exchange;
mod failure;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod keychain;
mod lenient_json;
mod link_fault;
mod probe;
mod refusals;
mod route;
mod scrub;
mod session;
#[cfg(test)]
mod tests;
mod upload;
mod wire;

pub use client::{Client, read_analysis};
pub use config::{Config, ConfigError, Credentials};
pub use keychain::Keychain;
pub use link_fault::{CertificateFault, LinkFault};
pub use probe::{
    AccessToken, Carried, LivenessFile, NoAnswer, OzProbe, OzRoute, ProbeOutcome, ProbedSession,
    WholeAnswer,
};

use async_trait::async_trait;
use bytes::Bytes;

use crate::{
    domain::{Ask, Failure, Reply},
    trace::AskTrace,
};

/// A callback that receives how many bytes of a photo have been sent.
pub type Sent<'a> = &'a (dyn Fn(u64) + Send + Sync);

/// The source of jitter: a number from 0 to 1.
pub type Jitter = std::sync::Arc<dyn Fn() -> f64 + Send + Sync>;

/// The interface to Oz.
#[async_trait]
pub trait Oz: Send + Sync {
    /// Sends one request and returns its outcome.
    ///
    /// A session that has ended is renewed and the request replayed, once. Nothing else is ever
    /// repeated here. If sessions keep ending early, nothing is sent for a while
    /// ([`Failure::without_session`]). Dropping the future closes the connection; Oz may act on the
    /// request all the same. `photo` is only needed for [`Ask::UploadPhoto`]. Oz is told the trace.
    /// A request to the photo library is not for Oz, and fails.
    async fn perform(
        &self,
        ask: &Ask,
        photo: Option<Bytes>,
        sent: Sent<'_>,
        trace: AskTrace<'_>,
    ) -> Result<Reply, Failure>;

    /// How often our credentials have been replaced.
    fn credentials_version(&self) -> u64 {
        0
    }

    /// Resolves once our credentials have another version than this one: requests that Oz refused
    /// because of them may be retried at once. Never resolves if they can't be replaced.
    async fn credentials_replaced(&self, _version: u64) {
        std::future::pending().await
    }
}
