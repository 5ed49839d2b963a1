//! TLS and client certificates: who is served, what a change of the files changes, and handshakes
//! that stall or speak another protocol.

pub mod authority;
pub mod scene;

use std::{fs, os::unix::fs::symlink, path::Path, time::Duration};

use facematch::{
    config::ClientAuth,
    pb::{ListMatchesRequest, MatchState, MatchUpdate, WatchMatchesRequest},
    simulator::sample,
};
use rustls::{
    HandshakeKind,
    version::{TLS12, TLS13},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tonic::Streaming;

use crate::{
    http2,
    support::{PATIENCE, collect, last_match, portrait_request},
    tls::{
        authority::{Authority, Identity},
        scene::{Scene, certificate_of, kind},
    },
};

const H2: &[&[u8]] = &[b"h2"];

/// Reads a connection to its end, which the service must bring about.
async fn assert_closed(mut socket: TcpStream) -> Vec<u8> {
    let mut heard = Vec::new();
    let read = tokio::time::timeout(PATIENCE, socket.read_to_end(&mut heard)).await;
    // A reset is an end too.
    let _ = read.expect("the service closes the connection");
    heard
}

#[tokio::test]
async fn a_match_runs_over_tls_and_plain_text_is_refused() {
    let scene = Scene::with(ClientAuth::Off).await;
    let folder = scene.oz.add_folder(sample::liveness_folder(sample::portrait_jpeg()));
    let mut client = scene.client(None).await.unwrap();
    let run = client.run_match(portrait_request(&folder)).await.unwrap();
    assert_eq!(last_match(&collect(run.into_inner()).await.unwrap()).state(), MatchState::Finished);
    let mut socket = scene.socket().await;
    socket.write_all(&http2::begin(0)).await.unwrap();
    assert_closed(socket).await;
    drop(client);
    scene.served.stop().await;
}

#[tokio::test]
async fn a_required_client_certificate_is_checked() {
    let scene = Scene::with(ClientAuth::Required).await;
    scene.write("crl.pem", &scene.clients.revoke(&[13]));
    scene.look_again().await;
    assert!(scene.serves(Some(&scene.clients.client(7))).await);
    for (what, identity) in [
        ("no certificate", None),
        ("another authority's", Some(Authority::new("clients").client(7))),
        ("the server's authority's", Some(scene.servers.client(7))),
        ("an expired one", Some(scene.clients.client_until(7, 2021))),
        ("a revoked one", Some(scene.clients.client(13))),
        ("one for servers", Some(scene.clients.server())),
    ] {
        assert!(!scene.serves(identity.as_ref()).await, "{what} is accepted");
    }
}

#[tokio::test]
async fn a_connection_does_not_outlive_the_certificate_of_its_client() {
    let scene = Scene::with(ClientAuth::Required).await;
    let expiring = scene.clients.client_for(7, 3);
    let mut client = scene.client(Some(&expiring)).await.unwrap();
    let mut call = async || client.list_matches(ListMatchesRequest::default()).await;
    call().await.expect("the certificate is valid");
    let refused = async {
        // The client opens another connection, which its certificate doesn't open any more.
        while call().await.is_ok() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(PATIENCE, refused).await.expect("the connection ends");
}

#[tokio::test]
async fn an_optional_client_certificate_may_be_missing_but_not_wrong() {
    let scene = Scene::with(ClientAuth::Optional).await;
    assert!(scene.serves(None).await);
    assert!(scene.serves(Some(&scene.clients.client(7))).await);
    assert!(!scene.serves(Some(&Authority::new("clients").client(7))).await);
    assert!(!scene.serves(Some(&scene.clients.client_until(7, 2021))).await);
}

#[tokio::test]
async fn a_certificate_of_an_issuer_without_a_revocation_list_is_refused() {
    let scene = Scene::with(ClientAuth::Required).await;
    let other = Authority::new("other");
    scene.write("client-ca.pem", &(scene.clients.pem() + &other.pem()));
    scene.look_again().await;
    assert_eq!(scene.reloads(), (1, 0));
    assert!(scene.serves(Some(&scene.clients.client(7))).await);
    assert!(!scene.serves(Some(&other.client(7))).await);
    scene.write("crl.pem", &(scene.clients.revoke(&[]) + &other.revoke(&[])));
    scene.look_again().await;
    assert!(scene.serves(Some(&other.client(7))).await);
}

/// Reads the next update of each stream.
async fn next_of_each(streams: &mut [Streaming<MatchUpdate>]) {
    for stream in streams {
        let next = tokio::time::timeout(PATIENCE, stream.message()).await;
        next.expect("it heartbeats").expect("it stays open").expect("it isn't ended");
    }
}

/// Replaces the pair of the server as different tools do, with looks of the service in between.
async fn replace(scene: &Scene, next: &Identity, way: &str) {
    match way {
        "in place" => {
            scene.write("cert.pem", &next.cert);
            scene.write("key.pem", &next.key);
        }
        "the key first" => {
            scene.write("key.pem", &next.key);
            scene.look_again().await;
            scene.write("cert.pem", &next.cert);
        }
        "half-written" => {
            scene.write("cert.pem", &next.cert[..next.cert.len() / 2]);
            scene.write("key.pem", &next.key);
            scene.look_again().await;
            scene.write("cert.pem", &next.cert);
        }
        "by a link" => {
            let folder = scene.path("next");
            fs::create_dir(&folder).unwrap();
            fs::write(folder.join("cert.pem"), &next.cert).unwrap();
            fs::write(folder.join("key.pem"), &next.key).unwrap();
            symlink("next", scene.path("..data")).unwrap();
            for name in ["cert.pem", "key.pem"] {
                symlink(Path::new("..data").join(name), scene.path("link")).unwrap();
                fs::rename(scene.path("link"), scene.path(name)).unwrap();
            }
        }
        other => panic!("{other}"),
    }
    scene.look_again().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_streams_stay_open_while_the_files_change() {
    const CONNECTIONS: usize = 10;
    const STREAMS_EACH: usize = 100;
    let scene = Scene::with_config(ClientAuth::Required, |config| {
        config.heartbeat = Duration::from_millis(500);
    })
    .await;
    let caller = scene.clients.client(7);
    let mut streams = Vec::new();
    for _ in 0..CONNECTIONS {
        let mut client = scene.client(Some(&caller)).await.unwrap();
        for _ in 0..STREAMS_EACH {
            let watch = client.watch_matches(WatchMatchesRequest::default()).await;
            streams.push(watch.unwrap().into_inner());
        }
    }
    next_of_each(&mut streams).await;

    let raw = scene.raw_client(Some(&caller), &TLS13, H2);
    let mut changes = 0;
    for way in ["in place", "the key first", "half-written", "by a link"] {
        let next = scene.servers.server();
        replace(&scene, &next, way).await;
        changes += 1;
        assert_eq!(scene.reloads().0, changes, "{way}");
        let seen = certificate_of(&scene.greet(&raw).await.unwrap());
        assert_eq!(seen, next.der().0[0].to_vec(), "{way}: new connections see the new one");
    }
    assert_eq!(scene.reloads(), (4, 1), "only the half-written file was unusable");

    let expired = Authority::new("old").client_until(1, 2021);
    scene.write("cert.pem", &expired.cert);
    scene.write("key.pem", &expired.key);
    scene.look_again().await;
    assert_eq!(scene.reloads(), (4, 2));
    assert!(scene.serves(Some(&caller)).await, "the previous pair is kept");
    next_of_each(&mut streams).await;
}

#[tokio::test]
async fn no_session_outlives_the_authority_or_the_certificate_of_its_client() {
    for version in [&TLS12, &TLS13] {
        let scene = Scene::with(ClientAuth::Required).await;
        let caller = scene.raw_client(Some(&scene.clients.client(7)), version, H2);
        for _ in 0..2 {
            // Its certificate is checked each time, so that an expired one resumes nothing.
            assert_eq!(kind(&scene.greet(&caller).await.unwrap()), HandshakeKind::Full);
        }
        scene.write("crl.pem", &scene.clients.revoke(&[7]));
        scene.look_again().await;
        scene.greet(&caller).await.expect_err("its certificate is revoked");
        let other = Authority::new("clients");
        scene.write("client-ca.pem", &other.pem());
        scene.write("crl.pem", &other.revoke(&[]));
        scene.look_again().await;
        scene.greet(&caller).await.expect_err("its authority is withdrawn");
        let welcome = scene.raw_client(Some(&other.client(7)), version, H2);
        scene.greet(&welcome).await.expect("it is of the new authority");
    }
}

#[tokio::test]
async fn a_session_is_resumed_only_until_the_files_change() {
    for version in [&TLS12, &TLS13] {
        let scene = Scene::with(ClientAuth::Off).await;
        let caller = scene.raw_client(None, version, H2);
        assert_eq!(kind(&scene.greet(&caller).await.unwrap()), HandshakeKind::Full);
        assert_eq!(kind(&scene.greet(&caller).await.unwrap()), HandshakeKind::Resumed);
        scene.look_again().await;
        assert_eq!(kind(&scene.greet(&caller).await.unwrap()), HandshakeKind::Resumed);
        replace(&scene, &scene.servers.server(), "in place").await;
        assert_eq!(kind(&scene.greet(&caller).await.unwrap()), HandshakeKind::Full);
    }
}

#[tokio::test]
async fn a_client_that_does_not_offer_http2_is_refused() {
    let scene = Scene::with(ClientAuth::Off).await;
    for version in [&TLS12, &TLS13] {
        for alpn in [&[][..], &[&b"http/1.1"[..]]] {
            let caller = scene.raw_client(None, version, alpn);
            scene.greet(&caller).await.expect_err("it doesn't offer h2");
        }
        let both = scene.raw_client(None, version, &[b"http/1.1", b"h2"]);
        scene.greet(&both).await.expect("it offers h2");
    }
}

#[tokio::test]
async fn stalled_and_garbage_handshakes_hold_their_places_and_nothing_else() {
    const LIMIT: usize = 8;
    let scene = Scene::with_config(ClientAuth::Off, |config| {
        config.max_connections = LIMIT;
        config.max_connections_per_address = Some(LIMIT);
    })
    .await;
    // A handshake record that is announced and never comes, and silence.
    let mut stalled = Vec::new();
    for said in [&b"\x16\x03\x01\x02\x00\x01"[..], b""].iter().cycle().take(LIMIT - 2) {
        let mut socket = scene.socket().await;
        socket.write_all(said).await.unwrap();
        stalled.push(socket);
    }
    for garbage in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0xff; 64], b"\x16\x03\x01\x00\x04abcd"] {
        let mut socket = scene.socket().await;
        socket.write_all(garbage).await.unwrap();
        let heard = assert_closed(socket).await;
        assert!(heard.first().is_none_or(|first| *first == 0x15), "only an alert is sent");
    }
    assert!(scene.serves(None).await, "another client has a place, and doesn't wait");
    let mut rest = Vec::new();
    while rest.len() < 3 {
        rest.push(scene.socket().await);
    }
    assert_closed(rest.pop().unwrap()).await;
    drop((stalled, rest));
    scene.served.stop().await;
}
