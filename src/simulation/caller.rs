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
        PhotoSource, ReferenceKey, RequestId, Sequence, Spec, TenantId, Timeout, Timestamp,
    },
    invariants::{DurableUpdate, FollowerHistory, UpdateChecker, UpdateKey},
    simulation::{History, library, oz::Model},
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

/// Where the reference photo of a match is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PhotoPlace {
    /// Its caller sends it.
    Call,
    /// The folder holds it as its image.
    Folder,
    /// The photo library has it under the key of the request.
    Library,
    /// The photo library has none for the key.
    Nowhere,
}

/// What a caller does.
#[derive(Clone)]
pub struct Plan {
    pub tenant: TenantId,
    pub request_id: RequestId,
    pub folder_id: FolderId,
    /// The image that the folder holds.
    pub image: MediaId,
    /// Where the photo is that is compared.
    pub photo: PhotoPlace,
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
            photo: PhotoPlace::Call,
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
    pub checker: UpdateChecker,
    pub time: Timestamp,
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

    /// The key of the photo, another one for each request id.
    pub fn key(&self) -> ReferenceKey {
        let request = self.plan.request_id.as_str();
        match self.plan.photo {
            PhotoPlace::Nowhere => library::missing_key_of(request),
            PhotoPlace::Call | PhotoPlace::Folder | PhotoPlace::Library => library::key_of(request),
        }
    }

    /// The photo that Oz gets by an upload.
    pub fn uploaded(&self) -> Bytes {
        match self.plan.photo {
            PhotoPlace::Call => self.photo(),
            PhotoPlace::Library => library::photo_of(&self.key()),
            PhotoPlace::Folder | PhotoPlace::Nowhere => panic!("it has nothing to upload"),
        }
    }

    /// What each copy has seen.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.iter().map(|seen| lock(seen).clone()).collect()
    }

    /// Calls, or calls again after so many crashes, and watches until the match has ended.
    pub fn attend(self: &Arc<Self>, house: &Arc<Process>, crashes: usize, tasks: &mut JoinSet<()>) {
        let now = house.clock.now();
        let comes = match (crashes, self.plan.comes_back) {
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
        if lock(seen).has_closed() {
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
        let after = lock(seen).sequence();
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
            let is_sent = self.plan.photo == PhotoPlace::Call;
            let photo = is_sent.then(|| Photo::new(photo, place));
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
            photo: match plan.photo {
                PhotoPlace::Call => PhotoSource::Content { digest, format: Format::Jpeg },
                PhotoPlace::Folder => PhotoSource::FolderMedia(plan.image.clone()),
                PhotoPlace::Library | PhotoPlace::Nowhere => PhotoSource::Library(self.key()),
            },
            kind: PhotoKind::Selfie,
            timeout: Timeout { duration: plan.timeout, named: true },
            liveness_media: Vec::new(),
            liveness_policy: plan.policy,
            labels: BTreeMap::new(),
            trace: None,
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
                    lock(seen).checker.check_read(now.sequence.0);
                }
                Update::Heartbeat { m, .. } => {
                    lock(seen).checker.check_transient(m.map_or(0, |m| m.sequence.0));
                }
                Update::Progress { .. } => panic!("progress was not asked for"),
            }
        }
        lock(seen).checker.check_end();
    }
}

impl Seen {
    /// Adds an update, which must be the next one.
    pub fn see(&mut self, entry: &Entry) {
        let recorded = &entry.recorded;
        assert_eq!(Some(recorded.match_id), self.match_id);
        self.checker.check(&durable(entry));
        self.time = recorded.time;
        self.names.push(recorded.event.name());
        let error = entry.snapshot.error.as_ref();
        self.cause = error.and_then(|error| error.metadata.get("cause").cloned());
    }

    /// The sequence of the last update.
    pub fn sequence(&self) -> Sequence {
        Sequence(self.checker.sequence())
    }

    /// Whether the closing update was seen.
    pub fn has_closed(&self) -> bool {
        self.checker.has_closed()
    }
}

/// An entry as the checkers take it.
pub fn durable(entry: &Entry) -> DurableUpdate<'_> {
    let Entry { recorded, snapshot: m, .. } = entry;
    DurableUpdate {
        sequence: recorded.sequence.0,
        time_micros: recorded.time.as_micros(),
        event: recorded.event.name(),
        state: m.state.name(),
        has_result: m.result.is_some(),
        has_error: m.error.is_some(),
    }
}

/// A follower of all matches of a tenant, which resumes by tokens.
pub struct Follower {
    tenant: TenantId,
    history: Mutex<FollowerHistory<MatchId>>,
}

impl Follower {
    /// A follower that has seen nothing yet.
    pub fn of(tenant: TenantId) -> Arc<Self> {
        Arc::new(Self { tenant, history: Mutex::default() })
    }

    /// The tenant whose matches it follows.
    pub fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    /// The updates that were shown, in their order.
    pub fn updates(&self) -> Vec<UpdateKey<MatchId>> {
        lock(&self.history).updates().to_vec()
    }

    /// Follows from the last token on, for as long as the process lives.
    pub async fn follow(self: Arc<Self>, house: Arc<Process>) {
        let token = lock(&self.history).token();
        let (tenant, filter) = (self.tenant.clone(), Filter::default());
        let mut follow =
            house.watch.follow_all(tenant, filter, &token).await.expect("a good token");
        while let Some(update) = follow.next().await {
            let place = match update {
                Ok(Update::Event(entry)) => {
                    lock(&self.history).see(entry.recorded.match_id, &durable(&entry));
                    entry.recorded.place()
                }
                Ok(Update::Heartbeat { cursor: place, .. }) => place.expect("it names one").1,
                Ok(Update::Progress { .. }) => panic!("progress was not asked for"),
                Err(Ended::Draining) => return,
                Err(ended) => panic!("{ended}"),
            };
            lock(&self.history).resume_after(house.watch.token(&self.tenant, place));
        }
    }
}
