//! Properties of tokens under arbitrary input: a store accepts only the tokens that it has written.
//!
//! The keys are the same in each run, so that a token in a corpus stays valid.

use super::{PAGE, RESUME, read, read_page, seal, write_page, written};
use uuid::Uuid;

use crate::{
    domain::{DigestKey, MatchId, Position, TenantId, Timestamp},
    journal::{Filter, Keys, Origin},
};

const KEYS: Keys = Keys { digest: DigestKey([3; 32]), token: [7; 32] };
const OTHER_KEYS: Keys = Keys { digest: DigestKey([3; 32]), token: [8; 32] };

/// Checks bytes as a token, as the body of a sealed token, and as the fields of a token.
pub fn tokens(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        check_read(text);
    }
    check_read(&seal(&KEYS, b"", bytes.to_vec()));
    check_resume(bytes);
    check_page(bytes);
}

/// An accepted token is identical to the token that is written from its fields.
fn check_read(text: &str) {
    let (tenant, filter) = (TenantId::default_tenant(), Filter::default());
    if let Some((origin, position)) = read(&KEYS, &tenant, text) {
        assert_eq!(written(&KEYS, &tenant, origin, position), text);
    }
    match read_page(&KEYS, &tenant, &filter, text) {
        Ok(None) => assert!(text.is_empty(), "{text:?} is accepted for the first page"),
        Ok(Some(last)) => assert_eq!(write_page(&KEYS, &tenant, &filter, last), text),
        Err(_) => {}
    }
    assert!(read(&OTHER_KEYS, &tenant, text).is_none(), "another store accepts {text:?}");
}

fn check_resume(bytes: &[u8]) {
    let [store, incarnation, position] = [0, 8, 16].map(|at| number(bytes, at));
    let origin = Origin { store, incarnation };
    let text = String::from_utf8_lossy(bytes);
    let (tenant, other) = (TenantId::default_tenant(), TenantId::from_stored(&format!("t{text}")));
    for (tenant, other) in [(&tenant, &other), (&other, &tenant)] {
        let token = written(&KEYS, tenant, origin, Position(position));
        assert_eq!(read(&KEYS, tenant, &token), Some((origin, Position(position))));
        assert!(read(&KEYS, other, &token).is_none(), "another tenant's token is accepted");
    }
    let token = written(&KEYS, &tenant, origin, Position(position));
    assert!(read(&OTHER_KEYS, &tenant, &token).is_none(), "another store's token is accepted");
    let harmed = harmed(&token, bytes);
    assert!(read(&KEYS, &tenant, &harmed).is_none(), "{harmed:?} is accepted for {token:?}");
    let page = read_page(&KEYS, &TenantId::default_tenant(), &Filter::default(), &token);
    assert!(page.is_err(), "a resume token is accepted for a page");
}

fn check_page(bytes: &[u8]) {
    let tenant = TenantId::default_tenant();
    let filter = filter(bytes);
    let last = MatchId::from_uuid(Uuid::from_u64_pair(number(bytes, 0), number(bytes, 8)));
    let token = write_page(&KEYS, &tenant, &filter, last);
    let page = |keys, filter, token: &str| read_page(keys, &tenant, filter, token).ok();
    assert_eq!(page(&KEYS, &filter, &token), Some(Some(last)));
    assert_eq!(page(&OTHER_KEYS, &filter, &token), None, "another store's page token is accepted");
    let other = other_than(filter.clone());
    assert_eq!(page(&KEYS, &other, &token), None, "another filter's page token is accepted");
    let harmed = harmed(&token, bytes);
    assert!(page(&KEYS, &filter, &harmed).is_none_or(|last| last.is_none() && harmed.is_empty()));
    assert!(read(&KEYS, &tenant, &token).is_none(), "a page token is accepted for resuming");
    assert_ne!(RESUME, PAGE);
}

/// The token truncated, with a letter appended, or with a letter changed, as the bytes decide.
fn harmed(token: &str, bytes: &[u8]) -> String {
    let at = number(bytes, 3) as usize % token.len();
    let letter = match token.as_bytes()[at] {
        b'A' => 'B',
        _ => 'A',
    };
    match bytes.len() % 3 {
        0 => token[..at].to_owned(),
        1 => format!("{token}{letter}"),
        _ => format!("{}{letter}{}", &token[..at], &token[at + 1..]),
    }
}

/// A filter made from the bytes.
fn filter(bytes: &[u8]) -> Filter {
    let text = String::from_utf8_lossy(bytes);
    let mut words = text.split('\0');
    let mut filter = Filter::default();
    while let (Some(key), Some(value)) = (words.next(), words.next()) {
        filter.labels.insert(key.to_owned(), value.to_owned());
    }
    let micros = number(bytes, 1) >> 1;
    filter.created_after =
        (bytes.len() % 2 == 1).then(|| Timestamp::from_micros(i64::try_from(micros).unwrap_or(0)));
    filter
}

/// The most similar filter that differs: the same text, split differently in the last label.
fn other_than(mut filter: Filter) -> Filter {
    match filter.labels.pop_last() {
        None => filter.labels.insert(String::new(), String::new()),
        Some((key, value)) => match value.chars().next() {
            None => filter.labels.insert(key + "x", value),
            Some(first) => {
                filter.labels.insert(format!("{key}{first}"), value[first.len_utf8()..].to_owned())
            }
        },
    };
    filter
}

/// The number that up to eight bytes from an offset on spell; zero if there are none.
fn number(bytes: &[u8], at: usize) -> u64 {
    let part = bytes.iter().skip(at).take(8);
    part.fold(0, |number, byte| number << 8 | u64::from(*byte))
}
