//! Callers of a fleet: they come in by any door, are cut off, and go on at another.

use std::{
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use rand::{RngExt, rngs::StdRng};
use tokio::{runtime::Handle, sync::mpsc};

use crate::{
    app::histories::caller::{Caller, House, Seen, lock},
    clock::Clock,
    domain::{CallerId, MatchId, Sequence, Timestamp},
    watch::{Ended, Filter, Key, Update},
    worker::{Refused, photo_memory::Photo},
};

/// How long a client waits for a word; streams say one every 20 s.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long it waits at most before it knocks at another door.
const PAUSE_MAX: Duration = Duration::from_millis(1_500);

/// The way into a replica.
#[derive(Clone)]
pub struct Door {
    pub handle: Handle,
    pub house: Arc<House>,
}

/// The doors of all replicas; none where there is nobody.
pub struct Doors(Mutex<Vec<Option<Door>>>);

/// Somebody who wants a match.
pub struct Client {
    pub caller: Arc<Caller>,
    pub copy: usize,
    pub doors: Arc<Doors>,
    pub clock: Clock,
    pub random: StdRng,
    /// How often it moves of itself, after each update.
    pub restless: f64,
}

/// What a client hears from a replica.
enum Word {
    /// The match is accepted.
    Accepted(MatchId),
    /// The call was refused, and may be repeated.
    Refused,
    /// What a stream shows.
    Update(Update),
    /// The same where many matches are followed, with the token that goes on after it.
    Passed(Option<(MatchId, Sequence)>, String),
}

/// What a visit came to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Visit {
    /// The match has ended.
    Over,
    /// Nothing was done.
    Refused,
    /// The connection broke, or fell silent.
    CutOff,
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

    /// Any door, if there is somebody behind it.
    fn any(&self, random: &mut StdRng) -> Option<Door> {
        let doors = lock(&self.0);
        doors[random.random_range(0..doors.len())].clone()
    }
}

impl Door {
    /// Has something done by the replica, until nobody listens any more. It ends with the replica.
    fn serve<F: Future<Output = ()> + Send + 'static>(
        self,
        serving: impl FnOnce(Arc<House>, mpsc::UnboundedSender<Word>) -> F,
    ) -> mpsc::UnboundedReceiver<Word> {
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
                Visit::CutOff => match self.caller.plan.comes_back {
                    Some(pause) => {
                        // Not every time, so that matches are watched as well.
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

    /// Calls one replica, and listens for as long as it says something.
    async fn visit(&mut self, brings: bool) -> Visit {
        let Some(door) = self.doors.any(&mut self.random) else { return Visit::Refused };
        let (caller, known) = (Arc::clone(&self.caller), self.seen());
        let mut words = match known.match_id.filter(|_| !brings) {
            Some(id) => door.serve(|house, words| watch(house, id, known.sequence, words)),
            None => door.serve(|house, words| call(house, caller, known.sequence, words)),
        };
        loop {
            let until = self.clock.now().after(PATIENCE);
            match self.clock.before(until, words.recv()).await.flatten() {
                None => return Visit::CutOff,
                Some(Word::Refused) => return Visit::Refused,
                Some(Word::Accepted(id)) => self.accepted(id),
                Some(Word::Passed(..)) => panic!("nobody asked for all matches"),
                Some(Word::Update(update)) => self.see(update),
            }
            self.look_elsewhere().await;
            if self.seen().has_closed {
                return Visit::Over;
            }
            if self.random.random_bool(self.restless) {
                return Visit::CutOff;
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
                let named = m.map_or(Sequence::ZERO, |m| m.sequence);
                assert_eq!(named, self.seen().sequence, "a heartbeat names what was delivered");
            }
            Update::Progress { .. } => panic!("nobody asked for progress"),
        }
    }

    /// A read is never behind an update that was delivered, whichever replica is asked.
    async fn look_elsewhere(&mut self) {
        let (Some(door), seen) = (self.doors.any(&mut self.random), self.seen()) else { return };
        let Some(id) = seen.match_id else { return };
        match door.house.watch.find(&CallerId::default_caller(), &Key::Match(id)).await {
            Ok(found) => assert!(found.sequence >= seen.sequence, "a read is behind a stream"),
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

/// A replica's answer to a call with a photo.
async fn call(
    house: Arc<House>,
    caller: Arc<Caller>,
    after: Sequence,
    words: mpsc::UnboundedSender<Word>,
) {
    let photo = caller.photo();
    let spec = caller.spec(house.worker.digest(&photo));
    let place = house.worker.photo_memory().reserve(photo.len()).expect("room");
    let photo = caller.plan.sends_photo.then(|| Photo::new(photo, place));
    match house.worker.admit(spec, photo).await {
        Ok(m) => {
            // Whoever has gone needn't hear it.
            let _ = words.send(Word::Accepted(m.id));
            watch(house, m.id, after, words).await;
        }
        Err(Refused::Journal(_) | Refused::Draining) => {
            let _ = words.send(Word::Refused);
        }
        Err(refused) => panic!("{}: {refused}", caller.plan.request_id),
    }
}

/// A replica's stream of one match.
async fn watch(
    house: Arc<House>,
    id: MatchId,
    after: Sequence,
    words: mpsc::UnboundedSender<Word>,
) {
    let mut follow = match house.watch.follow(id, after, false).await {
        Ok(follow) => follow,
        Err(ended) => return cut_off(&ended),
    };
    while let Some(update) = follow.next().await {
        match update {
            Ok(update) => {
                let _ = words.send(Word::Update(update));
            }
            Err(ended) => return cut_off(&ended),
        }
    }
}

/// A stream ends before its last update only for these reasons.
fn cut_off(ended: &Ended) {
    match ended {
        Ended::Draining | Ended::Journal(_) => {}
        Ended::Absent | Ended::Ahead { .. } | Ended::Expired | Ended::InvalidToken => {
            panic!("{ended}")
        }
    }
}

/// Cancels a match by any replica, as often as it takes.
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
                if house.worker.cancel(&CallerId::default_caller(), &key).await.is_ok() {
                    let _ = words.send(Word::Refused);
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

/// Somebody who follows all matches, by tokens, from replica to replica.
#[derive(Default)]
pub struct Everything(Mutex<Passed>);

#[derive(Default)]
struct Passed {
    token: Option<String>,
    updates: Vec<(MatchId, Sequence)>,
}

impl Everything {
    /// What was shown, in its order.
    pub fn updates(&self) -> Vec<(MatchId, Sequence)> {
        lock(&self.0).updates.clone()
    }

    /// Goes on after the last token, for ever.
    pub async fn follow(
        self: Arc<Self>,
        doors: Arc<Doors>,
        clock: Clock,
        mut random: StdRng,
        restless: f64,
    ) {
        loop {
            if let Some(door) = doors.any(&mut random) {
                let token = lock(&self.0).token.clone().unwrap_or("earliest".into());
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

    fn hear(&self, word: Word) {
        let Word::Passed(update, token) = word else { panic!("nobody asked for one match") };
        let mut passed = lock(&self.0);
        passed.token = Some(token);
        passed.updates.extend(update);
    }
}

/// A replica's stream of all matches.
async fn watch_all(house: Arc<House>, token: String, words: mpsc::UnboundedSender<Word>) {
    let (caller, filter) = (CallerId::default_caller(), Filter::default());
    let mut follow = match house.watch.follow_all(caller, filter, &token).await {
        Ok(follow) => follow,
        Err(ended) => return cut_off(&ended),
    };
    while let Some(update) = follow.next().await {
        let (shown, place) = match update {
            Ok(Update::Event(entry)) => {
                let recorded = &entry.recorded;
                (Some((recorded.match_id, recorded.sequence)), recorded.place())
            }
            Ok(Update::Heartbeat { place, .. }) => (None, place.expect("it names one")),
            Ok(Update::Progress { .. }) => panic!("nobody asked for progress"),
            Err(ended) => return cut_off(&ended),
        };
        let _ = words.send(Word::Passed(shown, house.watch.token(place)));
    }
}
