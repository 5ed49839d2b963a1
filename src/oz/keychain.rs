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

    /// Resolves once the secret is replaced.
    async fn replaced(&self);
}

/// A secret that is never replaced.
pub struct Fixed(pub SecretString);

#[async_trait]
impl Keychain for Fixed {
    fn current(&self) -> SecretString {
        self.0.clone()
    }

    async fn reread(&self) {}

    async fn replaced(&self) {
        std::future::pending().await
    }
}
