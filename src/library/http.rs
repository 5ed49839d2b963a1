//! Photos behind a web service: `https://host/photos/{key}`, where the key takes the place of
//! `{key}`.
//!
//! The key becomes one segment of the path, or a part of one: every byte that isn't unreserved in a
//! URL is percent-encoded, a slash too, so a key names nothing beside its place. The rest of the
//! address is the operator's, and redirects are not followed, so a caller can make the service ask
//! no other server. A bearer token comes from the secret's file.

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::TryStreamExt;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{Client, Response, Url};
use secrecy::ExposeSecret;

use crate::{
    domain::{LibraryFault, ReferenceKey},
    library::{
        BadTerm, LibrarySource, Room, SourceError, SourceKind, Term, TermFiles, body,
        client::{self, Refusal},
    },
};

/// The place of the key in the URL.
const PLACE: &str = "{key}";

/// Everything except the unreserved characters of RFC 3986.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A key that names no photo, for checks.
const CHECK_KEY: &str = "facematch-check";

/// Photos behind a web service.
pub struct WebService {
    before: String,
    after: String,
    token: Option<HeaderValue>,
    http: Client,
}

impl WebService {
    /// The web service that a URL with `{key}` names.
    pub(super) fn open(text: &str, files: &TermFiles) -> Result<Self, BadTerm> {
        let (before, after) = parts(text)?;
        let sample = Url::parse(&format!("{before}key{after}"))
            .map_err(|_| Term::Url.bad("is no URL such as https://host/photos/{key}"))?;
        if !client::is_safe(&sample) {
            return Err(Term::Url.bad(client::UNSAFE));
        }
        if !sample.username().is_empty() || sample.password().is_some() {
            let why = "must hold no password: a bearer token comes from the secret file";
            return Err(Term::Url.bad(why));
        }
        let http = client::build(files.ca.as_deref(), sample.scheme() == "https")?;
        Ok(Self { before, after, token: token(files)?, http })
    }

    /// The address of a key's photo.
    fn address(&self, key: &str) -> String {
        format!("{}{}{}", self.before, utf8_percent_encode(key, ENCODED), self.after)
    }

    async fn ask(&self, key: &str) -> Result<Response, SourceError> {
        // No content coding is asked for: the photo's length would not be known.
        let request = self.http.get(self.address(key)).header(header::ACCEPT_ENCODING, "identity");
        let request = match &self.token {
            Some(token) => request.header(header::AUTHORIZATION, token.clone()),
            None => request,
        };
        request.send().await.map_err(|error| client::transport_fault(&error.without_url(), false))
    }
}

/// The text before and after `{key}`, which must be in the path.
fn parts(text: &str) -> Result<(String, String), BadTerm> {
    // A URL parser would drop some of these, and read others as slashes.
    if text.contains(|letter: char| letter.is_whitespace() || letter.is_control() || letter == '\\')
    {
        return Err(Term::Url.bad("must have no blanks, control characters and backslashes"));
    }
    if text.contains('#') {
        return Err(Term::Url.bad("must have no fragment"));
    }
    let misplaced =
        || Term::Url.bad("must have {key} once, in its path: https://host/photos/{key}");
    let (before, after) = text.split_once(PLACE).ok_or_else(misplaced)?;
    let (_, rest) = before.split_once("://").ok_or_else(misplaced)?;
    // A URL parser skips slashes in front of a host, which the key must not become.
    let has_host = !rest.starts_with('/') && rest.contains('/');
    match has_host && !rest.contains('?') && !after.contains(PLACE) {
        true => Ok((before.to_owned(), after.to_owned())),
        false => Err(misplaced()),
    }
}

fn token(files: &TermFiles) -> Result<Option<HeaderValue>, BadTerm> {
    let Some(secret) = &files.secret else { return Ok(None) };
    let value = HeaderValue::from_str(&format!("Bearer {}", secret.expose_secret()));
    let mut value =
        value.map_err(|_| Term::SecretFile.bad("holds characters that no bearer token has"))?;
    value.set_sensitive(true);
    Ok(Some(value))
}

#[async_trait]
impl LibrarySource for WebService {
    fn kind(&self) -> SourceKind {
        SourceKind::Http
    }

    async fn read(&self, key: &ReferenceKey, room: &mut dyn Room) -> Result<Bytes, SourceError> {
        let answer = self.ask(key.as_str()).await?;
        if answer.status() != StatusCode::OK {
            return Err(refused(answer.status()));
        }
        let announced = length(answer.headers())?;
        let pieces = answer
            .bytes_stream()
            .map_err(|error| client::transport_fault(&error.without_url(), announced.is_some()));
        body::collect(announced, pieces, room).await
    }

    async fn check(&self) -> Result<(), SourceError> {
        let status = self.ask(CHECK_KEY).await?.status();
        let fault = client::status_fault(status);
        // A service may answer in many ways that it has no such photo.
        let is_missing = status.is_client_error()
            && matches!(fault, LibraryFault::NotFound | LibraryFault::Protocol);
        match status.is_success() || is_missing {
            true => Ok(()),
            false => Err(refused(status)),
        }
    }
}

/// The announced length of a photo that isn't encoded.
fn length(headers: &HeaderMap) -> Result<Option<u64>, SourceError> {
    let is_encoded = headers.get_all(header::CONTENT_ENCODING).iter().any(|c| c != "identity");
    if is_encoded {
        return Err(protocol("the answer has a content encoding, which was not asked for"));
    }
    let Some(length) = headers.get(header::CONTENT_LENGTH) else { return Ok(None) };
    let length = length.to_str().ok().and_then(|text| text.parse().ok());
    length.map(Some).ok_or_else(|| protocol("the announced length is no number"))
}

fn refused(status: StatusCode) -> SourceError {
    let refusal = Refusal { status, code: None, region: None };
    SourceError::Fault(client::status_fault(status), refusal.to_string())
}

fn protocol(why: &str) -> SourceError {
    SourceError::Fault(LibraryFault::Protocol, why.to_owned())
}

#[cfg(test)]
mod tests;
