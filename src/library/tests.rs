//! Tests of what all libraries share.

use std::{
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpListener},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::FutureExt;

use super::*;
use crate::{clock::Hand, domain::Timestamp};

/// A room of so many bytes.
pub struct Memory {
    pub bytes: usize,
    max: usize,
}

impl Memory {
    pub fn of(max: usize) -> Self {
        Self { bytes: 0, max }
    }
}

impl Room for Memory {
    fn grow_to(&mut self, bytes: usize) -> bool {
        let has_room = bytes <= self.max;
        self.bytes = if has_room { self.bytes.max(bytes) } else { self.bytes };
        has_room
    }
}

/// A server on this machine that sends these bytes on each connection in turn, whatever is asked,
/// and then closes it.
pub struct Canned {
    pub address: SocketAddr,
    heads: mpsc::Receiver<String>,
}

impl Canned {
    pub fn serve<A: Into<Vec<u8>>>(answers: impl IntoIterator<Item = A>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let answers: Vec<Vec<u8>> = answers.into_iter().map(Into::into).collect();
        let (heads, received) = mpsc::channel();
        thread::spawn(move || {
            for answer in answers {
                let Ok((mut connection, _)) = listener.accept() else { return };
                let lines = BufReader::new(&connection).lines().map_while(Result::ok);
                let head: Vec<_> = lines.take_while(|line| !line.is_empty()).collect();
                let _ = heads.send(head.join("\n"));
                // A client may leave before the end.
                let _ = connection.write_all(&answer);
            }
        });
        Self { address, heads: received }
    }

    /// The heads of the requests so far.
    pub fn heads(&self) -> Vec<String> {
        self.heads.try_iter().collect()
    }
}

/// A source with one answer, or with none.
struct Fixed {
    answer: Option<Result<Bytes, SourceError>>,
    reads: AtomicUsize,
}

#[async_trait]
impl LibrarySource for Fixed {
    fn kind(&self) -> SourceKind {
        SourceKind::Folder
    }

    async fn read(&self, _: &ReferenceKey, _: &mut dyn Room) -> Result<Bytes, SourceError> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        match &self.answer {
            Some(answer) => answer.clone(),
            None => std::future::pending().await,
        }
    }

    async fn check(&self) -> Result<(), SourceError> {
        Ok(())
    }
}

struct Scene {
    library: Library,
    source: Arc<Fixed>,
    hand: Hand,
}

impl Scene {
    fn new(answer: Option<Result<Bytes, SourceError>>) -> Self {
        let (clock, hand) = Clock::manual(Timestamp::from_micros(0));
        let source = Arc::new(Fixed { answer, reads: AtomicUsize::new(0) });
        let tenant = TenantId::default_tenant();
        let library = Library::new(
            tenant,
            Arc::clone(&source) as _,
            clock,
            Arc::new(|| 0.5),
            LibraryMetrics::default(),
        );
        Self { library, source, hand }
    }

    async fn read(&self) -> Result<(Bytes, Format), Unread> {
        let key = ReferenceKey::parse("17", KeyForm::Path).unwrap();
        let (traits, trace) = (RequestTraits::default(), AskTrace::default());
        self.library.read(&key, traits, trace, &mut Memory::of(100)).await
    }

    fn reads(&self) -> usize {
        self.source.reads.load(Ordering::Relaxed)
    }
}

fn fault(fault: LibraryFault) -> Option<Result<Bytes, SourceError>> {
    Some(Err(SourceError::Fault(fault, "postgres://db.bank.example: no".into())))
}

#[tokio::test]
async fn a_failure_tells_callers_no_address() {
    for each in [
        LibraryFault::Unreachable,
        LibraryFault::Forbidden,
        LibraryFault::Protocol,
        LibraryFault::NotFound,
        LibraryFault::Ambiguous,
        LibraryFault::Unreadable,
        LibraryFault::TooLarge,
    ] {
        let Err(Unread::Failed(failure)) = Scene::new(fault(each)).read().await else {
            panic!("{each:?}")
        };
        assert_eq!(failure.kind, FailureKind::Library(each));
        assert!(!failure.message.contains("bank") && !failure.message.is_empty());
        assert!(failure.metadata().is_empty());
        assert!(failure.told().contains("bank"), "the operator is told");
    }
}

#[tokio::test]
async fn a_library_that_hangs_is_left_after_the_timeout() {
    let scene = Scene::new(None);
    let mut reading = std::pin::pin!(scene.read());
    assert!(reading.as_mut().now_or_never().is_none());
    scene.hand.advance(READ_TIMEOUT);
    let Some(Err(Unread::Failed(failure))) = reading.now_or_never() else { panic!("it has ended") };
    assert_eq!(failure.kind, FailureKind::Library(LibraryFault::Unreachable));
}

#[tokio::test]
async fn a_library_that_is_out_gets_single_probes() {
    let scene = Scene::new(fault(LibraryFault::Unreachable));
    for _ in 0..1_000 {
        let _ = scene.read().await;
    }
    assert_eq!(scene.reads(), circuit_breaker::OPENS_AFTER as usize);
    assert!(scene.library.is_out());
    scene.hand.advance(circuit_breaker::PAUSE_MAX);
    for _ in 0..1_000 {
        assert!(scene.read().await.is_err());
    }
    assert_eq!(scene.reads(), circuit_breaker::OPENS_AFTER as usize + 1);
}

#[tokio::test]
async fn missing_photos_and_a_full_memory_open_no_circuit() {
    for answer in [fault(LibraryFault::NotFound), Some(Err(SourceError::NoRoom))] {
        let scene = Scene::new(answer);
        for _ in 0..100 {
            assert!(scene.read().await.is_err());
        }
        assert_eq!(scene.reads(), 100);
        assert!(!scene.library.is_out());
    }
}

#[tokio::test]
async fn so_many_photos_are_held_and_no_more() {
    let scene = Scene::new(None);
    let mut held = Vec::new();
    for _ in 0..PHOTOS_MAX {
        held.push(scene.library.slot().await);
    }
    assert!(scene.library.slot().now_or_never().is_none());
    held.pop();
    assert!(scene.library.slot().now_or_never().is_some());
}
