//! Carries the requests of the crate `object_store` over the [HTTP client](client) of libraries.
//!
//! An answer that isn't a success becomes a [`Refusal`], of which only the store's own word is kept:
//! the crate would keep the whole body, however long, and quote it. No answer is longer than a photo.
//!
//! The crate has a client of its own, behind its feature `reqwest`. That feature isn't used: it
//! would also turn on HTTP/2 in the client of Oz.

use std::net::IpAddr;

use async_trait::async_trait;
use http::{HeaderName, StatusCode};
use http_body_util::{BodyExt, Limited};
use object_store::{
    ClientOptions,
    client::{
        HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse,
        HttpResponseBody, HttpService,
    },
};
use reqwest::{Client, Response, Url};

use crate::{
    domain::photo,
    library::client::{self, Refusal},
};

/// The longest answer in bytes: a photo, and a byte more, so that a longer one is noticed. Answers
/// with credentials are much shorter.
const ANSWER_BYTES_MAX: usize = photo::BYTES_MAX + 1;
/// How much of a refusal is read, in bytes: the code is at its beginning.
const REFUSAL_BYTES_MAX: usize = 4096;
/// The longest code or name of a region that is taken from an answer, in bytes.
const WORD_BYTES_MAX: usize = 64;

/// The names of the metadata server of Google Cloud.
const METADATA_HOSTS: [&str; 2] = ["metadata.google.internal", "metadata"];

/// Where Azure says why it refuses.
const AZURE_CODE: HeaderName = HeaderName::from_static("x-ms-error-code");
/// Where S3 names the region of a bucket.
const S3_REGION: HeaderName = HeaderName::from_static("x-amz-bucket-region");

/// Carries requests.
#[derive(Clone, Debug)]
pub struct Transport(Client);

/// A request that isn't sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("an address {}", client::UNSAFE)]
pub struct Unsafe;

impl Transport {
    /// Carries requests over a client.
    pub const fn new(http: Client) -> Self {
        Self(http)
    }
}

impl HttpConnector for Transport {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

#[async_trait]
impl HttpService for Transport {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let (parts, body) = request.into_parts();
        let url = Url::parse(&parts.uri.to_string());
        let url = url.map_err(|error| HttpError::new(HttpErrorKind::Unknown, error))?;
        if !client::is_safe(&url) && !is_metadata(&url) {
            return Err(HttpError::new(HttpErrorKind::Unknown, Unsafe));
        }
        let mut request = reqwest::Request::new(parts.method, url);
        *request.headers_mut() = parts.headers;
        *request.body_mut() = body.as_bytes().cloned().map(Into::into);
        let answer = self.0.execute(request).await.map_err(broken)?;
        if !answer.status().is_success() {
            return Err(HttpError::new(HttpErrorKind::Unknown, refusal(answer).await));
        }
        let (parts, body) = http::Response::from(answer).into_parts();
        let body = Limited::new(body, ANSWER_BYTES_MAX)
            .map_err(|error| HttpError::new_boxed(HttpErrorKind::Unknown, error));
        Ok(HttpResponse::from_parts(parts, HttpResponseBody::new(body)))
    }
}

fn broken(error: reqwest::Error) -> HttpError {
    let kind = match error.is_timeout() {
        true => HttpErrorKind::Timeout,
        false => HttpErrorKind::Unknown,
    };
    HttpError::new(kind, error.without_url())
}

/// Whether this is a metadata server, from which a machine in a cloud gets its credentials. These
/// are reached over plain HTTP, within the machine's own host.
fn is_metadata(url: &Url) -> bool {
    let Some(host) = url.host_str().filter(|_| url.scheme() == "http") else { return false };
    match client::ip(host) {
        Some(IpAddr::V4(ip)) => ip.is_link_local(),
        Some(IpAddr::V6(ip)) => ip.segments()[..2] == [0xfd00, 0x0ec2],
        None => METADATA_HOSTS.contains(&host),
    }
}

async fn refusal(mut answer: Response) -> Refusal {
    let header = |name: HeaderName| {
        let text = answer.headers().get(name)?.to_str().ok()?;
        word(text)
    };
    let (status, named, region) = (answer.status(), header(AZURE_CODE), header(S3_REGION));
    // A region is of interest only to requests that belong elsewhere.
    let is_elsewhere = status.is_redirection() || status == StatusCode::BAD_REQUEST;
    let code = match named {
        Some(code) => Some(code),
        None => code_of(&beginning(&mut answer).await),
    };
    Refusal { status, code, region: region.filter(|_| is_elsewhere) }
}

/// The beginning of a body, as far as it comes.
async fn beginning(answer: &mut Response) -> Vec<u8> {
    let mut read = Vec::new();
    while let Ok(Some(piece)) = answer.chunk().await {
        let room = REFUSAL_BYTES_MAX - read.len();
        read.extend_from_slice(&piece[..piece.len().min(room)]);
        if read.len() == REFUSAL_BYTES_MAX {
            break;
        }
    }
    read
}

/// The code of an error in XML.
fn code_of(body: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(body);
    let (_, rest) = text.split_once("<Code>")?;
    let (code, _) = rest.split_once("</Code>")?;
    word(code)
}

/// A text, if it is one short word: nothing that a caller has sent.
fn word(text: &str) -> Option<String> {
    let is_word = !text.is_empty()
        && text.len() <= WORD_BYTES_MAX
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    is_word.then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_word_of_the_store_is_kept_of_a_refusal() {
        for (body, code) in [
            ("<?xml?><Error><Code>NoSuchKey</Code><Key>17</Key></Error>", Some("NoSuchKey")),
            ("<Error><Code>No such customer 17</Code></Error>", None),
            ("<Error><Code></Code></Error>", None),
            ("<Error><Code>NoSuch", None),
            ("<html>not found</html>", None),
            ("\u{ff}", None),
        ] {
            assert_eq!(code_of(body.as_bytes()).as_deref(), code, "{body}");
        }
        assert_eq!(word(&"a".repeat(WORD_BYTES_MAX + 1)), None);
    }

    #[test]
    fn plain_http_is_for_this_machine_and_for_metadata_servers() {
        for (url, is_metadata_server) in [
            ("http://169.254.169.254/latest/meta-data", true),
            ("http://169.254.170.2/v2/credentials", true),
            ("http://[fd00:ec2::254]/latest", true),
            ("http://metadata.google.internal/token", true),
            ("https://169.254.169.254/", false),
            ("http://10.0.0.1/", false),
            ("http://metadata.google.internal.example/", false),
            ("http://s3.example.com/photos", false),
            ("http://[fd00::1]/", false),
        ] {
            assert_eq!(is_metadata(&Url::parse(url).unwrap()), is_metadata_server, "{url}");
        }
    }
}
