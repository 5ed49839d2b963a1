//! The supervisor: spawns drivers and standbys, acts on their exits, and releases the claims of
//! drivers that have ended before their matches. It decides nothing about a match.

use std::{
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use tokio::sync::Notify;
use tokio_util::task::TaskTracker;
use tracing::error;

use crate::{
    domain::{Match, Timestamp, VolatileState},
    journal::{Claim, MatchChange},
    sync::lock,
    worker::{
        context::Context,
        driver::{self, Driver},
        registry::{Registration, Registry},
        slots::{Slots, UnfinishedSlot},
        standby::{self, Standbys},
    },
};

/// How long a match has no driver after its driver has panicked: a match that makes every driver
/// panic must not cause a tight loop.
pub const PANIC_PAUSE: Duration = Duration::from_secs(60);
/// How often the claims of drivers that have ended are released during a drain.
const RELEASE_INTERVAL: Duration = Duration::from_millis(100);

/// Owns the tasks of all drivers and standbys of this replica.
pub struct Supervisor {
    /// What every driver works with.
    pub context: Arc<Context>,
    /// How drivers and standbys are reached.
    pub registry: Arc<Registry>,
    /// The limit of unfinished matches.
    pub slots: Slots,
    /// All tasks of the worker: a drain waits for the last of them.
    pub tasks: TaskTracker,
    /// Notified when a claim is queued for release.
    pub release_queued: Notify,
    standbys: Arc<Standbys>,
    /// Claims whose drivers here have ended, each with the time from which it may be released.
    pending_releases: Mutex<Vec<(Claim, Timestamp)>>,
}

impl Supervisor {
    /// A supervisor without drivers.
    pub fn new(context: Context, unfinished_max: usize) -> Self {
        let supervisor = Self {
            slots: Slots::new(unfinished_max, Arc::clone(&context.tenants)),
            context: Arc::new(context),
            registry: Arc::default(),
            tasks: TaskTracker::new(),
            release_queued: Notify::new(),
            standbys: Arc::default(),
            pending_releases: Mutex::default(),
        };
        supervisor.subscribe_to_endings();
        supervisor
    }

    /// Has the journal tell of matches that have ended elsewhere: their drivers here stop at once,
    /// and their photos are dropped.
    fn subscribe_to_endings(&self) {
        let (registry, standbys) = (Arc::clone(&self.registry), Arc::clone(&self.standbys));
        self.context.writer.listen(Arc::new(move |heard| match heard {
            MatchChange::Gone(id) => registry.stop(id),
            MatchChange::PhotoDone(id) => standbys.stop(id),
        }));
    }

    // Drivers.

    /// A driver for a match that another driver had before. Cancels and photos of the match reach
    /// it from now on, and it gets the photo that a standby has kept here. `None` if this replica
    /// has made a later claim since.
    pub fn revive(&self, m: Match, claim: Claim) -> Option<Driver> {
        let registration = self.registry.take_over(claim)?;
        Some(self.revive_registered(m, claim, registration))
    }

    fn revive_registered(&self, m: Match, claim: Claim, registration: Registration) -> Driver {
        let (context, now) = (&self.context, self.context.clock.now());
        context.metrics.adopted.inc();
        let volatile = VolatileState::revived(&m, now, &context.policy.now(), (context.chance)());
        Driver::new(Arc::clone(context), m, claim, volatile, registration).resumed()
    }

    /// Spawns a driver. Its match has the slot until the driver, or the standby that succeeds it,
    /// has ended.
    pub fn spawn(self: &Arc<Self>, driver: Driver, slot: UnfinishedSlot) {
        let supervisor = Arc::clone(self);
        self.tasks.spawn(async move {
            supervisor.drive(driver).await;
            drop(slot);
        });
    }

    /// Drives a match, and stands by with its photo while another replica drives it.
    async fn drive(&self, mut driver: Driver) {
        loop {
            let registration = match driver.run().await {
                driver::Exit::Ended => return,
                driver::Exit::Release(claim) => return self.release_soon(claim),
                driver::Exit::Panicked(claim) => return self.release_after_panic(claim),
                driver::Exit::Standby(registration) => registration,
            };
            // The claim may be lent by now, so the standby tries to take the match back at once.
            registration.handle().wake.notify_one();
            match Box::pin(self.stand_by(registration)).await {
                Some(next) => driver = next,
                None => return,
            }
        }
    }

    // Standbys.

    /// Spawns a standby, which keeps the photo of a match that another replica drives.
    pub fn spawn_standby(self: &Arc<Self>, registration: Registration) {
        let supervisor = Arc::clone(self);
        self.tasks.spawn(async move {
            if let Some(driver) = supervisor.stand_by(registration).await {
                let slot = supervisor.slots.take(driver.tenant());
                supervisor.spawn(driver, slot);
            }
        });
    }

    /// Wakes the standbys of matches that can be claimed, until the drain.
    pub async fn wake_standbys(&self) {
        standby::wake_all(&self.context, &self.standbys).await;
    }

    /// Stands by with a photo. Returns the driver once this replica has claimed the match; `None`
    /// if the photo isn't needed any more, at a drain, or if the standby was stopped meanwhile.
    async fn stand_by(&self, registration: Registration) -> Option<Driver> {
        match standby::wait_for_claim(&self.context, &self.standbys, registration).await {
            standby::Exit::Ended => None,
            standby::Exit::Release(claim) => {
                self.release_soon(claim);
                None
            }
            standby::Exit::Claimed(m, claim, registration) => {
                Some(self.revive_registered(*m, claim, registration))
            }
        }
    }

    // Released claims.

    /// Queues the release of a claim whose driver has ended before its match.
    fn release_soon(&self, claim: Claim) {
        self.pending_releases().push((claim, self.context.clock.now()));
        self.release_queued.notify_one();
    }

    /// Queues the release of a claim whose driver has panicked: after a pause the match resumes,
    /// here or on another replica.
    fn release_after_panic(&self, claim: Claim) {
        let pause_ms = PANIC_PAUSE.as_millis() as u64;
        error!(match.id = %claim.match_id, pause_ms, "driver panicked: its claim will be released");
        self.pending_releases().push((claim, self.context.clock.now().after(PANIC_PAUSE)));
    }

    /// Waits until all tasks have ended, and releases the claims of ended drivers meanwhile.
    pub async fn wait_until_idle(&self) {
        loop {
            let is_empty = tokio::select! {
                biased;
                () = self.tasks.wait() => true,
                () = self.context.clock.sleep(RELEASE_INTERVAL) => false,
            };
            self.flush_releases().await;
            if is_empty {
                return;
            }
        }
    }

    /// Releases the claims that are due; during a drain, all of them.
    pub async fn flush_releases(&self) {
        let (now, is_last) = (self.context.clock.now(), self.context.draining.is_cancelled());
        // A replica that is alone releases nothing: its claims are free once it has left.
        if is_last && self.context.fleet.borrow().alive == 1 {
            return;
        }
        let due: Vec<_> =
            self.pending_releases().extract_if(.., |(_, time)| is_last || *time <= now).collect();
        if due.is_empty() {
            return;
        }
        let claims = due.iter().map(|(claim, _)| *claim).collect();
        if let Err(failure) = self.context.writer.release(claims).await {
            self.context.store_failed(&failure, "claims not released: will retry");
            self.pending_releases().extend(due);
        }
    }

    fn pending_releases(&self) -> MutexGuard<'_, Vec<(Claim, Timestamp)>> {
        lock(&self.pending_releases)
    }
}
