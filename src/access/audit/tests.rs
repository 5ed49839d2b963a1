use std::{
    collections::VecDeque,
    fs,
    path::PathBuf,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use futures_util::{FutureExt, future};
use serde_json::Value;
use tempfile::TempDir;

use super::*;
use crate::{domain::Timestamp, sync::lock};

/// A folder with an audit file.
struct Scene {
    folder: TempDir,
    faults: Faults,
}

/// What the storage does instead of what it is asked for. Clones share it.
#[derive(Clone, Default)]
struct Faults(Arc<FaultsInner>);

#[derive(Default)]
struct FaultsInner {
    /// What the next appends do.
    appends: Mutex<VecDeque<Append>>,
    is_full: AtomicBool,
    cuts_fail: AtomicBool,
    hang: Mutex<Option<std::sync::mpsc::Receiver<()>>>,
}

/// What one append does.
enum Append {
    /// It writes everything.
    Works,
    /// It writes this many bytes.
    Writes(usize),
    Fails,
}

struct Faulty {
    file: AuditFile,
    faults: Faults,
}

impl Storage for Faulty {
    fn reopen(&mut self) -> io::Result<Option<FileTail>> {
        self.file.reopen()
    }

    fn is_moved(&mut self) -> bool {
        self.file.is_moved()
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let hang = lock(&self.faults.0.hang).take();
        if let Some(released) = hang {
            let _ = released.recv();
        }
        match lock(&self.faults.0.appends).pop_front() {
            None | Some(Append::Works) => self.file.append(bytes),
            Some(Append::Writes(some)) => self.file.append(&bytes[..some]),
            Some(Append::Fails) => Err(io::Error::other("broken disk")),
        }
    }

    fn cut(&mut self, bytes: usize) -> io::Result<()> {
        match self.faults.0.cuts_fail.load(Ordering::SeqCst) {
            true => Err(io::Error::other("broken disk")),
            false => self.file.cut(bytes),
        }
    }

    fn secure(&mut self, bytes: u64) -> io::Result<Option<u64>> {
        match self.faults.0.is_full.load(Ordering::SeqCst) {
            true => Err(io::ErrorKind::StorageFull.into()),
            false => self.file.secure(bytes),
        }
    }

    fn room(&self) -> u64 {
        self.file.room()
    }

    fn settle(&mut self) -> io::Result<()> {
        self.file.settle()
    }
}

impl Scene {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), faults: Faults::default() }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("audit.log")
    }

    fn open(&self, mode: FailureMode) -> Audit {
        self.open_at(mode, Clock::system())
    }

    fn open_at(&self, mode: FailureMode, clock: Clock) -> Audit {
        let (file, tail) = AuditFile::open(&self.path()).unwrap();
        let storage = Faulty { file, faults: self.faults.clone() };
        Audit::over(Box::new(storage), &tail, mode, "replica".into(), clock).unwrap()
    }

    fn fault(&self, appends: impl IntoIterator<Item = Append>) {
        lock(&self.faults.0.appends).extend(appends);
    }

    fn text(&self) -> String {
        fs::read_to_string(self.path()).unwrap()
    }

    /// The methods that the lines name, after a check of the chain.
    fn rpcs(&self) -> Vec<String> {
        chained(&self.text(), "").0
    }
}

/// The methods that the lines of a file name, and the hash of its last line. Checks that each line
/// has the hash of the line before.
fn chained(text: &str, before: &str) -> (Vec<String>, String) {
    assert!(text.is_empty() || text.ends_with('\n'), "the last line is torn: {text}");
    let (mut rpcs, mut previous) = (Vec::new(), before.to_owned());
    for line in text.lines().filter(|line| !line.is_empty()) {
        if let Ok(record) = serde_json::from_str::<Value>(line) {
            assert_eq!(record["previous"], previous.as_str(), "{line}");
            rpcs.push(record["rpc"].as_str().unwrap().to_owned());
        } else {
            rpcs.push("torn".into());
        }
        previous = blake3::hash(line.as_bytes()).to_hex().to_string();
    }
    (rpcs, previous)
}

fn record(rpc: &'static str) -> AuditRecord {
    AuditRecord { rpc, code: "OK", ..AuditRecord::default() }
}

async fn put(audit: &Audit, rpc: &'static str) -> Result<(), AuditFailure> {
    let slot = audit.reserve().await?;
    audit.write(slot, record(rpc)).await
}

#[tokio::test]
async fn records_are_chained_from_the_first_line_on_and_over_starts() {
    let scene = Scene::new();
    let (clock, hand) = Clock::manual(Timestamp::from_micros(0));
    let audit = scene.open_at(FailureMode::Refuse, clock.clone());
    put(&audit, "a").await.unwrap();
    hand.advance(Duration::from_micros(1));
    put(&audit, "b").await.unwrap();
    audit.close().await;
    let audit = scene.open_at(FailureMode::Refuse, clock);
    put(&audit, "c").await.unwrap();
    audit.close().await;
    assert_eq!(scene.rpcs(), ["a", "b", "c"]);
    assert!(
        scene.text().starts_with(r#"{"time":"1970-01-01T00:00:00.000000Z","replica":"replica""#)
    );
    assert!(put(&audit, "d").await.is_err(), "it is closed");
}

#[tokio::test]
async fn records_that_wait_are_written_together() {
    let scene = Scene::new();
    let audit = scene.open(FailureMode::Refuse);
    let calls = (0..5_000).map(|_| put(&audit, "a"));
    future::try_join_all(calls).await.unwrap();
    audit.close().await;
    assert_eq!(scene.rpcs().len(), 5_000);
    assert_eq!(fs::metadata(scene.path()).unwrap().len(), scene.text().len() as u64);
}

#[tokio::test]
async fn a_torn_line_is_kept_ended_and_chained() {
    let scene = Scene::new();
    let audit = scene.open(FailureMode::Refuse);
    put(&audit, "a").await.unwrap();
    put(&audit, "b").await.unwrap();
    audit.close().await;
    let text = scene.text();
    fs::write(scene.path(), &text[..text.len() - 20]).unwrap();
    let audit = scene.open(FailureMode::Refuse);
    put(&audit, "c").await.unwrap();
    audit.close().await;
    assert_eq!(scene.rpcs(), ["a", "torn", "c"]);
}

#[tokio::test]
async fn no_record_is_lost_or_doubled_by_a_thousand_rotations_under_load() {
    const ROTATIONS: usize = 1_000;
    let scene = Scene::new();
    let audit = scene.open(FailureMode::Refuse);
    let rotated = |n: usize| scene.folder.path().join(format!("audit.log.{n}"));
    let is_done = AtomicBool::new(false);
    let load = async || {
        let mut written = 0_usize;
        while !is_done.load(Ordering::SeqCst) {
            put(&audit, "a").await.unwrap();
            written += 1;
        }
        written
    };
    let rotating = async {
        for n in 0..ROTATIONS {
            // Some are noticed, some are told.
            fs::rename(scene.path(), rotated(n)).unwrap();
            if n % 3 == 0 {
                audit.reopen();
            }
            while !scene.path().exists() {
                tokio::task::yield_now().await;
            }
        }
        is_done.store(true, Ordering::SeqCst);
    };
    let loads = future::join_all((0..8).map(|_| load()));
    let (written, ()) = future::join(loads, rotating).await;
    audit.close().await;
    let (mut found, mut previous) = (0, String::new());
    for path in (0..ROTATIONS).map(rotated).chain([scene.path()]) {
        let (rpcs, last) = chained(&fs::read_to_string(path).unwrap(), &previous);
        (found, previous) = (found + rpcs.len(), last);
    }
    assert_eq!(found, written.iter().sum::<usize>());
}

#[tokio::test]
async fn a_reopened_file_that_was_not_moved_goes_on() {
    let scene = Scene::new();
    let audit = scene.open(FailureMode::Refuse);
    put(&audit, "a").await.unwrap();
    audit.reopen();
    put(&audit, "b").await.unwrap();
    audit.close().await;
    assert_eq!(scene.rpcs(), ["a", "b"]);
}

#[tokio::test]
async fn a_path_that_cannot_be_opened_again_fails_until_it_can() {
    let scene = Scene::new();
    let audit = scene.open(FailureMode::Refuse);
    put(&audit, "a").await.unwrap();
    let moved = scene.folder.path().join("old");
    fs::rename(scene.path(), &moved).unwrap();
    fs::create_dir(scene.path()).unwrap();
    // The room that was secured in the old file is of no use any more, which the thread notices.
    let slot = audit.reserve().await.unwrap();
    audit.write(slot, record("b")).await.unwrap_err();
    put(&audit, "c").await.unwrap_err();
    fs::remove_dir(scene.path()).unwrap();
    put(&audit, "d").await.unwrap();
    audit.close().await;
    let (before, last) = chained(&fs::read_to_string(moved).unwrap(), "");
    assert_eq!((before, chained(&scene.text(), &last).0), (vec!["a".into()], vec!["d".into()]));
}

#[tokio::test]
async fn a_part_of_a_line_is_cut_off_again() {
    let scene = Scene::new();
    let audit = scene.open(FailureMode::Refuse);
    put(&audit, "a").await.unwrap();
    let slot = audit.reserve().await.unwrap();
    scene.fault([Append::Writes(50), Append::Writes(7), Append::Fails]);
    let failure = audit.write(slot, record("b")).await.unwrap_err();
    assert_eq!(failure.to_string(), "the audit file can't be written: broken disk");
    assert_eq!(scene.rpcs(), ["a"]);
    put(&audit, "c").await.unwrap();
    audit.close().await;
    assert_eq!(scene.rpcs(), ["a", "c"]);
}

#[tokio::test]
async fn whole_lines_of_a_batch_that_broke_off_are_kept() {
    let scene = Scene::new();
    let audit = scene.open(FailureMode::Refuse);
    put(&audit, "a").await.unwrap();
    let line = scene.text().len() + 64;
    let mut slots = Vec::new();
    for _ in 0..3 {
        slots.push(audit.reserve().await.unwrap());
    }
    let (release, hang) = std::sync::mpsc::channel();
    *lock(&scene.faults.0.hang) = Some(hang);
    scene.fault([Append::Works, Append::Writes(line + 10), Append::Fails]);
    let mut writes = slots.into_iter().map(|slot| audit.write(slot, record("b")).boxed());
    let mut first = writes.next().unwrap();
    assert!((&mut first).now_or_never().is_none());
    // The thread has taken the first one when it hangs in its append.
    while lock(&scene.faults.0.hang).is_some() {
        tokio::task::yield_now().await;
    }
    let others = future::join_all(writes);
    let (first, others, ()) =
        future::join3(first, others, async { release.send(()).unwrap() }).await;
    assert!(first.is_ok() && others[0].is_ok() && others[1].is_err(), "{first:?} {others:?}");
    put(&audit, "c").await.unwrap();
    audit.close().await;
    assert_eq!(scene.rpcs(), ["a", "b", "b", "c"]);
}

#[tokio::test]
async fn a_part_that_cannot_be_cut_off_is_a_torn_line() {
    let scene = Scene::new();
    let audit = scene.open(FailureMode::Refuse);
    put(&audit, "a").await.unwrap();
    let slot = audit.reserve().await.unwrap();
    scene.faults.0.cuts_fail.store(true, Ordering::SeqCst);
    scene.fault([Append::Writes(50), Append::Fails]);
    audit.write(slot, record("b")).await.unwrap_err();
    put(&audit, "c").await.unwrap();
    audit.close().await;
    assert_eq!(scene.rpcs(), ["a", "torn", "c"]);
}

#[tokio::test]
async fn a_full_disk_refuses_calls_before_they_are_handled_and_only_then() {
    let scene = Scene::new();
    let audit = scene.open(FailureMode::Refuse);
    let slot = audit.reserve().await.unwrap();
    scene.faults.0.is_full.store(true, Ordering::SeqCst);
    let mut slots = vec![slot];
    // The room that is there is used up.
    while let Ok(slot) = audit.reserve().await {
        slots.push(slot);
    }
    assert!(slots.len() > 100, "{} slots", slots.len());
    let written = slots.into_iter().map(|slot| audit.write(slot, record("a")));
    future::try_join_all(written).await.expect("each line was reserved");
    scene.faults.0.is_full.store(false, Ordering::SeqCst);
    put(&audit, "b").await.unwrap();
}

#[tokio::test]
async fn a_slot_that_is_dropped_gives_its_room_back() {
    let scene = Scene::new();
    let audit = scene.open(FailureMode::Refuse);
    drop(audit.reserve().await.unwrap());
    scene.faults.0.is_full.store(true, Ordering::SeqCst);
    for _ in 0..10_000 {
        drop(audit.try_reserve().expect("there is room again"));
    }
}

#[tokio::test]
async fn a_device_is_tried_first_and_a_full_one_refuses_each_call() {
    let path = std::path::Path::new("/dev/full");
    let replica = || "replica".to_owned();
    let full = Audit::open(path, FailureMode::Refuse, replica(), Clock::system()).unwrap();
    full.reserve().await.unwrap_err();
    full.reserve().await.unwrap_err();
    let logging = Audit::open(path, FailureMode::Log, replica(), Clock::system()).unwrap();
    put(&logging, "a").await.expect("failures are only logged");
    let path = std::path::Path::new("/dev/null");
    let null = Audit::open(path, FailureMode::Refuse, replica(), Clock::system()).unwrap();
    put(&null, "a").await.unwrap();
}

#[tokio::test]
async fn a_failure_that_is_only_logged_leaves_the_chain_whole() {
    let scene = Scene::new();
    let audit = scene.open(FailureMode::Log);
    put(&audit, "a").await.unwrap();
    scene.fault([Append::Fails, Append::Writes(9), Append::Fails]);
    put(&audit, "b").await.unwrap();
    put(&audit, "c").await.unwrap();
    put(&audit, "d").await.unwrap();
    audit.close().await;
    assert_eq!(scene.rpcs(), ["a", "d"]);
}

#[tokio::test]
async fn calls_do_not_wait_for_a_file_system_that_hangs() {
    let scene = Scene::new();
    let (clock, hand) = Clock::manual(Timestamp::from_micros(0));
    let audit = scene.open_at(FailureMode::Refuse, clock);
    let slots = [audit.reserve().await.unwrap(), audit.reserve().await.unwrap()];
    let (release, hang) = std::sync::mpsc::channel();
    *lock(&scene.faults.0.hang) = Some(hang);
    let [first, second] = slots.map(|slot| audit.write(slot, record("a")).boxed());
    let mut first = first;
    assert!((&mut first).now_or_never().is_none());
    hand.advance(PATIENCE);
    assert!(matches!(first.await, Err(AuditFailure::Stuck)));
    assert!(matches!(second.now_or_never(), Some(Err(AuditFailure::Stuck))));
    assert!(audit.try_reserve().is_none(), "there is room, and no answer");
    release.send(()).unwrap();
    // The lines that were given up are there all the same.
    while put(&audit, "b").await.is_err() {}
    audit.close().await;
    assert_eq!(scene.rpcs(), ["a", "a", "b"]);
}

#[tokio::test]
async fn a_record_that_is_not_waited_for_is_written_too() {
    let scene = Scene::new();
    let audit = scene.open(FailureMode::Refuse);
    audit.write_later(audit.reserve().await.unwrap(), record("a"));
    audit.close().await;
    assert_eq!(scene.rpcs(), ["a"]);
}

#[tokio::test]
async fn without_a_file_nothing_is_waited_for() {
    let audit = Audit::off();
    assert!(put(&audit, "a").now_or_never().unwrap().is_ok());
    audit.reopen();
    audit.close().now_or_never().unwrap();
}

#[tokio::test]
async fn a_file_that_another_program_cut_is_continued() {
    let scene = Scene::new();
    let audit = scene.open(FailureMode::Refuse);
    put(&audit, "a").await.unwrap();
    let (_, last) = chained(&scene.text(), "");
    fs::write(scene.path(), "").unwrap();
    put(&audit, "b").await.unwrap();
    audit.close().await;
    assert_eq!(chained(&scene.text(), &last).0, ["b"]);
}
