//! The processes of a run, and what the system counts for each.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use serde::{Serialize, de::DeserializeOwned};

use crate::{Result, roles::Role};

/// The system counts a process's time in ticks, a hundred a second on every Linux.
const TICKS_PER_SECOND: f64 = 100.0;
/// How long a part that is asked to stop may take.
const GOODBYE: Duration = Duration::from_secs(40);

/// A process of this run. It is killed when this is dropped.
pub struct Part {
    name: &'static str,
    child: Child,
    out: BufReader<ChildStdout>,
    to: ChildStdin,
}

/// What the system has counted for a process so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    pub cpu_seconds: f64,
    pub resident_bytes: f64,
    pub peak_bytes: f64,
    pub written_bytes: f64,
}

/// The simulator without its log: a line for each request would be measured too.
const SIMULATOR: [&str; 5] = ["sim", "--listen", "127.0.0.1:0", "--log-level", "warn"];

impl Part {
    pub fn start(name: &'static str, command: &mut Command) -> Result<Self> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let out = BufReader::new(child.stdout.take().expect("it is piped"));
        let to = child.stdin.take().expect("it is piped");
        Ok(Self { name, child, out, to })
    }

    /// Starts the simulator, and returns its URL.
    pub fn simulator() -> Result<(Self, String)> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_facematch"));
        let mut part = Self::start("simulator", command.args(SIMULATOR))?;
        let ready = part.line()?;
        let url = ready.split(' ').find(|word| word.starts_with("http://"));
        Ok((part, url.ok_or("the simulator doesn't print its URL")?.to_owned()))
    }

    /// Starts the service on the journal in a directory, and returns its URL.
    pub fn service(oz: &str, directory: &Path, more: &[&str]) -> Result<(Self, String)> {
        Self::service_in(&[], oz, directory, more)
    }

    /// Starts the service on the journal in a directory, with these variables of the environment,
    /// and returns its URL.
    pub fn service_in(
        environment: &[(&str, String)],
        oz: &str,
        directory: &Path,
        more: &[&str],
    ) -> Result<(Self, String)> {
        let store = format!("sqlite:{}", directory.join("facematch.db").display());
        let mut command = serve(&store, oz, &directory.join("log"), more)?;
        Self::served(command.envs(environment.iter().map(|(name, value)| (name, value))))
    }

    /// Starts the service on any store, and returns its URL.
    pub fn service_on(store: &str, oz: &str, log: &Path, more: &[&str]) -> Result<(Self, String)> {
        Self::served(&mut serve(store, oz, log, more)?)
    }

    fn served(command: &mut Command) -> Result<(Self, String)> {
        let mut part = Self::start("service", command)?;
        let ready = part.line()?;
        let address = ready.rsplit(' ').next().ok_or("the service doesn't print its address")?;
        Ok((part, format!("http://{address}")))
    }

    /// Starts a load generator: this program again, in a role. Returns the line that it prints once
    /// it is ready.
    pub fn role(role: &Role) -> Result<(Self, String)> {
        let mut command = Command::new(std::env::current_exe()?);
        let name = role.name();
        let mut part = Self::start(name, command.args(["--role", &serde_json::to_string(role)?]))?;
        let ready = part.line()?;
        Ok((part, ready))
    }

    /// Reads the next line that the process prints.
    pub fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        if self.out.read_line(&mut line)? == 0 {
            return Err(format!("the {} has ended unexpectedly", self.name).into());
        }
        Ok(line.trim_end().to_owned())
    }

    /// Tells a role to continue, by a line.
    pub fn tell(&mut self, word: &str) -> Result<()> {
        Ok(writeln!(self.to, "{word}")?)
    }

    /// Reads the outcome that a role prints.
    pub fn outcome<T: DeserializeOwned>(&mut self) -> Result<T> {
        Ok(serde_json::from_str(&self.line()?)?)
    }

    pub fn usage(&self) -> Result<Usage> {
        usage(self.child.id())
    }

    /// Resets the peak of the process's memory.
    pub fn forget_peak(&self) -> Result<()> {
        Ok(fs::write(format!("/proc/{}/clear_refs", self.child.id()), "5")?)
    }

    /// Kills the process at once.
    pub fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Asks the process to stop, and waits until it has ended.
    pub fn stop(mut self) -> Result<()> {
        let id = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        kill_process(id.ok_or("a process without an id")?, Signal::TERM)?;
        let asked = Instant::now();
        while self.child.try_wait()?.is_none() {
            if asked.elapsed() > GOODBYE {
                return Err(format!("the {} doesn't stop", self.name).into());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }
}

/// The command of a service.
fn serve(store: &str, oz: &str, log: &Path, more: &[&str]) -> Result<Command> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_facematch"));
    command
        .args(["serve", "--listen", "127.0.0.1:0", "--oz-url", oz, "--store", store])
        .args(more)
        .env("FACEMATCH_OZ_TOKEN", crate::oz::TOKEN)
        .stderr(fs::File::create(log)?);
    Ok(command)
}

impl Drop for Part {
    fn drop(&mut self) {
        // An error means that the process has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Usage {
    pub fn since(self, earlier: Self) -> Self {
        Self {
            cpu_seconds: self.cpu_seconds - earlier.cpu_seconds,
            resident_bytes: self.resident_bytes - earlier.resident_bytes,
            peak_bytes: self.peak_bytes,
            written_bytes: self.written_bytes - earlier.written_bytes,
        }
    }
}

/// Prints a role's outcome.
pub fn say<T: Serialize>(outcome: &T) -> Result<()> {
    let mut out = std::io::stdout().lock();
    serde_json::to_writer(&mut out, outcome)?;
    writeln!(out)?;
    Ok(out.flush()?)
}

/// Reads a line that a role is told; `None` once its standard input is closed.
pub fn heard() -> Result<Option<String>> {
    let mut line = String::new();
    let bytes = std::io::stdin().read_line(&mut line)?;
    Ok((bytes > 0).then(|| line.trim_end().to_owned()))
}

fn usage(id: u32) -> Result<Usage> {
    let file = |name| fs::read_to_string(format!("/proc/{id}/{name}"));
    let (stat, status, io) = (file("stat")?, file("status")?, file("io")?);
    // The second field is a name in brackets, which may hold anything.
    let (_, fields) = stat.rsplit_once(')').ok_or("a process without a name")?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let ticks = |index: usize| -> Result<f64> {
        Ok(fields.get(index).ok_or("a short list of a process's times")?.parse()?)
    };
    Ok(Usage {
        cpu_seconds: (ticks(11)? + ticks(12)?) / TICKS_PER_SECOND,
        resident_bytes: number(&status, "VmRSS:")? * 1024.0,
        peak_bytes: number(&status, "VmHWM:")? * 1024.0,
        written_bytes: number(&io, "write_bytes:")?,
    })
}

/// CPU seconds of any process of the machine, and of those of its children that have ended. Zero if
/// the process itself has ended meanwhile.
pub fn cpu_seconds_with_children(id: u32) -> Result<f64> {
    let Ok(stat) = fs::read_to_string(format!("/proc/{id}/stat")) else { return Ok(0.0) };
    let (_, fields) = stat.rsplit_once(')').ok_or("a process without a name")?;
    let ticks = fields.split_whitespace().skip(11).take(4).map(str::parse::<f64>);
    Ok(ticks.sum::<Result<f64, _>>()? / TICKS_PER_SECOND)
}

fn number(text: &str, name: &str) -> Result<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let word = line.and_then(|rest| rest.split_whitespace().next());
    Ok(word.ok_or_else(|| format!("the system doesn't report {name}"))?.parse()?)
}
