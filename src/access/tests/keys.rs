//! API keys, and headers that are none.

use http::header::COOKIE;
use proptest::prelude::*;

use super::*;

const KEY: &str = "fm_k7_c0ffee";
const SECOND: &str = "fm_k8_c0ffee";

fn callers() -> String {
    format!(
        r#"
        [tenant.retail]
        [caller.backend]
        tenant = "retail"
        allow = ["match", "read"]
        keys = [
            {{ id = "k7", sha256 = "{}", expires = 2026-11-30 }},
            {{ id = "k8", sha256 = "{}" }},
        ]
        "#,
        digest(KEY),
        digest(SECOND)
    )
}

#[test]
fn a_key_grants_what_the_file_says() {
    let scene = Scene::open(&callers(), &[]);
    let grant = scene.with(KEY).unwrap();
    assert_eq!(shown(&grant), ("retail".into(), "backend".into()));
    assert_eq!(grant.credential(), "k7");
    assert!(grant.allows(Permission::Match) && grant.allows(Permission::Read));
    assert!(!grant.allows(Permission::Erase) && grant.can_end());
    assert!(scene.with(SECOND).is_ok());
}

#[test]
fn a_key_is_valid_through_the_day_of_its_expiry_and_expired_afterwards() {
    let scene = Scene::open(&callers(), &[]);
    scene.hand.advance(seconds(36 * 3_600 - 1));
    assert_eq!(scene.outcome(KEY), granted("retail", "backend"));
    scene.hand.advance(seconds(1));
    assert_eq!(scene.outcome(KEY), Err(Denied::Expired));
    assert_eq!(scene.outcome("fm_k7_c0ffed"), Err(Denied::Invalid), "expired, but not this key");
    assert_eq!(scene.outcome(SECOND), granted("retail", "backend"));
}

#[tokio::test]
async fn a_grant_ends_with_its_key() {
    let scene = Scene::open(&callers(), &[]);
    let (clock, _) = Clock::manual(Timestamp::from_micros((START + 36 * 3_600) * 1_000_000));
    scene.with(KEY).unwrap().ended(clock).await;
}

#[test]
fn a_call_without_a_credential_is_told_apart_from_one_with_a_wrong_one() {
    let scene = Scene::open(&callers(), &[]);
    let mut headers = HeaderMap::new();
    headers.insert(COOKIE, HeaderValue::from_static("authorization=fm_k7_c0ffee"));
    assert_eq!(scene.grant(&headers, None).err(), Some(Denied::Missing));
    for value in ["", "Bearer", "Basic fm_k7_c0ffee", "fm_k7_c0ffee", "Bearer fm_k7_c0ffee x"] {
        headers.insert(AUTHORIZATION, HeaderValue::from_static(value));
        assert_eq!(scene.grant(&headers, None).err(), Some(Denied::Invalid), "{value}");
    }
    let mut twice = bearing(KEY);
    twice.append(AUTHORIZATION, HeaderValue::from_static("Bearer fm_k8_c0ffee"));
    assert_eq!(scene.grant(&twice, None).err(), Some(Denied::Invalid));
}

#[test]
fn unknown_and_malformed_keys_are_invalid() {
    let scene = Scene::open(&callers(), &[]);
    let swapped = "fm_k8_c0ffee0";
    let long = format!("fm_k7_{}", "c".repeat(100_000));
    for key in ["fm_", "fm_k7", "fm_k9_c0ffee", "FM_k7_c0ffee", swapped, &digest(KEY), "k7", &long]
    {
        assert_eq!(scene.outcome(key), Err(Denied::Invalid), "{key}");
    }
}

#[test]
fn without_a_callers_file_each_call_is_granted() {
    let access = Access::anonymous();
    let Decision::Granted(grant) = access.decide(&HeaderMap::new(), None) else {
        panic!("not granted");
    };
    assert_eq!(shown(&grant), ("default".into(), "anonymous".into()));
    assert!(Permission::ALL.into_iter().all(|permission| grant.allows(permission)));
    assert!(!grant.can_end());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]
    #[test]
    fn no_mutation_of_a_key_is_granted(at in 0..KEY.len(), by in 0x21_u8..0x7f, how in 0..3) {
        thread_local! {
            static SCENE: Scene = Scene::open(&callers(), &[]);
        }
        let mut key = KEY.as_bytes().to_vec();
        match how {
            0 => key[at] = by,
            1 => key.insert(at, by),
            _ => key.truncate(at),
        }
        let key = String::from_utf8(key).unwrap();
        prop_assume!(key != KEY && key != SECOND);
        if !key.is_empty() {
            let outcome = SCENE.with(|scene| scene.outcome(&key));
            prop_assert_eq!(outcome, Err(Denied::Invalid));
        }
    }
}
