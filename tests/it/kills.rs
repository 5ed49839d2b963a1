//! A storm of real kills: callers run matches while the service dies again and again.
//!
//! Each caller does what the README tells callers to do, and nothing else; Oz has its own random
//! faults meanwhile. `FACEMATCH_KILLS` and `FACEMATCH_SEED` make the storm longer, or another one.

mod asked;
mod caller;
mod storm;

use std::collections::HashSet;

use facematch::pb::{ListMatchesRequest, Match, MatchState, Resolution};
use tokio::task::JoinSet;

use crate::{
    checker::{check_liveness_first, check_one_analysis, check_one_of_each, check_verdict},
    kills::{
        asked::{Asked, End},
        caller::{Caller, Cancel, Ended},
        storm::Storm,
    },
    process::Process,
    support::setting,
};

/// Callers at once, each with one match after the other.
const CALLERS: u64 = 8;

/// Kills, unless the environment says otherwise.
const KILLS: u64 = 50;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_of_kills_loses_no_match_and_doubles_nothing() {
    let (kills, seed) =
        (setting("FACEMATCH_KILLS", KILLS), setting("FACEMATCH_SEED", rand::random()));
    println!("FACEMATCH_KILLS={kills} FACEMATCH_SEED={seed}");
    let (storm, process) = Storm::gather(seed).await;
    let mut callers = JoinSet::new();
    for number in 0..CALLERS {
        callers.spawn(Caller::new(number, seed, &storm).run_until_quiet());
    }
    let process = tokio::select! {
        process = storm.rage(kills, process) => process,
        Some(early) = callers.join_next() => panic!("a caller has left: {early:?}"),
    };
    let ended: Vec<Ended> = callers.join_all().await.into_iter().flatten().collect();
    let listed = list(&process).await;
    let (lost, doubled) = (lost(&ended, &listed), doubled(&storm, &ended, &listed));
    let (matches, updates) = (ended.len(), storm.updates_seen());
    let cancelled = ended.iter().filter(|ended| ended.cancel == Cancel::Done).count();
    println!(
        "kills: {kills}, matches: {matches}, cancelled: {cancelled}, lost: {lost}, \
         doubled: {doubled}, updates checked: {updates}"
    );
    assert_eq!((lost, doubled), (0, 0), "the seed was {seed}");
    ended.iter().for_each(|ended| check(&storm, ended));
}

/// All matches of the journal.
async fn list(process: &Process) -> Vec<Match> {
    let (mut client, mut all) = (process.client().await, Vec::new());
    let mut request = ListMatchesRequest { page_size: 1_000, ..Default::default() };
    loop {
        let page = client.list_matches(request.clone()).await.unwrap().into_inner();
        all.extend(page.matches);
        if page.next_page_token.is_empty() {
            return all;
        }
        request.page_token = page.next_page_token;
    }
}

/// Matches that have not ended as they were asked to, and those that the journal no longer tells as
/// their callers saw them.
fn lost(ended: &[Ended], listed: &[Match]) -> usize {
    use MatchState::{Accepted, Processing, Uploaded};
    let is_under_way = |m: &&Match| [Accepted, Uploaded, Processing].contains(&m.state());
    let unended = listed.iter().filter(is_under_way).count();
    let otherwise = ended.iter().filter(|ended| ended.last.state() != wanted(ended)).count();
    let forgotten = ended.iter().filter(|ended| !listed.contains(&ended.last)).count();
    unended + otherwise + forgotten
}

/// The state that a match must have ended in.
fn wanted(Ended { asked, cancel, .. }: &Ended) -> MatchState {
    match (cancel, asked.end) {
        (Cancel::Done, _) => MatchState::Cancelled,
        (Cancel::Unsent | Cancel::Unanswered | Cancel::TooLate, End::Verdict(_)) => {
            MatchState::Finished
        }
        (Cancel::Unsent | Cancel::Unanswered | Cancel::TooLate, End::LivenessNotPassed) => {
            MatchState::Failed
        }
    }
}

/// Photos and analyses that Oz holds beyond what was asked for, and second matches of a request.
fn doubled(storm: &Storm, ended: &[Ended], listed: &[Match]) -> usize {
    let at_oz = ended.iter().map(|Ended { asked, .. }| {
        let folder = storm.oz.folder(&asked.request.folder_id).expect("the folder is there");
        folder.media.len().saturating_sub(asked.media)
            + folder.analyses.len().saturating_sub(asked.analyses)
    });
    let requests: HashSet<&str> = listed.iter().map(|m| m.request_id.as_str()).collect();
    at_oz.sum::<usize>() + listed.len() - requests.len()
}

/// One match is whole, at Oz too.
fn check(storm: &Storm, ended: &Ended) {
    let Ended { asked, last, cancel } = ended;
    let request = &asked.request;
    assert_eq!((&last.request_id, &last.folder_id), (&request.request_id, &request.folder_id));
    if asked.requires_liveness() {
        check_liveness_first(&storm.oz, last);
    }
    let folder = storm.oz.folder(&last.folder_id).expect("the folder is there");
    let held = (folder.media.len(), folder.analyses.len());
    match (cancel, asked.end) {
        // How far it came is anybody's guess.
        (Cancel::Done, _) => assert!(held.0 <= asked.media && held.1 <= asked.analyses),
        (_, End::LivenessNotPassed) => {
            assert_eq!(held, (asked.media, asked.analyses));
            assert_eq!(last.error.as_ref().expect("an error").reason, "LIVENESS_NOT_PASSED");
        }
        (_, End::Verdict(resolution)) => {
            assert_eq!(held, (asked.media, asked.analyses));
            check_result(storm, asked, last, resolution);
        }
    }
}

fn check_result(storm: &Storm, asked: &Asked, last: &Match, resolution: Resolution) {
    if asked.is_upload() {
        check_one_of_each(&storm.oz, last);
    } else {
        check_one_analysis(&storm.oz, last);
    }
    check_verdict(&storm.oz, last);
    let result = last.result.as_ref().expect("a verdict");
    assert_eq!(result.resolution(), resolution);
    assert_eq!(result.liveness.is_some(), asked.has_liveness());
}
