//! A backup of a SQLite journal, taken over a separate connection while the service is under load,
//! and what a service knows that is started on the backup.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, sync::Arc, time::Duration};

use facematch::{
    pb::{Match, MatchState},
    simulator::{Simulator, sample},
};
use sqlx::{Connection, SqliteConnection, query, sqlite::SqliteConnectOptions};
use tokio::{sync::watch, task::JoinSet};
use tonic::Code;

use crate::{
    callers::list,
    canary::Client,
    checker::{check_one_photo_and_one_analysis, check_verdict},
    process::Process,
    support::{JOURNAL, Refusal, collect, get, last_match, portrait_request, simulator, wait},
};

/// Matches that end before the backup.
const ENDED: usize = 10;

/// The minimum number of matches accepted before the backup, and again after it.
const UNDER_WAY: usize = 20;

/// The duration of analyses: long enough that none ends before the backup.
const PROCESSING: Duration = Duration::from_secs(3_600);

/// Takes a backup as `docs/operating.md` describes.
async fn back_up(journal: &Path, backup: &Path) {
    let options = SqliteConnectOptions::new().filename(journal);
    let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
    let target = backup.display().to_string();
    query("VACUUM INTO $1").bind(target).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

async fn accept(client: &mut Client, oz: &Simulator) -> Match {
    let folder = oz.add_folder(sample::liveness_folder(sample::portrait_jpeg()));
    client.create_match(portrait_request(&folder)).await.unwrap().into_inner()
}

async fn run(client: &mut Client, oz: &Simulator) -> Match {
    let folder = oz.add_folder(sample::liveness_folder(sample::portrait_jpeg()));
    let updates = client.run_match(portrait_request(&folder)).await.unwrap().into_inner();
    last_match(&collect(updates).await.unwrap()).clone()
}

/// Creates matches one after another, and publishes them, until the receiver is dropped.
async fn load(mut client: Client, oz: Arc<Simulator>, told: watch::Sender<Vec<Match>>) {
    while !told.is_closed() {
        let accepted = accept(&mut client, &oz).await;
        told.send_modify(|matches| matches.push(accepted));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_resumes_from_a_backup_taken_under_load() {
    let oz = Arc::new(simulator().await);
    let (directory, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (journal, backup) = (directory.path().join(JOURNAL), elsewhere.path().join(JOURNAL));
    let process = Process::start(&oz, directory.path(), &[]);
    let mut client = process.client().await;
    oz.switch(|switches| switches.processing_ms = 0);
    let mut ended = Vec::new();
    for _ in 0..ENDED {
        ended.push(run(&mut client, &oz).await);
    }

    oz.switch(|switches| switches.processing_ms = PROCESSING.as_millis() as u64);
    let (told, mut accepted) = watch::channel(Vec::new());
    let mut loading = JoinSet::new();
    loading.spawn(load(process.client().await, Arc::clone(&oz), told));
    let before = accepted.wait_for(|matches| matches.len() >= UNDER_WAY).await.unwrap().clone();
    back_up(&journal, &backup).await;
    let until = accepted.borrow().len();
    let all =
        accepted.wait_for(|matches| matches.len() >= until + UNDER_WAY).await.unwrap().clone();
    drop(accepted);
    loading.join_all().await;
    // The first match after the backup may have been admitted before it.
    let after = &all[until + 1..];
    process.kill();

    // Permissions that a backup tool may leave.
    fs::set_permissions(&backup, fs::Permissions::from_mode(0o644)).unwrap();
    let process = Process::start(&oz, elsewhere.path(), &[]);
    assert_eq!(fs::metadata(&backup).unwrap().permissions().mode() & 0o777, 0o600);
    let mut client = process.client().await;
    for expected in &ended {
        let found = client.get_match(get(&expected.match_id)).await.unwrap().into_inner();
        assert_eq!(&found, expected);
    }
    for absent in after {
        let refused = client.get_match(get(&absent.match_id)).await.unwrap_err();
        Refusal::of(refused).assert(Code::NotFound, "MATCH_NOT_FOUND");
    }
    oz.skip(PROCESSING);
    for resumed in &before {
        let wait = wait(&resumed.match_id, Duration::from_secs(60));
        let found = client.wait_match(wait).await.unwrap().into_inner();
        assert_eq!(found.state(), MatchState::Finished, "{found:?}");
        check_one_photo_and_one_analysis(&oz, &found);
        check_verdict(&oz, &found);
    }
    let known = list(&mut client).await.len();
    let (least, most) = (ENDED + before.len(), ENDED + until + 1);
    assert!((least..=most).contains(&known), "{known} matches, expected {least} to {most}");
    tokio::task::spawn_blocking(move || process.stop()).await.unwrap();
}
