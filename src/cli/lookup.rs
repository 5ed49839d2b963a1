//! `facematch get`, `list`, `cancel` and `delete`: one call, one answer.
//!
//! They don't try again: repeating them is safe, and the caller's to do.

use std::io::{self, Write};

use tonic::{Status, transport::Uri};

use crate::cli::{
    Exit,
    args::{Common, ListArgs, OneArgs, Output},
    client::{self, Client},
    pb::{
        CancelMatchRequest, DeleteMatchRequest, GetMatchRequest, ListMatchesRequest, Match,
        MatchState, cancel_match_request, delete_match_request, get_match_request,
    },
    render::{failure, json, text},
    tell,
};

/// Tells where a match stands.
pub async fn get(args: OneArgs) -> Exit {
    let OneArgs { which, common } = args;
    let by_request = which.request_id.map(get_match_request::Id::RequestId);
    let id = which.match_id.map(get_match_request::Id::MatchId).or(by_request);
    let output = common.output;
    call(&common, async |client| {
        show(output, client.get_match(GetMatchRequest { id }).await?.get_ref())
    })
    .await
}

/// Ends a match.
pub async fn cancel(args: OneArgs) -> Exit {
    let OneArgs { which, common } = args;
    let by_request = which.request_id.map(cancel_match_request::Id::RequestId);
    let id = which.match_id.map(cancel_match_request::Id::MatchId).or(by_request);
    let output = common.output;
    call(&common, async |client| {
        show(output, client.cancel_match(CancelMatchRequest { id }).await?.get_ref())
    })
    .await
}

/// Erases a match, and tells of the photo that stays at Oz.
pub async fn delete(args: OneArgs) -> Exit {
    let OneArgs { which, common } = args;
    let by_request = which.request_id.map(delete_match_request::Id::RequestId);
    let id = which.match_id.map(delete_match_request::Id::MatchId).or(by_request);
    let output = common.output;
    call(&common, async |client| {
        let erased = client.delete_match(DeleteMatchRequest { id }).await?.into_inner();
        let line = match output {
            Output::Text => text::erased(&erased),
            Output::Json => json::erased(&erased),
        };
        Ok(writeln!(io::stdout(), "{line}")?)
    })
    .await
}

/// Lists matches.
pub async fn list(args: ListArgs) -> Exit {
    let common = args.common.clone();
    call(&common, async |client| pages(args, client).await).await
}

async fn pages(args: ListArgs, client: &mut Client) -> Result<(), Error> {
    let mut request = ListMatchesRequest {
        page_size: args.page_size,
        page_token: args.page_token.unwrap_or_default(),
        folder_id: args.folder.unwrap_or_default(),
        labels: args.labels.into_iter().collect(),
        states: args.states.into_iter().map(|state| MatchState::from(state).into()).collect(),
        created_after: args.created_after,
        created_before: args.created_before,
    };
    loop {
        let page = client.list_matches(request.clone()).await?.into_inner();
        page.matches.iter().try_for_each(|found| show_row(args.common.output, found))?;
        if page.next_page_token.is_empty() {
            return Ok(());
        }
        // A page without matches says only that none of those that were looked at fits.
        if !args.all && !page.matches.is_empty() {
            tell(&format!("there are more: --all, or --page-token {}", page.next_page_token));
            return Ok(());
        }
        request.page_token = page.next_page_token;
    }
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

async fn call(common: &Common, ask: impl AsyncFnOnce(&mut Client) -> Result<(), Error>) -> Exit {
    let server = &common.server;
    let mut client = match client::connect(server).await {
        Ok(client) => client,
        Err(error) => {
            tell(&failure::unreachable(&error, server));
            return Exit::CallFailed;
        }
    };
    match ask(&mut client).await {
        Ok(()) => Exit::Success,
        Err(error) => failed(error, server),
    }
}

fn failed(error: Error, server: &Uri) -> Exit {
    match error {
        Error::Call(status) => tell(&failure::status(&status, server)),
        // Whoever closed the pipe knows.
        Error::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => (),
        Error::Output(error) => tell(&format!("can't write the output: {error}")),
    }
    Exit::CallFailed
}

fn show(output: Output, found: &Match) -> Result<(), Error> {
    let line = match output {
        Output::Text => text::snapshot(found),
        Output::Json => json::snapshot(found),
    };
    Ok(writeln!(io::stdout(), "{line}")?)
}

fn show_row(output: Output, found: &Match) -> Result<(), Error> {
    let line = match output {
        Output::Text => text::row(found),
        Output::Json => json::snapshot(found),
    };
    Ok(writeln!(io::stdout(), "{line}")?)
}
