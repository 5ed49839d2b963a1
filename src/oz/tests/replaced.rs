//! A password or a token that is replaced at run time.

use std::sync::{
    Mutex,
    atomic::{AtomicUsize, Ordering},
};

use async_trait::async_trait;
use secrecy::SecretString;
use tokio::sync::Notify;

use super::*;
use crate::oz::Keychain;

const LOGIN: &str = "/api/authorize/auth/";

/// A secret, and its replacement, which the next check finds.
struct Drawer {
    current: Mutex<SecretString>,
    next: Mutex<Option<SecretString>>,
    replaced: Notify,
}

impl Drawer {
    fn with(secret: &str) -> Arc<Self> {
        let (current, next) = (Mutex::new(secret.into()), Mutex::new(None));
        Arc::new(Self { current, next, replaced: Notify::new() })
    }

    /// Stores a replacement, which the next check finds.
    fn lay(&self, secret: &str) {
        *self.next.lock().unwrap() = Some(secret.into());
    }
}

#[async_trait]
impl Keychain for Drawer {
    fn current(&self) -> SecretString {
        self.current.lock().unwrap().clone()
    }

    async fn reread(&self) {
        if let Some(next) = self.next.lock().unwrap().take() {
            *self.current.lock().unwrap() = next;
            self.replaced.notify_waiters();
        }
    }

    fn version(&self) -> u64 {
        0
    }

    async fn replaced(&self, _: u64) {
        self.replaced.notified().await;
    }
}

fn with(config: Config, drawer: &Arc<Drawer>) -> Config {
    Config { keychain: Some(drawer.clone()), ..config }
}

fn token_of(request: &mock::Request) -> String {
    let header = request.headers.get("x-forensic-access-token");
    header.map_or("", |token| token.to_str().unwrap()).to_owned()
}

fn refused(code: i64) -> Answer {
    Answer::json(401, json!({ "error_code": code, "error_message": "no" }))
}

fn found() -> Answer {
    Answer::json(200, finished())
}

/// An Oz that knows this token, and refuses this many logins at first.
async fn oz(token: &'static str, refusals: usize) -> Mock {
    let logins = AtomicUsize::new(0);
    Mock::serving(move |request| match request.path.as_str() {
        LOGIN if logins.fetch_add(1, Ordering::Relaxed) < refusals => refused(15),
        LOGIN => Answer::json(200, json!({ "access_token": token, "expire_token": "e" })),
        _ if token_of(request) == token => found(),
        _ => refused(8),
    })
    .await
}

/// The passwords that were tried.
fn tried(mock: &Mock) -> Vec<String> {
    let logins = mock.seen().into_iter().filter(|request| request.path == LOGIN);
    let password = |request: mock::Request| {
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        body["credentials"]["password"].as_str().unwrap().to_owned()
    };
    logins.map(password).collect()
}

#[tokio::test]
async fn a_refused_token_is_read_again_and_its_request_replayed() {
    let mock = oz("second", 0).await;
    let drawer = Drawer::with("first");
    drawer.lay("second");
    let client = client(with(settings(&mock.url), &drawer));
    perform(&client, &read_analysis()).await.unwrap();
    perform(&client, &read_analysis()).await.unwrap();
    let tokens: Vec<_> = mock.seen().iter().map(token_of).collect();
    assert_eq!(tokens, ["first", "second", "second"]);
}

#[tokio::test]
async fn a_new_token_that_never_worked_is_a_refused_login_even_if_the_old_one_worked() {
    let mock = Mock::answering([found(), refused(8), refused(8), refused(8), refused(8)]).await;
    let drawer = Drawer::with("first");
    let client = client(with(settings(&mock.url), &drawer));
    perform(&client, &read_analysis()).await.unwrap();
    let revoked = perform(&client, &read_analysis()).await.unwrap_err();
    assert_eq!(revoked.kind, FailureKind::SessionRefused);
    drawer.lay("second");
    perform(&client, &read_analysis()).await.unwrap_err();
    let never = perform(&client, &read_analysis()).await.unwrap_err();
    assert_eq!(never.kind, FailureKind::LoginRefused);
}

#[tokio::test]
async fn a_refused_password_is_read_again_once_at_the_cost_of_one_login() {
    let mock = oz("access", 1).await;
    let drawer = Drawer::with("first");
    drawer.lay("second");
    let client = client(with(login_settings(&mock.url), &drawer));
    perform(&client, &read_analysis()).await.unwrap();
    assert_eq!(tried(&mock), ["first", "second"]);
}

#[tokio::test]
async fn a_wrong_password_is_not_retried_for_a_while_but_its_replacement_is_tried() {
    let mock = oz("access", 1).await;
    let drawer = Drawer::with("first");
    let client = client(with(login_settings(&mock.url), &drawer));
    for _ in 0..10 {
        let failure = perform(&client, &read_analysis()).await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::LoginRefused);
    }
    assert_eq!(tried(&mock), ["first"]);
    // The keychain also checks its file by itself.
    drawer.lay("second");
    drawer.reread().await;
    perform(&client, &read_analysis()).await.unwrap();
    assert_eq!(tried(&mock), ["first", "second"]);
}

#[tokio::test]
async fn no_text_holds_an_old_or_a_new_secret() {
    let echo = |request: &mock::Request| {
        let said = format!("bad token {}", token_of(request));
        Answer::json(403, json!({ "error_code": 1, "error_message": said }))
    };
    let mock = Mock::serving(echo).await;
    let drawer = Drawer::with("first-token-canary");
    let client = client(with(settings(&mock.url), &drawer));
    for next in ["second-token-canary", "third-token-canary"] {
        let failure = perform(&client, &read_analysis()).await.unwrap_err();
        assert!(!failure.message.contains("canary"), "{}", failure.message);
        drawer.lay(next);
        drawer.reread().await;
    }
}
