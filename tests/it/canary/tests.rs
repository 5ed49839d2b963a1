//! Proves that the search finds canaries: puts one in each place that is searched.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    io::Cursor,
    path::Path,
    task::{Context, Poll},
};

use facematch::pb::MatchRequest;
use http::{HeaderMap, Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use sqlx::{Connection, SqliteConnection, sqlite::SqliteConnectOptions};
use tempfile::TempDir;
use tonic::{Code, Status, body::Body};
use tower::Service;

use crate::{
    canary::{
        Findings, Inspection, Searched, holds_key,
        log::{search_log, subscriber},
        needles::{self, FILE_NAME, KEY, PASSWORD, PHOTO, SERVICE_TOKEN, Search, Secret},
        search_journal, thread_name,
    },
    support::{JOURNAL, portrait, portrait_request},
};

/// A token like the simulator's.
fn token() -> String {
    "0123456789abcdef".repeat(8)
}

fn leaks() -> [(Secret, String); 6] {
    [
        (Secret::Photo, PHOTO.to_owned()),
        (Secret::FileName, FILE_NAME.to_owned()),
        (Secret::Password, PASSWORD.to_owned()),
        (Secret::Token, SERVICE_TOKEN.to_owned()),
        (Secret::Token, token()),
        (Secret::Key, format!("people/{KEY}/17.jpg")),
    ]
}

/// Separate findings, so that these canaries don't fail other tests.
fn findings() -> &'static Findings {
    Box::leak(Box::new(Findings::new()))
}

fn secrets(found: &Findings) -> Vec<Secret> {
    found.all().iter().map(|finding| finding.secret).collect()
}

/// The request that most tests send, without the name of the file.
fn nameless() -> MatchRequest {
    let mut request = portrait_request("");
    request.photo.as_mut().unwrap().file_name.clear();
    request
}

#[test]
fn a_canary_is_found_in_every_form_and_clean_text_passes() {
    use base64::{
        Engine,
        engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
    };
    let hexadecimal: String = portrait().iter().map(|byte| format!("{byte:02X}")).collect();
    for shift in 0..3 {
        let shifted = [&b"abc"[..shift], &portrait()].concat();
        assert_eq!(needles::search(STANDARD.encode(&shifted).as_bytes()), Some(Secret::Photo));
        assert_eq!(
            needles::search(URL_SAFE_NO_PAD.encode(&shifted).as_bytes()),
            Some(Secret::Photo)
        );
    }
    for text in [format!("{:?}", portrait().to_vec()), format!("{:?}", nameless()), hexadecimal] {
        assert_eq!(needles::search(text.as_bytes()), Some(Secret::Photo));
    }
    for (secret, text) in leaks() {
        assert_eq!(needles::search(format!("a {text} b").as_bytes()), Some(secret));
    }
    let innocent = format!("{} {} {}", "a".repeat(300), uuid::Uuid::nil(), &token()[..64]);
    assert_eq!(needles::search(innocent.as_bytes()), None);
}

#[test]
fn a_piece_from_the_middle_of_a_photo_is_found() {
    for photo in [portrait().to_vec(), facematch::simulator::sample::portrait_png().to_vec()] {
        let middle = &photo[photo.len() / 3..photo.len() / 2];
        assert_eq!(needles::search(middle), Some(Secret::Photo));
    }
}

#[test]
fn a_canary_that_arrives_in_two_pieces_is_found() {
    for (secret, text) in leaks() {
        let text = format!("before {text} behind");
        for cut in 1..text.len() {
            let (one, other) = text.as_bytes().split_at(cut);
            let mut search = Search::default();
            let found = search.feed(one).or_else(|| search.feed(other));
            assert_eq!(found, Some(secret), "cut at {cut}");
        }
    }
}

#[test]
fn a_canary_in_the_log_is_found_in_every_kind_of_record() {
    let found = findings();
    tracing::subscriber::with_default(subscriber("trace", found), || {
        tracing::trace!(target: "h2::codec", "{}", PASSWORD);
        tracing::info!(oz.password = PASSWORD, "logged in");
        tracing::debug!(request = ?nameless(), "asked");
        tracing::warn!(error = %Status::unknown(PASSWORD), "refused");
        let _span = tracing::debug_span!("login", token = token()).entered();
        let later = tracing::info_span!("later", name = tracing::field::Empty);
        later.record("name", FILE_NAME);
        tracing::info!("all is well");
    });
    use Secret::{FileName, Password, Photo, Token};
    assert_eq!(secrets(found), [Password, Password, Photo, Password, Token, FileName]);
    let told = found.all()[0].to_string();
    assert!(told.starts_with("the log of h2::codec, ") && told.contains("a password"), "{told}");
    assert!(!told.contains(PASSWORD), "the message quotes the secret");
}

#[test]
fn a_canary_in_the_log_of_a_process_is_found_and_the_log_read_to_its_end() {
    for (secret, text) in leaks() {
        let log = format!("{}{text}{}", "\n".repeat(65_530), "\n".repeat(100_000));
        let read = search_log(Cursor::new(&log));
        assert_eq!((read.bytes, read.secret), (log.len(), Some(secret)));
    }
}

#[tokio::test]
async fn a_finding_fails_its_own_test_and_no_other() {
    let (directory, _connection) = journal("nothing").await;
    let end = |found, thread: &str| {
        let journal = directory.path().join(JOURNAL);
        let inspection = Inspection { journal: Some(journal), thread: thread.to_owned(), found };
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(inspection))).is_err()
    };
    let (mine, other) = (thread_name(), "promises::calls::another_test");
    let found = findings();
    assert!(!end(found, &mine));
    found.report(Secret::Photo, "somewhere".to_owned());
    assert!(end(found, &mine) && !end(found, other));

    let found = findings();
    // Threads of a pool may belong to any test.
    let thread = std::thread::Builder::new().name("worker-3".to_owned());
    let reported = thread.spawn(|| found.report(Secret::Token, "the log".to_owned()));
    reported.unwrap().join().unwrap();
    assert!(end(found, &mine) && end(found, other));
}

/// A journal with one note in it, left open.
async fn journal(written: &str) -> (TempDir, SqliteConnection) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(JOURNAL);
    let options = SqliteConnectOptions::new().filename(path).create_if_missing(true);
    let options = options.journal_mode(sqlx::sqlite::SqliteJournalMode::Wal);
    let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
    sqlx::raw_sql("CREATE TABLE notes (note TEXT)").execute(&mut connection).await.unwrap();
    let insert = sqlx::query("INSERT INTO notes VALUES (?)").bind(written);
    insert.execute(&mut connection).await.unwrap();
    (directory, connection)
}

/// The message of a finding in the journal, if there was one.
fn told(directory: &Path) -> Option<String> {
    let searched = || search_journal(&directory.join(JOURNAL));
    let panic = std::panic::catch_unwind(searched).err()?;
    Some(panic.downcast_ref::<String>().expect("a message").clone())
}

#[tokio::test]
async fn a_canary_in_the_journal_is_found_in_its_wal_and_in_itself() {
    for (secret, text) in leaks().into_iter().filter(|(secret, _)| *secret != Secret::Key) {
        let (directory, connection) = journal(&text).await;
        let file = format!("{JOURNAL}-wal: there is {secret}");
        assert_eq!(told(directory.path()), Some(file), "before the checkpoint");
        connection.close().await.unwrap();
        let file = format!("{JOURNAL}: there is {secret}");
        assert_eq!(told(directory.path()), Some(file), "after the checkpoint");
    }
    let (directory, _connection) = journal("nothing").await;
    assert_eq!(told(directory.path()), None);
    assert!(!holds_key(&directory.path().join(JOURNAL)));
}

#[tokio::test]
async fn a_key_may_be_in_a_journal_and_hides_nothing_else() {
    let (directory, _connection) = journal(&format!("people/{KEY}")).await;
    assert_eq!(told(directory.path()), None);
    assert!(holds_key(&directory.path().join(JOURNAL)));
    let (directory, _connection) = journal(&format!("{KEY} {PASSWORD}")).await;
    let found = told(directory.path()).expect("the password is found");
    assert!(found.ends_with(&Secret::Password.to_string()), "{found}");
}

/// Answers every call with the same response.
#[derive(Clone)]
struct Answering {
    body: String,
    status: Status,
    at_once: bool,
}

impl Service<Request<Body>> for Answering {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Body>) -> Self::Future {
        if self.at_once {
            return ready(Ok(self.status.clone().into_http()));
        }
        let mut trailers = HeaderMap::new();
        self.status.add_header(&mut trailers).unwrap();
        let (one, other) = self.body.split_at(self.body.len() / 2);
        let data = [one, other].map(|part| Frame::data(part.to_owned().into()));
        let frames = data.into_iter().chain([Frame::trailers(trailers)]).map(Ok::<_, Status>);
        let body = StreamBody::new(futures_util::stream::iter(frames.collect::<Vec<_>>()));
        ready(Ok(Response::new(Body::new(body))))
    }
}

async fn found_in(answer: Answering) -> Vec<String> {
    let found = findings();
    let request = Request::post("/facematch.v1.FaceMatch/GetMatch").body(Body::empty()).unwrap();
    let answer = Searched::new(answer, found).call(request).await.unwrap();
    answer.into_body().collect().await.unwrap();
    found.all().iter().map(|finding| format!("{}: {}", finding.place, finding.secret)).collect()
}

#[tokio::test]
async fn a_canary_in_an_answer_is_found_in_its_body_its_status_and_the_details() {
    let clean = Answering { body: "an update".into(), status: Status::ok(""), at_once: false };
    assert_eq!(found_in(clean.clone()).await, Vec::<String>::new());
    let place = "an answer of /facematch.v1.FaceMatch/GetMatch";
    for (secret, text) in leaks() {
        let body = Answering { body: format!("an update, {text}"), ..clean.clone() };
        assert_eq!(found_in(body).await, [format!("{place}: {secret}")]);
        let details = [b"\n\x1c", text.as_bytes(), b"\0"].concat().into();
        let statuses = [
            Status::invalid_argument(format!("no {text}, please")),
            Status::with_details(Code::Internal, "a bug", details),
        ];
        for (status, at_once) in statuses.into_iter().flat_map(|s| [(s.clone(), false), (s, true)])
        {
            let found = found_in(Answering { status, at_once, ..clean.clone() }).await;
            assert!(found.contains(&format!("{place}, in its status: {secret}")), "{found:?}");
        }
    }
}
