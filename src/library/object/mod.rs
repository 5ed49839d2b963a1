//! Photos in an object store: `s3://bucket/prefix`, `gs://bucket/prefix`, `azure://container/prefix`.
//!
//! The object of a key is the prefix, a slash and the key, as they are: keys are never encoded or
//! normalised into others, so no key leaves the prefix. [`cloud`] says which environment variables
//! name the credentials and the server. One GET reads a photo; whether a bucket keeps versions makes
//! no difference, and the newest is read. `--library-ca-file` is trusted for the store and for the
//! services that give credentials.
//!
//! S3 answers 403 for an object that it doesn't have, unless the credentials include
//! `s3:ListBucket` for the bucket: without it, a missing photo is a library that refuses.

mod cloud;
mod transport;

use std::{
    error::Error,
    io,
    sync::atomic::{AtomicBool, Ordering},
};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::TryStreamExt;
use object_store::{GetOptions, client::HttpConnector, path::Path};
use percent_encoding::percent_decode_str;
use reqwest::Url;

pub use cloud::Cloud;

use crate::{
    domain::{LibraryFault, ReferenceKey},
    library::{
        BadTerm, CloudVariables, LibrarySource, Room, SourceError, SourceKind, Term, TermFiles,
        body,
        client::{self, Refusal},
    },
};
use cloud::Store;
use transport::{Transport, Unsafe};

/// The longest name of a bucket, in bytes. Clouds allow fewer.
const BUCKET_BYTES_MAX: usize = 255;

/// The key that checks ask for, which names no photo.
const CHECK_KEY: &str = "facematch-check";

/// Codes of a bucket that doesn't exist.
const NO_BUCKET: [&str; 3] = ["NoSuchBucket", "ContainerNotFound", "InvalidBucketName"];
/// Codes of credentials that are refused with the status 400.
const BAD_CREDENTIALS: [&str; 3] = ["ExpiredToken", "InvalidToken", "TokenRefreshRequired"];
/// Codes of keys that no object can have.
const NO_KEY: [&str; 4] =
    ["KeyTooLongError", "InvalidObjectName", "InvalidUri", "InvalidResourceName"];
/// The code by which S3 says that a request arrived too slowly.
const TIMEOUT: &str = "RequestTimeout";
/// The code of a request that the credentials don't include.
const DENIED: &str = "AccessDenied";

/// A bucket, or a part of it.
pub struct Bucket {
    cloud: Cloud,
    store: Store,
    /// What every path of an object begins with: nothing, or a path with a slash at its end.
    prefix: String,
    /// Whether credentials are expected: they are named, or have been there before.
    expects_credentials: AtomicBool,
}

impl Bucket {
    /// The bucket and the prefix that a URL names.
    pub(super) fn open(
        cloud: Cloud,
        url: &Url,
        files: &TermFiles,
        variables: &CloudVariables,
    ) -> Result<Self, BadTerm> {
        let http = client::build(files.ca.as_deref(), cloud.needs_tls(variables))?;
        Self::open_over(cloud, url, variables, Transport::new(http))
    }

    fn open_over(
        cloud: Cloud,
        url: &Url,
        variables: &CloudVariables,
        connector: impl HttpConnector,
    ) -> Result<Self, BadTerm> {
        let bucket = bucket(url)?;
        let prefix = prefix(url)?;
        let store = cloud.open(bucket, variables, connector)?;
        let expects_credentials = AtomicBool::new(cloud.names_credentials(variables));
        Ok(Self { cloud, store, prefix, expects_credentials })
    }

    /// Gets credentials, unless there are some that are still valid.
    async fn sign_in(&self) -> Result<(), SourceError> {
        match self.store.sign_in().await {
            Ok(()) => {
                self.expects_credentials.store(true, Ordering::Relaxed);
                Ok(())
            }
            Err(error) => {
                let is_expected = self.expects_credentials.load(Ordering::Relaxed);
                Err(credential_fault(&error, is_expected))
            }
        }
    }

    async fn get(&self, key: &str) -> Result<object_store::GetResult, SourceError> {
        self.sign_in().await?;
        let path = Path::parse(format!("{}{key}", self.prefix)).map_err(|_| {
            SourceError::Fault(LibraryFault::NotFound, "the key is no path".to_owned())
        })?;
        let found = self.store.objects().get_opts(&path, GetOptions::default()).await;
        found.map_err(|error| fault(&error))
    }
}

/// The name of the bucket.
fn bucket(url: &Url) -> Result<&str, BadTerm> {
    let is_bare = url.query().is_none() && url.fragment().is_none() && url.port().is_none();
    if !is_bare || !url.username().is_empty() || url.password().is_some() {
        let why = "must have a bucket and a prefix only: credentials come from the environment";
        return Err(Term::Url.bad(why));
    }
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    let is_name = |name: &&str| {
        name.len() <= BUCKET_BYTES_MAX
            && name.bytes().all(is_allowed)
            && name.starts_with(|letter: char| letter.is_ascii_alphanumeric())
    };
    let bad = || Term::Url.bad("must name a bucket, such as s3://bucket/prefix");
    url.host_str().filter(is_name).ok_or_else(bad)
}

/// The prefix, with a slash at its end if there is one.
fn prefix(url: &Url) -> Result<String, BadTerm> {
    let path = url.path().trim_matches('/');
    let path = percent_decode_str(path).decode_utf8();
    let prefix = path.ok().and_then(|path| Path::parse(&path).ok().map(|_| path.into_owned()));
    match prefix {
        Some(prefix) if prefix.is_empty() => Ok(prefix),
        Some(prefix) if !prefix.starts_with('/') && !prefix.ends_with('/') => {
            Ok(format!("{prefix}/"))
        }
        Some(_) | None => Err(Term::Url.bad("must have a prefix without empty segments, . and ..")),
    }
}

#[async_trait]
impl LibrarySource for Bucket {
    fn kind(&self) -> SourceKind {
        self.cloud.kind()
    }

    async fn read(&self, key: &ReferenceKey, room: &mut dyn Room) -> Result<Bytes, SourceError> {
        let found = self.get(key.as_str()).await?;
        let announced = found.meta.size;
        let pieces = found.into_stream().map_err(|error| client::transport_fault(&error, true));
        body::collect(Some(announced), pieces, room).await
    }

    async fn check(&self) -> Result<(), SourceError> {
        match self.get(CHECK_KEY).await {
            Ok(_) | Err(SourceError::Fault(LibraryFault::NotFound, _)) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// The meaning of a failed GET.
fn fault(error: &object_store::Error) -> SourceError {
    if let Some(refusal) = refusal(error) {
        return refused(refusal);
    }
    match error {
        object_store::Error::NotFound { .. } => {
            SourceError::Fault(LibraryFault::NotFound, "there is no such object".to_owned())
        }
        error if is_transport(error) => client::transport_fault(error, false),
        error => {
            let text = unsent(error)
                .unwrap_or_else(|| "the answer isn't that of an object store".to_owned());
            SourceError::Fault(LibraryFault::Protocol, text)
        }
    }
}

fn refused(refusal: &Refusal) -> SourceError {
    let code = refusal.code.as_deref().unwrap_or_default();
    let text = refusal.to_string();
    let (fault, text) = match client::status_fault(refusal.status) {
        LibraryFault::NotFound | LibraryFault::Protocol if NO_BUCKET.contains(&code) => {
            (LibraryFault::Protocol, format!("there is no such bucket: {text}"))
        }
        LibraryFault::Protocol if BAD_CREDENTIALS.contains(&code) => {
            (LibraryFault::Forbidden, format!("the credentials are refused: {text}"))
        }
        LibraryFault::Protocol if NO_KEY.contains(&code) => (LibraryFault::NotFound, text),
        LibraryFault::Protocol if code == TIMEOUT => (LibraryFault::Unreachable, text),
        LibraryFault::Forbidden if code == DENIED => {
            let hint = "without the right to list the bucket (s3:ListBucket), missing objects are \
                        answered so too";
            (LibraryFault::Forbidden, format!("{text}; {hint}"))
        }
        fault => (fault, text),
    };
    SourceError::Fault(fault, text)
}

/// The meaning of credentials that can't be had. Where none were ever expected, a metadata server
/// that doesn't answer means that there are none.
fn credential_fault(error: &object_store::Error, is_expected: bool) -> SourceError {
    let (cause, passes) = match refusal(error) {
        Some(refusal) => {
            let passes = client::status_fault(refusal.status) == LibraryFault::Unreachable;
            (refusal.to_string(), passes)
        }
        None if is_transport(error) => (client::transport_text(error), true),
        None => {
            let file = client::causes(error).find_map(|cause| cause.downcast_ref::<io::Error>());
            let told = file.map(ToString::to_string).or_else(|| unsent(error));
            (told.unwrap_or_else(|| "an answer can't be read".to_owned()), false)
        }
    };
    match (is_expected, passes) {
        (true, true) => {
            let text = format!("credentials can't be had at present: {cause}");
            SourceError::Fault(LibraryFault::Unreachable, text)
        }
        (true, false) => SourceError::Fault(
            LibraryFault::Forbidden,
            format!("there are no credentials: {cause}"),
        ),
        (false, _) => {
            let text = format!(
                "there are no credentials: the environment names none, and the metadata server of \
                 the cloud has none: {cause}"
            );
            SourceError::Fault(LibraryFault::Forbidden, text)
        }
    }
}

/// The answer that an error is about.
fn refusal<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a Refusal> {
    client::causes(error).find_map(|cause| cause.downcast_ref())
}

/// Why a request was not sent.
fn unsent(error: &(dyn Error + 'static)) -> Option<String> {
    client::causes(error).find_map(|cause| cause.downcast_ref::<Unsafe>()).map(Unsafe::to_string)
}

/// Whether a request got no answer.
fn is_transport(error: &(dyn Error + 'static)) -> bool {
    client::causes(error).any(<dyn Error>::is::<reqwest::Error>)
}

#[cfg(test)]
mod tests;
