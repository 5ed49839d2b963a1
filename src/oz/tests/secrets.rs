//! No text that leaves the module holds a secret.

use super::*;

use std::{
    fmt::Debug,
    io,
    sync::{Arc, Mutex},
};

/// Secrets that no text may hold: credentials, tokens, the photo.
const CANARIES: [&str; 7] = [
    EMAIL,
    PASSWORD,
    SERVICE_TOKEN,
    "access-canary",
    "expire-canary",
    "photo-canary",
    "facematch-0189",
];

fn check(what: &impl Debug) {
    let text = format!("{what:?}").to_lowercase();
    for canary in CANARIES {
        assert!(!text.contains(canary), "{canary} in {text}");
    }
}

fn pair() -> Value {
    json!({ "access_token": "access-canary-1", "expire_token": "expire-canary-1" })
}

/// An error that repeats everything it was sent.
fn echo(status: u16) -> Answer {
    let lines: Vec<String> =
        CANARIES.iter().map(|canary| format!("you sent {canary}.jpg")).collect();
    let body = json!({ "error_code": 3, "error_message": lines.join("\n"), "details": lines });
    Answer::json(status, body)
}

#[tokio::test]
async fn secrets_that_oz_echoes_are_withheld() {
    let mock = Mock::serving(|request| match request.path.as_str() {
        "/api/authorize/auth/" => Answer::json(200, pair()),
        _ => echo(400),
    })
    .await;
    let client = client(login_settings(&mock.url));
    for ask in [read_folder(), upload_photo(), start_analyses()] {
        let failure = perform(&client, &ask).await.unwrap_err();
        check(&failure);
        assert!(failure.message.contains("withheld"));
    }
    check(&answered(&read_folder(), echo(500)).await);
    check(&answered(&upload_photo(), echo(200)).await);
}

#[tokio::test]
async fn secrets_that_a_refused_login_echoes_are_withheld() {
    let mock = Mock::serving(|_| echo(401)).await;
    let client = client(login_settings(&mock.url));
    for _ in 0..2 {
        check(&perform(&client, &read_folder()).await);
    }
}

#[tokio::test]
async fn secrets_that_a_failed_analysis_echoes_are_withheld() {
    let body =
        json!({ "state": "FAILED", "error_message": format!("token {SERVICE_TOKEN} is bad") });
    let analysis = analysis_of(body).await.unwrap();
    check(&analysis);
    assert_eq!(analysis.error_message.as_deref(), Some("[withheld]"));
}

#[tokio::test]
async fn the_previous_token_is_withheld_too() {
    let mock = Mock::answering([
        Answer::json(200, pair()),
        Answer::http(401, &[], ""),
        Answer::json(200, json!({ "access_token": "another" })),
        echo(400),
    ])
    .await;
    let failure = perform(&client(login_settings(&mock.url)), &read_folder()).await.unwrap_err();
    check(&failure);
}

#[tokio::test]
async fn settings_and_client_show_no_secret() {
    let config = Config {
        proxy: Some(format!("http://u:{PASSWORD}@127.0.0.1:1")),
        ..login_settings("http://oz")
    };
    check(&config);
    check(&settings("http://oz"));
    let client = client(config);
    check(&client);
    check(&perform(&client, &read_folder()).await);
}

#[tokio::test]
async fn no_event_holds_a_secret() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .finish();
    // While there is only one subscriber, tracing uses that of the first thread to reach an event
    // for all threads. Another test's thread has none, and the event would be disabled.
    let _another = tracing::Dispatch::new(tracing::subscriber::NoSubscriber::new());
    let guard = tracing::subscriber::set_default(subscriber);
    let mock =
        Mock::answering([Answer::json(200, pair()), echo(400), echo(401), echo(401), echo(500)])
            .await;
    let client = client(login_settings(&mock.url));
    for ask in [upload_photo(), read_folder()] {
        let _ = perform(&client, &ask).await;
    }
    drop(guard);
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(text.contains("asked Oz"), "{text}");
    check(&text);
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
