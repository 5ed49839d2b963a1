//! Injects faults into a process: counts every operation at the store and at Oz, and crashes or
//! pauses the process at the n-th one.
//!
//! A task that reaches the crash point never continues, as if the process had died there.

use std::{
    future::pending,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;
use futures_util::FutureExt;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use tokio::sync::Notify;

use crate::{
    intercept::{Answer, Hook, Operation, Running, intercept},
    journal::{Chore, Error, Handles},
    sync::lock,
};

/// Where in an operation the process crashes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Point {
    /// Before the request leaves, or before the commit.
    Before,
    /// After Oz has acted, before its answer is read.
    Acted,
    /// After the answer and before its event is written; or after the commit and before its outcome
    /// is delivered.
    After,
}

pub const POINTS: [Point; 3] = [Point::Before, Point::Acted, Point::After];

/// Counts operations, and crashes the process, pauses it, or cuts it off from the store.
#[derive(Default)]
pub struct FaultInjector {
    count: Arc<Count>,
    /// Operations at the store in progress: the store may run threads of its own.
    at_store: AtomicUsize,
    has_crashed: AtomicBool,
    crashing: Notify,
    /// Whether the process can't reach its store.
    is_cut_off: AtomicBool,
    /// Whether the process is paused at a point.
    is_paused: AtomicBool,
    resumed: Notify,
}

/// The operations of all processes of a history, and the points at which a process crashes or
/// pauses.
#[derive(Default)]
struct Count {
    operations: AtomicUsize,
    crash_point: Mutex<Option<(usize, Point)>>,
    pause_point: Mutex<Option<(usize, Point)>>,
}

impl FaultInjector {
    /// The injector of another process of the same history.
    pub fn for_other_process(&self) -> Self {
        Self { count: Arc::clone(&self.count), ..Self::default() }
    }

    /// The process that reaches this point of the n-th operation, counted from 0, crashes there.
    pub fn crash_at(&self, n: usize, point: Point) {
        *self.crash_point() = Some((n, point));
    }

    /// The process that reaches this point of the n-th operation pauses there.
    pub fn pause_at(&self, n: usize, point: Point) {
        *self.pause_point() = Some((n, point));
    }

    /// Whether the process is paused at a point.
    pub fn is_paused(&self) -> bool {
        self.is_paused.load(Ordering::Relaxed)
    }

    /// Resumes a paused process.
    pub fn resume(&self) {
        self.is_paused.store(false, Ordering::Relaxed);
        self.resumed.notify_waiters();
    }

    fn pause_point(&self) -> MutexGuard<'_, Option<(usize, Point)>> {
        lock(&self.count.pause_point)
    }

    fn crash_point(&self) -> MutexGuard<'_, Option<(usize, Point)>> {
        lock(&self.count.crash_point)
    }

    /// Cuts the process off from the store, or reconnects it.
    pub fn set_cut_off(&self, is_cut_off: bool) {
        self.is_cut_off.store(is_cut_off, Ordering::Relaxed);
    }

    /// Whether the store can't be reached.
    pub fn is_cut_off(&self) -> bool {
        self.is_cut_off.load(Ordering::Relaxed)
    }

    /// Crashes the process now.
    pub fn crash(&self) {
        self.has_crashed.store(true, Ordering::Relaxed);
        self.crashing.notify_one();
    }

    /// Resets the injector for a new process.
    pub fn reset(&self) {
        self.has_crashed.store(false, Ordering::Relaxed);
        *self.crash_point() = None;
    }

    /// How many operations there have been, in all processes.
    pub fn operations(&self) -> usize {
        self.count.operations.load(Ordering::Relaxed)
    }

    /// Whether an operation at the store is in progress.
    pub fn is_store_busy(&self) -> bool {
        self.at_store.load(Ordering::Relaxed) > 0
    }

    /// Resolves when the process has crashed.
    pub async fn crashed(&self) {
        while !self.has_crashed.load(Ordering::Relaxed) {
            self.crashing.notified().await;
        }
    }

    /// Begins an operation, and passes its first point. Returns its number.
    pub async fn begin(&self, point: Point) -> usize {
        let n = self.count.operations.fetch_add(1, Ordering::Relaxed);
        self.pass(n, point).await;
        n
    }

    /// Passes a point of an operation. Waits while the process is paused; never returns once it has
    /// crashed.
    pub async fn pass(&self, n: usize, point: Point) {
        let here = Some((n, point));
        if *self.crash_point() == here {
            self.crash();
        }
        if self.pause_point().take_if(|at| Some(*at) == here).is_some() {
            self.is_paused.store(true, Ordering::Relaxed);
        }
        while self.is_paused() {
            self.resumed.notified().await;
        }
        if self.has_crashed.load(Ordering::Relaxed) {
            pending::<()>().await;
        }
    }
}

/// The journal of a process that may crash. Each write fails with a probability, before the commit
/// or after it. While the process is cut off from its store, reads and writes fail.
pub fn faulty(journal: Handles, injector: &Arc<FaultInjector>, seed: u64, chance: f64) -> Handles {
    let random = (StdRng::seed_from_u64(seed), chance);
    let trouble = (chance > 0.0).then(|| Mutex::new(random));
    intercept(journal, Arc::new(StoreFaults { injector: Arc::clone(injector), trouble }))
}

/// What happens at each operation at the store.
struct StoreFaults {
    injector: Arc<FaultInjector>,
    trouble: Option<Mutex<(StdRng, f64)>>,
}

/// What is lost of a write, in the words of `tests/postgres/link.rs`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Loss {
    /// The request: it isn't written.
    Request,
    /// The answer: it may be written.
    Answer,
}

#[async_trait]
impl Hook for StoreFaults {
    async fn around(&self, operation: Operation, running: Running<'_>) -> Result<Answer, Error> {
        match operation {
            Operation::Admit { .. } | Operation::Append(_) | Operation::Cancel => {
                self.write(running).await
            }
            Operation::Take | Operation::Confirm | Operation::Release => {
                self.change_claims(running).await
            }
            Operation::Erase
            | Operation::Tidy { chore: Chore::EraseExpired, .. }
            | Operation::Claim
            | Operation::OwnedByOthers
            | Operation::Find
            | Operation::Events
            | Operation::Tail
            | Operation::Page { .. }
            | Operation::List
            | Operation::Cursor
            | Operation::CursorStatus
            | Operation::Ping => self.injector.run_unless_cut_off(running).await,
            // Without the store, the process can't give up its lease: others wait until it expires.
            Operation::Leave if self.injector.is_cut_off() => Err(unavailable()),
            // In a history no match was written by an older version.
            Operation::Leave
            | Operation::Tidy { chore: Chore::Enlist, .. }
            | Operation::Takeable => running.await,
        }
    }
}

impl StoreFaults {
    fn loss(&self) -> Option<Loss> {
        let mut trouble = lock(self.trouble.as_ref()?);
        let (random, chance) = &mut *trouble;
        match (random.random_bool(*chance), random.random_bool(0.5)) {
            (false, _) => None,
            (true, false) => Some(Loss::Request),
            (true, true) => Some(Loss::Answer),
        }
    }

    async fn write(&self, writing: Running<'_>) -> Result<Answer, Error> {
        let n = self.injector.begin(Point::Before).await;
        let loss = self.loss();
        if loss == Some(Loss::Request) || self.injector.is_cut_off() {
            return Err(unavailable());
        }
        if loss == Some(Loss::Answer) {
            // The write is started and may be committed, but its caller gets an error.
            let _ = writing.now_or_never();
            return Err(unavailable());
        }
        let written = self.injector.run_counted(writing).await;
        self.injector.pass(n, Point::After).await;
        written
    }

    /// Runs an operation that changes claims. Unlike a write, it fails only while the process is
    /// cut off.
    async fn change_claims(&self, changing: Running<'_>) -> Result<Answer, Error> {
        let n = self.injector.begin(Point::Before).await;
        let changed = self.injector.run_unless_cut_off(changing).await;
        self.injector.pass(n, Point::After).await;
        changed
    }
}

impl FaultInjector {
    /// Runs an operation at the store, unless the process is cut off from it.
    async fn run_unless_cut_off(&self, working: Running<'_>) -> Result<Answer, Error> {
        match self.is_cut_off() {
            true => Err(unavailable()),
            false => self.run_counted(working).await,
        }
    }

    async fn run_counted(&self, working: Running<'_>) -> Result<Answer, Error> {
        self.at_store.fetch_add(1, Ordering::Relaxed);
        let _done = BusyGuard(&self.at_store);
        working.await
    }
}

/// A guard that counts an operation at the store as in progress. It is dropped with the operation,
/// even if that is cancelled.
struct BusyGuard<'a>(&'a AtomicUsize);

impl Drop for BusyGuard<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn unavailable() -> Error {
    Error::Unavailable(Arc::new(std::io::Error::other("an injected failure of the store")))
}
