//! The process as the operating system sees it: which signals don't end it, and whether its memory
//! may be written to a disk.
//!
//! Photos, tokens and passwords are in that memory. Swap and suspension to disk are left to the
//! operator (docs/operating.md).

use std::convert::Infallible;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::info;

use crate::{
    access::audit::Audit,
    app::{secrets::Secrets, settings::Settings},
};

/// To be called before any secret is read: from then on neither SIGHUP nor a limit of file sizes
/// ends the process, the process leaves no core dump, and no other process of its user can read its
/// memory.
pub fn guard() {
    // The handler stays registered when the stream of signals is dropped.
    if let Err(failure) = signal(SignalKind::hangup()) {
        tracing::warn!(error = %failure, "SIGHUP handler not installed: SIGHUP ends the process");
    }
    // A write beyond the limit is an error then, as on a full disk.
    let over_the_limit = SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw());
    if let Err(failure) = signal(over_the_limit) {
        tracing::warn!(error = %failure, "SIGXFSZ handler not installed: SIGXFSZ ends the process");
    }
    set_dumpable(false);
}

/// Allows core dumps again, as the settings ask.
pub fn allow_core_dumps() {
    set_dumpable(true);
}

/// The SIGHUPs from now on. To be called before the start, during which files may change as well.
pub fn hangups() -> std::io::Result<Signal> {
    signal(SignalKind::hangup())
}

/// On each SIGHUP, reads the settings and the files again that they name, and opens the audit file
/// again.
pub async fn reread_on_hangup(
    mut hangups: Signal,
    settings: Settings,
    secrets: Secrets,
    audit: Audit,
) -> Infallible {
    loop {
        hangups.recv().await;
        info!("SIGHUP: the settings and the files that they name are read again");
        audit.reopen();
        settings.reread().await;
        secrets.reread().await;
    }
}

#[cfg(target_os = "linux")]
fn set_dumpable(allowed: bool) {
    use rustix::process::{DumpableBehavior, set_dumpable_behavior};
    let behavior = match allowed {
        true => DumpableBehavior::Dumpable,
        false => DumpableBehavior::NotDumpable,
    };
    if let Err(failure) = set_dumpable_behavior(behavior) {
        tracing::warn!(error = %failure, "core dump protection not changed");
    }
}

/// On other systems the operator's limits decide.
#[cfg(not(target_os = "linux"))]
fn set_dumpable(_allowed: bool) {}

#[cfg(target_os = "linux")]
#[cfg(test)]
mod tests {
    use rustix::process::{DumpableBehavior, dumpable_behavior};

    use super::*;

    #[tokio::test]
    async fn a_guarded_process_leaves_no_core_dump_unless_that_is_allowed() {
        guard();
        assert_eq!(dumpable_behavior().unwrap(), DumpableBehavior::NotDumpable);
        allow_core_dumps();
        assert_eq!(dumpable_behavior().unwrap(), DumpableBehavior::Dumpable);
    }
}
