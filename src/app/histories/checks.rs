//! The invariants, checked when a history is over: against the journal, against what callers saw,
//! and against what Oz holds and was asked.

use std::collections::BTreeSet;

use crate::{
    app::histories::{
        History, POLICY,
        caller::{All, Seen},
    },
    domain::{CallerId, LivenessPolicy, Match, Position, Reason, Resolution, State, state::fold},
    journal::{Filter, Reader},
};

/// More than any history has.
const MANY: usize = 100_000;

/// Checks everything.
pub async fn check(history: &History, reader: &dyn Reader, all: &All) {
    let caller = CallerId::default_caller();
    let listed = reader.list(&caller, &Filter::default(), None, MANY).await;
    let matches = listed.expect("the journal can be read");
    let holds = |holds: bool, what: &str| {
        if !holds {
            history.tell(what);
        }
    };
    let ids: BTreeSet<_> = matches.iter().map(|m| m.spec.request_id.clone()).collect();
    holds(ids.len() == matches.len(), "one request id names two matches");
    for m in &matches {
        let events = reader.events(m.id).await.expect("the journal can be read");
        holds(fold(&events) == Ok(Some(m.clone())), "a match is not the fold of its journal");
        holds(m.state.has_ended(), "a match has not ended");
        let same = |other: &&Match| other.photo_media_id == m.photo_media_id;
        check_oz(history, m, matches.iter().filter(same).count());
        check_end(history, m);
    }
    let owned: Vec<_> = matches.iter().filter_map(|m| m.analysis_id.clone()).collect();
    let distinct: BTreeSet<_> = owned.iter().collect();
    holds(distinct.len() == owned.len(), "two matches have the same analysis");
    for seen in history.callers.iter().flat_map(|caller| caller.seen()) {
        check_seen(history, &matches, &seen);
    }
    let tail = reader.tail(Position(0), MANY).await.expect("the journal can be read");
    let facts: Vec<_> = tail.iter().map(|it| (it.match_id, it.sequence)).collect();
    holds(all.updates() == facts, "a stream of all matches missed or repeated an update");
    check_rate(history, &matches);
}

/// Oz holds one photo of a match and one analysis of each type, of just these media, and the
/// verdict is its own. Matches that share a photo of the folder have one analysis each.
fn check_oz(history: &History, m: &Match, sharing: usize) {
    let photos = history.oz.photos_of(m.id);
    let sent = usize::from(m.spec.needs_photo() && m.photo_media_id.is_some());
    if photos.len() > 1 || photos.len() < sent {
        history.tell(&format!("{} photos of one match: {:?}", photos.len(), m.state));
    }
    let Some(photo) = &m.photo_media_id else { return };
    if m.spec.needs_photo() && photos != [photo.clone()] {
        history.tell("the photo is not the one that Oz holds");
    }
    let biometry = history.oz.analyses_of("BIOMETRY", photo);
    if biometry.len() > sharing {
        history.tell(&format!("{} analyses of {sharing} matches", biometry.len()));
    }
    if m.analysis_id.is_none() {
        return;
    }
    let Some(analysis) = biometry.iter().find(|it| it.id == m.analysis_id) else {
        history.tell("the analysis is another's");
    };
    if analysis.source_media != m.source_media() {
        history.tell("the analysis compares other media");
    }
    if let Some(result) = &m.result {
        let word = match result.resolution {
            Resolution::Success => "SUCCESS",
            Resolution::Declined => "DECLINED",
            Resolution::OperatorRequired => "OPERATOR_REQUIRED",
        };
        let same = analysis.resolution.as_deref() == Some(word)
            && analysis.min_confidence == Some(result.min_confidence)
            && analysis.max_confidence == result.max_confidence;
        if !same {
            history.tell("the verdict is not Oz's");
        }
    }
    check_quality(history, m);
}

/// Under RUN one QUALITY analysis was started beside the one that the folder had.
fn check_quality(history: &History, m: &Match) {
    let of_folder = |caller: &&std::sync::Arc<super::Caller>| {
        caller.plan.folder_id == m.spec.folder_id && caller.plan.policy == LivenessPolicy::Run
    };
    let most = 1 + history.callers.iter().filter(of_folder).count();
    for media in &m.liveness_media {
        if history.oz.analyses_of("QUALITY", media).len() > most {
            history.tell("a QUALITY analysis too many");
        }
    }
}

/// A match without a verdict has one of the reasons that a history can give it.
fn check_end(history: &History, m: &Match) {
    let caller =
        history.callers.iter().find(|it| Some(&it.plan.request_id) == m.spec.request_id.as_ref());
    let Some(caller) = caller else { history.tell("a match that nobody asked for") };
    let fine = match (m.state, m.error.as_ref().map(|error| error.reason)) {
        (State::Finished, None) => true,
        (State::Cancelled, None) => caller.plan.cancels.is_some(),
        (State::Failed, Some(Reason::PhotoLost)) => history.died > 0,
        (State::Failed, Some(Reason::MatchTimedOut)) => {
            m.end_time.is_some_and(|end| end >= m.deadline())
        }
        (State::Failed, Some(Reason::OzProtocol)) => history.is_harsh(),
        (
            State::Accepted
            | State::Uploaded
            | State::Processing
            | State::Finished
            | State::Failed
            | State::Cancelled,
            _,
        ) => false,
    };
    if !fine {
        history.tell(&format!("a match ended as {:?}: {:?}", m.state, m.error));
    }
}

/// Whoever watched saw everything up to the end.
fn check_seen(history: &History, matches: &[Match], seen: &Seen) {
    let Some(id) = seen.match_id else { return };
    let Some(m) = matches.iter().find(|m| m.id == id) else {
        history.tell("a match that was accepted is gone");
    };
    if !seen.has_closed || seen.sequence != m.sequence {
        history.tell(&format!("a watcher saw {:?} of {:?}", seen.names, m.sequence));
    }
}

/// Nothing is busy: requests stay below the time over the poll interval, and a few for each fault
/// and each death.
fn check_rate(history: &History, matches: &[Match]) {
    let record = history.oz.record();
    for m in matches.iter().filter(|m| m.analysis_id.is_some()) {
        let mine = |ask: &crate::domain::Ask| match ask {
            crate::domain::Ask::ReadAnalysis { analysis_id } => {
                Some(analysis_id) == m.analysis_id.as_ref()
            }
            crate::domain::Ask::ReadFolder { .. }
            | crate::domain::Ask::UploadPhoto { .. }
            | crate::domain::Ask::StartAnalyses { .. } => false,
        };
        let polls = record.iter().filter(|(_, ask)| mine(ask)).count();
        let time = m.update_time.since(m.create_time).as_secs_f64();
        let most = time / POLICY.poll_interval.as_secs_f64() + 3.0 + 2.0 * history.died as f64;
        if polls as f64 > most {
            history.tell(&format!("{polls} polls in {time} s"));
        }
    }
}
