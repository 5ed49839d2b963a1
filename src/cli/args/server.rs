//! Decides which server a client command calls, and how long it waits: by flags, then the
//! environment, then the default.
//!
//! It deliberately connects to nothing, and opens no file.

use std::{net::IpAddr, path::PathBuf, time::Duration};

use clap::Args;
use tonic::transport::Uri;

use crate::{
    cli::args::{
        Output,
        value::{has_valid_port, limit},
    },
    config::{self, Environment},
};

/// The server's default address.
const SERVER: &str = "http://127.0.0.1:50051";

/// The environment variable for `--server`.
const SERVER_VARIABLE: &str = "FACEMATCH_SERVER";

/// The environment variables for `--ca-file`, `--cert-file`, `--key-file` and `--token-file`.
const CA_FILE_VARIABLE: &str = "FACEMATCH_CA_FILE";
const CERT_FILE_VARIABLE: &str = "FACEMATCH_CERT_FILE";
const KEY_FILE_VARIABLE: &str = "FACEMATCH_KEY_FILE";
const TOKEN_FILE_VARIABLE: &str = "FACEMATCH_TOKEN_FILE";

/// The default time limit of one answer: longer than a healthy server needs for any answer, and
/// short enough for a person at a terminal.
const ANSWER_TIMEOUT: &str = "30s";

/// The server's address, and how to print its answers.
#[derive(Debug, Clone, Args)]
pub struct Common {
    /// The FaceMatch server, http:// or https:// [env: FACEMATCH_SERVER]
    /// [default: http://127.0.0.1:50051]
    #[arg(long, value_name = "URL", value_parser = server)]
    pub server: Option<Uri>,
    /// PEM certificates to trust instead of the system's, for an https:// server with a private
    /// certificate authority [env: FACEMATCH_CA_FILE]
    #[arg(long, value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
    /// This caller's certificate in PEM, for an https:// server that asks for one
    /// [env: FACEMATCH_CERT_FILE]
    #[arg(long, value_name = "FILE")]
    pub cert_file: Option<PathBuf>,
    /// The private key of that certificate, in PEM [env: FACEMATCH_KEY_FILE]
    #[arg(long, value_name = "FILE")]
    pub key_file: Option<PathBuf>,
    /// A file with this caller's API key or token; it is read for each call, and sent over TLS or
    /// to this machine only [env: FACEMATCH_TOKEN_FILE]
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Text for people, or one JSON object a line for programs, errors included
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = Output::Text)]
    pub output: Output,
}

/// How long a command waits for each answer.
#[derive(Debug, Clone, Args)]
pub struct TimeoutArg {
    /// How long to wait for each answer of the server, retries included: a call is repeated if its
    /// connection breaks, or if the server asks for it; if the first connection fails, the command
    /// doesn't retry
    #[arg(long, value_name = "DURATION", value_parser = limit, default_value = ANSWER_TIMEOUT)]
    pub timeout: Duration,
}

/// The server that a command calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// The URL, without a path.
    pub url: Uri,
    /// The certificates to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// The certificate of the caller and its private key.
    pub identity: Option<IdentityFiles>,
    /// The file with the caller's API key or token.
    pub token_file: Option<PathBuf>,
}

/// The files with a certificate and its private key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentityFiles {
    /// The certificate, and those of its issuers.
    pub cert: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

impl Common {
    /// The server that the flags and the environment name.
    ///
    /// # Errors
    /// One sentence that names the flag or the variable.
    pub fn server(&self, environment: &Environment) -> Result<Server, String> {
        let variable = environment.get(SERVER_VARIABLE).map(|text| text.to_string_lossy());
        let url = match (&self.server, variable) {
            (Some(url), _) => url.clone(),
            (None, Some(text)) => {
                server(&text).map_err(|why| format!("{SERVER_VARIABLE}: {why}"))?
            }
            (None, None) => Uri::from_static(SERVER),
        };
        let of_tls = [("ca", &self.ca_file), ("cert", &self.cert_file), ("key", &self.key_file)];
        if url.scheme_str() != Some("https")
            && let Some((flag, _)) = of_tls.into_iter().find(|(_, file)| file.is_some())
        {
            let server = shown(&url);
            return Err(format!("--{flag}-file needs an https:// server, and this is {server}"));
        }
        let named = |flag: &Option<PathBuf>, variable| {
            flag.clone().or_else(|| environment.get(variable).map(PathBuf::from))
        };
        let cert = named(&self.cert_file, CERT_FILE_VARIABLE);
        Ok(Server {
            ca_file: named(&self.ca_file, CA_FILE_VARIABLE),
            identity: identity(cert, named(&self.key_file, KEY_FILE_VARIABLE))?,
            token_file: token_file(named(&self.token_file, TOKEN_FILE_VARIABLE), &url)?,
            url,
        })
    }
}

fn identity(
    cert: Option<PathBuf>,
    key: Option<PathBuf>,
) -> Result<Option<IdentityFiles>, &'static str> {
    match (cert, key) {
        (Some(cert), Some(key)) => Ok(Some(IdentityFiles { cert, key })),
        (None, None) => Ok(None),
        (Some(_), None) => Err("--cert-file needs --key-file, or FACEMATCH_KEY_FILE"),
        (None, Some(_)) => Err("--key-file needs --cert-file, or FACEMATCH_CERT_FILE"),
    }
}

/// The file of a token that may be sent to this server: in plain text it goes to the loopback only.
fn token_file(file: Option<PathBuf>, server: &Uri) -> Result<Option<PathBuf>, String> {
    if file.is_some() && server.scheme_str() != Some("https") && !is_loopback(server) {
        return Err(format!(
            "--token-file, or FACEMATCH_TOKEN_FILE, needs an https:// server: the token would be \
             sent in plain text to {}",
            shown(server)
        ));
    }
    Ok(file)
}

fn is_loopback(server: &Uri) -> bool {
    let host = server.host().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    match address {
        Ok(address) => address.to_canonical().is_loopback(),
        Err(_) => host.eq_ignore_ascii_case("localhost"),
    }
}

/// A server's URL as people write it, without a trailing slash.
pub fn shown(server: &Uri) -> String {
    let url = server.to_string();
    url.strip_suffix('/').unwrap_or(&url).to_owned()
}

fn server(text: &str) -> Result<Uri, String> {
    const WANTED: &str = "must be a URL such as http://127.0.0.1:50051 or https://HOST:PORT";
    let uri: Uri = text.parse().map_err(|_| WANTED.to_owned())?;
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    match (uri.scheme_str(), uri.host()) {
        // The text may hold a password, so the message doesn't repeat it.
        _ if authority.contains('@') => Err("must not hold a user name or a password".to_owned()),
        (Some("http" | "https"), Some(host)) if !host.is_empty() && has_valid_port(&uri) => {
            match uri.path_and_query() {
                Some(path) if path.as_str() != "/" => Err(format!(
                    "must end after the host and the port: calls of gRPC have paths of their own, \
                     and {} would be ignored",
                    config::one_line(path.as_str())
                )),
                Some(_) | None => Ok(uri),
            }
        }
        _ => Err(WANTED.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn common(server: Option<&str>, ca_file: Option<&str>) -> Common {
        let server = server.map(|url| super::server(url).expect("a URL"));
        Common {
            server,
            ca_file: ca_file.map(PathBuf::from),
            cert_file: None,
            key_file: None,
            token_file: None,
            output: Output::Text,
        }
    }

    fn with_identity(server: &str, cert: Option<&str>, key: Option<&str>) -> Common {
        let (cert_file, key_file) = (cert.map(PathBuf::from), key.map(PathBuf::from));
        Common { cert_file, key_file, ..common(Some(server), None) }
    }

    fn environment(variables: &[(&str, &str)]) -> Environment {
        variables.iter().copied().collect()
    }

    #[test]
    fn a_flag_beats_the_environment_which_beats_the_default() {
        let variable = environment(&[("FACEMATCH_SERVER", "https://one:1")]);
        let url = |common: Common, environment: &Environment| {
            common.server(environment).map(|server| shown(&server.url))
        };
        assert_eq!(url(common(Some("http://two"), None), &variable), Ok("http://two".to_owned()));
        assert_eq!(url(common(None, None), &variable), Ok("https://one:1".to_owned()));
        let unset = environment(&[("FACEMATCH_SERVER", "")]);
        assert_eq!(url(common(None, None), &unset), Ok(SERVER.to_owned()));
    }

    #[test]
    fn a_wrong_variable_is_named() {
        let wrong = environment(&[("FACEMATCH_SERVER", "host:1")]);
        let why = common(None, None).server(&wrong).expect_err("no URL");
        assert!(why.starts_with("FACEMATCH_SERVER: must be a URL such as"), "{why}");
    }

    #[test]
    fn a_ca_file_flag_needs_https() {
        let variable = environment(&[("FACEMATCH_CA_FILE", "ca.pem")]);
        let trusted = |common: Common| common.server(&variable).map(|server| server.ca_file);
        assert_eq!(trusted(common(Some("https://h"), None)), Ok(Some("ca.pem".into())));
        let flag = common(Some("https://h"), Some("other.pem"));
        assert_eq!(trusted(flag), Ok(Some("other.pem".into())));
        assert!(trusted(common(Some("http://h"), None)).is_ok(), "the variable is for all servers");
        let why = trusted(common(Some("http://h"), Some("ca.pem"))).expect_err("no https");
        assert_eq!(why, "--ca-file needs an https:// server, and this is http://h");
    }

    #[test]
    fn a_certificate_and_its_key_are_given_together() {
        let none = Environment::default();
        let identity = |common: Common, environment: &Environment| {
            common.server(environment).map(|server| server.identity)
        };
        let files = |cert: &str, key: &str| {
            Some(IdentityFiles { cert: PathBuf::from(cert), key: PathBuf::from(key) })
        };
        let pair = with_identity("https://h", Some("c"), Some("k"));
        assert_eq!(identity(pair, &none), Ok(files("c", "k")));
        let variables = environment(&[("FACEMATCH_CERT_FILE", "vc"), ("FACEMATCH_KEY_FILE", "vk")]);
        assert_eq!(
            identity(with_identity("https://h", None, None), &variables),
            Ok(files("vc", "vk"))
        );
        for (cert, key, why) in
            [(Some("c"), None, "--cert-file needs"), (None, Some("k"), "--key-file needs")]
        {
            let alone = identity(with_identity("https://h", cert, key), &none);
            assert!(alone.expect_err("one is missing").starts_with(why));
            let plain = identity(with_identity("http://h", cert, key), &none);
            assert!(plain.expect_err("no https").contains("needs an https:// server"));
        }
    }

    #[test]
    fn a_token_goes_in_plain_text_to_the_loopback_only() {
        let variable = environment(&[("FACEMATCH_TOKEN_FILE", "token")]);
        let sent = |url: &str| common(Some(url), None).server(&variable);
        for url in ["http://127.0.0.1:1", "http://localhost", "http://[::1]:1", "https://h"] {
            assert_eq!(sent(url).map(|server| server.token_file), Ok(Some("token".into())));
        }
        for url in ["http://h", "http://192.0.2.1:1", "http://localhost.example"] {
            let why = sent(url).expect_err("it would be sent in plain text");
            assert!(why.starts_with("--token-file, or FACEMATCH_TOKEN_FILE, needs"), "{why}");
            assert!(why.ends_with(url), "{why}");
        }
    }

    #[test]
    fn a_url_with_more_than_a_server_is_refused() {
        for (text, why) in [
            ("http://h/facematch", "/facematch would be ignored"),
            ("http://h?x=1", "must end after the host"),
            ("http://u:secret@h", "must not hold a user name or a password"),
            ("ftp://h", "http://127.0.0.1:50051"),
            ("h:1", "http://127.0.0.1:50051"),
            ("http://", "http://127.0.0.1:50051"),
            ("http://h:99999", "http://127.0.0.1:50051"),
            ("http://h:0", "http://127.0.0.1:50051"),
            ("https://[::1]:", "http://127.0.0.1:50051"),
        ] {
            let error = server(text).expect_err(text);
            assert!(error.contains(why), "{text}: {error}");
            assert!(!error.contains("secret"), "{error}");
        }
        assert_eq!(server("https://[::1]:1/").map(|url| shown(&url)), Ok("https://[::1]:1".into()));
    }
}
