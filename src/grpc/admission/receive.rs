//! Receives the request of a call, message by message, within its limits and its timeout.
//!
//! A single request is received completely before its handler sees it: so a refusal is an ordinary
//! answer, and a stalled call holds only the bytes that it sent. The receiver deliberately never
//! stops reading to wait for memory: unread bytes would fill the flow-control window that the other
//! calls of the connection share.

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use bytes::{Buf, Bytes};
use http_body_util::BodyExt;
use tokio_util::sync::CancellationToken;
use tonic::{Status, body::Body};

use crate::{
    clock::Clock,
    domain::{RequestId, TenantId, Timestamp},
    grpc::{
        admission::{
            content::MessageContent,
            head::Encoding,
            json::JsonContent,
            message::{
                IncomingMessage,
                MessageLength::{Announced, AtMost},
                MessagePhoto, PHOTO_REQUEST_BYTES_MAX, REQUEST_BYTES_MAX, Whole,
            },
            min_rate::{MIN_RATE_PERIOD, MinRate},
            share::{ConnectionShare, Lease},
        },
        second_door::JsonDecoder,
        status,
    },
    worker::photo_memory::PhotoMemory,
};

/// A gRPC message starts with a compression flag and its length, big-endian.
pub const PREFIX_BYTES: usize = 5;
/// How long a request without a photo may still arrive during a shutdown: such calls are served to
/// their end, and their bytes are nearly always in flight. A request with a photo gets no time.
const DRAIN_GRACE: Duration = Duration::from_secs(1);

type Lookup = Pin<Box<dyn Future<Output = Result<bool, Status>> + Send>>;

/// The limits and collaborators of receivers. Cheap to clone.
#[derive(Clone)]
pub struct ReceiveLimits {
    /// The clock of all timeouts.
    pub clock: Clock,
    /// How long the body of a request may take to arrive, or a stream may be without a message.
    pub timeout: Duration,
    /// Cancelled when the server begins to shut down.
    pub draining: CancellationToken,
    /// The memory of all photos.
    pub photo_memory: PhotoMemory,
    /// Looks up whether a tenant's request id names a match.
    pub is_known_match: Arc<dyn Fn(TenantId, RequestId) -> Lookup + Send + Sync>,
}

/// The form of a request's messages.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MessageForm {
    /// The encoding of the messages whose compression flag is set.
    pub encoding: Encoding,
    /// Whether the messages may hold a photo.
    pub may_have_photo: bool,
}

/// A request's body that is being received.
pub struct Receiver {
    terms: ReceiveLimits,
    share: ConnectionShare,
    tenant: TenantId,
    form: MessageForm,
    body: Body,
    /// Bytes that have arrived and aren't consumed yet.
    rest: Bytes,
    due: Timestamp,
    /// The minimum data rate of a request that may hold a photo. Other requests hold little memory,
    /// so the timeout is enough.
    rate: Option<MinRate>,
    is_draining: bool,
}

/// The decoded prefix of a message.
struct Prefix {
    is_compressed: bool,
    length: usize,
}

impl Receiver {
    /// Starts the timeout of the body.
    pub fn new(
        terms: ReceiveLimits,
        share: ConnectionShare,
        tenant: TenantId,
        form: MessageForm,
        body: Body,
    ) -> Self {
        let now = terms.clock.now();
        let rate = form.may_have_photo.then(|| MinRate::new(now));
        let due = now.after(terms.timeout);
        let rest = Bytes::new();
        Self { terms, share, tenant, form, body, rest, due, rate, is_draining: false }
    }

    /// Receives a request of one message, up to its end. The call itself already uses `base_bytes`
    /// of the lease.
    ///
    /// # Errors
    /// The status with which the call is refused.
    pub async fn single(
        mut self: Box<Self>,
        lease: Lease,
        base_bytes: usize,
    ) -> Result<Whole, Status> {
        let Some(prefix) = self.prefix().await? else {
            return Err(status::undecodable("there is no message"));
        };
        let whole = self.message(&prefix, lease, base_bytes).await?;
        while self.rest.is_empty() {
            match self.next_bytes().await? {
                Some(bytes) => self.rest = bytes,
                None => return Ok(whole),
            }
        }
        Err(status::request_too_long())
    }

    /// Receives a request of JSON, up to its end: its body is one text, without gRPC's framing. The
    /// call itself already uses `base_bytes` of the lease.
    ///
    /// # Errors
    /// The status with which the call is refused.
    pub async fn json(
        mut self: Box<Self>,
        decoder: JsonDecoder,
        lease: Lease,
        base_bytes: usize,
    ) -> Result<Whole, Status> {
        let message =
            IncomingMessage::new(AtMost(PHOTO_REQUEST_BYTES_MAX), lease, base_bytes, self.photo());
        let mut content = MessageContent::Json(Box::new(JsonContent::new(message, decoder)));
        let mut lookup = None;
        while let Some(piece) = self.next_bytes_or_refusal(&mut content, &mut lookup).await? {
            content.append(&piece)?;
            lookup = self.lookup(&mut content).or(lookup);
        }
        Ok(content.end()?.whole())
    }

    /// Receives the next message of a stream; `None` at its end. A stream may be silent for as long
    /// as a single request may take.
    ///
    /// # Errors
    /// The status with which the stream is refused.
    pub async fn next(&mut self, lease: Lease, base_bytes: usize) -> Result<Option<Whole>, Status> {
        if !self.is_draining {
            self.due = self.terms.clock.now().after(self.terms.timeout);
        }
        match self.prefix().await? {
            Some(prefix) => self.message(&prefix, lease, base_bytes).await.map(Some),
            None => Ok(None),
        }
    }

    async fn prefix(&mut self) -> Result<Option<Prefix>, Status> {
        let mut prefix = [0; PREFIX_BYTES];
        let mut has = 0;
        while has < PREFIX_BYTES {
            if self.rest.is_empty() {
                match self.next_bytes().await? {
                    Some(bytes) => self.rest = bytes,
                    None if has == 0 => return Ok(None),
                    None => return Err(status::undecodable("it is cut off")),
                }
            }
            let take = self.rest.len().min(PREFIX_BYTES - has);
            self.rest.copy_to_slice(&mut prefix[has..has + take]);
            has += take;
        }
        self.decode_prefix(prefix).map(Some)
    }

    fn decode_prefix(&self, prefix: [u8; PREFIX_BYTES]) -> Result<Prefix, Status> {
        let [flag, length @ ..] = prefix;
        let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
        let is_compressed = match (flag, self.form.encoding) {
            (0, _) => false,
            (1, Encoding::Gzip) => true,
            (1, Encoding::Identity) => {
                return Err(status::undecodable(
                    "its compression flag is set, but grpc-encoding is not gzip",
                ));
            }
            _ => return Err(status::undecodable("its compression flag is neither 0 nor 1")),
        };
        match self.form.may_have_photo {
            true if length > PHOTO_REQUEST_BYTES_MAX => Err(status::photo_too_large()),
            false if length > REQUEST_BYTES_MAX => {
                Err(status::request_too_large(REQUEST_BYTES_MAX))
            }
            _ => Ok(Prefix { is_compressed, length }),
        }
    }

    async fn message(
        &mut self,
        prefix: &Prefix,
        lease: Lease,
        base_bytes: usize,
    ) -> Result<Whole, Status> {
        let mut content = self.content(prefix, lease, base_bytes)?;
        let (mut left, mut lookup) = (prefix.length, None);
        while left > 0 {
            if self.rest.is_empty() {
                self.rest = match self.next_bytes_or_refusal(&mut content, &mut lookup).await? {
                    Some(bytes) => bytes,
                    None => return Err(status::undecodable("it is cut off")),
                };
            }
            let piece = self.rest.split_to(left.min(self.rest.len()));
            left -= piece.len();
            content.append(&piece)?;
            lookup = self.lookup(&mut content).or(lookup);
        }
        Ok(content.end()?.whole())
    }

    /// The look-up that a message asks for, if photo memory was full.
    fn lookup(&self, content: &mut MessageContent) -> Option<Lookup> {
        let id = content.message().take_id_to_look_up()?;
        Some((self.terms.is_known_match)(self.tenant.clone(), id))
    }

    /// The photo of a message, if it may hold one.
    fn photo(&self) -> Option<MessagePhoto> {
        let photo = || {
            let reservation = self.terms.photo_memory.reservation(&self.tenant);
            MessagePhoto::new(reservation, self.share.photo())
        };
        self.form.may_have_photo.then(photo)
    }

    fn content(
        &self,
        prefix: &Prefix,
        lease: Lease,
        base: usize,
    ) -> Result<MessageContent, Status> {
        let length = match (prefix.is_compressed, self.form.may_have_photo) {
            (false, _) => Announced(prefix.length),
            (true, false) => AtMost(REQUEST_BYTES_MAX),
            (true, true) => AtMost(PHOTO_REQUEST_BYTES_MAX),
        };
        MessageContent::new(
            prefix.is_compressed,
            IncomingMessage::new(length, lease, base, self.photo()),
        )
    }

    /// The next bytes; `None` at the end of the request. When photo memory is full, a lookup runs
    /// meanwhile, and the request is refused unless it repeats that of a known match.
    async fn next_bytes_or_refusal(
        &mut self,
        content: &mut MessageContent,
        lookup: &mut Option<Lookup>,
    ) -> Result<Option<Bytes>, Status> {
        while let Some(looking) = lookup {
            tokio::select! {
                biased;
                is_known = looking => {
                    *lookup = None;
                    match is_known? {
                        true => content.message().confirm_known(),
                        false => return Err(content.message().memory_full()),
                    }
                }
                more = self.next_bytes() => return more,
            }
        }
        self.next_bytes().await
    }

    /// The next bytes; `None` at the end of the request.
    async fn next_bytes(&mut self) -> Result<Option<Bytes>, Status> {
        loop {
            let rate_due = self.rate.as_ref().map_or(Timestamp::MAX, MinRate::due);
            let wake = self.due.min(rate_due);
            tokio::select! {
                biased;
                frame = self.body.frame() => match frame.transpose()? {
                    None => return Ok(None),
                    // A request's trailers are ignored.
                    Some(frame) => if let Ok(bytes) = frame.into_data() && !bytes.is_empty() {
                        if let Some(rate) = &mut self.rate {
                            rate.add(bytes.len());
                        }
                        return Ok(Some(bytes));
                    }
                },
                () = self.terms.draining.cancelled(), if !self.is_draining => self.drain()?,
                () = self.terms.clock.sleep_until(wake) => {}
            }
            self.check_time()?;
        }
    }

    /// Refuses a photo, or shortens the timeout, because the server is shutting down.
    fn drain(&mut self) -> Result<(), Status> {
        if self.form.may_have_photo {
            return Err(status::draining());
        }
        self.is_draining = true;
        self.due = self.due.min(self.terms.clock.now().after(DRAIN_GRACE));
        Ok(())
    }

    fn check_time(&mut self) -> Result<(), Status> {
        let now = self.terms.clock.now();
        if self.due <= now {
            return Err(match self.is_draining {
                true => status::draining(),
                false => status::call_timed_out(format!(
                    "the request did not arrive within {:?}",
                    self.terms.timeout
                )),
            });
        }
        if self.rate.as_mut().is_some_and(|rate| rate.is_missed(now)) {
            let what = format!("too little of the request arrived within {MIN_RATE_PERIOD:?}");
            return Err(status::call_timed_out(what));
        }
        Ok(())
    }
}
