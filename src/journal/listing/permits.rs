//! A semaphore for lists, and what becomes of a list whose caller has cancelled it.
//!
//! A list waits for a permit rather than being refused: lists are bounded, so permits come within
//! milliseconds, in the order in which they were requested. A refusal would make the caller retry,
//! which costs more than the wait. Only a list that gets no permit for half a minute is refused, as
//! when the store is unavailable.

use std::{num::NonZero, sync::Arc, thread, time::Duration};

use tokio::{sync::Semaphore, time};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::journal::{Error, reply};

/// How long a list waits for a permit: time for hundreds of other lists. The caller may give up
/// earlier, which costs nothing.
const PATIENCE: Duration = Duration::from_secs(30);

/// How many lists run at once, at most: each takes a connection of the few that a database has, and
/// ends within milliseconds.
pub(in crate::journal) const LISTS_MAX: usize = 2;

/// How many lists run at once on this machine. A list is bound by the processor, so half of the
/// processors are left to everything else.
pub(in crate::journal) fn at_once() -> usize {
    let processors = thread::available_parallelism().map_or(1, NonZero::get);
    (processors / 2).clamp(1, LISTS_MAX)
}

/// A list got no permit in time.
#[derive(Debug, thiserror::Error)]
#[error("other lists kept the store busy")]
struct Busy;

/// Gives permits to lists, and owns the tasks that run them.
pub(in crate::journal) struct ListPermits {
    permits: Arc<Semaphore>,
    tasks: TaskTracker,
}

impl ListPermits {
    /// As many permits as lists may run at once.
    pub(in crate::journal) fn new(at_once: usize) -> Self {
        Self { permits: Arc::new(Semaphore::new(at_once)), tasks: TaskTracker::new() }
    }

    /// Runs a list as soon as it gets a permit. If the caller drops the future, the token that was
    /// passed to the list is cancelled. The list keeps its permit until it has stopped, so
    /// abandoned lists can't pile up at the store.
    pub(in crate::journal) async fn run<T, F>(
        &self,
        list: impl FnOnce(CancellationToken) -> F,
    ) -> Result<T, Error>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Error>> + Send + 'static,
    {
        let permit = time::timeout(PATIENCE, Arc::clone(&self.permits).acquire_owned()).await;
        let permit = permit.map_err(|_| Error::Unavailable(Arc::new(Busy)))?;
        let permit = permit.map_err(|_| reply::closed())?;
        let gone = CancellationToken::new();
        let list = list(gone.clone());
        let _guard = gone.drop_guard();
        let listing = self.tasks.spawn(async move {
            let listed = list.await;
            drop(permit);
            listed
        });
        listing.await.unwrap_or_else(|_| Err(reply::closed()))
    }

    /// Refuses further lists, and returns once none is running.
    pub(in crate::journal) async fn close(&self) {
        self.permits.close();
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// How many permits are available.
    #[cfg(test)]
    pub(in crate::journal) fn free(&self) -> usize {
        self.permits.available_permits()
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn lists_get_permits_in_the_order_in_which_they_came() {
        let permits = ListPermits::new(1);
        let (go, wait) = oneshot::channel::<()>();
        let order = std::sync::Mutex::new(Vec::new());
        let one = async {
            let first = permits.run(|_| async move { Ok(wait.await.is_ok()) }).await;
            order.lock().unwrap().push(1);
            first.unwrap()
        };
        let later = |number| {
            let order = &order;
            let permits = &permits;
            async move {
                permits.run(|_| async { Ok(()) }).await.unwrap();
                order.lock().unwrap().push(number);
            }
        };
        let starting = async {
            tokio::task::yield_now().await;
            go.send(()).unwrap();
        };
        tokio::join!(one, later(2), later(3), starting);
        assert_eq!(*order.lock().unwrap(), [1, 2, 3]);
    }

    #[tokio::test]
    async fn an_abandoned_list_keeps_its_permit_until_it_has_stopped() {
        let permits = ListPermits::new(1);
        let (told, hears) = oneshot::channel();
        let (stop, stops) = oneshot::channel::<()>();
        let mut list = Box::pin(permits.run(|gone| async move {
            gone.cancelled().await;
            told.send(()).unwrap();
            Ok(stops.await.is_ok())
        }));
        assert!(futures_util::poll!(&mut list).is_pending());
        drop(list);
        hears.await.unwrap();
        assert_eq!(permits.free(), 0);
        stop.send(()).unwrap();
        permits.run(|_| async { Ok(()) }).await.unwrap();
        permits.close().await;
        assert!(permits.run(|_| async { Ok(()) }).await.is_err());
    }
}
