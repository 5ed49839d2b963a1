//! Key sets that are fetched from their issuer, a server on loopback.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    extract::State,
    http::{HeaderMap as Headers, StatusCode},
    response::{IntoResponse, Redirect, Response},
    routing::get,
};
use tokio::{net::TcpListener, task::JoinSet};

use super::{signing::key_set, *};
use crate::sync::lock;

/// What the provider answers, and how often it was asked.
#[derive(Default)]
struct Answers {
    issuer: String,
    jwks_uri: String,
    set: String,
    cache_control: Option<&'static str>,
    /// Answers with this status instead.
    broken: Option<StatusCode>,
    redirect: bool,
    documents: usize,
    sets: usize,
}

type Shared = Arc<Mutex<Answers>>;

/// A provider, an access that trusts it, and the task that keeps its keys fresh.
struct Fetching {
    scene: Scene,
    answers: Shared,
    issuer: String,
    tasks: JoinSet<()>,
}

impl Fetching {
    /// A provider with the keys of these signers. Nothing is fetched before [`Self::begin`].
    async fn with(signers: &[&Signer]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address: SocketAddr = listener.local_addr().unwrap();
        let issuer = format!("http://{address}/realm");
        let answers = Shared::default();
        {
            let mut answers = lock(&answers);
            answers.issuer = issuer.clone();
            answers.jwks_uri = format!("http://{address}/keys");
            answers.set = key_set(signers).to_string();
        }
        let router = Router::new()
            .route("/realm/.well-known/openid-configuration", get(document))
            .route("/keys", get(set))
            .with_state(Arc::clone(&answers));
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { axum::serve(listener, router).await.unwrap() });
        let callers = format!(
            "[tenant.retail]\n[issuer.\"{issuer}\"]\naudiences = [\"facematch\"]\n\
             algorithms = [\"ES256\"]\ntenant-claim = \"org\"\n"
        );
        Self { scene: Scene::open(&callers, &[]), answers, issuer, tasks }
    }

    /// Begins to fetch.
    fn begin(&mut self) {
        let access = self.scene.access.clone();
        self.tasks.spawn(async move { access.keep_key_sets_fresh().await });
    }

    fn token(&self, signer: &Signer) -> String {
        signer.token(&claims_but("iss", json!(self.issuer)))
    }

    /// The final decision: after the fetch for which the call waits, if it waits.
    async fn decide(&self, token: &str) -> Outcome {
        let mut waited = false;
        loop {
            match self.scene.access.decide(&bearing(token), None) {
                Decision::Granted(grant) => return Ok(shown(&grant)),
                Decision::Denied(denied) => return Err(denied),
                Decision::KeyFetch(fetch) => {
                    assert!(!waited, "the second decision is final");
                    waited = true;
                    fetch.await;
                }
            }
        }
    }

    /// The decision of a call that doesn't wait.
    fn at_once(&self, token: &str) -> Outcome {
        self.scene.outcome(token)
    }

    fn counts(&self) -> (u64, u64) {
        self.scene.access.reloads().unwrap().of(ReloadKind::Jwks)
    }

    /// Waits until key sets were fetched so often: successfully, and in vain.
    async fn counted(&self, ok: u64, failed: u64) {
        let reached = async {
            while self.counts() != (ok, failed) {
                tokio::task::yield_now().await;
            }
        };
        let reached = tokio::time::timeout(seconds(20), reached).await;
        assert!(reached.is_ok(), "{:?} and not {:?}", self.counts(), (ok, failed));
    }

    fn change(&self, change: impl FnOnce(&mut Answers)) {
        change(&mut lock(&self.answers));
    }
}

async fn document(State(answers): State<Shared>, headers: Headers) -> Response {
    let mut answers = lock(&answers);
    answers.documents += 1;
    assert!(!headers.contains_key("authorization"));
    if let Some(status) = answers.broken {
        return status.into_response();
    }
    if answers.redirect {
        return Redirect::temporary("/keys").into_response();
    }
    json!({ "issuer": answers.issuer, "jwks_uri": answers.jwks_uri }).to_string().into_response()
}

async fn set(State(answers): State<Shared>) -> Response {
    let mut answers = lock(&answers);
    answers.sets += 1;
    let mut response = answers.set.clone().into_response();
    if let Some(value) = answers.cache_control {
        response.headers_mut().insert("cache-control", HeaderValue::from_static(value));
    }
    response
}

#[tokio::test]
async fn a_call_waits_for_the_first_fetch_and_later_calls_do_not() {
    let signer = Signer::new("ES256", "key-1");
    let mut fetching = Fetching::with(&[&signer]).await;
    let token = fetching.token(&signer);
    let Decision::KeyFetch(fetch) = fetching.scene.access.decide(&bearing(&token), None) else {
        panic!("nothing was fetched yet");
    };
    fetching.begin();
    fetch.await;
    assert_eq!(fetching.at_once(&token), granted("retail", "alice"));
    assert_eq!((fetching.counts(), lock(&fetching.answers).sets), ((1, 0), 1));
}

#[tokio::test]
async fn an_unknown_kid_is_asked_for_once_in_30_seconds_whatever_comes() {
    let (first, second) = (Signer::new("ES256", "key-1"), Signer::new("ES256", "key-2"));
    let mut fetching = Fetching::with(&[&first]).await;
    fetching.begin();
    assert!(fetching.decide(&fetching.token(&first)).await.is_ok());
    fetching.change(|answers| answers.set = key_set(&[&first, &second]).to_string());
    let token = fetching.token(&second);
    assert_eq!(fetching.at_once(&token), Err(Denied::Invalid), "asked a moment ago");
    fetching.scene.hand.advance(seconds(30));
    let calls = (0..100).map(|_| fetching.scene.access.decide(&bearing(&token), None));
    let mut waiting = Vec::new();
    for call in calls {
        let Decision::KeyFetch(fetch) = call else { panic!("the calls wait for one fetch") };
        waiting.push(fetch);
    }
    for fetch in waiting {
        fetch.await;
    }
    assert_eq!(fetching.at_once(&token), granted("retail", "alice"));
    let forged = Signer::new("ES256", "key-3");
    for _ in 0..100 {
        assert_eq!(fetching.at_once(&fetching.token(&forged)), Err(Denied::Invalid));
    }
    assert_eq!(lock(&fetching.answers).sets, 2);
}

#[tokio::test]
async fn a_token_that_names_no_key_is_verified_by_a_newer_one() {
    let (first, second) = (Signer::new("ES256", "key-1"), Signer::new("ES256", "key-2"));
    let mut fetching = Fetching::with(&[&first]).await;
    fetching.begin();
    let claims = claims_but("iss", json!(fetching.issuer));
    let bare = |signer: &Signer| signer.sign(&json!({ "alg": "ES256" }), &claims);
    assert!(fetching.decide(&bare(&first)).await.is_ok());
    fetching.change(|answers| answers.set = key_set(&[&second]).to_string());
    let token = bare(&second);
    assert_eq!(fetching.at_once(&token), Err(Denied::Invalid), "asked a moment ago");
    fetching.scene.hand.advance(seconds(30));
    assert_eq!(fetching.decide(&token).await, granted("retail", "alice"));
    assert_eq!(fetching.at_once(&bare(&first)), Err(Denied::Invalid));
    assert_eq!(lock(&fetching.answers).sets, 2);
}

#[tokio::test]
async fn only_so_many_calls_wait_and_none_for_ever() {
    let signer = Signer::new("ES256", "key-1");
    let fetching = Fetching::with(&[&signer]).await;
    let token = fetching.token(&signer);
    let decide = || fetching.scene.access.decide(&bearing(&token), None);
    let mut waiting: Vec<_> = (0..256).map(|_| decide()).collect();
    assert!(waiting.iter().all(|call| matches!(call, Decision::KeyFetch(_))));
    assert!(matches!(decide(), Decision::Denied(Denied::Invalid)));
    let Some(Decision::KeyFetch(call)) = waiting.pop() else { panic!("256 calls wait") };
    let ((), ()) = tokio::join!(call, async { fetching.scene.hand.advance(seconds(10)) });
    assert!(matches!(decide(), Decision::KeyFetch(_)), "its place is free");
}

#[tokio::test]
async fn keys_are_refreshed_every_5_minutes_or_as_the_provider_says() {
    let (first, second) = (Signer::new("ES256", "key-1"), Signer::new("ES256", "key-2"));
    let mut fetching = Fetching::with(&[&first]).await;
    fetching.begin();
    let token = fetching.token(&first);
    assert!(fetching.decide(&token).await.is_ok());
    for (cache_control, after) in [
        (Some("public, max-age=600"), 300),
        (Some("max-age=1"), 600),
        (Some("Max-Age=1000000, no-transform"), 60),
        (None, 3_600),
    ] {
        let sets = lock(&fetching.answers).sets as u64;
        fetching.change(|answers| answers.cache_control = cache_control);
        fetching.scene.hand.advance(seconds(after - 1));
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        assert_eq!(fetching.counts().0, sets, "not yet: {cache_control:?}");
        fetching.scene.hand.advance(seconds(1));
        fetching.counted(sets + 1, 0).await;
    }
    // A key that is gone ends its grants, without any call.
    let renewed = first.token(&{
        let mut claims = claims_but("iss", json!(fetching.issuer));
        claims["exp"] = json!(START + 90_000);
        claims
    });
    let grant = fetching.scene.with(&renewed).unwrap();
    fetching.change(|answers| answers.set = key_set(&[&second]).to_string());
    fetching.scene.hand.advance(seconds(300));
    fetching.counted(6, 0).await;
    assert!(grant.is_withdrawn());
    assert_eq!(fetching.at_once(&renewed), Err(Denied::Invalid));
}

#[tokio::test]
async fn the_last_good_set_serves_for_a_day_without_its_provider() {
    let signer = Signer::new("ES256", "key-1");
    let mut fetching = Fetching::with(&[&signer]).await;
    fetching.begin();
    let mut lasting = claims_but("iss", json!(fetching.issuer));
    lasting["exp"] = json!(START + 10 * 86_400);
    let token = signer.token(&lasting);
    assert!(fetching.decide(&token).await.is_ok());
    let grant = fetching.scene.with(&token).unwrap();
    fetching.change(|answers| answers.broken = Some(StatusCode::BAD_GATEWAY));
    fetching.scene.hand.advance(seconds(86_400 - 1));
    fetching.counted(1, 1).await;
    assert_eq!(fetching.at_once(&token), granted("retail", "alice"));
    fetching.scene.hand.advance(seconds(30));
    fetching.counted(1, 2).await;
    assert!(grant.is_withdrawn());
    fetching.change(|answers| answers.broken = None);
    fetching.scene.hand.advance(seconds(30));
    fetching.counted(2, 2).await;
    assert_eq!(fetching.at_once(&token), granted("retail", "alice"));
}

#[tokio::test]
async fn a_provider_that_can_not_be_trusted_gives_no_keys() {
    type Change = fn(&mut Answers);
    let changes: [(&str, Change); 9] = [
        ("another issuer", |answers| answers.issuer.push('/')),
        ("no issuer", |answers| answers.issuer.clear()),
        ("a redirect", |answers| answers.redirect = true),
        ("a file", |answers| answers.jwks_uri = "file:///etc/passwd".into()),
        ("another machine", |answers| answers.jwks_uri = "http://192.0.2.1/keys".into()),
        ("no set", |answers| answers.set = "<html>".into()),
        ("no keys", |answers| answers.set = r#"{"keys":[]}"#.into()),
        ("a large set", |answers| answers.set.extend(std::iter::repeat_n(' ', 1 << 20))),
        ("an error", |answers| answers.broken = Some(StatusCode::NOT_FOUND)),
    ];
    for (what, change) in changes {
        let signer = Signer::new("ES256", "key-1");
        let mut fetching = Fetching::with(&[&signer]).await;
        fetching.change(change);
        fetching.begin();
        let outcome = fetching.decide(&fetching.token(&signer)).await;
        assert_eq!((outcome, fetching.counts()), (Err(Denied::Invalid), (0, 1)), "{what}");
    }
}

#[tokio::test]
async fn a_start_without_the_provider_goes_on_and_the_keys_come_later() {
    let signer = Signer::new("ES256", "key-1");
    let mut fetching = Fetching::with(&[&signer]).await;
    fetching.change(|answers| answers.broken = Some(StatusCode::SERVICE_UNAVAILABLE));
    fetching.begin();
    let token = fetching.token(&signer);
    assert_eq!(fetching.decide(&token).await, Err(Denied::Invalid));
    fetching.change(|answers| answers.broken = None);
    assert_eq!(fetching.at_once(&token), Err(Denied::Invalid));
    fetching.scene.hand.advance(seconds(30));
    fetching.counted(1, 1).await;
    assert_eq!(fetching.at_once(&token), granted("retail", "alice"));
}

#[tokio::test]
async fn an_issuer_that_a_reload_adds_is_fetched_from_at_once() {
    let signer = Signer::new("ES256", "key-1");
    let mut fetching = Fetching::with(&[&signer]).await;
    let path = fetching.scene.folder.path().join("callers.toml");
    let callers = std::fs::read_to_string(path).unwrap();
    fetching.scene.reload("[tenant.retail]");
    fetching.begin();
    let token = fetching.token(&signer);
    assert_eq!(fetching.at_once(&token), Err(Denied::Invalid));
    fetching.scene.reload(&callers);
    assert_eq!(fetching.decide(&token).await, granted("retail", "alice"));
    fetching.scene.reload(&format!("{callers}[tenant.other]\n"));
    assert_eq!(fetching.at_once(&token), granted("retail", "alice"), "its keys are kept");
    assert_eq!(lock(&fetching.answers).sets, 1);
}
