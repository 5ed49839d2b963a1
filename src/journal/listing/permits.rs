//! How many lists are under way at once, and what becomes of those whose callers have gone.
//!
//! A list waits for its turn rather than being refused: its work is bounded, so turns come round
//! within milliseconds, in the order in which they were asked for. A refusal would make its caller
//! repeat, which costs more than the wait. Only a list whose turn doesn't come for half a minute is
//! refused, as when the store is away.

use std::{num::NonZero, sync::Arc, thread, time::Duration};

use tokio::{sync::Semaphore, time};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::journal::{Error, reply};

/// How long a list waits for its turn: hundreds of others go before it meanwhile. Its caller may
/// give up earlier, which costs nothing.
const PATIENCE: Duration = Duration::from_secs(30);

/// How many lists are under way at once, at most: each takes a connection of the few that a database
/// has, and is over within milliseconds.
pub(in crate::journal) const LISTS_MAX: usize = 2;

/// How many lists are under way at once here. A list is as fast as a processor, so half of them stay
/// for what is not a list.
pub(in crate::journal) fn at_once() -> usize {
    let processors = thread::available_parallelism().map_or(1, NonZero::get);
    (processors / 2).clamp(1, LISTS_MAX)
}

/// So many lists were asked for that this one's turn did not come.
#[derive(Debug, thiserror::Error)]
#[error("other lists kept the store busy")]
struct Busy;

/// Gives lists their turns.
pub(in crate::journal) struct ListPermits {
    permits: Arc<Semaphore>,
    tasks: TaskTracker,
}

impl ListPermits {
    /// Turns for so many lists at once.
    pub(in crate::journal) fn new(at_once: usize) -> Self {
        Self { permits: Arc::new(Semaphore::new(at_once)), tasks: TaskTracker::new() }
    }

    /// Runs a list when its turn has come. It is told when its caller has gone, and keeps its turn
    /// until it has stopped: lists that are abandoned can't pile up at the store.
    pub(in crate::journal) async fn take<T, F>(
        &self,
        list: impl FnOnce(CancellationToken) -> F,
    ) -> Result<T, Error>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Error>> + Send + 'static,
    {
        let turn = time::timeout(PATIENCE, Arc::clone(&self.permits).acquire_owned()).await;
        let turn = turn.map_err(|_| Error::Unavailable(Arc::new(Busy)))?;
        let turn = turn.map_err(|_| reply::closed())?;
        let gone = CancellationToken::new();
        let list = list(gone.clone());
        let _guard = gone.drop_guard();
        let listing = self.tasks.spawn(async move {
            let listed = list.await;
            drop(turn);
            listed
        });
        listing.await.unwrap_or_else(|_| Err(reply::closed()))
    }

    /// Refuses further lists, and returns once none is under way.
    pub(in crate::journal) async fn close(&self) {
        self.permits.close();
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// How many lists could begin at once.
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
    async fn lists_take_turns_in_the_order_in_which_they_came() {
        let turns = ListPermits::new(1);
        let (go, wait) = oneshot::channel::<()>();
        let order = std::sync::Mutex::new(Vec::new());
        let one = async {
            let first = turns.take(|_| async move { Ok(wait.await.is_ok()) }).await;
            order.lock().unwrap().push(1);
            first.unwrap()
        };
        let later = |number| {
            let order = &order;
            let turns = &turns;
            async move {
                turns.take(|_| async { Ok(()) }).await.unwrap();
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
    async fn a_list_that_is_abandoned_keeps_its_turn_until_it_has_stopped() {
        let turns = ListPermits::new(1);
        let (told, hears) = oneshot::channel();
        let (stop, stops) = oneshot::channel::<()>();
        let mut list = Box::pin(turns.take(|gone| async move {
            gone.cancelled().await;
            told.send(()).unwrap();
            Ok(stops.await.is_ok())
        }));
        assert!(futures_util::poll!(&mut list).is_pending());
        drop(list);
        hears.await.unwrap();
        assert_eq!(turns.free(), 0);
        stop.send(()).unwrap();
        turns.take(|_| async { Ok(()) }).await.unwrap();
        turns.close().await;
        assert!(turns.take(|_| async { Ok(()) }).await.is_err());
    }
}
