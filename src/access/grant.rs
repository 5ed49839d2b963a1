//! What an authenticated caller may do, for whom, and for how long.

use std::{fmt, sync::Arc};

use tokio_util::sync::CancellationToken;

use crate::{
    clock::Clock,
    domain::{TenantId, Timestamp},
};

/// What a caller may do, by its word in the callers file and in tokens.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Permission {
    /// To run, create and cancel matches.
    Match,
    /// To read matches: get, wait, watch, list.
    Read,
    /// To erase matches.
    Erase,
}

impl Permission {
    /// All permissions.
    pub const ALL: [Self; 3] = [Self::Match, Self::Read, Self::Erase];

    /// The word of the permission.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Match => "match",
            Self::Read => "read",
            Self::Erase => "erase",
        }
    }

    /// The permission with this word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|permission| permission.as_str() == word)
    }
}

/// A set of permissions.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Permissions(u8);

impl Permissions {
    /// Every permission.
    pub fn all() -> Self {
        Permission::ALL.into_iter().collect()
    }

    /// Whether the set has a permission.
    pub const fn has(self, permission: Permission) -> bool {
        self.0 & (1 << permission as u8) != 0
    }
}

impl FromIterator<Permission> for Permissions {
    fn from_iter<I: IntoIterator<Item = Permission>>(permissions: I) -> Self {
        Self(permissions.into_iter().fold(0, |set, permission| set | 1 << permission as u8))
    }
}

/// An authenticated caller: what it may do, for which tenant, and until when. Cheap to clone.
#[derive(Clone)]
pub struct Grant(Arc<GrantInner>);

struct GrantInner {
    tenant: TenantId,
    caller: Box<str>,
    credential: Box<str>,
    permissions: Permissions,
    /// When the credential expires.
    expires: Option<Timestamp>,
    /// Cancelled when the credential is withdrawn, or grants something else from now on.
    withdrawn: CancellationToken,
}

impl Grant {
    /// A grant for a caller whose credential never expires and is never withdrawn.
    pub fn unlimited(tenant: TenantId, caller: &str, permissions: Permissions) -> Self {
        let withdrawn = CancellationToken::new();
        Self::new(tenant, caller, "", permissions, None, withdrawn)
    }

    /// A grant for a caller that has shown a credential, which is named as the audit file names it.
    pub fn new(
        tenant: TenantId,
        caller: &str,
        credential: &str,
        permissions: Permissions,
        expires: Option<Timestamp>,
        withdrawn: CancellationToken,
    ) -> Self {
        let (caller, credential) = (caller.into(), credential.into());
        Self(Arc::new(GrantInner { tenant, caller, credential, permissions, expires, withdrawn }))
    }

    /// The tenant for which the caller acts.
    pub fn tenant(&self) -> &TenantId {
        &self.0.tenant
    }

    /// The caller's name in the callers file, or the subject of its token.
    pub fn caller(&self) -> &str {
        &self.0.caller
    }

    /// The credential that the caller has shown, without its secret: the id of a key, the name in a
    /// certificate, or the issuer and subject of a token. Empty without authentication.
    pub fn credential(&self) -> &str {
        &self.0.credential
    }

    /// Whether the caller has a permission.
    pub fn allows(&self, permission: Permission) -> bool {
        self.0.permissions.has(permission)
    }

    /// When the credential expires, if it does.
    pub(super) fn expires(&self) -> Option<Timestamp> {
        self.0.expires
    }

    /// Ends the grant, and all calls that wait for its end.
    pub(super) fn withdraw(&self) {
        self.0.withdrawn.cancel();
    }

    /// Whether the grant was ended.
    pub(super) fn is_withdrawn(&self) -> bool {
        self.0.withdrawn.is_cancelled()
    }

    /// Whether another grant is the same one, and not only an equal one.
    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Whether another grant gives the same caller the same rights by the same credential.
    pub(super) fn equals(&self, other: &Self) -> bool {
        let (own, other) = (&self.0, &other.0);
        own.tenant == other.tenant
            && own.caller == other.caller
            && own.credential == other.credential
            && own.permissions == other.permissions
            && own.expires == other.expires
    }

    /// Whether the grant can end while a call runs.
    pub fn can_end(&self) -> bool {
        !self.0.credential.is_empty()
    }

    /// Returns when the credential has expired or was withdrawn.
    pub async fn ended(self, clock: Clock) {
        tokio::select! {
            () = clock.sleep_until(self.0.expires.unwrap_or(Timestamp::MAX)) => {}
            () = self.0.withdrawn.cancelled() => {}
        }
    }
}

impl fmt::Debug for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Grant")
            .field("tenant", &self.0.tenant)
            .field("caller", &self.0.caller)
            .finish_non_exhaustive()
    }
}
