//! The settings while the service runs: the settings file is read again on SIGHUP, and the live
//! settings change together or not at all.
//!
//! It deliberately ends nothing: a file that can't be used is one line in the log.

use std::{
    num::NonZeroU32,
    sync::{Arc, Mutex},
};

use tracing::{Level, info, warn};

use crate::{
    access::{Access, ReloadCount},
    clock::Clock,
    config::{self, Given, LiveConfig, Reread, Values},
    grpc::{self, LiveReflection},
    sync::lock,
    telemetry,
    web::LiveOrigins,
    worker::{self, Worker},
};

/// Reads the settings again. Cheap to clone.
#[derive(Clone)]
pub struct Settings(Arc<SettingsInner>);

struct SettingsInner {
    given: Given,
    in_use: Mutex<Values>,
    parts: LiveParts,
}

/// What the live settings go to.
#[derive(Clone)]
pub(super) struct LiveParts {
    pub worker: Worker,
    pub access: Access,
    pub reflection: LiveReflection,
    pub web_origins: LiveOrigins,
    pub reloads: Arc<ReloadCount>,
    pub clock: Clock,
}

impl Settings {
    /// The settings of a service that was started with what is `given`.
    pub(super) fn new(given: Given, parts: LiveParts) -> Self {
        let in_use = Mutex::new(given.at_start());
        Self(Arc::new(SettingsInner { given, in_use, parts }))
    }

    /// Reads the settings file again, if there is one.
    pub async fn reread(&self) {
        let settings = self.clone();
        // On a thread of its own: a file system may block for long. A panic has been logged as it
        // happened.
        let _ = tokio::task::spawn_blocking(move || settings.look_again()).await;
    }

    fn look_again(&self) {
        let SettingsInner { given, in_use, parts } = &*self.0;
        if !given.has_file() {
            return;
        }
        // Held to the end, so that an older file never replaces a newer one.
        let mut in_use = lock(in_use);
        let again = given.again(&in_use);
        match again.and_then(|again| again.map(|again| parts.checked(again)).transpose()) {
            Ok(None) => info!("settings file read again: nothing has changed"),
            Ok(Some(Reread { live, names, changed, values, .. })) => {
                let (names, settings) = (names.join(" "), changed.to_string());
                let log = || {
                    info!(
                        changed = names,
                        settings, "settings file read again: the changes are in use"
                    );
                };
                // At the old level or at the new one, whichever has the line.
                let is_logged = tracing::enabled!(Level::INFO);
                if is_logged {
                    log();
                }
                parts.apply(live);
                if !is_logged {
                    log();
                }
                *in_use = values;
                parts.reloads.succeeded(parts.clock.now());
            }
            Err(error) => {
                parts.reloads.failed();
                warn!(%error, "settings file not used: no setting has changed");
            }
        }
    }
}

impl LiveParts {
    /// Checks what only the parts can check.
    fn checked(&self, again: Reread) -> Result<Reread, config::Error> {
        let retention = again.live.retention;
        let checked = self.access.check_retention(retention).or_else(|_| {
            // The callers file may have been changed together with the settings.
            self.access.look_again();
            self.access.check_retention(retention)
        });
        match checked {
            Ok(()) => Ok(again),
            Err(fault) => Err(again.origins.refused("retention", fault.to_string())),
        }
    }

    /// Puts checked settings to use.
    fn apply(&self, live: LiveConfig) {
        self.access.set_retention_max(live.retention);
        self.worker.change(limits(&live));
        self.reflection.set(reflection(live.reflection));
        self.web_origins.set(&live.web_origins);
        if let Err(error) = telemetry::set_level(&live.log_level) {
            // The level was checked as it was parsed.
            warn!(%error, "log level not changed");
        }
    }
}

fn limits(live: &LiveConfig) -> worker::LiveLimits {
    worker::LiveLimits {
        retention: live.retention,
        unfinished_max: usize::try_from(live.max_unfinished).unwrap_or(usize::MAX),
        oz: worker::OzLimits {
            requests_max: live.oz_max_requests,
            rate_max: live.oz_max_rate.and_then(NonZeroU32::new),
        },
    }
}

/// The setting as the server knows it.
pub(super) const fn reflection(reflection: config::Reflection) -> grpc::Reflection {
    match reflection {
        config::Reflection::Open => grpc::Reflection::Open,
        config::Reflection::Callers => grpc::Reflection::Callers,
        config::Reflection::Off => grpc::Reflection::Off,
    }
}
