//! `facematch match`: sends a photo, or names one, and follows the match to its verdict.
//!
//! It resumes by itself when the connection breaks; `resume` decides which call comes next.

use std::time::Duration;

use uuid::Uuid;

use crate::{
    cli::call::{
        Exit,
        args::{MatchArgs, Server},
        client::Connection,
        follow::{FollowMatch, Target},
        pb::{LivenessPolicy, MatchRequest, PhotoKind, ReferencePhoto, reference_photo::Source},
        photo,
        render::notice::Notice,
        report,
        resume::{Acceptance, Seen},
        retry::Terms,
        screen::{Scope, Screen},
        watch::{GIVE_UP_AFTER, WatchEnd, not_connected},
    },
    clock::Clock,
    config::Environment,
};

/// Stands for a duration that protobuf can't represent: every server refuses it.
const ENDLESS: prost_types::Duration = prost_types::Duration { seconds: i64::MAX, nanos: 0 };

/// How much longer the command waits than its match may take, so that the server's last update
/// arrives before the command gives up.
const AFTER_TIMEOUT: Duration = Duration::from_secs(5);

/// Runs a match.
pub async fn run(args: MatchArgs, environment: &Environment) -> Exit {
    let output = args.common.output;
    let server = match args.common.server(environment) {
        Ok(server) => server,
        Err(problem) => return report::usage(output, &problem),
    };
    if args.photo.as_ref().is_some_and(|path| photo::is_typed(path)) {
        report::notice(output, &Notice::ReadingPhoto);
    }
    match source(&args).await {
        Ok(source) => send(args, source, server).await,
        Err(error) => report::usage(output, &report::with_causes(&error)),
    }
}

async fn send(args: MatchArgs, source: Option<Source>, server: Server) -> Exit {
    let output = args.common.output;
    let limit = args.timeout.map(|timeout| timeout.saturating_add(AFTER_TIMEOUT));
    let patience = args.patience.give_up_after.unwrap_or(GIVE_UP_AFTER);
    let connection = match Connection::open(&server, args.timeout).await {
        Ok(connection) => connection,
        Err(error) => return not_connected(output, &error, &server),
    };
    let mut screen = Screen::new(output, Scope::One, args.patience.progress, server.clone());
    let request = request(args, source, screen.wants_progress());
    let request_id = request.request_id.clone();
    let mut follow = FollowMatch {
        connection,
        target: Target::Run(request),
        seen: Seen::up_to(0),
        acceptance: Acceptance::No,
        terms: Terms::patient(Some(patience), limit),
        clock: Clock::system(),
    };
    let ending = WatchEnd::of(follow.until_end(&mut screen), limit).await;
    let acceptance = follow.acceptance;
    let is_left = ending.leaves_match(acceptance);
    let exit = ending.tell(&screen);
    if is_left {
        let left = Notice::MatchLeft { acceptance, request_id: &request_id, server: &server };
        report::notice(output, &left);
    }
    exit
}

async fn source(args: &MatchArgs) -> Result<Option<Source>, photo::Error> {
    if let Some(path) = &args.photo {
        return Ok(Some(Source::Content(photo::read(path).await?)));
    }
    let reference = args.reference.clone().map(Source::ReferenceKey);
    Ok(reference.or_else(|| args.folder_media.clone().map(Source::FolderMediaId)))
}

fn request(args: MatchArgs, source: Option<Source>, progress: bool) -> MatchRequest {
    let kind = PhotoKind::from(args.kind).into();
    MatchRequest {
        // The command needs a request id to resume safely, so it makes one if none is given.
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
