//! Callers that show who they are: by a client certificate, or by a token from a file.

use std::{
    convert::Infallible,
    fs,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use facematch::config::ClientAuth;
use http::{Request, Response};
use http_body_util::Empty;
use hyper::{body::Bytes, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{net::TcpListener, task::JoinSet};

use crate::{
    commands::{program::Program, showing::assert_lines},
    tls::{
        authority::{Authority, Identity},
        scene::Scene,
    },
};

/// The flags for a service that asks for client certificates.
fn flags(scene: &Scene, identity: Option<&Identity>) -> String {
    scene.write("ca.pem", &scene.servers.pem());
    let trusting = format!("--server {} --ca-file {}", scene.https(), shown(scene, "ca.pem"));
    let Some(Identity { cert, key }) = identity else { return trusting };
    scene.write("client.pem", cert);
    scene.write("client-key.pem", key);
    let (cert, key) = (shown(scene, "client.pem"), shown(scene, "client-key.pem"));
    format!("{trusting} --cert-file {cert} --key-file {key}")
}

fn shown(scene: &Scene, name: &str) -> String {
    scene.path(name).display().to_string()
}

#[tokio::test]
async fn a_client_certificate_is_presented_and_its_refusal_explained() {
    let scene = Scene::with(ClientAuth::Required).await;
    let caller = scene.clients.client(7);
    let ran = Program::new(&format!("list {}", flags(&scene, Some(&caller)))).piped().await;
    ran.assert_code(0);
    let by_variables = Program::new("list")
        .variable("FACEMATCH_SERVER", scene.https())
        .variable("FACEMATCH_CA_FILE", shown(&scene, "ca.pem"))
        .variable("FACEMATCH_CERT_FILE", shown(&scene, "client.pem"))
        .variable("FACEMATCH_KEY_FILE", shown(&scene, "client-key.pem"));
    by_variables.piped().await.assert_code(0);
    for (identity, words) in [
        (None, "it asks for a client certificate, and there is none"),
        (Some(Authority::new("clients").client(7)), "it does not accept this caller's certificate"),
        (Some(scene.clients.client_until(7, 2021)), "certificate: it has expired"),
    ] {
        let line = format!("list {}", flags(&scene, identity.as_ref()));
        let ran = Program::new(&line).piped().await;
        ran.assert_code(4);
        // The alert may arrive before a call is on its connection, which then is just closed. That
        // ends the command if it is the first connection. A call is repeated, and gets to know why.
        let words = if ran.stderr.contains(words) { words } else { "the connection broke: " };
        let repeated = "facematch: the connection broke; trying again\n";
        assert_lines(ran.stderr.trim_start_matches(repeated), &[words, "--cert-file"]);
    }
}

#[tokio::test]
async fn an_unusable_certificate_or_key_is_named_and_no_call_is_made() {
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::new("any");
    let (one, other) = (authority.client(1), authority.client(2));
    let file = |name: &str, content: &str| {
        let path = directory.path().join(name);
        fs::write(&path, content).unwrap();
        path.display().to_string()
    };
    let (cert, key) = (file("cert.pem", &one.cert), file("key.pem", &one.key));
    let other_key = file("other.pem", &other.key);
    for (cert, key, words) in [
        ("/nowhere/c.pem", key.as_str(), "--cert-file: can't read /nowhere/c.pem: "),
        (&*cert, "/nowhere/k.pem", "--key-file: can't read /nowhere/k.pem: "),
        (&*key, &*key, "--cert-file: there is no certificate in PEM in "),
        (&*cert, &*cert, "--key-file: there is no unencrypted private key in PEM in "),
        (&*cert, &*other_key, "is not the key of the certificate in --cert-file"),
    ] {
        let line = format!("list --server https://localhost:1 --cert-file {cert} --key-file {key}");
        let ran = Program::new(&line).piped().await;
        ran.assert_code(64);
        assert_lines(&ran.stderr, &[words]);
    }
}

/// A server that notes the `authorization` of each call, and answers that it knows no method.
struct Recorder {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<String>>>,
    _tasks: JoinSet<()>,
}

impl Recorder {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (seen, mut tasks) = (Arc::<Mutex<Vec<String>>>::default(), JoinSet::new());
        tasks.spawn(record(listener, seen.clone()));
        Self { address, seen, _tasks: tasks }
    }

    fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

async fn record(listener: TcpListener, seen: Arc<Mutex<Vec<String>>>) {
    let mut connections = JoinSet::new();
    while let Ok((socket, _)) = listener.accept().await {
        let seen = seen.clone();
        let service = service_fn(move |request: Request<hyper::body::Incoming>| {
            let headers = request.headers().get_all("authorization").iter();
            let values =
                headers.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
            seen.lock().unwrap().push(values.collect::<Vec<_>>().join(", "));
            let answer = Response::builder()
                .header("content-type", "application/grpc")
                .header("grpc-status", "12")
                .body(Empty::<Bytes>::new());
            async { Ok::<_, Infallible>(answer.unwrap()) }
        });
        let serving = http2::Builder::new(TokioExecutor::new());
        connections.spawn(async move {
            // The command closes the connection.
            let _ = serving.serve_connection(TokioIo::new(socket), service).await;
        });
    }
}

#[tokio::test]
async fn a_token_is_sent_with_each_call_and_never_shown() {
    const TOKEN: &str = "fm_k7_c0ffee";
    let recorder = Recorder::start().await;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("token");
    fs::write(&file, format!("{TOKEN}\n")).unwrap();
    let (server, file) = (recorder.address, file.display().to_string());
    for call in ["list", "get 01937b5e-0000-7000-8000-000000000000", "watch --all"] {
        let line = format!("{call} --server http://{server} --token-file {file} --output json");
        let ran = Program::new(&line).piped().await;
        ran.assert_code(4);
        assert!(!ran.stdout.contains("c0ffee") && !ran.stderr.contains("c0ffee"), "{}", ran.stderr);
    }
    let by_variable = Program::new(&format!("list --server http://{server}"))
        .variable("FACEMATCH_TOKEN_FILE", &*file);
    by_variable.piped().await.assert_code(4);
    assert_eq!(recorder.seen(), [format!("Bearer {TOKEN}").as_str(); 4]);
    fs::write(&file, "").unwrap();
    let ran = Program::new(&format!("list --server http://{server} --token-file {file}"));
    let ran = ran.piped().await;
    ran.assert_code(64);
    assert_lines(&ran.stderr, &["/token is empty"]);
    assert_eq!(recorder.seen().len(), 4, "nothing is called without its token");
}

#[tokio::test]
async fn a_token_is_not_sent_in_plain_text_to_another_machine() {
    let line = "list --server http://192.0.2.1:50051 --token-file /nowhere/token";
    let ran = Program::new(line).piped().await;
    ran.assert_code(64);
    assert_lines(&ran.stderr, &["would be sent in plain text to http://192.0.2.1:50051"]);
}
