//! The storm itself: a service that is killed and started, and when.

use std::sync::Arc;

use rand::{SeedableRng, rngs::StdRng};
use tempfile::TempDir;

use crate::{
    callers::stage::{Stage, stormy_oz},
    process::Process,
};

/// For how long Oz may still act on what was cut off: far longer than it does here.
const SETTINGS: [&str; 4] = ["--oz-settle", "300ms", "--photo-grace", "10m"];

/// The only replica.
const ONLY: usize = 0;

/// The service's journal, through all of its lives.
pub struct Storm {
    pub stage: Arc<Stage>,
    directory: TempDir,
    seed: u64,
}

impl Storm {
    /// An Oz with faults, and the service's first life.
    pub async fn gather(seed: u64) -> (Self, Process) {
        let stage = Arc::new(Stage::new(stormy_oz(seed).await, 1));
        let storm = Self { stage, directory: tempfile::tempdir().unwrap(), seed };
        let process = storm.start();
        (storm, process)
    }

    /// Kills the service so often and starts it again at once, then leaves it in peace.
    pub async fn rage(&self, kills: u64, mut process: Process) -> Process {
        let mut random = StdRng::seed_from_u64(self.seed);
        for _ in 0..kills {
            self.stage.some_moment(&mut random).await;
            self.stage.closes(ONLY);
            process.kill();
            process = self.start();
        }
        self.stage.calms_down();
        process
    }

    fn start(&self) -> Process {
        let process = Process::start(&self.stage.oz, self.directory.path(), &SETTINGS);
        self.stage.opens(ONLY, process.address());
        process
    }
}
