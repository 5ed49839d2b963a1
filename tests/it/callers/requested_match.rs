//! Random matches that callers request, with their expected outcomes.

use bytes::Bytes;
use facematch::{
    pb::{LivenessPolicy, MatchRequest, Resolution, reference_photo::Source},
    simulator::{Endpoint, LivenessSeed, MediaSeed, Simulator, sample},
};
use rand::{RngExt, rngs::StdRng};

use crate::{
    canary::FILE_NAME,
    library,
    support::{folder_media_request, request, with_request_id},
};

/// The maximum processing time of a liveness analysis in milliseconds: a few polls.
const LIVENESS_MS_MAX: u64 = 150;

/// A match that a caller requests, and its expected outcome.
#[derive(Debug)]
pub struct RequestedMatch {
    pub request: MatchRequest,
    /// How it ends unless it is cancelled.
    pub end: End,
    /// Number of media in its folder at the end. Each match has a folder of its own.
    pub media: usize,
    /// Number of analyses in its folder at the end.
    pub analyses: usize,
    /// When its caller cancels it; `None` for never.
    pub cancel: Option<CancelMoment>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Verdict(Resolution),
    LivenessNotPassed,
}

/// A moment in the life of a match.
#[derive(Debug, Clone, Copy)]
pub enum CancelMoment {
    /// Its caller has seen this many updates.
    Seen(u64),
    /// Oz has got a request to this endpoint for it.
    Asked(Endpoint),
}

impl RequestedMatch {
    /// A random match in a folder of its own.
    pub fn random(request_id: &str, random: &mut StdRng, oz: &Simulator) -> Self {
        let is_upload = random.random_bool(0.75);
        let policy = some_policy(is_upload, random);
        let liveness = some_liveness(is_upload, policy, random);
        let is_alike = random.random_bool(0.8);
        let photo = if is_alike { sample::portrait_jpeg() } else { sample::stranger_jpeg() };
        let is_reported = liveness.is_some() || policy == LivenessPolicy::Run;
        let is_refused = policy == LivenessPolicy::Require
            && liveness.as_ref().is_some_and(|liveness| liveness.resolution != "SUCCESS");
        let (end, media, analyses) = if is_refused {
            (End::LivenessNotPassed, 1, 1)
        } else {
            let resolution = if is_alike { Resolution::Success } else { Resolution::Declined };
            (End::Verdict(resolution), 2, 1 + usize::from(is_reported))
        };
        let mut request = match (is_upload, random.random_bool(0.4)) {
            (true, false) => upload(photo, liveness, oz),
            (true, true) => by_key(is_alike, upload(photo, liveness, oz)),
            (false, _) => folder_media(photo, oz),
        };
        request.set_liveness_policy(policy);
        let request = with_request_id(request_id, request);
        Self { request, end, media, analyses, cancel: some_moment(random) }
    }

    /// Whether the photo is uploaded: the caller brings it, or the library has it.
    pub fn is_upload(&self) -> bool {
        let photo = self.request.photo.as_ref().expect("a photo");
        matches!(photo.source, Some(Source::Content(_) | Source::ReferenceKey(_)))
    }

    /// Whether the photo must not be sent before liveness has passed.
    pub fn requires_liveness(&self) -> bool {
        self.request.liveness_policy() == LivenessPolicy::Require
    }

    /// Whether there is a liveness analysis to report.
    pub fn has_liveness(&self) -> bool {
        self.analyses == 2
    }
}

fn some_policy(is_upload: bool, random: &mut StdRng) -> LivenessPolicy {
    use LivenessPolicy::{Report, Require, Run};
    // A liveness analysis seeded together with a photo would cover both media.
    let policies = if is_upload { &[Report, Run, Require][..] } else { &[Report, Run] };
    policies[random.random_range(0..policies.len())]
}

/// The folder's liveness analysis. A match that runs liveness itself gets a folder without one, so
/// that Oz must hold exactly one analysis of each type.
fn some_liveness(
    is_upload: bool,
    policy: LivenessPolicy,
    random: &mut StdRng,
) -> Option<LivenessSeed> {
    match policy {
        LivenessPolicy::Require => {
            let resolution = if random.random_bool(0.75) { "SUCCESS" } else { "DECLINED" };
            let processing_ms = random.random_range(0..=LIVENESS_MS_MAX);
            Some(LivenessSeed {
                resolution: resolution.into(),
                processing_ms,
                ..Default::default()
            })
        }
        LivenessPolicy::Report if is_upload => Some(LivenessSeed::default()),
        LivenessPolicy::Report | LivenessPolicy::Run | LivenessPolicy::Unspecified => None,
    }
}

fn some_moment(random: &mut StdRng) -> Option<CancelMoment> {
    use Endpoint::{AddMedia, GetAnalysis, GetFolder, StartAnalyses};
    let endpoints = [GetFolder, AddMedia, StartAnalyses, GetAnalysis];
    random.random_bool(0.3).then(|| match random.random_bool(0.5) {
        // A cancel after the fourth update is too late.
        true => CancelMoment::Seen(random.random_range(1..=4)),
        false => CancelMoment::Asked(endpoints[random.random_range(0..endpoints.len())]),
    })
}

fn upload(photo: &'static [u8], liveness: Option<LivenessSeed>, oz: &Simulator) -> MatchRequest {
    let mut seed = sample::liveness_folder(sample::portrait_jpeg());
    seed.liveness = liveness;
    request(&oz.add_folder(seed), Bytes::from_static(photo))
}

/// The same match, with its photo in the library.
fn by_key(is_alike: bool, mut request: MatchRequest) -> MatchRequest {
    let key = if is_alike { library::key() } else { library::strangers_key() };
    let photo = request.photo.as_mut().expect("a photo");
    photo.source = Some(Source::ReferenceKey(key));
    request
}

/// A match whose photo the folder holds already.
fn folder_media(photo: &'static [u8], oz: &Simulator) -> MatchRequest {
    let mut seed = sample::liveness_folder(sample::portrait_jpeg());
    seed.liveness = None;
    seed.media.push(MediaSeed {
        bytes: Bytes::from_static(photo),
        file_name: format!("{FILE_NAME}.jpg"),
        content_type: "image/jpeg".to_owned(),
        tags: vec!["photo_id_front".to_owned()],
    });
    let folder = oz.add_folder(seed);
    let held = oz.folder(&folder).expect("the folder exists");
    folder_media_request(&folder, &held.media[1].media_id.to_string())
}
