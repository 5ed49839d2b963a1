//! Fairness between tenants, through the whole service and in real time: a tenant with many matches
//! under way hardly delays those of another.

use std::time::Duration;

use bytes::Bytes;
use facematch::{
    pb::{Match, MatchState},
    simulator::{Action, FolderSeed, LivenessSeed, MediaSeed, Outcome, Rule},
};
use futures_util::future::join_all;

use crate::{
    access::{CallerClient, Callers, caller},
    support::{PATIENCE, TestServer, folder_media_request, wait},
};

/// The matches of the large tenant, and of the small one.
const CROWD: usize = 2_000;
const FEW: usize = 10;
/// How many requests Oz may have at once, and how long each takes: 160 a second in all. A match
/// needs about five, so the crowd is under way for a minute, longer than the test.
const REQUESTS_MAX: usize = 16;
const REQUEST_MS: u64 = 100;
/// How long an analysis takes: half-way between two polls, so that a small delay doesn't cost a
/// whole poll interval.
const PROCESSING_MS: u64 = 2_500;

/// The service over a slow Oz, with a caller of each tenant.
struct Scene {
    server: TestServer,
    callers: Callers,
    large: CallerClient,
    small: CallerClient,
}

impl Scene {
    async fn new() -> Self {
        let callers = Callers::new(&tenants(1)).with("few", "small", &["match", "read"]).with(
            "many",
            "large",
            &["match", "read"],
        );
        let server = callers
            .serve(|config| {
                config.oz.max_requests = REQUESTS_MAX;
                config.poll_interval = Duration::from_secs(1);
            })
            .await;
        server.oz.switch(|switches| {
            switches.processing_ms = PROCESSING_MS;
            // The media are no pictures, which the simulator would have to compare.
            let (resolution, min_confidence) = (Some("SUCCESS".to_owned()), Some(0.99));
            let alike = Outcome { resolution, min_confidence, ..Outcome::default() };
            switches.undecodable = Some(alike);
        });
        let slow = Action { answer_delay_ms: Some(REQUEST_MS), ..Action::default() };
        server.oz.script([Rule { then: slow, ..Rule::default() }]);
        let small = caller(&server, callers.key("few")).await;
        let large = caller(&server, callers.key("many")).await;
        Self { server, callers, large, small }
    }

    /// Changes the weight of the large tenant, while the service runs.
    async fn weigh(&self, large: u32) {
        let path = self.server.config.callers_file.as_ref().expect("a callers file");
        self.callers.write_with(path, &tenants(large));
        self.server.reload().await;
    }

    /// Creates a match in a folder of its own, which holds the photo.
    async fn create(&self, client: &CallerClient) -> Match {
        let medium = |name: &str, content_type: &str| MediaSeed {
            bytes: Bytes::from_static(b"not decoded"),
            file_name: name.to_owned(),
            content_type: content_type.to_owned(),
            tags: Vec::new(),
        };
        let media =
            vec![medium("liveness.zip", "application/zip"), medium("photo.jpg", "image/jpeg")];
        let oz = &self.server.oz;
        let folder = oz.add_folder(FolderSeed { media, liveness: Some(LivenessSeed::default()) });
        let photo = oz.folder(&folder).expect("it was made").media[1].media_id.to_string();
        let created = client.clone().create_match(folder_media_request(&folder, &photo)).await;
        created.expect("it is accepted").into_inner()
    }

    /// The median time of a few matches of the small tenant that arrive together.
    async fn median(&self) -> Duration {
        let few = join_all((0..FEW).map(|_| self.create(&self.small))).await;
        let ended = few.iter().map(|m| {
            let mut client = self.small.clone();
            let request = wait(&m.match_id, PATIENCE);
            async move { client.wait_match(request).await.expect("it is found").into_inner() }
        });
        let mut times: Vec<_> = join_all(ended).await.iter().map(duration).collect();
        times.sort();
        times[FEW / 2]
    }
}

fn tenants(large: u32) -> String {
    format!("[tenant.small]\nweight = 1\n[tenant.large]\nweight = {large}\n")
}

/// How long a match took.
fn duration(m: &Match) -> Duration {
    assert_eq!(m.state(), MatchState::Finished, "{:?}", m.error);
    let since_1970 = |time: Option<prost_types::Timestamp>| {
        let time = time.expect("a time");
        let (seconds, nanos) = (u64::try_from(time.seconds), u32::try_from(time.nanos));
        Duration::new(seconds.expect("after 1970"), nanos.expect("a fraction"))
    };
    since_1970(m.end_time) - since_1970(m.create_time)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_with_ten_matches_is_hardly_slower_beside_one_with_two_thousand() {
    let scene = Scene::new().await;
    let alone = scene.median().await;
    join_all((0..CROWD).map(|_| scene.create(&scene.large))).await;
    for large in [1, 4] {
        scene.weigh(large).await;
        let beside = scene.median().await;
        println!("alone {alone:?}, beside the crowd at 1:{large} {beside:?}");
        assert!(beside <= alone.mul_f64(1.5), "{beside:?} at 1:{large}, alone {alone:?}");
    }
    let crowd = scene.server.load.unfinished();
    assert!(crowd >= CROWD / 2, "the crowd has ended too early: {crowd}");
}
