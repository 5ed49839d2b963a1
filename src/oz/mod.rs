//! Oz as we use it: one verb, behind which are sessions, retries of a login, and their JSON.
//!
//! What it deliberately does not do: decide what a match does next, or repeat a request that may
//! have changed something. It says what happened; the core decides.

mod client;
mod config;
mod exchange;
mod failure;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod keychain;
mod lenient_json;
mod refusals;
mod scrub;
mod session;
#[cfg(test)]
mod tests;
mod upload;
mod wire;

pub use client::{Client, read_analysis};
pub use config::{Config, ConfigError, Credentials};
pub use keychain::Keychain;

use async_trait::async_trait;
use bytes::Bytes;

use crate::domain::{Ask, Failure, Reply};

/// Is told how many bytes of a photo have been sent.
pub type Sent<'a> = &'a (dyn Fn(u64) + Send + Sync);

/// Where jitter comes from: a number from 0 to 1.
pub type Jitter = std::sync::Arc<dyn Fn() -> f64 + Send + Sync>;

/// The one thing that is done with Oz.
#[async_trait]
pub trait Oz: Send + Sync {
    /// Sends one request and tells what came of it.
    ///
    /// A session that has ended is renewed and the request replayed, once. Nothing else is ever
    /// repeated here. Where sessions end one after the other nothing is sent for a while
    /// ([`Failure::without_session`]). Dropping the future breaks the connection; Oz may act all
    /// the same.
    /// `photo` is needed for [`Ask::UploadPhoto`] only.
    async fn perform(
        &self,
        ask: &Ask,
        photo: Option<Bytes>,
        sent: Sent<'_>,
    ) -> Result<Reply, Failure>;

    /// Resolves once our credentials have been replaced: what Oz refused for them may be tried
    /// again at once. Never, where they stay as they are.
    async fn credentials_replaced(&self) {
        std::future::pending().await
    }
}
