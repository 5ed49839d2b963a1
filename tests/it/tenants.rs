//! Fairness between tenants, with the real client of Oz and real time: a tenant with many matches
//! under way hardly delays those of another.

use std::{
    collections::{BTreeMap, HashMap},
    num::NonZeroU32,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use facematch::{
    clock::Clock,
    domain::{
        LivenessPolicy, Match, PhotoKind, PhotoSource, Policy, Spec, State, TenantId, TenantTerms,
        Tenants, Timeout,
    },
    journal::sqlite::{self, Sqlite},
    outage::Outage,
    oz,
    simulator::{Action, FolderSeed, LivenessSeed, MediaSeed, Outcome, Rule, Simulator},
    watch::{self, Watch},
    worker::{self, Worker},
};
use futures_util::future::join_all;
use tempfile::TempDir;

use crate::support::JOURNAL;

/// The matches of the large tenant, and of the small one.
const CROWD: usize = 2_000;
const FEW: usize = 10;
/// How many requests Oz may have at once, and how long each takes: 160 a second in all. A match
/// needs about five, so the crowd is under way for a minute, longer than the test.
const REQUESTS_MAX: usize = 16;
const REQUEST_MS: u64 = 100;
/// How long an analysis takes.
const PROCESSING_MS: u64 = 2_000;
/// How long one match may take at most.
const PATIENCE: Duration = Duration::from_secs(60);

const LARGE: &str = "large";
const SMALL: &str = "small";

/// The worker and the watch over a slow Oz.
struct Service {
    oz: Simulator,
    worker: Worker,
    watch: Watch,
    tenants: Arc<Mutex<Tenants>>,
    _directory: TempDir,
}

impl Service {
    async fn new() -> Self {
        let oz = crate::support::simulator().await;
        oz.switch(|switches| {
            switches.processing_ms = PROCESSING_MS;
            // The media are no pictures, which the simulator would have to compare.
            let (resolution, min_confidence) = (Some("SUCCESS".to_owned()), Some(0.99));
            let alike = Outcome { resolution, min_confidence, ..Outcome::default() };
            switches.undecodable = Some(alike);
        });
        let slow = Action { answer_delay_ms: Some(REQUEST_MS), ..Action::default() };
        oz.script([Rule { then: slow, ..Rule::default() }]);
        let (directory, clock) = (tempfile::tempdir().unwrap(), Clock::system());
        let config = sqlite::Config {
            path: directory.path().join(JOURNAL),
            clock: clock.clone(),
            ticks: clock.clone(),
            readers: sqlite::READERS,
        };
        let journal = Sqlite::open(config).await.unwrap().handles();
        let store = Outage::new("the store", clock.clone());
        let config = watch::Config { heartbeat: PATIENCE };
        let watch = Watch::new(config, journal.feed.clone(), store.clone(), clock.clone());
        let tenants = Arc::<Mutex<Tenants>>::default();
        let now = Arc::clone(&tenants);
        let with = worker::Collaborators {
            journal,
            oz: Arc::new(client(&oz, &clock)),
            clock,
            progress: Arc::new(|_, _| {}),
            chance: Arc::new(rand::random::<f64>),
            store,
            tenants: Arc::new(move || now.lock().unwrap().clone()),
        };
        let worker = Worker::new(worker_config(), with);
        watch.start().await.unwrap();
        worker.start().await.unwrap();
        Self { oz, worker, watch, tenants, _directory: directory }
    }

    fn weights(&self, small: u32, large: u32) {
        let terms = |weight| TenantTerms {
            weight: NonZeroU32::new(weight).unwrap(),
            ..TenantTerms::default()
        };
        let named = [(SMALL, terms(small)), (LARGE, terms(large))];
        let named: HashMap<_, _> =
            named.map(|(name, terms)| (TenantId::from_stored(name), terms)).into();
        *self.tenants.lock().unwrap() = Tenants::new(named);
    }

    /// Admits a match in a folder of its own, which holds the photo.
    async fn admit(&self, tenant: &str) -> Match {
        let medium = |name: &str, content_type: &str| MediaSeed {
            bytes: Bytes::from_static(b"not decoded"),
            file_name: name.to_owned(),
            content_type: content_type.to_owned(),
            tags: Vec::new(),
        };
        let media =
            vec![medium("liveness.zip", "application/zip"), medium("photo.jpg", "image/jpeg")];
        let seed = FolderSeed { media, liveness: Some(LivenessSeed::default()) };
        let folder = self.oz.add_folder(seed);
        let photo = self.oz.folder(&folder).unwrap().media[1].media_id.to_string();
        let spec = Spec {
            tenant: TenantId::from_stored(tenant),
            request_id: None,
            folder_id: folder.parse().unwrap(),
            photo: PhotoSource::FolderMedia(photo.parse().unwrap()),
            kind: PhotoKind::Selfie,
            timeout: Timeout { duration: Duration::from_secs(1_200), named: false },
            liveness_media: Vec::new(),
            liveness_policy: LivenessPolicy::Report,
            labels: BTreeMap::new(),
        };
        self.worker.admit(spec, None).await.unwrap()
    }

    async fn admit_all(&self, tenant: &str, count: usize) -> Vec<Match> {
        join_all((0..count).map(|_| self.admit(tenant))).await
    }

    /// The median time of a few matches of the small tenant that arrive together.
    async fn median(&self) -> Duration {
        let few = self.admit_all(SMALL, FEW).await;
        let ended =
            join_all(few.into_iter().map(|m| self.watch.wait(m, PATIENCE, |_| false))).await;
        let mut times: Vec<_> = ended
            .into_iter()
            .map(|m| {
                let m = m.unwrap();
                assert_eq!(m.state, State::Finished, "{:?}", m.error);
                m.end_time.unwrap().since(m.create_time)
            })
            .collect();
        times.sort();
        times[FEW / 2]
    }
}

fn client(oz: &Simulator, clock: &Clock) -> oz::Client {
    let (login, password) = oz.login();
    let credentials =
        oz::Credentials::Login { email: login.to_owned(), password: password.to_owned().into() };
    let config = oz::Config::new(oz.url(), credentials);
    oz::Client::new(config, clock.clone(), Arc::new(|| 0.5)).unwrap()
}

fn worker_config() -> worker::Config {
    let policy = Policy {
        poll_interval: Duration::from_secs(1),
        oz_settle: Duration::from_secs(5),
        photo_grace: Duration::from_secs(60),
        retention: Duration::from_secs(86_400),
    };
    let oz = worker::OzLimits { requests_max: REQUESTS_MAX, rate_max: None };
    worker::Config { policy, unfinished_max: 2 * CROWD, oz, photo_bytes_max: 1 << 20 }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_with_ten_matches_is_hardly_slower_beside_one_with_two_thousand() {
    let service = Service::new().await;
    service.weights(1, 1);
    let alone = service.median().await;
    service.admit_all(LARGE, CROWD).await;
    for large in [1, 4] {
        service.weights(1, large);
        let beside = service.median().await;
        println!("alone {alone:?}, beside the crowd at 1:{large} {beside:?}");
        assert!(beside <= alone.mul_f64(1.5), "{beside:?} at 1:{large}, alone {alone:?}");
    }
    let crowd = service.worker.unfinished();
    assert!(crowd >= CROWD / 2, "the crowd has ended too early: {crowd}");
    service.worker.drain(Duration::from_secs(1)).await;
}
