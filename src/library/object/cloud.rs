//! The stores of three clouds, set up from the environment variables that their own tools read.
//!
//! Only the variables of the tables below are read. None of them starts a program, goes through a
//! proxy, or trusts a certificate that isn't checked. Without a variable that names credentials, a
//! store asks the metadata server of its cloud, which a machine there has; for Google Cloud also the
//! file that `gcloud auth application-default login` writes below `$HOME`.

use std::io;

use object_store::{
    ObjectStore, RetryConfig,
    aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey as S3},
    azure::{AzureConfigKey as Az, MicrosoftAzure, MicrosoftAzureBuilder},
    client::HttpConnector,
    gcp::{GoogleCloudStorage, GoogleCloudStorageBuilder, GoogleConfigKey as Gcs},
};
use reqwest::Url;
use secrecy::ExposeSecret;

use crate::library::{BadTerm, CloudVariables, SourceKind, Term, client};

/// What a variable holds, which decides how it is checked.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Value {
    /// A word that goes into headers and addresses: printable ASCII without blanks.
    Word,
    /// A name that is a part of a host: letters, digits and hyphens.
    Label,
    /// The address of a store, to which paths are added.
    Address,
    /// The address of a service of the machine, of which the transport decides.
    HostService,
    /// The path of a file.
    Path,
    /// A text with a format of its own.
    Text,
}

/// A variable that is read.
struct Variable<K: 'static> {
    name: &'static str,
    key: K,
    value: Value,
    /// Whether it names credentials.
    is_credential: bool,
}

const fn setting<K>(name: &'static str, key: K, value: Value) -> Variable<K> {
    Variable { name, key, value, is_credential: false }
}

const fn credential<K>(name: &'static str, key: K, value: Value) -> Variable<K> {
    Variable { name, key, value, is_credential: true }
}

/// The variables of S3.
const S3_VARIABLES: &[Variable<S3>] = &[
    credential("AWS_ACCESS_KEY_ID", S3::AccessKeyId, Value::Word),
    credential("AWS_SECRET_ACCESS_KEY", S3::SecretAccessKey, Value::Word),
    credential("AWS_SESSION_TOKEN", S3::Token, Value::Word),
    credential("AWS_WEB_IDENTITY_TOKEN_FILE", S3::WebIdentityTokenFile, Value::Path),
    setting("AWS_ROLE_ARN", S3::RoleArn, Value::Word),
    setting("AWS_ROLE_SESSION_NAME", S3::RoleSessionName, Value::Word),
    credential(
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
        S3::ContainerCredentialsRelativeUri,
        Value::Word,
    ),
    credential(
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        S3::ContainerCredentialsFullUri,
        Value::HostService,
    ),
    setting(
        "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
        S3::ContainerAuthorizationTokenFile,
        Value::Path,
    ),
    setting("AWS_REGION", S3::Region, Value::Label),
    setting("AWS_DEFAULT_REGION", S3::DefaultRegion, Value::Label),
    setting("AWS_ENDPOINT_URL", S3::Endpoint, Value::Address),
    setting("AWS_ENDPOINT_URL_S3", S3::S3Endpoint, Value::Address),
    setting("AWS_ENDPOINT_URL_STS", S3::StsEndpoint, Value::Address),
    setting("AWS_METADATA_ENDPOINT", S3::MetadataEndpoint, Value::HostService),
    setting("AWS_REQUEST_PAYER", S3::RequestPayer, Value::Word),
];

/// The variables of Google Cloud Storage.
const GCS_VARIABLES: &[Variable<Gcs>] = &[
    credential("GOOGLE_APPLICATION_CREDENTIALS", Gcs::ApplicationCredentials, Value::Path),
    credential("GOOGLE_SERVICE_ACCOUNT", Gcs::ServiceAccount, Value::Path),
    credential("GOOGLE_SERVICE_ACCOUNT_KEY", Gcs::ServiceAccountKey, Value::Text),
    setting("GOOGLE_BASE_URL", Gcs::BaseUrl, Value::Address),
];

/// The variable with the name of the account, which an address in `azure://` doesn't have.
const AZURE_ACCOUNT: &str = "AZURE_STORAGE_ACCOUNT_NAME";

/// The variables of Azure Blob Storage.
const AZURE_VARIABLES: &[Variable<Az>] = &[
    setting(AZURE_ACCOUNT, Az::AccountName, Value::Label),
    setting("AZURE_STORAGE_ENDPOINT", Az::Endpoint, Value::Address),
    credential("AZURE_STORAGE_ACCOUNT_KEY", Az::AccessKey, Value::Word),
    credential("AZURE_STORAGE_SAS_TOKEN", Az::SasKey, Value::Word),
    setting("AZURE_CLIENT_ID", Az::ClientId, Value::Word),
    credential("AZURE_CLIENT_SECRET", Az::ClientSecret, Value::Word),
    setting("AZURE_TENANT_ID", Az::AuthorityId, Value::Word),
    setting("AZURE_AUTHORITY_HOST", Az::AuthorityHost, Value::Address),
    credential("AZURE_FEDERATED_TOKEN_FILE", Az::FederatedTokenFile, Value::Path),
];

/// A store, with the bucket in it.
pub enum Store {
    /// S3.
    S3(AmazonS3),
    /// Google Cloud Storage.
    Gcs(GoogleCloudStorage),
    /// Azure Blob Storage.
    Azure(MicrosoftAzure),
}

/// The clouds that have stores.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cloud {
    /// Amazon's, and other servers with the protocol of S3.
    S3,
    /// Google's.
    Gcs,
    /// Microsoft's.
    Azure,
}

impl Cloud {
    /// The kind of a library there.
    pub const fn kind(self) -> SourceKind {
        match self {
            Self::S3 => SourceKind::S3,
            Self::Gcs => SourceKind::Gcs,
            Self::Azure => SourceKind::Azure,
        }
    }

    /// Whether a variable names credentials.
    pub fn names_credentials(self, variables: &CloudVariables) -> bool {
        match self {
            Self::S3 => is_credential_given(S3_VARIABLES, variables),
            Self::Gcs => is_credential_given(GCS_VARIABLES, variables),
            Self::Azure => is_credential_given(AZURE_VARIABLES, variables),
        }
    }

    /// Whether requests to the store need certificates to trust: not if it is on this machine.
    pub fn needs_tls(self, variables: &CloudVariables) -> bool {
        let endpoint = match self {
            Self::S3 => {
                get(variables, "AWS_ENDPOINT_URL_S3").or_else(|| get(variables, "AWS_ENDPOINT_URL"))
            }
            Self::Gcs => get(variables, "GOOGLE_BASE_URL"),
            Self::Azure => get(variables, "AZURE_STORAGE_ENDPOINT"),
        };
        endpoint.is_none_or(|text| !text.starts_with("http://"))
    }

    /// Sets up the store of a bucket. Reads the files of credentials, and connects to nothing.
    ///
    /// # Errors
    /// [`BadTerm`]. Its text names variables, and shows no value of theirs.
    pub fn open(
        self,
        bucket: &str,
        variables: &CloudVariables,
        connector: impl HttpConnector,
    ) -> Result<Store, BadTerm> {
        match self {
            Self::S3 => s3(bucket, variables, connector).map(Store::S3),
            Self::Gcs => gcs(bucket, variables, connector).map(Store::Gcs),
            Self::Azure => azure(bucket, variables, connector).map(Store::Azure),
        }
    }
}

impl Store {
    /// The store, for reading.
    pub fn objects(&self) -> &dyn ObjectStore {
        match self {
            Self::S3(store) => store,
            Self::Gcs(store) => store,
            Self::Azure(store) => store,
        }
    }

    /// Gets credentials, unless there are some that are still valid.
    pub async fn sign_in(&self) -> object_store::Result<()> {
        match self {
            Self::S3(store) => store.credentials().get_credential().await.map(drop),
            Self::Gcs(store) => store.credentials().get_credential().await.map(drop),
            Self::Azure(store) => store.credentials().get_credential().await.map(drop),
        }
    }
}

fn s3(
    bucket: &str,
    variables: &CloudVariables,
    connector: impl HttpConnector,
) -> Result<AmazonS3, BadTerm> {
    let builder = AmazonS3Builder::new()
        .with_bucket_name(bucket)
        .with_retry(never())
        .with_http_connector(connector);
    let given = given(S3_VARIABLES, variables)?;
    let builder = given.fold(builder, |builder, (key, value)| builder.with_config(key, value));
    builder.build().map_err(|error| unusable(&error, S3_VARIABLES, variables))
}

fn gcs(
    bucket: &str,
    variables: &CloudVariables,
    connector: impl HttpConnector,
) -> Result<GoogleCloudStorage, BadTerm> {
    let builder = GoogleCloudStorageBuilder::new()
        .with_bucket_name(bucket)
        .with_retry(never())
        .with_http_connector(connector);
    let given = given(GCS_VARIABLES, variables)?;
    let builder = given.fold(builder, |builder, (key, value)| builder.with_config(key, value));
    builder.build().map_err(|error| unusable(&error, GCS_VARIABLES, variables))
}

fn azure(
    container: &str,
    variables: &CloudVariables,
    connector: impl HttpConnector,
) -> Result<MicrosoftAzure, BadTerm> {
    if get(variables, AZURE_ACCOUNT).is_none() {
        let why = format!("needs the variable {AZURE_ACCOUNT}: the account of the container");
        return Err(Term::Url.bad(why));
    }
    let builder = MicrosoftAzureBuilder::new()
        .with_container_name(container)
        .with_retry(never())
        .with_http_connector(connector);
    let given = given(AZURE_VARIABLES, variables)?;
    let builder = given.fold(builder, |builder, (key, value)| builder.with_config(key, value));
    builder.build().map_err(|error| unusable(&error, AZURE_VARIABLES, variables))
}

/// The match retries, at its own pace.
fn never() -> RetryConfig {
    RetryConfig { max_retries: 0, ..RetryConfig::default() }
}

/// The value of a variable. An empty one counts as unset.
fn get<'a>(variables: &'a CloudVariables, name: &str) -> Option<&'a str> {
    variables.get(name).map(ExposeSecret::expose_secret).filter(|value| !value.is_empty())
}

fn is_credential_given<K>(table: &[Variable<K>], variables: &CloudVariables) -> bool {
    table.iter().any(|known| known.is_credential && get(variables, known.name).is_some())
}

/// The given variables of a table, checked: the crate panics on some values.
fn given<'a, K: Copy>(
    table: &'static [Variable<K>],
    variables: &'a CloudVariables,
) -> Result<impl Iterator<Item = (K, &'a str)>, BadTerm> {
    let mut given = Vec::new();
    for known in table {
        let Some(value) = get(variables, known.name) else { continue };
        let bad = |why| Term::Url.bad(format!("needs another value of {}: it {why}", known.name));
        known.value.check(value).map_err(bad)?;
        given.push((known.key, value));
    }
    Ok(given.into_iter())
}

impl Value {
    fn check(self, value: &str) -> Result<(), &'static str> {
        let is = |allowed: fn(&u8) -> bool| value.as_bytes().iter().all(allowed);
        let (is_good, otherwise) = match self {
            Self::Word => (is(u8::is_ascii_graphic), "must be printable ASCII without blanks"),
            Self::Label => {
                let is_label = is(|byte| byte.is_ascii_alphanumeric() || *byte == b'-');
                (is_label, "must consist of letters, digits and hyphens")
            }
            Self::Address => {
                let url = Url::parse(value).ok().filter(|_| is(u8::is_ascii_graphic));
                (url.is_some_and(|url| is_base(&url)), client::UNSAFE)
            }
            Self::HostService => {
                let is_url = is(u8::is_ascii_graphic) && Url::parse(value).is_ok();
                (is_url, "must be a URL")
            }
            Self::Path => {
                let is_path = !value.contains(char::is_control);
                (is_path, "must be the path of a file")
            }
            Self::Text => (true, ""),
        };
        match is_good {
            true => Ok(()),
            false => Err(otherwise),
        }
    }
}

/// Whether addresses can be made by adding a path to this one.
fn is_base(url: &Url) -> bool {
    let is_bare = url.query().is_none() && url.fragment().is_none();
    let is_anonymous = url.username().is_empty() && url.password().is_none();
    client::is_safe(url) && is_bare && is_anonymous
}

/// The error of credentials that can't be used. Only the text of the operating system is shown: the
/// crate's own may quote a secret.
fn unusable<K>(
    error: &object_store::Error,
    table: &[Variable<K>],
    variables: &CloudVariables,
) -> BadTerm {
    let names: Vec<_> = table
        .iter()
        .filter(|known| known.is_credential && get(variables, known.name).is_some())
        .map(|known| known.name)
        .collect();
    let cause = client::causes(error).find_map(|cause| cause.downcast_ref::<io::Error>());
    let cause = cause.map(|cause| format!(": {cause}")).unwrap_or_default();
    let why = match &names[..] {
        [] => format!("has no credentials that can be used{cause}"),
        _ => format!("has no credentials that can be used in {}{cause}", names.join(", ")),
    };
    Term::Url.bad(why)
}

#[cfg(test)]
mod tests;
