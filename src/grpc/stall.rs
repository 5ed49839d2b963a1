//! Ends answers that nobody reads: what isn't taken for long isn't kept ready any longer.
//!
//! The transport asks an answer for its next piece once the last one is on its way, and leaves it
//! alone while the caller makes no room. So a stream can't notice by itself that it is stuck;
//! somebody else has to look. What this deliberately does not do: cut the connection, which others
//! may share. The reader finds what was on its way, then why there is no more, and resumes.

use std::{
    collections::HashMap,
    mem,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError},
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
};

/// How often in the allowed time it is looked whether somebody still reads.
const LOOKS: u32 = 4;

/// The answers that are being read. Cheap to clone; clones share them.
#[derive(Clone)]
pub struct StallGuard(Arc<StallGuardInner>);

struct StallGuardInner {
    stall: Duration,
    clock: Clock,
    open: Mutex<Open>,
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
        /// Since when a piece waits to be on its way; none while the reader waits for one.
        unread_since: Option<Timestamp>,
    },
    /// Let go. Its reader hasn't been told yet.
    Stalled,
    Over,
}

/// An answer that ends if it isn't taken.
struct GuardedBody {
    number: u64,
    readers: StallGuard,
    slot: Arc<Mutex<StreamSlot>>,
}

impl StallGuard {
    /// None yet. One may be stuck for so long.
    pub fn new(stall: Duration, clock: Clock) -> Self {
        Self(Arc::new(StallGuardInner { stall, clock, open: Mutex::default() }))
    }

    /// Looks after the answer to a call.
    pub fn guard(&self, answer: Body, record: CallRecord) -> Body {
        if answer.is_end_stream() {
            return answer;
        }
        let slot = Arc::new(Mutex::new(StreamSlot::Live { answer, record, unread_since: None }));
        let number = self.lock().insert(Arc::clone(&slot));
        Body::new(GuardedBody { number, readers: self.clone(), slot })
    }

    /// How many are being read.
    pub fn open(&self) -> usize {
        self.lock().slots.len()
    }

    /// Lets go of those that are stuck, for ever.
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
            // Who is being read at this moment isn't stuck.
            let Some(mut slot) = unless_busy(slot) else { return true };
            match &*slot {
                StreamSlot::Live { unread_since, record, .. } if is_stuck(unread_since) => {
                    record.lies_unread();
                    gone.push(mem::replace(&mut *slot, StreamSlot::Stalled));
                    false
                }
                _ => true,
            }
        });
        // Answers are dropped under no lock of ours: they have their own to take.
        drop(gone);
    }

    fn forget(&self, number: u64) {
        self.lock().slots.remove(&number);
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        // Nothing that holds this lock can panic half-way, so a poisoned one is sound.
        self.0.open.lock().unwrap_or_else(PoisonError::into_inner)
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
                Poll::Ready(Some(goodbye()))
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
        // Only an answer that panicked poisons it, and then it is over with its call.
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The end of an answer, as gRPC has it behind the last message.
fn goodbye() -> Result<Frame<Bytes>, Status> {
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
        answer.frame().now_or_never().expect("it doesn't wait").map(Result::unwrap)
    }

    #[test]
    fn an_answer_is_ended_once_a_piece_of_it_lay_unread_for_just_so_long() {
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
        assert!(!record.is_unread());
        readers.end_stalled();
        assert_eq!(readers.open(), 0);
        assert!(record.is_unread());
        let told = next(&mut answer).unwrap().into_trailers().unwrap();
        assert_eq!(told["grpc-status"], "8", "RESOURCE_EXHAUSTED");
        assert!(next(&mut answer).is_none() && answer.is_end_stream());
    }

    #[test]
    fn an_answer_without_a_body_is_not_looked_after() {
        let (clock, _hand) = Clock::manual(Timestamp::default());
        let readers = StallGuard::new(STALL, clock);
        assert!(readers.guard(Body::empty(), CallRecord::default()).is_end_stream());
        assert_eq!(readers.open(), 0);
    }

    #[test]
    fn a_reader_that_waits_is_not_stuck_however_long() {
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
