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

/// The port for browsers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebConfig {
    /// Its address.
    pub listen: SocketAddr,
    /// The origins whose pages may call it; `*` means all.
    pub origins: Vec<String>,
    /// Whether it refuses the calls that change matches.
    pub read_only: bool,
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

/// The address for callers.
pub fn listen(sources: &Sources) -> Result<SocketAddr, Error> {
    let address = sources.get(&s::LISTEN)?;
    let origin = sources.origin(&s::LISTEN.about).unwrap_or(ValueOrigin::Default);
    admit(sources, &s::LISTEN, address, origin)
}

/// The port for browsers. Its other settings have no effect alone, and so are refused.
pub fn web(sources: &Sources) -> Result<Option<WebConfig>, Error> {
    let read_only = sources.get(&s::WEB_READ_ONLY)?;
    let Some((address, origin)) = sources.find(&s::WEB_LISTEN)? else {
        if let Some((_, origin)) = sources.find(&s::WEB_ORIGINS)? {
            return Err(needs(&s::WEB_ORIGINS, &origin, &s::WEB_LISTEN));
        }
        let origin = sources.origin(&s::WEB_READ_ONLY.about).filter(|_| read_only);
        return origin
            .map_or(Ok(None), |origin| Err(needs(&s::WEB_READ_ONLY, &origin, &s::WEB_LISTEN)));
    };
    let listen = admit(sources, &s::WEB_LISTEN, address, origin)?;
    Ok(Some(WebConfig { listen, origins: origins(sources)?, read_only }))
}

/// The origins whose pages may call the port for browsers. Every page only where there are no
/// credentials that it could use.
pub fn origins(sources: &Sources) -> Result<Vec<String>, Error> {
    let Some((origins, origin)) = sources.find(&s::WEB_ORIGINS)? else { return Ok(Vec::new()) };
    let has_callers = sources.find(&s::CALLERS_FILE)?.is_some()
        || sources.find(&s::TLS_CLIENT_CA_FILE)?.is_some();
    if has_callers && origins.iter().any(|origin| origin == "*") {
        let problem = "* can't be combined with --callers-file or --tls-client-ca-file: list the \
                       origins";
        return Err(Error::new(s::WEB_ORIGINS.about.name, Problem::Unusable(problem), origin));
    }
    Ok(origins)
}

/// An address to listen on. Any address but the loopback needs TLS and callers, unless the switches
/// lift the rule.
fn admit(
    sources: &Sources,
    setting: &Setting<SocketAddr>,
    address: SocketAddr,
    origin: ValueOrigin,
) -> Result<SocketAddr, Error> {
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
    Err(Error::new(setting.about.name, problem, origin))
}

fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}
