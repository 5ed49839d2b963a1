//! The arguments of `completions` and `man`.

use std::path::PathBuf;

use clap::Args;
use clap_complete::Shell;

pub const MAN_NOTES: &str = "\
One file for each command, such as facematch-match.1. To read one: man DIR/facematch-match.1";

pub const COMPLETIONS_EXAMPLES: &str = "\
Examples:
  facematch completions bash > /etc/bash_completion.d/facematch
  facematch completions zsh > /usr/local/share/zsh/site-functions/_facematch
  facematch completions fish > ~/.config/fish/completions/facematch.fish";

/// Arguments of `completions`.
#[derive(Debug, Clone, Args)]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    pub shell: Shell,
}

/// Arguments of `man`.
#[derive(Debug, Clone, Args)]
pub struct ManArgs {
    /// The directory to write the pages into; it is created if it doesn't exist
    pub dir: PathBuf,
}
