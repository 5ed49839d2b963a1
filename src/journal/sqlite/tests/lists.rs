//! Lists of a file with very many matches: what they cost, and that no other read waits for them.

use futures_util::future::join_all;

use super::{plans::plan, *};
use crate::{
    domain::State,
    journal::{
        Chore,
        listing::{at_once, testing::statement},
        sqlite::schema::MIGRATIONS,
        suite::crowd::{self, PATIENCE, cases, crowd},
    },
};

/// Twenty times what a page may look at, and done within seconds without optimisation. The
/// environment may set another number: a page costs the same.
const USUAL: u64 = 40_000;

/// The most of SQLite's steps that a list may take: some fifty for each row that it looks at.
/// Reading a whole crowd takes ten times as many.
const WORK_MAX: u64 = 120_000;

/// A file of the first version with a crowd in it, as a program of that version left it.
fn old_file(count: u64) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let files = Files::new(path(&folder));
    files.create().unwrap();
    let connection = files.writer().unwrap();
    connection.execute_batch(MIGRATIONS[0]).unwrap();
    fill(&connection, &crowd(0, count));
    folder
}

pub(super) fn fill(connection: &Connection, crowd: &crate::crowd::Crowd) {
    connection.execute_batch(&format!("BEGIN; {}; COMMIT", crowd.sqlite())).unwrap();
}

/// Before and after the matches of an older version are entered into the indexes of lists.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_list_of_an_old_file_is_exact_and_costs_what_its_page_costs() {
    let crowd = crowd(0, crate::crowd::count(USUAL));
    let folder = old_file(crowd.count);
    let (journal, _hand) = open(&path(&folder), START).await;
    check(&journal, &crowd).await;
    assert_eq!(journal.tidy(Chore::Enlist, usize::MAX).await.unwrap(), crowd.count as usize);
    assert_eq!(journal.tidy(Chore::Enlist, usize::MAX).await.unwrap(), 0);
    let most = check(&journal, &crowd).await;
    println!("lists: {} matches in SQLite, at most {most} of its steps for a page", crowd.count);
    journal.close().await;
}

/// Checks every list, and returns the most steps that a page took.
async fn check(journal: &Sqlite, crowd: &crate::crowd::Crowd) -> u64 {
    let lists = &journal.0.lists;
    let (mut before, mut most) = (lists.work(), 0);
    crowd::check(journal, crowd, |filter, _, _| {
        let work = lists.work() - std::mem::replace(&mut before, lists.work());
        assert!(work <= WORK_MAX, "{filter:?}: {work} steps");
        most = most.max(work);
        async {}
    })
    .await;
    most
}

/// The newer version lists and enters matches that the older one added in between.
#[tokio::test]
async fn a_file_goes_back_and_forth_between_versions() {
    let folder = old_file(10);
    let (journal, _hand) = open(&path(&folder), START).await;
    assert_eq!(journal.tidy(Chore::Enlist, 100).await.unwrap(), 10);
    journal.close().await;
    let older = Files::new(path(&folder)).writer().unwrap();
    fill(&older, &crowd(10, 10));
    drop(older);
    let (journal, _hand) = open(&path(&folder), START).await;
    crowd::check(&journal, &crowd(0, 20), |_, _, _| async {}).await;
    assert_eq!(journal.tidy(Chore::Enlist, 100).await.unwrap(), 10);
    journal.close().await;
}

/// If an index is missing or unused, a list reads the whole store.
#[tokio::test]
async fn every_list_is_found_by_an_index() {
    let store = store().await;
    let connection = Files::new(path(&store.folder)).writer().unwrap();
    assert_lists_are_found(&connection);
    // With the statistics of a young store.
    fill(&connection, &crowd(0, 10));
    connection.execute_batch("ANALYZE").unwrap();
    assert_lists_are_found(&connection);
}

fn assert_lists_are_found(connection: &Connection) {
    for case in cases(&crowd(0, 100)) {
        let steps = plan(connection, &statement(&case.filter));
        for step in &steps {
            let is_found = step.starts_with("SEARCH") && step.contains("INDEX")
                || step.starts_with("SEARCH") && step.contains("PRIMARY KEY")
                || step.starts_with("SCAN") && step.contains("match_states_unlisted")
                // The rows that a walk of an index returned.
                || step == "SCAN i"
                || [
                    "SCAN l",
                    "SCAN s",
                    "SCAN (",
                    "USE TEMP",
                    "CO-ROUTINE",
                    "MATERIALIZE",
                    "CORRELATED",
                    "COMPOUND",
                    "UNION ALL",
                    "LEFT-MOST",
                    "MERGE",
                    "LEFT",
                    "RIGHT",
                ]
                .iter()
                .any(|other| step.starts_with(other));
            assert!(is_found, "{:?}: {steps:#?}", case.filter);
        }
        let count = |step: &str| steps.iter().filter(|it| *it == step).count();
        assert_eq!(count("SCAN i"), count("CO-ROUTINE i"), "a table is scanned: {steps:#?}");
        let walked = steps.join("; ");
        assert!(walked.contains(expected(&case.filter)), "{:?}: {walked}", case.filter);
    }
}

/// The index that a filter has to start from.
fn expected(filter: &Filter) -> &'static str {
    let (has_ended, runs): (Vec<State>, Vec<State>) =
        filter.states.iter().partition(|state| state.has_ended());
    match filter {
        Filter { folder_id: Some(_), .. } => "matches_by_folder ((caller,folder_id,match_id)<",
        Filter { labels, .. }
            if !labels.is_empty() && (runs.is_empty() || !has_ended.is_empty()) =>
        {
            "SEARCH i USING PRIMARY KEY ((caller,key,value,match_id)<"
        }
        _ if !has_ended.is_empty() => "match_states_by_end ((caller,end_state,match_id)<",
        _ if !runs.is_empty() => "match_states_unfinished_by_caller ((caller,match_id)<",
        _ => "matches_by_caller ((caller,match_id)<",
    }
}

/// This holds however many lists wait for permits.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_keep_no_look_up_waiting_and_no_health() {
    let store = store().await;
    let (journal, tenant) = (&store.journal, anna());
    let (id, filter) = (match_id(0, 1), Filter::default());
    run(&store, id, plain_spec(), [uploaded()]).await;
    let mut endless: Vec<_> = (0..at_once()).map(|_| Box::pin(journal.0.lists.endless())).collect();
    for list in &mut endless {
        assert!(futures_util::poll!(list).is_pending());
    }
    let mut waiting = Box::pin(join_all((0..40).map(|_| journal.list(&tenant, &filter, None, 9))));
    assert!(futures_util::poll!(&mut waiting).is_pending());
    for _ in 0..100 {
        assert!(journal.find(&tenant, &Key::Match(id)).await.unwrap().is_some());
        assert_eq!(journal.events(id).await.unwrap().len(), 2);
        journal.ping().await.unwrap();
    }
    drop(endless);
    for listed in tokio::time::timeout(PATIENCE, waiting).await.unwrap() {
        assert_eq!(listed.unwrap().matches.len(), 1);
    }
}

/// SQLite doesn't run the list to its end: the statement is interrupted, and its connection is
/// usable again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_that_is_given_up_ends_its_work() {
    let store = store().await;
    let lists = &store.journal.0.lists;
    for _ in 0..3 {
        let mut endless: Vec<_> = (0..at_once()).map(|_| Box::pin(lists.endless())).collect();
        for list in &mut endless {
            assert!(futures_util::poll!(list).is_pending());
        }
        let before = lists.work();
        until(|| lists.work() > before).await;
        assert_eq!(lists.free(), 0);
        drop(endless);
        until(|| lists.free() == at_once()).await;
        let listed = store.journal.list(&anna(), &Filter::default(), None, 9).await;
        assert_eq!(listed.unwrap().matches, []);
    }
}

async fn until(mut holds: impl FnMut() -> bool) {
    let holding = async {
        while !holds() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, holding).await.unwrap();
}
