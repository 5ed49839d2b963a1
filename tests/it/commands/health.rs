//! `facematch health`: its exit code is what containers and units act on.

use std::{net::TcpListener, time::Duration};

use serde_json::json;

use crate::{
    commands::program::{Program, Ran},
    http1::get_until,
    support::{TestServer, now},
};

/// A service with an admin port that is ready, and the URL of the port.
async fn ready() -> (TestServer, String) {
    let house = TestServer::build_with(|c| c.admin_listen = "127.0.0.1:0".parse().ok()).await;
    let admin = house.admin.expect("it has one");
    get_until(admin, "/readyz", |answer| answer.status == 200).await;
    (house, format!("http://{admin}"))
}

/// A URL at which no process listens.
fn nowhere() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    format!("http://{}", listener.local_addr().expect("an address"))
}

#[track_caller]
fn assert_healthy(ran: &Ran) {
    ran.assert_code(0);
    assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("", ""));
}

#[track_caller]
fn assert_unhealthy(ran: &Ran, why: &str) {
    ran.assert_code(1);
    assert_eq!((ran.stdout.as_str(), ran.stderr.lines().count()), ("", 1), "{}", ran.stderr);
    assert!(ran.stderr.contains(why), "{} has no {why:?}", ran.stderr);
}

#[tokio::test]
async fn a_ready_server_is_healthy_however_it_is_named() {
    let (house, admin) = ready().await;
    let port = admin.rsplit(':').next().expect("a port");
    for live in ["", " --live"] {
        let asked = |line: &str| Program::new(&format!("health{live}{line}"));
        assert_healthy(&asked(&format!(" --admin {admin}")).piped().await);
        assert_healthy(&asked(&format!(" --server {}", house.address)).piped().await);
        let by_variable = asked("").variable("FACEMATCH_ADMIN_LISTEN", format!("0.0.0.0:{port}"));
        assert_healthy(&by_variable.piped().await);
        let by_grpc = asked("").variable("FACEMATCH_SERVER", house.address.clone());
        assert_healthy(&by_grpc.piped().await);
    }
}

#[tokio::test]
async fn what_is_not_ready_is_named_in_one_line_and_lives() {
    let house = TestServer::build_with(|config| {
        config.admin_listen = "127.0.0.1:0".parse().ok();
        config.audit_file = Some("/dev/full".into());
    })
    .await;
    let admin = house.admin.expect("it has one");
    get_until(admin, "/readyz/started", |answer| answer.status == 200).await;
    let asked = |line: &str| Program::new(&format!("health --admin http://{admin}{line}")).piped();
    assert_unhealthy(
        &asked("").await,
        "not ready: audit-file failed: the audit file can't be written",
    );
    let told = asked(" --output json").await.error();
    assert_eq!(
        told,
        json!({
            "code": "UNAVAILABLE",
            "message": "not ready: audit-file failed: the audit file can't be written",
        })
    );
    assert_healthy(&asked(" --live").await);
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_not_healthy() {
    for (flag, why) in [("--admin", "refused"), ("--server", "")] {
        for live in ["", " --live"] {
            let line = format!("health{live} {flag} {}", nowhere());
            assert_unhealthy(&Program::new(&line).piped().await, why);
        }
    }
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = silent.local_addr().expect("an address");
    for flag in ["--admin", "--server"] {
        let began = now();
        let line = format!("health --timeout 200ms {flag} http://{address}");
        assert_unhealthy(&Program::new(&line).piped().await, "");
        assert!(began.elapsed() < Duration::from_secs(30), "the time limit holds for {flag}");
    }
}

#[tokio::test]
async fn a_port_that_is_no_admin_port_is_not_healthy() {
    let house = TestServer::build().await;
    let line = format!("health --admin {}", house.address);
    assert_unhealthy(&Program::new(&line).piped().await, "/readyz");
}

#[tokio::test]
async fn wrong_usage_is_told_apart() {
    for (program, why) in [
        (Program::new("health --admin https://h:1"), "http://127.0.0.1:50052"),
        (Program::new("health --timeout 0s"), "more than 0"),
        (
            Program::new("health").variable("FACEMATCH_ADMIN_LISTEN", "50052"),
            "FACEMATCH_ADMIN_LISTEN: names no port",
        ),
    ] {
        let ran = program.piped().await;
        ran.assert_code(64);
        assert!(ran.stderr.contains(why), "{}", ran.stderr);
    }
}
