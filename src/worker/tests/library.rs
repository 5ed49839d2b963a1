//! Matches whose photo is in the photo library: each test answers for the library itself, too.

use super::*;
use crate::{
    domain::{KeyForm, LibraryFault, Reason, ReferenceKey},
    library::{
        Libraries, Library, LibrarySource, PHOTOS_MAX, READ_TIMEOUT, Room, SourceError, SourceKind,
    },
    metrics::LibraryMetrics,
};

/// A read that waits for the test to answer it.
pub struct Read {
    key: ReferenceKey,
    answer: oneshot::Sender<Result<Bytes, SourceError>>,
}

/// Forwards each read to the test, and makes room for its answer.
struct ForwardingSource(mpsc::UnboundedSender<Read>);

#[async_trait]
impl LibrarySource for ForwardingSource {
    fn kind(&self) -> SourceKind {
        SourceKind::S3
    }

    async fn read(&self, key: &ReferenceKey, room: &mut dyn Room) -> Result<Bytes, SourceError> {
        let (answer, told) = oneshot::channel();
        let unheard = || fault(LibraryFault::Unreachable);
        self.0.send(Read { key: key.clone(), answer }).map_err(|_| unheard())?;
        let photo = told.await.unwrap_or_else(|_| Err(unheard()))?;
        match room.grow_to(photo.len()) {
            true => Ok(photo),
            false => Err(SourceError::NoRoom),
        }
    }

    async fn check(&self) -> Result<(), SourceError> {
        Ok(())
    }
}

/// The libraries of a replica, which a test may take away and bring back.
pub struct TestLibraries {
    open: Mutex<BTreeMap<String, Arc<Library>>>,
    is_configured: AtomicBool,
    reads: mpsc::UnboundedSender<Read>,
    clock: Clock,
}

impl TestLibraries {
    /// A library for each tenant, and the reads that wait to be answered.
    pub fn new(clock: &Clock) -> (Arc<Self>, mpsc::UnboundedReceiver<Read>) {
        let (reads, received) = mpsc::unbounded_channel();
        let (open, is_configured) = (Mutex::default(), AtomicBool::new(true));
        (Arc::new(Self { open, is_configured, reads, clock: clock.clone() }), received)
    }
}

impl Libraries for TestLibraries {
    fn library(&self, tenant: &TenantId) -> Option<Arc<Library>> {
        if !self.is_configured.load(Ordering::Relaxed) {
            return None;
        }
        let open = || {
            let source = Arc::new(ForwardingSource(self.reads.clone()));
            let (clock, metrics) = (self.clock.clone(), LibraryMetrics::default());
            Arc::new(Library::new(tenant.clone(), source, clock, Arc::new(|| 0.0), metrics))
        };
        Some(Arc::clone(lock(&self.open).entry(tenant.to_string()).or_insert_with(open)))
    }
}

impl Harness {
    /// Waits for the next read from a library.
    async fn next_read(&mut self) -> Read {
        timeout(PATIENCE, self.reads.recv()).await.expect("the library is asked").expect("a read")
    }

    /// Answers the next read with the sample photo.
    async fn reads_photo(&mut self) -> &mut Self {
        assert!(self.next_read().await.answer.send(Ok(photo())).is_ok(), "the read still waits");
        self
    }

    /// Asserts that no read waits, even after every task had its turns.
    async fn reads_nothing(&mut self) {
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        assert!(self.reads.try_recv().is_err(), "a read waits");
    }

    fn photos(&self) -> (usize, usize) {
        let memory = self.worker.photo_memory();
        (memory.photos(), memory.bytes())
    }
}

fn fault(fault: LibraryFault) -> SourceError {
    SourceError::Fault(fault, "as the test wants".into())
}

fn photo() -> Bytes {
    Bytes::from_static(include_bytes!("../../../fuzz/corpus/photo/control-sound.jpg"))
}

fn naming(key: &str) -> Spec {
    let key = ReferenceKey::parse(key, KeyForm::Path).unwrap();
    Spec { photo: PhotoSource::Library(key), ..spec() }
}

fn naming_of(name: &str, key: &str) -> Spec {
    Spec { tenant: tenant(name), ..naming(key) }
}

/// Memory for so many photos of the library, and room for many matches.
fn memory_for(photos: usize) -> Config {
    let oz = OzLimits { requests_max: 100, ..CONFIG.oz };
    Config { unfinished_max: 200, photo_bytes_max: photos * photo().len(), oz, ..CONFIG }
}

/// A folder that holds the photo of no match.
fn bare() -> Reply {
    let media = vec![medium("v", "VIDEO_FOLDER")];
    Reply::Folder(Folder { media, analyses: Vec::new() })
}

#[tokio::test]
async fn a_photo_is_in_memory_only_from_its_read_to_its_upload() {
    let mut house = Harness::with(memory_for(4));
    let m = house.admit(naming("people/17")).await;
    house.answers(AskKind::ReadFolder, bare()).await;
    let read = house.next_read().await;
    assert_eq!((read.key.as_str(), house.photos()), ("people/17", (0, 0)));
    read.answer.send(Ok(photo())).unwrap();
    let upload = house.next(AskKind::UploadPhoto).await;
    assert_eq!(upload.photo, Some(photo()));
    assert_eq!(house.photos(), (1, photo().len()));
    upload.answer.send(Ok(Reply::Photo(medium_id("ours")))).unwrap();
    house.next(AskKind::StartAnalyses).await;
    assert_eq!(house.photos(), (0, 0));
    assert_eq!(house.find(&m).await.unwrap().state, State::Uploaded);
}

#[tokio::test]
async fn a_drain_leaves_a_match_that_reads_its_photo_at_once_and_another_replica_goes_on() {
    let config = memory_for(4);
    let mut house = Harness::shared_with(config);
    let mut other = house.replica_with(config);
    let m = house.admit(naming("17")).await;
    house.answers(AskKind::ReadFolder, bare()).await;
    let read = house.next_read().await;
    drains(&mut house).await;
    assert!(read.answer.is_closed(), "the read is given up");
    assert_eq!(house.photos(), (0, 0));
    other.worker.start().await.unwrap();
    other.answers(AskKind::ReadFolder, bare()).await;
    other.pass(CONFIG.policy.oz_settle, &[&other]).await;
    other.answers(AskKind::ReadFolder, bare()).await;
    other.reads_photo().await.answers(AskKind::UploadPhoto, Reply::Photo(medium_id("p"))).await;
    other.next(AskKind::StartAnalyses).await;
    assert_eq!(other.find(&m).await.unwrap().state, State::Uploaded);
}

#[tokio::test]
async fn a_drain_awaits_the_upload_of_a_photo_from_the_library() {
    let mut house = Harness::with(memory_for(4));
    let m = house.admit(naming("17")).await;
    house.answers(AskKind::ReadFolder, bare()).await;
    let upload = house.reads_photo().await.next(AskKind::UploadPhoto).await;
    let worker = house.worker.clone();
    let down = timeout(PATIENCE, worker.drain(Duration::from_secs(10)));
    let answered = async { upload.answer.send(Ok(Reply::Photo(medium_id("p")))).unwrap() };
    let (down, ()) = tokio::join!(down, answered);
    assert!(down.is_ok(), "the drain waits for something");
    assert_eq!(house.find(&m).await.unwrap().state, State::Uploaded);
    assert_eq!(house.photos(), (0, 0));
}

#[tokio::test]
async fn a_drain_drops_a_photo_whose_upload_waits_for_its_turn() {
    let config = memory_for(4);
    let config = Config { oz: OzLimits { requests_max: 1, ..config.oz }, ..config };
    let mut house = Harness::shared_with(config);
    let m = house.admit(naming("17")).await;
    house.answers(AskKind::ReadFolder, bare()).await;
    let read = house.next_read().await;
    house.admit(naming_a_medium()).await;
    let _in_flight = house.next(AskKind::ReadFolder).await;
    read.answer.send(Ok(photo())).unwrap();
    eventually("the photo is here", || async { house.photos().0 == 1 }).await;
    drains(&mut house).await;
    assert_eq!(house.photos(), (0, 0));
    let claimed = house.replica_with(config).journal.claim(10).await.unwrap();
    assert!(claimed.iter().any(|(claimed, _)| claimed.id == m.id), "the others may go on with it");
}

#[tokio::test]
async fn a_match_waits_for_photo_memory_and_its_caller_is_told_of_no_trouble() {
    let config = Config { photo_bytes_max: photo().len() + 3, ..memory_for(1) };
    let mut house = Harness::with(config);
    house.admit(spec()).await;
    house.answers(AskKind::ReadFolder, bare()).await;
    let sent = house.next(AskKind::UploadPhoto).await;
    let m = house.admit(naming("17")).await;
    house.answers(AskKind::ReadFolder, bare()).await;
    for _ in 0..3 {
        house.reads_photo().await.reads_nothing().await;
        assert_eq!(house.photos(), (1, jpeg().len()), "only the photo that was sent is held");
        house.pass(Duration::from_secs(2), &[&house]).await;
    }
    sent.answer.send(Ok(Reply::Photo(medium_id("sent")))).unwrap();
    let _start = house.next(AskKind::StartAnalyses).await;
    house.pass(Duration::from_secs(2), &[&house]).await;
    house.reads_photo().await.answers(AskKind::UploadPhoto, Reply::Photo(medium_id("p"))).await;
    house.next(AskKind::StartAnalyses).await;
    let m = house.find(&m).await.unwrap();
    assert_eq!((m.state, m.troubles, m.sequence), (State::Uploaded, 0, Sequence(2)));
}

#[tokio::test]
async fn matches_that_wait_for_the_library_take_no_memory_from_those_that_send_photos() {
    let mut house = Harness::with(memory_for(20));
    for nth in 0..50 {
        house.admit(naming(&format!("people/{nth}"))).await;
        house.answers(AskKind::ReadFolder, bare()).await;
    }
    let mut reads = Vec::new();
    for _ in 0..PHOTOS_MAX {
        reads.push(house.next_read().await);
    }
    house.reads_nothing().await;
    assert_eq!(house.photos(), (0, 0), "a read that has got nothing holds nothing");
    let mut room = house.worker.photo_memory().reservation(&TenantId::default_tenant());
    assert!(room.grow_to(20 * photo().len()), "all of the memory is free");
    drop(room);
    for read in reads {
        read.answer.send(Ok(photo())).unwrap();
    }
    let mut uploads = Vec::new();
    for _ in 0..PHOTOS_MAX {
        uploads.push(house.next(AskKind::UploadPhoto).await);
    }
    house.admit(spec()).await;
    house.answers(AskKind::ReadFolder, bare()).await;
    house.next(AskKind::UploadPhoto).await;
}

#[tokio::test]
async fn a_tenants_library_leaves_the_memory_of_other_tenants_alone() {
    let mut house = Harness::with(memory_for(8));
    house.names_two_tenants(TenantTerms::default());
    for nth in 0..PHOTOS_MAX {
        house.admit(naming_of("other", &format!("people/{nth}"))).await;
        house.answers(AskKind::ReadFolder, bare()).await;
    }
    for _ in 0..PHOTOS_MAX {
        house.reads_photo().await;
    }
    // The other reads find no room, and wait.
    let mut uploads = Vec::new();
    for _ in 0..6 {
        uploads.push(house.next(AskKind::UploadPhoto).await);
    }
    house.reads_nothing().await;
    house.is_quiet();
    assert_eq!(house.photos().0, 6, "three quarters of the memory");
    house.admit(Spec { tenant: tenant("small"), ..spec() }).await;
    house.admit(naming_of("small", "people/1")).await;
    for _ in 0..2 {
        house.answers(AskKind::ReadFolder, bare()).await;
    }
    let _sent = house.next(AskKind::UploadPhoto).await;
    house.reads_photo().await.next(AskKind::UploadPhoto).await;
}

#[tokio::test]
async fn no_more_photos_are_read_at_once_than_a_library_has_slots() {
    let mut house = Harness::with(memory_for(100));
    for nth in 0..3 * PHOTOS_MAX {
        house.admit(naming(&format!("people/{nth}"))).await;
        house.answers(AskKind::ReadFolder, bare()).await;
    }
    let mut uploads = Vec::new();
    for _ in 0..PHOTOS_MAX {
        uploads.push(house.reads_photo().await.next(AskKind::UploadPhoto).await);
    }
    house.reads_nothing().await;
    assert_eq!(house.photos().0, PHOTOS_MAX);
    let (mut starts, mut later) = (Vec::new(), Vec::new());
    for upload in uploads {
        upload.answer.send(Ok(Reply::Photo(medium_id("p")))).unwrap();
        starts.push(house.next(AskKind::StartAnalyses).await);
        later.push(house.reads_photo().await.next(AskKind::UploadPhoto).await);
        assert!(house.photos().0 <= PHOTOS_MAX);
    }
}

#[tokio::test]
async fn a_match_whose_library_is_removed_from_the_settings_waits_until_it_is_back() {
    let mut house = Harness::with(memory_for(4));
    let m = house.admit(naming("17")).await;
    house.libraries.is_configured.store(false, Ordering::Relaxed);
    house.answers(AskKind::ReadFolder, bare()).await;
    house.pass(Duration::from_secs(90), &[&house]).await;
    house.reads_nothing().await;
    let waits = house.find(&m).await.unwrap();
    assert_eq!((waits.state, waits.troubles), (State::Accepted, 1));
    house.libraries.is_configured.store(true, Ordering::Relaxed);
    house.pass(Duration::from_secs(2), &[&house]).await;
    house.reads_photo().await.answers(AskKind::UploadPhoto, Reply::Photo(medium_id("p"))).await;
    house.next(AskKind::StartAnalyses).await;
}

#[tokio::test]
async fn a_match_ends_at_its_deadline_while_its_library_hangs() {
    let mut house = Harness::with(memory_for(4));
    let limit = Duration::from_secs(5);
    let timeout = Timeout { duration: limit, named: true };
    let m = house.admit(Spec { timeout, ..naming("17") }).await;
    house.answers(AskKind::ReadFolder, bare()).await;
    let mut read = house.next_read().await;
    house.hand.advance(limit);
    read.answer.closed().await;
    eventually("it has ended", || async { house.find(&m).await.unwrap().has_ended() }).await;
    let error = house.find(&m).await.unwrap().error.unwrap();
    assert_eq!(error.reason, Reason::MatchTimedOut);
    assert_eq!((house.worker.unfinished(), house.photos()), (0, (0, 0)));
}

#[tokio::test]
async fn a_cancel_gives_a_read_up_and_its_slot_back() {
    let mut house = Harness::with(memory_for(100));
    let mut reads = Vec::new();
    let mut matches = Vec::new();
    for nth in 0..=PHOTOS_MAX {
        matches.push(house.admit(naming(&format!("people/{nth}"))).await);
        house.answers(AskKind::ReadFolder, bare()).await;
    }
    for _ in 0..PHOTOS_MAX {
        reads.push(house.next_read().await);
    }
    house.reads_nothing().await;
    let m = &matches[0];
    house.worker.cancel(&m.spec.tenant, &Key::Match(m.id)).await.unwrap();
    reads[0].answer.closed().await;
    let next = house.next_read().await;
    assert_eq!(next.key.as_str(), format!("people/{PHOTOS_MAX}"));
    house.is_quiet();
    assert_eq!(house.photos(), (0, 0));
}

#[tokio::test]
async fn a_replica_that_loses_its_lease_while_it_reads_uploads_nothing() {
    let config = memory_for(4);
    let mut house = Harness::shared_with(config);
    let mut other = house.replica_with(config);
    house.admit(naming("17")).await;
    house.answers(AskKind::ReadFolder, bare()).await;
    let read = house.next_read().await;
    house.pass(LEASE + Duration::from_secs(1), &[&other]).await;
    other.worker.start().await.unwrap();
    other.answers(AskKind::ReadFolder, bare()).await;
    other.pass(CONFIG.policy.oz_settle, &[&other]).await;
    other.answers(AskKind::ReadFolder, bare()).await;
    let upload = other.reads_photo().await.next(AskKind::UploadPhoto).await;
    // The driver may have noticed already, and given the read up.
    let _ = read.answer.send(Ok(photo()));
    house.journal.pulse();
    house.pass(Duration::from_secs(3), &[&house, &other]).await;
    house.is_quiet();
    assert_eq!((house.worker.unfinished(), house.photos()), (0, (0, 0)));
    upload.answer.send(Ok(Reply::Photo(medium_id("p")))).unwrap();
    other.next(AskKind::StartAnalyses).await;
}

#[tokio::test]
async fn an_unsure_claim_reads_nothing_and_uploads_nothing_until_it_is_held_again() {
    let mut house = Harness::shared_with(memory_for(4));
    house.admit(naming("17")).await;
    house.answers(AskKind::ReadFolder, bare()).await;
    let read = house.next_read().await;
    house.pass(LEASE + Duration::from_secs(1), &[]).await;
    read.answer.send(Ok(photo())).unwrap();
    house.pass(Duration::from_secs(3), &[]).await;
    house.is_quiet();
    house.journal.pulse();
    house.pass(Duration::from_secs(2), &[&house]).await;
    house.next(AskKind::UploadPhoto).await;
    house.reads_nothing().await;
}

#[tokio::test]
async fn a_library_that_hangs_delays_neither_other_tenants_nor_photos_that_are_sent() {
    let mut house = Harness::with(memory_for(100));
    house.names_two_tenants(TenantTerms::default());
    let mut hanging = Vec::new();
    for nth in 0..4 * PHOTOS_MAX {
        house.admit(naming_of("other", &format!("people/{nth}"))).await;
        house.answers(AskKind::ReadFolder, bare()).await;
    }
    for _ in 0..PHOTOS_MAX {
        hanging.push(house.next_read().await);
    }
    house.admit(Spec { tenant: tenant("other"), ..spec() }).await;
    house.answers(AskKind::ReadFolder, bare()).await;
    let _sent = house.next(AskKind::UploadPhoto).await;
    house.admit(naming_of("small", "people/1")).await;
    house.answers(AskKind::ReadFolder, bare()).await;
    house.reads_photo().await.next(AskKind::UploadPhoto).await;
    assert!(hanging.iter().all(|read| !read.answer.is_closed()), "no time has passed");
    house.pass(READ_TIMEOUT, &[&house]).await;
    assert!(hanging.iter().all(|read| read.answer.is_closed()), "reads end after their timeout");
}
