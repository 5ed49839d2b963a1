//! The settings of the transport: TLS, and which addresses may be listened on without it.
//!
//! An address other than the loopback needs TLS and callers, or a switch that names what is
//! missing: a port that is open to a network must not be open by mistake. The files are
//! deliberately not opened here: `access` reads and checks them together.

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
};

use super::{
    about::Setting,
    error::{Error, Problem, ValueOrigin},
    settings as s,
    source::Sources,
};

/// The files of TLS, and who has to present a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsConfig {
    /// The server's certificate and those of its issuers.
    pub cert_file: PathBuf,
    /// The private key of the certificate.
    pub key_file: PathBuf,
    /// The authorities that issue client certificates.
    pub client_ca_file: Option<PathBuf>,
    /// The revocation lists of these authorities.
    pub client_crl_file: Option<PathBuf>,
    /// Whether callers have to present a certificate.
    pub client_auth: ClientAuth,
}

/// Whether callers have to present a client certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientAuth {
    /// No certificate is asked for.
    Off,
    /// A certificate is checked if the caller presents one.
    Optional,
    /// A handshake without a certificate fails.
    Required,
}

/// The files of TLS; `None` without a certificate. Settings that have no effect alone are refused.
pub fn tls(sources: &Sources) -> Result<Option<TlsConfig>, Error> {
    let (cert, key) = (sources.find(&s::TLS_CERT_FILE)?, sources.find(&s::TLS_KEY_FILE)?);
    let (ca, crl) = (sources.find(&s::TLS_CLIENT_CA_FILE)?, sources.find(&s::TLS_CLIENT_CRL_FILE)?);
    let auth = sources.find(&s::TLS_CLIENT_AUTH)?;
    match (&cert, &key) {
        (Some((_, origin)), None) => {
            return Err(needs(&s::TLS_CERT_FILE, origin, &s::TLS_KEY_FILE));
        }
        (None, Some((_, origin))) => {
            return Err(needs(&s::TLS_KEY_FILE, origin, &s::TLS_CERT_FILE));
        }
        (None, None) | (Some(_), Some(_)) => {}
    }
    if let (Some((_, origin)), None) = (&ca, &cert) {
        return Err(needs(&s::TLS_CLIENT_CA_FILE, origin, &s::TLS_CERT_FILE));
    }
    if ca.is_none() {
        if let Some((ClientAuth::Optional | ClientAuth::Required, origin)) = &auth {
            return Err(needs(&s::TLS_CLIENT_AUTH, origin, &s::TLS_CLIENT_CA_FILE));
        }
        if let Some((_, origin)) = &crl {
            return Err(needs(&s::TLS_CLIENT_CRL_FILE, origin, &s::TLS_CLIENT_CA_FILE));
        }
    }
    let by_default = if ca.is_some() { ClientAuth::Required } else { ClientAuth::Off };
    Ok(cert.zip(key).map(|((cert_file, _), (key_file, _))| TlsConfig {
        cert_file,
        key_file,
        client_ca_file: ca.map(|(path, _)| path),
        client_crl_file: crl.map(|(path, _)| path),
        client_auth: auth.map_or(by_default, |(auth, _)| auth),
    }))
}

fn needs<T, U>(setting: &Setting<T>, origin: &ValueOrigin, other: &Setting<U>) -> Error {
    Error::new(setting.about.name, Problem::Needs(other.about.name), origin.clone())
}

/// The address for callers. Any address but the loopback needs TLS and callers, unless the switches
/// lift the rule.
pub fn listen(sources: &Sources) -> Result<SocketAddr, Error> {
    let address = sources.get(&s::LISTEN)?;
    let is_plain = !sources.get(&s::ALLOW_PLAINTEXT)? && sources.find(&s::TLS_CERT_FILE)?.is_none();
    let is_anonymous =
        !sources.get(&s::ALLOW_ANONYMOUS)? && sources.find(&s::CALLERS_FILE)?.is_none();
    if is_loopback(address.ip()) {
        return Ok(address);
    }
    let problem = match (is_plain, is_anonymous) {
        (false, false) => return Ok(address),
        (true, false) => {
            "is not a loopback address, and so needs --tls-cert-file, or --allow-plaintext to serve \
             without TLS"
        }
        (false, true) => {
            "is not a loopback address, and so needs --callers-file, or --allow-anonymous to serve \
             callers without credentials"
        }
        (true, true) => {
            "is not a loopback address, and so needs --tls-cert-file, or --allow-plaintext to serve \
             without TLS; and --callers-file, or --allow-anonymous to serve callers without \
             credentials"
        }
    };
    let problem = Problem::Refused(format!("{address} {problem}"));
    let origin = sources.origin(&s::LISTEN.about).unwrap_or(ValueOrigin::Default);
    Err(Error::new(s::LISTEN.about.name, problem, origin))
}

fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}
