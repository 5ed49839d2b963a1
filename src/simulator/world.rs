//! Everything one simulator holds, and the limits of it.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use serde_json::{Map, Value};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::simulator::analysis::{AnalysisType, Ending};
use crate::simulator::api;
use crate::simulator::clock::Clock;
use crate::simulator::director::Director;
use crate::simulator::folders::Folders;
use crate::simulator::media::{Contents, File, Gallery, MediaKind, Medium};
use crate::simulator::record::Record;
use crate::simulator::script::{Outcome, Switches};
use crate::simulator::seed::{FolderSeed, LivenessSeed, MediaSeed, Random};
use crate::simulator::session::Sessions;
use crate::simulator::{Config, Limits, lock};

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
pub struct State {
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
    pub clock: Clock,
    /// What it was asked.
    pub record: Arc<Record>,
    /// What it has seen.
    pub gallery: Gallery,
    /// Its script.
    pub director: Mutex<Director>,
    /// All the rest. Held only for moments, and never together with the script.
    pub state: Mutex<State>,
    /// Ends every task.
    pub stopping: CancellationToken,
    /// Every task there is.
    pub tasks: TaskTracker,
    limits: Limits,
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
        let world = World {
            address,
            account,
            clock: Clock::start(),
            record: Arc::new(Record::new(
                config.limits.record_entries_max,
                config.limits.record_bytes_max,
            )),
            gallery: Gallery::new(config.limits.file_bytes_kept_max),
            director: Mutex::new(Director::new(config.script, rules_random)),
            state: Mutex::new(State {
                random: Random::new(config.seed),
                sessions: Sessions::default(),
                folders: config.limits.folders(),
            }),
            stopping: CancellationToken::new(),
            tasks: TaskTracker::new(),
            limits: config.limits,
        };
        world.open_service_session();
        world
    }

    /// The switches of the moment.
    pub fn switches(&self) -> Arc<Switches> {
        lock(&self.director).switches()
    }

    /// Forgets folders, sessions and the record; the script stays, with its counts.
    pub fn reset(&self) {
        {
            let mut state = lock(&self.state);
            state.sessions = Sessions::default();
            state.folders = self.limits.folders();
        }
        self.open_service_session();
        self.record.clear();
    }

    fn open_service_session(&self) {
        let ttl_ms = self.switches().service_ttl_seconds * 1_000;
        let mut state = lock(&self.state);
        let State { sessions, random, .. } = &mut *state;
        let expires_at = self.clock.now() + ttl_ms;
        sessions.start_service(&self.account.service_token, random, expires_at);
    }

    /// Opens a folder as an SDK would, and names it.
    pub fn add_folder(&self, seed: FolderSeed) -> String {
        let media: Vec<_> = seed.media.iter().map(|medium| self.look(medium)).collect();
        let on = self.switches();
        let mut state = lock(&self.state);
        let State { random, folders, .. } = &mut *state;
        let (id, now) = (random.id(), self.clock.now());
        folders.create(id, Map::new(), now);
        let media = media.into_iter().map(|(file, kind, contents, tags)| Medium {
            id: random.id(),
            kind,
            tags,
            meta_data: Map::new(),
            file_name: file.file_name,
            content_type: file.content_type,
            contents,
            created: now,
            updated: now,
        });
        let media = media.collect();
        folders.add_media(id, media);
        let liveness = seed.liveness.and_then(|liveness| {
            let folder = folders.get(id)?;
            let media: Vec<_> = folder.media.iter().collect();
            let ending = liveness_ending(&liveness, &media, &on);
            Some(api::settled(random, folder, ending, (now, now + liveness.processing_ms)))
        });
        folders.add_analyses(id, liveness.into_iter().collect());
        id.to_string()
    }

    fn look(&self, medium: &MediaSeed) -> (File, MediaKind, Contents, Vec<String>) {
        let file = File {
            part: String::new(),
            file_name: medium.file_name.clone(),
            content_type: medium.content_type.clone(),
            bytes: medium.bytes.clone(),
        };
        let kind = MediaKind::read(&file.content_type, &file.file_name);
        let kind = kind.unwrap_or(MediaKind::Video);
        let contents = self.gallery.look_here(&file, kind);
        (file, kind, contents, medium.tags.clone())
    }
}

impl Limits {
    fn folders(&self) -> Folders {
        Folders::new(self.folders_max, self.folder_bytes_max)
    }
}

fn liveness_ending(liveness: &LivenessSeed, media: &[&Medium], on: &Switches) -> Ending {
    let outcome = Outcome {
        resolution: Some(liveness.resolution.clone()),
        confidence_spoofing: Some(liveness.confidence_spoofing),
        ..Outcome::default()
    };
    let kind = AnalysisType::Quality;
    Ending::settle(kind, media, &Value::Null, Some(&outcome), on)
}
