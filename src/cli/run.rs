//! `facematch match`: sends a photo and follows the match to its verdict.
//!
//! It goes on by itself when the connection breaks; what is called then is `resume`'s rule.

use std::error::Error;

use tonic::transport::Uri;
use uuid::Uuid;

use crate::{
    cli::{
        Exit,
        args::MatchArgs,
        client,
        follow::{Follow, Target},
        pb::{LivenessPolicy, MatchRequest, PhotoKind, ReferencePhoto, reference_photo::Source},
        photo,
        render::failure,
        resume::{Pace, Seen},
        screen::{Scope, Screen},
        tell,
        watch::Ending,
    },
    clock::Clock,
};

/// What a duration becomes that the wire can't hold: one that every server refuses.
const ENDLESS: prost_types::Duration = prost_types::Duration { seconds: i64::MAX, nanos: 0 };

/// Runs a match.
pub async fn run(args: MatchArgs) -> Exit {
    let server = args.common.server.clone();
    let mut screen =
        Screen::new(args.common.output, Scope::One, args.patience.progress, server.clone());
    let pace = Pace::patient(args.patience.give_up_after);
    let request = match request(args, screen.wants_progress()).await {
        Ok(request) => request,
        Err(error) => return screen.fail(&told(&error)),
    };
    let request_id = request.request_id.clone();
    let client = match client::connect(&server).await {
        Ok(client) => client,
        Err(error) => return screen.fail(&failure::unreachable(&error, &server)),
    };
    let follow = Follow {
        client,
        target: Target::Run(request),
        seen: Seen::up_to(0),
        pace,
        clock: Clock::system(),
    };
    let ending = Ending::of(follow.until_end(&mut screen)).await;
    let goes_on = ending.leaves_match();
    let exit = ending.tell(&screen);
    if goes_on {
        tell(&how_to_go_on(&request_id, &server));
    }
    exit
}

/// An error and its causes, in one line.
fn told(error: &(dyn Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |&error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

async fn request(args: MatchArgs, progress: bool) -> Result<MatchRequest, photo::Error> {
    let source = match (args.photo, args.folder_media) {
        (Some(path), _) => Some(Source::Content(photo::read(&path).await?)),
        (None, media) => media.map(Source::FolderMediaId),
    };
    let kind = PhotoKind::from(args.kind).into();
    Ok(MatchRequest {
        // Without an id of the caller's own, one is made: it is what makes going on safe.
        request_id: args.request_id.unwrap_or_else(|| Uuid::now_v7().to_string()),
        folder_id: args.folder,
        photo: Some(ReferencePhoto { source, kind, ..Default::default() }),
        timeout: args.timeout.map(|timeout| timeout.try_into().unwrap_or(ENDLESS)),
        liveness_media_ids: args.liveness_media,
        liveness_policy: LivenessPolicy::from(args.liveness_policy).into(),
        labels: args.labels.into_iter().collect(),
        include_progress: progress,
    })
}

fn how_to_go_on(request_id: &str, server: &Uri) -> String {
    format!(
        "a match that was accepted goes on; to follow or to end it:\n  \
         facematch watch --request-id {request_id} --server {server}\n  \
         facematch cancel --request-id {request_id} --server {server}"
    )
}
