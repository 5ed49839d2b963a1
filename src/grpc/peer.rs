//! What a connection tells about its peer, beside the address.

use std::sync::Arc;

/// The certificate with which a peer has authenticated its connection, in each of its requests'
/// extensions. Cheap to clone.
#[derive(Clone, Default)]
pub struct PeerCertificate(Option<Arc<[u8]>>);

impl PeerCertificate {
    /// The certificate in DER; `None` if the peer has shown none.
    pub fn der(&self) -> Option<&[u8]> {
        self.0.as_deref()
    }
}
