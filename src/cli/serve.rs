//! `facematch serve`: collects the settings that are given as flags.
//!
//! The flags come from the table in `config`, so that no setting is declared twice. It deliberately
//! doesn't start the service.

use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches, error::Error};

use crate::config::{self, About, Environment, Flags, Loaded, TABLE};

/// The settings that were given as flags, unchecked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServeArgs {
    /// The name and the text of each setting, in the order of the table.
    pub flags: Flags,
    /// Whether to check all that a start needs, and not to start.
    pub check: bool,
}

/// The flag that is no setting.
const CHECK: &str = "check";

impl ServeArgs {
    /// Loads all settings: these flags, the environment and the settings file.
    pub fn load(self, environment: Environment) -> Loaded {
        config::load(self.flags, environment)
    }
}

impl Args for ServeArgs {
    fn augment_args(command: Command) -> Command {
        let check = Arg::new(CHECK).long(CHECK).action(ArgAction::SetTrue).help(
            "Check all settings, files and the store, print what a start would do, and exit; \
             nothing is created, changed, claimed or bound, so the service may be running",
        );
        TABLE.iter().fold(command.arg(check), |command, about| command.arg(flag(about)))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for ServeArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let mut args = Self::default();
        args.update_from_arg_matches(matches)?;
        Ok(args)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        self.check = matches.get_flag(CHECK);
        self.flags.extend(given(TABLE.iter().copied(), matches));
        Ok(())
    }
}

/// The settings among these that were given as flags.
pub fn given(settings: impl Iterator<Item = &'static About>, matches: &ArgMatches) -> Flags {
    let of = |about: &'static About| {
        let (name, texts) = (about.name, matches.get_many::<String>(about.name));
        texts.into_iter().flatten().map(move |text| (name, text.clone()))
    };
    settings.flat_map(of).collect()
}

/// The flag of a setting. clap accepts repetitions, so that `config` reports them in one line, like
/// every other wrong setting.
pub fn flag(about: &'static About) -> Arg {
    let help = match about.default {
        Some(default) => format!("{} [default: {default}]", about.reason),
        None => about.reason.to_owned(),
    };
    let arg = Arg::new(about.name)
        .long(about.name)
        .value_name(about.value)
        .help(help)
        .action(ArgAction::Append);
    match about.is_switch() {
        true => arg.num_args(0..=1).require_equals(true).default_missing_value("true"),
        false => arg.allow_hyphen_values(true),
    }
}
