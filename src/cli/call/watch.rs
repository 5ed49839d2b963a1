//! `facematch watch`: follows a match, or all of them.
//!
//! It also holds what it shares with `match`: how following ends, and what is printed then.

use std::{future::Future, time::Duration};

use tokio::signal;
use tonic::Status;

use crate::{
    cli::call::{
        Exit,
        args::{Output, Server, WatchArgs},
        client::{self, Connection},
        follow::{FollowMatch, FollowMatches, Target},
        pb::{Match, WatchMatchRequest, WatchMatchesRequest, watch_match_request::Id},
        render::notice::Notice,
        report,
        resume::{self, Acceptance, Seen},
        retry::{Error, Terms},
        screen::{Scope, Screen},
    },
    clock::Clock,
    config::Environment,
};

/// How long a match is followed through an outage, unless the arguments say otherwise. All matches
/// are followed through any.
pub const GIVE_UP_AFTER: Duration = Duration::from_secs(5 * 60);

/// Follows the match that the arguments name, or all matches.
pub async fn watch(args: WatchArgs, environment: &Environment) -> Exit {
    let output = args.common.output;
    let server = match args.common.server(environment) {
        Ok(server) => server,
        Err(problem) => return report::usage(output, &problem),
    };
    let connection = match Connection::open(&server, args.timeout).await {
        Ok(connection) => connection,
        Err(error) => return not_connected(output, &error, &server),
    };
    let scope = if args.all { Scope::Many } else { Scope::One };
    let screen = Screen::new(output, scope, args.patience.progress, server);
    match scope {
        Scope::One => one(args, connection, screen).await,
        Scope::Many => all(args, connection, screen).await,
    }
}

/// Prints why there is no connection.
pub fn not_connected(output: Output, error: &client::Error, server: &Server) -> Exit {
    match error {
        client::Error::TlsFile(error) => report::usage(output, &error.to_string()),
        client::Error::TokenFile(error) => report::usage(output, &error.to_string()),
        client::Error::Unreachable(status) => report::call_failed(output, status, &server.url),
    }
}

async fn one(args: WatchArgs, connection: Connection, mut screen: Screen) -> Exit {
    let request = WatchMatchRequest {
        id: args.match_id.map(Id::MatchId).or(args.request_id.map(Id::RequestId)),
        after_sequence: args.after,
        include_progress: screen.wants_progress(),
    };
    let patience = args.patience.give_up_after.unwrap_or(GIVE_UP_AFTER);
    let mut follow = FollowMatch {
        connection,
        target: Target::Watch(request),
        seen: Seen::up_to(args.after),
        acceptance: Acceptance::Yes,
        terms: Terms::patient(Some(patience), args.timeout),
        clock: Clock::system(),
    };
    WatchEnd::of(follow.until_end(&mut screen), args.timeout).await.tell(&screen)
}

async fn all(args: WatchArgs, connection: Connection, mut screen: Screen) -> Exit {
    let request = WatchMatchesRequest {
        resume_token: args.resume_token.unwrap_or_default(),
        folder_id: args.folder.unwrap_or_default(),
        labels: args.labels.into_iter().collect(),
    };
    let mut follow = FollowMatches {
        connection,
        request,
        once_expired: args.on_expired.token().map(str::to_owned),
        terms: Terms::patient(args.patience.give_up_after, args.timeout),
        clock: Clock::system(),
    };
    let failure = async { Err(follow.until_failure(&mut screen).await) };
    let exit = WatchEnd::of(failure, args.timeout).await.tell(&screen);
    // A reader that has closed its pipe doesn't need the token.
    if !screen.token().is_empty() && exit != Exit::ClosedPipe {
        screen.notice(&Notice::ResumeFrom(screen.token()));
    }
    exit
}

/// How following ended.
#[derive(Debug)]
pub enum WatchEnd {
    /// The match has ended.
    Ended(Box<Match>),
    /// Following stopped before the match ended.
    Stopped(Error),
    /// Ctrl-C was pressed.
    Interrupted,
}

impl WatchEnd {
    /// Waits for the end or for Ctrl-C. `limit` is that of following.
    pub async fn of(
        following: impl Future<Output = Result<Match, Error>>,
        limit: Option<Duration>,
    ) -> Self {
        tokio::select! {
            result = following => match result {
                Ok(ended) => Self::Ended(Box::new(ended)),
                Err(Error::Late(_)) => Self::Stopped(late(limit)),
                Err(error) => Self::Stopped(error),
            },
            Ok(()) = signal::ctrl_c() => Self::Interrupted,
        }
    }

    /// Whether a match may continue without this command, so that the command must say so.
    pub fn leaves_match(&self, acceptance: Acceptance) -> bool {
        match self {
            Self::Ended(_) => false,
            Self::Interrupted
            | Self::Stopped(
                Error::Broken(_) | Error::Contract(_) | Error::Late(_) | Error::Output(_),
            ) => true,
            Self::Stopped(Error::Refused(status)) => {
                acceptance > Acceptance::No && !resume::is_no_match(status)
            }
        }
    }

    /// Prints the error or the notice, if there is one, and returns the exit code.
    pub fn tell(self, screen: &Screen) -> Exit {
        screen.close();
        match self {
            Self::Ended(ended) => {
                let exit = Exit::of(&ended);
                if exit == Exit::UnknownVerdict {
                    screen.notice(&Notice::UnknownVerdict);
                }
                exit
            }
            Self::Interrupted => Exit::Interrupted,
            Self::Stopped(Error::Output(error)) => screen.unwritable(&error),
            Self::Stopped(
                Error::Refused(status) | Error::Broken(status) | Error::Contract(status),
            ) => screen.call_failed(&status),
            Self::Stopped(Error::Late(_)) => screen.call_failed(&passed("the time has passed")),
        }
    }
}

/// The error of a match that has not ended within the limit.
fn late(limit: Option<Duration>) -> Error {
    let Some(limit) = limit else { return Error::Late(None) };
    let words = format!("the match has not ended within {}", humantime::format_duration(limit));
    Error::Broken(Box::new(passed(&words)))
}

fn passed(words: &str) -> Status {
    Status::deadline_exceeded(words)
}
