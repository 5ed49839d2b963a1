//! Decides which server a client command calls, and how long it waits: by flags, then the
//! environment, then the default.
//!
//! It deliberately connects to nothing. Credentials of callers will be settings here too.

use std::{path::PathBuf, time::Duration};

use clap::Args;
use tonic::transport::Uri;

use crate::{
    cli::args::{Output, value::limit},
    config::{self, Environment},
};

/// The server's default address.
const SERVER: &str = "http://127.0.0.1:50051";

/// The environment variable for `--server`.
const SERVER_VARIABLE: &str = "FACEMATCH_SERVER";

/// The environment variable for `--ca-file`.
const CA_FILE_VARIABLE: &str = "FACEMATCH_CA_FILE";

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
    /// Text for people, or one JSON object a line for programs, errors included
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = Output::Text)]
    pub output: Output,
}

/// How long a command waits for each answer.
#[derive(Debug, Clone, Args)]
pub struct TimeoutArg {
    /// How long to wait for each answer of the server
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
        if self.ca_file.is_some() && url.scheme_str() != Some("https") {
            return Err(format!("--ca-file needs an https:// server, and this is {}", shown(&url)));
        }
        let named = environment.get(CA_FILE_VARIABLE).map(PathBuf::from);
        Ok(Server { url, ca_file: self.ca_file.clone().or(named) })
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
        (Some("http" | "https"), Some(host)) if !host.is_empty() => match uri.path_and_query() {
            Some(path) if path.as_str() != "/" => Err(format!(
                "must end after the host and the port: calls of gRPC have paths of their own, and \
                 {} would be ignored",
                config::one_line(path.as_str())
            )),
            Some(_) | None => Ok(uri),
        },
        _ => Err(WANTED.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn common(server: Option<&str>, ca_file: Option<&str>) -> Common {
        let server = server.map(|url| super::server(url).expect("a URL"));
        Common { server, ca_file: ca_file.map(PathBuf::from), output: Output::Text }
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
    fn a_url_with_more_than_a_server_is_refused() {
        for (text, why) in [
            ("http://h/facematch", "/facematch would be ignored"),
            ("http://h?x=1", "must end after the host"),
            ("http://u:secret@h", "must not hold a user name or a password"),
            ("ftp://h", "http://127.0.0.1:50051"),
            ("h:1", "http://127.0.0.1:50051"),
            ("http://", "http://127.0.0.1:50051"),
        ] {
            let error = server(text).expect_err(text);
            assert!(error.contains(why), "{text}: {error}");
            assert!(!error.contains("secret"), "{error}");
        }
        assert_eq!(server("https://[::1]:1/").map(|url| shown(&url)), Ok("https://[::1]:1".into()));
    }
}
