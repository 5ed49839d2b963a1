//! Replicas that write without pause take turns, however far each is from the database.

use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::join_all;

use super::*;

/// Settings that make each commit take as long as a disk's sync, even if no other commits at the
/// time.
const SLOW_COMMITS: [&str; 2] = ["commit_delay = 4000", "commit_siblings = 0"];

/// How many writes are in flight at each replica.
const AT_ONCE: usize = 8;

/// After how many commits of all replicas the test ends.
const COMMITS: u64 = 900;

/// The results of one replica's writes.
struct Tally {
    written: usize,
    failed: usize,
    /// How long each write took, the shortest first.
    took: Vec<Duration>,
}

impl Tally {
    fn p99(&self) -> Duration {
        self.took[self.took.len() * 99 / 100]
    }
}

/// Three replicas of one database, the last of them farther away.
struct Trio {
    replicas: Vec<Behind>,
    numbers: AtomicUsize,
}

impl Trio {
    async fn open(cluster: &Cluster, farther: Duration) -> Self {
        let database = cluster.create_database();
        for setting in SLOW_COMMITS {
            cluster.sql(&database, &format!("ALTER DATABASE {database} SET {setting}"));
        }
        let replicas = join_all((0..3).map(|_| Behind::at(cluster, &database, LEASE))).await;
        replicas[2].link.delay(farther);
        Self { replicas, numbers: AtomicUsize::new(0) }
    }

    fn commits(&self) -> u64 {
        self.replicas.iter().map(|it| it.journal.commits()).sum()
    }

    /// Has one replica write without pause until all together have made so many commits.
    async fn write(&self, replica: &Behind, until: u64) -> Tally {
        let clock = Clock::system();
        let writing = (0..AT_ONCE).map(|_| async {
            let (mut took, mut failed) = (Vec::new(), 0);
            while failed == 0 && self.commits() < until {
                let number = self.numbers.fetch_add(1, Ordering::Relaxed) as u64;
                let asked = clock.now();
                match replica.journal.admit(match_id(0, number), Arc::new(plain_spec())).await {
                    Ok(_) => took.push(clock.now().since(asked)),
                    Err(_) => failed += 1,
                }
            }
            (took, failed)
        });
        let (took, failed): (Vec<_>, Vec<usize>) = join_all(writing).await.into_iter().unzip();
        let mut took: Vec<Duration> = took.into_iter().flatten().collect();
        took.sort_unstable();
        Tally { written: took.len(), failed: failed.iter().sum(), took }
    }

    async fn write_all(&self) -> Vec<Tally> {
        let until = self.commits() + COMMITS;
        join_all(self.replicas.iter().map(|replica| self.write(replica, until))).await
    }

    async fn close(self) {
        for replica in self.replicas {
            replica.journal.close().await;
        }
    }
}

/// How often the share is measured, at most: other work on the machine can spoil a round.
const ROUNDS: usize = 3;

/// Why a round doesn't show fair turns.
fn unfair(tallies: &[Tally]) -> Option<String> {
    let written: Vec<usize> = tallies.iter().map(|it| it.written).collect();
    let p99: Vec<Duration> = tallies.iter().map(Tally::p99).collect();
    let all: usize = written.iter().sum();
    let shared = written.iter().all(|it| it * 6 >= all);
    let prompt = p99[2] <= p99[0].min(p99[1]) * 4;
    (!shared || !prompt).then(|| format!("written {written:?}, p99 {p99:?}"))
}

/// Commits take as long as a disk's sync, and one replica is a millisecond farther away: without
/// turns the others' commits would always come first. Each replica makes at least half of an equal
/// share of the commits, and the far one's p99 is at most four times that of the near ones.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_is_farther_away_has_its_share_of_commits() {
    let cluster = Cluster::start();
    let trio = Trio::open(&cluster, Duration::from_millis(1)).await;
    let mut spoilt = Vec::new();
    while spoilt.len() < ROUNDS {
        let tallies = trio.write_all().await;
        assert_eq!(tallies.iter().map(|it| it.failed).sum::<usize>(), 0, "no write times out");
        match unfair(&tallies) {
            Some(why) => spoilt.push(why),
            None => break,
        }
    }
    println!("turns: spoilt rounds {spoilt:?}");
    assert!(spoilt.len() < ROUNDS, "in no round had each its share: {spoilt:#?}");
    trio.close().await;
}

/// Takes the lock that a replica holds during its turn.
const TURN: &str = "SELECT pg_advisory_xact_lock('commits'::regclass::oid::integer, 1)";

/// A snapshot older than the wait would cost another try, which goes to the end of the queue.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_sees_all_that_was_committed_before_its_turn() {
    let one = Served::create().await;
    let (first, claim) = admit(&one, match_id(0, 1), plain_spec()).await;
    append(&one, claim, Sequence(1), uploaded()).await;
    let mut other = open_transaction(&one.database, TURN).await;
    let elsewhere = "
        INSERT INTO commits SELECT max(last_position) + 1, max(last_position) + 7, 5 FROM commits;
        INSERT INTO match_analyses VALUES ('a-1', gen_random_uuid())";
    raw_sql(elsewhere).execute(&mut other).await.unwrap();
    let writing = async {
        let journal = one.journal();
        tokio::join!(
            journal.append(claim, Sequence(2), started("a-1")),
            journal.admit(match_id(0, 2), Arc::new(plain_spec())),
        )
    };
    let going_on = commit_once_awaited(&one.database, other);
    let ((appended, admitted), ()) = tokio::join!(writing, going_on);
    assert_eq!(appended.unwrap(), Appended::Taken);
    let Admitted::New(second, _) = admitted.unwrap() else { panic!("not a new match") };
    assert_eq!(second.position, Position(first.position.0 + 9));
    assert_eq!(one.journal().lost_races(), 0);
}

/// Whether the replica hangs or its connections are cut, at any point of its statement.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_falls_silent_keeps_no_turn() {
    let cluster = Cluster::start();
    let trio = Trio::open(&cluster, Duration::ZERO).await;
    let [silent, others @ ..] = &trio.replicas[..] else { panic!("three") };
    for cut in [false, true] {
        let start = trio.commits();
        let until = start + COMMITS / 2;
        let writing = others.iter().map(|it| trio.write(it, until));
        let falling = async {
            while trio.commits() < start + 20 {
                tokio::task::yield_now().await;
            }
            silent.link.silence();
            if cut {
                silent.link.cut();
            }
        };
        let (_, tallies, ()) = tokio::join!(trio.write(silent, until), join_all(writing), falling);
        let written: Vec<_> = tallies.iter().map(|it| (it.written, it.failed)).collect();
        assert!(written.iter().all(|it| it.0 > 0 && it.1 == 0), "{written:?}");
        silent.link.heal();
        super::until("the replica is back", || silent.journal.may_act()).await;
    }
    trio.close().await;
}

/// If a replica may not call the function, the key of `commits` still orders its events, and the
/// races that it loses are counted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_may_not_take_turns_writes_and_counts_the_races_that_it_loses() {
    let database = shared().create_database();
    open(&database, START).await.close().await;
    let deny = "REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA public FROM PUBLIC;
        CREATE ROLE turnless LOGIN;
        GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO turnless";
    shared().sql(&database, deny);
    let url = shared().url(&database).replace("facematch@", "turnless@");
    let config = Config { url: url.into(), ..config(&database, Clock::system()) };
    let journal = Postgres::open(config).await.unwrap();
    let key = "INSERT INTO commits SELECT max(last_position) + 1, max(last_position) + 1, 5
               FROM commits";
    let other = open_transaction(&database, key).await;
    let writing = journal.admit(match_id(0, 1), Arc::new(plain_spec()));
    let (admitted, ()) = tokio::join!(writing, commit_once_awaited(&database, other));
    assert!(matches!(admitted, Ok(Admitted::New(..))), "{admitted:?}");
    assert_eq!((journal.commits(), journal.lost_races()), (1, 1));
    journal.close().await;
}

/// Its `lock_timeout` takes a writer that has given up out of the queue.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_function_is_created_once_by_replicas_that_start_together() {
    let database = shared().create_database();
    let replicas = join_all((0..8).map(|_| open(&database, START))).await;
    let functions = "SELECT count(*) FROM pg_proc WHERE proname LIKE 'write\\_events\\_%'";
    assert_eq!(shared().sql(&database, functions), "1");
    for mut replica in replicas {
        replica.close().await;
    }
    let waits = "SELECT 'lock_timeout=10000' = ANY(proconfig) FROM pg_proc
                 WHERE proname LIKE 'write\\_events\\_%'";
    assert_eq!(shared().sql(&database, waits), "t");
}
