//! A tenant's table: retention, weight, limits, and its photo library.
//!
//! It deliberately doesn't open the library: that is done where photos are read.

use std::{fmt, num::NonZeroU32, path::PathBuf, time::Duration};

use secrecy::{ExposeSecret, SecretString};

use super::{
    fault::Fault,
    reader::{Item, Section},
};
use crate::{domain::TenantTerms, units};

/// The greatest weight. The ratio of two weights is what counts, and none needs to be finer.
const WEIGHT_MAX: u64 = 10_000;
/// The limits of a tenant go as far as those of the server.
const UNFINISHED_MAX: u64 = 10_000_000;
const PHOTO_MEMORY: std::ops::RangeInclusive<u64> = 1_024..=1 << 40;
const RATE_MAX: u64 = 1_000_000;
const STREAMS_MAX: u64 = 1_000_000;

/// The photo library of a tenant.
#[derive(Clone)]
pub struct LibraryTerms {
    /// Where the photos are. May hold a password.
    pub url: SecretString,
    /// The SQL query that finds a photo, for a library in a database.
    pub query: Option<String>,
    /// The file with the library's secret.
    pub secret_file: Option<PathBuf>,
    /// The file with the certificates to trust.
    pub ca_file: Option<PathBuf>,
}

impl PartialEq for LibraryTerms {
    fn eq(&self, other: &Self) -> bool {
        self.url.expose_secret() == other.url.expose_secret()
            && self.query == other.query
            && self.secret_file == other.secret_file
            && self.ca_file == other.ca_file
    }
}

impl fmt::Debug for LibraryTerms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LibraryTerms").finish_non_exhaustive()
    }
}

/// Reads the table of one tenant.
pub fn read(
    tenant: &Section<'_>,
    retention_max: Duration,
) -> Result<(TenantTerms, Option<LibraryTerms>), Fault> {
    tenant.only(&["retention", "weight", "limits", "library"])?;
    let weight = tenant.get("weight").map(|item| item.count(1..=WEIGHT_MAX)).transpose()?;
    let retention = tenant.get("retention").map(|item| retention(&item, retention_max));
    let mut terms = TenantTerms {
        weight: weight.and_then(nonzero).unwrap_or(NonZeroU32::MIN),
        retention: retention.transpose()?,
        ..TenantTerms::default()
    };
    if let Some(item) = tenant.get("limits") {
        read_limits(&item.section()?, &mut terms)?;
    }
    let library = tenant.get("library").map(|item| read_library(&item)).transpose()?;
    Ok((terms, library))
}

fn retention(item: &Item<'_>, most: Duration) -> Result<Duration, Fault> {
    let value = item.duration()?;
    if value < Duration::from_millis(1) {
        return Err(item.fault("must be at least 1ms"));
    }
    if value > most {
        let most = units::duration_text(most);
        return Err(item.fault(format!("must be at most --retention, which is {most}")));
    }
    Ok(value)
}

fn read_limits(limits: &Section<'_>, terms: &mut TenantTerms) -> Result<(), Fault> {
    limits.only(&["unfinished", "photo-memory", "rate", "streams"])?;
    let count = |key: &str, most: u64| {
        limits.get(key).map(|item: Item<'_>| item.count(1..=most)).transpose()
    };
    let photo_memory =
        limits.get("photo-memory").map(|item| item.size(PHOTO_MEMORY)).transpose()?;
    terms.unfinished_max = count("unfinished", UNFINISHED_MAX)?.map(whole);
    terms.photo_bytes_max = photo_memory.map(whole);
    terms.rate_max = count("rate", RATE_MAX)?.and_then(nonzero);
    terms.streams_max = count("streams", STREAMS_MAX)?.map(whole);
    Ok(())
}

fn read_library(item: &Item<'_>) -> Result<LibraryTerms, Fault> {
    let library = item.section()?;
    library.only(&["url", "query", "secret-file", "ca-file"])?;
    let path = |key: &str| {
        library.get(key).map(|item: Item<'_>| item.line().map(PathBuf::from)).transpose()
    };
    let query = library.get("query").map(|item| query(&item)).transpose()?;
    Ok(LibraryTerms {
        url: SecretString::from(library.required("url")?.line()?),
        query,
        secret_file: path("secret-file")?,
        ca_file: path("ca-file")?,
    })
}

/// A query may have several lines.
fn query(item: &Item<'_>) -> Result<String, Fault> {
    match item.text()? {
        text if text.trim().is_empty() => Err(item.fault("is empty")),
        text => Ok(text.to_owned()),
    }
}

fn nonzero(value: u64) -> Option<NonZeroU32> {
    u32::try_from(value).ok().and_then(NonZeroU32::new)
}

/// On a system whose addresses are shorter, a limit that doesn't fit is no limit.
fn whole(value: u64) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}
