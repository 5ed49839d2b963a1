//! Judges a request by its declared length before it is read, and makes room for its photo.
//!
//! gRPC reads a whole message before a handler sees it. So room on the photo shelf is taken while
//! the body comes in, and a message that can't be taken is refused in our words, not in the
//! transport's. Nobody is waited for without end: a body that stops coming gives its room back.

use std::{
    collections::VecDeque,
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::Sleep;
use tonic::{Status, body::Body, server::NamedService};
use tower::Service;

use crate::{
    domain::{Limit, photo},
    grpc::{beside::Beside, status, unread::Readers},
    worker::{Worker, shelf::Place},
};

/// The largest request with a photo: the photo and, amply, every other field at its limit.
pub const PHOTO_REQUEST_BYTES_MAX: usize = photo::BYTES_MAX + REQUEST_BYTES_MAX;
/// The largest request without one, and the most that there may be beside one.
const REQUEST_BYTES_MAX: usize = 256 * 1024;
/// A gRPC message starts with a compression flag and its length, big-endian.
const PREFIX_BYTES: usize = 5;

/// How patient the door is.
#[derive(Clone, Copy, Debug)]
struct Patience {
    /// In each such time a body has to bring [`PACE_BYTES`], or its rest.
    pace: Duration,
    /// How long a request waits for room: reading it, if only to find that it repeats a known
    /// match, takes some, and callers had better come back than hang.
    room: Duration,
}

const PATIENCE: Patience =
    Patience { pace: Duration::from_secs(20), room: Duration::from_secs(10) };
/// 100 kbit/s: slower than any back end's line, and a photo of 10 MiB may take 14 minutes. Without
/// it, a body that trickles would hold its room for as long as it likes.
const PACE_BYTES: usize = 256 * 1024;

/// The room taken for a request's photo, for the handler to take over.
#[derive(Clone, Default)]
pub struct Room(Arc<Mutex<Option<Place>>>);

impl Room {
    /// Takes the room over.
    pub fn take(&self) -> Option<Place> {
        // Nothing that holds this lock can panic half-way, so a poisoned one is sound.
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn put(&self, place: Place) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(place);
    }
}

/// A service behind the door.
#[derive(Clone)]
pub struct Door<S> {
    inner: S,
    worker: Worker,
    readers: Readers,
}

impl<S> Door<S> {
    /// Puts a service behind the door.
    pub const fn new(inner: S, worker: Worker, readers: Readers) -> Self {
        Self { inner, worker, readers }
    }
}

impl<S: NamedService> NamedService for Door<S> {
    const NAME: &'static str = S::NAME;
}

impl<S> Service<Request<Body>> for Door<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Waiting<Result<S::Response, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let room = Room::default();
        let brings_photo =
            matches!(request.uri().path().rsplit('/').next(), Some("RunMatch" | "CreateMatch"));
        let keeper = brings_photo.then(|| Keeper::of(&self.worker));
        let (mut parts, body) = request.into_parts();
        parts.extensions.insert(room.clone());
        let gate = Gate::new(body, keeper, room, PATIENCE);
        let called = self.inner.call(Request::from_parts(parts, Body::new(gate)));
        let readers = self.readers.clone();
        Box::pin(async move { Ok(called.await?.map(|answer| readers.keep(answer))) })
    }
}

type Waiting<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// What the door asks the worker for where a photo comes in.
struct Keeper {
    reserve: Box<dyn Fn(usize) -> Waiting<Place> + Send>,
    /// Resolves once new matches are refused: then no photo is waited for any more.
    draining: Waiting<()>,
}

impl Keeper {
    fn of(worker: &Worker) -> Self {
        let shelf = worker.shelf().clone();
        let reserve = move |bytes| -> Waiting<Place> {
            let shelf = shelf.clone();
            Box::pin(async move { shelf.reserve(bytes).await })
        };
        Self { reserve: Box::new(reserve), draining: Box::pin(worker.draining()) }
    }
}

/// A request's body, stopped at its prefix until there is room for the rest.
struct Gate {
    body: Body,
    stage: Stage,
    /// What was read to see the prefix, to be handed on.
    held: VecDeque<Bytes>,
    read_bytes: usize,
    /// How many bytes there may be: the prefix and its one message. Known with the prefix.
    bytes_max: usize,
    /// Who has room; nobody for requests that bring no photo.
    keeper: Option<Keeper>,
    /// What comes beside the photo.
    beside: Beside,
    room: Room,
    patience: Patience,
    pace: Pace,
}

enum Stage {
    /// The prefix hasn't come in whole.
    Prefix,
    /// Room is waited for.
    Waiting(Waiting<Option<Place>>),
    /// Everything is handed on as it comes.
    Open,
}

/// Watches that a body keeps coming. Its timer runs only while the body is waited for.
#[derive(Default)]
struct Pace {
    timer: Option<Pin<Box<Sleep>>>,
    came_bytes: usize,
}

impl HttpBody for Gate {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        loop {
            match &mut self.stage {
                Stage::Open => {
                    return match self.held.pop_front() {
                        Some(bytes) => Poll::Ready(Some(Ok(Frame::data(bytes)))),
                        None => self.poll_body(context),
                    };
                }
                Stage::Waiting(place) => {
                    let place = ready!(place.as_mut().poll(context));
                    self.room.put(place.ok_or_else(|| status::overloaded(Limit::PhotoMemory))?);
                    // Nothing could come meanwhile.
                    self.pace = Pace::default();
                    self.stage = Stage::Open;
                }
                Stage::Prefix => match ready!(self.poll_body(context)) {
                    Some(Ok(frame)) => match frame.into_data() {
                        Ok(bytes) => self.read(bytes)?,
                        Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                    },
                    // Cut off in the prefix, or empty: the decoder has its words for that.
                    Some(Err(failure)) => return Poll::Ready(Some(Err(failure))),
                    None => self.stage = Stage::Open,
                },
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.held.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

impl Gate {
    fn new(body: Body, keeper: Option<Keeper>, room: Room, patience: Patience) -> Self {
        Self {
            body,
            stage: Stage::Prefix,
            held: VecDeque::new(),
            read_bytes: 0,
            bytes_max: usize::MAX,
            keeper,
            beside: Beside::new(PREFIX_BYTES),
            room,
            patience,
            pace: Pace::default(),
        }
    }

    /// The next frame, or why it isn't waited for any more.
    fn poll_body(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        match Pin::new(&mut self.body).poll_frame(context) {
            Poll::Ready(Some(Ok(frame))) => {
                let counted = frame.data_ref().map_or(Ok(()), |bytes| self.look_at(bytes));
                Poll::Ready(Some(counted.map(|()| frame)))
            }
            Poll::Ready(end) => Poll::Ready(end),
            Poll::Pending if self.is_draining(context) => {
                Poll::Ready(Some(Err(status::draining())))
            }
            Poll::Pending if self.pace.is_lost(self.patience.pace, context) => {
                Poll::Ready(Some(Err(stalled(self.patience.pace))))
            }
            Poll::Pending => Poll::Pending,
        }
    }

    fn look_at(&mut self, bytes: &Bytes) -> Result<(), Status> {
        if self.keeper.is_some() && self.beside.see(bytes) > REQUEST_BYTES_MAX {
            return Err(status::too_much_beside_the_photo(REQUEST_BYTES_MAX));
        }
        self.count(bytes.len())
    }

    /// There is room for one message, and no more than one is read.
    fn count(&mut self, bytes: usize) -> Result<(), Status> {
        self.pace.came_bytes += bytes;
        self.read_bytes += bytes;
        if self.read_bytes > self.bytes_max { Err(status::request_too_long()) } else { Ok(()) }
    }

    fn is_draining(&mut self, context: &mut Context<'_>) -> bool {
        let keeper = self.keeper.as_mut();
        keeper.is_some_and(|keeper| keeper.draining.as_mut().poll(context).is_ready())
    }

    /// Takes bytes of the prefix, and judges it once it is whole.
    fn read(&mut self, bytes: Bytes) -> Result<(), Status> {
        self.held.push_back(bytes);
        let Some(length) = self.declared_length() else {
            return Ok(());
        };
        self.stage = match &self.keeper {
            Some(_) if length > PHOTO_REQUEST_BYTES_MAX => return Err(status::photo_too_large()),
            None if length > REQUEST_BYTES_MAX => {
                return Err(status::request_too_large(REQUEST_BYTES_MAX));
            }
            Some(keeper) => {
                let place = tokio::time::timeout(self.patience.room, (keeper.reserve)(length));
                Stage::Waiting(Box::pin(async move { place.await.ok() }))
            }
            None => Stage::Open,
        };
        self.bytes_max = PREFIX_BYTES + length;
        self.count(0)
    }

    fn declared_length(&self) -> Option<usize> {
        let mut prefix = self.held.iter().flatten().copied();
        let [_flag, a, b, c, d] = [(); PREFIX_BYTES].map(|()| prefix.next());
        usize::try_from(u32::from_be_bytes([a?, b?, c?, d?])).ok()
    }
}

/// The request stopped coming.
fn stalled(within: Duration) -> Status {
    status::call_timed_out(format!("the request stopped coming: too little of it in {within:?}"))
}

impl Pace {
    /// Whether the time is up and too little came in it. To be asked while nothing comes.
    fn is_lost(&mut self, within: Duration, context: &mut Context<'_>) -> bool {
        loop {
            let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(within)));
            match timer.as_mut().poll(context) {
                Poll::Pending => return false,
                Poll::Ready(()) if self.came_bytes < PACE_BYTES => return true,
                Poll::Ready(()) => *self = Self::default(),
            }
        }
    }
}

#[cfg(test)]
mod tests;
