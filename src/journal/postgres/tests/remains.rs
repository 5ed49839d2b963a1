//! The remains of an erased match in the database's files, as the documents describe them.

use std::fs;

use super::*;
use crate::{domain::Spec, journal::Key};

/// A match's mark, which is in its rows of every table.
fn canary(n: u64) -> String {
    format!("CANARY-{n:08}")
}

/// How many matches are erased.
const ERASED: u64 = 300;

/// How many different canaries a database's files contain.
fn canaries(cluster: &Cluster, database: &str) -> usize {
    cluster.sql(database, "CHECKPOINT");
    let mut found = HashSet::new();
    for entry in fs::read_dir(cluster.files(database)).unwrap() {
        let bytes = fs::read(entry.unwrap().path()).unwrap();
        for at in memchr_all(&bytes, b"CANARY-") {
            let name = bytes.get(at..at + 15).unwrap_or_default();
            if name.len() == 15 && name[7..].iter().all(u8::is_ascii_digit) {
                found.insert(name.to_vec());
            }
        }
    }
    found.len()
}

fn memchr_all<'a>(bytes: &'a [u8], needle: &'a [u8]) -> impl Iterator<Item = usize> + 'a {
    bytes.windows(needle.len()).enumerate().filter(move |(_, at)| *at == needle).map(|(at, _)| at)
}

async fn end_some(journal: &Postgres, ids: std::ops::Range<u64>, name: impl Fn(u64) -> String) {
    for n in ids {
        let spec = Spec { labels: labels(&[("order", &name(n))]), ..named_spec(&name(n)) };
        let admitted = journal.admit(match_id(0, n), Arc::new(spec)).await.unwrap();
        let Admitted::New(_, claim) = admitted else { panic!("not a new match") };
        journal.append(claim, Sequence(1), failed()).await.unwrap();
    }
}

/// An erased match is gone for every read at once. Its bytes stay until their space is overwritten
/// or the tables are rewritten; VACUUM alone removes none of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn erased_rows_stay_in_the_files_until_overwritten_or_the_tables_are_rewritten() {
    let cluster = Cluster::start_with(&[("fsync", "off"), ("autovacuum", "off")]);
    let database = cluster.create_database();
    let at = Config { url: cluster.url(&database).into(), ..config(&database, Clock::system()) };
    let journal = Postgres::open(at).await.unwrap();
    end_some(&journal, 0..ERASED, canary).await;
    let all = ERASED as usize;
    assert_eq!(canaries(&cluster, &database), all);

    for n in 0..ERASED {
        assert_eq!(journal.erase(&anna(), match_id(0, n)).await.unwrap(), Erased::Done);
    }
    let held = "SELECT (SELECT count(*) FROM matches) + (SELECT count(*) FROM match_labels)
                + (SELECT count(*) FROM events) + (SELECT count(*) FROM match_states)";
    assert_eq!(cluster.sql(&database, held), "0");
    assert!(journal.find(&anna(), &Key::Match(match_id(0, 1))).await.unwrap().is_none());
    assert_eq!(canaries(&cluster, &database), all, "a deleted row stays where it is");

    cluster.sql(&database, "VACUUM (TRUNCATE off)");
    let cleaned = canaries(&cluster, &database);
    assert!(cleaned * 10 > all * 9, "{cleaned}: vacuum frees space, and overwrites none of it");

    // Emptied index pages are reused only after the next vacuum.
    end_some(&journal, ERASED..4 * ERASED, |n| format!("OTHERS-{n:08}")).await;
    cluster.sql(&database, "VACUUM (TRUNCATE off)");
    end_some(&journal, 4 * ERASED..8 * ERASED, |n| format!("OTHERS-{n:08}")).await;
    let reused = canaries(&cluster, &database);
    assert!(reused * 4 < all, "{reused}: new rows overwrite the freed space");

    cluster.sql(&database, "VACUUM FULL");
    assert_eq!(canaries(&cluster, &database), 0, "new files hold live rows, and nothing else");
    println!("remains: of {all} erased {cleaned} after a vacuum, {reused} after new matches");
    journal.close().await;
}

/// The tables that retention empties are vacuumed early, unless the operator has configured it.
#[tokio::test]
async fn autovacuum_is_configured_once_and_an_operators_own_setting_is_kept() {
    const SET: &str = "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace
        AND reloptions @> ARRAY['autovacuum_vacuum_scale_factor=0.05']";
    let database = shared().create_database();
    open(&database, START).await.close().await;
    assert_eq!(shared().sql(&database, SET), "7");
    let own = "ALTER TABLE events SET (autovacuum_vacuum_scale_factor = 0.3);
        ALTER TABLE matches RESET (autovacuum_vacuum_scale_factor)";
    shared().sql(&database, own);
    open(&database, START).await.close().await;
    assert_eq!(shared().sql(&database, SET), "5");
}
