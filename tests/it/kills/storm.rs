//! Kills and restarts the service at random moments.

use std::sync::Arc;

use rand::{SeedableRng, rngs::StdRng};
use tempfile::TempDir;

use crate::{
    callers::storm::{StormState, faulty_oz},
    process::Process,
};

/// `--oz-settle` far exceeds the time in which the simulator may still act on an aborted request.
const SETTINGS: [&str; 4] = ["--oz-settle", "300ms", "--photo-grace", "10m"];

/// The number of the only replica.
const ONLY: usize = 0;

/// The service's directory, which survives its kills, and the shared state of the storm.
pub struct Storm {
    pub stage: Arc<StormState>,
    directory: TempDir,
    seed: u64,
}

impl Storm {
    /// Starts an Oz with faults, and the service.
    pub async fn gather(seed: u64) -> (Self, Process) {
        let stage = Arc::new(StormState::new(faulty_oz(seed).await, 1));
        let storm = Self { stage, directory: tempfile::tempdir().unwrap(), seed };
        let process = storm.start();
        (storm, process)
    }

    /// Kills and restarts the service `kills` times, then publishes that the storm is over.
    pub async fn rage(&self, kills: u64, mut process: Process) -> Process {
        let mut random = StdRng::seed_from_u64(self.seed);
        for _ in 0..kills {
            self.stage.random_moment(&mut random).await;
            self.stage.replica_stopping(ONLY);
            process.kill();
            process = self.start();
        }
        self.stage.storm_is_over();
        process
    }

    fn start(&self) -> Process {
        let library = self.stage.photos.url();
        let settings = [&SETTINGS[..], &["--library", &library]].concat();
        let process = Process::start(&self.stage.oz, self.directory.path(), &settings);
        self.stage.replica_started(ONLY, process.address());
        process
    }
}
