//! Callers: every method of every service demands its credential, and tenants are isolated.

mod isolation;
mod quotas;
mod streams;
mod walk;

use std::path::Path;

use facematch::{access::NewKey, config::Config, pb::face_match_client::FaceMatchClient};
use tonic::{
    Request, Status,
    metadata::MetadataValue,
    service::{Interceptor, interceptor::InterceptedService},
    transport::{Channel, Endpoint},
};

use crate::support::TestServer;

/// A client that shows a credential in each call.
pub type CallerClient = FaceMatchClient<InterceptedService<Channel, Credential>>;

/// The `authorization` header of a client; `None` for a client without one.
#[derive(Clone)]
pub struct Credential(Option<String>);

impl Interceptor for Credential {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(text) = &self.0 {
            let value = MetadataValue::try_from(text.as_str()).expect("a header");
            request.metadata_mut().insert("authorization", value);
        }
        Ok(request)
    }
}

/// A callers file of several callers, each of whom has one key.
pub struct Callers {
    keys: Vec<(&'static str, NewKey)>,
    tenants: String,
    callers: String,
}

impl Callers {
    /// The tables of the tenants, and nothing else yet.
    pub fn new(tenants: &str) -> Self {
        Self { keys: Vec::new(), tenants: tenants.to_owned(), callers: String::new() }
    }

    /// Adds a caller that acts for a tenant and has these permissions.
    pub fn with(self, caller: &'static str, tenant: &str, allow: &[&str]) -> Self {
        self.with_key(caller, tenant, allow, "")
    }

    /// The same, with more fields of its key, such as `, expires = 2027-03-01`.
    pub fn with_key(
        mut self,
        caller: &'static str,
        tenant: &str,
        allow: &[&str],
        fields: &str,
    ) -> Self {
        let key = NewKey::make().expect("the system has randomness");
        let (id, sha256) = (key.id(), key.sha256());
        self.callers += &format!(
            "[caller.{caller}]\ntenant = \"{tenant}\"\nallow = {allow:?}\n\
             keys = [{{ id = \"{id}\", sha256 = \"{sha256}\"{fields} }}]\n"
        );
        self.keys.push((caller, key));
        self
    }

    /// The key of a caller.
    pub fn key(&self, caller: &str) -> &str {
        let (_, key) = self.keys.iter().find(|(name, _)| *name == caller).expect("a caller");
        key.text()
    }

    /// Writes the file without the caller of this name.
    pub fn write_without(&self, path: &Path, caller: &str) {
        let begin = format!("[caller.{caller}]");
        let (before, rest) = self.callers.split_once(&begin).expect("a caller");
        let after = rest.find("[caller.").map_or("", |at| &rest[at..]);
        write(path, &format!("{}{before}{after}", self.tenants));
    }

    /// Writes the whole file.
    pub fn write(&self, path: &Path) {
        self.write_with(path, &self.tenants);
    }

    /// Writes the file with other tables of tenants.
    pub fn write_with(&self, path: &Path, tenants: &str) {
        write(path, &format!("{tenants}{}", self.callers));
    }

    /// A server with these callers.
    pub async fn serve(&self, change: impl FnOnce(&mut Config)) -> TestServer {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        let (_, path) = file.keep().expect("a file");
        self.write(&path);
        TestServer::build_with(|config| {
            config.callers_file = Some(path);
            change(config);
        })
        .await
    }
}

/// Replaces a file as a whole, as an operator should.
fn write(path: &Path, text: &str) {
    let next = path.with_extension("next");
    std::fs::write(&next, text).expect("a file");
    std::fs::rename(&next, path).expect("a file");
}

/// A client of the server that shows a key.
pub async fn caller(server: &TestServer, key: &str) -> CallerClient {
    with_header(server, Some(format!("Bearer {key}"))).await
}

/// A client of the server that shows this `authorization` header, if there is one.
pub async fn with_header(server: &TestServer, header: Option<String>) -> CallerClient {
    let channel = channel(server).await;
    FaceMatchClient::with_interceptor(channel, Credential(header))
}

/// A connection to the server.
pub async fn channel(server: &TestServer) -> Channel {
    let endpoint = Endpoint::from_shared(server.address.clone()).expect("an address");
    endpoint.connect().await.expect("the server accepts it")
}
