//! The settings for Oz: its address, our credentials, and how long to wait.
//!
//! It checks its settings and builds the one HTTP client from them. It deliberately reads neither
//! the environment nor a settings file, and its errors name settings, never their values: a URL may
//! hold a password.

use std::{fmt, fs, path::PathBuf, sync::Arc, time::Duration};

use reqwest::{Certificate, ClientBuilder, Proxy, Url, header::HeaderValue, redirect, retry};
use secrecy::{ExposeSecret, SecretString};

use crate::oz::Keychain;

/// How long an idle connection is kept for the next request. Shorter than the usual limit of
/// proxies in front of Oz (nginx: 75 s), so that the proxy is rarely the first to close it.
const IDLE_CONNECTION_TIMEOUT: Duration = Duration::from_secs(30);

/// How Oz is reached. [`Config::new`] fills in the defaults.
#[derive(Clone)]
pub struct Config {
    /// The address of Oz's API without `/api`: `https://oz.example.com`, possibly with a path.
    pub url: String,
    /// The credentials of this server's account.
    pub credentials: Credentials,
    /// Provides the password or the token, also after it was replaced. `None` if it is never
    /// replaced.
    pub keychain: Option<Arc<dyn Keychain>>,
    /// How long one request may take, from connecting to the end of its answer. An upload is
    /// limited by `upload_stall` until its last byte is sent.
    pub timeout: Duration,
    /// How long connecting may take, TLS included.
    pub connect_timeout: Duration,
    /// How long an upload may stall.
    pub upload_stall: Duration,
    /// A PEM file of certificates to trust *instead of* the machine's own.
    pub ca_file: Option<PathBuf>,
    /// The HTTP proxy that every request goes through. The environment's proxy settings are
    /// ignored.
    pub proxy: Option<String>,
    /// Whether requests carry the trace context of their match.
    pub trace_headers: bool,
}

/// How this server authenticates at Oz (its authentication page).
#[derive(Clone)]
pub enum Credentials {
    /// A user's login, which opens a session.
    Login {
        /// The user's e-mail address.
        email: String,
        /// The user's password.
        password: SecretString,
    },
    /// The access token of a service account, sent as it is.
    Token(SecretString),
}

/// A setting that can't be used. Its text is one line that starts with the setting.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The address of Oz.
    #[error("--oz-url: {0}")]
    Url(&'static str),
    /// The user's name.
    #[error("--oz-login: {0}")]
    Login(&'static str),
    /// The user's password.
    #[error("--oz-password: {0}")]
    Password(&'static str),
    /// The service account's token.
    #[error("--oz-token: {0}")]
    Token(&'static str),
    /// The certificates to trust.
    #[error("--oz-ca-file: {0}")]
    CaFile(String),
    /// The proxy.
    #[error("--oz-proxy: {0}")]
    Proxy(&'static str),
    /// A limit that would let nothing through.
    #[error("--{setting}: must be more than zero")]
    Zero {
        /// The name of its flag.
        setting: &'static str,
    },
}

impl ConfigError {
    /// The setting that can't be used, by the name of its flag.
    pub const fn setting(&self) -> &'static str {
        match self {
            Self::Url(_) => "oz-url",
            Self::Login(_) => "oz-login",
            Self::Password(_) => "oz-password",
            Self::Token(_) => "oz-token",
            Self::CaFile(_) => "oz-ca-file",
            Self::Proxy(_) => "oz-proxy",
            Self::Zero { setting } => setting,
        }
    }

    /// Why the setting can't be used, without its name.
    pub fn why(&self) -> String {
        match self {
            Self::Url(why)
            | Self::Login(why)
            | Self::Password(why)
            | Self::Token(why)
            | Self::Proxy(why) => (*why).to_owned(),
            Self::CaFile(why) => why.clone(),
            Self::Zero { .. } => "must be more than zero".to_owned(),
        }
    }
}

impl Config {
    /// The default settings for an Oz at this address.
    pub fn new(url: impl Into<String>, credentials: Credentials) -> Self {
        Self {
            url: url.into(),
            credentials,
            keychain: None,
            timeout: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(5),
            upload_stall: Duration::from_secs(30),
            ca_file: None,
            proxy: None,
            trace_headers: true,
        }
    }

    /// Checks what can be checked without building a client.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let limits = [
            ("oz-timeout", self.timeout.is_zero()),
            ("oz-connect-timeout", self.connect_timeout.is_zero()),
            ("oz-upload-stall", self.upload_stall.is_zero()),
        ];
        if let Some((setting, _)) = limits.into_iter().find(|(_, zero)| *zero) {
            return Err(ConfigError::Zero { setting });
        }
        self.credentials.check()
    }

    /// The address that paths are appended to, without a trailing slash.
    pub(super) fn base_url(&self) -> Result<Url, ConfigError> {
        let mut url = Url::parse(self.url.trim())
            .map_err(|_| ConfigError::Url("must be a URL such as https://oz.example.com"))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(ConfigError::Url("must begin with http:// or https://"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(ConfigError::Url(
                "must not hold a login; use --oz-login and --oz-password",
            ));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(ConfigError::Url("must not have a query or a fragment"));
        }
        let path = url.path().trim_end_matches('/').to_owned();
        if path.ends_with("/api") {
            return Err(ConfigError::Url(
                "must be given without its last part, /api: every request adds that itself",
            ));
        }
        url.set_path(&path);
        Ok(url)
    }

    /// Builds the HTTP client with its connection pool.
    pub(super) fn http_client(&self) -> Result<reqwest::Client, ConfigError> {
        // Other code in the process may have installed a provider already; that provider works as
        // well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let builder = reqwest::Client::builder()
            .user_agent(concat!("facematch/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(self.connect_timeout)
            .pool_idle_timeout(IDLE_CONNECTION_TIMEOUT)
            // A redirect would carry the access token along, and a repeated POST would act twice.
            .redirect(redirect::Policy::none())
            .retry(retry::never())
            .referer(false)
            .no_proxy();
        let builder = self.trust(self.go_through_proxy(builder)?)?;
        builder.build().map_err(|_| {
            ConfigError::CaFile(
                "needed: this machine has no CA certificates that can be used".to_owned(),
            )
        })
    }

    fn go_through_proxy(&self, builder: ClientBuilder) -> Result<ClientBuilder, ConfigError> {
        let Some(url) = self.proxy_url()? else { return Ok(builder) };
        let proxy = Proxy::all(url).map_err(|_| ConfigError::Proxy("can't be used as a proxy"))?;
        Ok(builder.proxy(proxy))
    }

    pub(super) fn proxy_url(&self) -> Result<Option<Url>, ConfigError> {
        let Some(text) = &self.proxy else { return Ok(None) };
        let url = Url::parse(text.trim()).map_err(|_| {
            ConfigError::Proxy("must be a URL such as http://proxy.example.com:3128")
        })?;
        match url.scheme() {
            "http" | "https" => Ok(Some(url)),
            _ => Err(ConfigError::Proxy("must begin with http:// or https://")),
        }
    }

    /// Chooses the certificates to trust. The machine's own are only loaded if they are needed: Oz
    /// over plain `http://` works on a machine that has none.
    fn trust(&self, builder: ClientBuilder) -> Result<ClientBuilder, ConfigError> {
        if let Some(certificates) = self.certificates()? {
            return Ok(builder.tls_certs_only(certificates));
        }
        let proxy_encrypts = self.proxy_url()?.is_some_and(|url| url.scheme() == "https");
        if self.base_url()?.scheme() == "https" || proxy_encrypts {
            return Ok(builder);
        }
        Ok(builder.tls_certs_only([]))
    }

    fn certificates(&self) -> Result<Option<Vec<Certificate>>, ConfigError> {
        let Some(path) = &self.ca_file else { return Ok(None) };
        let refuse = |what: String| ConfigError::CaFile(format!("{}: {what}", path.display()));
        let pem = fs::read(path).map_err(|error| refuse(error.to_string()))?;
        let certificates = Certificate::from_pem_bundle(&pem)
            .map_err(|_| refuse("is not a PEM file of certificates".to_owned()))?;
        if certificates.is_empty() {
            return Err(refuse("holds no certificate in PEM".to_owned()));
        }
        // PEM that isn't a certificate is only noticed when a client is built with it.
        let trial = reqwest::Client::builder().no_proxy().tls_certs_only(certificates.clone());
        trial.build().map_err(|_| refuse("holds a certificate that can't be read".to_owned()))?;
        Ok(Some(certificates))
    }
}

impl Credentials {
    /// The password or the token.
    pub(super) fn secret(&self) -> &SecretString {
        match self {
            Self::Login { password, .. } => password,
            Self::Token(token) => token,
        }
    }

    fn check(&self) -> Result<(), ConfigError> {
        match self {
            Self::Login { email, .. } if email.trim().is_empty() => {
                Err(ConfigError::Login("must not be empty"))
            }
            Self::Login { password, .. } if password.expose_secret().is_empty() => {
                Err(ConfigError::Password("must not be empty"))
            }
            Self::Login { .. } => Ok(()),
            Self::Token(token) if token.expose_secret().is_empty() => {
                Err(ConfigError::Token("must not be empty"))
            }
            Self::Token(token) => match HeaderValue::from_str(token.expose_secret()) {
                Ok(_) => Ok(()),
                Err(_) => Err(ConfigError::Token("holds characters that no token has")),
            },
        }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("credentials", &self.credentials)
            .field("timeout", &self.timeout)
            .field("connect_timeout", &self.connect_timeout)
            .field("upload_stall", &self.upload_stall)
            .field("ca_file", &self.ca_file)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Login { .. } => f.write_str("Login(..)"),
            Self::Token(_) => f.write_str("Token(..)"),
        }
    }
}
