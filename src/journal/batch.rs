//! The task that writes to a store: takes the queued requests, has its engine commit them in
//! batches, and has the callers answered.
//!
//! Requests that are pending at the same time share a commit. If a commit fails because of one job,
//! each job of its batch is committed once more alone, so that the failure affects no other. The
//! task deliberately knows nothing of what is written, nor of the store: its [`Engine`] does.

use std::{
    future::Future,
    io, mem,
    sync::{Arc, Mutex},
    thread,
};

use futures_util::FutureExt;
use tokio::{
    runtime,
    sync::{mpsc, oneshot},
};

use crate::{
    clock::Clock,
    domain::Timestamp,
    journal::{
        Claim, Error,
        reply::{self, CarriesClaims, ClaimGuard, Orphans, ReplySender},
    },
    metrics::JournalMetrics,
    sync::lock,
};

/// The most requests that are taken from the queue at once. A larger commit is no faster, and
/// delays its first reply.
pub(super) const BATCH_MAX: usize = 128;

/// The capacity of the queue. While it is full, callers wait to enter it.
pub(super) const QUEUE_MAX: usize = 1024;

/// Sends requests to the task. Lives as long as the journal.
pub(super) struct Handle<R> {
    messages: mpsc::Sender<Message<R>>,
    orphans: Arc<Orphans>,
    metrics: JournalMetrics,
    /// Signalled once the task has ended; closed without a signal if it has panicked.
    ended: Mutex<Option<oneshot::Receiver<()>>>,
}

enum Message<R> {
    Request(R),
    Close,
}

/// What the task does with a store. It is called by one task, one call after another.
pub(super) trait Engine: Send + 'static {
    /// What callers send.
    type Request: Send + 'static;

    /// A request that is committed together with others.
    type Job: Send + 'static;

    /// What a commit leaves for the replies to its jobs.
    type Receipt: Send;

    /// The most jobs that are in memory before a commit: new ones and postponed ones. At least one
    /// more than [`Engine::postpone`] takes out.
    const JOBS_MAX: usize = BATCH_MAX;

    /// The job of a request. `None` if the request is not part of a commit: the engine keeps it
    /// for [`Engine::after_batch`], or drops it.
    fn accept(&mut self, request: Self::Request) -> Option<Self::Job>;

    /// Takes the jobs out of a batch that must not be in its commit. They are the first jobs of the
    /// next batch, which follows at once.
    fn postpone(&mut self, _batch: &mut Vec<Self::Job>) -> Vec<Self::Job> {
        Vec::new()
    }

    /// When the engine has something to do although no request comes: a batch without jobs.
    fn due(&self) -> Option<Timestamp>;

    /// Runs before each batch.
    fn before_batch(&mut self) -> impl Future<Output = ()> + Send {
        async {}
    }

    /// Commits the jobs of a batch together. Jobs that it answers itself are taken out of the
    /// batch.
    fn commit(
        &mut self,
        batch: &mut Vec<Self::Job>,
    ) -> impl Future<Output = Result<Self::Receipt, Failure>> + Send;

    /// Sends the replies to the jobs of a batch.
    fn answer(&mut self, batch: Vec<Self::Job>, committed: Result<Self::Receipt, Error>);

    /// Runs after each batch.
    fn after_batch(&mut self) -> impl Future<Output = ()> + Send;

    /// Runs after each batch, while so many requests are waiting: nearly all came during the batch.
    /// It may wait a little, so that more of them share the next commit.
    fn gather(&mut self, _waiting: usize) -> impl Future<Output = ()> + Send {
        async {}
    }

    /// Runs after the last batch.
    fn finish(self) -> impl Future<Output = ()> + Send;
}

/// Why a batch was not committed.
pub(super) enum Failure {
    /// One job failed: the others may succeed without it.
    Job(Error),
    /// The store failed: no job can be written now.
    Store(Error),
}

impl<R: Send + 'static> Handle<R> {
    /// Starts the task. `ticks` measures waits; claims in replies that no caller receives become
    /// `orphans`.
    #[expect(clippy::disallowed_methods, reason = "close waits for its end")]
    pub(super) fn spawn<E>(engine: E, ticks: Clock, orphans: Arc<Orphans>) -> Self
    where
        E: Engine<Request = R>,
    {
        let (handle, running) = Self::prepare(engine, ticks, orphans);
        tokio::spawn(running);
        handle
    }

    /// Starts the task in a thread of its own, for an engine whose methods block.
    pub(super) fn spawn_thread<E>(
        name: &str,
        engine: E,
        ticks: Clock,
        orphans: Arc<Orphans>,
    ) -> io::Result<Self>
    where
        E: Engine<Request = R>,
    {
        let (handle, running) = Self::prepare(engine, ticks, orphans);
        let runtime = runtime::Handle::current();
        thread::Builder::new().name(name.to_owned()).spawn(move || runtime.block_on(running))?;
        Ok(handle)
    }

    /// The handle, and the task to run.
    fn prepare<E>(
        engine: E,
        ticks: Clock,
        orphans: Arc<Orphans>,
    ) -> (Self, impl Future<Output = ()> + Send + 'static)
    where
        E: Engine<Request = R>,
    {
        let (messages, waiting) = mpsc::channel(QUEUE_MAX);
        let (ending, ended) = oneshot::channel();
        let metrics = JournalMetrics::default();
        let task = Task { engine, ticks, metrics: metrics.clone(), postponed: Vec::new() };
        let running = async move {
            task.run(waiting).await;
            // An error means that the handle is gone.
            let _ = ending.send(());
        };
        (Self { messages, orphans, metrics, ended: Mutex::new(Some(ended)) }, running)
    }

    /// Queues a request and waits for its reply.
    pub(super) async fn send<T: CarriesClaims>(
        &self,
        request: impl FnOnce(ReplySender<T>) -> R + Send,
    ) -> Result<T, Error> {
        let (reply, answer) = reply::pair(&self.orphans);
        self.messages.send(Message::Request(request(reply))).await.map_err(|_| reply::closed())?;
        answer.wait().await
    }

    /// Guards what a lost statement may have claimed: it is released unless the guard is disarmed.
    pub(super) fn unheard(&self, claim: Option<Claim>) -> ClaimGuard {
        ClaimGuard::new(claim, &self.orphans)
    }

    /// What the task counts.
    pub(super) fn metrics(&self) -> &JournalMetrics {
        &self.metrics
    }

    /// Whether the task still takes requests.
    pub(super) fn is_open(&self) -> bool {
        !self.messages.is_closed()
    }

    /// Has the task finish everything that is queued, and returns once the engine has finished.
    pub(super) async fn close(&self) {
        // An error means that the task has ended already.
        let _ = self.messages.send(Message::Close).await;
        let ended = lock(&self.ended).take();
        if let Some(ended) = ended
            && ended.await.is_err()
        {
            // The panic itself was logged when it happened.
            tracing::error!("journal writer panicked");
        }
    }
}

struct Task<E: Engine> {
    engine: E,
    ticks: Clock,
    metrics: JournalMetrics,
    postponed: Vec<E::Job>,
}

impl<E: Engine> Task<E> {
    async fn run(mut self, mut waiting: mpsc::Receiver<Message<E::Request>>) {
        let mut messages = Vec::with_capacity(BATCH_MAX);
        while self.take(&mut waiting, &mut messages).await {
            let mut batch = mem::take(&mut self.postponed);
            batch.reserve(messages.len());
            for message in messages.drain(..) {
                match message {
                    Message::Request(request) => batch.extend(self.engine.accept(request)),
                    // Requests that are queued already are still taken.
                    Message::Close => waiting.close(),
                }
            }
            self.postponed = self.engine.postpone(&mut batch);
            self.engine.before_batch().await;
            if !batch.is_empty() {
                self.write(batch).await;
            }
            self.engine.after_batch().await;
            if self.postponed.is_empty() {
                self.engine.gather(waiting.len()).await;
            }
        }
        self.engine.finish().await;
    }

    /// Waits for messages, or until the engine has something to do. Returns false once the queue is
    /// closed and empty, and no job is left.
    async fn take(
        &mut self,
        waiting: &mut mpsc::Receiver<Message<E::Request>>,
        messages: &mut Vec<Message<E::Request>>,
    ) -> bool {
        // New jobs are taken while others are postponed, but no more than there is room for: so
        // postponed jobs can't pile up.
        let room = E::JOBS_MAX - self.postponed.len();
        let taking = waiting.recv_many(messages, BATCH_MAX.min(room));
        if !self.postponed.is_empty() {
            taking.now_or_never();
            return true;
        }
        match self.engine.due() {
            Some(due) => self.ticks.before(due, taking).await.is_none_or(|taken| taken > 0),
            None => taking.await > 0,
        }
    }

    /// Commits a batch and answers it. If one job fails, each is committed alone.
    async fn write(&mut self, mut batch: Vec<E::Job>) {
        match self.commit(&mut batch).await {
            Err(Failure::Job(_)) if batch.len() > 1 => {
                for job in batch {
                    self.write_alone(job).await;
                }
            }
            committed => self.engine.answer(batch, committed.map_err(Error::from)),
        }
    }

    async fn commit(&mut self, batch: &mut Vec<E::Job>) -> Result<E::Receipt, Failure> {
        let began = self.ticks.now();
        let committed = self.engine.commit(batch).await;
        self.metrics.committed(self.ticks.now().since(began));
        committed
    }

    async fn write_alone(&mut self, job: E::Job) {
        let mut batch = vec![job];
        let committed = self.commit(&mut batch).await;
        self.engine.answer(batch, committed.map_err(Error::from));
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Job(error) | Failure::Store(error) => error,
        }
    }
}

#[cfg(test)]
mod tests;
