//! The callers file: which tenants there are, who may call for them, and by which credentials.
//!
//! A file is accepted as a whole or refused with one fault, which names its place. It deliberately
//! keeps no secret: of an API key the file has the digest.

mod caller;
mod expiry;
mod fault;
mod issuer;
mod reader;
mod tenant;

use std::{
    collections::{BTreeMap, HashMap},
    fs::{self, File},
    io::{self, Read},
    path::Path,
    time::Duration,
};

pub use caller::CallerTerms;
pub use expiry::KeyExpiry;
pub use fault::{Fault, Place};
pub use issuer::{IssuerTerms, KeySource};
pub use tenant::LibraryTerms;

use reader::{Document, LineBreaks, Section};

use crate::domain::{TenantId, TenantTerms, Tenants};

/// The longest callers file and the longest file of a key set, in bytes.
pub const FILE_BYTES_MAX: usize = 1 << 20;

/// The longest name of a tenant or caller, in characters (all ASCII).
const NAME_CHARACTERS_MAX: usize = 64;

/// What a callers file says, checked.
#[derive(Debug)]
pub struct CallersFile {
    /// The tenants with their terms.
    pub tenants: Tenants,
    /// The tenants that have a photo library of their own.
    pub libraries: HashMap<TenantId, LibraryTerms>,
    /// The callers with their keys and certificates.
    pub callers: Vec<CallerTerms>,
    /// The issuers of tokens.
    pub issuers: Vec<IssuerTerms>,
}

impl CallersFile {
    /// Parses the bytes of a file. No retention may be longer than `retention_max`.
    ///
    /// # Errors
    /// The fault, if there is one.
    pub fn parse(file: &Path, bytes: &[u8], retention_max: Duration) -> Result<Self, Fault> {
        if bytes.len() > FILE_BYTES_MAX {
            return Err(Fault::of_file(file, "is larger than 1 MiB"));
        }
        let text = std::str::from_utf8(bytes).map_err(|error| not_utf8(file, bytes, &error))?;
        let breaks = LineBreaks::of(text);
        let document = Document::new(file, text, &breaks);
        let table = document.parse()?;
        let root = document.root(&table);
        root.only(&["tenant", "caller", "issuer"])?;
        let (tenants, libraries) = tenants(file, &root, retention_max)?;
        let callers = callers(&root, &tenants)?;
        let issuers = issuers(&root)?;
        Ok(Self { tenants: Tenants::new(tenants), libraries, callers, issuers })
    }
}

type TenantTables = (HashMap<TenantId, TenantTerms>, HashMap<TenantId, LibraryTerms>);

fn tenants(
    file: &Path,
    root: &Section<'_>,
    retention_max: Duration,
) -> Result<TenantTables, Fault> {
    let (mut terms, mut libraries) = (HashMap::new(), HashMap::new());
    for (name, item) in root
        .get("tenant")
        .map(|item| item.section())
        .transpose()?
        .iter()
        .flat_map(|section| section.entries().collect::<Vec<_>>())
    {
        check_name(name).map_err(|what| item.fault(what))?;
        let id = TenantId::from_stored(name);
        let (of_tenant, library) = tenant::read(&item.section()?, retention_max)?;
        terms.insert(id.clone(), of_tenant);
        if let Some(library) = library {
            libraries.insert(id, library);
        }
    }
    if terms.is_empty() {
        return Err(Fault::of_file(
            file,
            "has no tenant: it needs a table such as [tenant.default]",
        ));
    }
    Ok((terms, libraries))
}

fn callers(
    root: &Section<'_>,
    tenants: &HashMap<TenantId, TenantTerms>,
) -> Result<Vec<CallerTerms>, Fault> {
    let mut callers = Vec::new();
    let mut key_owners = BTreeMap::new();
    let mut certificate_owners = BTreeMap::new();
    let Some(all) = root.get("caller") else { return Ok(callers) };
    for (name, item) in all.section()?.entries() {
        check_name(name).map_err(|what| item.fault(what))?;
        let terms = caller::read(name, &item.section()?, tenants)?;
        for key in &terms.keys {
            if let Some(other) = key_owners.insert(key.id.clone(), name) {
                let other = fault::segment(other);
                return Err(key.place.fault(format!("is also the id of a key of caller.{other}")));
            }
        }
        for (certificate, place) in &terms.certificates {
            let other = certificate_owners.insert(certificate.clone(), name);
            if let Some(other) = other.filter(|other| *other != name) {
                let other = fault::segment(other);
                return Err(place.fault(format!("is also a certificate of caller.{other}")));
            }
        }
        callers.push(terms);
    }
    Ok(callers)
}

fn issuers(root: &Section<'_>) -> Result<Vec<IssuerTerms>, Fault> {
    let Some(all) = root.get("issuer") else { return Ok(Vec::new()) };
    let all = all.section()?;
    all.entries().map(|(url, item)| issuer::read(url, &item)).collect()
}

/// Checks the name of a tenant or caller.
///
/// # Errors
/// The rule that it breaks.
pub fn check_name(name: &str) -> Result<(), &'static str> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if name.is_empty() || name.len() > NAME_CHARACTERS_MAX || !name.bytes().all(fits) {
        return Err("the name must be 1 to 64 letters, digits, '-', '_' or '.'");
    }
    Ok(())
}

/// Reads a file of at most 1 MiB.
///
/// # Errors
/// That of the system, or that the file is too large.
pub fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(FILE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > FILE_BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is larger than 1 MiB"));
    }
    Ok(bytes)
}

/// Whether a file is a pipe or another special file, which can be read only once.
pub fn is_pipe(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| !found.is_file() && !found.is_dir())
}

fn not_utf8(file: &Path, bytes: &[u8], error: &std::str::Utf8Error) -> Fault {
    let before = &bytes[..error.valid_up_to()];
    let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
    Place::new(file, line, "").fault("is not UTF-8")
}

#[cfg(test)]
mod tests;
