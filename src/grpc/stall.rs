//! Ends stalled streams: answers whose caller has read nothing for too long.
//!
//! The transport polls an answer for its next frame only after it has sent the previous one, and
//! not at all while the caller's flow-control window is full. So a stream can't notice by itself
//! that it has stalled; this guard checks all streams. It deliberately doesn't cut the connection,
//! which other calls may share. The caller reads the frames that were already sent, then the
//! status, and resumes.

use std::{
    collections::HashMap,
    mem,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, TryLockError,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tonic::{Status, body::Body};

use crate::{
    clock::Clock,
    domain::Timestamp,
    grpc::{call_log::CallRecord, status},
    sync::lock,
};

/// How many times all streams are checked within the time for which a frame may lie unread.
const LOOKS: u32 = 4;

/// The guard of all open answers. Cheap to clone: clones guard the same answers.
#[derive(Clone)]
pub struct StallGuard(Arc<StallGuardInner>);

struct StallGuardInner {
    stall: Duration,
    clock: Clock,
    open: Mutex<Open>,
    /// How many answers have ended as stalled.
    stalls: AtomicU64,
}

#[derive(Default)]
struct Open {
    made: u64,
    slots: HashMap<u64, Arc<Mutex<StreamSlot>>>,
}

impl Open {
    fn insert(&mut self, slot: Arc<Mutex<StreamSlot>>) -> u64 {
        self.made += 1;
        self.slots.insert(self.made, slot);
        self.made
    }
}

enum StreamSlot {
    Live {
        answer: Body,
        record: CallRecord,
        /// Since when a frame lies unread; `None` while the caller waits for the next frame.
        unread_since: Option<Timestamp>,
    },
    /// Ended as stalled, but the status hasn't been sent yet.
    Stalled,
    Over,
}

/// An answer that ends if it stalls.
struct GuardedBody {
    number: u64,
    readers: StallGuard,
    slot: Arc<Mutex<StreamSlot>>,
}

impl StallGuard {
    /// A guard of no answers yet. A frame may lie unread for `stall`.
    pub fn new(stall: Duration, clock: Clock) -> Self {
        Self(Arc::new(StallGuardInner {
            stall,
            clock,
            open: Mutex::default(),
            stalls: AtomicU64::new(0),
        }))
    }

    /// Guards the answer to a call: returns a body that ends if it stalls. An answer without a body
    /// is returned as it is.
    pub fn guard(&self, answer: Body, record: CallRecord) -> Body {
        if answer.is_end_stream() {
            return answer;
        }
        let slot = Arc::new(Mutex::new(StreamSlot::Live { answer, record, unread_since: None }));
        let number = self.lock().insert(Arc::clone(&slot));
        Body::new(GuardedBody { number, readers: self.clone(), slot })
    }

    /// The number of open answers.
    pub fn open(&self) -> usize {
        self.lock().slots.len()
    }

    /// How many answers have ended as stalled since the start.
    pub fn stalls(&self) -> u64 {
        self.0.stalls.load(Ordering::Relaxed)
    }

    /// Ends stalled answers until the future is dropped.
    pub async fn end_stalled_forever(self) {
        loop {
            self.0.clock.sleep(self.0.stall / LOOKS).await;
            self.end_stalled();
        }
    }

    fn end_stalled(&self) {
        let now = self.0.clock.now();
        let is_stuck =
            |since: &Option<Timestamp>| since.is_some_and(|t| t.after(self.0.stall) <= now);
        let mut gone = Vec::new();
        self.lock().slots.retain(|_, slot| {
            // An answer that is being polled at this moment isn't stuck.
            let Some(mut slot) = unless_busy(slot) else { return true };
            match &*slot {
                StreamSlot::Live { unread_since, record, .. } if is_stuck(unread_since) => {
                    record.note_stalled();
                    self.0.stalls.fetch_add(1, Ordering::Relaxed);
                    gone.push(mem::replace(&mut *slot, StreamSlot::Stalled));
                    false
                }
                _ => true,
            }
        });
        // Dropped only now, without the lock: destructors of answers take locks.
        drop(gone);
    }

    fn forget(&self, number: u64) {
        self.lock().slots.remove(&number);
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        lock(&self.0.open)
    }
}

fn unless_busy(slot: &Mutex<StreamSlot>) -> Option<MutexGuard<'_, StreamSlot>> {
    match slot.try_lock() {
        Ok(slot) => Some(slot),
        Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}

impl HttpBody for GuardedBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let mut slot = self.slot();
        match &mut *slot {
            StreamSlot::Live { answer, unread_since, .. } => {
                *unread_since = None;
                let frame = ready!(Pin::new(answer).poll_frame(context));
                if matches!(&frame, Some(Ok(frame)) if frame.is_data()) {
                    *unread_since = Some(self.readers.0.clock.now());
                } else {
                    *slot = StreamSlot::Over;
                    self.readers.forget(self.number);
                }
                Poll::Ready(frame)
            }
            StreamSlot::Stalled => {
                *slot = StreamSlot::Over;
                Poll::Ready(Some(stalled_trailers()))
            }
            StreamSlot::Over => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &*self.slot() {
            StreamSlot::Live { answer, .. } => answer.is_end_stream(),
            StreamSlot::Stalled => false,
            StreamSlot::Over => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

impl GuardedBody {
    fn slot(&self) -> MutexGuard<'_, StreamSlot> {
        lock(&self.slot)
    }
}

/// The trailers that end a stalled answer.
fn stalled_trailers() -> Result<Frame<Bytes>, Status> {
    let mut trailers = HeaderMap::new();
    status::updates_unread().add_header(&mut trailers)?;
    Ok(Frame::trailers(trailers))
}

impl Drop for GuardedBody {
    fn drop(&mut self) {
        self.readers.forget(self.number);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt, StreamExt, stream};
    use http_body_util::{BodyExt, StreamBody};

    use super::*;

    const STALL: Duration = Duration::from_secs(120);

    fn endless() -> Body {
        let piece = || Ok::<_, Status>(Frame::data(Bytes::from_static(b"update")));
        Body::new(StreamBody::new(stream::repeat_with(piece)))
    }

    fn next(answer: &mut Body) -> Option<Frame<Bytes>> {
        answer.frame().now_or_never().expect("a frame without waiting").map(Result::unwrap)
    }

    #[test]
    fn an_answer_ends_exactly_when_a_frame_was_unread_for_the_allowed_time() {
        let (clock, hand) = Clock::manual(Timestamp::default());
        let readers = StallGuard::new(STALL, clock);
        let record = CallRecord::default();
        let mut answer = readers.guard(endless(), record.clone());
        for _ in 0..3 {
            assert!(next(&mut answer).is_some_and(|frame| frame.is_data()));
            hand.advance(STALL - Duration::from_millis(1));
            readers.end_stalled();
            assert_eq!(readers.open(), 1, "it was read in time");
        }
        hand.advance(Duration::from_millis(1));
        assert!(!record.has_stalled());
        readers.end_stalled();
        assert_eq!(readers.open(), 0);
        assert!(record.has_stalled());
        let told = next(&mut answer).unwrap().into_trailers().unwrap();
        assert_eq!(told["grpc-status"], "8", "RESOURCE_EXHAUSTED");
        assert!(next(&mut answer).is_none() && answer.is_end_stream());
    }

    #[test]
    fn an_answer_without_a_body_is_not_guarded() {
        let (clock, _hand) = Clock::manual(Timestamp::default());
        let readers = StallGuard::new(STALL, clock);
        assert!(readers.guard(Body::empty(), CallRecord::default()).is_end_stream());
        assert_eq!(readers.open(), 0);
    }

    #[test]
    fn a_reader_that_waits_for_updates_is_never_stalled() {
        let (clock, hand) = Clock::manual(Timestamp::default());
        let readers = StallGuard::new(STALL, clock);
        let pieces = stream::pending::<Result<Frame<Bytes>, Status>>().boxed();
        let mut silent = readers.guard(Body::new(StreamBody::new(pieces)), CallRecord::default());
        assert!(silent.frame().now_or_never().is_none());
        hand.advance(100 * STALL);
        readers.end_stalled();
        assert_eq!(readers.open(), 1);
        drop(silent);
        assert_eq!(readers.open(), 0);
    }
}
