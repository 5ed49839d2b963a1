//! What the service manager is told: that the service is ready, that it is alive, that it stops.
//!
//! systemd names its socket and its watchdog in the environment; without them nothing is sent. A
//! reload isn't reported: the files are read in the background, and a faulty one changes nothing.

use std::{convert::Infallible, future, io};

use sd_notify::NotifyState;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::{clock::Clock, outage::Outage};

/// How often within the watchdog's time a sign of life is sent: one may be late.
const SIGNS_OF_LIFE: u32 = 3;

/// Runs the service, which is ready, and tells the service manager of its life until its end.
/// `service` cancels `shutdown` before it ends.
pub async fn running<T>(
    service: impl Future<Output = T>,
    shutdown: &CancellationToken,
    clock: &Clock,
) -> T {
    let manager = Manager { socket: Outage::new("the service manager", clock.clone()) };
    manager.tell(NotifyState::Ready).await;
    let stopping = async {
        shutdown.cancelled().await;
        manager.tell(NotifyState::Stopping).await;
    };
    tokio::select! {
        (output, ()) = async { tokio::join!(service, stopping) } => output,
        never = manager.feed_watchdog(clock) => match never {},
    }
}

/// The service manager.
struct Manager {
    socket: Outage,
}

impl Manager {
    /// Tells that the service is alive, also while it drains, as often as the watchdog needs it.
    async fn feed_watchdog(&self, clock: &Clock) -> Infallible {
        let Some(patience) = sd_notify::watchdog_enabled() else { return future::pending().await };
        loop {
            self.tell(NotifyState::Watchdog).await;
            clock.sleep(patience / SIGNS_OF_LIFE).await;
        }
    }

    async fn tell(&self, state: NotifyState<'static>) {
        match on_a_worker(move || sd_notify::notify(&[state])).await {
            Ok(()) => self.socket.worked(),
            Err(failure) => self.socket.failed(&failure),
        }
    }
}

/// Sends from a worker of the runtime: if all workers are stuck, the watchdog gets no sign of life.
/// A full socket holds up one worker, not the task that waits for signals.
async fn on_a_worker(send: impl FnOnce() -> io::Result<()> + Send + 'static) -> io::Result<()> {
    let mut task = JoinSet::new();
    task.spawn(async { send() });
    match task.join_next().await {
        Some(Ok(sent)) => sent,
        Some(Err(failure)) => Err(io::Error::other(failure)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, time::Duration};

    use futures_util::FutureExt;

    use super::*;

    /// Usually enough for a worker that is free.
    const MOMENT: Duration = Duration::from_millis(50);

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn stuck_workers_give_no_sign_of_life() {
        let (is_stuck, stuck) = mpsc::channel();
        let (free, freed) = mpsc::channel();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            is_stuck.send(()).unwrap();
            freed.recv().unwrap();
        });
        stuck.recv().unwrap();
        let (send, sent) = mpsc::channel();
        let mut sign = Box::pin(on_a_worker(move || send.send(()).map_err(io::Error::other)));
        assert!(sign.as_mut().now_or_never().is_none());
        // Timers stand still as well, so this waits without one.
        sent.recv_timeout(MOMENT).expect_err("the only worker is stuck");
        free.send(()).unwrap();
        sign.await.expect("the worker is free again");
        sent.recv().unwrap();
        tasks.join_next().await.unwrap().unwrap();
    }
}
