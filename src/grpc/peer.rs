//! What a connection tells about its peer, beside the address.

use std::sync::Arc;

use crate::{
    access::{self, CertificateNames},
    domain::Timestamp,
};

/// The names in the certificate with which a peer has authenticated its connection, in each of its
/// requests' extensions. Cheap to clone.
#[derive(Clone)]
pub struct PeerNames {
    names: Arc<CertificateNames>,
    expires: Option<Timestamp>,
}

impl PeerNames {
    /// The names in a peer's certificate, which is in DER.
    pub fn of(certificate: &[u8]) -> Self {
        let names = Arc::new(CertificateNames::of_der(certificate));
        Self { names, expires: access::certificate_expiry(certificate) }
    }

    /// The names.
    pub fn names(&self) -> &CertificateNames {
        &self.names
    }

    /// When the certificate expires, as far as it can be read.
    pub fn expires(&self) -> Option<Timestamp> {
        self.expires
    }
}
