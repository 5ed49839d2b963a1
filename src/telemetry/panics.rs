//! Panics, told by the log like everything else.
//!
//! A panic is a bug of ours, and what it quotes may be anything: a caller's text, a token. So its
//! message is told only where it is a literal of the code; the place says the rest.

use std::{
    backtrace::{Backtrace, BacktraceStatus},
    panic::PanicHookInfo,
    thread,
};

use crate::config::ALWAYS_LOGGED;

/// What stands for a message that may quote something.
const WITHHELD: &str = "[withheld: it may quote data]";

/// Tells of a panic. With `RUST_BACKTRACE` the way to it is told as well.
pub fn tell(panic: &PanicHookInfo<'_>) {
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
