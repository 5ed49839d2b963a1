//! Calls with one answer, of a request with scripted answers. `tests/it/commands` has the commands.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::task;
use tonic::Code;
use tonic_types::{ErrorDetails, StatusExt};

use super::*;
use crate::{
    cli::call::{args::Server, resume::Backoff},
    domain::Timestamp,
    sync::lock,
};

/// The end of a try; `None`: it hangs.
type End = Option<Result<u32, Status>>;

/// A request whose tries end by these answers, in order.
#[derive(Clone)]
struct Scripted(Arc<Mutex<VecDeque<End>>>);

impl Scripted {
    fn by(answers: impl IntoIterator<Item = End>) -> Self {
        Self(Arc::new(Mutex::new(answers.into_iter().collect())))
    }

    fn left(&self) -> usize {
        lock(&self.0).len()
    }
}

impl UnaryRequest for Scripted {
    type Answer = u32;

    async fn send(self, _: ServiceClient) -> Result<Response<u32>, Status> {
        let answer = lock(&self.0).pop_front().expect("an answer for each try");
        match answer {
            Some(answer) => answer.map(Response::new),
            None => std::future::pending().await,
        }
    }
}

const LIMIT: Duration = Duration::from_secs(30);

/// Without a pause, unless the server asks for one.
const PROMPT: Backoff =
    Backoff { first: Duration::ZERO, longest: Duration::ZERO, ..Backoff::patient(None) };

async fn asking(clock: Clock) -> Asking {
    let url = "http://127.0.0.1:9".parse().expect("a URL");
    let server = Server { url, ca_file: None, identity: None, token_file: None };
    let connection = Connection::prepare(&server).await.expect("nothing is called");
    let terms = Terms { pace: PROMPT, ..Terms::patient(None, Some(LIMIT)) };
    Asking { connection, terms, clock }
}

fn refusal(code: Code, reason: &str, delay: Option<Duration>) -> Status {
    let mut details = ErrorDetails::with_error_info(reason, "facematch", []);
    details.set_retry_info(delay);
    Status::with_error_details(code, "no", details)
}

fn store_away(delay: Option<Duration>) -> Option<Result<u32, Status>> {
    Some(Err(refusal(Code::Unavailable, "STORE_UNAVAILABLE", delay)))
}

#[tokio::test]
async fn a_call_is_repeated_until_it_is_answered_and_each_retry_is_told() {
    let lost = Some(Err(Status::unavailable("the connection broke")));
    let request = Scripted::by([store_away(None), lost, Some(Ok(7))]);
    let mut told = Vec::new();
    let tell = |status: &Status, retry: Retry| told.push((retry.attempt, resume::reason(status)));
    let answer = asking(Clock::system()).await.answer(request, tell).await;
    assert_eq!(answer.expect("an answer"), 7);
    assert_eq!(told, [(1, Some("STORE_UNAVAILABLE".to_owned())), (2, None)]);
}

#[tokio::test]
async fn a_refusal_is_the_answer_at_once() {
    let refused = refusal(Code::NotFound, "MATCH_NOT_FOUND", None);
    let request = Scripted::by([Some(Err(refused)), Some(Ok(7))]);
    let tell = |_: &Status, _| panic!("it isn't repeated");
    let error = asking(Clock::system()).await.answer(request.clone(), tell).await;
    assert!(matches!(error, Err(Error::Refused(_))), "{error:?}");
    assert_eq!(request.left(), 1);
}

#[tokio::test]
async fn the_limit_covers_all_tries_and_their_pauses() {
    let (clock, hand) = Clock::manual(Timestamp::from_micros(0));
    let pause = LIMIT / 3;
    let request = Scripted::by([store_away(Some(pause)), None]);
    let asking = asking(clock).await;
    let before = asking.connection.link();
    let mut pauses = Vec::new();
    let answer =
        asking.answer(request.clone(), |_: &Status, retry: Retry| pauses.push(retry.pause));
    // The longest pause, and then the rest of the limit.
    let passing = async {
        for (tries_left, time) in [(1, LIMIT / 2), (0, LIMIT / 2)] {
            while request.left() > tries_left || hand.next_wake().is_none() {
                task::yield_now().await;
            }
            hand.advance(time);
        }
    };
    let (answer, ()) = tokio::join!(answer, passing);
    assert!(matches!(answer, Err(Error::Late(None))), "{answer:?}");
    assert!(pauses.len() == 1 && pauses[0] >= pause && pauses[0] <= pause * 3 / 2, "{pauses:?}");
    let after = asking.connection.link();
    assert!(after.replaces(&before), "the connection of an unanswered call may be dead");
}

#[tokio::test]
async fn a_pause_that_outlasts_the_limit_is_not_waited_for_and_its_error_is_kept() {
    let request = Scripted::by([store_away(Some(LIMIT))]);
    let tell = |_: &Status, _| panic!("it isn't repeated");
    let error = asking(Clock::system()).await.answer(request, tell).await;
    let Err(Error::Late(Some(status))) = error else { panic!("{error:?}") };
    assert_eq!(resume::reason(&status).as_deref(), Some("STORE_UNAVAILABLE"));
}
