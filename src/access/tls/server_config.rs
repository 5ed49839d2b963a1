//! Checks the contents of the TLS files together, and makes a configuration of them.
//!
//! It deliberately doesn't check the names or the issuers of the server's certificate: its clients
//! do.

use std::{fmt, sync::Arc, time::Duration};

use rustls::{
    CertificateError, Error, InconsistentKeys, RootCertStore, ServerConfig,
    crypto::{CryptoProvider, ring},
    pki_types::{
        CertificateDer, CertificateRevocationListDer, PrivateKeyDer, UnixTime,
        pem::{self, PemObject},
    },
    server::{
        NoServerSessionStorage, VerifierBuilderError, WebPkiClientVerifier,
        danger::ClientCertVerifier,
    },
    sign::{CertifiedKey, SingleCertAndKey},
    time_provider::TimeProvider,
    version::{TLS12, TLS13},
};
use x509_cert::{Certificate, der::Decode, time::Time};

use crate::{
    access::tls::{
        ClientAuth, TlsError,
        files::{Content, Contents},
    },
    clock::Clock,
    domain::Timestamp,
};

/// HTTP/2 in ALPN (RFC 9113, section 3.2): the only protocol of the port.
const ALPN_HTTP2: &[u8] = b"h2";

/// A configuration that has passed all checks.
pub struct Checked {
    pub config: ServerConfig,
    /// When its certificate expires.
    pub expires: Timestamp,
}

/// The configuration of a set, after all checks.
pub fn build(
    contents: &Contents,
    client_auth: ClientAuth,
    clock: &Clock,
) -> Result<Checked, TlsError> {
    let provider = Arc::new(ring::default_provider());
    let pair = pair(contents, &provider)?;
    let expires = check_validity(&contents.cert, &pair, clock.now())?;
    let verifier = verifier(contents, client_auth, &provider)?;
    let builder = ServerConfig::builder_with_details(provider, Arc::new(ClockTime(clock.clone())))
        .with_protocol_versions(&[&TLS13, &TLS12])
        .map_err(|error| contents.cert.error(&format!("can't be used: {error}")))?;
    let resolver = Arc::new(SingleCertAndKey::from(pair));
    let mut config = match verifier {
        None => builder.with_no_client_auth().with_cert_resolver(resolver),
        Some(verifier) => {
            let mut config =
                builder.with_client_cert_verifier(verifier).with_cert_resolver(resolver);
            // A resumed session brings a certificate that isn't checked again, and may have expired
            // since.
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
            config
        }
    };
    config.alpn_protocols = vec![ALPN_HTTP2.to_vec()];
    Ok(Checked { config, expires })
}

/// The certificate with its key.
fn pair(contents: &Contents, provider: &CryptoProvider) -> Result<CertifiedKey, TlsError> {
    let (cert, key) = (&contents.cert, &contents.key);
    let chain: Vec<CertificateDer<'static>> = parsed(cert, "certificate")?;
    let private = PrivateKeyDer::from_pem_slice(&key.bytes)
        .map_err(|error| key.error(&broken_pem(&error, "unencrypted private key")))?;
    let private = provider.key_provider.load_private_key(private);
    let private =
        private.map_err(|_| key.error("holds a private key of a kind that can't be used"))?;
    let pair = CertifiedKey::new(chain, private);
    match pair.keys_match() {
        Ok(()) => Ok(pair),
        Err(Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => {
            Err(key.mismatch("is not the key of the certificate in --tls-cert-file"))
        }
        Err(Error::InconsistentKeys(_)) => {
            Err(key.error("can't be compared with the certificate in --tls-cert-file"))
        }
        Err(_) => Err(cert.error("holds a certificate that can't be parsed")),
    }
}

/// Checks the dates of the server's own certificate. Returns when it expires.
fn check_validity(
    cert: &Content,
    pair: &CertifiedKey,
    now: Timestamp,
) -> Result<Timestamp, TlsError> {
    let unparsable = || cert.error("holds a certificate that can't be parsed");
    let der = pair.end_entity_cert().map_err(|_| unparsable())?;
    let parsed = Certificate::from_der(der).map_err(|_| unparsable())?;
    let validity = *parsed.tbs_certificate().validity();
    if now >= moment(validity.not_after) {
        return Err(cert.error(&format!("has expired ({})", validity.not_after)));
    }
    if now < moment(validity.not_before) {
        return Err(cert.error(&format!("is not valid yet ({})", validity.not_before)));
    }
    Ok(moment(validity.not_after))
}

fn moment(time: Time) -> Timestamp {
    Timestamp::from_micros(0).after(time.to_unix_duration())
}

/// The verifier of client certificates, if they are asked for. The files are checked in any case.
fn verifier(
    contents: &Contents,
    client_auth: ClientAuth,
    provider: &Arc<CryptoProvider>,
) -> Result<Option<Arc<dyn ClientCertVerifier>>, TlsError> {
    let Some(ca) = &contents.client_ca else { return Ok(None) };
    let roots = Arc::new(roots(ca)?);
    let mut builder = WebPkiClientVerifier::builder_with_provider(roots, provider.clone());
    if let Some(crl) = &contents.client_crl {
        let lists: Vec<CertificateRevocationListDer<'static>> = parsed(crl, "revocation list")?;
        builder = builder.with_crls(lists);
    }
    if client_auth == ClientAuth::Optional {
        builder = builder.allow_unauthenticated();
    }
    let verifier = builder.build().map_err(|error| match (error, &contents.client_crl) {
        (VerifierBuilderError::InvalidCrl(error), Some(crl)) => {
            crl.error(&format!("holds a revocation list that can't be used: {error:?}"))
        }
        (error, _) => ca.error(&format!("can't be used: {error}")),
    })?;
    Ok((client_auth != ClientAuth::Off).then_some(verifier))
}

fn roots(ca: &Content) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for authority in parsed::<CertificateDer<'static>>(ca, "certificate")? {
        roots.add(authority).map_err(|error| match error {
            Error::InvalidCertificate(CertificateError::BadEncoding) => {
                ca.error("holds a certificate that can't be parsed")
            }
            error => ca.error(&format!("holds a certificate that can't be used: {error}")),
        })?;
    }
    Ok(roots)
}

/// The PEM items of one kind in a file, at least one.
fn parsed<T: PemObject>(content: &Content, kind: &str) -> Result<Vec<T>, TlsError> {
    let items = T::pem_slice_iter(&content.bytes).collect::<Result<Vec<_>, _>>();
    match items {
        Ok(items) if items.is_empty() => Err(content.error(&format!("holds no {kind} in PEM"))),
        Ok(items) => Ok(items),
        Err(error) => Err(content.error(&broken_pem(&error, kind))),
    }
}

/// What is wrong with a PEM file. The parser's own text isn't used: it may quote the file.
fn broken_pem(error: &pem::Error, kind: &str) -> String {
    match error {
        pem::Error::NoItemsFound => format!("holds no {kind} in PEM"),
        pem::Error::MissingSectionEnd { .. } => "is cut off: a section of it has no end".to_owned(),
        _ => "is not valid PEM".to_owned(),
    }
}

/// The time by which client certificates are checked.
struct ClockTime(Clock);

impl TimeProvider for ClockTime {
    fn current_time(&self) -> Option<UnixTime> {
        let micros = u64::try_from(self.0.now().as_micros()).ok()?;
        Some(UnixTime::since_unix_epoch(Duration::from_micros(micros)))
    }
}

impl fmt::Debug for ClockTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClockTime")
    }
}
