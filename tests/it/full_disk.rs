//! SQLite on a full disk, simulated by a limit on file sizes, which the system also enforces for
//! root.

use std::{path::Path, process::Command, time::Duration};

use facematch::simulator::{Simulator, sample};
use tokio::time::timeout;
use tonic::transport::Channel;
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use crate::{
    process::Process,
    support::{Refusal, collect, portrait_request, simulator},
};

/// The maximum file size in KiB: it fits a new database, and the WAL of a few dozen matches.
const BLOCKS_MAX: &str = "600";

const LOG: &str = "log";

/// More matches than fit into the file.
const MATCHES_MAX: usize = 500;

/// How long the test waits for a match: longer than one takes while there is room.
const ACCEPTED_WITHIN: Duration = Duration::from_secs(2);

/// The service with a limit on its files' sizes. A write over the limit sends a signal as well,
/// which must not end the service.
fn start(oz: &Simulator, directory: &Path) -> Process {
    // The limit would hold for a log file too, so the log goes through a pipe.
    let log = directory.join(LOG).display().to_string();
    let script = format!(
        r#"exec 3>&2 2> >(exec tee "{log}" >&3); ulimit -S -f {BLOCKS_MAX}; exec "$0" "$@""#
    );
    let mut command = Command::new("bash");
    command.args(["-c", &script, env!("CARGO_BIN_EXE_facematch")]);
    Process::start_by(&mut command, oz, directory, &[])
}

/// Waits until the health check has this status.
async fn health_says(process: &Process, expected: ServingStatus) {
    let address = process.address().to_owned();
    let channel = Channel::from_shared(address).unwrap().connect().await.unwrap();
    let mut client = HealthClient::new(channel);
    let mut told = client.watch(HealthCheckRequest::default()).await.unwrap().into_inner();
    let turning = async { while told.message().await.unwrap().unwrap().status() != expected {} };
    let turned = timeout(Duration::from_secs(60), turning).await;
    turned.unwrap_or_else(|_| panic!("health doesn't become {expected:?}"));
}

#[tokio::test]
async fn health_reports_a_full_disk_and_its_recovery() {
    let oz = simulator().await;
    oz.switch(|switches| switches.processing_ms = 0);
    let folder = oz.add_folder(sample::liveness_folder(sample::portrait_jpeg()));
    let directory = tempfile::tempdir().unwrap();
    let (process, log) = (start(&oz, directory.path()), directory.path().join(LOG));
    let mut client = process.client().await;
    let mut refused = None;
    for _ in 0..MATCHES_MAX {
        let created = client.create_match(portrait_request(&folder));
        // A match may be accepted and then wait because its upload can't be recorded.
        if let Ok(Err(status)) = timeout(ACCEPTED_WITHIN, created).await {
            refused = Some(status);
            break;
        }
    }
    let refused = refused.expect("the disk fills up before the last match");
    Refusal::of(refused).assert(tonic::Code::Unavailable, "STORE_UNAVAILABLE");
    health_says(&process, ServingStatus::NotServing).await;

    rlimit::prlimit(
        process.id().try_into().unwrap(),
        rlimit::Resource::FSIZE,
        Some((rlimit::INFINITY, rlimit::INFINITY)),
        None,
    )
    .unwrap();
    health_says(&process, ServingStatus::Serving).await;
    let run = client.run_match(portrait_request(&folder)).await.unwrap();
    collect(run.into_inner()).await.unwrap();
    tokio::task::spawn_blocking(move || process.stop()).await.unwrap();
    let log = std::fs::read_to_string(log).unwrap();
    let [fails, unhealthy, healthy] = [
        "the store fails",
        r#"health="NOT_SERVING" reason="STORE_UNAVAILABLE""#,
        r#"health="SERVING""#,
    ]
    .map(|words| log.rfind(words).unwrap_or_else(|| panic!("no {words:?} in {log}")));
    assert!(unhealthy < healthy && fails < healthy, "{log}");
}
