//! `facematch watch`: follows a match, or all of them.
//!
//! It also holds what `match` shares with it: how following ends, and what is said then.

use std::{future::Future, io};

use tokio::signal;

use crate::{
    cli::{
        Exit,
        args::WatchArgs,
        client::{self, Client},
        follow::{Error, Follow, FollowAll, Target},
        pb::{Match, WatchMatchRequest, WatchMatchesRequest, watch_match_request::Id},
        render::failure,
        resume::{Acceptance, Pace, Seen},
        screen::{Scope, Screen},
        tell,
    },
    clock::Clock,
};

/// Follows what the arguments name.
pub async fn watch(args: WatchArgs) -> Exit {
    let scope = if args.all { Scope::Many } else { Scope::One };
    let server = args.common.server.clone();
    let screen = Screen::new(args.common.output, scope, args.patience.progress, server.clone());
    let client = match client::connect(&server).await {
        Ok(client) => client,
        Err(error) => return screen.fail(&failure::unreachable(&error, &server)),
    };
    match scope {
        Scope::One => one(args, client, screen).await,
        Scope::Many => all(args, client, screen).await,
    }
}

async fn one(args: WatchArgs, client: Client, mut screen: Screen) -> Exit {
    let request = WatchMatchRequest {
        id: args.match_id.map(Id::MatchId).or(args.request_id.map(Id::RequestId)),
        after_sequence: args.after,
        include_progress: screen.wants_progress(),
    };
    let mut follow = Follow {
        client,
        target: Target::Watch(request),
        seen: Seen::up_to(args.after),
        acceptance: Acceptance::Yes,
        pace: Pace::patient(args.patience.give_up_after),
        clock: Clock::system(),
    };
    Ending::of(follow.until_end(&mut screen)).await.tell(&screen)
}

async fn all(args: WatchArgs, client: Client, mut screen: Screen) -> Exit {
    let request = WatchMatchesRequest {
        resume_token: args.resume_token.unwrap_or_default(),
        folder_id: args.folder.unwrap_or_default(),
        labels: args.labels.into_iter().collect(),
    };
    let pace = Pace::patient(args.patience.give_up_after);
    let follow = FollowAll { client, request, pace, clock: Clock::system() };
    let failure = async { Err(follow.until_failure(&mut screen).await) };
    let exit = Ending::of(failure).await.tell(&screen);
    if !screen.token().is_empty() {
        tell(&format!("to go on from here: --resume-token {}", screen.token()));
    }
    exit
}

/// How following ended.
#[derive(Debug)]
pub enum Ending {
    /// The match has ended.
    Ended(Box<Match>),
    /// Following has, before the match.
    Stopped(Error),
    /// Somebody pressed Ctrl-C.
    Interrupted,
}

impl Ending {
    /// Waits for the end, or for Ctrl-C.
    pub async fn of(following: impl Future<Output = Result<Match, Error>>) -> Self {
        tokio::select! {
            result = following => match result {
                Ok(ended) => Self::Ended(Box::new(ended)),
                Err(error) => Self::Stopped(error),
            },
            Ok(()) = signal::ctrl_c() => Self::Interrupted,
        }
    }

    /// Whether a match may be going on without its follower.
    pub fn leaves_match(&self) -> bool {
        match self {
            Self::Interrupted | Self::Stopped(Error::Broken(_) | Error::Output(_)) => true,
            Self::Ended(_) | Self::Stopped(Error::Refused(_)) => false,
        }
    }

    /// Says what there is to say and gives the exit code.
    pub fn tell(self, screen: &Screen) -> Exit {
        screen.close();
        match self {
            Self::Ended(ended) => Exit::of(&ended),
            Self::Interrupted => Exit::Interrupted,
            // Whoever closed the pipe knows.
            Self::Stopped(Error::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
                Exit::CallFailed
            }
            Self::Stopped(Error::Output(error)) => {
                screen.fail(&format!("can't write the output: {error}"))
            }
            Self::Stopped(Error::Refused(status) | Error::Broken(status)) => {
                screen.fail(&failure::status(&status, screen.server()))
            }
        }
    }
}
