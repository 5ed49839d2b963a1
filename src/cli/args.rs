//! The commands, their arguments and their help texts.
//!
//! It checks only what can be checked without a server; the server judges the rest.

#[cfg(feature = "cli")]
mod audit;
#[cfg(feature = "cli")]
mod call;
mod doctor;
mod health;
#[cfg(feature = "cli")]
mod key;
mod output;
#[cfg(feature = "cli")]
mod pages;
#[cfg(feature = "cli")]
mod server;
#[cfg(feature = "simulator")]
mod sim;
#[cfg(all(feature = "cli", feature = "simulator"))]
mod testserver;
mod value;

use std::ffi::OsString;

use clap::{Parser, Subcommand, error::Error};

use crate::cli::serve::ServeArgs;

pub use self::health::HealthArgs;
#[cfg(feature = "simulator")]
pub use self::sim::SimArgs;
#[cfg(feature = "cli")]
pub use self::{
    audit::{AuditCommand, VerifyArgs},
    call::{CallCommand, ListArgs, MatchArgs, OneArgs, WatchArgs},
    key::{KeyArgs, KeyCommand, NewKeyArgs},
    pages::{CompletionsArgs, ManArgs},
    server::{Common, IdentityFiles, Server, shown},
};
pub use self::{doctor::DoctorArgs, output::Output};
#[cfg(all(feature = "cli", feature = "simulator"))]
pub use self::{
    sim::DemoArgs,
    testserver::{TEST_SETTINGS, TestSetting, TestserverArgs},
};

#[cfg(feature = "cli")]
const EXIT_CODES: &str = "\
Exit codes of match and watch:
  0    SUCCESS: the same person
  1    DECLINED: another person
  2    OPERATOR_REQUIRED: Oz leaves the decision to a person
  3    FAILED or CANCELLED: there is no verdict
  5    the match has ended with a result that this version does not know
Exit codes of every command:
  0    done
  4    the call failed
  64   wrong usage or settings, or a file that can't be read: nothing was sent
  74   the output can't be written
  130  interrupted by Ctrl-C; a match that was accepted goes on
  141  the reader of the output has closed it, as `| head -1` does
serve, sim, testserver and demo exit with 1 if they can't start, health if the server isn't healthy,
audit verify if a line doesn't fit, doctor if Oz differs.";

#[cfg(not(feature = "cli"))]
const EXIT_CODES: &str = "\
Exit codes:
  0    done
  1    it can't start, or has failed; health: the server isn't healthy; doctor: Oz differs
  64   wrong usage or settings";

const SERVE_EXAMPLES: &str = "\
Each setting is also an environment variable (--oz-url is FACEMATCH_OZ_URL) and a key of the file
given by --config (oz-url = \"https://oz.example\"). Flags beat the environment, which beats the file.
SIGHUP reads the file of --config and the files that the settings name again.

Exit codes:
  0    stopped by SIGTERM or SIGINT
  1    a resource that the settings name is not available, or the service broke: a restart may help
  64   a setting is wrong: a restart doesn't help
  101  a bug
  130  stopped at once by a second signal

Examples:
  facematch serve --oz-url https://oz.example --oz-login me --oz-password-file /run/secrets/oz
  facematch serve --config /etc/facematch.toml --listen 0.0.0.0:50051 \\
      --tls-cert-file cert.pem --tls-key-file key.pem --callers-file callers.toml";

/// Is the person in this photo the person in the liveness video of that Oz folder?
#[derive(Debug, Parser)]
#[command(name = "facematch", version, after_help = EXIT_CODES, arg_required_else_help = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the service
    #[command(after_help = SERVE_EXAMPLES)]
    Serve(ServeArgs),
    /// Try an Oz installation with the settings of serve: what holds, what differs, what to do
    #[command(after_help = doctor::NOTES)]
    Doctor(DoctorArgs),
    /// Try everything at once, with a simulated Oz and no account
    #[cfg(all(feature = "cli", feature = "simulator"))]
    Demo(DemoArgs),
    /// Run the Oz simulator alone; it compares pictures, not faces
    #[cfg(feature = "simulator")]
    #[command(after_help = sim::NOTES)]
    Sim(SimArgs),
    /// Run the service and a simulated Oz for a test: free ports, a temporary store, short times
    #[cfg(all(feature = "cli", feature = "simulator"))]
    #[command(after_help = testserver::NOTES)]
    Testserver(TestserverArgs),
    /// Ask a running server whether it should get calls
    #[command(after_help = health::EXAMPLES)]
    Health(HealthArgs),
    #[cfg(feature = "cli")]
    #[command(flatten)]
    Call(CallCommand),
    /// Check audit files; no server is needed
    #[cfg(feature = "cli")]
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Make an API key
    #[cfg(feature = "cli")]
    #[command(disable_help_subcommand = true)]
    Key(KeyArgs),
    /// Print the completions of a shell
    #[cfg(feature = "cli")]
    #[command(after_help = pages::COMPLETIONS_EXAMPLES)]
    Completions(CompletionsArgs),
    /// Write the manual pages
    #[cfg(feature = "cli")]
    #[command(after_help = pages::MAN_NOTES)]
    Man(ManArgs),
}

impl Cli {
    /// Parses the arguments. They begin with the name of the program.
    pub fn read(args: impl IntoIterator<Item = OsString>) -> Result<Self, Error> {
        let cli = Self::try_parse_from(args)?;
        #[cfg(feature = "cli")]
        if let Command::Call(call) = &cli.command {
            call.check()?;
        }
        Ok(cli)
    }
}

#[cfg(test)]
mod tests;
