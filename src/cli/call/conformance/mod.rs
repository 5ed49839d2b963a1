//! A driver of the conformance suite: by lines of JSON, the suite's runner controls what the commands
//! call the service with. `clients/conformance/README.md` describes the lines.
//!
//! It deliberately repairs nothing, and offers only what the command line does, but for `create`,
//! which prepares other scenarios. `clients/rust/conformance/not-offered` lists the scenarios that
//! therefore fail.

mod call;
mod command;
mod event;
mod request;

use std::{
    collections::{BTreeSet, HashMap},
    fs,
    io::{self, BufRead, Write},
    path::PathBuf,
    sync::Arc,
    thread,
    time::Duration,
};

use serde_json::Value;
use tempfile::TempDir;
use tokio::{
    sync::{
        Semaphore,
        mpsc::{self, Receiver},
    },
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use crate::{
    cli::call::{
        args::{Common, Output, Server},
        client::Connection,
        conformance::{
            call::DrivenCall,
            command::{CallWish, OpenOptions, RunnerCommand},
            event::{EventLines, FailureLine},
        },
        report,
        resume::{Backoff, Silence},
        retry::Terms,
        watch::GIVE_UP_AFTER,
    },
    config::Environment,
};

/// How many commands the driver reads ahead while it obeys one.
const COMMANDS_AHEAD: usize = 16;

/// Obeys commands until there are no more, and prints events. An error is told to have its reason if
/// that is one of `reasons`, which clients know.
///
/// # Errors
/// The commands can't be read.
pub async fn drive(
    commands: impl BufRead + Send + 'static,
    events: impl Write + Send + 'static,
    reasons: BTreeSet<String>,
) -> io::Result<()> {
    let (clients, calls) = (HashMap::new(), HashMap::new());
    let mut driver =
        Driver { lines: EventLines::to(events, reasons), clients, calls, tasks: JoinSet::new() };
    driver.lines.ready();
    let mut commands = read(commands)?;
    while let Some(line) = commands.recv().await {
        driver.obey(&line?).await;
    }
    driver.tasks.shutdown().await;
    Ok(())
}

/// The commands, which a thread of its own reads.
fn read(commands: impl BufRead + Send + 'static) -> io::Result<Receiver<io::Result<String>>> {
    let (sender, read) = mpsc::channel(COMMANDS_AHEAD);
    let reader = thread::Builder::new().name("commands".to_owned());
    reader.spawn(move || {
        for line in commands.lines() {
            if sender.blocking_send(line).is_err() {
                return;
            }
        }
    })?;
    Ok(read)
}

/// The clients and the calls, by the names that the runner has given them.
struct Driver {
    lines: EventLines,
    clients: HashMap<String, DrivenClient>,
    calls: HashMap<String, Controls>,
    tasks: JoinSet<()>,
}

/// A client of one server.
struct DrivenClient {
    connection: Connection,
    server: Server,
    options: OpenOptions,
    closing: CancellationToken,
    /// Holds the file of a token that was given as a text.
    _files: Option<TempDir>,
}

/// How the runner controls a call that runs.
struct Controls {
    go: Arc<Semaphore>,
    cancel: CancellationToken,
}

impl Driver {
    async fn obey(&mut self, line: &str) {
        let value: Value = serde_json::from_str(line).unwrap_or_default();
        match serde_json::from_value(value.clone()) {
            Ok(RunnerCommand::Open { client, target, options }) => {
                self.open(client, &target, options.map(|it| *it).unwrap_or_default()).await;
            }
            Ok(RunnerCommand::Call(command)) => self.call(*command),
            Ok(RunnerCommand::Go { call }) => {
                if let Some(controls) = self.calls.get(&call) {
                    controls.go.add_permits(1);
                }
            }
            Ok(RunnerCommand::Cancel { call }) => {
                if let Some(controls) = self.calls.get(&call) {
                    controls.cancel.cancel();
                }
            }
            Ok(RunnerCommand::Close { client }) => {
                if let Some(closed) = self.clients.remove(&client) {
                    closed.closing.cancel();
                }
                self.lines.closed(&client);
            }
            Err(unknown) => self.lines.unsupported(&value, &unknown.to_string()),
        }
    }

    async fn open(&mut self, name: String, target: &str, options: OpenOptions) {
        match DrivenClient::open(target, options).await {
            Ok(client) => {
                self.lines.opened(&name, &format!("{:?}", client.server));
                self.clients.insert(name, client);
            }
            Err(problem) => self.lines.failed_to_open(&name, &FailureLine::usage(&problem)),
        }
    }

    fn call(&mut self, command: CallWish) {
        let Some(client) = self.clients.get(&command.client) else {
            self.lines.failed(&command.call, &FailureLine::usage("the client is closed"));
            return;
        };
        let (go, cancel) = (Arc::new(Semaphore::new(0)), client.closing.child_token());
        self.calls
            .insert(command.call.clone(), Controls { go: go.clone(), cancel: cancel.clone() });
        let call = DrivenCall {
            lines: self.lines.clone(),
            connection: client.connection.clone(),
            server: client.server.clone(),
            terms: client.terms(&command),
            go,
            cancel,
        };
        self.tasks.spawn(call.run(command));
        // Ended tasks are forgotten, so that a long suite doesn't gather them.
        while self.tasks.try_join_next().is_some() {}
    }
}

impl DrivenClient {
    /// The client, or why its settings are refused.
    async fn open(target: &str, options: OpenOptions) -> Result<Self, String> {
        let tls = options.tls.clone();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let tls = tls.unwrap_or_default();
        let files = match &options.token {
            Some(_) => Some(tempfile::tempdir().map_err(|error| error.to_string())?),
            None => None,
        };
        let token_file = match (&files, &options.token) {
            (Some(files), Some(token)) => Some(token_file(files, token)?),
            (Some(_) | None, _) => options.token_file.clone(),
        };
        let server = format!("{scheme}://{target}").parse();
        let common = Common {
            server: Some(server.map_err(|error| format!("{target}: {error}"))?),
            ca_file: tls.ca_file,
            cert_file: tls.cert_file,
            key_file: tls.key_file,
            token_file,
            output: Output::Json,
        };
        let server = common.server(&Environment::default())?;
        let connection = Connection::prepare(&server).await;
        let connection = connection.map_err(|error| report::with_causes(&error))?;
        Ok(Self { connection, server, options, closing: CancellationToken::new(), _files: files })
    }

    /// How long a call waits: by default, as the commands do.
    fn terms(&self, command: &CallWish) -> Terms {
        let ms = |ms: Option<u64>, default: Duration| ms.map_or(default, Duration::from_millis);
        let options = &self.options;
        let give_up_after = options.give_up_after_ms.map(Duration::from_millis);
        let give_up_after = match command.follows_all() {
            true => give_up_after,
            false => give_up_after.or(Some(GIVE_UP_AFTER)),
        };
        let limit = command.deadline_ms.map(Duration::from_millis);
        let terms = Terms::patient(give_up_after, limit);
        Terms {
            pace: Backoff {
                first: ms(options.backoff_first_ms, terms.pace.first),
                longest: ms(options.backoff_longest_ms, terms.pace.longest),
                give_up_tries: options.give_up_tries,
                ..terms.pace
            },
            silence: Silence {
                least: ms(options.silence_least_ms, terms.silence.least),
                unknown: ms(options.silence_unknown_ms, terms.silence.unknown),
            },
            answer: ms(options.call_timeout_ms, terms.answer),
            ..terms
        }
    }
}

fn token_file(files: &TempDir, token: &str) -> Result<PathBuf, String> {
    let path = files.path().join("token");
    fs::write(&path, token).map_err(|error| error.to_string())?;
    Ok(path)
}
