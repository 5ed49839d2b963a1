//! The process as the operating system sees it: which signals it outlives, and whether its memory
//! may be written to a disk.
//!
//! Photos, tokens and passwords are in that memory. What swaps it out or stops the machine is the
//! operator's business (docs/operating.md).

use tokio::signal::unix::{SignalKind, signal};
use tracing::info;

use crate::app::secrets::Secrets;

/// Before any secret is read: SIGHUP ends nothing from now on, and the process leaves no core dump,
/// nor may another process of its user read its memory.
pub fn guard() {
    // Registered once it stays so, also when what hears of it is dropped.
    if let Err(failure) = signal(SignalKind::hangup()) {
        tracing::warn!(error = %failure, "SIGHUP can't be caught");
    }
    set_dumpable(false);
}

/// Takes back that no core dump is left, as the settings ask.
pub fn allow_core_dumps() {
    set_dumpable(true);
}

/// Has the secret files read again on each SIGHUP.
pub async fn reread_on_hangup(secrets: Secrets) -> std::io::Result<std::convert::Infallible> {
    let mut hangups = signal(SignalKind::hangup())?;
    loop {
        hangups.recv().await;
        info!("SIGHUP: the secret files are read again");
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
        tracing::warn!(error = %failure, "core dumps can't be switched off");
    }
}

/// Elsewhere the operator's limits say it.
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
