//! Libraries in databases: each source by itself, and matches through the whole service.

#[cfg(feature = "mysql-tests")]
mod mysql;
#[cfg(feature = "postgres-tests")]
mod postgres;

use std::{path::PathBuf, sync::Arc};

use bytes::Bytes;
use facematch::{
    config::LibraryConfig,
    domain::{KeyForm, LibraryFault, ReferenceKey},
    library::{CloudVariables, LibrarySource, Room, SourceError, Terms},
};

/// Room for every photo, which remembers how much was needed.
#[derive(Default)]
pub struct Memory(pub usize);

impl Room for Memory {
    fn grow_to(&mut self, bytes: usize) -> bool {
        self.0 = self.0.max(bytes);
        true
    }
}

/// A library without a password.
pub fn open(url: &str, query: &str) -> Arc<dyn LibrarySource> {
    open_with(url, query, None, None)
}

/// A library with the files of its secret and its certificates.
pub fn open_with(
    url: &str,
    query: &str,
    secret_file: Option<PathBuf>,
    ca_file: Option<PathBuf>,
) -> Arc<dyn LibrarySource> {
    let terms = Terms { url: url.into(), query: Some(query.into()), secret_file, ca_file };
    let files = terms.read_files().unwrap();
    terms.open(&files, &CloudVariables::new()).unwrap()
}

/// The settings of the same library.
pub fn settings(url: &str, query: &str, secret_file: Option<PathBuf>) -> Option<LibraryConfig> {
    Some(LibraryConfig { url: url.into(), query: Some(query.into()), secret_file, ca_file: None })
}

pub async fn read(library: &Arc<dyn LibrarySource>, key: &str) -> Result<Bytes, SourceError> {
    read_into(library, key, &mut Memory::default()).await
}

pub async fn read_into(
    library: &Arc<dyn LibrarySource>,
    key: &str,
    memory: &mut Memory,
) -> Result<Bytes, SourceError> {
    let key = ReferenceKey::parse(key, KeyForm::Parameter).unwrap();
    library.read(&key, memory).await
}

/// The fault of a read, whose text doesn't show the key.
pub async fn fault(library: &Arc<dyn LibrarySource>, key: &str) -> (LibraryFault, String) {
    match read(library, key).await {
        Err(SourceError::Fault(fault, text)) => {
            // A short key may be in the text by chance, as a part of the address.
            assert!(key.len() < 6 || !text.contains(key), "{text}");
            (fault, text)
        }
        other => panic!("{key}: {other:?}"),
    }
}

#[track_caller]
pub fn check_fault(found: (LibraryFault, String), expected: LibraryFault, part: &str) {
    assert_eq!(found.0, expected, "{}", found.1);
    assert!(found.1.contains(part), "{part:?} is not in {:?}", found.1);
}

/// What a check finds wrong.
pub async fn checked(library: &Arc<dyn LibrarySource>) -> (LibraryFault, String) {
    match library.check().await {
        Err(SourceError::Fault(fault, text)) => (fault, text),
        other => panic!("{other:?}"),
    }
}
