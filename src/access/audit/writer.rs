//! The writer of the audit file: a thread that chains records, appends them, and secures room.
//!
//! It is a thread and no task, since a file system may block for long, and the service goes on
//! meanwhile. It deliberately decides nothing about calls: it answers each record and each request
//! for room.

use std::{
    fmt, io, mem,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
};

use blake3::Hash;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::{
    access::audit::{
        AuditFailure, AuditRecord,
        file::{FileTail, Storage},
        record::LINE_BYTES_MAX,
    },
    clock::Clock,
    outage::Outage,
    sync::lock,
};

/// How many bytes of room are secured at a time.
const ROOM_BYTES: u64 = 1 << 20;
/// The most lines of one write.
const BATCH_LINES_MAX: usize = 512;
/// The most records that wait: more than the calls that end while a write is waited for. Beyond it,
/// records are lost.
const QUEUE_RECORDS_MAX: usize = 65_536;
/// The most calls that wait for room, which is nearly always there. Further ones are refused.
const RESERVING_MAX: usize = 4_096;

/// The answer to a record or to a request for room.
pub(super) type Answer<T> = oneshot::Receiver<Result<T, AuditFailure>>;
type Answering<T> = oneshot::Sender<Result<T, AuditFailure>>;

/// What the calls and the thread share.
pub(super) struct AuditQueue {
    state: Mutex<QueueState>,
    changed: Condvar,
    /// Cancelled when the thread has ended.
    pub(super) ended: CancellationToken,
}

#[derive(Default)]
struct QueueState {
    queue: Vec<Queued>,
    reserving: Vec<Answering<AuditSlot>>,
    /// How many lines room is reserved for.
    slots: u64,
    /// The bytes of room that lines can be reserved in. Zero while the file fails.
    room: u64,
    /// The thread doesn't answer: what it is given waits in vain.
    is_stuck: bool,
    is_asked_to_reopen: bool,
    is_closing: bool,
}

struct Queued {
    record: AuditRecord,
    slot: AuditSlot,
    answering: Answering<()>,
}

/// Room for one line, secured until it is written or this is dropped.
#[must_use]
#[derive(Default)]
pub struct AuditSlot(Option<Arc<AuditQueue>>);

impl fmt::Debug for AuditSlot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AuditSlot")
    }
}

impl Drop for AuditSlot {
    fn drop(&mut self) {
        if let Some(shared) = &self.0 {
            shared.lock().slots -= 1;
        }
    }
}

impl AuditQueue {
    pub(super) fn new() -> Arc<Self> {
        let ended = CancellationToken::new();
        Arc::new(Self { state: Mutex::default(), changed: Condvar::new(), ended })
    }

    fn lock(&self) -> MutexGuard<'_, QueueState> {
        lock(&self.state)
    }

    /// Reserves room for a line that is there already.
    pub(super) fn try_reserve(self: &Arc<Self>) -> Option<AuditSlot> {
        let mut state = self.lock();
        state.take_slot().then(|| AuditSlot(Some(Arc::clone(self))))
    }

    /// Asks the thread for room.
    pub(super) fn reserve(&self) -> Result<Answer<AuditSlot>, AuditFailure> {
        let mut state = self.lock();
        state.check()?;
        if state.reserving.len() >= RESERVING_MAX {
            return Err(AuditFailure::Stuck);
        }
        let (answering, answer) = oneshot::channel();
        state.reserving.push(answering);
        self.changed.notify_one();
        Ok(answer)
    }

    /// Hands a record to the thread. A thread that doesn't answer isn't waited for, and writes the
    /// record when it does again.
    pub(super) fn write(
        &self,
        record: AuditRecord,
        slot: AuditSlot,
    ) -> Result<Answer<()>, AuditFailure> {
        let (answering, answer) = oneshot::channel();
        let queued = Queued { record, slot, answering };
        let mut state = self.lock();
        let checked = state.check();
        if state.is_closing || state.queue.len() >= QUEUE_RECORDS_MAX {
            // A slot that is dropped takes the lock.
            drop(state);
            drop(queued);
            return Err(checked.err().unwrap_or(AuditFailure::Stuck));
        }
        state.queue.push(queued);
        self.changed.notify_one();
        checked.map(|()| answer)
    }

    /// Notes that the thread has not answered in time: until it does, calls don't wait for it.
    pub(super) fn note_stuck(&self) {
        self.lock().is_stuck = true;
        // It may have answered at this very moment.
        self.changed.notify_one();
    }

    /// Asks the thread to open what the path names now.
    pub(super) fn reopen(&self) {
        self.lock().is_asked_to_reopen = true;
        self.changed.notify_one();
    }

    /// Asks the thread to write what waits, and to end.
    pub(super) fn close(&self) {
        self.lock().is_closing = true;
        self.changed.notify_one();
    }
}

impl QueueState {
    fn check(&self) -> Result<(), AuditFailure> {
        match (self.is_closing, self.is_stuck) {
            (true, _) => Err(AuditFailure::Closed),
            (false, true) => Err(AuditFailure::Stuck),
            (false, false) => Ok(()),
        }
    }

    fn take_slot(&mut self) -> bool {
        let fits = self.check().is_ok() && self.room >= room_for(self.slots + 1);
        self.slots += u64::from(fits);
        fits
    }

    fn is_idle(&self) -> bool {
        self.queue.is_empty()
            && self.reserving.is_empty()
            && !self.is_asked_to_reopen
            && !self.is_stuck
            && !self.is_closing
    }
}

const fn room_for(lines: u64) -> u64 {
    lines.saturating_mul(LINE_BYTES_MAX as u64)
}

/// The thread's own part.
pub(super) struct AuditWriter {
    shared: Arc<AuditQueue>,
    storage: Box<dyn Storage>,
    chain: ChainEnd,
    terms: AuditWriterTerms,
    ground: Ground,
    /// A write has failed, and none has worked since.
    has_failed: bool,
    /// A rotation has failed: nothing is written until the path can be opened.
    must_reopen: bool,
}

/// What a writer is given.
pub(super) struct AuditWriterTerms {
    /// The id that tells this process from others.
    pub(super) replica: String,
    pub(super) clock: Clock,
    pub(super) outage: Outage,
    /// Whether calls reserve room before they are handled.
    pub(super) reserves: bool,
}

/// Why a line that is reserved now can be written later.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ground {
    /// There is no reason yet: the file was just opened, or it fails.
    Unknown,
    /// Room is secured on the disk.
    Secured,
    /// No room can be secured in this kind of file, and it has taken a line break.
    Proven,
}

/// The end of the chain of lines.
#[derive(Default)]
struct ChainEnd {
    /// The hash of the last line.
    previous: Option<Hash>,
    /// Whether the last line lacks its line break.
    is_torn: bool,
}

impl ChainEnd {
    /// Continues after the last line of a file that was opened. An empty file continues the chain
    /// of the file before it.
    fn follow(&mut self, tail: &FileTail) {
        self.is_torn = tail.is_torn;
        if let Some(line) = &tail.last_line {
            self.previous = Some(blake3::hash(line));
        }
    }
}

/// What the thread has to do next.
struct Round {
    queue: Vec<Queued>,
    reserving: Vec<Answering<AuditSlot>>,
    reopens: bool,
    closes: bool,
}

impl AuditWriter {
    pub(super) fn new(
        shared: Arc<AuditQueue>,
        storage: Box<dyn Storage>,
        tail: &FileTail,
        terms: AuditWriterTerms,
    ) -> Self {
        let mut chain = ChainEnd::default();
        chain.follow(tail);
        let ground = Ground::Unknown;
        Self { shared, storage, chain, terms, ground, has_failed: false, must_reopen: false }
    }

    /// Writes until it is told to close.
    pub(super) fn run(mut self) {
        let _ended = self.shared.ended.clone().drop_guard();
        loop {
            let round = self.next_round();
            let closes = round.closes;
            self.serve(round);
            if closes {
                break;
            }
        }
        if let Err(error) = self.storage.settle() {
            warn!(%error, "audit file not synced at the end");
        }
        // The lock ends before the end is told.
        drop(self.storage);
    }

    fn next_round(&self) -> Round {
        let mut state = self.shared.lock();
        while state.is_idle() {
            let woken = self.shared.changed.wait(state);
            state = woken.unwrap_or_else(PoisonError::into_inner);
        }
        state.is_stuck = false;
        Round {
            queue: mem::take(&mut state.queue),
            reserving: mem::take(&mut state.reserving),
            reopens: mem::take(&mut state.is_asked_to_reopen),
            closes: state.is_closing,
        }
    }

    fn serve(&mut self, round: Round) {
        let Round { queue, reserving, reopens, closes: _ } = round;
        let ready = self.follow_path(reopens);
        if let Err(failure) = ready {
            queue.into_iter().for_each(|queued| self.refuse(queued.answering, &failure));
            return self.grant(reserving, Err(failure));
        }
        let mut secured = match self.terms.reserves {
            true => self.secure(reserving.len() as u64),
            false => Ok(()),
        };
        let mut queue = queue.into_iter();
        while queue.len() > 0 {
            let written = self.write_batch(queue.by_ref().take(BATCH_LINES_MAX).collect());
            secured = secured.and(written);
        }
        self.grant(reserving, secured);
    }

    /// Opens the file that the path names now, if it is another one.
    fn follow_path(&mut self, is_asked: bool) -> Result<(), AuditFailure> {
        if !is_asked && !self.must_reopen && !self.storage.is_moved() {
            return Ok(());
        }
        match self.storage.reopen() {
            Ok(None) => {}
            Ok(Some(tail)) => {
                self.chain.follow(&tail);
                self.ground = Ground::Unknown;
            }
            Err(error) => {
                (self.must_reopen, self.ground) = (true, Ground::Unknown);
                return Err(AuditFailure::of(&error));
            }
        }
        self.must_reopen = false;
        Ok(())
    }

    /// Sees to it that the lines that are reserved, and `more` lines, can be written later.
    fn secure(&mut self, more: u64) -> Result<(), AuditFailure> {
        let needed = room_for(self.shared.lock().slots + more);
        let room = self.room();
        if room >= needed.saturating_add(ROOM_BYTES / 4) {
            return Ok(());
        }
        match self.secure_room(needed + ROOM_BYTES) {
            // What was secured before is used up first.
            Err(_) if self.ground == Ground::Secured && room >= needed => Ok(()),
            Err(error) => {
                self.ground = Ground::Unknown;
                Err(AuditFailure::of(&error))
            }
            Ok(()) => Ok(()),
        }
    }

    fn secure_room(&mut self, bytes: u64) -> io::Result<()> {
        let has_room = self.storage.secure(bytes)?.is_some();
        if !has_room || self.has_failed {
            self.prove()?;
        }
        self.ground = if has_room { Ground::Secured } else { Ground::Proven };
        Ok(())
    }

    /// Appends a line break, which ends a torn line and is otherwise an empty line.
    fn prove(&mut self) -> io::Result<()> {
        self.append_all(b"\n").map_err(|(_, error)| error)?;
        (self.chain.is_torn, self.has_failed) = (false, false);
        Ok(())
    }

    /// The bytes of room in which lines can be reserved.
    fn room(&self) -> u64 {
        match self.ground {
            Ground::Unknown => 0,
            Ground::Secured => self.storage.room(),
            Ground::Proven => u64::MAX,
        }
    }

    /// Writes some records at once, and answers each.
    fn write_batch(&mut self, batch: Vec<Queued>) -> Result<(), AuditFailure> {
        let lines = self.lines(&batch);
        let appended = self.append_all(&lines.text);
        let written = appended.as_ref().map_or_else(|(written, _)| *written, |()| lines.text.len());
        let whole = self.take_over(&lines, written);
        let outcome = appended.map_err(|(_, error)| AuditFailure::of(&error));
        self.has_failed = outcome.is_err();
        if outcome.is_err() {
            self.ground = Ground::Unknown;
        } else {
            self.terms.outage.worked();
        }
        // Before the slots are given back: their lines have used the room up.
        self.shared.lock().room = self.room();
        for (at, Queued { answering, slot, record: _ }) in batch.into_iter().enumerate() {
            match &outcome {
                Err(failure) if at >= whole => self.refuse(answering, failure),
                Ok(()) | Err(_) => drop(answering.send(Ok(()))),
            }
            drop(slot);
        }
        outcome
    }

    /// The lines of some records, chained.
    fn lines(&self, batch: &[Queued]) -> BatchLines {
        let mut lines =
            BatchLines { text: Vec::with_capacity(512 * batch.len()), ends: Vec::new() };
        if self.chain.is_torn {
            lines.text.push(b'\n');
        }
        let mut previous = self.chain.previous;
        for queued in batch {
            let start = lines.text.len();
            let hex = previous.map(|hash| hash.to_hex());
            let hex = hex.as_ref().map_or("", |hex| hex.as_str());
            let now = self.terms.clock.now();
            queued.record.write_line(&mut lines.text, now, &self.terms.replica, hex);
            let hash = blake3::hash(&lines.text[start..]);
            previous = Some(hash);
            lines.text.push(b'\n');
            lines.ends.push((lines.text.len(), hash));
        }
        lines
    }

    /// Continues the chain after the lines that were written as a whole, whose number it returns.
    /// A part of a line is cut off again; where that fails, it is a torn line.
    fn take_over(&mut self, lines: &BatchLines, written: usize) -> usize {
        if written > 0 {
            self.chain.is_torn = false;
        }
        let whole = lines.ends.iter().take_while(|(end, _)| *end <= written).count();
        let mut kept = written.min(usize::from(lines.text.first() == Some(&b'\n')));
        if let Some((end, hash)) = whole.checked_sub(1).map(|last| lines.ends[last]) {
            self.chain.previous = Some(hash);
            kept = end;
        }
        let part = &lines.text[kept..written];
        if !part.is_empty() && self.storage.cut(part.len()).is_err() {
            self.chain.previous = Some(blake3::hash(part));
            self.chain.is_torn = true;
        }
        whole
    }

    /// Appends all bytes, or returns how many were appended and why not all.
    fn append_all(&mut self, bytes: &[u8]) -> Result<(), (usize, io::Error)> {
        let mut written = 0;
        while written < bytes.len() {
            match self.storage.append(&bytes[written..]) {
                Ok(0) => return Err((written, io::ErrorKind::WriteZero.into())),
                Ok(more) => written += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err((written, error)),
            }
        }
        Ok(())
    }

    /// Answers the calls that wait for room.
    fn grant(&mut self, reserving: Vec<Answering<AuditSlot>>, secured: Result<(), AuditFailure>) {
        let mut state = self.shared.lock();
        state.room = self.room();
        if secured.is_ok() {
            state.slots += reserving.len() as u64;
        }
        drop(state);
        for answering in reserving {
            match &secured {
                // A slot that its call no longer waits for is dropped, and given back.
                Ok(()) => drop(answering.send(Ok(AuditSlot(Some(Arc::clone(&self.shared)))))),
                Err(failure) => self.refuse(answering, failure),
            }
        }
    }

    fn refuse<T>(&self, answering: Answering<T>, failure: &AuditFailure) {
        self.terms.outage.failed(failure);
        // The call may be gone.
        let _ = answering.send(Err(failure.clone()));
    }
}

/// The lines of a batch.
struct BatchLines {
    text: Vec<u8>,
    /// Where each line ends, its line break included, and the hash of its text.
    ends: Vec<(usize, Hash)>,
}
