//! The password or the token that we have at Oz, which an operator may replace while we run.
//!
//! It deliberately says nothing of where the secret lies: a file, in the real program.

use async_trait::async_trait;
use secrecy::SecretString;

/// Keeps the password of our account, or the service token.
#[async_trait]
pub trait Keychain: Send + Sync {
    /// The secret as it was last read.
    fn current(&self) -> SecretString;

    /// Looks whether the secret has been replaced, since Oz refuses it. Asked as often as Oz
    /// refuses anything: it limits by itself how often it really looks.
    async fn reread(&self);

    /// Resolves once the secret is replaced.
    async fn replaced(&self);
}

/// A secret that stays as it is.
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
