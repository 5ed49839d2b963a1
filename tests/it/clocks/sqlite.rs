//! One process over SQLite, for which the machine's clock is authoritative.

use std::{fs, path::PathBuf, process::Command, time::Duration};

use facematch::{
    pb::{Match, MatchState},
    simulator::{Endpoint, RecordedRequest, Simulator, sample},
};
use sqlx::{
    AssertSqlSafe, Connection, SqliteConnection, query_scalar, sqlite::SqliteConnectOptions,
};
use tempfile::TempDir;
use tokio::time::{interval, timeout};

use crate::{
    canary::{self, Client},
    checker::{check_all_updates, check_one_photo_and_one_analysis, check_verdict},
    clocks::{HOUR, YEAR, check_created, shift::Shift},
    process::{PROGRAM, Process},
    support::{
        JOURNAL, PATIENCE, POLL, collect, eventually, get, last_match, portrait_request,
        read_until, simulator, watch,
    },
};

/// Matches that end under a correct clock.
const MATCHES: usize = 5;

/// Matches that end under a clock in the past.
const PAST_MATCHES: usize = 3;

/// A processing time that no analysis reaches before the test skips it.
const NEVER_MS: u64 = 3_600_000;

/// How many times the machine is suspended between two readings of its clocks.
const NAPS: i64 = 100;

/// The log message of paused retention.
const PAUSED: &str = "retention paused";

/// A journal, a simulated Oz, and the service's clocks.
struct Scene {
    oz: Simulator,
    directory: TempDir,
    shift: Shift,
}

impl Scene {
    /// With clocks that are `seconds` ahead.
    async fn by(seconds: i64) -> Self {
        let oz = simulator().await;
        oz.switch(|switches| switches.processing_ms = 0);
        Self { oz, directory: tempfile::tempdir().unwrap(), shift: Shift::by(seconds) }
    }

    /// Starts the service with its log in a file.
    fn start(&self) -> Process {
        let mut command = Command::new("sh");
        command
            .args(["-c", r#"exec "$0" "$@" 2>"$SERVICE_LOG""#, PROGRAM])
            .env("SERVICE_LOG", self.log())
            .envs(self.shift.environment());
        Process::start_by(&mut command, &self.oz, self.directory.path(), &[])
    }

    fn log(&self) -> PathBuf {
        self.directory.path().join("log")
    }

    /// Stops the service, and checks its log for canaries.
    fn stop(&self, process: Process) {
        process.stop();
        canary::check("the log", &fs::read(self.log()).unwrap());
    }

    /// Runs matches to Oz's verdict.
    async fn run(&self, client: &mut Client, count: usize) -> Vec<Match> {
        let mut matches = Vec::new();
        for _ in 0..count {
            let updates = client.run_match(portrait_request(&self.folder())).await.unwrap();
            let updates = collect(updates.into_inner()).await.unwrap();
            check_all_updates(&updates);
            self.check_finished(last_match(&updates));
            matches.push(last_match(&updates).clone());
        }
        matches
    }

    /// Begins a match whose analysis runs until [`finish`](Self::finish).
    async fn begin(&self, client: &mut Client) -> Match {
        self.oz.switch(|switches| switches.processing_ms = NEVER_MS);
        let updates = client.run_match(portrait_request(&self.folder())).await.unwrap();
        let begun = read_until(&mut updates.into_inner(), "analysis_started").await;
        last_match(&begun).clone()
    }

    /// Ends all analyses.
    fn finish(&self) {
        self.oz.switch(|switches| switches.processing_ms = 0);
        self.oz.skip(Duration::from_millis(NEVER_MS));
    }

    /// Waits for the end of a match, and returns its last state.
    async fn ended(&self, client: &mut Client, m: &Match) -> Match {
        let updates = client.watch_match(watch(&m.match_id)).await.unwrap();
        let updates = collect(updates.into_inner()).await.unwrap();
        check_all_updates(&updates);
        last_match(&updates).clone()
    }

    fn folder(&self) -> String {
        self.oz.add_folder(sample::liveness_folder(sample::portrait_jpeg()))
    }

    fn check_finished(&self, m: &Match) {
        assert_eq!(m.state(), MatchState::Finished, "{m:?}");
        check_one_photo_and_one_analysis(&self.oz, m);
        check_verdict(&self.oz, m);
    }

    /// Waits until the match is polled `times` times from now on.
    async fn polled(&self, m: &Match, times: usize) {
        self.oz.clear_record();
        let is_poll = |r: &&RecordedRequest| {
            r.endpoint == Endpoint::GetAnalysis
                && r.folder.is_some_and(|folder| folder.to_string() == m.folder_id)
        };
        let polled = self.oz.recorded(|all| all.iter().filter(is_poll).count() >= times);
        timeout(PATIENCE, polled).await.expect("the match is polled");
    }

    /// Makes the next round of housekeeping visible: after it erases expired matches, it refills
    /// the index column that is cleared here.
    async fn mark_next_round(&self) {
        self.sql("UPDATE match_states SET end_state = NULL RETURNING 0").await;
    }

    /// Waits for the end of that round.
    async fn round(&self) {
        const LEFT: &str = "SELECT count(*) FROM match_states
            WHERE end_time IS NOT NULL AND end_state IS NULL";
        let mut looks = interval(POLL);
        let waiting = async {
            while self.sql(LEFT).await != 0 {
                looks.tick().await;
            }
        };
        timeout(PATIENCE, waiting).await.expect("a round of housekeeping");
    }

    /// Waits until the log says that retention is paused.
    async fn paused(&self) {
        let is_told = || fs::read_to_string(self.log()).unwrap().contains(PAUSED);
        eventually(is_told, || format!("the log doesn't say {PAUSED:?}")).await;
    }

    /// The number that a statement returns from the journal.
    async fn sql(&self, statement: &str) -> i64 {
        let options = SqliteConnectOptions::new().filename(self.directory.path().join(JOURNAL));
        let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
        let said = query_scalar(AssertSqlSafe(statement)).fetch_one(&mut connection).await;
        connection.close().await.unwrap();
        said.unwrap()
    }
}

/// Checks that each match is unchanged since its end.
async fn check_kept(client: &mut Client, matches: &[Match]) {
    for m in matches {
        let kept = client.get_match(get(&m.match_id)).await;
        assert_eq!(kept.expect("it is kept").into_inner(), *m);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn starts_a_year_ahead_and_back_on_time_erase_nothing() {
    let scene = Scene::by(0).await;
    let process = scene.start();
    let mut matches = scene.run(&mut process.client().await, MATCHES).await;
    scene.stop(process);

    for seconds in [YEAR, 0] {
        scene.shift.set(seconds);
        scene.mark_next_round().await;
        let process = scene.start();
        scene.round().await;
        let mut client = process.client().await;
        check_kept(&mut client, &matches).await;
        scene.paused().await;
        let run = scene.run(&mut client, 2).await;
        run.iter().for_each(|m| check_created(m, seconds));
        matches.extend(run);
        check_kept(&mut client, &matches).await;
        scene.stop(process);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn matches_that_end_by_a_clock_a_year_behind_are_kept_once_it_is_right() {
    let scene = Scene::by(-YEAR).await;
    let process = scene.start();
    let matches = scene.run(&mut process.client().await, PAST_MATCHES).await;
    matches.iter().for_each(|m| check_created(m, -YEAR));
    scene.stop(process);

    scene.shift.set(0);
    scene.mark_next_round().await;
    let process = scene.start();
    scene.round().await;
    check_kept(&mut process.client().await, &matches).await;
    scene.paused().await;
    scene.stop(process);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_step_a_year_ahead_erases_nothing_and_a_step_back_stops_no_match() {
    let scene = Scene::by(0).await;
    let process = scene.start();
    let mut client = process.client().await;
    let ended = scene.run(&mut client, MATCHES).await;
    let overtaken = scene.begin(&mut client).await;

    scene.shift.set(YEAR);
    scene.mark_next_round().await;
    let slow = scene.begin(&mut client).await;
    check_created(&slow, YEAR);
    let timed_out = scene.ended(&mut client, &overtaken).await;
    assert_eq!(timed_out.error.unwrap().reason, "MATCH_TIMED_OUT");
    scene.round().await;
    check_kept(&mut client, &ended).await;
    scene.paused().await;

    scene.shift.set(0);
    scene.polled(&slow, 3).await;
    scene.finish();
    scene.check_finished(&scene.ended(&mut client, &slow).await);
    let after = scene.run(&mut client, 1).await;
    check_created(&after[0], YEAR);
    check_kept(&mut client, &ended).await;
    scene.stop(process);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_suspension_between_two_readings_of_the_clocks_is_counted_once() {
    let scene = Scene::by(0).await;
    let process = scene.start();
    let mut client = process.client().await;
    scene.run(&mut client, 1).await;
    scene.shift.suspend_behind_readings(HOUR, NAPS);
    let suspended = || scene.shift.suspended() == NAPS * HOUR;
    eventually(suspended, || "the service reads its clocks too seldom".to_owned()).await;
    let m = scene.run(&mut client, 1).await;
    check_created(&m[0], NAPS * HOUR);
    scene.stop(process);
}
