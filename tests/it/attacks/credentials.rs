//! Attacks by strangers on a port with TLS and callers: handshakes that stall or are garbage, and
//! calls with wrong credentials, a thousand a second.

use std::{fs, net::SocketAddr, path::Path};

use facematch::access::NewKey;
use http::Uri;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::MissedTickBehavior,
};
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Identity};

use super::*;
use crate::{canary, http2, tls::authority::Authority};

/// Sockets in the middle of their handshake, at any time.
const HANDSHAKES: usize = 500;
/// Connections of the strangers that do complete it, and the time from one call of each to its
/// next: a thousand calls a second in all. A slow machine has fewer: each waits for its answer.
const STRANGERS: usize = 8;
const PAUSE: Duration = Duration::from_millis(8);
/// The maximum memory of a connection in the middle of its handshake.
const HANDSHAKE_KIB: u64 = 32;

/// Port 9 of the loopback has no provider.
const ISSUERS: &str = "[issuer.\"http://127.0.0.1:9\"]\naudiences = [\"facematch\"]\n\
                       algorithms = [\"ES256\"]\ntenant-claim = \"org\"\n";
/// A token without a signature, and one by a key that its issuer may have: `{"alg":"none"}` and
/// `{"alg":"ES256","kid":"k"}`, both with the issuer above.
const NO_SIGNATURE: &str = "Bearer eyJhbGciOiJub25lIn0.eyJpc3MiOiJodHRwOi8vMTI3LjAuMC4xOjkifQ.";
const UNKNOWN_KEY: &str = "Bearer eyJhbGciOiJFUzI1NiIsImtpZCI6ImsifQ.\
                           eyJpc3MiOiJodHRwOi8vMTI3LjAuMC4xOjkifQ.AAAA";

/// A program with TLS and callers, and what its strangers know.
struct Secured {
    target: Target,
    servers: Authority,
    /// Credentials that are all wrong.
    wrong: Vec<Option<String>>,
}

impl Secured {
    async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (servers, clients) = (Authority::new("servers"), Authority::new("clients"));
        let key = NewKey::make().expect("the system has randomness");
        write_files(directory.path(), &servers, &clients, &key);
        let file = |name: &str| directory.path().join(name).display().to_string();
        let [cert, server_key] = [file("cert.pem"), file("key.pem")];
        let [ca, callers] = [file("client-ca.pem"), file("callers.toml")];
        let settings = [
            ["--tls-cert-file", &cert],
            ["--tls-key-file", &server_key],
            ["--tls-client-ca-file", &ca],
            ["--tls-client-auth", "optional"],
            ["--callers-file", &callers],
        ]
        .concat();
        let known = clients.client(1);
        let identity = Identity::from_pem(known.cert, known.key);
        let tls = tls(&servers).identity(identity);
        let target = Target::start_in(directory, &settings, |address| async move {
            let endpoint = Endpoint::from(https(&address)).tls_config(tls).unwrap();
            canary::client(endpoint.connect().await.expect("the certificate is accepted"))
        });
        Self { target: target.await, servers, wrong: wrong(&key) }
    }

    /// A connection of a stranger, from another address.
    async fn stranger(&self) -> Channel {
        let endpoint = Endpoint::from(https(self.target.process.address()));
        let endpoint = endpoint.local_address(Some(ANOTHER_ADDRESS));
        endpoint.tls_config(tls(&self.servers)).unwrap().connect().await.unwrap()
    }
}

fn write_files(directory: &Path, servers: &Authority, clients: &Authority, key: &NewKey) {
    let server = servers.server();
    let (id, sha256) = (key.id(), key.sha256());
    let callers = format!(
        "[tenant.bank]\n[caller.anna]\ntenant = \"bank\"\nallow = [\"match\", \"read\"]\n\
         certificates = [\"dns:kyc.internal\"]\nkeys = [{{ id = \"{id}\", sha256 = \"{sha256}\" }}]\n\
         {ISSUERS}"
    );
    let files = [
        ("cert.pem", server.cert),
        ("key.pem", server.key),
        ("client-ca.pem", clients.pem()),
        ("callers.toml", callers),
    ];
    for (name, content) in files {
        fs::write(directory.join(name), content).unwrap();
    }
}

/// Wrong credentials of all kinds, some of which begin like the key.
fn wrong(key: &NewKey) -> Vec<Option<String>> {
    let text = key.text();
    let another = NewKey::make().expect("the system has randomness");
    let bearers = [
        format!("Bearer {}x", &text[..text.len() - 1]),
        format!("Bearer {}", another.text()),
        format!("Basic {text}"),
        format!("Bearer {}", "a".repeat(8_000)),
        NO_SIGNATURE.to_owned(),
        UNKNOWN_KEY.to_owned(),
    ];
    bearers.map(Some).into_iter().chain([None]).collect()
}

fn tls(servers: &Authority) -> ClientTlsConfig {
    ClientTlsConfig::new().ca_certificate(Certificate::from_pem(servers.pem()))
}

fn https(address: &str) -> Uri {
    let port = address.rsplit(':').next().expect("a port");
    format!("https://localhost:{port}").parse().expect("an address")
}

/// Begins a handshake in this way, waits until the server gives it up, and begins another.
async fn handshakes(address: SocketAddr, begin: Bytes) {
    loop {
        let mut socket = http2::connect_from("127.0.0.2", address).await;
        // However it ends, the next one begins.
        let _ = socket.write_all(&begin).await;
        let _ = socket.read_to_end(&mut Vec::new()).await;
        tokio::time::sleep(PAUSE).await;
    }
}

/// Calls with one wrong credential after another, one at a time: the calls of a machine that can't
/// keep up would pile up otherwise, and the matches beside them would wait for the machine.
async fn guesses(mut channel: Channel, wrong: Vec<Option<String>>, ended: Arc<StdMutex<Counts>>) {
    let mut ticks = interval(PAUSE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for credential in wrong.iter().cycle() {
        ticks.tick().await;
        let headers: Vec<_> = credential.iter().map(|it| ("authorization", &**it)).collect();
        let path = "/facematch.v1.FaceMatch/RunMatch";
        let body = stream::iter([Ok(Bytes::from_static(&[0; 5]))]);
        let told = transport::call_at(&mut channel, path, body, &headers).await;
        let word = told.map_or_else(|status| word(&status), |()| "OK".into());
        *lock(&ended).entry(word).or_default() += 1;
    }
}

type Counts = BTreeMap<String, usize>;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn handshakes_of_strangers_harm_no_other_caller() {
    let secured = Secured::start().await;
    let target = &secured.target;
    // The beginning of a ClientHello; a record that TLS doesn't have; HTTP/1; nothing at all.
    let hello = [&[22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3][..], &[7; 32]].concat();
    let begins: [(&str, Vec<u8>); 4] = [
        ("half handshakes", hello),
        ("garbage for a handshake", vec![0xff; 4_096]),
        ("HTTP/1 for a handshake", b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n".to_vec()),
        ("silent connections", Vec::new()),
    ];
    for (name, begin) in begins {
        let mut attack = JoinSet::new();
        for _ in 0..HANDSHAKES {
            attack.spawn(handshakes(target.address(), begin.clone().into()));
        }
        target.assert_others_are_served(name).await;
        target.assert_grown_at_most(HANDSHAKES as u64 * HANDSHAKE_KIB + ALLOWANCE_KIB, name);
        attack.shutdown().await;
        target.assert_returned(name).await;
    }
    secured.target.process.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_wrong_credentials_a_second_harm_no_other_caller() {
    const NAME: &str = "wrong credentials";
    let secured = Secured::start().await;
    let target = &secured.target;
    let (mut attack, ended) = (JoinSet::new(), Arc::<StdMutex<Counts>>::default());
    for _ in 0..STRANGERS {
        let channel = secured.stranger().await;
        attack.spawn(guesses(channel, secured.wrong.clone(), Arc::clone(&ended)));
    }
    for _ in 0..3 {
        target.assert_others_are_served(NAME).await;
        target.assert_grown_at_most(ALLOWANCE_KIB, NAME);
    }
    attack.shutdown().await;
    let ended = lock(&ended).clone();
    println!("attacked: by {NAME}: {ended:?}");
    assert!(ended.keys().eq(["CREDENTIAL_INVALID", "CREDENTIAL_MISSING"]), "{ended:?}");
    target.assert_returned(NAME).await;
    secured.target.process.stop();
}
