//! The whole state of one simulator, with its limits.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use serde_json::{Map, Value};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::simulator::analysis::{AnalysisType, Basis, Ending};
use crate::simulator::clock::{Millis, SimulatorClock};
use crate::simulator::director::Director;
use crate::simulator::folders::{Endings, Folder, Folders};
use crate::simulator::media::{File, FileContents, Gallery, MediaKind, Medium};
use crate::simulator::record::Record;
use crate::simulator::sample;
use crate::simulator::script::{Outcome, Switches};
use crate::simulator::seed::{FolderSeed, MediaSeed, Random};
use crate::simulator::session::Sessions;
use crate::simulator::{Config, SimulatorLimits, lock};

/// The credentials that are accepted.
#[derive(Clone, Debug)]
pub struct Account {
    /// The e-mail of the ordinary user.
    pub email: String,
    /// The password of the ordinary user.
    pub password: String,
    /// The token of the service account.
    pub service_token: String,
}

/// The state that requests change.
#[derive(Debug)]
pub struct WorldState {
    /// The source of ids, tokens and jitter.
    pub random: Random,
    pub sessions: Sessions,
    pub folders: Folders,
}

/// One simulator.
#[derive(Debug)]
pub struct World {
    /// The address it listens on.
    pub address: SocketAddr,
    pub account: Account,
    pub clock: SimulatorClock,
    pub record: Arc<Record>,
    pub gallery: Gallery,
    /// The running script.
    pub director: Mutex<Director>,
    /// Locked only briefly, and never together with the script.
    pub state: Mutex<WorldState>,
    /// Cancelling it ends every task.
    pub stopping: CancellationToken,
    /// All tasks of this simulator.
    pub tasks: TaskTracker,
    limits: SimulatorLimits,
    is_tls: bool,
    /// The id of the sample folder; a reset keeps it.
    sample_folder: Option<Uuid>,
}

/// A folder to open.
#[derive(Debug, Default)]
pub struct NewFolder {
    pub meta_data: Map<String, Value>,
    pub media: Vec<NewMedium>,
    /// How its analyses end.
    pub endings: Endings,
    /// A liveness check of the media that starts with the folder, and its duration.
    pub liveness: Option<(Outcome, Millis)>,
}

/// A medium of a new folder, with its fingerprints.
#[derive(Debug)]
pub struct NewMedium {
    pub file: File,
    pub kind: MediaKind,
    pub contents: FileContents,
    /// Oz's tags.
    pub tags: Vec<String>,
    pub meta_data: Map<String, Value>,
}

/// Separates the random numbers of rules from those of ids: both come from one seed.
const RULES_SEED: u64 = 0x5EED_0F20_1E5A;

impl World {
    /// The state of a new simulator that listens on this address.
    pub fn new(address: SocketAddr, config: Config) -> World {
        let account = Account {
            email: config.email,
            password: config.password,
            service_token: config.service_token,
        };
        let rules_random = Random::new(config.seed.map(|seed| seed ^ RULES_SEED));
        let mut world = World {
            address,
            account,
            clock: SimulatorClock::start(),
            record: Arc::new(Record::new(
                config.limits.record_entries_max,
                config.limits.record_bytes_max,
            )),
            gallery: Gallery::new(config.limits.file_bytes_kept_max),
            director: Mutex::new(Director::new(config.script, rules_random)),
            state: Mutex::new(WorldState {
                random: Random::new(config.seed),
                sessions: Sessions::default(),
                folders: config.limits.folders(),
            }),
            stopping: CancellationToken::new(),
            tasks: TaskTracker::new(),
            limits: config.limits,
            is_tls: config.tls.is_some(),
            sample_folder: None,
        };
        world.open_service_session();
        if config.sample_folder {
            world.sample_folder = Some(lock(&world.state).random.id());
            world.open_sample_folder();
        }
        world
    }

    /// The base URL, without a slash at the end.
    pub fn url(&self) -> String {
        self.url_at(&self.address.to_string())
    }

    /// The base URL by another name of the host.
    pub fn url_at(&self, host: &str) -> String {
        format!("{}://{host}", if self.is_tls { "https" } else { "http" })
    }

    /// The id of the sample folder, if the settings ask for one.
    pub fn sample_folder(&self) -> Option<Uuid> {
        self.sample_folder
    }

    /// The current switches.
    pub fn switches(&self) -> Arc<Switches> {
        lock(&self.director).switches()
    }

    /// Drops folders, sessions and the record. The script stays with its counts; the sample folder
    /// is made again under its old id.
    pub fn reset(&self) {
        {
            let mut state = lock(&self.state);
            state.sessions = Sessions::default();
            state.folders = self.limits.folders();
        }
        self.open_service_session();
        self.open_sample_folder();
        self.record.clear();
    }

    fn open_service_session(&self) {
        let ttl_ms = self.switches().service_ttl_seconds * 1_000;
        let mut state = lock(&self.state);
        let WorldState { sessions, random, .. } = &mut *state;
        let expires_at = self.clock.now() + ttl_ms;
        sessions.start_service(&self.account.service_token, random, expires_at);
    }

    /// Opens a folder as an SDK would, and returns its id.
    pub fn add_folder(&self, seed: FolderSeed) -> Uuid {
        let id = lock(&self.state).random.id();
        self.open_folder(id, self.seeded(seed));
        id
    }

    /// Opens a folder under this id, and seals it for resets.
    pub fn open_folder(&self, id: Uuid, new: NewFolder) {
        let on = self.switches();
        let mut state = lock(&self.state);
        let WorldState { random, folders, .. } = &mut *state;
        let now = self.clock.now();
        folders.create(id, new.meta_data, now);
        let media = new.media.into_iter().map(|medium| Medium {
            id: random.id(),
            kind: medium.kind,
            tags: medium.tags,
            meta_data: medium.meta_data,
            file_name: medium.file.file_name,
            content_type: medium.file.content_type,
            contents: medium.contents,
            created: now,
            updated: now,
        });
        let media = media.collect();
        folders.add_media(id, media);
        let liveness = new.liveness.and_then(|(outcome, takes_ms)| {
            let folder = folders.get(id)?;
            let ending = liveness_ending(&outcome, folder, &on);
            Some(folder.liveness_check(random, ending, (now, now + takes_ms)))
        });
        folders.add_analyses(id, liveness.into_iter().collect());
        if let Some(folder) = folders.get_mut(id) {
            folder.endings = new.endings;
        }
        folders.seal(id);
    }

    fn open_sample_folder(&self) {
        if let Some(id) = self.sample_folder {
            self.open_folder(id, self.seeded(sample::liveness_folder(sample::portrait_jpeg())));
        }
    }

    fn seeded(&self, seed: FolderSeed) -> NewFolder {
        let liveness = seed.liveness.map(|liveness| {
            let outcome = Outcome {
                resolution: Some(liveness.resolution),
                confidence_spoofing: Some(liveness.confidence_spoofing),
                ..Outcome::default()
            };
            (outcome, liveness.processing_ms)
        });
        let media = seed.media.into_iter().map(|medium| self.look(medium)).collect();
        NewFolder { media, liveness, ..NewFolder::default() }
    }

    /// Takes the fingerprints of a medium on the calling thread.
    pub fn look(&self, medium: MediaSeed) -> NewMedium {
        let file = File {
            part: String::new(),
            file_name: medium.file_name,
            content_type: medium.content_type,
            bytes: medium.bytes,
        };
        let kind = MediaKind::read(&file.content_type, &file.file_name);
        let kind = kind.unwrap_or(MediaKind::Video);
        let contents = self.gallery.look_here(&file, kind);
        NewMedium { file, kind, contents, tags: medium.tags, meta_data: Map::new() }
    }
}

impl SimulatorLimits {
    fn folders(&self) -> Folders {
        Folders::new(self.folders_max, self.folder_bytes_max)
    }
}

fn liveness_ending(outcome: &Outcome, folder: &Folder, on: &Switches) -> Ending {
    let media: Vec<_> = folder.liveness_media().collect();
    let outcome = Some((outcome, Basis::Folder));
    Ending::settle(AnalysisType::Quality, &media, &Value::Null, outcome, on)
}
