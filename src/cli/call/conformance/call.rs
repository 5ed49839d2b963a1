//! One call of the runner: a verb of the command line, with its events as lines.

use std::{future::Future, io, sync::Arc};

use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use crate::{
    cli::{
        Exit,
        call::{
            args::Server,
            client::Connection,
            conformance::{
                command::{CallWish, MatchWish, VerbName},
                event::{self, EventLines, FailureLine},
                request,
            },
            follow::{Audience, FollowMatch, FollowMatches, Target},
            pb::{
                DeleteMatchRequest, ListMatchesRequest, Match, MatchRequest, MatchState,
                MatchUpdate, WatchMatchesRequest, match_update::Event,
            },
            resume::{Acceptance, Retry, Seen},
            retry::{Error, Terms},
            unary::{Asking, Erased, UnaryRequest},
            watch::WatchEnd,
        },
    },
    clock::Clock,
};

/// What a call needs, beside its command.
pub struct DrivenCall {
    pub lines: EventLines,
    pub connection: Connection,
    pub server: Server,
    pub terms: Terms,
    pub go: Arc<Semaphore>,
    pub cancel: CancellationToken,
}

impl DrivenCall {
    /// Makes the call, and prints its events.
    pub async fn run(self, command: CallWish) {
        let (lines, name) = (self.lines.clone(), command.call.clone());
        match self.answer(command).await {
            Ok(parts) => lines.result(&name, parts),
            Err(failure) => lines.failed(&name, &failure),
        }
    }

    async fn answer(&self, command: CallWish) -> Result<Value, FailureLine> {
        match command.verb {
            VerbName::Match | VerbName::Run => Box::pin(self.run_match(command)).await,
            VerbName::Watch => Box::pin(self.watch(command)).await,
            VerbName::WatchAll => Box::pin(self.watch_all(command)).await,
            VerbName::Create => {
                let made = self.create(wanted(command.request).await?).await?;
                Ok(event::of_one(&made))
            }
            VerbName::Get => {
                let found = self.ask(&command, request::of_get(command.id.clone())).await?;
                Ok(event::of_one(&found))
            }
            VerbName::Cancel => {
                let found = self.ask(&command, request::of_cancel(command.id.clone())).await?;
                Ok(event::of_one(&found))
            }
            VerbName::Delete => {
                let erased = self.erase(&command, request::of_delete(command.id.clone())).await?;
                Ok(event::of_erased(&erased))
            }
            VerbName::List => Box::pin(self.list(command)).await,
        }
    }

    async fn run_match(&self, command: CallWish) -> Result<Value, FailureLine> {
        let mut printer = Printer::of(self, &command, None);
        let wanted = wanted(command.request).await?;
        let request_id = wanted.request_id.clone();
        let is_match = matches!(command.verb, VerbName::Match);
        printer.is_silent = is_match;
        if !is_match {
            self.lines.request_id(&command.call, &request_id);
        }
        let mut follow = self.follow(Target::Run(wanted), 0, Acceptance::No);
        let followed = self.to_end(&mut follow, &mut printer).await;
        let match_id = &follow.seen.match_id;
        let named = |failure: FailureLine, continues| {
            failure.with_match(continues, match_id, Some(&request_id))
        };
        match followed {
            Ok(ended) if is_match => {
                verdict(&ended, &request_id).map_err(|failure| named(failure, false))
            }
            Ok(ended) => Ok(event::of_last(Some(&ended))),
            Err(StopCause::Left) => Ok(event::stopped(event::of_last(printer.last.as_ref()))),
            Err(stop) => Err(named(self.failure(&stop), continues(&stop, follow.acceptance))),
        }
    }

    async fn watch(&self, command: CallWish) -> Result<Value, FailureLine> {
        let mut printer = Printer::of(self, &command, None);
        let wanted = request::of_watch(command.id, command.include_progress.unwrap_or_default());
        let after = command.after_sequence.unwrap_or_default();
        let mut follow = self.follow(Target::Watch(wanted), after, Acceptance::Yes);
        match self.to_end(&mut follow, &mut printer).await {
            Ok(ended) => Ok(event::of_last(Some(&ended))),
            Err(StopCause::Left) => Ok(event::stopped(event::of_last(printer.last.as_ref()))),
            Err(stop) => {
                let continues = continues(&stop, Acceptance::Yes);
                Err(self.failure(&stop).with_match(continues, &follow.seen.match_id, None))
            }
        }
    }

    async fn watch_all(&self, command: CallWish) -> Result<Value, FailureLine> {
        let token = command.resume_token.clone().unwrap_or_default();
        let mut printer = Printer::of(self, &command, Some(&token));
        let mut follow = FollowMatches {
            connection: self.connection.clone(),
            request: WatchMatchesRequest {
                resume_token: token,
                folder_id: command.folder_id.unwrap_or_default(),
                labels: command.labels.unwrap_or_default().into_iter().collect(),
            },
            once_expired: request::once_expired(command.on_expired),
            terms: self.terms,
            clock: Clock::system(),
        };
        let following = async {
            printer.pause().await;
            Err::<(), _>(follow.until_failure(&mut printer).await)
        };
        let stop = match self.unless_cancelled(following).await {
            Ok(()) => return Err(FailureLine::contract("a stream of all matches has no end")),
            Err(stop) => stop,
        };
        match stop {
            StopCause::Left => {
                Ok(event::stopped(event::of_token(printer.token.as_deref().unwrap_or_default())))
            }
            stop => Err(self.failure(&stop)),
        }
    }

    async fn list(&self, command: CallWish) -> Result<Value, FailureLine> {
        let states = command.states.iter().flatten();
        let states = states.map(|word| MatchState::from_str_name(&format!("MATCH_STATE_{word}")));
        let mut asked = ListMatchesRequest {
            folder_id: command.folder_id.clone().unwrap_or_default(),
            labels: command.labels.clone().unwrap_or_default().into_iter().collect(),
            states: states.map(|state| state.unwrap_or_default().into()).collect(),
            page_size: command.page_size.unwrap_or_default(),
            ..Default::default()
        };
        let mut count = 0;
        loop {
            let page = self.ask(&command, asked.clone()).await?;
            for found in &page.matches {
                self.lines.item(&command.call, found);
                count += 1;
                if command.stop_after == Some(count) {
                    return Ok(event::stopped(json!({})));
                }
            }
            if page.next_page_token.is_empty() {
                return Ok(json!({}));
            }
            asked.page_token = page.next_page_token;
        }
    }

    fn follow(&self, target: Target, after: u64, acceptance: Acceptance) -> FollowMatch {
        FollowMatch {
            connection: self.connection.clone(),
            target,
            seen: Seen::up_to(after),
            acceptance,
            terms: self.terms,
            clock: Clock::system(),
        }
    }

    async fn to_end(
        &self,
        follow: &mut FollowMatch,
        printer: &mut Printer,
    ) -> Result<Match, StopCause> {
        self.unless_cancelled(async {
            printer.pause().await;
            follow.until_end(printer).await
        })
        .await
    }

    async fn unless_cancelled<T>(
        &self,
        calling: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, StopCause> {
        match self.cancel.run_until_cancelled(calling).await {
            Some(Ok(ended)) => Ok(ended),
            Some(Err(Error::Output(_))) => Err(StopCause::Left),
            Some(Err(error)) => Err(StopCause::Failed(error)),
            None => Err(StopCause::Cancelled),
        }
    }

    /// Makes a match without following it. No command does that, so nothing is repeated.
    async fn create(&self, wanted: MatchRequest) -> Result<Match, FailureLine> {
        let mut client = self.connection.link().client;
        let clock = Clock::system();
        let creating = clock.before(clock.now().after(self.terms.answer), async {
            Ok(client.create_match(wanted).await?.into_inner())
        });
        let made = async { creating.await.unwrap_or(Err(Error::Late(None))) };
        self.unless_cancelled(made).await.map_err(|stop| self.failure(&stop))
    }

    async fn ask<R: UnaryRequest>(
        &self,
        command: &CallWish,
        request: R,
    ) -> Result<R::Answer, FailureLine> {
        let asking = self.asking();
        let answer = asking.answer(request, self.teller(command));
        self.unless_cancelled(answer).await.map_err(|stop| self.failure(&stop))
    }

    async fn erase(
        &self,
        command: &CallWish,
        request: DeleteMatchRequest,
    ) -> Result<Erased, FailureLine> {
        let asking = self.asking();
        let erased = asking.erase(request, self.teller(command));
        self.unless_cancelled(erased).await.map_err(|stop| self.failure(&stop))
    }

    fn asking(&self) -> Asking {
        let terms = Terms { limit: self.terms.limit.or(Some(self.terms.answer)), ..self.terms };
        Asking { connection: self.connection.clone(), terms, clock: Clock::system() }
    }

    fn teller(&self, command: &CallWish) -> impl FnMut(&Status, Retry) {
        |status, retry| self.lines.reconnect(&command.call, &command.client, status, retry)
    }

    fn failure(&self, stop: &StopCause) -> FailureLine {
        match stop {
            StopCause::Failed(error) => FailureLine::of(error, &self.server.url),
            StopCause::Cancelled | StopCause::Left => FailureLine::cancelled(),
        }
    }
}

/// The request for a match.
async fn wanted(wish: Option<MatchWish>) -> Result<MatchRequest, FailureLine> {
    let wish = wish.ok_or_else(|| FailureLine::usage("no request"))?;
    request::of_match(wish).await.map_err(|why| FailureLine::usage(&why))
}

/// Why a call stopped before its end.
enum StopCause {
    Failed(Error),
    Cancelled,
    /// The runner's command had enough of it.
    Left,
}

/// Whether the command line would say that the match may go on.
fn continues(stop: &StopCause, acceptance: Acceptance) -> bool {
    let leaves = match stop {
        StopCause::Failed(Error::Refused(status)) => {
            WatchEnd::Stopped(Error::Refused(status.clone())).leaves_match(acceptance)
        }
        StopCause::Failed(_) | StopCause::Cancelled | StopCause::Left => true,
    };
    leaves && acceptance > Acceptance::No
}

/// The verdict of a match, as its exit code says it.
fn verdict(ended: &Match, request_id: &str) -> Result<Value, FailureLine> {
    if let Some(failure) = FailureLine::of_match(ended) {
        return Err(failure);
    }
    match Exit::of(ended) {
        Exit::UnknownVerdict => {
            Err(FailureLine::contract("the match has ended without a known verdict"))
        }
        exit => Ok(event::of_verdict(ended, request_id, exit == Exit::Success)),
    }
}

/// Prints the updates of a call, and pauses and stops where its command says.
struct Printer {
    lines: EventLines,
    call: String,
    client: String,
    heartbeats: bool,
    pause_after: Vec<u64>,
    stop_after: Option<u64>,
    go: Arc<Semaphore>,
    /// Whether only the end matters.
    is_silent: bool,
    count: u64,
    /// Of a stream of all matches: the token of the last update that the caller is done with.
    token: Option<String>,
    /// The match as of the last update.
    last: Option<Match>,
}

impl Printer {
    fn of(call: &DrivenCall, command: &CallWish, token: Option<&str>) -> Self {
        Self {
            lines: call.lines.clone(),
            call: command.call.clone(),
            client: command.client.clone(),
            heartbeats: command.heartbeats.unwrap_or_default(),
            pause_after: command.pause_after.clone(),
            stop_after: command.stop_after,
            go: call.go.clone(),
            is_silent: false,
            count: 0,
            token: token.map(str::to_owned),
            last: None,
        }
    }

    /// Pauses if the command says so at this point.
    async fn pause(&self) {
        if self.pause_after.contains(&self.count) {
            self.lines.paused(&self.call, self.token.as_deref());
            if let Ok(permit) = self.go.acquire().await {
                permit.forget();
            }
        }
    }

    fn is_wanted(&self, update: &MatchUpdate) -> bool {
        let is_heartbeat = matches!(update.event, Some(Event::Heartbeat(_)));
        !self.is_silent && (!is_heartbeat || self.heartbeats)
    }

    fn finish(&mut self, update: &MatchUpdate) {
        if self.token.is_some() && !update.resume_token.is_empty() {
            self.token = Some(update.resume_token.clone());
        }
    }
}

impl Audience for Printer {
    async fn update(&mut self, update: &MatchUpdate) -> io::Result<()> {
        if self.is_wanted(update) {
            self.last.clone_from(&update.r#match);
            self.lines.update(&self.call, update);
            self.count += 1;
            if self.stop_after == Some(self.count) {
                self.finish(update);
                return Err(io::Error::other("the command has enough"));
            }
            self.pause().await;
        }
        self.finish(update);
        Ok(())
    }

    fn broken(&mut self, status: &Status, retry: Retry) {
        self.lines.reconnect(&self.call, &self.client, status, retry);
    }

    fn missed(&mut self, status: &Status) {
        let retry = Retry { pause: std::time::Duration::ZERO, attempt: 1 };
        self.lines.reconnect(&self.call, &self.client, status, retry);
    }
}
