//! The arguments of `testserver`: the settings of `serve`, with defaults of a test's size.

use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches, error::Error};

use crate::{
    cli::serve,
    config::{About, Flags, LogFormat, TABLE},
};

pub const NOTES: &str = "\
It prints one line of JSON when it is ready, and ends with 0 when its standard input is closed, as
by the end of the test that has started it, or by SIGTERM. docs/testserver.md has the rest.
It takes every other flag of serve as well, but for the settings file and those of the access to Oz,
which is a simulator of its own. Environment variables are not read.

Exit codes:
  0    its standard input was closed, or a signal came
  1    it can't start
  64   wrong usage or settings";

/// A setting whose default suits a service in production, and what suits a test.
#[derive(Debug)]
pub struct TestSetting {
    /// The name of the setting.
    pub name: &'static str,
    /// Its default here.
    pub default: &'static str,
    /// What it is, and why this is the default.
    pub reason: &'static str,
}

/// The settings with another default than that of `serve`, in the order of the table of settings.
pub const TEST_SETTINGS: &[TestSetting] = &[
    TestSetting {
        name: "listen",
        default: "127.0.0.1:0",
        reason: "where callers connect: a free port, so that tests run side by side",
    },
    TestSetting {
        name: "web-listen",
        default: "127.0.0.1:0",
        reason: "where browsers and curl connect: a free port",
    },
    TestSetting {
        name: "oz-poll-interval",
        default: "20ms",
        reason: "between two polls of an analysis: a verdict is seen soon after the simulator has it",
    },
    TestSetting {
        name: "oz-timeout",
        default: "2s",
        reason: "for one request to the simulator: an answer that it withholds costs a test seconds",
    },
    TestSetting {
        name: "oz-settle",
        default: "100ms",
        reason: "after an answer was lost: the simulator acts on a request at once, or never",
    },
    TestSetting {
        name: "match-timeout",
        default: "1m",
        reason: "how long a match may take: it ends before the patience of a test does",
    },
    TestSetting {
        name: "photo-grace",
        default: "1s",
        reason: "how long a match waits for a lost photo: a test can send it again, or await PHOTO_LOST",
    },
    TestSetting {
        name: "retention",
        default: "1h",
        reason: "how long an ended match is kept: longer than a test takes",
    },
    TestSetting {
        name: "heartbeat",
        default: "200ms",
        reason: "after how much silence a stream sends a heartbeat: a test sees several in a second",
    },
    TestSetting {
        name: "drain-timeout",
        default: "1s",
        reason: "for the end of the process: a test doesn't wait for streams that it has left open",
    },
    TestSetting {
        name: "admin-listen",
        default: "127.0.0.1:0",
        reason: "where probes and scrapers connect: a free port",
    },
    TestSetting {
        name: "log-level",
        default: "warn",
        reason: "what is logged: only what is wrong",
    },
];

/// The settings that aren't taken: the test server is its own Oz, and a test must not depend on
/// files of its machine.
const NOT_TAKEN: [&str; 10] = [
    "config",
    "oz-url",
    "oz-login",
    "oz-password",
    "oz-password-file",
    "oz-token",
    "oz-token-file",
    "oz-ca-file",
    "oz-proxy",
    "allow-core-dumps",
];

/// Arguments of `testserver`.
#[derive(Debug, Clone, Args)]
pub struct TestserverArgs {
    /// Require a credential of every call: the printed line has a key that may make all of them
    #[arg(long, conflicts_with = "callers-file")]
    pub callers: bool,
    /// The settings of `serve`.
    #[command(flatten)]
    pub settings: TestFlags,
}

/// The settings of `serve` that were given as flags, unchecked, and a test's defaults of the others.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TestFlags {
    /// The name and the text of each setting.
    pub flags: Flags,
}

impl TestFlags {
    /// The format of the log, in which errors of the start are reported too.
    pub fn log_format(&self) -> LogFormat {
        match self.flags.iter().any(|(name, text)| *name == "log" && text == "json") {
            true => LogFormat::Json,
            false => LogFormat::Text,
        }
    }
}

/// The settings that are taken.
fn taken() -> impl Iterator<Item = &'static About> {
    TABLE.iter().copied().filter(|about| !NOT_TAKEN.contains(&about.name))
}

/// The flag of a setting. Those that serve has as well, with the same default, aren't shown.
fn flag(about: &'static About) -> Arg {
    let arg = serve::flag(about).action(ArgAction::Append);
    match TEST_SETTINGS.iter().find(|setting| setting.name == about.name) {
        Some(setting) => arg.help(format!("{} [default: {}]", setting.reason, setting.default)),
        None => arg.hide(true),
    }
}

/// The settings that were given, and the defaults of those that were not.
fn settings(matches: &ArgMatches) -> Flags {
    let given = serve::given(taken(), matches);
    let is_given = |name| given.iter().any(|(given, _)| *given == name);
    let defaults = TEST_SETTINGS.iter().filter(|setting| !is_given(setting.name));
    let defaults = defaults.map(|setting| (setting.name, setting.default.to_owned()));
    given.iter().cloned().chain(defaults).collect()
}

impl Args for TestFlags {
    fn augment_args(command: Command) -> Command {
        taken().fold(command, |command, about| command.arg(flag(about)))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for TestFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        Ok(Self { flags: settings(matches) })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        self.flags = settings(matches);
        Ok(())
    }
}
