//! Admission control's promises for requests that are slow, malformed, compressed or stalled.

use std::{
    convert::Infallible,
    io::Write,
    sync::atomic::{AtomicBool, Ordering},
};

use flate2::{Compression, write::GzEncoder};
use futures_util::{FutureExt, Stream, StreamExt, stream};
use http_body_util::BodyExt;
use prost::Message as _;
use tokio_util::sync::CancellationToken;
use tonic::Code;
use tonic_types::StatusExt;
use tower::service_fn;

use super::{message::REQUEST_BYTES_MAX, min_rate::MIN_RATE_PERIOD, *};
use crate::{
    access::{Access, Quotas},
    clock::{Clock, Hand},
    domain::{TenantId, Tenants, photo},
    grpc::admission::head::Encoding,
    pb::{MatchRequest, ReferencePhoto, reference_photo::Source},
    worker::photo_memory::PhotoMemory,
};

const TIMEOUT: Duration = Duration::from_secs(60);
const MIB: usize = 1024 * 1024;
/// The photo memory and the request memory of most tests, in bytes.
const PLENTY: usize = 64 * MIB;

/// The limits of receivers, and the handles that move their clock and change their lookup.
struct Stage {
    terms: ReceiveLimits,
    hand: Hand,
    shares: Shares,
    share: ConnectionShare,
    is_known: Arc<AtomicBool>,
}

impl Stage {
    fn new(photo_bytes: usize) -> Self {
        let (clock, hand) = Clock::manual(Timestamp::default());
        let is_known = Arc::new(AtomicBool::new(true));
        let known = Arc::clone(&is_known);
        let terms = ReceiveLimits {
            clock,
            timeout: TIMEOUT,
            draining: CancellationToken::new(),
            photo_memory: PhotoMemory::new(photo_bytes, Arc::new(Tenants::default)),
            is_known_match: Arc::new(move |_, id| {
                let knows = known.load(Ordering::Relaxed) && id.as_str() == "known";
                Box::pin(async move { Ok(knows) })
            }),
        };
        let shares = shares(PLENTY, 100, photo_bytes);
        Self { terms, hand, share: shares.connection(&shares.address()), shares, is_known }
    }

    fn receiver(&self, frames: impl Frames, form: MessageForm) -> Box<Receiver> {
        self.receiver_over(&self.share, frames, form)
    }

    /// A receiver of another connection.
    fn receiver_over(
        &self,
        share: &ConnectionShare,
        frames: impl Frames,
        form: MessageForm,
    ) -> Box<Receiver> {
        let frames = frames.map(|bytes| Ok::<_, Status>(Frame::data(Bytes::from(bytes))));
        let body = Body::new(StreamBody::new(frames));
        let tenant = TenantId::default_tenant();
        Box::new(Receiver::new(self.terms.clone(), share.clone(), tenant, form, body))
    }

    async fn single(&self, frames: impl Frames, form: MessageForm) -> Result<Whole, Status> {
        self.receiver(frames, form).single(self.share.memory(0).unwrap(), 0).await
    }

    /// The status of a request that stalls after its frames.
    async fn stalled(&self, frames: impl Frames, form: MessageForm) -> Status {
        let mut waiting = std::pin::pin!(self.single(frames.chain(stream::pending()), form));
        loop {
            if let Some(ended) = waiting.as_mut().now_or_never() {
                return ended.err().expect("a stalled request is refused");
            }
            self.hand.advance(Duration::from_secs(1));
        }
    }
}

trait Frames: Stream<Item = Vec<u8>> + Send + 'static {}
impl<S: Stream<Item = Vec<u8>> + Send + 'static> Frames for S {}

fn shares(memory_bytes: usize, calls: usize, photo_bytes: usize) -> Shares {
    let (connections, by_address) = (1, false);
    Shares::new(ShareLimits { memory_bytes, calls, photo_bytes, connections, by_address })
}

fn open_to_all() -> CallerCheck {
    let (clock, _) = Clock::manual(Timestamp::default());
    let quotas = Quotas::new(Arc::new(Tenants::default), clock);
    CallerCheck {
        access: Access::anonymous(),
        reflection: LiveReflection::new(Reflection::Open),
        quotas,
    }
}

const PLAIN: MessageForm = MessageForm { encoding: Encoding::Identity, may_have_photo: false };
const PHOTO: MessageForm = MessageForm { encoding: Encoding::Identity, may_have_photo: true };
const GZIP: MessageForm = MessageForm { encoding: Encoding::Gzip, may_have_photo: false };
const GZIP_PHOTO: MessageForm = MessageForm { encoding: Encoding::Gzip, may_have_photo: true };

/// The beginning of a message: `length` bytes are announced, and `body` is what arrives.
fn announced(flag: u8, length: usize, body: &[u8]) -> Vec<u8> {
    [&[flag], &u32::try_from(length).unwrap().to_be_bytes()[..], body].concat()
}

fn message(body: &[u8]) -> Vec<u8> {
    announced(0, body.len(), body)
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(body).unwrap();
    let compressed = encoder.finish().unwrap();
    announced(1, compressed.len(), &compressed)
}

fn request(request_id: &str, content: usize) -> Vec<u8> {
    let source = Some(Source::Content(vec![b'p'; content].into()));
    let photo = Some(ReferencePhoto { source, ..ReferencePhoto::default() });
    let request_id = request_id.to_owned();
    MatchRequest { request_id, photo, ..MatchRequest::default() }.encode_to_vec()
}

fn frames(bytes: &[u8]) -> impl Frames + use<> {
    stream::iter(bytes.chunks(16 * 1024).map(<[u8]>::to_vec).collect::<Vec<_>>())
}

fn once(bytes: Vec<u8>) -> impl Frames {
    stream::iter([bytes])
}

fn reason(status: &Status) -> String {
    status.get_details_error_info().map(|info| info.reason).unwrap_or_default()
}

fn limit(status: &Status) -> Option<String> {
    assert_eq!((status.code(), reason(status).as_str()), (Code::ResourceExhausted, "OVERLOADED"));
    status.get_details_error_info()?.metadata.get("limit").cloned()
}

#[tokio::test]
async fn a_stalled_body_gives_its_memory_back() {
    let stage = Stage::new(PLENTY);
    let half = &message(&request("", MIB))[..MIB / 2];
    let status = stage.stalled(frames(half), PHOTO).await;
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (Code::DeadlineExceeded, "CALL_TIMED_OUT")
    );
    assert!(status.get_details_retry_info().is_some());
    assert_eq!(stage.terms.photo_memory.bytes(), 0);
    assert!(stage.terms.clock.now() <= Timestamp::default().after(2 * MIN_RATE_PERIOD));
}

#[tokio::test]
async fn a_trickling_photo_ends_like_a_stalled_one() {
    let stage = Stage::new(PLENTY);
    let clock = stage.terms.clock.clone();
    let trickle = stream::unfold(clock, |clock| async {
        clock.sleep(Duration::from_secs(1)).await;
        Some((vec![0], clock))
    });
    let begun = once(announced(0, 60_000, b"\x7a\xb0\xea\x01"));
    let status = stage.stalled(begun.chain(trickle), PHOTO).await;
    assert_eq!(reason(&status), "CALL_TIMED_OUT");
    assert_eq!(stage.terms.clock.now(), Timestamp::default().after(MIN_RATE_PERIOD));
}

#[tokio::test]
async fn a_body_that_keeps_the_rate_still_ends_at_the_timeout() {
    let stage = Stage::new(PLENTY);
    let clock = stage.terms.clock.clone();
    let steady = stream::unfold(clock, |clock| async {
        clock.sleep(Duration::from_secs(1)).await;
        Some((vec![0; 20_000], clock))
    });
    let begun = once(announced(0, 9 * MIB, b"\x1a\x80\x80\xc0\x04\x0a\xfb\xff\xbf\x04"));
    let status = stage.stalled(begun.chain(steady), PHOTO).await;
    assert_eq!(reason(&status), "CALL_TIMED_OUT");
    assert_eq!(stage.terms.clock.now(), Timestamp::default().after(TIMEOUT));
}

#[tokio::test]
async fn a_complete_message_whose_stream_stays_open_times_out() {
    let stage = Stage::new(PLENTY);
    for (body, form) in [(message(b"hi"), PLAIN), (message(&request("", 100)), PHOTO)] {
        assert_eq!(reason(&stage.stalled(once(body), form).await), "CALL_TIMED_OUT");
    }
}

#[tokio::test]
async fn photo_memory_is_taken_for_arrived_bytes_not_for_announced_ones() {
    let stage = Stage::new(MIB);
    let ten = request("", 10 * MIB);
    let begun = announced(0, ten.len(), &ten[..100]);
    let mut waiting = Vec::new();
    for _ in 0..16 {
        let frames = once(begun.clone()).chain(stream::pending());
        let mut receiving = Box::pin(stage.single(frames, PHOTO));
        assert!(receiving.as_mut().now_or_never().is_none());
        waiting.push(receiving);
    }
    assert!(stage.terms.photo_memory.bytes() <= 16 * 64 * 1024);
    let whole = stage.single(once(message(&request("", 10))), PHOTO).await;
    // The steps of 64 KiB have filled photo memory. A request without a photo needs none.
    assert!(whole.is_err());
    drop(waiting);
    let whole = stage.single(once(message(&request("", MIB - 64))), PHOTO).await.ok().unwrap();
    assert_eq!(whole.bytes.len(), request("", MIB - 64).len());
}

#[tokio::test]
async fn one_connection_cannot_take_the_photo_memory_of_others() {
    let stage = Stage::new(8 * photo::BYTES_MAX);
    let half = message(&request("", photo::BYTES_MAX - 64))[..photo::BYTES_MAX / 2].to_vec();
    let mut waiting = Vec::new();
    let mut has_room = |share: &ConnectionShare| {
        let frames = once(half.clone()).chain(stream::pending());
        let receiver = stage.receiver_over(share, frames, PHOTO);
        let mut receiving = Box::pin(receiver.single(share.memory(0).unwrap(), 0));
        let ended = receiving.as_mut().now_or_never();
        waiting.push(receiving);
        ended.is_none()
    };
    let connection = || stage.shares.connection(&stage.shares.address());
    let (hog, other) = (connection(), connection());
    let most = (0..).take_while(|_| has_room(&hog)).count();
    // In half photos: the floor of one photo, and half of the shared part.
    assert_eq!(most, 2 + 8);
    assert!((0..5).all(|_| has_room(&other)));
}

#[tokio::test]
async fn with_photo_memory_full_a_request_is_refused_at_once_unless_it_repeats_a_known_match() {
    let stage = Stage::new(1_000);
    let room = stage.terms.photo_memory.reserve(&TenantId::default_tenant(), 1_000).unwrap();
    for id in ["", "unknown"] {
        // The request stalls, and the refusal doesn't wait for its rest.
        let begun = announced(0, 9 * MIB, &request(id, 9 * MIB)[..MIB]);
        let mut receiving = Box::pin(stage.single(frames(&begun).chain(stream::pending()), PHOTO));
        let status = receiving.as_mut().now_or_never().expect("refused at once").err().unwrap();
        assert_eq!(limit(&status).as_deref(), Some("photo-memory"), "{id}");
        assert!(status.get_details_retry_info().is_some());
    }
    let known = message(&request("known", 9 * MIB));
    let whole = stage.single(frames(&known), PHOTO).await.ok().unwrap();
    assert!(whole.reservation.unwrap().is_overflow());
    stage.is_known.store(false, Ordering::Relaxed);
    assert!(stage.single(frames(&known).chain(stream::pending()), PHOTO).await.is_err());
    let small = MatchRequest { folder_id: "no photo".into(), ..MatchRequest::default() };
    assert!(stage.single(once(message(&small.encode_to_vec())), PHOTO).await.is_ok());
    drop(room);
}

#[tokio::test]
async fn a_shutdown_waits_for_no_photo_and_only_briefly_for_other_requests() {
    let stage = Stage::new(PLENTY);
    stage.terms.draining.cancel();
    let begun = once(announced(0, 900, b"")).chain(stream::pending());
    let mut receiving = Box::pin(stage.single(begun, PHOTO));
    let status = receiving.as_mut().now_or_never().expect("at once").err().unwrap();
    assert_eq!(reason(&status), "SERVER_DRAINING");
    assert!(stage.single(once(message(b"whole")), PLAIN).await.is_ok());
    let status = stage.stalled(once(announced(0, 900, b"")), PLAIN).await;
    assert_eq!(reason(&status), "SERVER_DRAINING");
    assert!(stage.terms.clock.now() <= Timestamp::default().after(Duration::from_secs(2)));
}

#[tokio::test]
async fn bytes_beyond_the_announced_message_are_refused() {
    let stage = Stage::new(PLENTY);
    let two = [message(b"hi"), message(b"hi")];
    let together = once(two.concat()).boxed();
    let apart = stream::iter(two.clone()).boxed();
    let long = once(announced(0, 2, b"hi!")).boxed();
    for frames in [together, apart, long] {
        let status = stage.single(frames, PLAIN).await.err().expect("the request is too long");
        assert_eq!(reason(&status), "FIELD_INVALID");
    }
    let bytewise = stream::iter(message(b"hi").into_iter().map(|byte| vec![byte]));
    assert_eq!(stage.single(bytewise, PLAIN).await.ok().unwrap().bytes, "hi");
}

#[tokio::test]
async fn a_malformed_message_is_refused_as_undecodable() {
    let stage = Stage::new(PLENTY);
    for (bytes, form) in [
        (vec![], PLAIN),
        (vec![0, 0], PLAIN),
        (announced(0, 100, b"so far"), PLAIN),
        (announced(1, 1, b"a"), PLAIN),
        (announced(7, 1, b"a"), PLAIN),
        (announced(2, 1, b"a"), GZIP),
        (announced(1, 5, b"plain"), GZIP),
        (announced(1, 0, b""), GZIP),
        (announced(1, 20, &gzip(&[1; 1_000])[5..25]), GZIP),
        (message(&[0xff; 20]), PHOTO),
    ] {
        let status = stage.single(once(bytes.clone()), form).await.err();
        let status = status.unwrap_or_else(|| panic!("{bytes:x?} is accepted"));
        assert_eq!(status.code(), Code::InvalidArgument, "{bytes:x?}: {status:?}");
    }
}

#[tokio::test]
async fn a_compressed_message_arrives_inflated() {
    let stage = Stage::new(PLENTY);
    let body: Vec<u8> =
        (0..60_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    for pieces in [1, 7, 5_000, 100_000] {
        let frames = gzip(&body).chunks(pieces).map(<[u8]>::to_vec).collect::<Vec<_>>();
        let whole = stage.single(stream::iter(frames), GZIP).await.ok().unwrap();
        assert!(whole.bytes == body, "in pieces of {pieces}");
    }
    let plain = stage.single(once(message(b"plain")), GZIP).await.ok().unwrap();
    assert_eq!(plain.bytes, "plain", "not every message has to be compressed");
    let photo = request("order 17", 3 * MIB);
    let whole = stage.single(frames(&gzip(&photo)), GZIP_PHOTO).await.ok().unwrap();
    assert!(whole.bytes == photo);
    assert!(stage.terms.photo_memory.bytes() >= 3 * MIB);
}

#[tokio::test]
async fn limits_count_inflated_bytes() {
    let stage = Stage::new(PLENTY);
    let most = stage.single(once(gzip(&[0; REQUEST_BYTES_MAX])), GZIP).await;
    assert_eq!(most.ok().unwrap().bytes.len(), REQUEST_BYTES_MAX);
    for bomb in [REQUEST_BYTES_MAX + 1, 50 * MIB] {
        let status = stage.single(once(gzip(&vec![0; bomb])), GZIP).await.err().unwrap();
        assert_eq!(reason(&status), "FIELD_INVALID", "{status:?}");
    }
    let names = [b"\x1a\x80\x89\x7a".as_slice(), &b"\x2a\0".repeat(MIB)].concat();
    let status = stage.single(frames(&gzip(&names)), GZIP_PHOTO).await.err().unwrap();
    assert_eq!(reason(&status), "FIELD_INVALID");
    let photo = request("", photo::BYTES_MAX + 1);
    let status = stage.single(frames(&gzip(&photo)), GZIP_PHOTO).await.err().unwrap();
    assert_eq!(reason(&status), "PHOTO_TOO_LARGE");
    let most = request("", photo::BYTES_MAX);
    assert!(stage.single(frames(&gzip(&most)), GZIP_PHOTO).await.is_ok());
}

#[tokio::test]
async fn request_memory_is_taken_for_arrived_bytes_and_given_back() {
    let stage = Stage::new(PLENTY);
    let shares = shares(200_000, 100, PLENTY);
    let share = shares.connection(&shares.address());
    let received = |frames, form| {
        let receiver = stage.receiver(frames, form);
        let lease = share.memory(1_000).unwrap();
        async move { receiver.single(lease, 1_000).await }
    };
    let announced_only = once(announced(0, 60_000, b"so far")).chain(stream::pending()).boxed();
    let mut many: Vec<_> = Vec::new();
    for _ in 0..40 {
        let frames = once(announced(0, 60_000, b"so far")).chain(stream::pending()).boxed();
        let mut receiving = Box::pin(received(frames, PLAIN));
        assert!(receiving.as_mut().now_or_never().is_none(), "announced bytes take no memory");
        many.push(receiving);
    }
    drop((many, announced_only));
    let whole = received(once(message(&[1; 60_000])).boxed(), PLAIN).await.ok().unwrap();
    let second = received(once(message(&[1; 60_000])).boxed(), PLAIN).await.ok().unwrap();
    let status = received(once(message(&[1; 60_000])).boxed(), PLAIN).await.err().unwrap();
    assert_eq!(limit(&status).as_deref(), Some("request-memory"));
    drop((whole, second));
    assert!(received(once(message(&[1; 60_000])).boxed(), PLAIN).await.is_ok());
}

#[tokio::test]
async fn each_message_of_a_stream_has_the_timeout_and_silence_ends_it() {
    let stage = Stage::new(PLENTY);
    let two = stream::iter([message(b"one"), message(b"two")]).chain(stream::pending());
    let mut receiver = stage.receiver(two, PLAIN);
    for expected in ["one", "two"] {
        let next = receiver.next(stage.share.memory(0).unwrap(), 0).await.unwrap().unwrap();
        assert_eq!(next.bytes, expected);
        stage.hand.advance(TIMEOUT - Duration::from_secs(1));
    }
    let mut silent = Box::pin(receiver.next(stage.share.memory(0).unwrap(), 0));
    assert!(silent.as_mut().now_or_never().is_none());
    stage.hand.advance(TIMEOUT - Duration::from_secs(1));
    assert!(silent.as_mut().now_or_never().is_none());
    stage.hand.advance(Duration::from_secs(1));
    let status = silent.as_mut().now_or_never().expect("the silence is too long").err().unwrap();
    assert_eq!(reason(&status), "CALL_TIMED_OUT");
}

/// A gRPC request with these headers and this body.
fn call(path: &str, headers: &[(&str, &str)], body: Body) -> Request<Body> {
    let mut request = Request::post(path).header("content-type", "application/grpc");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(body).unwrap()
}

async fn status_of(response: Response<Body>) -> Option<Status> {
    if let Some(status) = Status::from_header_map(response.headers()) {
        return Some(status);
    }
    let body = response.into_body().collect().await.unwrap();
    body.trailers().and_then(Status::from_header_map)
}

const GET: &str = "/facematch.v1.FaceMatch/GetMatch";

#[tokio::test]
async fn a_call_ends_at_its_deadline_before_and_after_its_answer_begins() {
    let stage = Stage::new(PLENTY);
    let readers = StallGuard::new(TIMEOUT, stage.terms.clock.clone());
    let never = service_fn(|_| std::future::pending::<Result<Response<Body>, Infallible>>());
    let silent = service_fn(|_| async {
        let silence = stream::pending::<Result<Frame<Bytes>, Status>>();
        Ok::<_, Infallible>(Response::new(Body::new(StreamBody::new(silence))))
    });
    let deadline = [("grpc-timeout", "30S")];
    let body = || Body::new(http_body_util::Full::new(Bytes::from(message(b""))));

    let admission = Admission::new(
        never,
        open_to_all(),
        stage.shares.clone(),
        stage.terms.clone(),
        readers.clone(),
    );
    let mut waiting = Box::pin(admission.connection(&admission.shares().address()).call(call(
        GET,
        &deadline,
        body(),
    )));
    assert!(waiting.as_mut().now_or_never().is_none());
    stage.hand.advance(Duration::from_secs(30));
    let answer = waiting.now_or_never().expect("the deadline has passed").unwrap();
    assert_eq!(reason(&status_of(answer).await.unwrap()), "CALL_TIMED_OUT");

    let at_once = admission.connection(&admission.shares().address()).call(call(
        GET,
        &[("grpc-timeout", "0S")],
        body(),
    ));
    let answer = at_once.now_or_never().expect("the deadline is now").unwrap();
    assert_eq!(reason(&status_of(answer).await.unwrap()), "CALL_TIMED_OUT");

    let admission =
        Admission::new(silent, open_to_all(), stage.shares.clone(), stage.terms.clone(), readers);
    let answer = admission
        .connection(&admission.shares().address())
        .call(call(GET, &deadline, body()))
        .await
        .unwrap();
    let mut told = Box::pin(status_of(answer));
    assert!(told.as_mut().now_or_never().is_none());
    stage.hand.advance(Duration::from_secs(30));
    let status = told.now_or_never().expect("the deadline has passed").unwrap();
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (Code::DeadlineExceeded, "CALL_TIMED_OUT")
    );
}

#[tokio::test]
async fn an_endless_answer_ends_at_the_deadline() {
    let stage = Stage::new(PLENTY);
    let readers = StallGuard::new(TIMEOUT, stage.terms.clock.clone());
    let endless = service_fn(|_| async {
        let frames = stream::repeat_with(|| Ok::<_, Status>(Frame::data(Bytes::from_static(b"x"))));
        Ok::<_, Infallible>(Response::new(Body::new(StreamBody::new(frames))))
    });
    let admission =
        Admission::new(endless, open_to_all(), stage.shares.clone(), stage.terms.clone(), readers);
    let mut connection = admission.connection(&admission.shares().address());
    let request = Body::new(http_body_util::Full::new(Bytes::from(message(b""))));
    let calling = connection.call(call(GET, &[("grpc-timeout", "30S")], request));
    let mut body = calling.await.unwrap().into_body();
    assert!(body.frame().await.unwrap().unwrap().is_data());
    stage.hand.advance(Duration::from_secs(30));
    let trailers = body.frame().await.unwrap().unwrap().into_trailers();
    let status = Status::from_header_map(&trailers.expect("the deadline has passed")).unwrap();
    assert_eq!(reason(&status), "CALL_TIMED_OUT");
}

#[tokio::test]
async fn waiting_lists_leave_open_calls_for_other_methods() {
    const CALLS: usize = 10_000;
    let stage = Stage::new(PLENTY);
    let readers = StallGuard::new(TIMEOUT, stage.terms.clock.clone());
    let waits = service_fn(|_| std::future::pending::<Result<Response<Body>, Infallible>>());
    let all = shares(PLENTY, CALLS, PLENTY);
    let admission = Admission::new(waits, open_to_all(), all, stage.terms.clone(), readers);
    let mut connection = admission.connection(&admission.shares().address());
    let mut waiting = Vec::new();
    let mut is_taken = |path: &str| {
        let request = Body::new(http_body_util::Full::new(Bytes::from(message(b""))));
        let mut calling = connection.call(call(path, &[], request));
        let ended = calling.as_mut().now_or_never();
        waiting.push(calling);
        ended.is_none()
    };
    let list = "/facematch.v1.FaceMatch/ListMatches";
    let lists = (0..CALLS).take_while(|_| is_taken(list)).count();
    assert!((100..CALLS / 25).contains(&lists), "{lists}");
    assert!(is_taken(GET), "GetMatch is not a list");
}

#[tokio::test]
async fn a_handler_never_sees_an_invalid_call() {
    let stage = Stage::new(PLENTY);
    let readers = StallGuard::new(TIMEOUT, stage.terms.clock.clone());
    let acted = Arc::new(AtomicBool::new(false));
    let acts = Arc::clone(&acted);
    let handler = service_fn(move |_| {
        acts.store(true, Ordering::Relaxed);
        async { Ok::<_, Infallible>(Response::new(Body::empty())) }
    });
    let admission =
        Admission::new(handler, open_to_all(), stage.shares.clone(), stage.terms.clone(), readers);
    let body = || Body::new(http_body_util::Full::new(Bytes::from(message(b""))));
    for (name, value, code) in [
        ("grpc-timeout", "2s", Code::InvalidArgument),
        ("grpc-timeout", "123456789S", Code::InvalidArgument),
        ("grpc-encoding", "deflate", Code::Unimplemented),
    ] {
        let answer = admission
            .connection(&admission.shares().address())
            .call(call(GET, &[(name, value)], body()))
            .await;
        let answer = answer.unwrap();
        assert_eq!(answer.headers()["grpc-accept-encoding"], "gzip,identity");
        assert_eq!(status_of(answer).await.unwrap().code(), code, "{name}: {value}");
    }
    let mut plain = call(GET, &[], body());
    plain.headers_mut().insert("content-type", "text/plain".parse().unwrap());
    let answer = admission.connection(&admission.shares().address()).call(plain).await.unwrap();
    assert_eq!(answer.status(), http::StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert!(!acted.load(Ordering::Relaxed));
    admission.connection(&admission.shares().address()).call(call(GET, &[], body())).await.unwrap();
    assert!(acted.load(Ordering::Relaxed));
}

#[tokio::test]
async fn a_call_counts_as_open_from_its_headers_to_the_end_of_its_answer() {
    let stage = Stage::new(PLENTY);
    let readers = StallGuard::new(TIMEOUT, stage.terms.clock.clone());
    let silent = service_fn(|_| async {
        let silence = stream::pending::<Result<Frame<Bytes>, Status>>();
        Ok::<_, Infallible>(Response::new(Body::new(StreamBody::new(silence))))
    });
    let shares = shares(PLENTY, 1, PLENTY);
    let admission = Admission::new(silent, open_to_all(), shares, stage.terms.clone(), readers);
    let mut connection = admission.connection(&admission.shares().address());
    let body = || Body::new(http_body_util::Full::new(Bytes::from(message(b""))));
    let stalled = connection.call(call(
        GET,
        &[],
        Body::new(StreamBody::new(stream::pending::<Result<Frame<Bytes>, Status>>())),
    ));
    let mut stalled = Box::pin(stalled);
    assert!(stalled.as_mut().now_or_never().is_none());
    let mut refused = async || {
        let answer = connection.call(call(GET, &[], body())).await.unwrap();
        Status::from_header_map(answer.headers()).map(|status| limit(&status))
    };
    assert_eq!(refused().await, Some(Some("calls".into())));
    drop(stalled);
    assert_eq!(refused().await, None, "the slot is free, and this answer is dropped at once");
    let answer = admission
        .connection(&admission.shares().address())
        .call(call(GET, &[], body()))
        .await
        .unwrap();
    assert_eq!(refused().await, Some(Some("calls".into())), "an open answer holds the slot");
    drop(answer);
    assert_eq!(refused().await, None);
}
