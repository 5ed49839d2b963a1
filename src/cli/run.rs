//! `facematch match`: sends a photo and follows the match to its verdict.
//!
//! It goes on by itself when the connection breaks; what is called then is `resume`'s rule.

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
        resume::{Acceptance, Pace, Seen},
        screen::{Scope, Screen},
        tell,
        watch::Ending,
        with_causes,
    },
    clock::Clock,
};

/// What a duration becomes that the wire can't hold: one that every server refuses.
const ENDLESS: prost_types::Duration = prost_types::Duration { seconds: i64::MAX, nanos: 0 };

/// Runs a match.
pub async fn run(args: MatchArgs) -> Exit {
    let source = match source(&args).await {
        Ok(source) => source,
        Err(error) => {
            tell(&with_causes(&error));
            return Exit::Usage;
        }
    };
    let server = args.common.server.clone();
    let mut screen =
        Screen::new(args.common.output, Scope::One, args.patience.progress, server.clone());
    let pace = Pace::patient(args.patience.give_up_after);
    let request = request(args, source, screen.wants_progress());
    let request_id = request.request_id.clone();
    let client = match client::connect(&server).await {
        Ok(client) => client,
        Err(error) => return screen.fail(&failure::unreachable(&error, &server)),
    };
    let mut follow = Follow {
        client,
        target: Target::Run(request),
        seen: Seen::up_to(0),
        acceptance: Acceptance::No,
        pace,
        clock: Clock::system(),
    };
    let ending = Ending::of(follow.until_end(&mut screen)).await;
    let goes_on = ending.leaves_match();
    let exit = ending.tell(&screen);
    if goes_on {
        tell(&what_is_left(follow.acceptance, &request_id, &server));
    }
    exit
}

async fn source(args: &MatchArgs) -> Result<Option<Source>, photo::Error> {
    match (&args.photo, &args.folder_media) {
        (Some(path), _) => Ok(Some(Source::Content(photo::read(path).await?))),
        (None, media) => Ok(media.clone().map(Source::FolderMediaId)),
    }
}

fn request(args: MatchArgs, source: Option<Source>, progress: bool) -> MatchRequest {
    let kind = PhotoKind::from(args.kind).into();
    MatchRequest {
        // Without an id of the caller's own, one is made: it is what makes going on safe.
        request_id: args.request_id.unwrap_or_else(|| Uuid::now_v7().to_string()),
        folder_id: args.folder,
        photo: Some(ReferencePhoto { source, kind, ..Default::default() }),
        timeout: args.timeout.map(|timeout| timeout.try_into().unwrap_or(ENDLESS)),
        liveness_media_ids: args.liveness_media,
        liveness_policy: LivenessPolicy::from(args.liveness_policy).into(),
        labels: args.labels.into_iter().collect(),
        include_progress: progress,
    }
}

/// What became of a match that nobody follows any more.
fn what_is_left(acceptance: Acceptance, request_id: &str, server: &Uri) -> String {
    let so = match acceptance {
        Acceptance::No => return "the match was not accepted".to_owned(),
        Acceptance::Perhaps => "the match may have been accepted, and then goes on",
        Acceptance::Yes => "the match goes on",
    };
    format!(
        "{so}; to follow or to end it:\n  \
         facematch watch --request-id {request_id} --server {server}\n  \
         facematch cancel --request-id {request_id} --server {server}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_match_that_was_accepted_is_said_to_go_on() {
        let server = Uri::from_static("http://127.0.0.1:50051");
        let left = |acceptance| what_is_left(acceptance, "r", &server);
        assert_eq!(left(Acceptance::No), "the match was not accepted");
        assert!(left(Acceptance::Perhaps).starts_with("the match may have been accepted, and "));
        assert_eq!(
            left(Acceptance::Yes),
            "the match goes on; to follow or to end it:\n  facematch watch --request-id r --server \
             http://127.0.0.1:50051/\n  facematch cancel --request-id r --server \
             http://127.0.0.1:50051/"
        );
    }
}
