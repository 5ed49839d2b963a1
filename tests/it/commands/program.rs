//! Runs the built program to its end, in pipes or on terminals, and collects its outputs.

use std::{
    fs::{File, OpenOptions},
    io::{Read, Write},
    os::fd::OwnedFd,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
};

use rustix::{
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{Winsize, tcsetwinsize},
};
use tokio::task;

use crate::canary;

/// The outputs and the exit code of a command.
#[derive(Debug)]
pub struct Ran {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    /// Fails unless it ended with this exit code.
    #[track_caller]
    pub fn assert_code(&self, code: i32) {
        assert_eq!(self.code, Some(code), "{}\n{}", self.stdout, self.stderr);
    }

    /// Parses an output with one JSON value per line.
    #[track_caller]
    pub fn json(text: &str) -> Vec<serde_json::Value> {
        let parsed = |line| serde_json::from_str(line).unwrap_or_else(|_| panic!("JSON: {line}"));
        text.lines().map(parsed).collect()
    }

    /// The only line of standard error, as JSON.
    #[track_caller]
    pub fn error(&self) -> serde_json::Value {
        let mut lines = Self::json(&self.stderr);
        assert_eq!(lines.len(), 1, "{}", self.stderr);
        lines.remove(0)
    }
}

/// A command to run.
#[derive(Debug, Clone, Default)]
pub struct Program {
    args: Vec<String>,
    variables: Vec<(String, String)>,
    input: Vec<u8>,
}

impl Program {
    /// The program with space-separated arguments and an empty environment.
    pub fn new(line: &str) -> Self {
        Self { args: line.split(' ').map(str::to_owned).collect(), ..Self::default() }
    }

    /// Adds one argument, which may hold spaces.
    pub fn arg(mut self, arg: impl Into<String>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Sets an environment variable.
    pub fn variable(mut self, name: &str, value: impl Into<String>) -> Self {
        self.variables.push((name.to_owned(), value.into()));
        self
    }

    /// Sets its standard input, which is empty by default.
    pub fn input(mut self, input: impl Into<Vec<u8>>) -> Self {
        self.input = input.into();
        self
    }

    /// Runs it with both outputs in pipes.
    pub async fn piped(self) -> Ran {
        self.run(|mut command| {
            let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
            let mut child = child.expect("the program runs");
            let stdout = child.stdout.take().expect("a pipe");
            let stderr = child.stderr.take().expect("a pipe");
            (child, Box::new(stdout), Box::new(stderr))
        })
        .await
    }

    /// Runs it with each output on a terminal of its own.
    pub async fn on_terminals(self) -> Ran {
        self.run(|mut command| {
            let (stdout, outer) = terminal();
            let (stderr, outer_stderr) = terminal();
            let child = command.stdout(outer).stderr(outer_stderr).spawn();
            // The command holds copies of the terminals; reading ends only when they are closed.
            drop(command);
            (child.expect("the program runs"), Box::new(stdout), Box::new(stderr))
        })
        .await
    }

    /// Runs it with standard output into a file or device.
    pub async fn into(self, output: File) -> Ran {
        self.run(|mut command| {
            let child = command.stdout(output).stderr(Stdio::piped()).spawn();
            let mut child = child.expect("the program runs");
            let stderr = child.stderr.take().expect("a pipe");
            (child, Box::new(std::io::empty()), Box::new(stderr))
        })
        .await
    }

    /// Runs it with standard output into a pipe whose reader is closed.
    pub async fn into_closed_pipe(self) -> Ran {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        self.into(File::from(OwnedFd::from(writer))).await
    }

    async fn run(self, spawn: impl FnOnce(Command) -> Spawned + Send + 'static) -> Ran {
        let told = format!("{:?}", self.args);
        let ran = task::spawn_blocking(move || self.run_now(spawn)).await.expect("it is run");
        canary::check(&told, ran.stdout.as_bytes());
        canary::check(&told, ran.stderr.as_bytes());
        ran
    }

    fn run_now(self, spawn: impl FnOnce(Command) -> Spawned) -> Ran {
        let mut command = Command::new(env!("CARGO_BIN_EXE_facematch"));
        command.args(&self.args).env_clear().envs(self.variables).stdin(Stdio::piped());
        let (mut child, stdout, stderr) = spawn(command);
        let mut stdin = child.stdin.take().expect("a pipe");
        let input = self.input;
        // The write fails if the command doesn't read its input.
        let writing = thread::spawn(move || _ = stdin.write_all(&input));
        let stdout = thread::spawn(|| read(stdout));
        let stderr = read(stderr);
        let code = child.wait().expect("it ends").code();
        writing.join().expect("it is written");
        Ran { code, stdout: stdout.join().expect("it is read"), stderr }
    }
}

type Spawned = (Child, Box<dyn Read + Send>, Box<dyn Read + Send>);

/// Reads an output to its end. A terminal ends with an error when its last process exits.
fn read(mut output: impl Read) -> String {
    let mut bytes = Vec::new();
    let _ = output.read_to_end(&mut bytes);
    String::from_utf8(bytes).expect("text")
}

/// A pseudo-terminal: the first file reads what is written to the second.
fn terminal() -> (File, File) {
    let inner = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
    grantpt(&inner).expect("it is ours");
    unlockpt(&inner).expect("it is unlocked");
    let size = Winsize { ws_row: 50, ws_col: 200, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(&inner, size).expect("it has a size");
    let path = ptsname(&inner, Vec::new()).expect("it has a name");
    let path = Path::new(path.to_str().expect("a path"));
    let outer = OpenOptions::new().read(true).write(true).open(path).expect("its other side");
    (File::from(inner), outer)
}
