//! Canaries: secrets that must not leak, and the search for them in everything that is written or
//! answered.
//!
//! Every photo, file name, password, token and key of the photo library of these tests carries a
//! canary. Only a key may be in a journal. The log lines, the responses and the journal of each service that a test starts are searched; a finding fails the
//! test, and names the place but not the text. The search finds a canary as it is and in the forms
//! that logs and files would contain: hexadecimal, decimal, and base64.
//!
//! It deliberately keeps none of the text that it searches, and reports only the kind of secret.

mod answers;
mod files;
mod log;
mod needles;
mod tests;

use std::{
    fmt,
    path::PathBuf,
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
};

use facematch::{
    pb::face_match_client::FaceMatchClient,
    simulator::{Config, Simulator},
};
use tonic::{Status, transport::Channel};

pub use answers::Searched;
#[cfg(feature = "postgres-tests")]
pub use files::search_directory;
pub use files::{holds_key, search_journal};
pub use log::{LEVELS, Log, search_log};
pub use needles::{FILE_NAME, KEY, PASSWORD, marked};

use log::search_all;
use needles::{SERVICE_TOKEN, Search, Secret};

/// A client whose responses are searched.
pub type Client = FaceMatchClient<Searched>;

/// A client over a connection.
pub fn client(channel: Channel) -> Client {
    FaceMatchClient::new(Searched::new(channel, &FOUND))
}

/// A simulator configuration whose secrets carry canaries, with defaults otherwise.
pub fn config() -> Config {
    let (password, service_token) = (PASSWORD.to_owned(), SERVICE_TOKEN.to_owned());
    Config { password, service_token, ..Config::default() }
}

/// Fails if the simulator's secrets carry no canaries.
pub fn check_account(oz: &Simulator) {
    assert_eq!(oz.login().1, PASSWORD, "an Oz of these tests is set up by canary::config()");
}

/// Fails if a text holds a canary.
#[track_caller]
pub fn check(place: &str, text: &[u8]) {
    if let Some(secret) = Search::default().feed(text) {
        panic!("{place}: there is {secret}");
    }
}

/// Fails if the status of a failed call holds a canary.
#[track_caller]
pub fn check_status(status: &Status) {
    check("a status", status.message().as_bytes());
    check("the details of a status", status.details());
}

/// The findings of searches that run in the background of all tests.
static FOUND: Findings = Findings::new();

/// Canaries that were found, with their places.
struct Findings(Mutex<Vec<Finding>>);

#[derive(Debug, Clone)]
struct Finding {
    secret: Secret,
    place: String,
    thread: String,
}

impl Findings {
    const fn new() -> Self {
        Self(Mutex::new(Vec::new()))
    }

    fn report(&self, secret: Secret, place: String) {
        self.all().push(Finding { secret, place, thread: thread_name() });
    }

    /// The findings of a test's thread, and of threads that belong to no single test.
    fn of_test(&self, thread: &str) -> Vec<Finding> {
        // The thread of a test has the test's name, with its module path.
        let is_its =
            |finding: &&Finding| finding.thread == thread || !finding.thread.contains("::");
        self.all().iter().filter(is_its).cloned().collect()
    }

    fn all(&self) -> MutexGuard<'_, Vec<Finding>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn thread_name() -> String {
    thread::current().name().unwrap_or("without a name").to_owned()
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: there is {}, from the thread {}", self.place, self.secret, self.thread)
    }
}

/// When dropped, fails the test that owns the service if the service leaked a canary.
pub struct Inspection {
    /// `None` if the journal is searched elsewhere.
    journal: Option<PathBuf>,
    /// The test's thread, also if this is dropped on another one.
    thread: String,
    found: &'static Findings,
}

impl Inspection {
    /// For a service with this journal. Created before the service starts, dropped after it ends.
    pub fn begin(journal: PathBuf) -> Self {
        Self::begin_with(Some(journal))
    }

    /// For a service whose journal is searched elsewhere.
    #[cfg(feature = "postgres-tests")]
    pub fn begin_elsewhere() -> Self {
        Self::begin_with(None)
    }

    fn begin_with(journal: Option<PathBuf>) -> Self {
        search_all();
        Self { journal, thread: thread_name(), found: &FOUND }
    }
}

impl Drop for Inspection {
    fn drop(&mut self) {
        if thread::panicking() {
            return;
        }
        if let Some(journal) = &self.journal {
            search_journal(journal);
        }
        let found = self.found.of_test(&self.thread);
        let told: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert!(told.is_empty(), "{}", told.join("\n"));
    }
}
