//! Attacks on the built program, a file each: the errors that attackers get, the memory that an
//! attack takes, and that the matches of other callers run beside it.
//!
//! Memory is resident memory as the operating system counts it. The slowdown of matches is asserted
//! in the best of a few rounds during the attack, because the machine may be busy with something
//! else in one of them.

mod compressed;
mod credentials;
mod floods;
mod headers;
mod library;
mod photos;
mod same_connection;
mod stalled;
mod unread_watchers;

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    process::Command,
    sync::{Arc, Mutex as StdMutex, MutexGuard as StdMutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use facematch::{
    pb::{self, ListMatchesRequest, MatchState},
    simulator::{Simulator, sample},
};
use futures_util::{FutureExt, StreamExt, future::try_join_all, stream};
use prost::Message;
use prost_types::FileDescriptorSet;
use tokio::{
    sync::{Mutex, MutexGuard},
    task::JoinSet,
    time::{interval, timeout},
};
use tokio_util::sync::CancellationToken;
use tonic::{Status, transport::Channel};
use tonic_types::StatusExt;

use crate::{
    canary::Client,
    process::{PROGRAM, Process, assert_may_open},
    support::{collect, connect, last_match, now, portrait_request, simulator, size_from_env},
    transport,
};

/// Allowed growth of memory beyond the budgets that the settings give to requests.
const ALLOWANCE_KIB: u64 = 32 * 1024;
/// `--request-memory`, at its default.
const REQUEST_MEMORY_KIB: u64 = 64 * 1024;
/// Matches of other callers in each round, by default, and how many of them run at once: few
/// enough that a small machine has time for the attack.
const MATCHES: u64 = 5;
const MATCHES_AT_ONCE: usize = 20;
/// Oz's processing time of a timed match. Hardly any real analysis is faster.
const OZ_TAKES_MS: u64 = 500;
/// The maximum ratio of the median duration during an attack to the median before it.
const RATIO_MAX: f64 = 1.5;
/// The maximum number of rounds.
const ROUNDS: usize = 3;
/// The timeout for setting up or ending an attack, much longer than it takes.
const ATTACK_PATIENCE: Duration = Duration::from_secs(300);
/// The maximum number of rounds until memory has returned: the allocator returns free memory to
/// the operating system only while the program works.
const MATCHES_UNTIL_RETURNED: usize = 300;

/// A jemalloc setting: free memory returns to the operating system after one second instead of
/// ten, which keeps the tests short.
const FAST_DECAY: (&str, &str) = ("_RJEM_MALLOC_CONF", "dirty_decay_ms:1000,muzzy_decay_ms:1000");

/// A second address of the loopback, for attackers.
const ANOTHER_ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));

/// Attacks run one at a time, or each would be measured beside the others.
static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

/// Matches of other callers in each round.
fn matches() -> u64 {
    size_from_env("FACEMATCH_ATTACK_MATCHES", MATCHES)
}

/// The program under attack, and a regular caller.
struct Target {
    _only: MutexGuard<'static, ()>,
    oz: Simulator,
    process: Process,
    client: Client,
    /// Resident memory before the attack, in KiB.
    idle_kib: u64,
    /// The median duration of a match before the attack.
    alone: Duration,
    _directory: tempfile::TempDir,
}

impl Target {
    async fn start(settings: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        Self::start_in(directory, settings, |address| async move { connect(&address).await }).await
    }

    /// A program with its files in this directory, and a regular caller that connects in its own
    /// way.
    async fn start_in<F: Future<Output = Client>>(
        directory: tempfile::TempDir,
        settings: &[&str],
        connect: impl FnOnce(String) -> F,
    ) -> Self {
        let only = ONE_AT_A_TIME.lock().await;
        assert_may_open(1_000);
        let oz = simulator().await;
        oz.switch(|switches| switches.processing_ms = 0);
        let settings = [&["--log-level", "info"], settings].concat();
        let mut program = Command::new(PROGRAM);
        program.env(FAST_DECAY.0, FAST_DECAY.1);
        let process = Process::start_by(&mut program, &oz, directory.path(), &settings);
        let client = connect(process.address().to_owned()).await;
        let mut target = Self {
            _only: only,
            oz,
            process,
            client,
            idle_kib: 0,
            alone: Duration::ZERO,
            _directory: directory,
        };
        // Warms up caches and connections.
        for _ in 0..4 {
            target.run_matches().await;
        }
        target.alone = target.timed_matches().await;
        target.idle_kib = target.process.resident_kib();
        target.process.reset_peak();
        target
    }

    fn address(&self) -> SocketAddr {
        self.process.address().trim_start_matches("http://").parse().expect("an address")
    }

    async fn channel(&self) -> Channel {
        transport::channel(self.process.address()).await
    }

    /// Connections from another address than the regular caller's.
    async fn channels_of_another(&self, count: usize) -> Vec<Channel> {
        let endpoint = Channel::from_shared(self.process.address().to_owned()).unwrap();
        let endpoint = endpoint.local_address(Some(ANOTHER_ADDRESS));
        let connecting = (0..count).map(|_| endpoint.connect());
        try_join_all(connecting).await.expect("the service listens")
    }

    /// Runs a round of matches of the regular caller, concurrently and each to its verdict; returns
    /// their median duration.
    async fn run_matches(&self) -> Duration {
        let run = |_| {
            let mut client = self.client.clone();
            let folder = self.oz.add_folder(sample::liveness_folder(sample::portrait_jpeg()));
            async move {
                let begun = now();
                let updates = client.run_match(portrait_request(&folder)).await;
                let updates = collect(updates.expect("it is accepted").into_inner()).await;
                assert_eq!(last_match(&updates.expect("it ends")).state(), MatchState::Finished);
                begun.elapsed()
            }
        };
        let running = stream::iter(0..matches()).map(run).buffer_unordered(MATCHES_AT_ONCE);
        let mut took: Vec<_> = running.collect().await;
        took.sort_unstable();
        took[took.len() / 2]
    }

    /// Like [`run_matches`](Self::run_matches), with Oz's processing time at `OZ_TAKES_MS`.
    async fn timed_matches(&self) -> Duration {
        self.oz.switch(|switches| switches.processing_ms = OZ_TAKES_MS);
        let took = self.run_matches().await;
        self.oz.switch(|switches| switches.processing_ms = 0);
        took
    }

    /// Runs rounds of matches during the attack.
    async fn assert_others_are_served(&self, attack: &str) {
        let mut ratios = Vec::new();
        while ratios.len() < ROUNDS && ratios.last().is_none_or(|ratio| *ratio > RATIO_MAX) {
            ratios.push(self.timed_matches().await.as_secs_f64() / self.alone.as_secs_f64());
        }
        println!(
            "attacked: by {attack}, {} matches of others take {ratios:.2?} times as long, none fails",
            matches()
        );
        assert!(ratios.last().is_some_and(|ratio| *ratio <= RATIO_MAX), "{attack}: {ratios:.2?}");
    }

    /// How many matches have not ended.
    async fn unfinished(&self) -> usize {
        let page = ListMatchesRequest { page_size: 1_000, ..Default::default() };
        let listed = self.client.clone().list_matches(page).await.expect("it is answered");
        listed.into_inner().matches.iter().filter(|it| it.end_time.is_none()).count()
    }

    /// Checks that memory has never grown by more than `kib` during the attack.
    #[track_caller]
    fn assert_grown_at_most(&self, kib: u64, attack: &str) {
        let grown = self.process.peak_kib().saturating_sub(self.idle_kib);
        println!("attacked: by {attack}, resident memory grows by {} MiB", grown / 1024);
        assert!(grown <= kib, "{attack}: memory grew by {grown} KiB");
    }

    /// Waits until memory is nearly back at its idle size.
    async fn assert_returned(&self, attack: &str) {
        for _ in 0..MATCHES_UNTIL_RETURNED {
            if self.process.resident_kib() <= self.idle_kib + ALLOWANCE_KIB {
                self.process.reset_peak();
                return;
            }
            self.run_matches().await;
        }
        panic!("{attack}: {} KiB remain, of {} idle", self.process.resident_kib(), self.idle_kib);
    }
}

/// Open calls, and the outcomes of the calls that have ended.
#[derive(Default)]
struct Calls {
    open: JoinSet<()>,
    /// Ends the stalled requests: dropping a call on the client leaves its request open.
    over: CancellationToken,
    ended: Arc<StdMutex<BTreeMap<String, usize>>>,
}

impl Calls {
    /// Begins `count` calls that send the beginning of their request and then stall.
    fn stall(
        &mut self,
        channel: &Channel,
        path: &str,
        headers: &[(&str, &str)],
        begun: &Bytes,
        count: usize,
    ) {
        for _ in 0..count {
            // An empty DATA frame would be an attack of its own.
            let begun = (!begun.is_empty()).then(|| Ok(begun.clone()));
            let over = self.over.clone().cancelled_owned();
            let end = stream::once(over.map(|()| Err(Status::cancelled("the attack is over"))));
            self.call(channel, path, headers, stream::iter(begun).chain(end));
        }
    }

    fn call(
        &mut self,
        channel: &Channel,
        path: &str,
        headers: &[(&str, &str)],
        body: impl stream::Stream<Item = Result<Bytes, Status>> + Send + 'static,
    ) {
        let (mut channel, path) = (channel.clone(), path.to_owned());
        let (over, ended) = (self.over.clone(), Arc::clone(&self.ended));
        let headers: Vec<_> =
            headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        self.open.spawn(async move {
            let headers: Vec<_> =
                headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            let calling = transport::call_at(&mut channel, &path, body, &headers);
            let Some(told) = over.run_until_cancelled(calling).await else { return };
            let word = told.map_or_else(|status| word(&status), |()| "OK".into());
            *lock(&ended).entry(word).or_default() += 1;
        });
    }

    /// Begins `count` calls that send a beginning and then one `piece` per interval.
    fn trickle(
        &mut self,
        channel: &Channel,
        path: &str,
        begun: &Bytes,
        (piece, every): (&Bytes, Duration),
        count: usize,
    ) {
        for _ in 0..count {
            let mut ticks = interval(every);
            ticks.reset();
            let pieces = stream::unfold((ticks, piece.clone()), |(mut ticks, piece)| async {
                ticks.tick().await;
                Some((Ok(piece.clone()), (ticks, piece)))
            });
            let body = stream::iter([Ok(begun.clone())]).chain(pieces);
            let over = self.over.clone().cancelled_owned();
            self.call(channel, path, &[], body.take_until(over));
        }
    }

    /// How many calls have ended so far, by outcome.
    fn ended(&self) -> BTreeMap<String, usize> {
        lock(&self.ended).clone()
    }

    /// Waits until `count` calls have ended.
    async fn wait_for(&mut self, count: usize) {
        let waiting = async {
            while lock(&self.ended).values().sum::<usize>() < count {
                self.open.join_next().await.expect("more calls are open").expect("no call panics");
            }
        };
        let waited = timeout(ATTACK_PATIENCE, waiting).await;
        assert!(waited.is_ok(), "{count} calls should end: {:?}", self.ended());
    }

    /// Checks that every ended call has this outcome.
    #[track_caller]
    fn assert_all_ended_as(&self, word: &str, attack: &str) {
        let ended = self.ended();
        assert!(ended.keys().eq([word]), "{attack}: {ended:?}");
    }

    /// Checks that every ended call was refused by one of these limits.
    #[track_caller]
    fn assert_all_ended_as_one_of(&self, limits: &[&str], attack: &str) {
        let ended = self.ended();
        let is_known = |word: &String| limits.iter().any(|it| *word == format!("OVERLOADED {it}"));
        assert!(!ended.is_empty() && ended.keys().all(is_known), "{attack}: {ended:?}");
    }

    /// Ends all calls, and waits for their ends.
    async fn end(mut self) {
        self.over.cancel();
        let ending = async { while self.open.join_next().await.is_some() {} };
        let ended = timeout(ATTACK_PATIENCE, ending).await;
        assert!(ended.is_ok(), "{} calls are still open", self.open.len());
    }
}

/// An error's reason and, if it has one, its limit; without a reason its code and message.
fn word(status: &Status) -> String {
    let Some(info) = status.get_details_error_info() else {
        return format!("{:?}: {}", status.code(), status.message());
    };
    match info.metadata.get("limit") {
        Some(limit) => format!("{} {limit}", info.reason),
        None => info.reason,
    }
}

fn lock<T>(mutex: &StdMutex<T>) -> StdMutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The paths of all methods of all services on the port, from their descriptors.
fn every_call() -> Vec<String> {
    let sets = [
        pb::FILE_DESCRIPTOR_SET,
        tonic_health::pb::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
    ];
    let sets = sets.map(|set| FileDescriptorSet::decode(set).expect("descriptors"));
    let mut paths = Vec::new();
    for file in sets.iter().flat_map(|set| &set.file) {
        for service in &file.service {
            let path = |name: &str| format!("/{}.{}/{name}", file.package(), service.name());
            paths.extend(service.method.iter().map(|method| path(method.name())));
        }
    }
    assert!(paths.len() >= 13, "{paths:?}");
    paths
}

/// A message of the maximum size without a photo, short of its last two bytes: one long field that
/// no message type defines.
fn all_but_two_bytes() -> Bytes {
    const MESSAGE_BYTES: usize = 64 * 1024;
    // Field 15, and its length as a number of three bytes.
    let head = b"\x7a\xfc\xff\x03";
    let come = [head, &[0; MESSAGE_BYTES - 4 - 2][..]].concat();
    transport::announced(u32::try_from(MESSAGE_BYTES).unwrap(), &come)
}
