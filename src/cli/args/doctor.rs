//! The arguments of `doctor`: the settings of `serve`, and what to try.

use std::path::PathBuf;

use clap::{ArgMatches, Args, Command, FromArgMatches, error::Error};
use uuid::Uuid;

use crate::{
    cli::{
        args::{Output, output::given},
        serve,
    },
    config::{Flags, TABLE},
};

pub const NOTES: &str = "\
It takes every flag of serve, its environment variables and its settings file, and uses those that
concern Oz and the photo library. Each line begins with holds, differs or not tried; docs/doctor.md explains them.

Exit codes:
  0    nothing differs
  1    something differs: the lines say what to do
  64   wrong usage or settings: nothing was sent

Examples:
  facematch doctor --config /etc/facematch.toml
  facematch doctor --oz-url https://oz.example --oz-login me --oz-password-file /run/secrets/oz \\
      --rehearse --report oz-report.json
  facematch doctor --config /etc/facematch.toml --reference customers/17.jpg";

/// The beginnings of the settings that `doctor` uses, which its help shows.
const USED: [&str; 4] = ["config", "oz-", "library", "match-timeout"];

/// The settings of `serve` that were given as flags, unchecked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OzFlags {
    /// The name and the text of each setting.
    pub flags: Flags,
}

/// Arguments of `doctor`.
#[derive(Debug, Clone, Args)]
pub struct DoctorArgs {
    /// The settings of `serve`.
    #[command(flatten)]
    pub settings: OzFlags,
    /// A folder at Oz to read; nothing in it changes
    #[arg(long, value_name = "ID", value_parser = folder)]
    pub folder: Option<Uuid>,
    /// Make a folder at Oz and run a whole match in it: the folder stays there with 3 media and 3
    /// analyses, which Oz may bill
    #[arg(long)]
    pub rehearse: bool,
    /// A liveness video for the rehearsal, such as an MP4 or a ZIP of frames; without it, the
    /// rehearsal brings pictures of its own, which a real Oz may decline
    #[arg(long, value_name = "FILE", requires = "rehearse", requires = "photo")]
    pub video: Option<PathBuf>,
    /// A JPEG or PNG of the same person
    #[arg(long, value_name = "FILE", requires = "rehearse", requires = "video")]
    pub photo: Option<PathBuf>,
    /// The key of a photo to read from the photo library; neither of them is shown
    #[arg(long, value_name = "KEY", value_parser = given)]
    pub reference: Option<String>,
    /// Where to write the shapes of Oz's answers for the developers: keys, types and Oz's words,
    /// no values
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// Lines for people, or one JSON object a line for programs
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = Output::Text)]
    pub output: Output,
}

impl Args for OzFlags {
    fn augment_args(command: Command) -> Command {
        let is_used = |name: &str| USED.iter().any(|beginning| name.starts_with(beginning));
        TABLE.iter().fold(command, |command, about| {
            command.arg(serve::flag(about).hide(!is_used(about.name)))
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for OzFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        Ok(Self { flags: serve::given(TABLE.iter().copied(), matches) })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        self.flags.extend(serve::given(TABLE.iter().copied(), matches));
        Ok(())
    }
}

fn folder(text: &str) -> Result<Uuid, &'static str> {
    Uuid::try_parse(text).map_err(|_| "must be a UUID: Oz's id of a folder")
}
