//! Callers that follow the advice of docs/clients.md while the service is disturbed, and checks of
//! their matches once the disturbances end.

pub mod caller;
pub mod requested_match;
pub mod storm;

use std::collections::HashSet;

use facematch::{
    pb::{ListMatchesRequest, Match, MatchState, Resolution},
    simulator::Simulator,
};
use tokio::task::JoinSet;

use crate::{
    callers::{
        caller::{Cancel, Ended},
        requested_match::{End, RequestedMatch},
    },
    canary::Client,
    checker::{
        check_liveness_first, check_one_analysis, check_one_photo_and_one_analysis, check_verdict,
    },
};

/// The outcomes of all matches of some callers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    pub matches: usize,
    pub cancelled: usize,
    /// Matches that have not ended in the expected state, and matches that the journal no longer
    /// shows as their callers saw them.
    pub lost: usize,
    /// Surplus photos and analyses at Oz, and second matches of one request.
    pub doubled: usize,
}

impl Tally {
    /// Compares the matches that callers brought to an end with all matches of the journal.
    pub fn of(oz: &Simulator, ended: &[Ended], listed: &[Match]) -> Self {
        let cancelled = ended.iter().filter(|ended| ended.cancel == Cancel::Done).count();
        let (lost, doubled) = (lost(ended, listed), doubled(oz, ended, listed));
        Self { matches: ended.len(), cancelled, lost, doubled }
    }
}

/// The matches that all callers brought to an end.
pub async fn gather(callers: JoinSet<Vec<Ended>>) -> Vec<Ended> {
    callers.join_all().await.into_iter().flatten().collect()
}

/// All matches of the journal.
pub async fn list(client: &mut Client) -> Vec<Match> {
    let mut all = Vec::new();
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

fn lost(ended: &[Ended], listed: &[Match]) -> usize {
    use MatchState::{Accepted, Processing, Uploaded};
    let is_under_way = |m: &&Match| [Accepted, Uploaded, Processing].contains(&m.state());
    let unended = listed.iter().filter(is_under_way).count();
    let otherwise = ended.iter().filter(|ended| ended.last.state() != wanted(ended)).count();
    let forgotten = ended.iter().filter(|ended| !listed.contains(&ended.last)).count();
    unended + otherwise + forgotten
}

/// The expected final state of a match.
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

fn doubled(oz: &Simulator, ended: &[Ended], listed: &[Match]) -> usize {
    let at_oz = ended.iter().map(|Ended { asked, .. }| {
        let folder = oz.folder(&asked.request.folder_id).expect("the folder exists");
        folder.media.len().saturating_sub(asked.media)
            + folder.analyses.len().saturating_sub(asked.analyses)
    });
    let requests: HashSet<&str> = listed.iter().map(|m| m.request_id.as_str()).collect();
    at_oz.sum::<usize>() + listed.len() - requests.len()
}

/// Checks one match: its request, its outcome, and its media and analyses at Oz.
pub fn check(oz: &Simulator, ended: &Ended) {
    let Ended { asked, last, cancel } = ended;
    let request = &asked.request;
    assert_eq!((&last.request_id, &last.folder_id), (&request.request_id, &request.folder_id));
    if asked.requires_liveness() {
        check_liveness_first(oz, last);
    }
    let folder = oz.folder(&last.folder_id).expect("the folder exists");
    let held = (folder.media.len(), folder.analyses.len());
    match (cancel, asked.end) {
        // A cancelled match may have got to any stage.
        (Cancel::Done, _) => assert!(held.0 <= asked.media && held.1 <= asked.analyses),
        (_, End::LivenessNotPassed) => {
            assert_eq!(held, (asked.media, asked.analyses));
            assert_eq!(last.error.as_ref().expect("an error").reason, "LIVENESS_NOT_PASSED");
        }
        (_, End::Verdict(resolution)) => {
            assert_eq!(held, (asked.media, asked.analyses));
            check_result(oz, asked, last, resolution);
        }
    }
}

fn check_result(oz: &Simulator, asked: &RequestedMatch, last: &Match, resolution: Resolution) {
    if asked.is_upload() {
        check_one_photo_and_one_analysis(oz, last);
    } else {
        check_one_analysis(oz, last);
    }
    check_verdict(oz, last);
    let result = last.result.as_ref().expect("a verdict");
    assert_eq!(result.resolution(), resolution);
    assert_eq!(result.liveness.is_some(), asked.has_liveness());
}
