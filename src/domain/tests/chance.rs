//! The random inputs of a walk: answers of all shapes, failures of all kinds, takeovers, and photos
//! that come and go.

use std::time::Duration;

use proptest::prelude::*;

use crate::domain::{
    Analysis, Ask, Failure, FailureKind, Format, LibraryFault, LivenessPolicy, Media, OzResult,
    PhotoSource, Reply, Spec, Timeout,
    tests::{
        oz::{
            analysis, analysis_id, biometry, decided, folder, holding, image, judged, media_id,
            our_photo, quality,
        },
        scene::{reference_key, spec},
    },
};

/// One turn of a walk: Oz's answer to the next request, and what happens beside it.
#[derive(Clone, Debug)]
pub struct Turn {
    pub outcome: Answer,
    pub latency: Duration,
    pub chance: f64,
    /// Another replica takes over before the answer is received.
    pub revive: bool,
    /// Whether this replica holds the photo from here on; `None` if that stays as it is.
    pub photo_here: Option<bool>,
}

/// An answer of the scripted Oz.
#[derive(Clone, Debug)]
pub enum Answer {
    /// A fitting answer, made from these media and analyses.
    Fitting {
        media: Vec<Media>,
        analyses: Vec<Analysis>,
    },
    /// This reply, to any request.
    Any(Reply),
    Fails(Failure),
}

fn word() -> impl Strategy<Value = &'static str> {
    let words = ["", "PROCESSING", "INITIAL", "FINISHED", "FAILED", "SUCCESS", "DECLINED", "NEW"];
    prop::sample::select(words.to_vec())
}

fn odd_analysis() -> impl Strategy<Value = Analysis> {
    let kind = prop::sample::select(vec!["BIOMETRY", "QUALITY", "DOCUMENTS"]);
    let id = prop::sample::select(vec!["b", "b2", "q", "q2"]);
    let sources = prop::sample::subsequence(vec!["v", "p", "x"], 0..=3);
    let words = [word(), word(), word()];
    let score = prop::option::of(-0.5..1.5f64);
    (kind, id, sources, words, score, any::<bool>()).prop_map(
        |(kind, id, sources, words, score, named)| Analysis {
            id: Some(analysis_id(id)).filter(|_| named),
            min_confidence: score,
            confidence_spoofing: score,
            ..analysis(kind, id, &sources, words)
        },
    )
}

/// An analysis that a correct Oz may report, or any other.
fn some_analysis() -> impl Strategy<Value = Analysis> {
    let sound = vec![
        biometry("b"),
        quality("q"),
        decided("b", "SUCCESS"),
        decided("b", "DECLINED"),
        judged("q", "SUCCESS"),
    ];
    prop_oneof![3 => prop::sample::select(sound), 1 => odd_analysis()]
}

fn some_media() -> impl Strategy<Value = Vec<Media>> {
    let more = vec![our_photo("p"), our_photo("p2"), image("p"), image("x")];
    prop::sample::subsequence(more, 0..=4)
}

pub fn some_failure() -> impl Strategy<Value = Failure> {
    use FailureKind::{
        Forbidden, Incomplete, Interrupted, Library, LoginRefused, NotFound, RateLimited,
        Redirected, Rejected, ServerError, SessionRefused, TimedOut, TooLarge, Unreachable,
        Unreadable,
    };
    let passing = vec![
        Unreachable,
        TimedOut,
        Interrupted,
        RateLimited,
        ServerError,
        Redirected,
        Unreadable,
        SessionRefused,
        Library(LibraryFault::Unreachable),
    ];
    let final_ones = vec![
        Incomplete,
        LoginRefused,
        Forbidden,
        NotFound,
        TooLarge,
        Rejected,
        Library(LibraryFault::NotFound),
        Library(LibraryFault::Protocol),
    ];
    let kind = prop_oneof![
        15 => prop::sample::select(passing),
        1 => prop::sample::select(final_ones),
    ];
    let retry_after = prop::option::weighted(0.2, (0..100u64).prop_map(Duration::from_secs));
    (kind, retry_after)
        .prop_map(|(kind, retry_after)| Failure { retry_after, ..Failure::new(kind, "trouble") })
}

fn any_reply() -> impl Strategy<Value = Reply> {
    let analyses = || prop::collection::vec(some_analysis(), 0..3);
    prop_oneof![
        prop::sample::select(vec!["p", "v", "x"]).prop_map(|id| Reply::Photo(media_id(id))),
        analyses().prop_map(Reply::Started),
        some_analysis().prop_map(Reply::Analysis),
        Just(Reply::Reference(Format::Jpeg)),
        (some_media(), analyses())
            .prop_map(|(media, analyses)| { Reply::Folder(holding(media, analyses)) }),
    ]
}

fn some_answer() -> impl Strategy<Value = Answer> {
    let fitting = (some_media(), prop::collection::vec(some_analysis(), 0..4))
        .prop_map(|(media, analyses)| Answer::Fitting { media, analyses });
    prop_oneof![
        8 => fitting,
        1 => any_reply().prop_map(Answer::Any),
        5 => some_failure().prop_map(Answer::Fails),
    ]
}

pub fn some_turn() -> impl Strategy<Value = Turn> {
    let latency = prop_oneof![Just(0), 0..2000u64, 0..60_000u64].prop_map(Duration::from_millis);
    let photo_here = prop::option::weighted(0.1, any::<bool>());
    let revive = prop::bool::weighted(0.05);
    (some_answer(), latency, 0.0..1.0, revive, photo_here).prop_map(
        |(outcome, latency, chance, revive, photo_here)| Turn {
            outcome,
            latency,
            chance,
            revive,
            photo_here,
        },
    )
}

pub fn some_spec() -> impl Strategy<Value = Spec> {
    use LivenessPolicy::{Report, Require, Run};
    let liveness_policy = prop::sample::select(vec![Report, Require, Run]);
    let photo = prop_oneof![
        3 => Just(spec().photo),
        2 => Just(PhotoSource::Library(reference_key())),
        1 => Just(PhotoSource::FolderMedia(media_id("p"))),
    ];
    (liveness_policy, 1..200u64, photo).prop_map(|(liveness_policy, seconds, photo)| {
        let timeout = Timeout { duration: Duration::from_secs(seconds), named: true };
        Spec { photo, timeout, liveness_policy, ..spec() }
    })
}

impl Answer {
    pub fn to(self, ask: &Ask) -> OzResult {
        match self {
            Self::Any(reply) => Ok(reply),
            Self::Fails(failure) => Err(failure),
            Self::Fitting { media, analyses } => match ask {
                Ask::ReadFolder { .. } => folder(media, analyses),
                Ask::UploadPhoto { .. } => Ok(Reply::Photo(media_id("p"))),
                Ask::StartAnalyses { .. } => Ok(Reply::Started(analyses)),
                // Any contents, but about the analysis that was read.
                Ask::ReadAnalysis { .. } => {
                    let told = analyses.into_iter().next().unwrap_or_default();
                    Ok(Reply::Analysis(Analysis { id: None, kind: None, ..told }))
                }
                Ask::ReadReference { .. } => Ok(Reply::Reference(Format::Png)),
            },
        }
    }
}
