//! The invariants, checked at the end of a history: against the journal, against the updates that
//! callers saw, and against what Oz holds and was asked.

use std::{collections::BTreeSet, sync::Arc};

use crate::{
    domain::{
        Analysis, AnalysisId, LivenessPolicy, Match, MatchId, MediaId, PhotoSource, Position,
        Reason, Resolution, State, TenantId, state::fold,
    },
    invariants::{
        Difference, HeldAnalysis, ShownMatch, ShownVerdict, UpdateKey, check_analyses,
        check_sent_photo,
    },
    journal::{Filter, Reader},
    simulation::{
        POLICY,
        caller::{Caller, PhotoPlace, Seen},
        library::LibraryModel,
        oz::Model,
    },
};

/// More matches and events than any history has.
const MANY: usize = 100_000;

/// What is checked at the end of a history.
pub struct Case<'a> {
    pub oz: &'a Model,
    pub library: &'a LibraryModel,
    pub callers: &'a [Arc<Caller>],
    /// How often a process crashed, was paused, or was cut off from the store.
    pub disturbances: usize,
    /// How to repeat the history: its seed.
    pub again: String,
}

impl Case<'_> {
    /// Panics with the seed.
    fn tell(&self, what: &str) -> ! {
        panic!("{}: {what}", self.again);
    }
}

/// Checks everything, also the updates that streams of all matches of a tenant have shown.
pub async fn check(
    case: &Case<'_>,
    reader: &dyn Reader,
    all: &[(TenantId, Vec<UpdateKey<MatchId>>)],
) {
    let matches = listed(case, reader).await;
    let holds = |holds: bool, what: &str| {
        if !holds {
            case.tell(what);
        }
    };
    let names = |m: &Match| (m.spec.tenant.clone(), m.spec.request_id.clone());
    let ids: BTreeSet<_> = matches.iter().map(names).collect();
    holds(ids.len() == matches.len(), "one request id names two matches");
    for m in &matches {
        let events = reader.events(m.id).await.expect("the journal can be read");
        holds(fold(&events) == Ok(Some(m.clone())), "a match is not the fold of its journal");
        holds(m.has_ended(), "a match has not ended");
        let same = |other: &&Match| other.photo_media_id == m.photo_media_id;
        check_oz(case, m, matches.iter().filter(same).count());
        let caller = caller_of(case, m);
        check_end(case, m, caller);
        check_uploads(case, m, caller);
        check_reads(case, m);
    }
    let owned: Vec<_> = matches.iter().filter_map(|m| m.analysis_id.clone()).collect();
    let distinct: BTreeSet<_> = owned.iter().collect();
    holds(distinct.len() == owned.len(), "two matches have the same analysis");
    for seen in case.callers.iter().flat_map(|caller| caller.seen()) {
        check_seen(case, &matches, &seen);
    }
    let tail = reader.tail(Position(0), MANY).await.expect("the journal can be read");
    for (tenant, shown) in all {
        let is_theirs = |id| matches.iter().any(|m| m.id == id && m.spec.tenant == *tenant);
        let theirs = tail.iter().filter(|it| is_theirs(it.match_id));
        let theirs: Vec<_> = theirs.map(|it| (it.match_id, it.sequence.0)).collect();
        let found = Difference::of(shown, &theirs);
        holds(found == Difference::default(), &format!("a stream of all matches: {found:?}"));
    }
    let unentitled = case.oz.unentitled();
    holds(unentitled.is_empty(), &format!("sent without a valid claim: {unentitled:?}"));
    check_rate(case, &matches);
}

/// All matches, each listed for its own tenant only.
async fn listed(case: &Case<'_>, reader: &dyn Reader) -> Vec<Match> {
    let tenants: BTreeSet<_> = case.callers.iter().map(|it| &it.plan.tenant).collect();
    let mut matches = Vec::new();
    for tenant in tenants {
        let listed = reader.list(tenant, &Filter::default(), None, MANY).await;
        let theirs = listed.expect("the journal can be read").matches;
        if theirs.iter().any(|m| m.spec.tenant != *tenant) {
            case.tell("a list shows the match of another tenant");
        }
        matches.extend(theirs);
    }
    matches
}

/// Oz holds one photo of a match and one analysis of each type, of exactly these media, and the
/// verdict is Oz's. Matches that share a photo of the folder have one analysis each.
fn check_oz(case: &Case<'_>, m: &Match, sharing: usize) {
    let mut photos = case.oz.photos_of(m.id);
    photos.retain(|id| m.photo_media_id.as_ref() == Some(id) || !case.oz.is_stray(id.as_str()));
    let photos: Vec<_> = photos.iter().map(ToString::to_string).collect();
    let sent = m.photo_media_id.as_ref().filter(|_| m.spec.uploads_photo());
    let holds = |checked: Result<(), String>| checked.unwrap_or_else(|what| case.tell(&what));
    holds(check_sent_photo(sent.map(MediaId::as_str), &photos));
    let Some(photo) = &m.photo_media_id else { return };
    let biometry = counted(case, m, case.oz.analyses_of("BIOMETRY", photo));
    let held: Vec<_> = biometry.iter().map(held_analysis).collect();
    holds(check_analyses(&shown(case, m), &held, sharing));
    if m.analysis_id.is_none() {
        return;
    }
    let analysis = biometry.iter().find(|it| it.id == m.analysis_id);
    let is_oz_s = m.result.as_ref().is_none_or(|result| {
        analysis.is_some_and(|analysis| analysis.max_confidence == result.max_confidence)
    });
    if !is_oz_s {
        case.tell("the verdict has another greatest score than Oz's");
    }
    check_quality(case, m);
}

/// The match as the invariants take it.
fn shown(case: &Case<'_>, m: &Match) -> ShownMatch {
    let word = |resolution| match resolution {
        Resolution::Success => "SUCCESS",
        Resolution::Declined => "DECLINED",
        Resolution::OperatorRequired => "OPERATOR_REQUIRED",
        Resolution::Unknown => case.tell("a verdict with an unknown word"),
    };
    let verdict = m.result.as_ref().map(|result| ShownVerdict {
        resolution: word(result.resolution).to_owned(),
        min_confidence: Some(result.min_confidence),
    });
    ShownMatch {
        analysis: m.analysis_id.as_ref().map(ToString::to_string),
        media: m.source_media().iter().flatten().map(ToString::to_string).collect(),
        verdict,
    }
}

fn held_analysis(analysis: &Analysis) -> HeldAnalysis {
    HeldAnalysis {
        id: analysis.id.as_ref().map(ToString::to_string).unwrap_or_default(),
        media: analysis.source_media.iter().flatten().map(ToString::to_string).collect(),
        verdict: ShownVerdict {
            resolution: analysis.resolution.clone().unwrap_or_default(),
            min_confidence: analysis.min_confidence,
        },
    }
}

/// The analyses that count. A double that was in flight while its sender was paused doesn't: the
/// service can't prevent it.
fn counted(case: &Case<'_>, m: &Match, mut analyses: Vec<Analysis>) -> Vec<Analysis> {
    let is_ours = |id: &AnalysisId| {
        [&m.analysis_id, &m.liveness_analysis_id].into_iter().any(|ours| ours.as_ref() == Some(id))
    };
    let counts = |id: &AnalysisId| is_ours(id) || !case.oz.is_stray(id.as_str());
    analyses.retain(|analysis| analysis.id.as_ref().is_none_or(counts));
    analyses
}

/// Under RUN each match starts one QUALITY analysis beside the folder's own.
fn check_quality(case: &Case<'_>, m: &Match) {
    let of_folder = |caller: &&Arc<Caller>| {
        caller.plan.folder_id == m.spec.folder_id && caller.plan.policy == LivenessPolicy::Run
    };
    let most = 1 + case.callers.iter().filter(of_folder).count();
    for media in &m.liveness_media {
        if counted(case, m, case.oz.analyses_of("QUALITY", media)).len() > most {
            case.tell("too many QUALITY analyses");
        }
    }
}

fn caller_of<'a>(case: &Case<'a>, m: &Match) -> &'a Caller {
    let is_theirs = |it: &&Arc<Caller>| Some(&it.plan.request_id) == m.spec.request_id.as_ref();
    let caller = case.callers.iter().find(is_theirs);
    caller.unwrap_or_else(|| case.tell("a match without a caller"))
}

/// Every upload of a match has the photo of its own caller, or that of its own key.
fn check_uploads(case: &Case<'_>, m: &Match, caller: &Caller) {
    let uploads = case.oz.uploads_of(m.id);
    if !uploads.is_empty() && uploads.iter().any(|photo| *photo != caller.uploaded()) {
        case.tell("the photo of another match was uploaded");
    }
}

/// The photo is read from the library at most once for each attempt to upload it, and reads of a
/// match are no more frequent than its polls. A read may be lost to each disturbance, and to the end
/// of its match. Uploads may be held back only while Oz fails.
fn check_reads(case: &Case<'_>, m: &Match) {
    let PhotoSource::Library(key) = &m.spec.photo else { return };
    let reads: Vec<_> = case.library.reads().into_iter().filter(|read| read.key == *key).collect();
    let whole = reads.iter().filter(|read| read.is_whole).count();
    let uploads = case.oz.uploads_of(m.id).len();
    let lost = case.disturbances + usize::from(m.state != State::Finished);
    if whole > uploads + lost && !case.oz.is_in_trouble() {
        case.tell(&format!("{whole} reads of a photo that was uploaded {uploads} times"));
    }
    let time = m.update_time.since(m.create_time).as_secs_f64();
    let most = time / POLICY.poll_interval.as_secs_f64() + 3.0 + 2.0 * case.disturbances as f64;
    if reads.len() as f64 > most {
        case.tell(&format!("{} reads in {time} s", reads.len()));
    }
}

/// A match without a verdict ended for one of the reasons that its history allows. A photo in the
/// library is never lost, and none that is missing there is ever compared.
fn check_end(case: &Case<'_>, m: &Match, caller: &Caller) {
    let place = caller.plan.photo;
    let fine = match (m.state, m.error.as_ref().map(|error| error.reason)) {
        (State::Finished, None) => place != PhotoPlace::Nowhere,
        (State::Cancelled, None) => caller.plan.cancels.is_some(),
        (State::Failed, Some(Reason::PhotoLost)) => {
            case.disturbances > 0 && place == PhotoPlace::Call
        }
        (State::Failed, Some(Reason::ReferenceNotFound)) => place == PhotoPlace::Nowhere,
        (State::Failed, Some(Reason::MatchTimedOut)) => {
            m.end_time.is_some_and(|end| end >= m.deadline())
        }
        (State::Failed, Some(Reason::OzProtocol)) => case.oz.fails_often(),
        (
            State::Accepted
            | State::Uploaded
            | State::Processing
            | State::Finished
            | State::Failed
            | State::Cancelled
            | State::Unknown,
            _,
        ) => false,
    };
    if !fine {
        case.tell(&format!("a match ended as {:?}: {:?}", m.state, m.error));
    }
}

/// Every watcher saw all updates up to the end.
fn check_seen(case: &Case<'_>, matches: &[Match], seen: &Seen) {
    let Some(id) = seen.match_id else { return };
    let Some(m) = matches.iter().find(|m| m.id == id) else {
        case.tell("a match that was accepted is gone");
    };
    if !seen.has_closed() || seen.sequence() != m.sequence {
        case.tell(&format!("a watcher saw {:?} of {:?}", seen.names, m.sequence));
    }
}

/// No driver polls in a tight loop: polls stay below the match's duration divided by the poll
/// interval, plus a few for each disturbance.
fn check_rate(case: &Case<'_>, matches: &[Match]) {
    let record = case.oz.record();
    for m in matches.iter().filter(|m| m.analysis_id.is_some()) {
        let mine = |ask: &crate::domain::Ask| match ask {
            crate::domain::Ask::ReadAnalysis { analysis_id } => {
                Some(analysis_id) == m.analysis_id.as_ref()
            }
            crate::domain::Ask::ReadFolder { .. }
            | crate::domain::Ask::UploadPhoto { .. }
            | crate::domain::Ask::StartAnalyses { .. }
            | crate::domain::Ask::ReadReference { .. } => false,
        };
        let polls = record.iter().filter(|(_, ask)| mine(ask)).count();
        let time = m.update_time.since(m.create_time).as_secs_f64();
        let most = time / POLICY.poll_interval.as_secs_f64() + 3.0 + 2.0 * case.disturbances as f64;
        if polls as f64 > most {
            case.tell(&format!("{polls} polls in {time} s"));
        }
    }
}
