//! Everything one simulator holds, and the limits of it.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use serde_json::{Map, Value};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::simulator::analysis::{AnalysisType, Basis, Ending};
use crate::simulator::api;
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

/// Who may sign in.
#[derive(Clone, Debug)]
pub struct Account {
    /// The e-mail of the ordinary user.
    pub email: String,
    /// The password of the ordinary user.
    pub password: String,
    /// The token of the service account.
    pub service_token: String,
}

/// What changes as requests are acted on.
#[derive(Debug)]
pub struct WorldState {
    /// Where ids come from.
    pub random: Random,
    /// Who is signed in.
    pub sessions: Sessions,
    /// What was brought.
    pub folders: Folders,
}

/// One simulator.
#[derive(Debug)]
pub struct World {
    /// Where it listens.
    pub address: SocketAddr,
    /// Who may sign in.
    pub account: Account,
    /// Its time.
    pub clock: SimulatorClock,
    /// What it was asked.
    pub record: Arc<Record>,
    /// What it has seen.
    pub gallery: Gallery,
    /// Its script.
    pub director: Mutex<Director>,
    /// All the rest. Held only for moments, and never together with the script.
    pub state: Mutex<WorldState>,
    /// Ends every task.
    pub stopping: CancellationToken,
    /// Every task there is.
    pub tasks: TaskTracker,
    limits: SimulatorLimits,
    is_tls: bool,
    /// The folder that is there from the start, if there is one.
    sample_folder: Option<Uuid>,
}

/// A folder that is about to be made.
#[derive(Debug, Default)]
pub struct NewFolder {
    /// The caller's own words about it.
    pub meta_data: Map<String, Value>,
    /// What it holds.
    pub media: Vec<NewMedium>,
    /// How its analyses end.
    pub endings: Endings,
    /// A liveness check of the media that has begun with the folder, and how long it takes.
    pub liveness: Option<(Outcome, Millis)>,
}

/// A medium of it, which was looked at.
#[derive(Debug)]
pub struct NewMedium {
    /// The file.
    pub file: File,
    /// What it is.
    pub kind: MediaKind,
    /// What it looks like.
    pub contents: FileContents,
    /// Oz's tags.
    pub tags: Vec<String>,
    /// The caller's own words about it.
    pub meta_data: Map<String, Value>,
}

/// Chances of rules come from the same seed, but not from the same numbers as ids.
const RULES_SEED: u64 = 0x5EED_0F20_1E5A;

impl World {
    /// A new world for a simulator that listens here.
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

    /// Where it serves, without a slash at the end.
    pub fn url(&self) -> String {
        self.url_at(&self.address.to_string())
    }

    /// Where it serves by another name of its host.
    pub fn url_at(&self, host: &str) -> String {
        format!("{}://{host}", if self.is_tls { "https" } else { "http" })
    }

    /// The folder that is there from the start, if there is one.
    pub fn sample_folder(&self) -> Option<Uuid> {
        self.sample_folder
    }

    /// The switches of the moment.
    pub fn switches(&self) -> Arc<Switches> {
        lock(&self.director).switches()
    }

    /// Forgets folders, sessions and the record; the script stays, with its counts, and the sample
    /// folder is made anew under its old id.
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

    /// Opens a folder as an SDK would, and names it.
    pub fn add_folder(&self, seed: FolderSeed) -> Uuid {
        let id = lock(&self.state).random.id();
        self.open_folder(id, self.seeded(seed));
        id
    }

    /// Opens a folder.
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
            Some(api::settled(random, folder, ending, (now, now + takes_ms)))
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

    /// Looks at a medium on this very thread.
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
    let media: Vec<_> = api::liveness_media(folder).collect();
    let outcome = Some((outcome, Basis::Folder));
    Ending::settle(AnalysisType::Quality, &media, &Value::Null, outcome, on)
}
