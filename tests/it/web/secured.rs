//! TLS and callers at the second door.

use facematch::{
    config::{ClientAuth, WebConfig},
    pb::{ListMatchesRequest, ListMatchesResponse, Match, MatchUpdate},
};
use tonic::Code;

use crate::{
    access::Callers,
    starting,
    support::{Refusal, TestServer, cancel, portrait_request},
    tls::scene::Scene,
    web::{
        self,
        frames::{Client, Mode},
    },
};

#[tokio::test]
async fn callers_need_their_credential_and_permission() {
    let callers = Callers::new("[tenant.retail]\n").with("reader", "retail", &["read"]).with(
        "desk",
        "retail",
        &["match", "read", "erase"],
    );
    let server = callers.serve(|config| config.web = Some(web::web_config())).await;
    let client = Client::new(&web::address(&server), Mode::Binary);
    let list = ListMatchesRequest::default();
    let refused = client.call::<ListMatchesResponse>("ListMatches", &list).await.unwrap_err();
    Refusal::of(refused).assert(Code::Unauthenticated, "CREDENTIAL_MISSING");
    let of = |key: &str| client.clone().with("authorization", &format!("Bearer {key}"));
    let refused = of("fm_x_y").call::<ListMatchesResponse>("ListMatches", &list).await.unwrap_err();
    Refusal::of(refused).assert(Code::Unauthenticated, "CREDENTIAL_INVALID");
    let reader = of(callers.key("reader"));
    reader.call::<ListMatchesResponse>("ListMatches", &list).await.unwrap();
    let refused = reader.call::<Match>("CancelMatch", &cancel("x")).await.unwrap_err();
    Refusal::of(refused).assert(Code::PermissionDenied, "CALL_FORBIDDEN");
    let desk = of(callers.key("desk"));
    desk.all::<MatchUpdate>("RunMatch", &portrait_request(&server.folder())).await.unwrap();
}

/// Greets over TLS with these protocols on offer, and returns the agreed one and what was said.
async fn greet(scene: &Scene, offered: &[&[u8]], sent: &[u8]) -> (Option<Vec<u8>>, String) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let url = scene.served.web.as_deref().unwrap();
    let address = url.strip_prefix("https://").expect("it has TLS");
    let config = scene.raw_client(None, &rustls::version::TLS13, offered);
    let socket = tokio::net::TcpStream::connect(address).await.unwrap();
    let connector = tokio_rustls::TlsConnector::from(config);
    let name = "localhost".try_into().unwrap();
    let mut stream = connector.connect(name, socket).await.unwrap();
    let agreed = stream.get_ref().1.alpn_protocol().map(<[u8]>::to_vec);
    stream.write_all(sent).await.unwrap();
    let mut said = vec![0; 64];
    let count = tokio::time::timeout(crate::support::PATIENCE, stream.read(&mut said)).await;
    said.truncate(count.expect("the port answers").unwrap());
    (agreed, String::from_utf8_lossy(&said).into_owned())
}

#[tokio::test]
async fn a_port_that_cant_be_opened_refuses_the_start() {
    let house = TestServer::build().await;
    let taken = house.address.strip_prefix("http://").unwrap();
    for (address, named) in [(taken, taken), ("0.0.0.0:0", "--allow-plaintext")] {
        let mut settings = starting::with(&house, "--listen", Some("127.0.0.1:0"));
        settings.push(("--web-listen", address.to_owned()));
        starting::assert_names(&starting::failing(&settings).await, "--web-listen", named);
    }
}

#[tokio::test]
async fn the_port_has_tls_as_the_first_door_and_speaks_both_versions_of_http() {
    let scene = Scene::with_config(ClientAuth::Off, |config| {
        let listen = "127.0.0.1:0".parse().unwrap();
        config.web = Some(WebConfig { listen, origins: Vec::new(), read_only: false });
    })
    .await;
    let get = b"GET /other HTTP/1.1\r\nhost: any.example\r\n\r\n";
    for offered in [&[&b"http/1.1"[..]][..], &[]] {
        let (agreed, said) = greet(&scene, offered, get).await;
        assert_eq!(agreed.as_deref(), offered.first().copied());
        assert!(said.starts_with("HTTP/1.1 404 "), "{said}");
    }
    let (agreed, said) = greet(&scene, &[b"h2", b"http/1.1"], &crate::http2::begin(0)).await;
    assert_eq!(agreed.as_deref(), Some(&b"h2"[..]));
    assert_eq!(said.as_bytes().get(3), Some(&4), "SETTINGS: {said:?}");
    // A new certificate reaches the port as it reaches the first door.
    let next = scene.servers.server();
    scene.write("cert.pem", &next.cert);
    scene.write("key.pem", &next.key);
    scene.look_again().await;
    assert_eq!(scene.reloads(), (1, 0));
    greet(&scene, &[b"http/1.1"], get).await;
}
