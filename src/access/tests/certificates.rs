//! Certificates, alone and beside bearer credentials.

use super::*;

const KEY: &str = "fm_k7_c0ffee";

fn scene() -> Scene {
    let callers = format!(
        r#"
        [tenant.retail]
        [tenant.wealth]
        [caller.backend]
        tenant = "retail"
        allow = ["match"]
        keys = [{{ id = "k7", sha256 = "{}" }}]
        certificates = ["spiffe://bank.example/kyc", "dns:kyc.internal"]
        [caller.reader]
        tenant = "retail"
        allow = ["read"]
        certificates = ["dns:reader.internal"]
        [caller.wealth]
        tenant = "wealth"
        allow = ["match"]
        certificates = ["dns:wealth.internal"]
        "#,
        digest(KEY)
    );
    Scene::open(&callers, &[])
}

fn alone(names: &[&str]) -> Outcome {
    scene().grant(&HeaderMap::new(), Some(&certificate(names))).map(|grant| shown(&grant))
}

#[test]
fn a_certificate_alone_names_its_caller() {
    let scene = scene();
    let names = certificate(&["dns:KYC.internal"]);
    let grant = scene.grant(&HeaderMap::new(), Some(&names)).unwrap();
    assert_eq!(shown(&grant), ("retail".into(), "backend".into()));
    assert_eq!(grant.credential(), "dns:kyc.internal");
    assert_eq!(alone(&["spiffe://bank.example/kyc"]), granted("retail", "backend"));
    assert_eq!(alone(&["dns:wealth.internal"]), granted("wealth", "wealth"));
}

#[test]
fn a_certificate_that_the_file_does_not_name_is_invalid_alone() {
    assert_eq!(alone(&[]), Err(Denied::Invalid));
    assert_eq!(alone(&["dns:other.internal"]), Err(Denied::Invalid));
    assert_eq!(alone(&["spiffe://bank.example/KYC"]), Err(Denied::Invalid), "case counts");
}

#[test]
fn of_several_dns_names_those_in_the_file_must_name_one_caller() {
    assert_eq!(alone(&["dns:other.internal", "dns:kyc.internal"]), granted("retail", "backend"));
    assert_eq!(alone(&["dns:kyc.internal", "dns:reader.internal"]), Err(Denied::Invalid));
    assert_eq!(alone(&["dns:kyc.internal", "dns:wealth.internal"]), Err(Denied::Invalid));
}

#[test]
fn a_bearer_credential_and_a_certificate_must_name_one_tenant() {
    let scene = scene();
    let both = |bearer: &str, names: &[&str]| {
        let grant = scene.grant(&bearing(bearer), Some(&certificate(names)));
        grant.map(|grant| grant.credential().to_owned())
    };
    for names in [&["dns:kyc.internal"][..], &["dns:reader.internal"], &["dns:other.internal"], &[]]
    {
        assert_eq!(both(KEY, names), Ok("k7".into()), "the grant is the bearer's: {names:?}");
    }
    for names in [&["dns:wealth.internal"][..], &["dns:wealth.internal", "dns:kyc.internal"]] {
        assert_eq!(both(KEY, names), Err(Denied::Invalid), "{names:?}");
    }
    assert_eq!(both("fm_k7_wrong", &["dns:kyc.internal"]), Err(Denied::Invalid), "no way around");
}
