use std::time::Duration;

use futures_util::future::join_all;

use super::*;

/// The pause after a batch during which two words or more came.
const PAUSE: Duration = Duration::from_secs(1);

/// The words of each commit, and the other calls of the engine.
type Calls = Arc<Mutex<Vec<String>>>;

/// An engine that commits words. The reply to a word is the number of its commit.
struct Words {
    calls: Calls,
    commits: usize,
    due: Option<Timestamp>,
    asides: Vec<ReplySender<usize>>,
    ticks: Clock,
}

struct Word {
    word: &'static str,
    reply: ReplySender<usize>,
}

impl Words {
    fn note(&self, call: &str) {
        lock(&self.calls).push(call.to_owned());
    }
}

impl Engine for Words {
    type Request = Word;
    type Job = Word;
    type Receipt = usize;

    const JOBS_MAX: usize = 4;

    fn accept(&mut self, request: Word) -> Option<Word> {
        match request.word {
            "aside" => {
                self.asides.push(request.reply);
                None
            }
            _ => Some(request),
        }
    }

    /// Postpones all late words but the first.
    fn postpone(&mut self, batch: &mut Vec<Word>) -> Vec<Word> {
        let mut late = 0;
        let is_postponed = |job: &mut Word| {
            late += usize::from(job.word.starts_with("late"));
            job.word.starts_with("late") && late > 1
        };
        batch.extract_if(.., is_postponed).collect()
    }

    fn due(&self) -> Option<Timestamp> {
        self.due
    }

    async fn commit(&mut self, batch: &mut Vec<Word>) -> Result<usize, Failure> {
        let words: Vec<&str> = batch.iter().map(|job| job.word).collect();
        self.note(&words.join(" "));
        assert!(!words.contains(&"panic"), "a bug in the engine");
        let error = || Error::Corrupt("a test".to_owned());
        if words.contains(&"bad") {
            return Err(Failure::Job(error()));
        }
        if words.contains(&"down") {
            return Err(Failure::Store(error()));
        }
        self.commits += 1;
        Ok(self.commits)
    }

    fn answer(&mut self, batch: Vec<Word>, committed: Result<usize, Error>) {
        batch.into_iter().for_each(|job| job.reply.send(committed.clone()));
    }

    async fn after_batch(&mut self) {
        if self.due.take().is_some() {
            self.note("was due");
        }
        for aside in mem::take(&mut self.asides) {
            self.note("aside");
            aside.send(Ok(self.commits));
        }
    }

    async fn gather(&mut self, waiting: usize) {
        if waiting >= 2 {
            self.ticks.sleep(PAUSE).await;
        }
    }

    async fn finish(self) {
        self.note("finished");
    }
}

fn words_due(due: Option<Timestamp>, ticks: Clock) -> (Handle<Word>, Calls) {
    let calls = Calls::default();
    let (commits, asides) = (0, Vec::new());
    let engine = Words { calls: Arc::clone(&calls), commits, due, asides, ticks: ticks.clone() };
    (Handle::spawn(engine, ticks, Arc::default()), calls)
}

fn words() -> (Handle<Word>, Calls) {
    words_due(None, Clock::system())
}

fn send(handle: &Handle<Word>, word: &'static str) -> impl Future<Output = Result<usize, Error>> {
    handle.send(move |reply| Word { word, reply })
}

/// Sends words at the same time. Returns the commits that wrote them; `None` for a failed one.
async fn all<const N: usize>(
    handle: &Handle<Word>,
    words: [&'static str; N],
) -> [Option<usize>; N] {
    let replies = join_all(words.map(|word| send(handle, word))).await;
    replies.into_iter().map(Result::ok).collect::<Vec<_>>().try_into().unwrap()
}

#[tokio::test]
async fn pending_requests_share_a_commit() {
    let (handle, calls) = words();
    assert_eq!(all(&handle, ["one", "two", "three"]).await, [Some(1); 3]);
    assert_eq!(all(&handle, ["four"]).await, [Some(2)]);
    assert_eq!(*lock(&calls), ["one two three", "four"]);
}

#[tokio::test]
async fn a_job_that_fails_affects_no_other() {
    let (handle, calls) = words();
    assert_eq!(all(&handle, ["one", "bad", "two"]).await, [Some(1), None, Some(2)]);
    assert_eq!(all(&handle, ["bad"]).await, [None]);
    assert_eq!(*lock(&calls), ["one bad two", "one", "bad", "two", "bad"]);
}

#[tokio::test]
async fn a_store_that_fails_is_not_asked_again_for_each_job() {
    let (handle, calls) = words();
    assert_eq!(all(&handle, ["one", "down"]).await, [None; 2]);
    assert_eq!(*lock(&calls), ["one down"]);
}

/// Others are taken beside them, but no more than there is room for.
#[tokio::test]
async fn postponed_jobs_are_the_first_of_the_next_batch() {
    let (handle, calls) = words();
    let sent = ["late one", "late two", "late three", "a", "b", "c", "d"];
    let commits = [Some(1), Some(2), Some(3), Some(1), Some(2), Some(2), Some(3)];
    assert_eq!(all(&handle, sent).await, commits);
    assert_eq!(*lock(&calls), ["late one a", "late two b c", "late three d"]);
}

#[tokio::test]
async fn a_request_outside_of_commits_runs_after_the_batch() {
    let (handle, calls) = words();
    assert_eq!(all(&handle, ["aside", "one"]).await, [Some(1); 2]);
    assert_eq!(all(&handle, ["aside"]).await, [Some(1)]);
    assert_eq!(*lock(&calls), ["one", "aside", "aside"]);
}

#[tokio::test]
async fn requests_during_a_pause_share_the_next_commit() {
    let (ticks, hand) = Clock::manual(Timestamp::default());
    let (handle, calls) = words_due(None, ticks);
    let mut waiting: Vec<_> = ["one", "two", "three", "four", "five", "six"]
        .map(|word| Box::pin(send(&handle, word)))
        .into();
    assert!(waiting.iter_mut().all(|reply| reply.now_or_never().is_none()));
    for reply in waiting.drain(..4) {
        assert_eq!(reply.await.unwrap(), 1);
    }
    waiting.push(Box::pin(send(&handle, "seven")));
    for _ in 0..10 {
        let is_answered = waiting.iter_mut().any(|reply| reply.now_or_never().is_some());
        assert!(!is_answered, "they wait for the end of the pause");
        tokio::task::yield_now().await;
    }
    hand.advance(PAUSE);
    for reply in waiting {
        assert_eq!(reply.await.unwrap(), 2);
    }
    assert_eq!(*lock(&calls), ["one two three four", "five six seven"]);
}

#[tokio::test]
async fn an_engine_that_is_due_runs_without_a_request() {
    let (ticks, hand) = Clock::manual(Timestamp::default());
    let (handle, calls) = words_due(Some(ticks.now().after(Duration::from_secs(1))), ticks);
    tokio::task::yield_now().await;
    assert!(lock(&calls).is_empty());
    hand.advance(Duration::from_secs(1));
    handle.close().await;
    assert_eq!(*lock(&calls), ["was due", "finished"]);
}

#[tokio::test]
async fn closing_finishes_what_is_queued() {
    let (handle, calls) = words();
    let queued = ["late one", "late two", "late three", "aside", "one"];
    let (replies, ()) = tokio::join!(all(&handle, queued), handle.close());
    assert!(replies.iter().all(Option::is_some));
    assert_eq!(*lock(&calls), ["late one", "aside", "late two one", "late three", "finished"]);
    assert!(!handle.is_open());
    assert!(matches!(send(&handle, "two").await, Err(Error::Unavailable(_))));
    handle.close().await;
}

#[tokio::test]
async fn calls_fail_after_a_panic_of_the_engine() {
    let (handle, _) = words();
    assert!(handle.is_open());
    assert!(matches!(send(&handle, "panic").await, Err(Error::Unavailable(_))));
    assert!(matches!(send(&handle, "one").await, Err(Error::Unavailable(_))));
    assert!(!handle.is_open());
    handle.close().await;
}
