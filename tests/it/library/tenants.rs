//! Libraries of tenants: each reads its own, as the callers file says at the time.

use std::{fs, path::Path};

use facematch::{
    library::PHOTOS_MAX,
    pb::{Match, MatchState},
};
use rustix::process::Signal;
use tempfile::TempDir;

use crate::{
    access::{CallerClient, Callers, caller},
    checking::checked,
    library::{
        at, by_key,
        server::{Answer, PhotoServer, photo},
    },
    logging::program::Program,
    signals,
    starting::{assert_names, failing, with},
    support::{
        Refusal, TestServer, collect, event_names, eventually, last_match, portrait, simulator,
    },
};

/// Two tenants' folders, beside each other. The bank has `anna.jpg`, the shop `ben.jpg`.
struct Folders(TempDir);

impl Folders {
    fn new() -> Self {
        let outer = tempfile::tempdir().expect("a temporary directory");
        for (tenant, key) in [("bank", "anna.jpg"), ("shop", "ben.jpg")] {
            let folder = outer.path().join(tenant);
            fs::create_dir(&folder).expect("a folder");
            fs::write(folder.join(key), portrait()).expect("a photo");
        }
        Self(outer)
    }

    fn url(&self, name: &str) -> String {
        format!("file://{}", self.0.path().join(name).display())
    }

    /// The tables of both tenants, with the libraries of these addresses.
    fn tenants(&self, bank: Option<&str>, shop: Option<&str>) -> String {
        let table = |tenant: &str, url: Option<&str>| match url {
            Some(url) => format!("[tenant.{tenant}.library]\nurl = \"{url}\"\n"),
            None => format!("[tenant.{tenant}]\n"),
        };
        table("bank", bank) + &table("shop", shop)
    }

    /// Each tenant has its own folder.
    fn both(&self) -> String {
        self.tenants(Some(&self.url("bank")), Some(&self.url("shop")))
    }
}

fn callers(tenants: &str) -> Callers {
    let allow = &["match", "read"];
    Callers::new(tenants).with("anna", "bank", allow).with("ben", "shop", allow)
}

/// Runs a match by key to its end.
async fn run(server: &TestServer, client: &CallerClient, key: &str) -> Result<Match, Refusal> {
    let request = by_key(&server.folder(), key);
    let updates = client.clone().run_match(request).await.map_err(Refusal::of)?;
    let updates = collect(updates.into_inner()).await.expect("the stream ends without an error");
    Ok(last_match(&updates).clone())
}

async fn assert_read(server: &TestServer, client: &CallerClient, key: &str) {
    let m = run(server, client, key).await.expect("it is accepted");
    assert_eq!(m.state(), MatchState::Finished, "{key}: {m:?}");
}

async fn assert_not_found(server: &TestServer, client: &CallerClient, key: &str) {
    let m = run(server, client, key).await.expect("it is accepted");
    let reason = m.error.map(|error| error.reason);
    assert_eq!(reason.as_deref(), Some("REFERENCE_NOT_FOUND"), "{key}");
}

async fn assert_not_available(server: &TestServer, client: &CallerClient) {
    let refused = run(server, client, "anna.jpg").await.expect_err("there is no library");
    assert_eq!(refused.reason(), "NOT_AVAILABLE");
}

#[tokio::test]
async fn a_tenant_reads_its_own_library_and_no_other() {
    let folders = Folders::new();
    let callers = callers(&folders.both());
    let server = callers.serve(|_| {}).await;
    let anna = caller(&server, callers.key("anna")).await;
    let ben = caller(&server, callers.key("ben")).await;
    assert_read(&server, &anna, "anna.jpg").await;
    assert_read(&server, &ben, "ben.jpg").await;
    assert_not_found(&server, &ben, "anna.jpg").await;
    assert_not_found(&server, &anna, "ben.jpg").await;
    for key in ["../bank/anna.jpg", "/bank/anna.jpg", "./../bank/anna.jpg", "x/../../bank/anna.jpg"]
    {
        let refused = run(&server, &ben, key).await.expect_err("it leads out");
        refused.assert_fields("FIELD_INVALID", &["photo.reference_key"]);
    }
    for key in ["..%2fbank/anna.jpg", "%2e%2e/bank/anna.jpg", "..\\bank\\anna.jpg"] {
        assert_not_found(&server, &ben, key).await;
    }
}

#[tokio::test]
async fn a_tenant_s_library_that_hangs_holds_up_no_other_tenant() {
    let (folders, hanging) = (Folders::new(), PhotoServer::start(|_| Answer::Hang).await);
    let bank = format!("{}/photos/{{key}}", hanging.address());
    let callers = callers(&folders.tenants(Some(&bank), Some(&folders.url("shop"))));
    let server = callers.serve(|_| {}).await;
    let anna = caller(&server, callers.key("anna")).await;
    let ben = caller(&server, callers.key("ben")).await;
    // More matches than one library may hold photos at once.
    let mut waiting = Vec::new();
    for number in 0..2 * PHOTOS_MAX {
        let request = by_key(&server.folder(), &format!("{number}.jpg"));
        waiting.push(anna.clone().run_match(request).await.expect("it is accepted").into_inner());
    }
    let reads = || hanging.asked().len();
    eventually(|| reads() >= PHOTOS_MAX, || format!("{} reads hang", reads())).await;
    // A slow machine may need several tries: reads that hang are given up after a while.
    let mut tries = 0;
    loop {
        let before = reads();
        assert_read(&server, &ben, "ben.jpg").await;
        if reads() == before {
            break;
        }
        tries += 1;
        assert!(tries < PHOTOS_MAX, "the shop's matches end only when reads of the bank do");
    }
    // The bank's matches have waited all the time, and go on once its library answers.
    hanging.set_answers(|_| photo(&portrait()));
    for updates in waiting {
        let updates = collect(updates).await.expect("the stream ends without an error");
        assert!(event_names(&updates)[1..].contains(&"photo_uploaded"), "{updates:?}");
        assert_eq!(last_match(&updates).state(), MatchState::Finished);
    }
    server.assert_released("a library that hung").await;
}

#[tokio::test]
async fn a_tenant_without_a_library_is_told_so() {
    let folders = Folders::new();
    let callers = callers(&folders.tenants(Some(&folders.url("bank")), None));
    let server = callers.serve(|_| {}).await;
    assert_read(&server, &caller(&server, callers.key("anna")).await, "anna.jpg").await;
    assert_not_available(&server, &caller(&server, callers.key("ben")).await).await;
}

#[tokio::test]
async fn the_library_of_the_settings_is_that_of_the_only_tenant_or_of_default() {
    let folders = Folders::new();
    let library = || Some(at(folders.url("bank")));
    let only = Callers::new("[tenant.bank]\n").with("anna", "bank", &["match"]);
    let server = only.serve(|config| config.library = library()).await;
    assert_read(&server, &caller(&server, only.key("anna")).await, "anna.jpg").await;

    let several = Callers::new("[tenant.default]\n[tenant.shop]\n")
        .with("anna", "default", &["match"])
        .with("ben", "shop", &["match"]);
    let server = several.serve(|config| config.library = library()).await;
    assert_read(&server, &caller(&server, several.key("anna")).await, "anna.jpg").await;
    assert_not_available(&server, &caller(&server, several.key("ben")).await).await;
}

#[tokio::test]
async fn a_changed_callers_file_opens_changes_and_closes_libraries() {
    let folders = Folders::new();
    let callers = callers(&folders.tenants(None, None));
    let server = callers.serve(|_| {}).await;
    let anna = caller(&server, callers.key("anna")).await;
    let path = server.config.callers_file.clone().expect("a callers file");
    let reload = async |bank: Option<&str>| {
        callers.write_with(&path, &folders.tenants(bank, None));
        server.reload().await;
    };
    assert_not_available(&server, &anna).await;
    reload(Some(&folders.url("bank"))).await;
    assert_read(&server, &anna, "anna.jpg").await;
    reload(Some(&folders.url("shop"))).await;
    assert_not_found(&server, &anna, "anna.jpg").await;
    assert_read(&server, &anna, "ben.jpg").await;
    reload(None).await;
    assert_not_available(&server, &anna).await;
}

#[tokio::test]
async fn a_library_that_can_not_be_opened_keeps_the_old_one() {
    let folders = Folders::new();
    let callers = callers(&folders.both());
    let server = callers.serve(|_| {}).await;
    let anna = caller(&server, callers.key("anna")).await;
    let ben = caller(&server, callers.key("ben")).await;
    let path = server.config.callers_file.clone().expect("a callers file");
    let file = folders.url("bank/anna.jpg");
    for wrong in ["photos", &file] {
        callers.write_with(&path, &folders.tenants(Some(wrong), Some(&folders.url("bank"))));
        server.reload().await;
        assert_read(&server, &anna, "anna.jpg").await;
        assert_read(&server, &ben, "anna.jpg").await;
    }
}

/// A running program with a callers file, whose log tests read.
struct Logged {
    program: Program,
    callers: Callers,
    file: tempfile::NamedTempFile,
}

impl Logged {
    async fn start(tenants: &str) -> Self {
        let callers = callers(tenants);
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        callers.write(file.path());
        let path = file.path().display().to_string();
        let oz = simulator().await;
        let program = Program::start(&oz, "info", &["--callers-file", &path]);
        Self { program, callers, file }
    }

    /// Replaces the tables of tenants, and waits until the log has this line for the tenant.
    async fn reload(&self, tenants: &str, message: &str, tenant: &str) {
        self.callers.write_with(self.file.path(), tenants);
        assert!(signals::send(self.program.id(), Signal::HUP));
        let is_told = || self.count(message, tenant) > 0;
        eventually(is_told, || format!("no {message:?} in {:?}", self.program.log())).await;
    }

    /// How many lines of the log have this message about the tenant.
    fn count(&self, message: &str, tenant: &str) -> usize {
        let fits =
            |line: &&serde_json::Value| line["message"] == message && line["tenant"] == tenant;
        self.program.log().iter().filter(fits).count()
    }
}

const OPENED: &str = "photo library opened";
const NOT_OPENED: &str = "photo library not opened: its terms can't be used";
const CLOSED: &str = "photo library closed: no setting names one for the tenant any more";

#[tokio::test]
async fn a_library_that_can_not_be_opened_is_logged_once() {
    let folders = Folders::new();
    let logged = Logged::start(&folders.tenants(None, None)).await;
    let wrong = Some("file://hunter2@host/photos");
    logged.reload(&folders.tenants(wrong, None), NOT_OPENED, "bank").await;
    let shop = Some(folders.url("shop"));
    logged.reload(&folders.tenants(wrong, shop.as_deref()), OPENED, "shop").await;
    logged.reload(&folders.tenants(wrong, None), CLOSED, "shop").await;
    assert_eq!(logged.count(NOT_OPENED, "bank"), 1);
    let log = logged.program.log();
    let line = log.iter().find(|line| line["message"] == NOT_OPENED).expect("a line");
    assert_eq!(line["key"], "url");
    assert!(!format!("{log:?}").contains("hunter2"), "{line}");
    logged.reload(&folders.both(), OPENED, "bank").await;
}

/// Settings with a callers file of these tenants, and with a library.
fn settings(
    house: &TestServer,
    tenants: &str,
    path: &Path,
    library: Option<&str>,
) -> Vec<(&'static str, String)> {
    callers(tenants).write(path);
    let mut settings = with(house, "--callers-file", Some(&path.display().to_string()));
    settings.extend(library.map(|url| ("--library", url.to_owned())));
    settings
}

#[tokio::test]
async fn a_library_that_no_tenant_or_several_could_have_refuses_the_start_and_a_check() {
    let house = TestServer::build().await;
    let folders = Folders::new();
    let path = folders.0.path().join("callers.toml");
    let file = folders.url("bank/anna.jpg");
    let (bank, other) = (folders.url("bank"), folders.tenants(None, Some("gopher://host/photos")));
    for (tenants, library, flag, why) in [
        (folders.tenants(None, None), Some(bank.as_str()), "--library", "[tenant.NAME.library]"),
        (other, None, "--callers-file", "tenant.shop.library.url: must begin with "),
        (folders.tenants(Some(&file), None), None, "--callers-file", "tenant.bank.library.url: "),
        (folders.tenants(Some(&file), None), None, "--callers-file", "is not a folder"),
    ] {
        let settings = settings(&house, &tenants, &path, library);
        let (code, said, errors) = checked(&settings);
        assert_eq!((code, said.as_str()), (Some(64), ""), "{why}: {errors}");
        assert_names(&errors, flag, why);
        assert_names(&failing(&settings).await, flag, why);
    }
}
