//! A simulator of the Oz Forensics REST API: real HTTP, with scripted faults.
//!
//! It is written from Oz's documents and imports nothing of the service, so it is an independent
//! check. It is a stand-in for testing: its verdict compares pictures, not faces.
//! A test starts it in one line, `Simulator::start().await`; `docs/simulator.md` has the rest.
//!
//! Besides Oz's endpoints it serves a control API for testers, `/sim/…`; `GET /sim` lists it.

pub mod sample;

mod analysis;
mod answer;
mod api;
mod clock;
mod control;
mod dialect;
mod director;
mod endpoint;
mod fault;
mod folders;
mod media;
mod picture;
mod record;
mod respond;
mod script;
mod seed;
mod server;
mod session;
mod subject;
mod tls;
mod upload;
mod verdict;
mod view;
mod wire;
mod world;

#[cfg(test)]
mod tests;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::TcpListener;
use uuid::Uuid;

pub use analysis::AnalysisType;
pub use api::TOKEN_HEADER;
pub use endpoint::Endpoint;
pub use record::{Answered, RecordedRequest, RecordedUpload};
pub use script::{
    Action, AnalysisIdName, Gateway, LoginCode, Outcome, RequestMatch, Rule, Script, ScriptError,
    Switches, TooFewMedia, TrailingSlash, Unlicensed,
};
pub use seed::{FolderSeed, LivenessSeed, MediaSeed};
pub use tls::{Tls, TlsError};
pub use view::{AnalysisView, FolderView, MediaView};

use server::ListenerConfig;
use world::World;

/// The settings of a simulator.
#[derive(Clone, Debug)]
pub struct Config {
    /// The address to listen on; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Makes ids, tokens, jitter and the outcomes of probabilities repeat. Without a seed, no id
    /// is ever used twice.
    pub seed: Option<u64>,
    /// The switches and rules to start with.
    pub script: Script,
    /// The e-mail of the only account that can log in.
    pub email: String,
    /// The password of that account.
    pub password: String,
    /// The service account's token, valid without a login.
    pub service_token: String,
    /// How much the simulator may keep in memory.
    pub limits: SimulatorLimits,
    /// Whether a folder of the sample person exists from the start.
    pub sample_folder: bool,
    /// The certificate to serve HTTPS with; `None` means plain HTTP.
    pub tls: Option<Tls>,
}

/// How much a simulator may keep. Over a limit, the oldest entries are dropped first; connections
/// wait instead.
#[derive(Clone, Debug)]
pub struct SimulatorLimits {
    /// Folders. One with a shot set, a photo and two analyses takes about 10 kB.
    pub folders_max: usize,
    /// Bytes of memory for all folders, roughly: metadata of folders and media may be large.
    pub folder_bytes_max: usize,
    /// Requests in the record, about 500 bytes each.
    pub record_entries_max: usize,
    /// Bytes of memory for the paths, payloads and JSON bodies in the record.
    pub record_bytes_max: usize,
    /// Bytes of media kept for `original_url`; files with equal content are kept once.
    pub file_bytes_kept_max: usize,
    /// Open connections; further ones wait to be accepted.
    pub connections_max: usize,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            seed: None,
            script: Script::default(),
            email: "tester@example.com".to_owned(),
            password: "simulated".to_owned(),
            service_token: "simulated-service-token".to_owned(),
            limits: SimulatorLimits::default(),
            sample_folder: false,
            tls: None,
        }
    }
}

impl Default for SimulatorLimits {
    fn default() -> SimulatorLimits {
        SimulatorLimits {
            folders_max: 100_000,
            folder_bytes_max: 512 * 1024 * 1024,
            record_entries_max: 100_000,
            record_bytes_max: 64 * 1024 * 1024,
            file_bytes_kept_max: 64 * 1024 * 1024,
            connections_max: 16_384,
        }
    }
}

/// A running simulator. Dropping it stops it and closes all its connections.
#[derive(Debug)]
pub struct Simulator {
    world: Arc<World>,
}

impl Simulator {
    /// Starts a simulator with default settings, on a free port of the loopback interface.
    ///
    /// # Panics
    ///
    /// If the loopback interface has no free port: then no test can run.
    pub async fn start() -> Simulator {
        Simulator::start_with(Config::default()).await.expect("the loopback has a free port")
    }

    /// Starts a simulator with these settings.
    ///
    /// # Errors
    ///
    /// If the address can't be listened on, or the script is invalid.
    pub async fn start_with(mut config: Config) -> io::Result<Simulator> {
        config.script = config
            .script
            .checked()
            .map_err(|message| io::Error::new(io::ErrorKind::InvalidInput, message))?;
        let listener = TcpListener::bind(config.listen).await?;
        let door = ListenerConfig {
            connections_max: config.limits.connections_max,
            tls: config.tls.clone(),
        };
        let world = Arc::new(World::new(listener.local_addr()?, config));
        world.tasks.spawn(server::serve(listener, world.clone(), door));
        world.tasks.close();
        Ok(Simulator { world })
    }

    /// The base URL, without a slash at the end.
    pub fn url(&self) -> String {
        self.world.url()
    }

    /// The id of the sample folder; `None` unless [`Config::sample_folder`] is set.
    pub fn sample_folder(&self) -> Option<String> {
        self.world.sample_folder().map(|id| id.to_string())
    }

    /// The address it listens on, with the real port.
    pub fn address(&self) -> SocketAddr {
        self.world.address
    }

    /// The e-mail and the password that a login accepts.
    pub fn login(&self) -> (&str, &str) {
        (&self.world.account.email, &self.world.account.password)
    }

    /// A long-lived token that is accepted without a login.
    pub fn service_token(&self) -> &str {
        &self.world.account.service_token
    }

    /// Adds rules after the existing ones.
    ///
    /// # Panics
    ///
    /// If a value of a rule is out of range, or the script is full: the calling test is wrong.
    pub fn script(&self, rules: impl IntoIterator<Item = Rule>) {
        let script = Script { rules: rules.into_iter().collect(), ..Script::default() };
        let script = script.checked().expect("the rules are within their ranges");
        let added = lock(&self.world.director).try_add(script.rules);
        added.expect("the script has room for the rules");
    }

    /// Removes all rules with this name, and returns their number.
    pub fn remove_rules(&self, name: &str) -> usize {
        lock(&self.world.director).remove(name)
    }

    /// Removes all rules; the switches stay.
    pub fn clear_rules(&self) {
        lock(&self.world.director).clear_rules();
    }

    /// Changes switches.
    ///
    /// # Panics
    ///
    /// If a switch is out of range: the calling test is wrong.
    pub fn switch(&self, change: impl FnOnce(&mut Switches)) {
        let mut director = lock(&self.world.director);
        let mut switches = (*director.switches()).clone();
        change(&mut switches);
        let script = Script { switches, ..Script::default() };
        director.switch(script.checked().expect("the switches are within their ranges").switches);
    }

    /// Opens a folder as an SDK would, and returns its id.
    ///
    /// Decodes the pictures on the calling thread, which takes a moment for large ones.
    pub fn add_folder(&self, seed: FolderSeed) -> String {
        self.world.add_folder(seed).to_string()
    }

    /// Restores a folder to the state in which it was made. Returns whether it exists.
    pub fn reset_folder(&self, id: &str) -> bool {
        let Ok(id) = Uuid::try_parse(id) else {
            return false;
        };
        lock(&self.world.state).folders.reset(id, self.world.clock.now())
    }

    /// Expires all sessions of the ordinary user now, and returns their number.
    pub fn expire_sessions(&self) -> usize {
        lock(&self.world.state).sessions.expire_all(self.world.clock.now(), false)
    }

    /// Moves the simulator's clock forward: analyses finish and sessions expire without waiting.
    pub fn skip(&self, duration: Duration) {
        self.world.clock.skip(duration);
    }

    /// The recorded requests to Oz's endpoints, oldest first. Those over the limits are gone.
    pub fn record(&self) -> Vec<RecordedRequest> {
        self.world.record.all()
    }

    /// Empties the record. The numbering of requests continues.
    pub fn clear_record(&self) {
        self.world.record.clear();
    }

    /// Waits until `fits` accepts the record; it is called again after each new or changed request.
    pub async fn recorded(&self, mut fits: impl FnMut(&[RecordedRequest]) -> bool) {
        self.world.record.until(|| fits(&self.world.record.all())).await;
    }

    /// All folders, oldest first.
    pub fn folders(&self) -> Vec<FolderView> {
        let state = lock(&self.world.state);
        let now = self.world.clock.now();
        state.folders.iter().map(|folder| FolderView::of(folder, now)).collect()
    }

    /// The folder with this id; `None` if it doesn't exist.
    pub fn folder(&self, id: &str) -> Option<FolderView> {
        let state = lock(&self.world.state);
        let folder = state.folders.get(Uuid::try_parse(id).ok()?)?;
        Some(FolderView::of(folder, self.world.clock.now()))
    }

    /// Waits until the simulator has stopped. Only a drop or [`Simulator::stop`] stops it.
    pub async fn stopped(&self) {
        self.world.tasks.wait().await;
    }

    /// Stops the simulator, and waits until its port is free again.
    pub async fn stop(self) {
        self.world.stopping.cancel();
        self.world.tasks.wait().await;
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.world.stopping.cancel();
    }
}

/// Locks even a poisoned mutex: each change here is one assignment or one insertion, so a panic
/// leaves no half-made change.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
