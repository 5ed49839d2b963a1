//! Certificate authorities of these tests, with certificates and revocation lists.

use std::time::Duration;

use facematch::{clock::Clock, domain::Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams,
    SerialNumber, date_time_ymd,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};

/// An authority that issues certificates.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate with its key, in PEM.
#[derive(Clone)]
pub struct Identity {
    pub cert: String,
    pub key: String,
}

impl Authority {
    /// A new authority. Two of the same name are different issuers to each other's clients.
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap());
        Self(issuer.unwrap())
    }

    /// Its own certificate, in PEM.
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for a server on the loopback.
    pub fn server(&self) -> Identity {
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        self.issue(1, year(2099), &names, ExtendedKeyUsagePurpose::ServerAuth)
    }

    /// A certificate for a server with other names.
    pub fn server_named(&self, name: &str) -> Identity {
        self.issue(2, year(2099), &[name.to_owned()], ExtendedKeyUsagePurpose::ServerAuth)
    }

    /// A certificate for a server on the loopback that is valid until the first day of a year.
    pub fn server_until(&self, until: i32) -> Identity {
        let names = ["127.0.0.1".to_owned()];
        self.issue(3, year(until), &names, ExtendedKeyUsagePurpose::ServerAuth)
    }

    /// A certificate for a caller.
    pub fn client(&self, serial: u64) -> Identity {
        self.client_until(serial, 2099)
    }

    /// A caller's certificate, which is valid until the first day of a year.
    pub fn client_until(&self, serial: u64, until: i32) -> Identity {
        self.client_before(serial, year(until))
    }

    /// A caller's certificate, which expires after so many seconds.
    pub fn client_for(&self, serial: u64, seconds: u64) -> Identity {
        let now = Clock::system().now().since(Timestamp::default());
        self.client_before(serial, now + Duration::from_secs(seconds))
    }

    fn client_before(&self, serial: u64, until: Duration) -> Identity {
        let names = ["kyc.internal".to_owned()];
        self.issue(serial, until, &names, ExtendedKeyUsagePurpose::ClientAuth)
    }

    fn issue(
        &self,
        serial: u64,
        until: Duration,
        names: &[String],
        usage: ExtendedKeyUsagePurpose,
    ) -> Identity {
        let mut params = CertificateParams::new(names).unwrap();
        params.serial_number = Some(SerialNumber::from(serial));
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(1970, 1, 1) + until;
        params.extended_key_usages = vec![usage];
        let key = KeyPair::generate().unwrap();
        let cert = params.signed_by(&key, &self.0).unwrap();
        Identity { cert: cert.pem(), key: key.serialize_pem() }
    }

    /// A revocation list with the certificates of these serial numbers, in PEM.
    pub fn revoke(&self, serials: &[u64]) -> String {
        let revoked = |serial: &u64| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: date_time_ymd(2021, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2021, 1, 1),
            next_update: date_time_ymd(2099, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: serials.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(&self.0).unwrap().pem().unwrap()
    }
}

/// The time from 1970 to the first day of a year.
fn year(year: i32) -> Duration {
    (date_time_ymd(year, 1, 1) - date_time_ymd(1970, 1, 1)).unsigned_abs()
}

impl Identity {
    /// The certificate and the key, in DER.
    pub fn der(&self) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        let cert = CertificateDer::from_pem_slice(self.cert.as_bytes()).unwrap();
        (vec![cert], PrivateKeyDer::from_pem_slice(self.key.as_bytes()).unwrap())
    }
}
