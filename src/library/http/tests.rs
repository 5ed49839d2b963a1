//! Tests of the address of a key, and of the meaning of answers.

use percent_encoding::percent_decode_str;
use proptest::prelude::*;

use super::*;
use crate::{
    domain::{KeyForm, photo},
    library::tests::{Canned, Memory},
};

fn open(url: &str) -> Result<WebService, BadTerm> {
    WebService::open(url, &TermFiles::default())
}

fn key(text: &str) -> ReferenceKey {
    ReferenceKey::parse(text, KeyForm::Segment).unwrap()
}

/// Reads a photo from a server with one answer.
async fn read(answer: &[u8]) -> Result<Bytes, SourceError> {
    let server = Canned::serve([answer]);
    read_at(&format!("http://{}/photos/{{key}}", server.address)).await
}

async fn read_at(url: &str) -> Result<Bytes, SourceError> {
    open(url).unwrap().read(&key("customer 17"), &mut Memory::of(photo::BYTES_MAX)).await
}

#[track_caller]
fn assert_fault(outcome: &Result<Bytes, SourceError>, expected: LibraryFault) {
    let Err(SourceError::Fault(fault, text)) = outcome else { panic!("{outcome:?}") };
    assert_eq!(*fault, expected, "{text}");
    assert!(!text.contains("customer") && !text.contains("hunter2"), "{text}");
}

#[test]
fn an_address_has_the_place_of_the_key_in_its_path() {
    for url in [
        "https://host/photos/{key}",
        "https://host:8443/{key}.jpg",
        "https://host/{key}/photo?size=full",
        "http://127.0.0.1:8080/{key}",
    ] {
        assert!(open(url).is_ok(), "{url}");
    }
    let misplaced = "must have {key} once, in its path: https://host/photos/{key}";
    let password = "must hold no password: a bearer token comes from the secret file";
    let blanks = "must have no blanks, control characters and backslashes";
    for (url, why) in [
        ("https://host/photos", misplaced),
        ("https://{key}/photos", misplaced),
        ("https://{key}.example/photos/", misplaced),
        ("https://host/photos?id={key}", misplaced),
        ("https://host?/{key}", misplaced),
        ("https://host/{key}/{key}", misplaced),
        ("https://host/photos/#{key}", "must have no fragment"),
        ("https://anna:hunter2@host/{key}", password),
        ("https://anna@host/{key}", password),
        ("https://host\\@other/{key}", blanks),
        ("https://ho\nst/{key}", blanks),
        ("https://host/my photos/{key}", blanks),
        ("http://host/{key}", client::UNSAFE),
        ("http://169.254.169.254/{key}", client::UNSAFE),
        ("https:///{key}", misplaced),
        ("https:////host/{key}", misplaced),
        ("https:/host/{key}", misplaced),
    ] {
        let bad = open(url).err().unwrap_or_else(|| panic!("{url:?} is refused"));
        assert_eq!((bad.term, bad.why.as_str()), (Term::Url, why), "{url}");
    }
}

#[test]
fn a_key_is_one_segment() {
    let service = open("https://host/photos/{key}.jpg").unwrap();
    for (key, expected) in [
        ("17", "17"),
        ("a-b.c_d~e", "a-b.c_d~e"),
        ("o'neil", "o%27neil"),
        ("%2e%2e", "%252e%252e"),
        ("a b", "a%20b"),
        ("Ā", "%C4%80"),
        ("a/b?c#d", "a%2Fb%3Fc%23d"),
        ("a;b=c&d+e", "a%3Bb%3Dc%26d%2Be"),
    ] {
        assert_eq!(service.address(key), format!("https://host/photos/{expected}.jpg"));
    }
}

proptest! {
    #[test]
    fn a_key_stays_in_its_place(text in "[ab./\\\\%2eA@:?#{}é ]{1,16}|\\PC{1,64}") {
        let Ok(key) = ReferenceKey::parse(&text, KeyForm::Segment) else { return Ok(()) };
        let service = open("https://host/p/a/{key}/photo").unwrap();
        let url = Url::parse(&service.address(key.as_str())).unwrap();
        prop_assert_eq!(url.host_str(), Some("host"));
        prop_assert!(url.query().is_none() && url.fragment().is_none());
        let segments: Vec<_> = url.path_segments().unwrap().collect();
        let ["p", "a", segment, "photo"] = segments[..] else {
            return Err(TestCaseError::fail(format!("{url}")));
        };
        // The server decodes this key and no other.
        let decoded = percent_decode_str(segment).decode_utf8().unwrap();
        prop_assert_eq!(decoded, text);
    }
}

#[tokio::test]
async fn a_request_has_the_token_and_asks_for_no_encoding() {
    let photo = b"HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\na photo";
    let server = Canned::serve([photo]);
    let url = format!("http://{}/photos/{{key}}", server.address);
    let files = TermFiles { secret: Some("hunter2".into()), ca: None };
    let service = WebService::open(&url, &files).unwrap();
    let read = service.read(&key("customer 17"), &mut Memory::of(7)).await;
    assert_eq!(read.unwrap(), &b"a photo"[..]);
    let heads = server.heads();
    let [head] = &heads[..] else { panic!("one request: {heads:?}") };
    assert!(head.starts_with("GET /photos/customer%2017 HTTP/1.1\n"), "{head}");
    assert!(head.contains("accept-encoding: identity"), "{head}");
    assert!(head.contains("authorization: Bearer hunter2"), "{head}");
}

#[test]
fn a_token_that_no_header_can_hold_is_refused() {
    let files = TermFiles { secret: Some("hunter2\u{7}".into()), ca: None };
    let bad = WebService::open("https://host/{key}", &files).err().unwrap();
    assert_eq!(bad.term, Term::SecretFile);
    assert!(!bad.why.contains("hunter2"));
}

#[tokio::test]
async fn an_answer_without_a_photo_has_its_reason() {
    for (answer, fault) in [
        ("404 Not Found\r\n", LibraryFault::NotFound),
        ("403 Forbidden\r\n", LibraryFault::Forbidden),
        ("500 Oops\r\n", LibraryFault::Unreachable),
        ("204 No Content\r\n", LibraryFault::Protocol),
        ("206 Partial Content\r\ncontent-length: 0\r\n", LibraryFault::Protocol),
        ("200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 0\r\n", LibraryFault::Protocol),
        ("200 OK\r\ncontent-length: 10485761\r\n", LibraryFault::TooLarge),
        ("200 OK\r\ncontent-length: 99999999999999999999\r\n", LibraryFault::Unreachable),
    ] {
        let answer = format!("HTTP/1.1 {answer}connection: close\r\n\r\n");
        assert_fault(&read(answer.as_bytes()).await, fault);
    }
    assert_fault(&read(b"no HTTP at all\r\n\r\n").await, LibraryFault::Unreachable);
}

#[tokio::test]
async fn a_length_that_lies_is_found_out() {
    for answer in [
        // Too few bytes, then the end of the connection.
        "content-length: 10\r\n\r\nphoto",
        // Two lengths: the chunks have fewer bytes than announced, or more.
        "content-length: 10\r\ntransfer-encoding: chunked\r\n\r\n5\r\nphoto\r\n0\r\n\r\n",
        "content-length: 3\r\ntransfer-encoding: chunked\r\n\r\n5\r\nphoto\r\n0\r\n\r\n",
    ] {
        let answer = format!("HTTP/1.1 200 OK\r\n{answer}");
        assert_fault(&read(answer.as_bytes()).await, LibraryFault::Protocol);
    }
    let cut = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nphoto\r\n";
    assert_fault(&read(cut).await, LibraryFault::Unreachable);
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let other = Canned::serve(["HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"]);
    for status in [301, 302, 303, 307, 308] {
        let location = format!("http://{}/latest/meta-data/", other.address);
        let answer = format!("HTTP/1.1 {status} Moved\r\nlocation: {location}\r\n\r\n");
        assert_fault(&read(answer.as_bytes()).await, LibraryFault::Protocol);
    }
    assert!(other.heads().is_empty());
}

#[tokio::test]
async fn a_check_asks_for_no_photo() {
    for (status, fault) in [
        ("200 OK", None),
        ("404 Not Found", None),
        ("400 Bad Request", None),
        ("401 Unauthorized", Some(LibraryFault::Forbidden)),
        ("302 Found", Some(LibraryFault::Protocol)),
        ("503 Service Unavailable", Some(LibraryFault::Unreachable)),
    ] {
        let server = Canned::serve([format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n")]);
        let service = open(&format!("http://{}/{{key}}", server.address)).unwrap();
        match service.check().await {
            Ok(()) => assert_eq!(fault, None, "{status}"),
            Err(SourceError::Fault(found, _)) => assert_eq!(fault, Some(found), "{status}"),
            Err(SourceError::NoRoom) => panic!("{status}"),
        }
        assert!(server.heads()[0].starts_with("GET /facematch-check "));
    }
}
