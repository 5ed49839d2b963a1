//! `facematch get`, `list`, `cancel` and `delete`: one call with one answer, or one for each page.
//!
//! They deliberately don't retry: repeating them is safe, so a script can do it.

use std::{
    future::Future,
    io::{self, Write},
    time::Duration,
};

use tonic::{Response, Status, transport::Uri};

use crate::{
    cli::call::{
        Exit,
        args::{Common, ListArgs, OneArgs, Output, shown},
        client::{self, ServiceClient},
        pb::{
            CancelMatchRequest, DeleteMatchRequest, GetMatchRequest, ListMatchesRequest, Match,
            MatchState, cancel_match_request, delete_match_request, get_match_request,
        },
        render::{json, notice::Notice, text},
        report,
        watch::not_connected,
    },
    clock::Clock,
    config::Environment,
};

/// Shows the state of a match.
pub async fn get(args: OneArgs, environment: &Environment) -> Exit {
    let OneArgs { which, limit, common } = args;
    let by_request = which.request_id.map(get_match_request::Id::RequestId);
    let id = which.match_id.map(get_match_request::Id::MatchId).or(by_request);
    call(&common, limit.timeout, environment, async |asking| {
        let found = asking.answer(asking.client().get_match(GetMatchRequest { id })).await?;
        show(common.output, &found)
    })
    .await
}

/// Cancels a match.
pub async fn cancel(args: OneArgs, environment: &Environment) -> Exit {
    let OneArgs { which, limit, common } = args;
    let by_request = which.request_id.map(cancel_match_request::Id::RequestId);
    let id = which.match_id.map(cancel_match_request::Id::MatchId).or(by_request);
    call(&common, limit.timeout, environment, async |asking| {
        let found = asking.answer(asking.client().cancel_match(CancelMatchRequest { id })).await?;
        show(common.output, &found)
    })
    .await
}

/// Erases a match, and prints the id of the photo that stays at Oz.
pub async fn delete(args: OneArgs, environment: &Environment) -> Exit {
    let OneArgs { which, limit, common } = args;
    let by_request = which.request_id.map(delete_match_request::Id::RequestId);
    let id = which.match_id.map(delete_match_request::Id::MatchId).or(by_request);
    call(&common, limit.timeout, environment, async |asking| {
        let request = DeleteMatchRequest { id };
        let erased = asking.answer(asking.client().delete_match(request)).await?;
        print(&match common.output {
            Output::Text => text::erased(&erased),
            Output::Json => json::erased(&erased),
        })
    })
    .await
}

/// Lists matches: one page, or all of them.
pub async fn list(args: ListArgs, environment: &Environment) -> Exit {
    let (common, limit) = (args.common.clone(), args.limit.timeout);
    call(&common, limit, environment, async |asking| pages(args, asking).await).await
}

async fn pages(args: ListArgs, asking: &Asking) -> Result<(), Error> {
    let output = args.common.output;
    let mut request = ListMatchesRequest {
        page_size: args.page_size,
        page_token: args.page_token.unwrap_or_default(),
        folder_id: args.folder.unwrap_or_default(),
        labels: args.labels.into_iter().collect(),
        states: args.states.into_iter().map(|state| MatchState::from(state).into()).collect(),
        created_after: args.created_after,
        created_before: args.created_before,
    };
    let mut is_first = true;
    loop {
        let page = asking.answer(asking.client().list_matches(request.clone())).await;
        if page.is_err() && !is_first {
            report::notice(output, &Notice::ListGoesOn(&request.page_token));
        }
        let page = page?;
        page.matches.iter().try_for_each(|found| show_row(output, found))?;
        if page.next_page_token.is_empty() {
            return Ok(());
        }
        // A page may be empty and still have a token: then the next page follows.
        if !args.all && !page.matches.is_empty() {
            return show_token(output, &page.next_page_token);
        }
        request.page_token = page.next_page_token;
        is_first = false;
    }
}

/// Shows the token of the next page. In JSON it is part of the answer: the last line.
fn show_token(output: Output, token: &str) -> Result<(), Error> {
    match output {
        Output::Text => report::notice(output, &Notice::ListGoesOn(token)),
        Output::Json => print(&json::next_page(token))?,
    }
    Ok(())
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("the call failed")]
    Call(Box<Status>),
    #[error("can't write the output")]
    Output(#[from] io::Error),
}

impl From<Status> for Error {
    fn from(status: Status) -> Self {
        Self::Call(Box::new(status))
    }
}

/// A client with a time limit for each answer.
struct Asking {
    client: ServiceClient,
    clock: Clock,
    timeout: Duration,
    server: Uri,
}

impl Asking {
    fn client(&self) -> ServiceClient {
        self.client.clone()
    }

    /// The answer to a call, or DEADLINE_EXCEEDED after the time limit.
    async fn answer<T>(
        &self,
        calling: impl Future<Output = Result<Response<T>, Status>>,
    ) -> Result<T, Status> {
        let end = self.clock.now().after(self.timeout);
        match self.clock.before(end, calling).await {
            Some(answer) => answer.map(Response::into_inner),
            None => Err(Status::deadline_exceeded(format!(
                "{} has not answered within {}",
                shown(&self.server),
                humantime::format_duration(self.timeout)
            ))),
        }
    }
}

async fn call(
    common: &Common,
    timeout: Duration,
    environment: &Environment,
    ask: impl AsyncFnOnce(&Asking) -> Result<(), Error>,
) -> Exit {
    let output = common.output;
    let server = match common.server(environment) {
        Ok(server) => server,
        Err(problem) => return report::usage(output, &problem),
    };
    let client = match client::connect(&server, Some(timeout)).await {
        Ok(client) => client,
        Err(error) => return not_connected(output, &error, &server),
    };
    let asking = Asking { client, clock: Clock::system(), timeout, server: server.url };
    match ask(&asking).await {
        Ok(()) => Exit::Success,
        Err(Error::Call(status)) => report::call_failed(output, &status, &asking.server),
        Err(Error::Output(error)) => report::unwritable(output, &error),
    }
}

fn show(output: Output, found: &Match) -> Result<(), Error> {
    print(&match output {
        Output::Text => text::snapshot(found),
        Output::Json => json::snapshot(found),
    })
}

fn show_row(output: Output, found: &Match) -> Result<(), Error> {
    print(&match output {
        Output::Text => text::row(found),
        Output::Json => json::snapshot(found),
    })
}

fn print(line: &str) -> Result<(), Error> {
    Ok(writeln!(io::stdout(), "{line}")?)
}
