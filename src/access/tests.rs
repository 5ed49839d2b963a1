//! Who is granted what, by all credentials together.

mod certificates;
mod discovery;
mod keys;
mod reloading;
mod signing;
mod tokens;

use std::{fs, time::Duration};

use http::{HeaderMap, HeaderValue, header::AUTHORIZATION};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::{clock::Hand, domain::Timestamp};
use signing::Signer;

/// The time at which each test begins: 2026-11-29, 12:00 UTC, in seconds.
const START: i64 = 1_795_953_600;

const ISSUER: &str = "https://idp.example";
const OTHER_ISSUER: &str = "https://other.example";

/// An access by files in a temporary directory, and a clock that the test moves.
struct Scene {
    folder: TempDir,
    access: Access,
    hand: Hand,
}

/// What the tests compare: the tenant and the caller, or why the call is refused.
type Outcome = Result<(String, String), Denied>;

impl Scene {
    /// Opens a callers file; `FOLDER` in its text stands for its directory.
    fn open(callers: &str, key_sets: &[(&str, Value)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (name, set) in key_sets {
            fs::write(folder.path().join(name), set.to_string()).unwrap();
        }
        let path = folder.path().join("callers.toml");
        fs::write(&path, resolved(callers, &folder)).unwrap();
        let (clock, hand) = Clock::manual(Timestamp::from_micros(START * 1_000_000));
        let access = Access::open(path, days(30), clock).unwrap();
        Self { folder, access, hand }
    }

    fn write(&self, name: &str, text: &str) {
        let text = resolved(text, &self.folder);
        fs::write(self.folder.path().join(name), text).unwrap();
    }

    /// Replaces the callers file and has it read.
    fn reload(&self, callers: &str) {
        self.write("callers.toml", callers);
        self.access.look_again();
    }

    fn grant(
        &self,
        headers: &HeaderMap,
        names: Option<&CertificateNames>,
    ) -> Result<Grant, Denied> {
        match self.access.decide(headers, names) {
            Decision::Granted(grant) => Ok(grant),
            Decision::Denied(denied) => Err(denied),
            Decision::KeyFetch(_) => panic!("a key is fetched"),
        }
    }

    fn with(&self, bearer: &str) -> Result<Grant, Denied> {
        self.grant(&bearing(bearer), None)
    }

    fn outcome(&self, bearer: &str) -> Outcome {
        self.with(bearer).map(|grant| shown(&grant))
    }
}

fn resolved(text: &str, folder: &TempDir) -> String {
    text.replace("FOLDER", folder.path().to_str().unwrap())
}

fn shown(grant: &Grant) -> (String, String) {
    (grant.tenant().to_string(), grant.caller().to_owned())
}

fn granted(tenant: &str, caller: &str) -> Outcome {
    Ok((tenant.to_owned(), caller.to_owned()))
}

fn bearing(credential: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let value = HeaderValue::from_str(&format!("Bearer {credential}")).unwrap();
    headers.insert(AUTHORIZATION, value);
    headers
}

fn certificate(names: &[&str]) -> CertificateNames {
    names.iter().map(|name| name.parse::<CertificateName>().unwrap()).collect()
}

fn days(count: u64) -> Duration {
    Duration::from_secs(count * 86_400)
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// The digest that the file has of a key.
fn digest(key: &str) -> String {
    key::Digest::of(key).to_string()
}

/// Two tenants and two issuers whose key sets are in files.
const WITH_ISSUERS: &str = r#"
[tenant.retail]
[tenant.wealth]
[issuer."https://idp.example"]
audiences = ["facematch", "facematch-test"]
algorithms = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"]
tenant-claim = "org"
permissions-claim = "scope"
jwks-file = "FOLDER/idp.json"
[issuer."https://other.example"]
audiences = ["facematch"]
algorithms = ["ES256"]
tenant-claim = "tenant"
jwks-file = "FOLDER/other.json"
"#;

/// The claims of a good token of [`ISSUER`], valid for an hour.
fn claims() -> Value {
    json!({
        "iss": ISSUER, "aud": "facematch", "sub": "alice", "org": "retail",
        "scope": "openid match read", "exp": START + 3_600, "nbf": START, "iat": START,
    })
}

/// Claims with another value for one of them; a null removes it.
fn claims_but(name: &str, value: Value) -> Value {
    let mut claims = claims();
    match value {
        Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
        value => claims[name] = value,
    }
    claims
}
