//! The arguments of `audit`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

pub const VERIFY_NOTES: &str = "\
Prints how many lines there are, the times of the first and the last one, and the last line's hash.
Exits with 1 at the first line that doesn't fit, and says why.

Examples:
  facematch audit verify /var/log/facematch/audit.log
  facematch audit verify audit.log.2 audit.log.1 audit.log";

/// The commands of `audit`.
#[derive(Debug, Clone, Subcommand)]
pub enum AuditCommand {
    /// Check that no line of audit files was changed or removed
    #[command(after_help = VERIFY_NOTES)]
    Verify(VerifyArgs),
}

/// Arguments of `audit verify`.
#[derive(Debug, Clone, Args)]
pub struct VerifyArgs {
    /// The files of one replica, the oldest first
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
}
