//! A fleet: replicas of the service over one database, each a process of its own that tests can
//! kill, stop, pause or cut off.

use std::{
    collections::HashMap,
    fmt,
    path::PathBuf,
    process::Command,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use facematch::{
    pb::{Match, MatchState},
    simulator::{Endpoint, RecordedRequest, Simulator, sample},
};
use futures_util::future::join_all;
use tokio::time::timeout;
use tonic::{Code, Status, transport::Channel};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use crate::{
    callers::storm::StormState,
    canary::{Client, search_directory},
    checker::{check_one_photo_and_one_analysis, check_verdict},
    postgres::{Cluster, Link, Mode, Pooler, shared},
    process::{PROGRAM, Process},
    replicas::oz_proxy::OzProxy,
    support::{
        PATIENCE, Refusal, eventually, get, now, portrait_request, simulator, size_from_env, wait,
    },
};

/// `--lease`: short, so that takeovers are soon, and long enough for a busy machine to renew it.
pub const LEASE: Duration = Duration::from_secs(2);

/// A processing time longer than any test: analyses end at [`Fleet::finish`].
pub const NEVER_MS: u64 = 3_600_000;

/// How long after the end of a lease its matches may wait at most, in milliseconds: the default of
/// `FACEMATCH_BEYOND_LEASE_MS`. It holds on any machine; tests/long sets the promised second.
const BEYOND_LEASE_MS: u64 = 30_000;

/// How long after the end of a lease its matches may wait at most.
pub fn beyond_lease() -> Duration {
    Duration::from_millis(size_from_env("FACEMATCH_BEYOND_LEASE_MS", BEYOND_LEASE_MS))
}

/// PgBouncer's sessions for each replica: the thirteen of docs/replicas.md, without the two that
/// `WatchMatches` opens. No test through PgBouncer calls it.
const POOLER_SESSIONS_PER_REPLICA: usize = 13;

/// Default settings of these tests; a plan's settings override them.
const SETTINGS: [(&str, &str); 4] = [
    ("--lease", "2s"),
    ("--oz-poll-interval", "100ms"),
    ("--oz-settle", "300ms"),
    ("--photo-grace", "10m"),
];

/// The configuration of a fleet.
pub struct Plan {
    pub replicas: usize,
    /// Whether the database is on a server of its own, which tests may kill.
    pub own_cluster: bool,
    /// Whether each replica has a fault-injecting proxy of its own to the database.
    pub links: bool,
    /// Whether a PgBouncer in session mode is between the replicas and the database.
    pub pooled: bool,
    /// Whether each replica has a proxy of its own to Oz.
    pub oz_proxies: bool,
    /// The database's limit on the connections of all replicas together; `None` for no limit.
    pub connections_max: Option<u32>,
    /// The settings of each replica.
    pub settings: Vec<(&'static str, &'static str)>,
    /// Further environment variables of each replica.
    pub environments: Vec<Environment>,
}

/// Environment variables and their values.
pub type Environment = Vec<(&'static str, PathBuf)>;

impl Default for Plan {
    fn default() -> Self {
        Self {
            replicas: 3,
            own_cluster: false,
            links: false,
            pooled: false,
            oz_proxies: false,
            connections_max: None,
            settings: Vec::new(),
            environments: Vec::new(),
        }
    }
}

/// The replicas, their database, and the state that callers share.
pub struct Fleet {
    /// Dropped before the database: dropping the database searches its directory for canaries.
    replicas: Vec<Replica>,
    pub storm: Arc<StormState>,
    began: Instant,
    /// Dropped before the database, because it holds sessions.
    pooler: Option<Pooler>,
    database: Database,
    settings: Vec<&'static str>,
}

/// A replica, and its proxies to the database and to Oz.
struct Replica {
    process: Option<Process>,
    link: Option<Link>,
    oz_proxy: Option<OzProxy>,
    environment: Environment,
}

/// A database. When it is dropped, the directory of its cluster is searched for canaries.
pub struct Database {
    own: Option<Cluster>,
    name: String,
    /// The role that owns it, if connections are limited: no limit applies to the superuser.
    owner: Option<String>,
}

impl Fleet {
    /// Starts a fleet by the default plan.
    pub async fn start_default() -> Self {
        Self::start_by_plan(Plan::default()).await
    }

    /// Starts a fleet with an Oz whose analyses run until [`Self::finish`].
    pub async fn start_by_plan(plan: Plan) -> Self {
        let oz = simulator().await;
        oz.switch(|switches| switches.processing_ms = NEVER_MS);
        Self::start_with_oz(oz, plan).await
    }

    /// Starts a fleet with a given Oz.
    pub async fn start_with_oz(oz: Simulator, plan: Plan) -> Self {
        let began = now();
        let database = Database::create_matches(plan.own_cluster, plan.connections_max);
        let sessions = plan.replicas * POOLER_SESSIONS_PER_REPLICA;
        let pooler = plan.pooled.then(|| database.cluster().pooler(Mode::Session, sessions));
        let mut replicas = Vec::new();
        for number in 0..plan.replicas {
            let link = plan.links.then(|| database.cluster().link());
            let road = if plan.oz_proxies { Some(OzProxy::to(oz.address()).await) } else { None };
            let environment = plan.environments.get(number).cloned().unwrap_or_default();
            replicas.push(Replica { process: None, link, oz_proxy: road, environment });
        }
        let others = SETTINGS.iter().filter(|(flag, _)| plan.settings.iter().all(|s| s.0 != *flag));
        let settings = others.chain(&plan.settings).flat_map(|(flag, value)| [*flag, *value]);
        let settings = settings.collect();
        let stage = Arc::new(StormState::new(oz, plan.replicas));
        let mut fleet = Self { replicas, storm: stage, began, pooler, database, settings };
        fleet.start_all();
        fleet
    }

    pub fn oz(&self) -> &Simulator {
        &self.storm.oz
    }

    /// The number of replicas, running or not.
    pub fn len(&self) -> usize {
        self.replicas.len()
    }

    /// The time on Oz's clock in milliseconds, as long as no test has moved that clock.
    pub fn clock_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).expect("not that long")
    }

    /// The database server.
    pub fn cluster(&self) -> &Cluster {
        self.database.cluster()
    }

    /// The database's name.
    pub fn database(&self) -> &str {
        &self.database.name
    }

    /// Runs a statement at the database, not through a replica's proxy, and returns its result.
    pub fn sql(&self, statement: &str) -> String {
        self.database.sql(statement)
    }

    /// A replica's proxy to the database.
    pub fn link(&self, number: usize) -> &Link {
        self.replicas[number].link.as_ref().expect("it was planned")
    }

    /// A replica's proxy to Oz.
    pub fn oz_proxy(&self, number: usize) -> &OzProxy {
        self.replicas[number].oz_proxy.as_ref().expect("it was planned")
    }

    /// The process of a running replica.
    pub fn process(&self, number: usize) -> &Process {
        self.replicas[number].process.as_ref().expect("it runs")
    }

    /// A client of a replica.
    pub async fn client(&self, number: usize) -> Client {
        self.process(number).client().await
    }
}

/// Starting, stopping and killing replicas.
impl Fleet {
    /// Starts all replicas that don't run, concurrently, and returns once they are ready.
    pub fn start_all(&mut self) {
        let (stage, settings, name) = (&self.storm, &self.settings, &self.database.name);
        let store = &self.store();
        thread::scope(|scope| {
            for (number, replica) in self.replicas.iter_mut().enumerate() {
                if replica.process.is_none() {
                    scope.spawn(move || replica.start(number, stage, settings, store, name));
                }
            }
        });
    }

    /// Starts a replica that doesn't run, and returns once it is ready.
    pub fn start(&mut self, number: usize) {
        let store = self.store();
        let replica = &mut self.replicas[number];
        assert!(replica.process.is_none(), "it runs");
        replica.start(number, &self.storm, &self.settings, &store, &self.database.name);
    }

    /// The database's URL for replicas without a proxy of their own.
    fn store(&self) -> String {
        let name = &self.database.name;
        self.pooler.as_ref().map_or_else(|| self.database.url(), |pooler| pooler.url(name))
    }

    /// Kills a replica with `SIGKILL`.
    pub fn kill(&mut self, number: usize) {
        self.storm.replica_stopping(number);
        self.replicas[number].process.take().expect("it runs").kill();
    }

    /// Waits until a replica exits by itself, and returns its exit code.
    pub async fn wait_for_exit(&mut self, number: usize) -> Option<i32> {
        self.storm.replica_stopping(number);
        self.replicas[number].process.take().expect("it runs").end().await.code()
    }

    /// Redirects all proxies to another server that has the database. Returns the former server.
    pub fn redirect_to(&mut self, server: Cluster) -> Cluster {
        for replica in &self.replicas {
            let link = replica.link.as_ref().expect("it was planned");
            link.lead_to(server.port());
            link.cut();
        }
        self.database.own.replace(server).expect("it was planned")
    }

    /// Shuts a replica down gracefully, and waits for its end.
    pub async fn stop(&mut self, number: usize) {
        self.storm.replica_stopping(number);
        let mut process = self.replicas[number].process.take().expect("it runs");
        process.terminate();
        assert!(process.end().await.success(), "the shutdown fails");
    }

    /// Shuts all replicas down gracefully, so that their logs are searched to the end.
    pub async fn shut_down_all(mut self) {
        for number in 0..self.len() {
            if self.replicas[number].process.is_some() {
                self.stop(number).await;
            }
        }
    }
}

impl Replica {
    /// Starts the replica. Its store is the database `name` behind the replica's own proxy if it
    /// has one, and otherwise the URL `store`.
    fn start(
        &mut self,
        number: usize,
        stage: &StormState,
        settings: &[&str],
        store: &str,
        name: &str,
    ) {
        let store = self.link.as_ref().map_or_else(|| store.to_owned(), |link| link.url(name));
        let oz_url = self.oz_proxy.as_ref().map_or_else(|| stage.oz.url(), OzProxy::url);
        let mut command = Command::new(PROGRAM);
        command.envs(self.environment.iter().cloned());
        let library = stage.photos.url();
        let settings = [settings, &["--library", &library]].concat();
        let process = Process::start_on_by(&mut command, &store, &stage.oz, &oz_url, &settings);
        stage.replica_started(number, process.address());
        self.process = Some(process);
    }
}

impl Database {
    /// Creates an empty database.
    pub fn create_matches(own: bool, connections_max: Option<u32>) -> Self {
        let own = own.then(Cluster::start);
        let cluster = own.as_ref().unwrap_or_else(|| shared());
        let name = cluster.create_database();
        let owner = connections_max.map(|limit| {
            let role = format!("owner_of_{name}");
            let create = format!("CREATE ROLE {role} LOGIN CONNECTION LIMIT {limit}");
            cluster.sql("postgres", &create);
            cluster.sql("postgres", &format!("ALTER DATABASE {name} OWNER TO {role}"));
            role
        });
        Self { own, name, owner }
    }

    /// Its URL, with its owner's role.
    pub fn url(&self) -> String {
        let url = self.cluster().url(&self.name);
        match &self.owner {
            Some(owner) => url.replacen("facematch@", &format!("{owner}@"), 1),
            None => url,
        }
    }

    fn cluster(&self) -> &Cluster {
        self.own.as_ref().unwrap_or_else(|| shared())
    }

    /// The result of a statement.
    pub fn sql(&self, statement: &str) -> String {
        self.cluster().sql(&self.name, statement)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        if thread::panicking() {
            return;
        }
        // Flushes the tables to their files, which are searched; the WAL is searched as well.
        self.sql("CHECKPOINT");
        let directory = self.sql("SHOW data_directory");
        search_directory(directory.as_ref());
    }
}

/// Matches, and the requests to Oz about them.
impl Fleet {
    /// A folder whose liveness media show the sample portrait.
    pub fn folder(&self) -> String {
        self.oz().add_folder(sample::liveness_folder(sample::portrait_jpeg()))
    }

    /// Creates matches at a replica, and waits until Oz analyses them.
    pub async fn create(&self, number: usize, count: usize) -> Vec<Match> {
        let client = self.client(number).await;
        let created = (0..count).map(|_| {
            let (mut client, folder) = (client.clone(), self.folder());
            async move {
                let m = client.create_match(portrait_request(&folder)).await;
                m.expect("it is accepted").into_inner()
            }
        });
        let created = join_all(created).await;
        self.wait_until_polled(&created, 0, 1).await;
        created
    }

    /// Waits until Oz has received a request to this endpoint, answered or not.
    pub async fn wait_for_request(&self, endpoint: Endpoint) {
        let is_asked = |record: &[RecordedRequest]| record.iter().any(|r| r.endpoint == endpoint);
        timeout(PATIENCE, self.oz().recorded(is_asked)).await.expect("Oz gets a request");
    }

    /// Waits until each of these matches has been polled `times` times since a time on Oz's clock.
    pub async fn wait_until_polled(&self, matches: &[Match], since_ms: u64, times: usize) {
        let all_polled = |record: &[RecordedRequest]| {
            let polls = polls(record, since_ms);
            let of = |m: &Match| polls.get(&m.folder_id).map_or(0, Vec::len);
            matches.iter().all(|m| of(m) >= times)
        };
        let polled = timeout(PATIENCE, self.oz().recorded(all_polled)).await;
        polled.expect("each match is polled");
    }

    /// Clears Oz's record, and waits until each of these matches is polled `times` times.
    pub async fn wait_until_polled_again(&self, matches: &[Match], times: usize) {
        self.oz().clear_record();
        self.wait_until_polled(matches, 0, times).await;
    }

    /// The times of the polls, by folder, in milliseconds on Oz's clock.
    pub fn polls(&self, since_ms: u64) -> HashMap<String, Vec<u64>> {
        polls(&self.oz().record(), since_ms)
    }

    /// Ends all analyses.
    pub fn end_all_analyses(&self) {
        self.oz().switch(|switches| switches.processing_ms = 0);
        self.oz().skip(Duration::from_millis(NEVER_MS));
    }

    /// Waits at a replica until a match has ended.
    pub async fn wait_until_ended(&self, number: usize, match_id: &str) -> Match {
        let mut client = self.client(number).await;
        client.wait_match(wait(match_id, PATIENCE)).await.expect("it ends").into_inner()
    }

    /// Checks that a call soon fails because the store is unavailable.
    pub async fn check_unavailable<T: fmt::Debug>(
        &self,
        call: impl Future<Output = Result<T, Status>>,
    ) {
        let answer = timeout(PATIENCE, call).await.expect("it is answered");
        let refusal = Refusal::of(answer.expect_err("the store is unavailable"));
        refusal.assert(Code::Unavailable, "STORE_UNAVAILABLE");
        assert!(refusal.has_retry_delay());
    }

    /// Checks that each of these matches ends with Oz's verdict, with one photo and one analysis at
    /// Oz, and that all running replicas agree.
    pub async fn check_finished(&self, matches: &[Match]) {
        let running: Vec<usize> =
            (0..self.len()).filter(|n| self.replicas[*n].process.is_some()).collect();
        for (index, m) in matches.iter().enumerate() {
            let ended = self.wait_until_ended(running[index % running.len()], &m.match_id).await;
            assert_eq!(ended.state(), MatchState::Finished, "{ended:?}");
            check_one_photo_and_one_analysis(self.oz(), &ended);
            check_verdict(self.oz(), &ended);
        }
        for number in running {
            let mut client = self.client(number).await;
            for m in matches {
                let told = client.get_match(get(&m.match_id)).await.expect("it is known");
                assert_eq!(told.into_inner().state(), MatchState::Finished);
            }
        }
        self.check_dense();
    }

    /// Checks that the sequences of every match are dense.
    pub fn check_dense(&self) {
        assert_eq!(self.gaps(), 0, "matches have gaps");
    }

    /// The number of events missing in the sequences of matches. Positions may have gaps, left by
    /// writes that came too late.
    pub fn gaps(&self) -> u64 {
        let gaps = self.sql(
            "SELECT coalesce(sum(gap), 0) FROM (
                SELECT max(sequence) - count(*) AS gap FROM events GROUP BY match_id) AS g",
        );
        gaps.parse().expect("a number")
    }

    /// Waits until there are `count` valid leases.
    pub async fn wait_for_leases(&self, count: usize) {
        let standing = "SELECT count(*) FROM leases WHERE expire_time > now()";
        self.wait_for_sql(standing, &count.to_string()).await;
    }

    /// Waits until a statement has the wanted result.
    pub async fn wait_for_sql(&self, statement: &str, wanted: &str) {
        let says = || self.sql(statement) == wanted;
        eventually(says, || format!("{statement} isn't {wanted}, but {}", self.sql(statement)))
            .await;
    }

    /// Waits until a replica's health check has the wanted status.
    pub async fn wait_for_health(&self, number: usize, wanted: ServingStatus) {
        let address = self.process(number).address().to_owned();
        let channel = Channel::from_shared(address).expect("an address").connect().await;
        let mut client = HealthClient::new(channel.expect("it listens"));
        let service = String::from("facematch.v1.FaceMatch");
        let request = HealthCheckRequest { service };
        let mut told = client.watch(request).await.expect("a health stream").into_inner();
        let waiting = async {
            while told.message().await.expect("a status").expect("a status").status() != wanted {}
        };
        timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("{number} isn't {wanted:?}"));
    }
}

/// The times of polls since a time, by folder.
fn polls(record: &[RecordedRequest], since_ms: u64) -> HashMap<String, Vec<u64>> {
    let mut polls: HashMap<String, Vec<u64>> = HashMap::new();
    let is_poll = |r: &&RecordedRequest| r.endpoint == Endpoint::GetAnalysis && r.at_ms >= since_ms;
    for request in record.iter().filter(is_poll) {
        // The folder is unknown until the simulator has processed the request.
        if let Some(folder) = request.folder {
            polls.entry(folder.to_string()).or_default().push(request.at_ms);
        }
    }
    polls
}
