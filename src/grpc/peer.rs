//! What a connection tells about its peer, beside the address.

use std::sync::Arc;

use crate::access::CertificateNames;

/// The names in the certificate with which a peer has authenticated its connection, in each of its
/// requests' extensions. Cheap to clone.
#[derive(Clone)]
pub struct PeerNames(Arc<CertificateNames>);

impl PeerNames {
    /// The names in a peer's certificate, which is in DER.
    pub fn of(certificate: &[u8]) -> Self {
        Self(Arc::new(CertificateNames::of_der(certificate)))
    }

    /// The names.
    pub fn names(&self) -> &CertificateNames {
        &self.0
    }
}
