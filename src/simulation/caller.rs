//! Callers: what they send, when they call again, and what they have seen.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use tokio::task::JoinSet;

use crate::{
    clock::Clock,
    domain::{
        DigestKey, FolderId, Format, LivenessPolicy, Match, MatchId, MediaId, PhotoKind,
        PhotoSource, RequestId, Sequence, Spec, TenantId, Timeout, Timestamp,
    },
    simulation::{History, oz::Model},
    sync::lock,
    watch::{Ended, Entry, Filter, Follow, Key, Update, Watch},
    worker::{Refused, Worker, photo_memory::Photo},
};

/// How long a caller waits before it repeats a call that failed.
const PAUSE: Duration = Duration::from_millis(1_500);

/// A process as callers reach it.
pub struct Process {
    pub worker: Worker,
    pub watch: Watch,
    pub clock: Clock,
    pub digest_key: DigestKey,
}

/// What a caller does.
#[derive(Clone)]
pub struct Plan {
    pub tenant: TenantId,
    pub request_id: RequestId,
    pub folder_id: FolderId,
    /// The image that the folder holds.
    pub image: MediaId,
    /// Whether a photo is sent; otherwise the folder's image is compared.
    pub sends_photo: bool,
    pub policy: LivenessPolicy,
    pub timeout: Duration,
    pub arrives: Timestamp,
    /// How soon the call is repeated after a crash of the server; never if `None`.
    pub comes_back: Option<Duration>,
    /// When the caller cancels its match, if it does.
    pub cancels: Option<Timestamp>,
    /// How many callers do the same at once.
    pub copies: usize,
}

impl Plan {
    /// One match in a folder of its own. Its caller arrives after a second and watches it to the
    /// end.
    pub fn plain(oz: &Model, n: u32) -> Self {
        Self {
            tenant: TenantId::default_tenant(),
            request_id: format!("order-{n}").parse().expect("an id"),
            folder_id: oz.add_folder(n),
            image: format!("image-{n}").parse().expect("an id"),
            sends_photo: true,
            policy: LivenessPolicy::Report,
            timeout: Duration::from_secs(300),
            arrives: History::at(1.0),
            comes_back: None,
            cancels: None,
            copies: 1,
        }
    }
}

/// A caller, and what it has seen.
pub struct Caller {
    pub plan: Plan,
    seen: Vec<Arc<Mutex<Seen>>>,
}

/// What one stream has shown, however often it was resumed.
#[derive(Clone, Default, Debug)]
pub struct Seen {
    pub match_id: Option<MatchId>,
    pub sequence: Sequence,
    pub time: Timestamp,
    pub has_closed: bool,
    pub names: Vec<&'static str>,
    /// The `cause` in the metadata of the match's error, if there is one.
    pub cause: Option<String>,
}

impl Caller {
    pub fn new(plan: Plan) -> Arc<Self> {
        let seen = (0..plan.copies).map(|_| Arc::default()).collect();
        Arc::new(Self { plan, seen })
    }

    /// What each copy has seen, to be changed by the client that plays the copy.
    pub fn copies(&self) -> &[Arc<Mutex<Seen>>] {
        &self.seen
    }

    /// The photo that is sent, another one for each request id.
    pub fn photo(&self) -> Bytes {
        Bytes::from(format!("photo of {}", self.plan.request_id))
    }

    /// What each copy has seen.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.iter().map(|seen| lock(seen).clone()).collect()
    }

    /// Calls, or calls again after so many crashes, and watches until the match has ended.
    pub fn attend(self: &Arc<Self>, house: &Arc<Process>, deaths: usize, tasks: &mut JoinSet<()>) {
        let now = house.clock.now();
        let comes = match (deaths, self.plan.comes_back) {
            (0, _) => Some(self.plan.arrives),
            (_, Some(pause)) => Some(self.plan.arrives.max(now.after(pause))),
            // It has not called yet, so there is no call to repeat.
            (_, None) if self.plan.arrives > now => Some(self.plan.arrives),
            (_, None) => None,
        };
        for seen in &self.seen {
            let (caller, house, seen) = (Arc::clone(self), Arc::clone(house), Arc::clone(seen));
            tasks.spawn(async move { caller.call(&house, comes, &seen).await });
        }
        if let Some(time) = self.plan.cancels.filter(|time| *time > now) {
            let (caller, house) = (Arc::clone(self), Arc::clone(house));
            tasks.spawn(async move { caller.cancel(&house, time).await });
        }
    }

    async fn call(&self, house: &Process, comes: Option<Timestamp>, seen: &Mutex<Seen>) {
        if lock(seen).has_closed {
            return;
        }
        let known = lock(seen).match_id;
        let m = match (comes, known) {
            (Some(time), _) => {
                house.clock.sleep_until(time).await;
                self.admitted(house).await
            }
            // Without sending the photo again, it resumes watching.
            (None, Some(id)) => {
                let found = house.watch.find(&self.plan.tenant, &Key::Match(id)).await;
                found.expect("it was accepted")
            }
            (None, None) => return,
        };
        if let Some(known) = known {
            assert_eq!(known, m.id, "one request id, one match");
        }
        lock(seen).match_id = Some(m.id);
        self.is_hidden(house, m.id).await;
        let after = lock(seen).sequence;
        let follow = house.watch.follow(m.id, after, false).await.expect("what was seen is there");
        self.read(house, follow, seen).await;
    }

    /// Repeats the call until it is accepted.
    async fn admitted(&self, house: &Process) -> Match {
        loop {
            let photo = self.photo();
            let spec = self.spec(house.digest_key.digest(&photo));
            let place = house.worker.photo_memory().reserve(&self.plan.tenant, photo.len());
            let place = place.expect("room");
            let photo = self.plan.sends_photo.then(|| Photo::new(photo, place));
            match house.worker.admit(spec, photo).await {
                Ok(m) => return m,
                Err(Refused::Journal(_)) => house.clock.sleep(PAUSE).await,
                Err(refused) => panic!("{}: {refused}", self.plan.request_id),
            }
        }
    }

    async fn cancel(&self, house: &Process, time: Timestamp) {
        house.clock.sleep_until(time).await;
        let key = Key::Request(self.plan.request_id.clone());
        while house.worker.cancel(&self.plan.tenant, &key).await.is_err() {
            house.clock.sleep(PAUSE).await;
        }
    }

    /// The match that the caller asks for.
    pub fn spec(&self, digest: crate::domain::Digest) -> Spec {
        let plan = &self.plan;
        Spec {
            tenant: plan.tenant.clone(),
            request_id: Some(plan.request_id.clone()),
            folder_id: plan.folder_id,
            photo: match plan.sends_photo {
                true => PhotoSource::Content { digest, format: Format::Jpeg },
                false => PhotoSource::FolderMedia(plan.image.clone()),
            },
            kind: PhotoKind::Selfie,
            timeout: Timeout { duration: plan.timeout, named: true },
            liveness_media: Vec::new(),
            liveness_policy: plan.policy,
            labels: BTreeMap::new(),
        }
    }

    /// Asserts that another tenant doesn't find the match. Asks only if there are two tenants.
    async fn is_hidden(&self, house: &Process, id: MatchId) {
        let stranger = TenantId::default_tenant();
        if self.plan.tenant == stranger {
            return;
        }
        for key in [Key::Match(id), Key::Request(self.plan.request_id.clone())] {
            let found = house.watch.find(&stranger, &key).await;
            assert!(matches!(found, Err(Ended::Absent)), "another tenant's match: {found:?}");
        }
    }

    /// Reads a stream to its end, and checks every update.
    async fn read(&self, house: &Process, mut follow: Follow, seen: &Mutex<Seen>) {
        while let Some(update) = follow.next().await {
            match update.expect("the journal can be read") {
                Update::Event(entry) => {
                    lock(seen).see(&entry);
                    let key = Key::Match(entry.recorded.match_id);
                    let now = house.watch.find(&self.plan.tenant, &key).await.expect("it is there");
                    assert!(now.sequence >= entry.recorded.sequence, "a read is behind a stream");
                }
                Update::Heartbeat { m, .. } => {
                    let named = m.map_or(Sequence::ZERO, |m| m.sequence);
                    assert_eq!(named, lock(seen).sequence, "a heartbeat names what was delivered");
                }
                Update::Progress { .. } => panic!("progress was not asked for"),
            }
        }
        assert!(lock(seen).has_closed, "a stream ends after the closing update only");
    }
}

impl Seen {
    /// Adds an update, which must be the next one.
    pub fn see(&mut self, entry: &Entry) {
        let recorded = &entry.recorded;
        assert!(!self.has_closed, "no update follows the closing update");
        assert_eq!(recorded.sequence, self.sequence.next(), "dense and in order");
        assert!(recorded.time >= self.time, "time never goes back");
        assert_eq!(Some(recorded.match_id), self.match_id);
        self.sequence = recorded.sequence;
        self.time = recorded.time;
        self.has_closed = entry.snapshot.has_ended();
        self.names.push(recorded.event.name());
        let error = entry.snapshot.error.as_ref();
        self.cause = error.and_then(|error| error.metadata.get("cause").cloned());
    }
}

/// A follower of all matches of a tenant, which resumes by tokens.
pub struct Follower {
    tenant: TenantId,
    seen: Mutex<SeenAll>,
}

#[derive(Clone, Default)]
struct SeenAll {
    token: Option<String>,
    updates: Vec<(MatchId, Sequence)>,
}

impl Follower {
    /// A follower that has seen nothing yet.
    pub fn of(tenant: TenantId) -> Arc<Self> {
        Arc::new(Self { tenant, seen: Mutex::default() })
    }

    /// The tenant whose matches it follows.
    pub fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    /// The updates that were shown, in their order.
    pub fn updates(&self) -> Vec<(MatchId, Sequence)> {
        lock(&self.seen).updates.clone()
    }

    /// Follows from the last token on, for as long as the process lives.
    pub async fn follow(self: Arc<Self>, house: Arc<Process>) {
        let token = lock(&self.seen).token.clone().unwrap_or("earliest".into());
        let (tenant, filter) = (self.tenant.clone(), Filter::default());
        let mut follow =
            house.watch.follow_all(tenant, filter, &token).await.expect("a good token");
        while let Some(update) = follow.next().await {
            let place = match update {
                Ok(Update::Event(entry)) => {
                    let recorded = &entry.recorded;
                    lock(&self.seen).updates.push((recorded.match_id, recorded.sequence));
                    recorded.place()
                }
                Ok(Update::Heartbeat { cursor: place, .. }) => place.expect("it names one").1,
                Ok(Update::Progress { .. }) => panic!("progress was not asked for"),
                Err(Ended::Draining) => return,
                Err(ended) => panic!("{ended}"),
            };
            lock(&self.seen).token = Some(house.watch.token(&self.tenant, place));
        }
    }
}
