//! AN OZ OF OUR OWN: a simulator of the Oz Forensics REST API, over real HTTP, with faults on cue.
//!
//! It is written from Oz's documents and imports nothing of ours, so it is an independent witness.
//! It is a stand-in for testing: its verdict compares pictures, not faces.
//! In a test it is one line, `Simulator::start().await`; `docs/simulator.md` says the rest.
//!
//! Besides Oz's own endpoints it serves a tester's side door, `/sim/…`, which `GET /sim` lists.

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
    Switches, TooFewMedia,
};
pub use seed::{FolderSeed, LivenessSeed, MediaSeed};
pub use tls::{Tls, TlsError};
pub use view::{AnalysisView, FolderView, MediaView};

use server::Door;
use world::World;

/// How a simulator is set up.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where it listens; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Makes ids, tokens and chances repeat. Without one, no id is ever used twice.
    pub seed: Option<u64>,
    /// What happens to which request.
    pub script: Script,
    /// The e-mail that may sign in.
    pub email: String,
    /// The password that goes with it.
    pub password: String,
    /// The service account's token.
    pub service_token: String,
    /// How much it may hold.
    pub limits: SimulatorLimits,
    /// Whether a folder of the sample person is there from the start.
    pub sample_folder: bool,
    /// What it shows to callers who come over TLS; unset, it serves plain HTTP.
    pub tls: Option<Tls>,
}

/// How much a simulator may hold. What is over a limit is forgotten, oldest first.
#[derive(Clone, Debug)]
pub struct SimulatorLimits {
    /// Folders. One with a shot set, a photo and two analyses takes about 10 kB.
    pub folders_max: usize,
    /// Bytes of memory for them, roughly: callers may say much about their media.
    pub folder_bytes_max: usize,
    /// Requests in the record, about 500 bytes each.
    pub record_entries_max: usize,
    /// Bytes of memory for what callers said in them.
    pub record_bytes_max: usize,
    /// Bytes of media kept for `original_url`; each content is kept once.
    pub file_bytes_kept_max: usize,
    /// Connections at once; further ones wait.
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

/// A running simulator. Dropping it stops it, with all its connections.
#[derive(Debug)]
pub struct Simulator {
    world: Arc<World>,
}

impl Simulator {
    /// Starts one on a free port of the loopback interface, with all defaults.
    ///
    /// # Panics
    ///
    /// When the loopback interface has no free port: then no test can run.
    pub async fn start() -> Simulator {
        Simulator::start_with(Config::default()).await.expect("the loopback has a free port")
    }

    /// Starts one.
    ///
    /// # Errors
    ///
    /// When it can't listen, or the script is no valid one.
    pub async fn start_with(mut config: Config) -> io::Result<Simulator> {
        config.script = config
            .script
            .checked()
            .map_err(|message| io::Error::new(io::ErrorKind::InvalidInput, message))?;
        let listener = TcpListener::bind(config.listen).await?;
        let door = Door { connections_max: config.limits.connections_max, tls: config.tls.clone() };
        let world = Arc::new(World::new(listener.local_addr()?, config));
        world.tasks.spawn(server::serve(listener, world.clone(), door));
        world.tasks.close();
        Ok(Simulator { world })
    }

    /// Where it serves, without a slash at the end.
    pub fn url(&self) -> String {
        self.world.url()
    }

    /// The folder that is there from the start, if there is one.
    pub fn sample_folder(&self) -> Option<String> {
        self.world.sample_folder().map(|id| id.to_string())
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.world.address
    }

    /// The e-mail and the password that are accepted.
    pub fn login(&self) -> (&str, &str) {
        (&self.world.account.email, &self.world.account.password)
    }

    /// A long-lived token that is accepted without a login.
    pub fn service_token(&self) -> &str {
        &self.world.account.service_token
    }

    /// Adds rules after those there are.
    ///
    /// # Panics
    ///
    /// When a rule is out of range or the script is full: the test that says so is wrong.
    pub fn script(&self, rules: impl IntoIterator<Item = Rule>) {
        let script = Script { rules: rules.into_iter().collect(), ..Script::default() };
        let script = script.checked().expect("the rules are within their ranges");
        let added = lock(&self.world.director).try_add(script.rules);
        added.expect("the script has room for the rules");
    }

    /// Forgets all rules with this name, and says how many there were.
    pub fn remove_rules(&self, name: &str) -> usize {
        lock(&self.world.director).remove(name)
    }

    /// Forgets all rules; the switches stay.
    pub fn clear_rules(&self) {
        lock(&self.world.director).clear_rules();
    }

    /// Changes switches.
    ///
    /// # Panics
    ///
    /// When a switch is out of range: the test that says so is wrong.
    pub fn switch(&self, change: impl FnOnce(&mut Switches)) {
        let mut director = lock(&self.world.director);
        let mut switches = (*director.switches()).clone();
        change(&mut switches);
        let script = Script { switches, ..Script::default() };
        director.switch(script.checked().expect("the switches are within their ranges").switches);
    }

    /// Opens a folder as an SDK would, and names it.
    ///
    /// It looks at the pictures on this thread, which takes a moment for large ones.
    pub fn add_folder(&self, seed: FolderSeed) -> String {
        self.world.add_folder(seed).to_string()
    }

    /// Puts a folder back to what it was when it was made, and says whether it exists.
    pub fn reset_folder(&self, id: &str) -> bool {
        let Ok(id) = Uuid::try_parse(id) else {
            return false;
        };
        lock(&self.world.state).folders.reset(id, self.world.clock.now())
    }

    /// Lets all sessions of the ordinary user expire now, and says how many.
    pub fn expire_sessions(&self) -> usize {
        lock(&self.world.state).sessions.expire_all(self.world.clock.now(), false)
    }

    /// Moves the simulator's clock forward: analyses finish and sessions expire without waiting.
    pub fn skip(&self, duration: Duration) {
        self.world.clock.skip(duration);
    }

    /// The requests it was asked, oldest first, as far as they are kept.
    pub fn record(&self) -> Vec<RecordedRequest> {
        self.world.record.all()
    }

    /// Forgets them; numbers go on.
    pub fn clear_record(&self) {
        self.world.record.clear();
    }

    /// Waits until the record fits; it is looked at again whenever it has changed.
    pub async fn recorded(&self, mut fits: impl FnMut(&[RecordedRequest]) -> bool) {
        self.world.record.until(|| fits(&self.world.record.all())).await;
    }

    /// All folders, oldest first.
    pub fn folders(&self) -> Vec<FolderView> {
        let state = lock(&self.world.state);
        let now = self.world.clock.now();
        state.folders.iter().map(|folder| FolderView::of(folder, now)).collect()
    }

    /// One folder.
    pub fn folder(&self, id: &str) -> Option<FolderView> {
        let state = lock(&self.world.state);
        let folder = state.folders.get(Uuid::try_parse(id).ok()?)?;
        Some(FolderView::of(folder, self.world.clock.now()))
    }

    /// Waits until it has stopped, which only dropping or [`Simulator::stop`] brings about.
    pub async fn stopped(&self) {
        self.world.tasks.wait().await;
    }

    /// Stops it, and waits until its port is free again.
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

/// Locks what no panic can leave half-changed: each change is one assignment or one insertion.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
