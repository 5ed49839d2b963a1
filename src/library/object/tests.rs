//! Tests of where objects are asked for, and of the meaning of answers.

use std::sync::{Arc, Mutex};

use object_store::{
    ClientOptions,
    client::{HttpClient, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService},
};
use percent_encoding::percent_decode_str;
use proptest::prelude::*;

use super::*;
use crate::{
    domain::{KeyForm, photo},
    library::tests::{Canned, Memory},
    sync::lock,
};

/// An account of Azure's, whose key is no secret.
const AZURE_KEY: &str = "ZmFjZW1hdGNo";
/// An account of Google's that needs no sign-in.
const GOOGLE_ACCOUNT: &str = r#"{"private_key": "none", "private_key_id": "none",
    "client_email": "none", "disable_oauth": true}"#;

fn variables(given: &[(&str, &str)]) -> CloudVariables {
    given.iter().map(|(name, value)| ((*name).to_owned(), (*value).into())).collect()
}

/// Variables with credentials of all clouds.
fn credentials() -> CloudVariables {
    variables(&[
        ("AWS_ACCESS_KEY_ID", "id"),
        ("AWS_SECRET_ACCESS_KEY", "hunter2"),
        ("GOOGLE_SERVICE_ACCOUNT_KEY", GOOGLE_ACCOUNT),
        ("AZURE_STORAGE_ACCOUNT_NAME", "bank"),
        ("AZURE_STORAGE_ACCOUNT_KEY", AZURE_KEY),
    ])
}

/// A network whose requests are kept and get no answer.
#[derive(Clone, Debug, Default)]
struct Dead(Arc<Mutex<Vec<String>>>);

impl HttpConnector for Dead {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

#[async_trait]
impl HttpService for Dead {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        lock(&self.0).push(request.uri().to_string());
        Err(HttpError::new(HttpErrorKind::Connect, io::Error::other("dead")))
    }
}

/// The path of the object that a key names, as it is requested.
fn requested(cloud: Cloud, url: &str, key: &ReferenceKey) -> String {
    let network = Dead::default();
    let url = Url::parse(url).unwrap();
    let bucket = Bucket::open_over(cloud, &url, &credentials(), network.clone()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let outcome = runtime.block_on(bucket.read(key, &mut Memory::of(0)));
    assert!(outcome.is_err());
    let requests = lock(&network.0);
    let [request] = &requests[..] else { panic!("one request: {requests:?}") };
    // As it is sent: a URL's parser resolves what looks like a segment that leads out.
    Url::parse(request).unwrap().path().to_owned()
}

proptest! {
    #[test]
    fn a_key_of_a_tenant_is_an_object_below_its_prefix(
        text in "[ab./\\\\%2eA ]{1,16}|\\PC{1,64}",
        cloud in prop::sample::select(vec![Cloud::S3, Cloud::Gcs, Cloud::Azure]),
    ) {
        let Ok(key) = ReferenceKey::parse(&text, KeyForm::Path) else { return Ok(()) };
        let path = requested(cloud, "s3://bucket/p/a", &key);
        let decoded = percent_decode_str(&path).decode_utf8().unwrap();
        // The object is named by exactly this key, so no other tenant's key names it.
        prop_assert_eq!(decoded, format!("/bucket/p/a/{text}"));
    }
}

#[test]
fn an_address_has_a_bucket_and_perhaps_a_prefix() {
    let key = ReferenceKey::parse("17", KeyForm::Path).unwrap();
    for (url, path) in [
        ("s3://bucket", "/bucket/17"),
        ("s3://bucket/", "/bucket/17"),
        ("s3://bucket/p", "/bucket/p/17"),
        ("s3://bucket/p/a/", "/bucket/p/a/17"),
        ("s3://Bucket_1.x-y/p", "/Bucket_1.x-y/p/17"),
        ("s3://bucket/my%20photos", "/bucket/my%20photos/17"),
        ("s3://bucket/o'neil", "/bucket/o%27neil/17"),
    ] {
        assert_eq!(requested(Cloud::S3, url, &key), path, "{url}");
    }
    let extra = "must have a bucket and a prefix only: credentials come from the environment";
    let no_bucket = "must name a bucket, such as s3://bucket/prefix";
    let prefix = "must have a prefix without empty segments, . and ..";
    for (url, why) in [
        ("s3:///p", no_bucket),
        ("s3://buc%2Fket/p", no_bucket),
        ("s3://-bucket/p", no_bucket),
        ("s3://id:hunter2@bucket/p", extra),
        ("s3://bucket:9000/p", extra),
        ("s3://bucket/p?region=x", extra),
        ("s3://bucket/p#a", extra),
        ("s3://bucket/p//a", prefix),
        ("s3://bucket/p%2f%2fa", prefix),
        ("s3://bucket/p/%2e%2e%2fa", prefix),
        ("s3://bucket/%ff", prefix),
        ("s3://bucket/a%00b", prefix),
    ] {
        let network = Dead::default();
        let opened =
            Bucket::open_over(Cloud::S3, &Url::parse(url).unwrap(), &credentials(), network);
        let bad = opened.err().unwrap_or_else(|| panic!("{url} is refused"));
        assert_eq!((bad.term, bad.why.as_str()), (Term::Url, why), "{url}");
    }
}

/// A bucket of an S3 server with these answers.
fn bucket_at(server: &Canned, more: &[(&str, &str)]) -> Bucket {
    let endpoint = format!("http://{}", server.address);
    let mut variables = variables(more);
    variables.insert("AWS_ENDPOINT_URL".to_owned(), endpoint.into());
    let url = Url::parse("s3://bucket/p/a").unwrap();
    Bucket::open(Cloud::S3, &url, &TermFiles::default(), &variables).unwrap()
}

const KEYS: [(&str, &str); 2] = [("AWS_ACCESS_KEY_ID", "id"), ("AWS_SECRET_ACCESS_KEY", "hunter2")];

async fn read_from(bucket: &Bucket) -> Result<Bytes, SourceError> {
    let key = ReferenceKey::parse("customer 17", KeyForm::Path).unwrap();
    bucket.read(&key, &mut Memory::of(photo::BYTES_MAX)).await
}

/// Reads a photo from an S3 server with one answer.
async fn read(answer: &str) -> Result<Bytes, SourceError> {
    read_from(&bucket_at(&Canned::serve([answer]), &KEYS)).await
}

/// An answer with an error in XML, which quotes the key as S3 does.
fn error(status: &str, code: &str) -> String {
    let body = format!("<Error><Code>{code}</Code><Key>p/a/customer 17</Key></Error>");
    format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

#[track_caller]
fn assert_fault(outcome: &Result<Bytes, SourceError>, expected: LibraryFault) -> String {
    let Err(SourceError::Fault(fault, text)) = outcome else { panic!("{outcome:?}") };
    assert_eq!(*fault, expected, "{text}");
    for kept in ["customer", "17", "hunter2", "p/a"] {
        assert!(!text.contains(kept), "{text}");
    }
    text.clone()
}

#[tokio::test]
async fn a_photo_is_read_with_one_signed_request() {
    let answer = "HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\na photo";
    let server = Canned::serve([answer, answer]);
    let outcome = read_from(&bucket_at(&server, &KEYS)).await;
    assert_eq!(outcome.unwrap(), &b"a photo"[..]);
    let heads = server.heads();
    let [head] = &heads[..] else { panic!("one request: {heads:?}") };
    assert!(head.starts_with("GET /bucket/p/a/customer%2017 HTTP/1.1\n"), "{head}");
    assert!(head.contains("authorization: AWS4-HMAC-SHA256 Credential=id/"), "{head}");
    assert!(!head.contains("hunter2"));
}

#[tokio::test]
async fn a_refusal_has_its_reason_and_shows_no_key() {
    for (status, code, fault) in [
        ("404 Not Found", "NoSuchKey", LibraryFault::NotFound),
        ("404 Not Found", "NoSuchBucket", LibraryFault::Protocol),
        ("404 Not Found", "a proxy's page", LibraryFault::NotFound),
        ("403 Forbidden", "AccessDenied", LibraryFault::Forbidden),
        ("403 Forbidden", "SignatureDoesNotMatch", LibraryFault::Forbidden),
        ("401 Unauthorized", "", LibraryFault::Forbidden),
        ("400 Bad Request", "ExpiredToken", LibraryFault::Forbidden),
        ("400 Bad Request", "AuthorizationHeaderMalformed", LibraryFault::Protocol),
        ("400 Bad Request", "RequestTimeout", LibraryFault::Unreachable),
        ("400 Bad Request", "KeyTooLongError", LibraryFault::NotFound),
        ("400 Bad Request", "InvalidArgument", LibraryFault::Protocol),
        ("409 Conflict", "", LibraryFault::Protocol),
        ("412 Precondition Failed", "", LibraryFault::Protocol),
        ("429 Too Many Requests", "", LibraryFault::Unreachable),
        ("500 Internal Server Error", "InternalError", LibraryFault::Unreachable),
        ("503 Service Unavailable", "SlowDown", LibraryFault::Unreachable),
        ("301 Moved Permanently", "PermanentRedirect", LibraryFault::Protocol),
        ("304 Not Modified", "", LibraryFault::Protocol),
    ] {
        let text = assert_fault(&read(&error(status, code)).await, fault);
        let is_word = !code.is_empty() && !code.contains(' ') && !status.starts_with("304");
        assert_eq!(text.contains(&format!("({code})")), is_word, "{text}");
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed_and_names_the_region() {
    let other = Canned::serve(["HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"]);
    let answer = format!(
        "HTTP/1.1 307 Temporary Redirect\r\nlocation: http://{}/latest/meta-data/\r\n\
         x-amz-bucket-region: eu-west-1\r\ncontent-length: 0\r\n\r\n",
        other.address
    );
    let text = assert_fault(&read(&answer).await, LibraryFault::Protocol);
    assert!(text.contains("eu-west-1"), "{text}");
    assert!(other.heads().is_empty());
}

#[tokio::test]
async fn an_answer_that_is_no_photo_has_its_reason() {
    for (answer, fault) in [
        ("content-length: 10485761\r\n\r\n", LibraryFault::TooLarge),
        ("content-length: 10\r\n\r\nphoto", LibraryFault::Protocol),
        (
            "content-length: 10\r\ntransfer-encoding: chunked\r\n\r\n5\r\nphoto\r\n0\r\n\r\n",
            LibraryFault::Protocol,
        ),
        (
            "content-length: 3\r\ntransfer-encoding: chunked\r\n\r\n5\r\nphoto\r\n0\r\n\r\n",
            LibraryFault::Protocol,
        ),
        ("transfer-encoding: chunked\r\n\r\n0\r\n\r\n", LibraryFault::Protocol),
    ] {
        let answer = format!("HTTP/1.1 200 OK\r\n{answer}");
        assert_fault(&read(&answer).await, fault);
    }
    assert_fault(&read("garbage\r\n\r\n").await, LibraryFault::Unreachable);
}

#[tokio::test]
async fn without_credentials_a_library_refuses_the_service() {
    let nothing = "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n";
    let server = Canned::serve([nothing, nothing]);
    let metadata = format!("http://{}", server.address);
    let bucket = bucket_at(&server, &[("AWS_METADATA_ENDPOINT", &metadata)]);
    let text = assert_fault(&read_from(&bucket).await, LibraryFault::Forbidden);
    assert!(text.starts_with("there are no credentials: the environment names none"), "{text}");
    assert!(server.heads().iter().all(|head| !head.contains("/bucket/")));
    // A metadata server that isn't there is none either.
    let gone = Canned::serve::<&str>([]);
    let metadata = format!("http://{}", gone.address);
    let bucket = bucket_at(&gone, &[("AWS_METADATA_ENDPOINT", &metadata)]);
    assert_fault(&read_from(&bucket).await, LibraryFault::Forbidden);
}

#[tokio::test]
async fn named_credentials_that_are_out_for_a_while_are_waited_for() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "hunter2").unwrap();
    for (answer, fault) in [
        (error("503 Service Unavailable", "ServiceUnavailable"), LibraryFault::Unreachable),
        (error("403 Forbidden", "AccessDenied"), LibraryFault::Forbidden),
        ("HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\nhunter2".to_owned(), LibraryFault::Forbidden),
    ] {
        let server = Canned::serve([answer]);
        let endpoint = format!("http://{}", server.address);
        let bucket = bucket_at(
            &server,
            &[
                ("AWS_WEB_IDENTITY_TOKEN_FILE", file.path().to_str().unwrap()),
                ("AWS_ROLE_ARN", "arn:aws:iam::1:role/photos"),
                ("AWS_ENDPOINT_URL_STS", &endpoint),
            ],
        );
        assert_fault(&read_from(&bucket).await, fault);
    }
}

#[tokio::test]
async fn credentials_are_asked_for_over_plain_http_on_the_machine_s_host_only() {
    let server = Canned::serve::<&str>([]);
    let file = tempfile::NamedTempFile::new().unwrap();
    let bucket = bucket_at(
        &server,
        &[
            ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://credentials.example/hunter2"),
            ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", file.path().to_str().unwrap()),
        ],
    );
    let text = assert_fault(&read_from(&bucket).await, LibraryFault::Forbidden);
    assert!(text.ends_with(client::UNSAFE), "{text}");
}

#[tokio::test]
async fn a_check_finds_the_bucket() {
    for (answer, fault) in [
        (error("404 Not Found", "NoSuchKey"), None),
        (error("404 Not Found", "NoSuchBucket"), Some(LibraryFault::Protocol)),
        (error("403 Forbidden", "AccessDenied"), Some(LibraryFault::Forbidden)),
    ] {
        let server = Canned::serve([answer]);
        let outcome = bucket_at(&server, &KEYS).check().await;
        match outcome {
            Ok(()) => assert_eq!(fault, None),
            Err(SourceError::Fault(found, _)) => assert_eq!(Some(found), fault),
            Err(SourceError::NoRoom) => panic!("no photo is read"),
        }
        assert!(server.heads()[0].starts_with("GET /bucket/p/a/facematch-check "));
    }
}
