//! Clients of a fleet: they call any replica, lose their connection, and go on at another.

use std::{
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use rand::{RngExt, rngs::StdRng};
use tokio::{runtime::Handle, sync::mpsc};

use crate::{
    clock::Clock,
    domain::{MatchId, Sequence, TenantId, Timestamp},
    invariants::{FollowerHistory, UpdateKey},
    simulation::caller::{Caller, PhotoPlace, Process, Seen, durable},
    sync::lock,
    watch::{Ended, Entry, Filter, Key, Update},
    worker::{Refused, photo_memory::Photo},
};

/// How long a client waits for a message; streams send one every 20 s.
const PATIENCE: Duration = Duration::from_secs(30);

/// The longest pause before a client calls another replica.
const PAUSE_MAX: Duration = Duration::from_millis(1_500);

/// The way into a replica.
#[derive(Clone)]
pub struct Door {
    pub handle: Handle,
    pub house: Arc<Process>,
}

/// The doors of all replicas; `None` for a replica that is down.
pub struct Doors(Mutex<Vec<Option<Door>>>);

/// A client that plays one copy of a caller.
pub struct Client {
    pub caller: Arc<Caller>,
    pub copy: usize,
    pub doors: Arc<Doors>,
    pub clock: Clock,
    pub random: StdRng,
    /// The probability that the client changes replicas after an update, 0 to 1.
    pub restless: f64,
}

/// A message from a replica to a client.
enum Message {
    /// The match is accepted.
    Accepted(MatchId),
    /// The call was refused, and may be repeated.
    Refused,
    /// An update of a stream.
    Update(Update),
    /// An update of a stream of all matches, if it isn't a heartbeat, with the token that goes on
    /// after it.
    Passed(Option<Arc<Entry>>, String),
}

/// How a visit at a replica ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Visit {
    /// The match has ended.
    Over,
    /// The call was refused, or the replica is down.
    Refused,
    /// The connection broke, or fell silent.
    Broken,
}

impl Doors {
    pub fn new(replicas: usize) -> Self {
        Self(Mutex::new((0..replicas).map(|_| None).collect()))
    }

    pub fn open(&self, replica: usize, door: Door) {
        lock(&self.0)[replica] = Some(door);
    }

    pub fn close(&self, replica: usize) {
        lock(&self.0)[replica] = None;
    }

    /// A random door; `None` if that replica is down.
    fn any(&self, random: &mut StdRng) -> Option<Door> {
        let doors = lock(&self.0);
        doors[random.random_range(0..doors.len())].clone()
    }
}

impl Door {
    /// Runs a call in the replica, until the client drops the receiver. The call ends with the
    /// replica.
    fn serve<F: Future<Output = ()> + Send + 'static>(
        self,
        serving: impl FnOnce(Arc<Process>, mpsc::UnboundedSender<Message>) -> F,
    ) -> mpsc::UnboundedReceiver<Message> {
        let (words, heard) = mpsc::unbounded_channel();
        let (serving, listened) = (serving(self.house, words.clone()), words);
        drop(self.handle.spawn(async move {
            tokio::select! {
                biased;
                () = listened.closed() => {}
                () = serving => {}
            }
        }));
        heard
    }
}

impl Client {
    /// Calls, or calls again, and watches until the match has ended.
    pub async fn run(mut self) {
        self.clock.sleep_until(self.caller.plan.arrives).await;
        let mut brings = true;
        loop {
            match self.visit(brings).await {
                Visit::Over => return,
                Visit::Refused => {}
                Visit::Broken => match self.caller.plan.comes_back {
                    Some(pause) => {
                        // Not every time, so that watches are resumed as well.
                        brings = self.seen().match_id.is_none() || self.random.random_bool(0.7);
                        self.clock.sleep(pause.mul_f64(self.random.random_range(0.0..1.0))).await;
                    }
                    None if self.seen().match_id.is_none() => return,
                    None => brings = false,
                },
            }
            self.clock.sleep(PAUSE_MAX.mul_f64(self.random.random_range(0.0..1.0))).await;
        }
    }

    /// Calls one replica, and reads its messages for as long as they come.
    async fn visit(&mut self, brings: bool) -> Visit {
        let Some(door) = self.doors.any(&mut self.random) else { return Visit::Refused };
        let (caller, known) = (Arc::clone(&self.caller), self.seen());
        let mut words = match known.match_id.filter(|_| !brings) {
            Some(id) => door.serve(|house, words| watch(house, id, known.sequence(), words)),
            None => door.serve(|house, words| call(house, caller, known.sequence(), words)),
        };
        loop {
            let until = self.clock.now().after(PATIENCE);
            match self.clock.before(until, words.recv()).await.flatten() {
                None => return Visit::Broken,
                Some(Message::Refused) => return Visit::Refused,
                Some(Message::Accepted(id)) => self.accepted(id),
                Some(Message::Passed(..)) => panic!("all matches were not asked for"),
                Some(Message::Update(update)) => self.see(update),
            }
            self.look_elsewhere().await;
            if self.seen().has_closed() {
                return Visit::Over;
            }
            if self.random.random_bool(self.restless) {
                return Visit::Broken;
            }
        }
    }

    fn accepted(&self, id: MatchId) {
        let known = self.change().match_id.replace(id);
        assert!(known.is_none_or(|known| known == id), "one request id, one match");
    }

    fn see(&self, update: Update) {
        match update {
            Update::Event(entry) => self.change().see(&entry),
            Update::Heartbeat { m, .. } => {
                self.seen().checker.check_transient(m.map_or(0, |m| m.sequence.0));
            }
            Update::Progress { .. } => panic!("progress was not asked for"),
        }
    }

    /// A read is never behind an update that was delivered, whichever replica is asked.
    async fn look_elsewhere(&mut self) {
        let (Some(door), seen) = (self.doors.any(&mut self.random), self.seen()) else { return };
        let Some(id) = seen.match_id else { return };
        match door.house.watch.find(&TenantId::default_tenant(), &Key::Match(id)).await {
            Ok(found) => seen.checker.check_read(found.sequence.0),
            Err(Ended::Journal(_)) => {}
            Err(ended) => panic!("{ended}"),
        }
    }

    fn seen(&self) -> Seen {
        self.change().clone()
    }

    fn change(&self) -> MutexGuard<'_, Seen> {
        lock(&self.caller.copies()[self.copy])
    }
}

/// A call of `admit` and its stream of updates, in the replica.
async fn call(
    house: Arc<Process>,
    caller: Arc<Caller>,
    after: Sequence,
    words: mpsc::UnboundedSender<Message>,
) {
    let photo = caller.photo();
    let spec = caller.spec(house.digest_key.digest(&photo));
    let place = house
        .worker
        .photo_memory()
        .reserve(&TenantId::default_tenant(), photo.len())
        .expect("room");
    let is_sent = caller.plan.photo == PhotoPlace::Call;
    let photo = is_sent.then(|| Photo::new(photo, place));
    match house.worker.admit(spec, photo).await {
        Ok(m) => {
            // The client may have left, and needn't get it.
            let _ = words.send(Message::Accepted(m.id));
            watch(house, m.id, after, words).await;
        }
        Err(Refused::Journal(_) | Refused::Draining) => {
            let _ = words.send(Message::Refused);
        }
        Err(refused) => panic!("{}: {refused}", caller.plan.request_id),
    }
}

/// A replica's stream of one match.
async fn watch(
    house: Arc<Process>,
    id: MatchId,
    after: Sequence,
    words: mpsc::UnboundedSender<Message>,
) {
    let mut follow = match house.watch.follow(id, after, false).await {
        Ok(follow) => follow,
        Err(ended) => return check_reason(&ended),
    };
    while let Some(update) = follow.next().await {
        match update {
            Ok(update) => {
                let _ = words.send(Message::Update(update));
            }
            Err(ended) => return check_reason(&ended),
        }
    }
}

/// Checks why a stream ends before its last update.
fn check_reason(ended: &Ended) {
    match ended {
        Ended::Draining | Ended::Journal(_) => {}
        Ended::Absent | Ended::Ahead { .. } | Ended::Expired | Ended::InvalidToken => {
            panic!("{ended}")
        }
    }
}

/// Cancels a match at any replica, and repeats the call until it succeeds.
pub async fn cancel(
    caller: Arc<Caller>,
    doors: Arc<Doors>,
    clock: Clock,
    time: Timestamp,
    mut random: StdRng,
) {
    clock.sleep_until(time).await;
    loop {
        if let Some(door) = doors.any(&mut random) {
            let caller = Arc::clone(&caller);
            let mut words = door.serve(|house, words| async move {
                let key = Key::Request(caller.plan.request_id.clone());
                if house.worker.cancel(&TenantId::default_tenant(), &key).await.is_ok() {
                    let _ = words.send(Message::Refused);
                }
            });
            let until = clock.now().after(PATIENCE);
            if clock.before(until, words.recv()).await.flatten().is_some() {
                return;
            }
        }
        clock.sleep(PAUSE_MAX.mul_f64(random.random_range(0.0..1.0))).await;
    }
}

/// A follower of all matches, which resumes by tokens at any replica.
#[derive(Default)]
pub struct Follower(Mutex<FollowerHistory<MatchId>>);

impl Follower {
    /// The updates that were shown, in their order.
    pub fn updates(&self) -> Vec<UpdateKey<MatchId>> {
        lock(&self.0).updates().to_vec()
    }

    /// Follows from the last token on, without end.
    pub async fn follow(
        self: Arc<Self>,
        doors: Arc<Doors>,
        clock: Clock,
        mut random: StdRng,
        restless: f64,
    ) {
        loop {
            if let Some(door) = doors.any(&mut random) {
                let token = lock(&self.0).token();
                let mut words = door.serve(|house, words| watch_all(house, token, words));
                let until = || clock.now().after(PATIENCE);
                while let Some(word) = clock.before(until(), words.recv()).await.flatten() {
                    self.hear(word);
                    if random.random_bool(restless) {
                        break;
                    }
                }
            }
            clock.sleep(PAUSE_MAX.mul_f64(random.random_range(0.0..1.0))).await;
        }
    }

    fn hear(&self, word: Message) {
        let Message::Passed(update, token) = word else { panic!("one match was not asked for") };
        let mut history = lock(&self.0);
        if let Some(entry) = update {
            history.see(entry.recorded.match_id, &durable(&entry));
        }
        history.resume_after(token);
    }
}

/// A replica's stream of all matches.
async fn watch_all(house: Arc<Process>, token: String, words: mpsc::UnboundedSender<Message>) {
    let (tenant, filter) = (TenantId::default_tenant(), Filter::default());
    let mut follow = match house.watch.follow_all(tenant, filter, &token).await {
        Ok(follow) => follow,
        Err(ended) => return check_reason(&ended),
    };
    while let Some(update) = follow.next().await {
        let (shown, place) = match update {
            Ok(Update::Event(entry)) => {
                let place = entry.recorded.place();
                (Some(entry), place)
            }
            Ok(Update::Heartbeat { cursor: place, .. }) => (None, place.expect("it names one").1),
            Ok(Update::Progress { .. }) => panic!("progress was not asked for"),
            Err(ended) => return check_reason(&ended),
        };
        let _ = words
            .send(Message::Passed(shown, house.watch.token(&TenantId::default_tenant(), place)));
    }
}
