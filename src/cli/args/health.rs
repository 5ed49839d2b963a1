//! The arguments of `health`.

use std::{net::SocketAddr, time::Duration};

use clap::Args;
use http::Uri;

#[cfg(feature = "cli")]
use crate::cli::args::server::Common;
use crate::{
    cli::args::value::{has_valid_port, limit},
    config::Environment,
};

/// The environment variable of `serve` that names the admin port.
const ADMIN_VARIABLE: &str = "FACEMATCH_ADMIN_LISTEN";

/// Shorter than the interval at which containers and units are probed.
const TIMEOUT: &str = "3s";

pub const EXAMPLES: &str = "\
Exits with 0 if the server should get calls, else with 1 and one line that says why not.

Examples:
  facematch health --admin http://127.0.0.1:50052
  FACEMATCH_ADMIN_LISTEN=0.0.0.0:50052 facematch health --live";

/// Arguments of `health`.
#[derive(Debug, Clone, Args)]
pub struct HealthArgs {
    /// Ask whether the process lives, not whether it should get calls
    #[arg(long)]
    pub live: bool,
    /// The server's admin port, http://HOST:PORT [default: the address in FACEMATCH_ADMIN_LISTEN;
    /// without it, --server is asked by gRPC]
    #[cfg(feature = "cli")]
    #[arg(long, value_name = "URL", value_parser = admin, conflicts_with = "server")]
    pub admin: Option<Uri>,
    /// The server's admin port, http://HOST:PORT [default: the address in FACEMATCH_ADMIN_LISTEN]
    #[cfg(not(feature = "cli"))]
    #[arg(long, value_name = "URL", value_parser = admin)]
    pub admin: Option<Uri>,
    /// How long to wait for the answer
    #[arg(long, value_name = "DURATION", value_parser = limit, default_value = TIMEOUT)]
    pub timeout: Duration,
    /// The server to ask by gRPC, and how to print errors.
    #[cfg(feature = "cli")]
    #[command(flatten)]
    pub common: Common,
}

impl HealthArgs {
    /// The admin port to ask, if the flag or the environment names one. `--server` beats the
    /// environment.
    ///
    /// # Errors
    /// One sentence that names the variable.
    pub fn admin(&self, environment: &Environment) -> Result<Option<Uri>, String> {
        #[cfg(feature = "cli")]
        if self.common.server.is_some() {
            return Ok(None);
        }
        if let Some(url) = &self.admin {
            return Ok(Some(url.clone()));
        }
        let Some(text) = environment.get(ADMIN_VARIABLE) else { return Ok(None) };
        let listen = text.to_str().and_then(|text| text.parse::<SocketAddr>().ok());
        match listen.filter(|listen| listen.port() != 0) {
            Some(listen) => Ok(Some(reachable(listen))),
            None => Err(format!("{ADMIN_VARIABLE}: names no port such as 127.0.0.1:50052")),
        }
    }
}

/// The URL at which this machine reaches a server that listens there.
fn reachable(listen: SocketAddr) -> Uri {
    let loopback: SocketAddr = match listen {
        SocketAddr::V4(v4) => ([127, 0, 0, 1], v4.port()).into(),
        SocketAddr::V6(v6) => ([0, 0, 0, 0, 0, 0, 0, 1], v6.port()).into(),
    };
    let address = if listen.ip().is_unspecified() { loopback } else { listen };
    Uri::try_from(format!("http://{address}")).expect("an address is an authority")
}

/// Parses the URL of an admin port.
fn admin(text: &str) -> Result<Uri, &'static str> {
    const WANTED: &str = "must be a URL such as http://127.0.0.1:50052, without a path";
    let url: Uri = text.parse().map_err(|_| WANTED)?;
    let has_path = url.path_and_query().is_some_and(|path| path.as_str() != "/");
    let has_user = url.authority().is_some_and(|authority| authority.as_str().contains('@'));
    let is_named = url.host().is_some_and(|host| !host.is_empty());
    match (url.scheme_str(), has_path || has_user) {
        (Some("http"), false) if is_named && has_valid_port(&url) => Ok(url),
        _ => Err(WANTED),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: HealthArgs,
    }

    fn asked(line: &str, variable: &str) -> Result<Option<String>, String> {
        let words = ["health"].into_iter().chain(line.split_whitespace());
        let args = Line::try_parse_from(words).map_err(|wrong| wrong.to_string())?.args;
        let environment = [(ADMIN_VARIABLE, variable)].into_iter().collect();
        Ok(args.admin(&environment)?.map(|url| url.to_string()))
    }

    #[test]
    fn a_flag_beats_the_variable_whose_any_address_is_asked_on_the_loopback() {
        for (line, variable, url) in [
            ("", "", None),
            ("", "127.0.0.1:5", Some("http://127.0.0.1:5/")),
            ("", "0.0.0.0:5", Some("http://127.0.0.1:5/")),
            ("", "[::]:5", Some("http://[::1]:5/")),
            ("", "192.0.2.7:5", Some("http://192.0.2.7:5/")),
            ("--admin http://h:6", "127.0.0.1:5", Some("http://h:6/")),
            ("--admin http://[::1]", "", Some("http://[::1]/")),
            ("--server http://h:6", "127.0.0.1:5", None),
        ] {
            assert_eq!(asked(line, variable), Ok(url.map(str::to_owned)), "{line} {variable}");
        }
    }

    #[test]
    fn what_is_no_address_of_a_port_is_refused() {
        for variable in ["everywhere", "127.0.0.1:0", "50052"] {
            let why = asked("", variable).expect_err(variable);
            assert!(why.starts_with("FACEMATCH_ADMIN_LISTEN: names no port"), "{why}");
        }
        for url in [
            "https://h:6",
            "h:6",
            "http://h/readyz",
            "http://u:secret@h",
            "http://",
            "http://h:99999",
            "http://[::1]:0",
            "http://h:",
        ] {
            let why = asked(&format!("--admin {url}"), "").expect_err(url);
            assert!(why.contains("must be a URL such as http://127.0.0.1:50052"), "{why}");
        }
        asked("--admin http://a --server http://b", "").expect_err("either of them");
    }
}
