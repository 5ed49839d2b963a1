//! The properties of callers files, of `authorization` headers and of certificates that hold for
//! any bytes.

use std::{collections::HashSet, path::Path, sync::LazyLock, time::Duration};

use http::{HeaderMap, HeaderValue, header::AUTHORIZATION};

use super::{
    CertificateName, CertificateNames, Denied, bearer,
    callers::{CallersFile, Fault},
    check_name,
    credentials::Credentials,
    jwt::{self, KeySet},
    key,
};
use crate::domain::Timestamp;

const FILE: &str = "callers.toml";

/// The retention that files may not exceed here.
const RETENTION_MAX: Duration = Duration::from_secs(30 * 86_400);

/// A piece of a key that no fault may show.
const SECRET: &str = "c0rrecthorsebattery";

/// Lines that hold the key where it doesn't belong.
const SECRET_LINES: [&str; 9] = [
    "fm_k7_c0rrecthorsebattery = 1",
    "[caller.fm_k7_c0rrecthorsebattery]",
    "[caller.a]\nkey = \"fm_k7_c0rrecthorsebattery\"",
    "[caller.a]\nkeys = [\"fm_k7_c0rrecthorsebattery\"]",
    "[caller.a]\ntenant = \"fm_k7_c0rrecthorsebattery\"",
    "[caller.a]\nallow = [\"fm_k7_c0rrecthorsebattery\"]",
    "[caller.a]\nkeys = [{ id = \"k7\", sha256 = \"fm_k7_c0rrecthorsebattery\" }]",
    "[caller.a]\ncertificates = [\"fm_k7_c0rrecthorsebattery\"]",
    "[caller.a]\nkeys = [fm_k7_c0rrecthorsebattery]",
];

/// The longest fault, in characters: a path has a few names of up to 80 characters, each possibly
/// escaped.
const FAULT_CHARACTERS_MAX: usize = 4_000;

/// Reads bytes as a callers file. One file in three is read again with a line that holds a key.
pub fn callers(bytes: &[u8]) {
    match CallersFile::parse(Path::new(FILE), bytes, RETENTION_MAX) {
        Ok(file) => check_file(&file),
        Err(fault) => check_fault(&fault, bytes),
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if bytes.len().is_multiple_of(3) && !text.contains("c0rrect") {
        let line = SECRET_LINES[bytes.len() / 3 % SECRET_LINES.len()];
        let text = format!("{text}\n{line}\n");
        let parsed = CallersFile::parse(Path::new(FILE), text.as_bytes(), RETENTION_MAX);
        let fault = parsed.expect_err("a key in the clear is accepted nowhere");
        check_fault(&fault, text.as_bytes());
        assert!(!format!("{fault} {fault:?}").contains(SECRET), "{fault}");
    }
}

fn check_fault(fault: &Fault, bytes: &[u8]) {
    let shown = fault.to_string();
    assert!(shown.starts_with(&format!("callers file {FILE}")), "{shown:?}");
    assert!(!shown.contains(char::is_control), "{shown:?} is not one line");
    assert!(shown.chars().count() <= FAULT_CHARACTERS_MAX, "{} long", shown.chars().count());
    let lines = 1 + bytes.iter().filter(|byte| **byte == b'\n').count();
    assert!(fault.line().is_none_or(|line| (1..=lines).contains(&line)), "{shown:?}");
}

fn check_file(file: &CallersFile) {
    assert!(file.tenants.count() > 0);
    let (mut ids, mut owners) = (HashSet::new(), HashSet::new());
    for caller in &file.callers {
        check_name(&caller.name).expect("names are checked");
        assert!(file.tenants.has(&caller.tenant), "{} is no tenant", caller.tenant);
        let terms = file.tenants.terms(&caller.tenant);
        assert!(terms.retention.is_none_or(|retention| retention <= RETENTION_MAX));
        assert!(terms.unfinished_max != Some(0) && terms.streams_max != Some(0));
        assert!(terms.photo_bytes_max != Some(0));
        assert!(!caller.keys.is_empty() || !caller.certificates.is_empty());
        assert!(caller.keys.iter().all(|key| key::is_id(&key.id) && ids.insert(&key.id)));
        let own: HashSet<_> = caller.certificates.iter().map(|(name, _)| name).collect();
        for name in own {
            check_certificate_name(name);
            assert!(owners.insert(name), "{name} names two callers");
        }
    }
    for issuer in &file.issuers {
        assert!(!issuer.audiences.is_empty() && !issuer.tenant_claim.is_empty());
        assert!(!issuer.algorithms.is_empty());
        let allowed = |algorithm| jwt::ALGORITHMS.iter().any(|(_, known)| known == algorithm);
        assert!(issuer.algorithms.iter().all(allowed), "HMAC is allowed");
    }
}

/// The key of [`CALLERS`].
const KEY: &str = "fm_k7_0ff1cebattery";

/// One key, and one issuer. Its private key was deleted, so no token of it can be made.
static CALLERS: LazyLock<(CallersFile, KeySet)> = LazyLock::new(|| {
    let text = format!(
        "[tenant.a]\n[caller.b]\ntenant = \"a\"\nallow = [\"read\"]\n\
         keys = [{{ id = \"k7\", sha256 = \"{}\" }}]\n[issuer.\"https://idp.example\"]\n\
         audiences = [\"facematch\"]\nalgorithms = [\"ES256\"]\ntenant-claim = \"org\"\n\
         jwks-file = \"/k\"\n",
        key::Digest::of(KEY)
    );
    let file = CallersFile::parse(Path::new(FILE), text.as_bytes(), RETENTION_MAX);
    let file = file.expect("a good file");
    let set = br#"{"keys":[{"kty":"EC","crv":"P-256","kid":"key-1",
        "x":"NkRTCQD4xfZWZptTk5QKjTZncW51s9W4EyLPeBhlPBs",
        "y":"0ydsY4xT6ud8zrAHgomJDYK12jRCxur69TOwtbkZgcg"}]}"#;
    let keys = KeySet::parse(set, &file.issuers[0]).expect("a good key set");
    (file, keys)
});

/// Reads bytes as the value of an `authorization` header: nothing but the one key is granted.
pub fn bearer(bytes: &[u8]) {
    let Ok(value) = HeaderValue::from_bytes(bytes) else { return };
    let mut headers = HeaderMap::new();
    headers.insert(AUTHORIZATION, value);
    let credential = match bearer::bearer(&headers) {
        Ok(credential) => credential.expect("there is a header").to_owned(),
        Err(denied) => return assert_eq!(denied, Denied::Invalid),
    };
    assert!(!credential.is_empty() && credential.bytes().all(|byte| byte.is_ascii_graphic()));
    check_key(&credential);
    check_token(&credential);
    headers.append(AUTHORIZATION, HeaderValue::from_static("Bearer x"));
    assert_eq!(bearer::bearer(&headers), Err(Denied::Invalid), "two headers");
}

fn check_key(credential: &str) {
    thread_local! {
        static CREDENTIALS: Credentials = {
            let text = format!(
                "[tenant.a]\n[caller.b]\ntenant = \"a\"\nallow = [\"read\"]\n\
                 keys = [{{ id = \"k7\", sha256 = \"{}\" }}]\n",
                key::Digest::of(KEY)
            );
            let file = CallersFile::parse(Path::new(FILE), text.as_bytes(), RETENTION_MAX);
            let none = Credentials::default();
            Credentials::new(file.expect("a good file"), Default::default(), &none)
        };
    }
    let now = Timestamp::default();
    let outcome = CREDENTIALS.with(|credentials| credentials.by_key(credential, now));
    match outcome {
        Ok(_) => assert_eq!(credential, KEY),
        Err(denied) => assert!(denied == Denied::Invalid && credential != KEY),
    }
    if let Some(id) = key::id_in(credential) {
        assert!(key::is_id(id) && credential.starts_with(&format!("fm_{id}_")), "{credential}");
    }
}

/// Nothing signs for the issuer, so no token is good. The issuer's name in it is read nevertheless.
fn check_token(credential: &str) {
    let (file, keys) = &*CALLERS;
    let _ = jwt::issuer_of(credential);
    jwt::install_provider();
    if let Ok(kid) = jwt::kid_of(credential) {
        let verified = jwt::verify(credential, kid.as_deref(), keys, &file.issuers[0]);
        assert!(verified.is_err(), "a forged token: {credential}");
    }
}

/// Reads bytes as a certificate in DER: its names are one SPIFFE ID or DNS names, each of which the
/// callers file may hold.
pub fn certificate(bytes: &[u8]) {
    let names = CertificateNames::of_der(bytes);
    assert_eq!(CertificateNames::of_der(bytes), names);
    let is_spiffe = |name: &CertificateName| matches!(name, CertificateName::Spiffe(_));
    let spiffe_ids = names.as_slice().iter().filter(|name| is_spiffe(name)).count();
    assert!(spiffe_ids == 0 || names.as_slice().len() == 1, "{names:?}");
    names.as_slice().iter().for_each(check_certificate_name);
}

fn check_certificate_name(name: &CertificateName) {
    let shown = name.to_string();
    assert_eq!(shown.parse().as_ref(), Ok(name), "{shown:?}");
    assert!(shown.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'*'), "{shown:?}");
}
