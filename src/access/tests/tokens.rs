//! Tokens whose key set is in a file: each rule, and hostile ones.

use proptest::prelude::*;

use super::{
    signing::{encoded, hmac_token, key_set},
    *,
};

/// A scene in which one signer is the issuer, and another one the other issuer.
fn scene(signer: &Signer, other: &Signer) -> Scene {
    let sets = [("idp.json", key_set(&[signer])), ("other.json", key_set(&[other]))];
    Scene::open(WITH_ISSUERS, &sets)
}

fn of(signer: &Signer) -> Scene {
    scene(signer, &Signer::new("ES256", "of-other"))
}

#[test]
fn a_token_of_each_algorithm_is_granted() {
    for (alg, _) in jwt::ALGORITHMS {
        let signer = Signer::new(alg, "key-1");
        let scene = of(&signer);
        let token = signer.token(&claims());
        for _ in 0..2 {
            let grant = scene.with(&token).unwrap_or_else(|denied| panic!("{alg}: {denied}"));
            assert_eq!(shown(&grant), ("retail".into(), "alice".into()));
            assert_eq!(grant.credential(), "https://idp.example alice");
            assert!(grant.allows(Permission::Match) && grant.allows(Permission::Read));
            assert!(!grant.allows(Permission::Erase));
        }
    }
}

#[test]
fn each_claim_is_checked() {
    let signer = Signer::new("ES256", "key-1");
    let scene = of(&signer);
    let long = "x".repeat(256);
    for (name, value) in [
        ("iss", Value::Null),
        ("iss", json!(OTHER_ISSUER)),
        ("iss", json!("https://idp.example/")),
        ("iss", json!("https://nowhere.example")),
        ("iss", json!([ISSUER])),
        ("iss", json!([OTHER_ISSUER, ISSUER])),
        ("aud", Value::Null),
        ("aud", json!("other")),
        ("aud", json!([])),
        ("aud", json!(["other", "another"])),
        ("aud", json!({ "facematch": true })),
        ("aud", json!(7)),
        ("sub", Value::Null),
        ("sub", json!("")),
        ("sub", json!(7)),
        ("sub", json!(["alice"])),
        ("sub", json!("al\nice")),
        ("sub", json!(long)),
        ("exp", Value::Null),
        ("exp", json!("2027-01-01")),
        ("exp", json!((START + 3_600).to_string())),
        ("exp", json!([START + 3_600])),
        ("exp", json!(-1)),
        ("nbf", json!("now")),
        ("nbf", json!(START + 31)),
        ("org", Value::Null),
        ("org", json!("unknown")),
        ("org", json!("Retail")),
        ("org", json!(["retail"])),
        ("org", json!("")),
    ] {
        let token = signer.token(&claims_but(name, value.clone()));
        assert_eq!(scene.outcome(&token), Err(Denied::Invalid), "{name}: {value}");
    }
    for (name, value) in [
        ("aud", json!(["other", "facematch"])),
        ("aud", json!("facematch-test")),
        ("nbf", Value::Null),
        ("nbf", json!(START + 30)),
        ("exp", json!(START as f64 + 0.5)),
        ("exp", json!(1_u64 << 62)),
        ("sub", json!("é".repeat(255))),
    ] {
        let token = signer.token(&claims_but(name, value.clone()));
        assert!(scene.outcome(&token).is_ok(), "{name}: {value}");
    }
}

#[test]
fn permissions_are_a_list_or_words() {
    let signer = Signer::new("EdDSA", "key-1");
    let scene = of(&signer);
    for (value, wanted) in [
        (json!("match"), "match"),
        (json!(["read", "erase", 7, "write"]), "read erase"),
        (json!("Match matches read,erase"), ""),
        (json!({ "match": true }), ""),
        (Value::Null, ""),
    ] {
        let grant = scene.with(&signer.token(&claims_but("scope", value.clone()))).unwrap();
        let allowed = Permission::ALL.into_iter().filter(|permission| grant.allows(*permission));
        let allowed: Vec<&str> = allowed.map(Permission::as_str).collect();
        assert_eq!(allowed.join(" "), wanted, "{value}");
    }
}

#[test]
fn a_token_is_valid_until_30_seconds_after_its_end_and_expired_afterwards() {
    let signer = Signer::new("ES384", "key-1");
    let scene = of(&signer);
    let token = signer.token(&claims());
    scene.hand.advance(seconds(3_600 + 29));
    assert_eq!(scene.outcome(&token), granted("retail", "alice"));
    scene.hand.advance(seconds(1));
    assert_eq!(scene.outcome(&token), Err(Denied::Expired), "remembered");
    let other = signer.token(&claims_but("jti", json!("1")));
    assert_eq!(scene.outcome(&other), Err(Denied::Expired), "never seen before");
    let foreign = Signer::new("ES384", "key-1").token(&claims());
    assert_eq!(scene.outcome(&foreign), Err(Denied::Invalid), "expired, but not of this issuer");
}

#[tokio::test]
async fn a_grant_ends_with_its_token() {
    let signer = Signer::new("ES256", "key-1");
    let scene = of(&signer);
    let grant = scene.with(&signer.token(&claims())).unwrap();
    let (clock, hand) = Clock::manual(Timestamp::from_micros((START + 3_600) * 1_000_000));
    let ((), ()) = tokio::join!(grant.ended(clock), async { hand.advance(seconds(30)) });
}

#[test]
fn the_algorithm_is_that_of_the_key_and_never_that_of_the_token() {
    let rsa = Signer::new("RS256", "key-1");
    let mut jwk = rsa.jwk();
    let good = rsa.token(&claims());
    let set = |jwk: &Value| json!({ "keys": [jwk] });
    let other = ("other.json", key_set(&[&Signer::new("ES256", "of-other")]));
    // The key set names the algorithm.
    jwk["alg"] = json!("PS256");
    let scene = Scene::open(WITH_ISSUERS, &[("idp.json", set(&jwk)), other.clone()]);
    assert_eq!(scene.outcome(&good), Err(Denied::Invalid));
    assert!(scene.outcome(&Signer::new("PS256", "key-1").token(&claims())).is_ok());
    // The callers file restricts the algorithms of a key that names none.
    let callers = WITH_ISSUERS.replacen("\"RS256\", ", "", 1);
    jwk.as_object_mut().unwrap().remove("alg");
    let scene = Scene::open(&callers, &[("idp.json", set(&jwk)), other]);
    assert_eq!(scene.outcome(&good), Err(Denied::Invalid));
    assert!(scene.outcome(&Signer::new("RS512", "key-1").token(&claims())).is_ok());
}

#[test]
fn a_token_without_a_signature_or_with_the_public_key_as_a_secret_is_invalid() {
    let signer = Signer::new("RS256", "key-1");
    let scene = of(&signer);
    let good = signer.token(&claims());
    let [_, payload, signature] = good.split('.').collect::<Vec<_>>()[..] else { panic!("parts") };
    for alg in ["none", "None", "NONE", "", "HS256", "RS1", "ES256K"] {
        let header = encoded(json!({ "alg": alg, "kid": "key-1" }).to_string().as_bytes());
        for signature in ["", signature] {
            let token = format!("{header}.{payload}.{signature}");
            assert_eq!(scene.outcome(&token), Err(Denied::Invalid), "{alg}");
        }
    }
    let jwk = signer.jwk();
    let n = jwk["n"].as_str().unwrap();
    for secret in [n.as_bytes(), jwk.to_string().as_bytes(), b"", b"secret"] {
        let token = hmac_token(secret, "key-1", &claims());
        assert_eq!(scene.outcome(&token), Err(Denied::Invalid));
    }
}

#[test]
fn a_key_set_with_a_shared_secret_has_no_usable_key() {
    let secret = json!({ "kty": "oct", "kid": "key-1", "alg": "HS256", "k": encoded(b"secret") });
    let mut set = key_set(&[&Signer::new("ES256", "key-2")]);
    set["keys"].as_array_mut().unwrap().push(secret);
    let other = ("other.json", key_set(&[&Signer::new("ES256", "of-other")]));
    let scene = Scene::open(WITH_ISSUERS, &[("idp.json", set), other]);
    let token = hmac_token(b"secret", "key-1", &claims());
    assert_eq!(scene.outcome(&token), Err(Denied::Invalid));
}

#[test]
fn a_signature_in_der_is_invalid() {
    let signer = Signer::new("ES256", "key-1");
    let scene = of(&signer);
    assert_eq!(scene.outcome(&signer.token_in_der(&claims())), Err(Denied::Invalid));
}

#[test]
fn a_key_of_another_issuer_signs_no_token_of_this_one() {
    let (signer, other) = (Signer::new("ES256", "key-1"), Signer::new("ES256", "key-2"));
    let scene = scene(&signer, &other);
    let (own, foreign) =
        (json!({ "alg": "ES256", "kid": "key-1" }), json!({ "alg": "ES256", "kid": "key-2" }));
    for header in [own, foreign] {
        assert_eq!(scene.outcome(&other.sign(&header, &claims())), Err(Denied::Invalid));
    }
    let mut theirs = claims_but("iss", json!(OTHER_ISSUER));
    assert_eq!(scene.outcome(&other.token(&theirs)), Err(Denied::Invalid), "lacks its claim");
    theirs["tenant"] = json!("wealth");
    let grant = scene.with(&other.token(&theirs)).unwrap();
    assert_eq!(shown(&grant), ("wealth".into(), "alice".into()));
    assert_eq!(scene.outcome(&signer.token(&theirs)), Err(Denied::Invalid));
}

#[test]
fn headers_that_name_keys_of_their_own_or_unknown_extensions_are_invalid() {
    let signer = Signer::new("ES256", "key-1");
    let attacker = Signer::new("ES256", "key-1");
    let scene = of(&signer);
    let own_key = json!({ "alg": "ES256", "kid": "key-1", "jwk": attacker.jwk() });
    assert_eq!(scene.outcome(&attacker.sign(&own_key, &claims())), Err(Denied::Invalid));
    for (name, value) in [
        ("kid", json!("key-2")),
        ("kid", json!("../key-1")),
        ("kid", json!(7)),
        ("crit", json!(["exp"])),
        ("crit", json!([])),
        ("crit", json!(["b64", "b64"])),
        ("b64", json!(false)),
        ("alg", json!("ES384")),
        ("alg", json!(["ES256"])),
    ] {
        let mut header = json!({ "alg": "ES256", "kid": "key-1" });
        header[name] = value;
        assert_eq!(
            scene.outcome(&signer.sign(&header, &claims())),
            Err(Denied::Invalid),
            "{header}"
        );
    }
    // Without a `kid`, the only key is meant.
    let bare = signer.sign(&json!({ "alg": "ES256" }), &claims());
    assert!(scene.outcome(&bare).is_ok());
}

#[test]
fn without_a_kid_none_of_several_keys_is_meant() {
    let (first, second) = (Signer::new("ES256", "key-1"), Signer::new("ES256", "key-2"));
    let other = ("other.json", key_set(&[&Signer::new("ES256", "of-other")]));
    let scene = Scene::open(WITH_ISSUERS, &[("idp.json", key_set(&[&first, &second])), other]);
    assert!(scene.outcome(&second.token(&claims())).is_ok());
    let bare = first.sign(&json!({ "alg": "ES256" }), &claims());
    assert_eq!(scene.outcome(&bare), Err(Denied::Invalid));
}

#[test]
fn what_is_no_token_is_invalid_and_costs_little() {
    let signer = Signer::new("ES256", "key-1");
    let scene = of(&signer);
    let good = signer.token(&claims());
    let [header, payload, signature] = good.split('.').collect::<Vec<_>>()[..] else {
        panic!("three parts");
    };
    let text = claims().to_string();
    let nested = format!("{}{}", "[".repeat(2_000), "]".repeat(2_000));
    let deep = text.replacen('{', &format!(r#"{{"x":{nested},"#), 1);
    let twice = text.replacen('{', r#"{"sub":"bob","#, 1);
    let plain = r#"{"alg":"ES256","kid":"key-1"}"#;
    let padded = claims_but("padding", json!("x".repeat(8 << 10)));
    for token in [
        ".",
        "..",
        "...",
        "a.b.c",
        "eyJ",
        header,
        &format!("{header}.{payload}"),
        &format!("{header}.{payload}."),
        &format!("{good}.{signature}"),
        &format!("{good}="),
        &format!("{header}.{payload}=.{signature}"),
        &format!("{header}..{signature}"),
        &signer.sign_text(plain, ""),
        &signer.sign_text(plain, "[]"),
        &signer.sign_text(plain, "null"),
        &signer.sign_text("[]", &text),
        &signer.sign_text(&nested, &text),
        &signer.sign_text(plain, &deep),
        &signer.sign_text(plain, &twice),
        &signer.token(&padded),
        &"x".repeat(1 << 20),
        &".".repeat(1 << 20),
        &format!("{good}{}", "A".repeat(1 << 20)),
    ] {
        let outcome = scene.outcome(token);
        assert_eq!(outcome, Err(Denied::Invalid), "{}", &token[..token.len().min(80)]);
    }
    assert!(scene.outcome(&signer.sign_text(plain, &text)).is_ok(), "as a check");
}

#[test]
fn unusable_keys_are_left_out_and_a_set_without_others_is_refused() {
    let signer = Signer::new("ES256", "key-1");
    let changed = |name: &str, value: Value| {
        let mut jwk = signer.jwk();
        jwk[name] = value;
        json!({ "keys": [jwk] }).to_string()
    };
    let terms = || {
        let callers = WITH_ISSUERS.replace("FOLDER", "/k");
        let path = std::path::Path::new("c");
        callers::CallersFile::parse(path, callers.as_bytes(), days(30)).unwrap().issuers.remove(0)
    };
    let short_rsa = json!({ "keys": [{ "kty": "RSA", "n": encoded(&[0xff; 128]), "e": "AQAB" }] });
    let many: Vec<Value> = (0..101).map(|_| signer.jwk()).collect();
    for set in [
        String::new(),
        "[]".into(),
        "{}".into(),
        r#"{"keys":[]}"#.into(),
        r#"{"keys":{}}"#.into(),
        r#"{"keys":[7,"x",null,[]]}"#.into(),
        json!({ "keys": many }).to_string(),
        short_rsa.to_string(),
        changed("use", json!("enc")),
        changed("key_ops", json!(["sign"])),
        changed("alg", json!("ES384")),
        changed("alg", json!("ECDH-ES")),
        changed("crv", json!("P-384")),
        changed("crv", json!("secp256k1")),
        changed("x", json!("AA")),
        changed("y", json!("not base64!")),
        changed("kty", json!("AKP")),
    ] {
        assert!(jwt::KeySet::parse(set.as_bytes(), &terms()).is_err(), "{set}");
    }
    for set in [
        changed("use", json!("sig")),
        changed("key_ops", json!(["verify"])),
        changed("alg", json!("ES256")),
        changed("x5c", json!([7])),
    ] {
        assert!(jwt::KeySet::parse(set.as_bytes(), &terms()).is_ok(), "{set}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]
    #[test]
    fn no_mutation_of_a_token_is_granted(at in 0.0_f64..1.0, by in 0x21_u8..0x7f, how in 0..3) {
        thread_local! {
            static SCENE: (Scene, String) = {
                let signer = Signer::new("ES256", "key-1");
                let token = signer.token(&claims());
                (of(&signer), token)
            };
        }
        SCENE.with(|(scene, good)| {
            let mut token = good.as_bytes().to_vec();
            let at = (at * token.len() as f64) as usize;
            match how {
                0 => token[at] = by,
                1 => token.insert(at, by),
                _ => token.truncate(at),
            }
            let token = String::from_utf8(token).unwrap();
            prop_assume!(token != *good && !token.is_empty());
            prop_assert_eq!(scene.outcome(&token), Err(Denied::Invalid));
            Ok(())
        })?;
        SCENE.with(|(scene, good)| {
            prop_assert_eq!(scene.outcome(good), granted("retail", "alice"));
            Ok(())
        })?;
    }
}
