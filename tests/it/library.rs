//! Matches whose photo the service reads from a photo library by its key, each through the whole
//! service.

mod folder;
mod http;
mod kills;
mod object;
mod photos;
mod server;
#[cfg(any(feature = "mysql-tests", feature = "postgres-tests"))]
mod sql;
mod tenants;
mod trouble;

use facematch::{
    config::LibraryConfig,
    pb::{MatchError, MatchRequest, MatchState, MatchUpdate, reference_photo::Source},
};

pub use photos::{Photos, key, strangers_key};

use crate::support::{TestServer, last_match, portrait_request};

/// Settings of a library at this address.
pub fn at(url: String) -> LibraryConfig {
    LibraryConfig { url: url.into(), query: None, secret_file: None, ca_file: None }
}

/// A request that names the photo by its key.
pub fn by_key(folder_id: &str, key: &str) -> MatchRequest {
    let mut request = portrait_request(folder_id);
    let photo = request.photo.as_mut().expect("a photo");
    photo.source = Some(Source::ReferenceKey(key.to_owned()));
    request
}

/// Runs a match by key in a new folder.
pub async fn run(server: &mut TestServer, key: &str) -> Vec<MatchUpdate> {
    let folder = server.folder();
    server.run(by_key(&folder, key)).await
}

/// Runs a match by key, which must fail, and returns its error.
pub async fn failure(server: &mut TestServer, key: &str) -> MatchError {
    let updates = run(server, key).await;
    let m = last_match(&updates);
    assert_eq!(m.state(), MatchState::Failed, "{updates:?}");
    m.error.clone().expect("a failed match has an error")
}
