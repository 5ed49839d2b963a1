//! The credentials of callers, and the files by which the service knows them.

use std::{fs, path::Path};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use facematch::access::NewKey;
use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use ring::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tonic::metadata::AsciiMetadataValue;

use crate::Result;

/// The name in the client certificate.
const CLIENT: &str = "caller.internal";
/// Later than any run: 2099-01-01.
const EXPIRY: u64 = 4_070_908_800;

/// What a caller needs to connect, and what it shows.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Credentials {
    /// The server's certificate in PEM. `None` means plain text.
    pub server: Option<String>,
    /// An API key or a token.
    pub bearer: Option<String>,
    /// A client certificate and its key, in PEM.
    pub certificate: Option<(String, String)>,
}

impl Credentials {
    /// The value of the `authorization` header.
    pub fn authorization(&self) -> Result<Option<AsciiMetadataValue>> {
        let bearer = self.bearer.as_ref();
        Ok(bearer.map(|bearer| format!("Bearer {bearer}").parse()).transpose()?)
    }
}

/// The settings of a service that asks for credentials of one kind, and those of its caller.
#[derive(Clone, Debug, Default)]
pub struct Guarded {
    pub settings: Vec<String>,
    pub credentials: Credentials,
    /// Variables in the environment of the service.
    pub environment: Vec<(&'static str, String)>,
    /// The key by which its caller names the photo in the library; `None`: the caller sends it.
    pub reference_key: Option<String>,
}

impl Guarded {
    /// TLS and an API key.
    pub fn by_key(directory: &Path) -> Result<Self> {
        let key = NewKey::make()?;
        let terms = format!("keys = [{{ id = \"{}\", sha256 = \"{}\" }}]", key.id(), key.sha256());
        let mut guarded = Self::over_tls(directory, &caller(&terms))?;
        guarded.credentials.bearer = Some(key.text().to_owned());
        Ok(guarded)
    }

    /// TLS and a client certificate.
    pub fn by_certificate(directory: &Path) -> Result<Self> {
        let terms = format!("certificates = [\"dns:{CLIENT}\"]");
        let mut guarded = Self::over_tls(directory, &caller(&terms))?;
        let (certificate, key) = self_signed(CLIENT)?;
        let ca = file(directory, "client-ca.pem", &certificate)?;
        guarded.settings.extend(["--tls-client-ca-file".to_owned(), ca]);
        guarded.credentials.certificate = Some((certificate, key));
        Ok(guarded)
    }

    /// TLS and a signed token, which is verified once and then remembered.
    pub fn by_token(directory: &Path) -> Result<Self> {
        let random = SystemRandom::new();
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let key = EcdsaKeyPair::generate_pkcs8(algorithm, &random).map_err(|_| "no key")?;
        let key = EcdsaKeyPair::from_pkcs8(algorithm, key.as_ref(), &random);
        let key = key.map_err(|_| "no key")?;
        let key_set = file(directory, "jwks.json", &key_set(&key).to_string())?;
        let issuer = format!(
            "[tenant.retail]\n[issuer.\"https://idp.example\"]\naudiences = [\"facematch\"]\n\
             algorithms = [\"ES256\"]\ntenant-claim = \"org\"\npermissions-claim = \"scope\"\n\
             jwks-file = \"{key_set}\"\n"
        );
        let mut guarded = Self::over_tls(directory, &issuer)?;
        guarded.credentials.bearer = Some(token(&key, &random)?);
        Ok(guarded)
    }

    /// The settings of TLS and of this callers file.
    fn over_tls(directory: &Path, callers: &str) -> Result<Self> {
        let (certificate, key) = self_signed("127.0.0.1")?;
        let settings = [
            ("--tls-cert-file", file(directory, "cert.pem", &certificate)?),
            ("--tls-key-file", file(directory, "key.pem", &key)?),
            ("--callers-file", file(directory, "callers.toml", callers)?),
        ];
        let settings = settings.into_iter().flat_map(|(flag, path)| [flag.to_owned(), path]);
        let credentials = Credentials { server: Some(certificate), ..Credentials::default() };
        Ok(Self { settings: settings.collect(), credentials, ..Self::default() })
    }
}

/// A callers file with one caller.
fn caller(terms: &str) -> String {
    format!(
        "[tenant.retail]\n[caller.backend]\ntenant = \"retail\"\nallow = [\"match\", \"read\"]\n\
         {terms}\n"
    )
}

/// Writes a file, and returns its path.
fn file(directory: &Path, name: &str, content: &str) -> Result<String> {
    let path = directory.join(name);
    fs::write(&path, content)?;
    Ok(path.display().to_string())
}

/// A certificate that is its own authority, and its key, in PEM.
fn self_signed(name: &str) -> Result<(String, String)> {
    let mut params = CertificateParams::new([name.to_owned()])?;
    (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2099, 1, 1));
    let key = KeyPair::generate()?;
    Ok((params.self_signed(&key)?.pem(), key.serialize_pem()))
}

/// The key set of an issuer with this key.
fn key_set(key: &EcdsaKeyPair) -> Value {
    // The point is uncompressed: a byte that says so, then x and y.
    let (x, y) = key.public_key().as_ref()[1..].split_at(32);
    json!({ "keys": [{ "kty": "EC", "crv": "P-256", "kid": "1", "x": encoded(x), "y": encoded(y) }] })
}

fn token(key: &EcdsaKeyPair, random: &SystemRandom) -> Result<String> {
    let header = json!({ "alg": "ES256", "kid": "1", "typ": "JWT" });
    let claims = json!({
        "iss": "https://idp.example", "aud": "facematch", "sub": "backend", "exp": EXPIRY,
        "org": "retail", "scope": "match read",
    });
    let [header, claims] = [header, claims].map(|part| encoded(part.to_string().as_bytes()));
    let message = format!("{header}.{claims}");
    let signature = key.sign(random, message.as_bytes()).map_err(|_| "no signature")?;
    Ok(format!("{message}.{}", encoded(signature.as_ref())))
}

/// Base64url without padding, as tokens have it.
fn encoded(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
