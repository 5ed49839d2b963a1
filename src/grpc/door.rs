//! Judges a request by its declared length before it is read, and makes room for its photo.
//!
//! gRPC reads a whole message before a handler sees it. So room on the photo shelf is taken while
//! the body comes in, and a message that can't be taken is refused in our words, not in the
//! transport's.

use std::{
    collections::VecDeque,
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body as HttpBody, Frame, SizeHint};
use tonic::{Status, body::Body, server::NamedService};
use tower::Service;

use crate::{
    domain::photo,
    grpc::status,
    worker::shelf::{Place, Shelf},
};

/// The largest request with a photo: the photo and, amply, every other field at its limit.
pub const PHOTO_REQUEST_BYTES_MAX: usize = photo::BYTES_MAX + 256 * 1024;
/// The largest request without one.
const REQUEST_BYTES_MAX: usize = 256 * 1024;
/// A gRPC message starts with a compression flag and its length, big-endian.
const PREFIX_BYTES: usize = 5;

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
    shelf: Shelf,
}

impl<S> Door<S> {
    /// Puts a service behind the door.
    pub const fn new(inner: S, shelf: Shelf) -> Self {
        Self { inner, shelf }
    }
}

impl<S: NamedService> NamedService for Door<S> {
    const NAME: &'static str = S::NAME;
}

impl<S> Service<Request<Body>> for Door<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> S::Future {
        let room = Room::default();
        let brings_photo =
            matches!(request.uri().path().rsplit('/').next(), Some("RunMatch" | "CreateMatch"));
        let (mut parts, body) = request.into_parts();
        parts.extensions.insert(room.clone());
        let gate = Gate {
            body,
            stage: Stage::Prefix,
            held: VecDeque::new(),
            shelf: brings_photo.then(|| self.shelf.clone()),
            room,
        };
        self.inner.call(Request::from_parts(parts, Body::new(gate)))
    }
}

/// A request's body, stopped at its prefix until there is room for the rest.
struct Gate {
    body: Body,
    stage: Stage,
    /// What was read to see the prefix, to be handed on.
    held: VecDeque<Bytes>,
    /// Where room is taken; none for requests that bring no photo.
    shelf: Option<Shelf>,
    room: Room,
}

enum Stage {
    /// The prefix hasn't come in whole.
    Prefix,
    /// Room is waited for.
    Waiting(Pin<Box<dyn Future<Output = Place> + Send>>),
    /// Everything is handed on as it comes.
    Open,
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
                        None => Pin::new(&mut self.body).poll_frame(context),
                    };
                }
                Stage::Waiting(place) => {
                    let place = ready!(place.as_mut().poll(context));
                    self.room.put(place);
                    self.stage = Stage::Open;
                }
                Stage::Prefix => match ready!(Pin::new(&mut self.body).poll_frame(context)) {
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
    /// Takes bytes of the prefix, and judges it once it is whole.
    fn read(&mut self, bytes: Bytes) -> Result<(), Status> {
        self.held.push_back(bytes);
        let Some(length) = self.declared_length() else {
            return Ok(());
        };
        self.stage = match &self.shelf {
            Some(_) if length > PHOTO_REQUEST_BYTES_MAX => return Err(status::photo_too_large()),
            None if length > REQUEST_BYTES_MAX => {
                return Err(status::request_too_large(REQUEST_BYTES_MAX));
            }
            Some(shelf) => {
                let shelf = shelf.clone();
                Stage::Waiting(Box::pin(async move { shelf.reserve(length).await }))
            }
            None => Stage::Open,
        };
        Ok(())
    }

    fn declared_length(&self) -> Option<usize> {
        let mut prefix = self.held.iter().flatten().copied();
        let [_flag, a, b, c, d] = [(); PREFIX_BYTES].map(|()| prefix.next());
        usize::try_from(u32::from_be_bytes([a?, b?, c?, d?])).ok()
    }
}
