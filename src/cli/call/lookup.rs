//! `facematch get`, `list`, `cancel` and `delete`: one call with one answer, or one for each page.
//!
//! They deliberately don't retry the first connection: a person at a terminal learns at once that
//! there is no server.

use std::{
    io::{self, Write},
    time::Duration,
};

use tonic::{Status, transport::Uri};

use crate::{
    cli::call::{
        Exit,
        args::{Common, ListArgs, OneArgs, Output, shown},
        client::Connection,
        pb::{
            CancelMatchRequest, DeleteMatchRequest, GetMatchRequest, ListMatchesRequest, Match,
            MatchState, cancel_match_request, delete_match_request, get_match_request,
        },
        render::{
            failure::{self, FailureDetails},
            json,
            notice::Notice,
            text,
        },
        report::{self, ReportedOutage},
        resume::Retry,
        retry::{Error, Terms},
        unary::{Asking, Erased, UnaryRequest},
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
    call(&common, limit.timeout, environment, async |inquiry| {
        let found = inquiry.answer(GetMatchRequest { id }).await?;
        show(common.output, &found)
    })
    .await
}

/// Cancels a match.
pub async fn cancel(args: OneArgs, environment: &Environment) -> Exit {
    let OneArgs { which, limit, common } = args;
    let by_request = which.request_id.map(cancel_match_request::Id::RequestId);
    let id = which.match_id.map(cancel_match_request::Id::MatchId).or(by_request);
    call(&common, limit.timeout, environment, async |inquiry| {
        let found = inquiry.answer(CancelMatchRequest { id }).await?;
        show(common.output, &found)
    })
    .await
}

/// Erases a match, and prints the id of the photo that stays at Oz.
pub async fn delete(args: OneArgs, environment: &Environment) -> Exit {
    let OneArgs { which, limit, common } = args;
    let by_request = which.request_id.map(delete_match_request::Id::RequestId);
    let id = which.match_id.map(delete_match_request::Id::MatchId).or(by_request);
    call(&common, limit.timeout, environment, async |inquiry| {
        let erased = inquiry.erase(DeleteMatchRequest { id }).await?;
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
    call(&common, limit, environment, async |inquiry| pages(args, inquiry).await).await
}

async fn pages(args: ListArgs, inquiry: &mut Inquiry) -> Result<(), Error> {
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
        let page = inquiry.answer(request.clone()).await;
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

/// Asks the server for answers, and prints why it asks again.
struct Inquiry {
    asking: Asking,
    timeout: Duration,
    server: Uri,
    output: Output,
    outage: ReportedOutage,
}

impl Inquiry {
    async fn answer<R: UnaryRequest>(&mut self, request: R) -> Result<R::Answer, Error> {
        let (asking, tell) = self.parts();
        asking.answer(request, tell).await
    }

    async fn erase(&mut self, request: DeleteMatchRequest) -> Result<Erased, Error> {
        let (asking, tell) = self.parts();
        asking.erase(request, tell).await
    }

    fn parts(&mut self) -> (&Asking, impl FnMut(&Status, Retry)) {
        let Self { asking, server, output, outage, .. } = self;
        (asking, |status: &Status, retry: Retry| {
            let (cause, pause) = (failure::outage(status), retry.pause);
            if outage.has_news(&cause, retry) {
                let failure = FailureDetails::of(status, server);
                let notice = Notice::Reconnecting { cause: &cause, failure: &failure, pause };
                report::notice(*output, &notice);
            }
        })
    }

    /// Prints why there is no answer.
    fn failed(&self, error: &Error) -> Exit {
        match error {
            Error::Refused(status)
            | Error::Broken(status)
            | Error::Contract(status)
            | Error::Late(Some(status)) => report::call_failed(self.output, status, &self.server),
            Error::Late(None) => report::call_failed(self.output, &self.late(), &self.server),
            Error::Output(error) => report::unwritable(self.output, error),
        }
    }

    fn late(&self) -> Status {
        let (server, timeout) = (shown(&self.server), humantime::format_duration(self.timeout));
        Status::deadline_exceeded(format!("{server} has not answered within {timeout}"))
    }
}

async fn call(
    common: &Common,
    timeout: Duration,
    environment: &Environment,
    ask: impl AsyncFnOnce(&mut Inquiry) -> Result<(), Error>,
) -> Exit {
    let output = common.output;
    let server = match common.server(environment) {
        Ok(server) => server,
        Err(problem) => return report::usage(output, &problem),
    };
    let connection = match Connection::open(&server, Some(timeout)).await {
        Ok(connection) => connection,
        Err(error) => return not_connected(output, &error, &server),
    };
    let terms = Terms::patient(None, Some(timeout));
    let asking = Asking { connection, terms, clock: Clock::system() };
    let outage = ReportedOutage::default();
    let mut inquiry = Inquiry { asking, timeout, server: server.url, output, outage };
    match ask(&mut inquiry).await {
        Ok(()) => Exit::Success,
        Err(error) => inquiry.failed(&error),
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
