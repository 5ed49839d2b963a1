//! The password or the token of our Oz account, which an operator may replace at run time.
//!
//! It deliberately doesn't know where the secret is stored: in a file, in production.

use async_trait::async_trait;
use secrecy::SecretString;

/// Provides the password of our account, or the service token.
#[async_trait]
pub trait Keychain: Send + Sync {
    /// The secret as it was last read.
    fn current(&self) -> SecretString;

    /// Checks whether the secret has been replaced, because Oz refuses it. Called at every such
    /// refusal, so an implementation limits how often it really checks.
    async fn reread(&self);

    /// How often the secret has been replaced.
    fn version(&self) -> u64;

    /// Resolves once the secret has another version than this one: at once if it was replaced
    /// before the call.
    async fn replaced(&self, version: u64);
}

/// A secret that is never replaced.
pub struct Fixed(pub SecretString);

#[async_trait]
impl Keychain for Fixed {
    fn current(&self) -> SecretString {
        self.0.clone()
    }

    async fn reread(&self) {}

    fn version(&self) -> u64 {
        0
    }

    async fn replaced(&self, _: u64) {
        std::future::pending().await
    }
}
