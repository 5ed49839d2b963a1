//! What may stand nowhere, and how all that is written or answered is searched for it.
//!
//! Every photo, file name, password and token of these tests carries a canary. Each service that a
//! test starts has all its log lines, its answers and its journal searched; what is found fails
//! the test, which is told where it was, and not what. A search knows a canary as it is and as
//! logs and files would have it: in hexadecimal, in decimal, in base64.
//!
//! It deliberately keeps nothing of what it searches, and says of a canary only what it was of.

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
pub use files::search_journal;
pub use log::{LEVELS, Log, search_log};
pub use needles::{FILE_NAME, PASSWORD, marked};

use log::search_all;
use needles::{SERVICE_TOKEN, Search, Secret};

/// A client whose answers are searched.
pub type Client = FaceMatchClient<Searched>;

/// A client over a connection.
pub fn client(channel: Channel) -> Client {
    FaceMatchClient::new(Searched::new(channel, &FOUND))
}

/// An Oz whose secrets carry canaries, and everything else as it comes.
pub fn config() -> Config {
    let (password, service_token) = (PASSWORD.to_owned(), SERVICE_TOKEN.to_owned());
    Config { password, service_token, ..Config::default() }
}

/// Fails for an Oz whose secrets nothing would find.
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

/// Fails if what a call said as it failed holds a canary.
#[track_caller]
pub fn check_status(status: &Status) {
    check("a status", status.message().as_bytes());
    check("the details of a status", status.details());
}

/// What was found by those who search while others run.
static FOUND: Findings = Findings::new();

/// What was found, and where.
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

    /// Those from a test's thread, and from those that can't be told whose they are.
    fn of_test(&self, thread: &str) -> Vec<Finding> {
        // A test's thread has the test's name, with its module.
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

/// Fails the test that ends a service if anything of it leaked: when dropped.
pub struct Inspection {
    /// None where somebody else searches it.
    journal: Option<PathBuf>,
    /// The test's: what is dropped elsewhere is still of it.
    thread: String,
    found: &'static Findings,
}

impl Inspection {
    /// For a service with this journal, from before its start to after its end.
    pub fn begin(journal: PathBuf) -> Self {
        Self::begin_with(Some(journal))
    }

    /// For a service whose journal is searched by somebody else.
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
