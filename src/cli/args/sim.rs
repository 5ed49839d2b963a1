//! The arguments of `sim` and `demo`.

use std::{net::SocketAddr, path::PathBuf};

use clap::Args;

use crate::cli::args::output::{Output, given};

pub const NOTES: &str = "\
The simulator compares pictures, not faces: the same picture, rescaled or recompressed, gives
SUCCESS, any other picture DECLINED, also another photo of the same person. It is for tests and must
never decide about a person.";

/// Arguments of `demo`.
#[cfg(feature = "cli")]
#[derive(Debug, Clone, Args)]
pub struct DemoArgs {
    /// A JPEG or PNG of your own to try; without one, the demo brings its own pictures
    pub photo: Option<PathBuf>,
    /// Exit after the matches instead of continuing to serve
    #[arg(long)]
    pub once: bool,
    /// Where the server listens; port 0 takes any free one [default: 127.0.0.1:50051, or any free
    /// port of 127.0.0.1 if that one is taken]
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<SocketAddr>,
}

/// Arguments of `sim`.
#[derive(Debug, Clone, Args)]
pub struct SimArgs {
    /// Where the simulator listens; port 0 takes any free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8900")]
    pub listen: SocketAddr,
    /// Makes ids, tokens and random choices repeatable; without a seed, every run differs
    #[arg(long, value_name = "NUMBER")]
    pub seed: Option<u64>,
    /// A file that says what the simulator answers and when it misbehaves
    #[arg(long, value_name = "FILE")]
    pub script: Option<PathBuf>,
    /// The login that it accepts
    #[arg(long, value_name = "NAME", value_parser = given)]
    #[arg(help = "The login that it accepts [default: tester@example.com]")]
    pub login: Option<String>,
    /// The password of the login
    #[arg(long, value_name = "PASSWORD", value_parser = given)]
    #[arg(help = "The password of the login [default: simulated]")]
    pub password: Option<String>,
    /// The token that it accepts without a login
    #[arg(long, value_name = "TOKEN", value_parser = given)]
    #[arg(help = "The token that it accepts without a login [default: simulated-service-token]")]
    pub token: Option<String>,
    /// Serve over TLS with this certificate, a PEM file with its chain
    #[arg(long, value_name = "FILE", requires = "tls_key_file")]
    pub tls_cert_file: Option<PathBuf>,
    /// The certificate's key, a PEM file
    #[arg(long, value_name = "FILE", requires = "tls_cert_file")]
    pub tls_key_file: Option<PathBuf>,
    /// Where to write all requests when it ends, one JSON object a line
    #[arg(long, value_name = "FILE")]
    pub record: Option<PathBuf>,
    /// How it says where it is: lines for people, or one JSON object for programs
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = Output::Text)]
    pub output: Output,
    /// The form of the log, which goes to standard error: a line for each request
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = Output::Text)]
    pub log: Output,
    /// What is logged, such as info, or warn for nothing about requests
    #[arg(long, value_name = "LEVELS", default_value = "info")]
    pub log_level: String,
}
