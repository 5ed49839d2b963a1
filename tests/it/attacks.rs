//! Attacks on the built program, a file each: what they get, what memory they take, and that the
//! matches of other callers go on beside them.
//!
//! Memory is what the operating system counts. How much longer matches take is asserted of the best
//! of a few looks, while the attack goes on: a machine may be busy with something else in one.

mod compressed;
mod floods;
mod headers;
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
    pb::{self, MatchState},
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
    support::{collect, last, now, portrait_request, setting, simulator},
    transport,
};

/// What memory may grow by beside what the settings give to requests.
const ALLOWANCE_KIB: u64 = 32 * 1024;
/// `--request-memory`, at its default.
const REQUEST_MEMORY_KIB: u64 = 64 * 1024;
/// Matches of others in each look, unless the environment says how many, and how many of them run
/// at once: as many as leave a small machine time for the attack.
const MATCHES: u64 = 5;
const MATCHES_AT_ONCE: usize = 20;
/// For how long Oz processes a match whose time is taken: hardly a real one is faster.
const OZ_TAKES_MS: u64 = 500;
/// How much longer the matches of others may take, in the median.
const RATIO_MAX: f64 = 1.5;
/// How often it is measured, at most.
const LOOKS: usize = 3;
/// How long an attack may take to be in place: much longer than it does.
const ATTACK_PATIENCE: Duration = Duration::from_secs(300);
/// How many matches are run at most until memory has returned: what is free is given back to the
/// operating system while the program does something.
const MATCHES_UNTIL_RETURNED: usize = 300;

/// What is free is given back to the operating system after a second, not after ten, so that tests
/// needn't wait for it: as jemalloc is told.
const SOON_GIVEN_BACK: (&str, &str) =
    ("_RJEM_MALLOC_CONF", "dirty_decay_ms:1000,muzzy_decay_ms:1000");

/// The loopback has more addresses than one.
const ANOTHER_ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));

/// Attacks are made one after the other, or each would be measured beside the others.
static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

/// Matches of others in each look.
fn matches() -> u64 {
    setting("FACEMATCH_ATTACK_MATCHES", MATCHES)
}

/// The program under attack, and the caller beside.
struct Target {
    _only: MutexGuard<'static, ()>,
    oz: Simulator,
    process: Process,
    client: Client,
    /// Before anything attacks, in KiB.
    idle_kib: u64,
    /// What a match takes before anything attacks, in the median.
    alone: Duration,
    _directory: tempfile::TempDir,
}

impl Target {
    async fn start(settings: &[&str]) -> Self {
        let only = ONE_AT_A_TIME.lock().await;
        assert_may_open(1_000);
        let oz = simulator().await;
        oz.switch(|switches| switches.processing_ms = 0);
        let directory = tempfile::tempdir().unwrap();
        let settings = [&["--log-level", "info"], settings].concat();
        let mut program = Command::new(PROGRAM);
        program.env(SOON_GIVEN_BACK.0, SOON_GIVEN_BACK.1);
        let process = Process::start_by(&mut program, &oz, directory.path(), &settings);
        let client = process.client().await;
        let mut target = Self {
            _only: only,
            oz,
            process,
            client,
            idle_kib: 0,
            alone: Duration::ZERO,
            _directory: directory,
        };
        // The first ones find everything cold.
        for _ in 0..4 {
            target.run_matches().await;
        }
        target.alone = target.timed_matches().await;
        target.idle_kib = target.process.resident_kib();
        target.process.forget_peak();
        target
    }

    fn address(&self) -> SocketAddr {
        self.process.address().trim_start_matches("http://").parse().expect("an address")
    }

    async fn channel(&self) -> Channel {
        transport::channel(self.process.address()).await
    }

    /// Connections of another address than the callers beside have.
    async fn channels_of_another(&self, count: usize) -> Vec<Channel> {
        let endpoint = Channel::from_shared(self.process.address().to_owned()).unwrap();
        let endpoint = endpoint.local_address(Some(ANOTHER_ADDRESS));
        let connecting = (0..count).map(|_| endpoint.connect());
        try_join_all(connecting).await.expect("the service listens")
    }

    /// Runs matches of another caller beside each other, each to its verdict; tells the median of
    /// what they took.
    async fn run_matches(&self) -> Duration {
        let run = |_| {
            let mut client = self.client.clone();
            let folder = self.oz.add_folder(sample::liveness_folder(sample::portrait_jpeg()));
            async move {
                let begun = now();
                let updates = client.run_match(portrait_request(&folder)).await;
                let updates = collect(updates.expect("it is accepted").into_inner()).await;
                assert_eq!(last(&updates.expect("it ends")).state(), MatchState::Finished);
                begun.elapsed()
            }
        };
        let running = stream::iter(0..matches()).map(run).buffer_unordered(MATCHES_AT_ONCE);
        let mut took: Vec<_> = running.collect().await;
        took.sort_unstable();
        took[took.len() / 2]
    }

    /// The same, where Oz takes as long as it does for hardly any match.
    async fn timed_matches(&self) -> Duration {
        self.oz.switch(|switches| switches.processing_ms = OZ_TAKES_MS);
        let took = self.run_matches().await;
        self.oz.switch(|switches| switches.processing_ms = 0);
        took
    }

    /// Runs matches beside the attack that goes on.
    async fn assert_others_are_served(&self, attack: &str) {
        let mut ratios = Vec::new();
        while ratios.len() < LOOKS && ratios.last().is_none_or(|ratio| *ratio > RATIO_MAX) {
            ratios.push(self.timed_matches().await.as_secs_f64() / self.alone.as_secs_f64());
        }
        println!(
            "attacked: by {attack}, {} matches of others take {ratios:.2?} times as long, none fails",
            matches()
        );
        assert!(ratios.last().is_some_and(|ratio| *ratio <= RATIO_MAX), "{attack}: {ratios:.2?}");
    }

    /// Fails if memory has grown by more than so much at any moment of the attack.
    #[track_caller]
    fn assert_grown_at_most(&self, kib: u64, attack: &str) {
        let grown = self.process.peak_kib().saturating_sub(self.idle_kib);
        println!("attacked: by {attack}, resident memory grows by {} MiB", grown / 1024);
        assert!(grown <= kib, "{attack}: it has grown by {grown} KiB");
    }

    /// Waits until memory is nearly what it was.
    async fn assert_returned(&self, attack: &str) {
        for _ in 0..MATCHES_UNTIL_RETURNED {
            if self.process.resident_kib() <= self.idle_kib + ALLOWANCE_KIB {
                self.process.forget_peak();
                return;
            }
            self.run_matches().await;
        }
        panic!("{attack}: {} KiB stay, of {} idle", self.process.resident_kib(), self.idle_kib);
    }
}

/// Calls that are open, and how those ended that did.
#[derive(Default)]
struct Calls {
    open: JoinSet<()>,
    /// Ends the requests that stall: a client whose call is dropped leaves its request open.
    over: CancellationToken,
    ended: Arc<StdMutex<BTreeMap<String, usize>>>,
}

impl Calls {
    /// Begins so many calls, which send the beginning of their request, and no more.
    fn stall(
        &mut self,
        channel: &Channel,
        path: &str,
        headers: &[(&str, &str)],
        begun: &Bytes,
        count: usize,
    ) {
        for _ in 0..count {
            // An empty frame would be one more attack.
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

    /// Begins so many calls, which go on to send such a piece each time so long has passed.
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

    /// How many have ended so far, by what they were told.
    fn ended(&self) -> BTreeMap<String, usize> {
        lock(&self.ended).clone()
    }

    /// Waits until so many have ended.
    async fn wait_for(&mut self, count: usize) {
        let waiting = async {
            while lock(&self.ended).values().sum::<usize>() < count {
                self.open.join_next().await.expect("more are open").expect("it ends in order");
            }
        };
        let waited = timeout(ATTACK_PATIENCE, waiting).await;
        assert!(waited.is_ok(), "of {count} that should end: {:?}", self.ended());
    }

    /// Fails if a call ended for anything else than that.
    #[track_caller]
    fn assert_all_told(&self, word: &str, attack: &str) {
        let ended = self.ended();
        assert!(ended.keys().eq([word]), "{attack}: {ended:?}");
    }

    /// Fails if a call ended for anything else than that one of these limits is reached.
    #[track_caller]
    fn assert_all_told_one_of(&self, limits: &[&str], attack: &str) {
        let ended = self.ended();
        let is_known = |word: &String| limits.iter().any(|it| *word == format!("OVERLOADED {it}"));
        assert!(!ended.is_empty() && ended.keys().all(is_known), "{attack}: {ended:?}");
    }

    /// Ends all, and returns once they have.
    async fn end(mut self) {
        self.over.cancel();
        let ending = async { while self.open.join_next().await.is_some() {} };
        let ended = timeout(ATTACK_PATIENCE, ending).await;
        assert!(ended.is_ok(), "{} calls are still open", self.open.len());
    }
}

/// The reason of a refusal, and its limit if it has one; else its code.
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

/// The paths of all calls of all services on the port, as the descriptors list them.
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

/// The beginning of a message of the largest size beside a photo, whole but for two bytes: one
/// long field that no message knows.
fn all_but_two_bytes() -> Bytes {
    const MESSAGE_BYTES: usize = 64 * 1024;
    // Field 15, and its length as a number of three bytes.
    let head = b"\x7a\xfc\xff\x03";
    let come = [head, &[0; MESSAGE_BYTES - 4 - 2][..]].concat();
    transport::announced(u32::try_from(MESSAGE_BYTES).unwrap(), &come)
}
