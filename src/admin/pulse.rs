//! The pulse of the runtime: a task that notes the time once a second.
//!
//! It deliberately looks at nothing else: a restart cures a runtime that is stuck, and cures neither
//! a database nor Oz.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use crate::{clock::Clock, domain::Timestamp};

/// How often the task notes the time.
const INTERVAL: Duration = Duration::from_secs(1);

/// How old the last beat may be: a machine that is overloaded delays a beat by seconds, and must not
/// be restarted for it.
pub(super) const AGE_MAX: Duration = Duration::from_secs(10);

/// The time of the last beat. Clones share it.
#[derive(Clone)]
pub(super) struct Pulse {
    clock: Clock,
    last_micros: Arc<AtomicI64>,
}

impl Pulse {
    /// A pulse whose first beat is now.
    pub(super) fn new(clock: Clock) -> Self {
        let last_micros = Arc::new(AtomicI64::new(clock.now().as_micros()));
        Self { clock, last_micros }
    }

    /// Beats; never ends.
    pub(super) async fn beat(&self) {
        loop {
            self.last_micros.store(self.clock.now().as_micros(), Ordering::Relaxed);
            self.clock.sleep(INTERVAL).await;
        }
    }

    /// Whether the last beat is recent.
    pub(super) fn is_felt(&self) -> bool {
        let last = Timestamp::from_micros(self.last_micros.load(Ordering::Relaxed));
        self.clock.now().since(last) <= AGE_MAX
    }
}
