//! The WAL of a file from which matches are erased while a reader keeps a snapshot open.

use futures_util::{FutureExt, poll};

use super::*;
use crate::journal::sqlite::{
    emptying::{PAUSE_MAX, PAUSE_MIN},
    files,
};

#[tokio::test]
async fn erased_bytes_go_soon_after_a_reader_ends_beside_other_writes() {
    let store = store().await;
    end(&store, match_id(0, 1), named_spec("requestcanary0001")).await;
    let reader = reader(&store);
    assert_eq!(store.journal.erase(&anna(), match_id(0, 1)).await.unwrap(), Erased::Done);
    reader.execute_batch("COMMIT").unwrap();
    let gone = async {
        while !canaries(store.folder.path(), "requestcanary").is_empty() {
            commit(&store, 1).await;
        }
    };
    tokio::time::timeout(PATIENCE, gone).await.unwrap();
}

#[tokio::test]
async fn erased_bytes_go_soon_after_a_reader_ends_without_any_write() {
    let store = store().await;
    end(&store, match_id(0, 1), named_spec("requestcanary0001")).await;
    let reader = reader(&store);
    assert_eq!(store.journal.erase(&anna(), match_id(0, 1)).await.unwrap(), Erased::Done);
    reader.execute_batch("COMMIT").unwrap();
    gone(store.folder.path()).await;
}

#[tokio::test]
async fn a_journal_closes_although_a_reader_still_sees_an_erased_match() {
    let store = store().await;
    end(&store, match_id(0, 1), plain_spec()).await;
    let _reader = reader(&store);
    assert_eq!(store.journal.erase(&anna(), match_id(0, 1)).await.unwrap(), Erased::Done);
    tokio::time::timeout(PATIENCE, store.journal.close()).await.unwrap();
}

#[tokio::test]
async fn the_wal_is_emptied_once_its_reader_ends() {
    let store = store().await;
    let reader = reader(&store);
    admit(&store, match_id(0, 1), plain_spec()).await;
    // The journal's own writer would try as well.
    store.journal.clone().close().await;
    let writer = Files::new(path(&store.folder)).writer().unwrap();
    assert!(!files::empty_wal(&writer, Duration::ZERO).unwrap());
    reader.execute_batch("COMMIT").unwrap();
    assert!(files::empty_wal(&writer, Duration::ZERO).unwrap());
    assert_eq!(fs::metadata(store.folder.path().join("facematch.db-wal")).unwrap().len(), 0);
}

/// A store whose pauses between tries end only when the test advances the clock.
async fn store_by_hand() -> (Store, Hand) {
    let folder = tempfile::tempdir().unwrap();
    let (config, hand) = config(&path(&folder), START);
    let (ticks, ticking) = Clock::manual(START);
    let journal = Sqlite::open(Config { ticks, ..config }).await.unwrap();
    (Store { folder, journal, hand }, ticking)
}

/// Makes `count` commits, one after another.
async fn commit(store: &Store, count: u64) {
    let before = store.journal.commits();
    for n in 0..count {
        let admitted = admit(store, match_id(before, n), plain_spec());
        tokio::time::timeout(PATIENCE, admitted).await.unwrap();
    }
    assert_eq!(store.journal.commits() - before, count);
}

/// The pauses that an erasing caller may wait for.
fn pauses() -> impl Iterator<Item = Duration> {
    std::iter::successors(Some(PAUSE_MIN), |pause| Some(*pause * 2))
        .take_while(|p| *p * 2 < PAUSE_MAX)
}

#[tokio::test]
async fn no_commit_waits_for_a_reader_and_an_erasure_waits_for_some_tries() {
    let (store, ticking) = store_by_hand().await;
    let tenant = anna();
    for n in [1, 2] {
        end(&store, match_id(0, n), plain_spec()).await;
    }
    let tries = || store.journal.0.writer.emptying_tries();
    let _reader = reader(&store);
    let at_first = tries();
    let before = store.journal.commits();
    let mut erasing = Box::pin(store.journal.erase(&tenant, match_id(0, 1)));
    assert!(poll!(&mut erasing).is_pending());
    while store.journal.commits() == before {
        tokio::task::yield_now().await;
    }
    commit(&store, 100).await;
    assert_eq!(tries() - at_first, 1, "one try for a hundred commits");
    for pause in pauses() {
        assert!(poll!(&mut erasing).is_pending());
        ticking.advance(pause);
        commit(&store, 100).await;
    }
    let erased = tokio::time::timeout(PATIENCE, erasing).await.unwrap();
    assert_eq!(erased.unwrap(), Erased::Done, "it is committed, and the reader is a long one");
    let before = tries();
    assert_eq!(before - at_first, 1 + pauses().count() as u64);

    let erased = tokio::time::timeout(PATIENCE, store.journal.erase(&tenant, match_id(0, 2))).await;
    assert_eq!(erased.unwrap().unwrap(), Erased::Done, "no erasure waits any longer");
    for seconds in 1..=10 {
        ticking.advance(PAUSE_MAX);
        commit(&store, 20).await;
        assert_eq!(tries() - before, seconds, "once a second");
    }
}

#[tokio::test]
async fn a_write_beside_an_erasure_is_answered_before_the_wal_is_emptied() {
    let (store, ticking) = store_by_hand().await;
    end(&store, match_id(0, 1), named_spec("requestcanary0001")).await;
    let reader = reader(&store);
    let (tenant, spec) = (anna(), Arc::new(plain_spec()));
    let mut erasing = store.journal.erase(&tenant, match_id(0, 1));
    let mut beside = store.journal.admit(match_id(0, 2), spec);
    assert!(poll!(&mut erasing).is_pending() && poll!(&mut beside).is_pending());
    let beside = tokio::time::timeout(PATIENCE, beside).await.unwrap();
    assert!(matches!(beside, Ok(Admitted::New(..))));
    assert!(erasing.as_mut().now_or_never().is_none(), "the erased bytes are still in the WAL");

    reader.execute_batch("COMMIT").unwrap();
    let ticks = async {
        loop {
            ticking.advance(PAUSE_MIN);
            tokio::task::yield_now().await;
        }
    };
    let erased = async {
        tokio::select! {
            erased = erasing => erased,
            () = ticks => unreachable!("the ticks have no end"),
        }
    };
    let erased = tokio::time::timeout(PATIENCE, erased).await.unwrap();
    assert_eq!(erased.unwrap(), Erased::Done);
    assert_eq!(canaries(store.folder.path(), "requestcanary"), BTreeSet::new());
}

/// A process that dies while a reader blocks the checkpoint leaves such a WAL.
#[tokio::test]
async fn erased_bytes_that_a_former_process_left_in_the_wal_go_without_a_write() {
    let store = store().await;
    end(&store, match_id(0, 1), named_spec("requestcanary0001")).await;
    let _reader = reader(&store);
    assert_eq!(store.journal.erase(&anna(), match_id(0, 1)).await.unwrap(), Erased::Done);
    let crashed = suite::Engine::backup(&store).await;
    assert_eq!(canaries(crashed.path(), "requestcanary"), BTreeSet::from([1]));
    let reader = reader_of(&path(&crashed));
    let _journal = open(&path(&crashed), START).await;
    assert_eq!(canaries(crashed.path(), "requestcanary"), BTreeSet::from([1]));
    reader.execute_batch("COMMIT").unwrap();
    gone(crashed.path()).await;
}

async fn gone(folder: &Path) {
    let gone = async {
        while !canaries(folder, "requestcanary").is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, gone).await.unwrap();
}

/// A try after each part would sync the disk ten times as often.
#[tokio::test]
async fn a_page_of_retention_empties_the_wal_once() {
    let (store, _ticking) = store_by_hand().await;
    end_a_thousand(&store.journal).await;
    store.hand.advance(KEEP);
    // More than an hour has passed: the time is noted first, by a commit of its own.
    store.journal.tidy(Chore::EraseExpired, 0).await.unwrap();
    let counts = || (store.journal.commits(), store.journal.0.writer.emptying_tries());
    let before = counts();
    assert_eq!(store.journal.tidy(Chore::EraseExpired, 500).await.unwrap(), 500);
    let (commits, tries) = counts();
    assert_eq!((commits - before.0, tries - before.1), (10, 1));
    assert_eq!(canaries(store.folder.path(), "requestcanary").len(), 500);
}
