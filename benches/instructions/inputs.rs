//! One plain match: its request, and Oz's answer to each request of the service.
//!
//! Everything is fixed, times and ids too, so that every run does the same.

use std::{collections::BTreeMap, time::Duration};

use facematch::domain::{
    Analysis, AnalysisId, Digest, Folder, Format, LivenessPolicy, MatchId, Media, PhotoKind,
    PhotoSource, Policy, Reply, Spec, TenantId, Timeout, Timestamp,
};

use crate::Result;

/// Oz's answer to a poll of an analysis in progress, in the simulator's words.
pub const PROCESSING: &[u8] = include_bytes!("processing.json");

/// The analysis in that answer, the folder's video and the uploaded photo.
const ANALYSIS: &str = "f35716ed-7abf-4198-8146-229eb4f2ad25";
const VIDEO: &str = "0f4ce2a5-54c5-4c5a-a5c8-0b1a3a1e6f7d";
const PHOTO: &str = "b6b2a6a0-7c1e-4f0e-9d0b-5f2d3b0c9e11";

pub const POLICY: Policy = Policy {
    poll_interval: Duration::from_secs(1),
    oz_settle: Duration::from_secs(5),
    photo_grace: Duration::from_secs(60),
    retention: Duration::from_secs(86_400),
};

/// When the match is accepted.
pub const START: Timestamp = Timestamp::from_micros(1_764_000_000_512_345);
/// How long each of Oz's answers takes.
pub const LATENCY: Duration = Duration::from_millis(30);

pub fn match_id() -> Result<MatchId> {
    Ok("01890a5d-ac96-774b-bcce-b302099a8057".parse()?)
}

pub fn analysis_id() -> Result<AnalysisId> {
    Ok(ANALYSIS.parse()?)
}

pub fn spec() -> Result<Spec> {
    let label = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    Ok(Spec {
        tenant: TenantId::default_tenant(),
        request_id: Some("order-17".parse()?),
        folder_id: "7e782ba3-94fa-4b34-94a0-c1e2f8c3b5b1".parse()?,
        photo: PhotoSource::Content { digest: Digest([7; 32]), format: Format::Jpeg },
        kind: PhotoKind::Selfie,
        timeout: Timeout { duration: Duration::from_secs(1200), named: false },
        liveness_media: Vec::new(),
        liveness_policy: LivenessPolicy::Report,
        labels: BTreeMap::from([label("branch", "north"), label("order", "17")]),
        trace: None,
    })
}

/// The folder, the photo's id, the analysis, two polls without a verdict, and the verdict.
pub fn replies() -> Result<Vec<Reply>> {
    let processing = biometry(["PROCESSING"; 3])?;
    let finished = Analysis {
        min_confidence: Some(0.97),
        max_confidence: Some(0.98),
        ..biometry(["FINISHED", "SUCCESS", "SUCCESS"])?
    };
    Ok(vec![
        Reply::Folder(Folder { media: vec![video()?], analyses: vec![liveness()?] }),
        Reply::Photo(PHOTO.parse()?),
        Reply::Started(vec![processing.clone()]),
        Reply::Analysis(processing.clone()),
        Reply::Analysis(processing),
        Reply::Analysis(finished),
    ])
}

fn video() -> Result<Media> {
    Ok(Media {
        id: VIDEO.parse()?,
        media_type: Some("VIDEO_FOLDER".into()),
        tags: vec!["video_selfie".into(), "video_selfie_blank".into()],
        original_name: Some("video.mp4".into()),
        match_id: None,
        time_created: Some(START.before(Duration::from_secs(60))),
    })
}

/// The result of an earlier QUALITY analysis of the video.
fn liveness() -> Result<Analysis> {
    Ok(Analysis {
        id: Some("5a2c1f0e-3c55-4b2c-8e43-9a6f0d7b1c22".parse()?),
        kind: Some("QUALITY".into()),
        source_media: Some(vec![VIDEO.parse()?]),
        confidence_spoofing: Some(0.02),
        ..biometry(["FINISHED", "SUCCESS", "SUCCESS"])?
    })
}

fn biometry([state, resolution, resolution_status]: [&str; 3]) -> Result<Analysis> {
    Ok(Analysis {
        id: Some(analysis_id()?),
        kind: Some("BIOMETRY".into()),
        group_id: Some("c0a8e9d4-1b6f-4c39-8b61-7d2e5f4a9b30".into()),
        source_media: Some(vec![VIDEO.parse()?, PHOTO.parse()?]),
        state: Some(state.into()),
        resolution: Some(resolution.into()),
        resolution_status: Some(resolution_status.into()),
        time_created: Some(START),
        ..Analysis::default()
    })
}
