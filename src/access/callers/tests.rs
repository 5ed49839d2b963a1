//! Files that are accepted, and every fault with its place.

use std::{num::NonZeroU32, path::Path, time::Duration};

use secrecy::ExposeSecret;

use super::*;
use crate::{
    access::{Permission, Permissions},
    clock::Clock,
};

const DAY: Duration = Duration::from_secs(86_400);

const DIGEST: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

fn parse(text: &str) -> Result<CallersFile, Fault> {
    CallersFile::parse(Path::new("/etc/callers.toml"), text.as_bytes(), 30 * DAY)
}

/// A file in which the line `at` of a good file is replaced; an empty text removes the line.
fn changed(at: &str, by: &str) -> String {
    let text = good();
    assert_eq!(text.matches(at).count(), 1, "{at:?}");
    text.replace(at, by)
}

fn good() -> String {
    format!(
        r#"[tenant.retail]
retention = "7d"
weight = 2
[tenant.retail.limits]
unfinished = 5000
photo-memory = "128MiB"
rate = 200
streams = 500
[tenant.retail.library]
url = "s3://photos/retail"

[tenant.default]

[caller.kyc-backend]
tenant = "retail"
allow = ["match", "read"]
keys = [
    {{ id = "k7", sha256 = "{DIGEST}", expires = 2027-03-01 }},
    {{ id = "k8", sha256 = "{DIGEST}" }},
]
certificates = ["spiffe://bank.example/kyc", "dns:kyc.Internal"]

[caller."batch.v2"]
tenant = "default"
allow = ["erase"]
certificates = ["dns:batch.internal"]

[issuer."https://idp.example"]
audiences = ["facematch"]
algorithms = ["RS256", "ES256"]
tenant-claim = "org"
permissions-claim = "permissions"
"#
    )
}

#[test]
fn a_file_says_which_tenants_there_are_and_on_what_terms() {
    let file = parse(&good()).unwrap();
    let (retail, default) = (TenantId::from_stored("retail"), TenantId::default_tenant());
    let terms = file.tenants.terms(&retail);
    assert_eq!(terms.retention, Some(7 * DAY));
    assert_eq!(terms.weight, NonZeroU32::new(2).unwrap());
    assert_eq!((terms.unfinished_max, terms.streams_max), (Some(5_000), Some(500)));
    assert_eq!(terms.photo_bytes_max, Some(128 << 20));
    assert_eq!(terms.rate_max, NonZeroU32::new(200));
    assert_eq!(file.tenants.terms(&default), TenantTerms::default());
    assert!(file.tenants.has(&default));
    assert_eq!(file.libraries.len(), 1);
    assert_eq!(file.libraries[&retail].url.expose_secret(), "s3://photos/retail");
}

#[test]
fn a_file_says_who_may_do_what_for_whom() {
    let file = parse(&good()).unwrap();
    let [batch, backend] = &file.callers[..] else { panic!("two callers") };
    assert_eq!((&*backend.name, backend.tenant.as_str()), ("kyc-backend", "retail"));
    let both = [Permission::Match, Permission::Read].into_iter().collect::<Permissions>();
    assert_eq!(backend.permissions, both);
    let [k7, k8] = &backend.keys[..] else { panic!("two keys") };
    assert_eq!((&*k7.id, &*k8.id), ("k7", "k8"));
    assert_eq!(k7.digest.to_string(), DIGEST);
    assert!(k7.expires.is_some() && k8.expires.is_none());
    let names: Vec<_> = backend.certificates.iter().map(|(name, _)| name.to_string()).collect();
    assert_eq!(names, ["spiffe://bank.example/kyc", "dns:kyc.internal"]);
    assert_eq!((&*batch.name, batch.permissions.has(Permission::Read)), ("batch.v2", false));
}

#[test]
fn a_file_says_whose_tokens_are_accepted() {
    let file = parse(&good()).unwrap();
    let [issuer] = &file.issuers[..] else { panic!("one issuer") };
    assert_eq!(&*issuer.url, "https://idp.example");
    assert_eq!((&*issuer.audiences[0], issuer.algorithms.len()), ("facematch", 2));
    assert_eq!((&*issuer.tenant_claim, &*issuer.permissions_claim), ("org", "permissions"));
    assert_eq!(issuer.keys.file(), None);
    let file =
        parse(&changed("permissions-claim = \"permissions\"", "jwks-file = \"/k\"")).unwrap();
    assert_eq!(file.issuers[0].permissions_claim, "scope", "the default");
    assert_eq!(file.issuers[0].keys.file().unwrap(), Path::new("/k"));
}

#[test]
fn every_fault_is_one_line_with_its_place() {
    let long = "x".repeat(65);
    let cases: Vec<(&str, String, &str)> = vec![
        (
            "weight = 2",
            "wieght = 2".into(),
            "line 3: tenant.retail.wieght: is an unknown key; did you mean \"weight\"?",
        ),
        (
            "weight = 2",
            "weight = 0".into(),
            "line 3: tenant.retail.weight: must be a whole number from 1 to 10000",
        ),
        (
            "weight = 2",
            "weight = \"2\"".into(),
            "line 3: tenant.retail.weight: must be a whole number from 1 to 10000",
        ),
        (
            "retention = \"7d\"",
            "retention = \"31d\"".into(),
            "line 2: tenant.retail.retention: must be at most --retention, which is 30days",
        ),
        (
            "retention = \"7d\"",
            "retention = \"7\"".into(),
            "line 2: tenant.retail.retention: must be a duration such as \"12h\" or \"7d\"",
        ),
        (
            "retention = \"7d\"",
            "retention = \"0s\"".into(),
            "line 2: tenant.retail.retention: must be at least 1ms",
        ),
        (
            "unfinished = 5000",
            "unfinished = 0".into(),
            "line 5: tenant.retail.limits.unfinished: must be a whole number from 1 to 10000000",
        ),
        (
            "photo-memory = \"128MiB\"",
            "photo-memory = 0".into(),
            "line 6: tenant.retail.limits.photo-memory: must be a whole number from 1024 to 1099511627776",
        ),
        (
            "photo-memory = \"128MiB\"",
            "photo-memory = \"lots\"".into(),
            "line 6: tenant.retail.limits.photo-memory: must be a size such as \"128MiB\", from 1KiB to 1TiB",
        ),
        (
            "rate = 200",
            "rate = -1".into(),
            "line 7: tenant.retail.limits.rate: must be a whole number from 1 to 1000000",
        ),
        (
            "streams = 500",
            "streams = 0".into(),
            "line 8: tenant.retail.limits.streams: must be a whole number from 1 to 1000000",
        ),
        (
            "streams = 500",
            "stream = 500".into(),
            "line 8: tenant.retail.limits.stream: is an unknown key; did you mean \"streams\"?",
        ),
        (
            "url = \"s3://photos/retail\"",
            "query = \"SELECT 1\"".into(),
            "line 9: tenant.retail.library.url: is missing",
        ),
        (
            "tenant = \"retail\"",
            "tenant = \"retial\"".into(),
            "line 15: caller.kyc-backend.tenant: names a tenant that the file lacks, \"retial\"; did you mean \"retail\"?",
        ),
        ("tenant = \"retail\"", String::new(), "line 14: caller.kyc-backend.tenant: is missing"),
        (
            "allow = [\"match\", \"read\"]",
            "allow = [\"match\", \"reed\"]".into(),
            "line 16: caller.kyc-backend.allow[1]: \"reed\" is none of match, read and erase; did you mean \"read\"?",
        ),
        (
            "allow = [\"match\", \"read\"]",
            "allow = []".into(),
            "line 16: caller.kyc-backend.allow: is empty: it must list at least one of match, read and erase",
        ),
        (
            "allow = [\"match\", \"read\"]",
            "allow = \"match\"".into(),
            "line 16: caller.kyc-backend.allow: must be a list",
        ),
        (
            "id = \"k8\"",
            "id = \"k7\"".into(),
            "line 19: caller.kyc-backend.keys[1].id: is also the id of a key of caller.kyc-backend",
        ),
        (
            "id = \"k8\"",
            "id = \"k_8\"".into(),
            "line 19: caller.kyc-backend.keys[1].id: must be 1 to 32 letters and digits: the middle part of the key",
        ),
        ("{ id = \"k8\", ", "{ ".into(), "line 19: caller.kyc-backend.keys[1].id: is missing"),
        (
            "expires = 2027-03-01",
            "expires = 2027-03-01T08:00:00".into(),
            "line 18: caller.kyc-backend.keys[0].expires: must be a date such as 2027-03-01, or a time with its offset such as 2027-03-01T08:00:00Z, without quotes",
        ),
        (
            "expires = 2027-03-01",
            "expires = \"2027-03-01\"".into(),
            "line 18: caller.kyc-backend.keys[0].expires: must be a date such as 2027-03-01, or a time with its offset such as 2027-03-01T08:00:00Z, without quotes",
        ),
        (
            "spiffe://bank.example/kyc",
            "spiffe://bank.example".into(),
            "line 21: caller.kyc-backend.certificates[0]: must be a SPIFFE ID with a path, such as spiffe://bank.example/kyc",
        ),
        (
            "dns:kyc.Internal",
            "dns:*.internal".into(),
            "line 21: caller.kyc-backend.certificates[1]: must be a DNS name without a wildcard, such as dns:kyc.internal",
        ),
        (
            "dns:kyc.Internal",
            "kyc.internal".into(),
            "line 21: caller.kyc-backend.certificates[1]: must begin with spiffe:// or dns:",
        ),
        (
            "dns:kyc.Internal",
            "dns:BATCH.internal".into(),
            "line 21: caller.kyc-backend.certificates[1]: is also a certificate of caller.\"batch.v2\"",
        ),
        (
            "certificates = [\"dns:batch.internal\"]",
            String::new(),
            "line 23: caller.\"batch.v2\": has neither keys nor certificates, so nothing can call as it",
        ),
        (
            "[caller.\"batch.v2\"]",
            "[caller.\"batch v2\"]".into(),
            "line 23: caller.\"batch v2\": the name must be 1 to 64 letters, digits, '-', '_' or '.'",
        ),
        (
            "[tenant.default]",
            "[tenant.\"\"]".into(),
            "line 12: tenant.\"\": the name must be 1 to 64 letters, digits, '-', '_' or '.'",
        ),
        (
            "[tenant.default]",
            format!("[tenant.{long}]"),
            "the name must be 1 to 64 letters, digits, '-', '_' or '.'",
        ),
        (
            "algorithms = [\"RS256\", \"ES256\"]",
            "algorithms = [\"RS256\", \"HS256\"]".into(),
            "line 30: issuer.\"https://idp.example\".algorithms[1]: HS256 is refused: with a shared secret, this service could issue tokens itself",
        ),
        (
            "algorithms = [\"RS256\", \"ES256\"]",
            "algorithms = [\"none\"]".into(),
            "line 30: issuer.\"https://idp.example\".algorithms[0]: \"none\" is none of RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA",
        ),
        (
            "algorithms = [\"RS256\", \"ES256\"]",
            "algorithms = []".into(),
            "line 30: issuer.\"https://idp.example\".algorithms: is empty, so no token would be accepted",
        ),
        (
            "algorithms = [\"RS256\", \"ES256\"]",
            String::new(),
            "line 28: issuer.\"https://idp.example\".algorithms: is missing",
        ),
        (
            "audiences = [\"facematch\"]",
            String::new(),
            "line 28: issuer.\"https://idp.example\".audiences: is missing",
        ),
        (
            "audiences = [\"facematch\"]",
            "audiences = []".into(),
            "line 29: issuer.\"https://idp.example\".audiences: is empty: tokens for other services would be accepted",
        ),
        (
            "tenant-claim = \"org\"",
            String::new(),
            "line 28: issuer.\"https://idp.example\".tenant-claim: is missing",
        ),
        (
            "tenant-claim = \"org\"",
            "tenant-claim = \"\"".into(),
            "line 31: issuer.\"https://idp.example\".tenant-claim: is empty",
        ),
        (
            "[issuer.\"https://idp.example\"]",
            "[issuer.\"http://idp.example\"]".into(),
            "line 28: issuer.\"http://idp.example\": the issuer must be an https:// URL without login, query or fragment (http:// on loopback only), or its table needs jwks-file",
        ),
        (
            "[tenant.default]",
            "[tenants.default]".into(),
            "line 12: tenants: is an unknown key; did you mean \"tenant\"?",
        ),
        ("[tenant.default]", "[tenant.default".into(), "is not valid TOML: "),
    ];
    for (at, by, wanted) in cases {
        let fault = parse(&changed(at, &by)).expect_err(&by).to_string();
        assert!(fault.starts_with("callers file /etc/callers.toml, line "), "{fault}");
        assert!(
            fault.ends_with(wanted) || wanted.ends_with(": ") && fault.contains(wanted),
            "{fault}\n{wanted}"
        );
        assert!(!fault.contains('\n'), "{fault}");
    }
}

#[test]
fn a_digest_must_be_64_digits_in_lower_case() {
    for wrong in ["", "9f86", &DIGEST.to_uppercase(), &"g".repeat(64), &format!("{DIGEST}0")] {
        let text = good().replacen(DIGEST, wrong, 1);
        assert_eq!(
            parse(&text).expect_err(wrong).to_string(),
            "callers file /etc/callers.toml, line 18: caller.kyc-backend.keys[0].sha256: \
             must be 64 hexadecimal digits in lower case"
        );
    }
}

#[test]
fn two_callers_with_a_key_of_one_id_are_refused() {
    let key = format!("keys = [{{ id = \"k8\", sha256 = \"{DIGEST}\" }}]");
    let fault = parse(&changed("certificates = [\"dns:batch.internal\"]", &key));
    let fault = fault.expect_err("one id").to_string();
    assert!(fault.contains("is also the id of a key of caller."), "{fault}");
}

#[test]
fn a_file_without_a_tenant_too_large_or_not_utf8_is_refused() {
    let wanted = "callers file /etc/callers.toml: has no tenant: it needs a table such as \
                  [tenant.default]";
    for text in ["", "# nothing\n", "[tenant]\n"] {
        assert_eq!(parse(text).expect_err(text).to_string(), wanted);
    }
    let large = format!("{}#{}", good(), "x".repeat(1 << 20));
    assert_eq!(
        parse(&large).expect_err("too large").to_string(),
        "callers file /etc/callers.toml: is larger than 1 MiB"
    );
    let path = Path::new("/etc/callers.toml");
    let latin = CallersFile::parse(path, b"[tenant.default]\n# \xe9\n", DAY);
    assert_eq!(
        latin.expect_err("Latin-1").to_string(),
        "callers file /etc/callers.toml, line 2: is not UTF-8"
    );
}

/// Each place in which a key may be written by mistake.
#[test]
fn a_key_in_the_clear_is_in_no_fault() {
    const KEY: &str = "fm_k7_c0rrecthorsebatterystaple";
    let of_caller = |line: &str| changed("certificates = [\"dns:batch.internal\"]", line);
    let digest = format!("sha256 = \"{DIGEST}\"");
    for text in [
        of_caller(&format!("key = \"{KEY}\"")),
        of_caller(&format!("{KEY} = true")),
        of_caller(&format!("\"{KEY}\" = {{}}")),
        of_caller(&format!("keys = \"{KEY}\"")),
        of_caller(&format!("keys = [\"{KEY}\"]")),
        of_caller(&format!("keys = [{{ id = \"{KEY}\", {digest} }}]")),
        of_caller(&format!("keys = [{{ id = \"a\", sha256 = \"{KEY}\" }}]")),
        of_caller(&format!("keys = [{{ id = \"a\", {digest}, key = \"{KEY}\" }}]")),
        of_caller(&format!("keys = [{{ id = \"a\", {digest}, {KEY} = 1 }}]")),
        of_caller(&format!("keys = [{{ id = \"a\", {digest}, expires = \"{KEY}\" }}]")),
        of_caller(&format!("certificates = [\"{KEY}\"]")),
        of_caller(&format!("keys = [{KEY}]")),
        of_caller(&format!("keys = [\"{KEY}]")),
        changed("tenant = \"default\"", &format!("tenant = \"{KEY}\"")),
        changed("allow = [\"erase\"]", &format!("allow = [\"{KEY}\"]")),
        changed("[caller.\"batch.v2\"]", &format!("[caller.{KEY}{KEY}{KEY}]")),
        changed("[\"RS256\", \"ES256\"]", &format!("[\"{KEY}\"]")),
        format!("{KEY}\n"),
        format!("{KEY} = 1\n"),
    ] {
        let fault = parse(&text).expect_err(&text);
        let all = format!("{fault} {fault:?}");
        assert!(!all.contains("rrecthorse"), "{all}");
    }
}

/// A file with so many keys.
fn with_keys(count: usize) -> String {
    let key = |nth: usize| format!("    {{ id = \"k{nth}\", sha256 = \"{DIGEST}\" }},\n");
    let keys: String = (0..count).map(key).collect();
    format!(
        "[tenant.retail]\n[caller.backend]\ntenant = \"retail\"\nallow = [\"match\"]\nkeys = [\n\
         {keys}]\n"
    )
}

#[test]
fn a_file_of_many_keys_takes_time_in_proportion_to_its_size() {
    let clock = Clock::system();
    let shortest = |text: &str| {
        let parsed = |_| {
            let began = clock.now();
            parse(text).unwrap();
            clock.now().since(began)
        };
        (0..3).map(parsed).min().unwrap()
    };
    let (small, large) = (with_keys(1_000), with_keys(10_000));
    assert!(large.len() > FILE_BYTES_MAX * 9 / 10);
    let (of_small, of_large) = (shortest(&small), shortest(&large));
    assert!(of_large < 40 * of_small, "{of_small:?} and {of_large:?}");
}

#[test]
fn the_example_of_the_documents_is_a_good_file() {
    let page = include_str!("../../../docs/callers.md");
    let example = page.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next());
    let file = parse(example.expect("an example")).unwrap_or_else(|fault| panic!("{fault}"));
    assert_eq!((file.tenants.count(), file.callers.len(), file.issuers.len()), (1, 1, 1));
}
