//! Text in indexes is in the order of its bytes, whatever the database's own collation is.

use super::*;
use crate::{domain::TenantId, journal::Key};

/// Request ids that a language's collation sorts differently from their bytes, or treats as nearly
/// equal.
const REQUESTS: [&str; 7] = ["a", "A", "b", "B", "a-b", "ab", "a b"];

/// Creates a database whose own collation is that of a language.
fn create_in_a_language() -> String {
    let name = format!("{}_in_a_language", shared().create_database());
    let create = "ENCODING 'UTF8' LOCALE_PROVIDER icu ICU_LOCALE 'en' TEMPLATE template0";
    shared().sql("postgres", &format!("CREATE DATABASE {name} {create}"));
    name
}

#[tokio::test]
async fn text_in_every_index_is_in_the_order_of_its_bytes() {
    const KEYS: &str = "FROM pg_index AS i JOIN pg_class AS t ON t.oid = i.indrelid
        CROSS JOIN LATERAL unnest(i.indcollation::oid[]) AS k (key)
        WHERE t.relnamespace = 'public'::regnamespace AND k.key <> 0";
    let database = create_in_a_language();
    let mut served = open(&database, START).await;
    let other = format!(
        "SELECT DISTINCT i.indexrelid::regclass {KEYS}
            AND k.key <> 'pg_catalog.\"C\"'::regcollation"
    );
    assert_eq!(shared().sql(&database, &other), "", "indexes of another collation");
    let of_bytes = shared().sql(&database, &format!("SELECT count(*) {KEYS}"));
    assert!(of_bytes.parse::<usize>().unwrap() >= 10, "{of_bytes} keys of indexes are text");
    served.close().await;
}

#[tokio::test]
async fn request_ids_that_a_language_treats_as_equal_are_different_matches() {
    let mut served = open(&create_in_a_language(), START).await;
    for (number, request) in (0..).zip(REQUESTS) {
        let admitted =
            served.journal().admit(match_id(0, number), Arc::new(named_spec(request))).await;
        assert!(matches!(admitted, Ok(Admitted::New(..))), "{request}: {admitted:?}");
    }
    let tenant: TenantId = plain_spec().tenant;
    for (number, request) in (0..).zip(REQUESTS) {
        let key = Key::Request(named_spec(request).request_id.unwrap());
        let found = served.journal().find(&tenant, &key).await.unwrap();
        assert_eq!(found.map(|m| m.id), Some(match_id(0, number)), "{request}");
    }
    served.close().await;
}
