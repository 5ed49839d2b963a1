//! The arguments of `key new`.

use clap::{Args, Subcommand};

use crate::{access, cli::args::Output};

pub const NEW_EXAMPLES: &str = "\
The key is shown once, on the first line, and stored nowhere. The second line is for the callers
file, which has the key's SHA-256 alone: it belongs into keys = [ … ] of the caller.

Examples:
  facematch key new kyc-backend
  facematch key new kyc-backend --expires 2027-03-01 --output json";

/// Arguments of `key`.
#[derive(Debug, Clone, Args)]
pub struct KeyArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: KeyCommand,
}

/// The commands about API keys.
#[derive(Debug, Clone, Subcommand)]
pub enum KeyCommand {
    /// Make an API key for a caller
    #[command(after_help = NEW_EXAMPLES)]
    New(NewKeyArgs),
}

/// Arguments of `key new`.
#[derive(Debug, Clone, Args)]
pub struct NewKeyArgs {
    /// The caller's name in the callers file
    #[arg(value_parser = caller)]
    pub caller: String,
    /// The last day of the key, in UTC, such as 2027-03-01, or a time such as 2027-03-01T08:00:00Z
    #[arg(long, value_name = "DATE", value_parser = access::KeyExpiry::parse)]
    pub expires: Option<access::KeyExpiry>,
    /// Lines for people, or a JSON object
    #[arg(long, value_enum, default_value_t = Output::Text)]
    pub output: Output,
}

fn caller(name: &str) -> Result<String, &'static str> {
    access::check_name(name).map(|()| name.to_owned())
}
