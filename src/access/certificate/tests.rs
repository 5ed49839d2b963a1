//! Which names count, by certificates that are made here.

use rcgen::{CertificateParams, CustomExtension, DnType, KeyPair, SanType, string::Ia5String};

use super::*;

fn uri(text: &str) -> SanType {
    SanType::URI(Ia5String::try_from(text).unwrap())
}

fn dns_name(text: &str) -> SanType {
    SanType::DnsName(Ia5String::try_from(text).unwrap())
}

fn der(change: impl FnOnce(&mut CertificateParams)) -> Vec<u8> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "kyc.internal");
    change(&mut params);
    let key = KeyPair::generate().unwrap();
    params.self_signed(&key).unwrap().der().to_vec()
}

fn names(alternatives: Vec<SanType>) -> Vec<String> {
    let der = der(|params| params.subject_alt_names = alternatives);
    CertificateNames::of_der(&der).as_slice().iter().map(ToString::to_string).collect()
}

/// The names in a certificate whose alternative names are these bytes: a tag, and a content.
fn names_of(alternatives: &[(u8, &[u8])]) -> Vec<String> {
    let mut content = Vec::new();
    for (tag, bytes) in alternatives {
        content.extend([*tag, u8::try_from(bytes.len()).unwrap()]);
        content.extend_from_slice(bytes);
    }
    let content = [&[0x30, u8::try_from(content.len()).unwrap()], &content[..]].concat();
    let der = der(|params| {
        let extension = CustomExtension::from_oid_content(&[2, 5, 29, 17], content);
        params.custom_extensions.push(extension);
    });
    CertificateNames::of_der(&der).as_slice().iter().map(ToString::to_string).collect()
}

const URI: u8 = 0x86;
const DNS_NAME: u8 = 0x82;

#[test]
fn the_one_uri_counts_if_it_is_a_spiffe_id_and_dns_names_beside_it_do_not() {
    assert_eq!(names(vec![uri("spiffe://bank.example/kyc")]), ["spiffe://bank.example/kyc"]);
    let both = vec![dns_name("kyc.internal"), uri("spiffe://bank.example/ns/a/sa/B_c-1")];
    assert_eq!(names(both), ["spiffe://bank.example/ns/a/sa/B_c-1"]);
}

#[test]
fn several_uris_make_the_certificate_nameless() {
    for second in ["spiffe://bank.example/other", "spiffe://bank.example/kyc", "https://a.example"]
    {
        let several = vec![uri("spiffe://bank.example/kyc"), dns_name("kyc.internal"), uri(second)];
        assert_eq!(names(several), [""; 0], "{second}");
    }
}

#[test]
fn without_a_spiffe_id_the_dns_names_count_in_lower_case() {
    let several =
        vec![dns_name("KYC.Internal"), dns_name("kyc-2.internal"), uri("https://a.example")];
    assert_eq!(names(several), ["dns:kyc.internal", "dns:kyc-2.internal"]);
}

#[test]
fn the_common_name_and_other_alternatives_never_count() {
    assert_eq!(names(vec![]), [""; 0]);
    let email = SanType::Rfc822Name(Ia5String::try_from("kyc@bank.example").unwrap());
    let address = SanType::IpAddress("10.0.0.1".parse().unwrap());
    assert_eq!(names(vec![email, address]), [""; 0]);
}

#[test]
fn a_spiffe_id_that_breaks_the_rules_makes_the_certificate_nameless() {
    let long = format!("spiffe://bank.example/{}", "x".repeat(2_048));
    for id in [
        "spiffe://",
        "spiffe://bank.example",
        "spiffe://bank.example/",
        "spiffe:///kyc",
        "spiffe://Bank.example/kyc",
        "SPIFFE://bank.example/kyc",
        "spiffe:bank.example/kyc",
        "spiffe://bank.example:443/kyc",
        "spiffe://user@bank.example/kyc",
        "spiffe://bank.example/kyc/",
        "spiffe://bank.example/a//b",
        "spiffe://bank.example/./kyc",
        "spiffe://bank.example/a/../kyc",
        "spiffe://bank.example/kyc?x=1",
        "spiffe://bank.example/kyc#x",
        "spiffe://bank.example/k%79c",
        &long,
    ] {
        assert_eq!(names(vec![uri(id), dns_name("kyc.internal")]), [""; 0], "{id}");
        assert!(id.parse::<CertificateName>().is_err(), "{id}");
    }
}

#[test]
fn odd_dns_names_are_left_out() {
    let long = format!("{}.internal", "x".repeat(64));
    let longer = ["x"; 128].join(".");
    for name in [
        "",
        "*.internal",
        "kyc.internal.",
        ".internal",
        "a..b",
        "-a.b",
        "a-.b",
        "a b",
        &long,
        &longer,
    ] {
        assert_eq!(names(vec![dns_name(name)]), [""; 0], "{name}");
        assert!(format!("dns:{name}").parse::<CertificateName>().is_err(), "{name}");
    }
}

#[test]
fn control_characters_and_bytes_beyond_ascii_never_match() {
    assert_eq!(names_of(&[(DNS_NAME, b"kyc.internal")]), ["dns:kyc.internal"], "as a check");
    assert_eq!(names_of(&[(DNS_NAME, b"kyc.internal\0.evil.example")]), [""; 0]);
    assert_eq!(names_of(&[(URI, b"spiffe://bank.example/kyc\0x")]), [""; 0]);
    assert_eq!(names_of(&[(DNS_NAME, b"k\xffyc.internal"), (DNS_NAME, b"kyc.internal")]), [""; 0]);
    assert_eq!(names_of(&[(URI, b"spiffe://bank.example/k\xc3\xa9")]), [""; 0]);
}

#[test]
fn two_lists_of_alternative_names_are_none() {
    let list = |name: &[u8]| {
        let name = [&[DNS_NAME, u8::try_from(name.len()).unwrap()], name].concat();
        [&[0x30, u8::try_from(name.len()).unwrap()], &name[..]].concat()
    };
    let der = der(|params| {
        for name in [&b"a.internal"[..], b"b.internal"] {
            let extension = CustomExtension::from_oid_content(&[2, 5, 29, 17], list(name));
            params.custom_extensions.push(extension);
        }
    });
    assert_eq!(CertificateNames::of_der(&der), CertificateNames::default());
}

#[test]
fn what_is_no_certificate_has_no_names() {
    let good = der(|params| params.subject_alt_names = vec![dns_name("kyc.internal")]);
    assert_eq!(CertificateNames::of_der(&good).as_slice().len(), 1);
    let with_more = [&good[..], b"x"].concat();
    for bytes in [&b""[..], b"x", &good[..good.len() - 1], &with_more] {
        assert_eq!(CertificateNames::of_der(bytes), CertificateNames::default());
    }
}
