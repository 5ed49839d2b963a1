//! `facematch sim`: the Oz simulator alone, as a process that tests can start, query and stop.
//!
//! It reads its flags, prints its address, and writes its record when it ends. The simulator's
//! behaviour is in `simulator`.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::{
    app::BoxError,
    cli::{Misuse, Output, SimArgs},
    simulator::{Config, RecordedRequest, Script, Simulator, Tls},
    telemetry,
};

/// Serves until `shutdown` is cancelled, then writes the record if a file for it was named.
pub async fn run(args: SimArgs, shutdown: CancellationToken) -> Result<(), BoxError> {
    let _log = telemetry::start_without_waiting(args.log.log_format(), &args.log_level)?;
    let config = config(&args)?;
    let record = args.record.as_deref().map(RecordFile::create).transpose()?;
    let listen = args.listen;
    let oz = Simulator::start_with(config)
        .await
        .map_err(|failure| format!("--listen: {listen}: {failure}"))?;
    say(&ready(&oz, args.output));
    shutdown.cancelled().await;
    let requests = oz.record();
    oz.stop().await;
    match record {
        Some(file) => Ok(file.write(&requests)?),
        None => Ok(()),
    }
}

fn config(args: &SimArgs) -> Result<Config, BoxError> {
    let defaults = Config::default();
    let script = args.script.as_deref().map(Script::load).transpose();
    let script = script.map_err(|wrong| Misuse(format!("--script: {wrong}")))?;
    let tls = match (&args.tls_cert_file, &args.tls_key_file) {
        (Some(certificates), Some(key)) => Some(
            Tls::load(certificates, key)
                .map_err(|wrong| Misuse(format!("--tls-cert-file: {wrong}")))?,
        ),
        _ => None,
    };
    Ok(Config {
        listen: args.listen,
        seed: args.seed,
        script: script.unwrap_or_default(),
        email: args.login.clone().unwrap_or(defaults.email),
        password: args.password.clone().unwrap_or(defaults.password),
        service_token: args.token.clone().unwrap_or(defaults.service_token),
        sample_folder: true,
        tls,
        limits: defaults.limits,
    })
}

/// The simulator's address and accounts: for people, or as one line of JSON.
fn ready(oz: &Simulator, output: Output) -> String {
    let (login, password) = oz.login();
    let (url, token, folder) = (oz.url(), oz.service_token(), oz.sample_folder());
    if output == Output::Json {
        let ready = json!({
            "url": url,
            "login": login,
            "password": password,
            "token": token,
            "sample_folder": folder,
            "pid": std::process::id(),
        });
        return ready.to_string();
    }
    let folder = folder.unwrap_or_default();
    format!(
        "the Oz simulator is ready on {url} (login {login}, password {password})\n\
         the service account's token is {token}\n\
         the sample folder is {folder}, made from the picture at {url}/sim/samples/portrait.jpg"
    )
}

/// The file for the record. It is created at the start, so that a path that can't be written is
/// reported before the tests run, not after them.
struct RecordFile {
    path: PathBuf,
    file: File,
}

impl RecordFile {
    fn create(path: &Path) -> Result<Self, String> {
        match File::create(path) {
            Ok(file) => Ok(Self { path: path.to_owned(), file }),
            Err(error) => Err(failed(path, &error)),
        }
    }

    /// Writes one JSON object per line.
    fn write(self, requests: &[RecordedRequest]) -> Result<(), String> {
        let Self { path, file } = self;
        let mut out = BufWriter::new(file);
        let mut write = || -> io::Result<()> {
            for request in requests {
                serde_json::to_writer(&mut out, request)?;
                out.write_all(b"\n")?;
            }
            out.flush()
        };
        write().map_err(|error| failed(&path, &error))
    }
}

fn failed(path: &Path, error: &io::Error) -> String {
    format!("--record: {}: {error}", path.display())
}

/// Prints lines for the parent process. If that has closed its end, the simulator still runs.
fn say(lines: &str) {
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "{lines}").and_then(|()| out.flush());
}
