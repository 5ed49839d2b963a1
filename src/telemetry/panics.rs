//! Panics, logged like everything else.
//!
//! A panic is a bug of ours, and its message may quote anything: a caller's text, a token. So the
//! message is logged only where it is a literal of the code; otherwise the place has to do.

use std::{
    backtrace::{Backtrace, BacktraceStatus},
    panic::PanicHookInfo,
    sync::atomic::{AtomicU64, Ordering},
    thread,
};

use crate::config::ALWAYS_LOGGED;

/// Replaces a message that may quote data.
const WITHHELD: &str = "[withheld: it may quote data]";

/// Panics of this process since its start.
static PANICS: AtomicU64 = AtomicU64::new(0);

/// How many panics this process has had. Each is a bug.
pub fn count() -> u64 {
    PANICS.load(Ordering::Relaxed)
}

/// Logs a panic, with its backtrace if `RUST_BACKTRACE` is set.
pub fn tell(panic: &PanicHookInfo<'_>) {
    PANICS.fetch_add(1, Ordering::Relaxed);
    let message = panic.payload().downcast_ref::<&'static str>().copied();
    let backtrace = Backtrace::capture();
    let has_backtrace = backtrace.status() == BacktraceStatus::Captured;
    tracing::error!(
        target: ALWAYS_LOGGED,
        {
            panic.location = panic.location().map(tracing::field::display),
            panic.thread = thread::current().name(),
            panic.message = message.unwrap_or(WITHHELD),
            panic.backtrace = has_backtrace.then(|| backtrace.to_string()),
        },
        "panic"
    );
}
