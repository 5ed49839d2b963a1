//! The admin port over PostgreSQL: a database that is away or read-only makes a replica unready, and
//! never has it restarted.

use std::net::{Ipv4Addr, SocketAddr};

use crate::{
    http1::{Answer, get, get_until},
    postgres::free_port,
    replicas::fleet::{Fleet, Plan},
};

/// A fleet of one replica, and the address of its admin port.
async fn fleet(links: bool) -> (Fleet, SocketAddr) {
    let admin = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
    let listen: &'static str = admin.to_string().leak();
    let settings = vec![("--admin-listen", listen)];
    let plan = Plan { replicas: 1, own_cluster: !links, links, settings, ..Plan::default() };
    (Fleet::start_by_plan(plan).await, admin)
}

async fn is_ready(admin: SocketAddr) {
    let ready = get_until(admin, "/readyz?verbose", |answer| answer.status == 200).await;
    assert_eq!(
        ready.body,
        "[+]started ok\n[+]files ok\n[+]not-draining ok\n[+]journal ok\n[+]journal-writes ok\n\
         [+]lease ok\nreadyz check passed\n"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_away_makes_a_replica_unready_until_it_is_back() {
    let (fleet, admin) = fleet(true).await;
    is_ready(admin).await;
    fleet.link(0).refuse();
    fleet.link(0).cut();
    get_until(admin, "/readyz/journal", |answer| answer.status == 503).await;
    get_until(admin, "/readyz/lease", |answer| answer.status == 503).await;
    let away = get(admin, "/readyz").await;
    assert_eq!(away.status, 503);
    // A connection is refused at once, but the pool tries again for as long as the probe waits.
    let reasons = ["the store doesn't answer", "no answer within 2 s"];
    let is_told = |reason| away.body.contains(&format!("[-]journal failed: {reason}\n"));
    assert!(reasons.into_iter().any(is_told), "{}", away.body);
    assert!(away.body.contains("[-]lease failed: the lease could not be renewed in time\n"));
    assert_eq!(get(admin, "/livez").await.status, 200);
    fleet.link(0).heal();
    is_ready(admin).await;
    fleet.shut_down_all().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_hangs_makes_a_replica_unready_and_leaves_it_live() {
    let (fleet, admin) = fleet(false).await;
    is_ready(admin).await;
    fleet.cluster().pause();
    let hanging = get_until(admin, "/readyz", |answer| answer.status == 503).await;
    assert!(hanging.body.contains("[-]journal failed: "), "{}", hanging.body);
    assert_eq!(get(admin, "/livez").await.status, 200);
    fleet.cluster().resume();
    is_ready(admin).await;
    fleet.shut_down_all().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_only_database_makes_a_replica_unready() {
    let (fleet, admin) = fleet(false).await;
    let set = |value: &str| {
        fleet.sql(&format!("ALTER SYSTEM SET default_transaction_read_only = {value}"));
        fleet.sql("SELECT pg_reload_conf()");
    };
    is_ready(admin).await;
    set("on");
    let failing = |answer: &Answer| answer.body.contains("[-]journal-writes failed");
    let read_only = get_until(admin, "/readyz", failing).await;
    assert_eq!(read_only.status, 503);
    assert!(read_only.body.contains("[+]journal ok\n"), "{}", read_only.body);
    set("off");
    is_ready(admin).await;
    fleet.shut_down_all().await;
}
