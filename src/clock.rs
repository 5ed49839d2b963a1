//! The time of day, and waiting for one: the only module that reads a clock.
//!
//! All other modules are given a [`Clock`]. Tests pass a clock that they move by hand, so that an
//! hour in a test takes no time, and a real connection pool doesn't time out meanwhile.
//!
//! Three clocks of the machine are read. Time since boot (`CLOCK_BOOTTIME`), which includes time in
//! suspension, drives every [`Clock`]. The time of day only steps it forward. Timers are tokio's,
//! which stand still while the machine is suspended.

use std::{
    collections::BTreeMap,
    fmt,
    future::Future,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tokio::sync::oneshot;

use crate::{domain::Timestamp, sync::lock};

/// By how much one [`Clock::follow`] sets back a clock that is ahead of its leader. The clock, and
/// the timers that use it, stand still for that long.
const GIVE_WAY_MAX: Duration = Duration::from_millis(100);

/// Tells the time and waits for it. Cheap to clone; clones share their time.
///
/// The time never goes back. It is the machine's time of day, with its forward steps, until the
/// clock [follows](Clock::follow) another one.
#[derive(Clone)]
pub struct Clock(TimeSource);

#[derive(Clone)]
enum TimeSource {
    System(Arc<System>),
    /// Time since boot, which no clock change affects.
    Steady(Arc<System>),
    /// `skew`: by how many microseconds the clock differs from the hand. `follows`: whether it
    /// follows another clock, as only a skewed clock does.
    Manual {
        shared: Arc<Mutex<Manual>>,
        skew: Arc<AtomicI64>,
        follows: bool,
    },
}

/// The machine's clocks, all times in microseconds.
struct System {
    /// The time of day at the start, less the time since boot.
    offset_at_start: i64,
    /// The clock's time, less the time since boot.
    offset: AtomicI64,
    /// The latest time that was returned: no earlier one is returned again.
    latest: AtomicI64,
    /// Whether the clock follows another one, and no longer the machine's time of day.
    is_led: AtomicBool,
}

/// Moves a manual clock.
#[derive(Clone)]
pub struct Hand(Arc<Mutex<Manual>>);

struct Manual {
    now: Timestamp,
    sleepers_made: u64,
    sleepers: BTreeMap<(Timestamp, u64), oneshot::Sender<()>>,
}

impl Clock {
    /// The machine's clock.
    pub fn system() -> Self {
        Self(TimeSource::System(Arc::new(System::start())))
    }

    /// A clock that stands still until its hand is moved.
    pub fn manual(now: Timestamp) -> (Self, Hand) {
        let manual = Manual { now, sleepers_made: 0, sleepers: BTreeMap::new() };
        let shared = Arc::new(Mutex::new(manual));
        let skew = Arc::default();
        let source = TimeSource::Manual { shared: Arc::clone(&shared), skew, follows: false };
        (Self(source), Hand(shared))
    }

    /// The time.
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            TimeSource::System(system) => Timestamp::from_micros(system.now()),
            TimeSource::Steady(system) => {
                Timestamp::from_micros(since_boot().saturating_add(system.offset_at_start))
            }
            TimeSource::Manual { shared, skew, .. } => {
                let now = lock(shared).now.as_micros();
                Timestamp::from_micros(now.saturating_add(skew.load(Ordering::Relaxed)))
            }
        }
    }

    /// The same clock for measuring durations. It counts time in suspension, and is affected
    /// neither by changes of the time of day nor by a leader.
    pub fn steady(&self) -> Self {
        Self(match &self.0 {
            TimeSource::System(system) | TimeSource::Steady(system) => {
                TimeSource::Steady(Arc::clone(system))
            }
            TimeSource::Manual { shared, .. } => {
                let shared = Arc::clone(shared);
                TimeSource::Manual { shared, skew: Arc::default(), follows: false }
            }
        })
    }

    /// Follows a leader, whose time is `leader` now, instead of the machine's time of day.
    ///
    /// The first call sets the clock, possibly back, so nothing may have been stamped before. Later
    /// calls step it forward at once, or slow it down where it is ahead, since the time never goes
    /// back.
    pub fn follow(&self, leader: Timestamp) {
        match &self.0 {
            TimeSource::System(system) => system.follow(leader.as_micros()),
            TimeSource::Steady(_) => {}
            TimeSource::Manual { follows: false, .. } => {}
            TimeSource::Manual { shared, skew, follows: true } => {
                let now = lock(shared).now.as_micros();
                skew.store(leader.as_micros().saturating_sub(now), Ordering::Relaxed);
            }
        }
    }

    /// Steps forward to this time, if the clock is behind it.
    #[cfg(test)]
    pub fn step_to(&self, time: Timestamp) {
        match &self.0 {
            TimeSource::System(system) => {
                system.raise_offset(time.as_micros().saturating_sub(since_boot()));
            }
            TimeSource::Steady(_) => {}
            TimeSource::Manual { shared, skew, .. } => {
                let now = lock(shared).now.as_micros();
                skew.fetch_max(time.as_micros().saturating_sub(now), Ordering::Relaxed);
            }
        }
    }

    /// Waits until this time; returns at once if it has passed.
    pub async fn sleep_until(&self, time: Timestamp) {
        match &self.0 {
            TimeSource::System(_) | TimeSource::Steady(_) => {
                tokio::time::sleep(time.since(self.now())).await;
            }
            TimeSource::Manual { shared, skew, .. } => {
                let skew = skew.load(Ordering::Relaxed);
                let time = Timestamp::from_micros(time.as_micros().saturating_sub(skew));
                sleeper(shared, time).await;
            }
        }
    }

    /// Waits for this long.
    pub async fn sleep(&self, duration: Duration) {
        self.sleep_until(self.now().after(duration)).await;
    }

    /// Awaits the future; `None` if the time comes first.
    pub async fn before<F: Future>(&self, time: Timestamp, future: F) -> Option<F::Output> {
        tokio::select! {
            biased;
            output = future => Some(output),
            () = self.sleep_until(time) => None,
        }
    }

    /// A clock with the same hand that is ahead of it by this many microseconds (behind it, if
    /// negative), until it follows another clock.
    #[cfg(test)]
    pub fn skewed(&self, micros: i64) -> Self {
        let TimeSource::Manual { shared, .. } = &self.0 else {
            panic!("only a manual clock is skewed")
        };
        let skew = Arc::new(AtomicI64::new(micros));
        Self(TimeSource::Manual { shared: Arc::clone(shared), skew, follows: true })
    }
}

impl System {
    fn start() -> Self {
        let offset = time_of_day().saturating_sub(since_boot());
        Self {
            offset_at_start: offset,
            offset: AtomicI64::new(offset),
            latest: AtomicI64::new(i64::MIN),
            is_led: AtomicBool::new(false),
        }
    }

    fn now(&self) -> i64 {
        // The time of day is read first. Time that passes between the two readings, such as a
        // suspension, then makes the offset too small, which is ignored, and not too large, which
        // would last.
        let time_of_day = (!self.is_led.load(Ordering::Relaxed)).then(time_of_day);
        let boot = since_boot();
        if let Some(time_of_day) = time_of_day {
            self.raise_offset(time_of_day.saturating_sub(boot));
        }
        let time = boot.saturating_add(self.offset.load(Ordering::Relaxed));
        self.latest.fetch_max(time, Ordering::Relaxed).max(time)
    }

    fn raise_offset(&self, offset: i64) {
        // Written only if it changes, which is rare: every thread reads it.
        if offset > self.offset.load(Ordering::Relaxed) {
            self.offset.fetch_max(offset, Ordering::Relaxed);
        }
    }

    fn follow(&self, leader: i64) {
        let wanted = leader.saturating_sub(since_boot());
        if !self.is_led.swap(true, Ordering::Relaxed) {
            self.offset.store(wanted, Ordering::Relaxed);
            self.latest.store(leader, Ordering::Relaxed);
            return;
        }
        let least = self.offset.load(Ordering::Relaxed) - GIVE_WAY_MAX.as_micros() as i64;
        self.offset.store(wanted.max(least), Ordering::Relaxed);
    }
}

/// Microseconds since 1970, by the machine's time of day.
#[expect(clippy::disallowed_methods, reason = "this is the module that reads the clock")]
fn time_of_day() -> i64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_micros(0).after(since_epoch).as_micros()
}

/// Microseconds since the machine was started, time in suspension included.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn since_boot() -> i64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    time.tv_sec.saturating_mul(1_000_000).saturating_add(time.tv_nsec / 1_000)
}

/// Microseconds since the first call. Whether they include suspension depends on the system.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn since_boot() -> i64 {
    static ORIGIN: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
    #[expect(clippy::disallowed_methods, reason = "this is the module that reads the clock")]
    let origin = ORIGIN.get_or_init(std::time::Instant::now);
    Timestamp::from_micros(0).after(origin.elapsed()).as_micros()
}

impl Hand {
    /// Moves the time forward and wakes the sleepers whose time has come.
    pub fn advance(&self, duration: Duration) {
        let mut manual = lock(&self.0);
        let now = manual.now.after(duration);
        manual.now = now;
        let later = manual.sleepers.split_off(&(now, u64::MAX));
        for (_, wake) in std::mem::replace(&mut manual.sleepers, later) {
            // A sleeper that was dropped needs no waking.
            let _ = wake.send(());
        }
    }

    /// The earliest time for which a sleeper waits; `None` if there is none.
    pub fn next_wake(&self) -> Option<Timestamp> {
        let mut manual = lock(&self.0);
        while let Some(first) = manual.sleepers.first_entry() {
            if !first.get().is_closed() {
                return Some(first.key().0);
            }
            first.remove();
        }
        None
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Clock({:?})", self.now())
    }
}

async fn sleeper(manual: &Mutex<Manual>, time: Timestamp) {
    let woken = {
        let mut manual = lock(manual);
        if time <= manual.now {
            return;
        }
        let (wake, woken) = oneshot::channel();
        manual.sleepers_made += 1;
        let key = (time, manual.sleepers_made);
        manual.sleepers.insert(key, wake);
        woken
    };
    // The sender is dropped only together with the clock, and then no sleeper is left.
    let _ = woken.await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn sleepers_wake_when_the_hand_passes_their_time() {
        let (clock, hand) = Clock::manual(Timestamp::from_micros(0));
        let due = clock.now().after(Duration::from_secs(2));
        let sleeping = tokio::join!(
            async {
                clock.sleep_until(due).await;
                clock.now()
            },
            async {
                assert_eq!(hand.next_wake(), Some(due));
                hand.advance(Duration::from_secs(1));
                assert_eq!(hand.next_wake(), Some(due));
                hand.advance(Duration::from_secs(5));
            }
        );
        assert_eq!(sleeping.0, due.after(Duration::from_secs(4)));
    }

    #[test]
    fn a_clock_steps_forward_and_never_back() {
        let clock = Clock::system();
        let later = clock.now().after(Duration::from_secs(3_600));
        clock.step_to(later);
        assert!(clock.now() >= later);
        clock.step_to(later.before(Duration::from_secs(1_800)));
        assert!(clock.now() >= later);
    }

    #[test]
    fn a_clock_is_set_by_its_leader_once_and_never_goes_back_afterwards() {
        const YEAR: Duration = Duration::from_secs(365 * 86_400);
        let clock = Clock::system();
        let start = clock.now();
        clock.follow(start.before(YEAR));
        let year_ago = clock.now();
        assert!(year_ago.since(start.before(YEAR)) < Duration::from_secs(60), "{year_ago:?}");
        clock.follow(start);
        assert!(clock.now() >= start, "it steps forward at once");
        clock.follow(start.before(YEAR));
        assert!(clock.now() >= start, "it never goes back");
        clock.follow(start.after(YEAR));
        assert!(clock.now() >= start.after(YEAR));
    }

    #[test]
    fn a_steady_clock_is_not_affected_by_other_clocks() {
        let clock = Clock::system();
        let (start, steady) = (clock.now(), clock.steady());
        clock.step_to(start.after(Duration::from_secs(86_400)));
        clock.follow(start.before(Duration::from_secs(86_400)));
        let passed = steady.now().since(start).max(start.since(steady.now()));
        assert!(passed < Duration::from_secs(60), "{passed:?}");
    }

    #[tokio::test]
    async fn a_skewed_clock_sleeps_as_long_as_any_other() {
        let (clock, hand) = Clock::manual(Timestamp::from_micros(0));
        let ahead = clock.skewed(3_600_000_000);
        let (slept, ()) = tokio::join!(
            async {
                ahead.sleep(Duration::from_secs(2)).await;
                ahead.now().since(clock.now())
            },
            async { hand.advance(Duration::from_secs(2)) }
        );
        assert_eq!(slept, Duration::from_secs(3_600));
        ahead.follow(clock.now());
        assert_eq!(ahead.now(), clock.now());
    }

    #[test]
    fn the_system_clock_does_not_go_back() {
        let clock = Clock::system();
        let earlier = clock.now();
        assert!(clock.now() >= earlier);
    }
}
