//! The commands that call the service, and their arguments.

use std::{path::PathBuf, time::Duration};

use clap::{
    ArgGroup, Args, CommandFactory, Subcommand, ValueEnum,
    error::{Error, ErrorKind},
};
use prost_types::Timestamp;

use crate::{
    cli::args::{
        Cli,
        output::given,
        server::{Common, TimeoutArg},
        value::{duration, label, limit, time},
    },
    pb::{LivenessPolicy, MatchState, PhotoKind},
};

const MATCH_EXAMPLES: &str = "\
Examples:
  facematch match --folder 0b6f… --photo anna.jpg
  facematch match --folder 0b6f… --photo passport.png --kind id-front --liveness-policy require
  facematch match --folder 0b6f… --reference customers/17.jpg
  facematch match --folder 0b6f… --folder-media 77c1… --output json
  facematch match --folder 0b6f… --photo anna.jpg --request-id order-17 --label branch=riga
  camera | facematch match --folder 0b6f… --photo -

If its connection breaks or the server shuts down, the command continues by itself. Ctrl-C ends the
command; a match that was accepted goes on.
A folder, a medium and a match are named by their UUIDs.";

const WATCH_EXAMPLES: &str = "\
Examples:
  facematch watch 0193…
  facematch watch --request-id order-17 --after 2
  facematch watch --all --output json
  facematch watch --all --resume-token earliest --label branch=riga";

const LIST_EXAMPLES: &str = "\
Examples:
  facematch list
  facematch list --state processing --state uploaded
  facematch list --folder 0b6f… --all --output json
  facematch list --created-after 2027-01-15T00:00:00Z --created-before 2027-01-16T00:00:00Z

With --output json each line is a match. If there are more matches, a last line gives the token
for --page-token: {\"next_page_token\":\"…\"}";

/// The commands that call the service.
#[derive(Debug, Subcommand)]
pub enum CallCommand {
    /// Match a photo against a folder and follow the match to its verdict
    #[command(after_help = MATCH_EXAMPLES)]
    Match(MatchArgs),
    /// Follow a match, or all of them
    #[command(after_help = WATCH_EXAMPLES)]
    Watch(WatchArgs),
    /// Tell where a match stands
    Get(OneArgs),
    /// List matches, newest first
    #[command(after_help = LIST_EXAMPLES)]
    List(ListArgs),
    /// End a match without a verdict
    Cancel(OneArgs),
    /// Erase a match that has ended
    Delete(OneArgs),
}

impl CallCommand {
    /// Refuses a label that is given twice, because either value could be meant.
    pub fn check(&self) -> Result<(), Error> {
        match repeated(self.labels()) {
            None => Ok(()),
            Some(key) => {
                let message = format!("--label {key}=… is given more than once");
                Err(Cli::command().error(ErrorKind::ArgumentConflict, message))
            }
        }
    }

    fn labels(&self) -> &[(String, String)] {
        match self {
            Self::Match(args) => &args.labels,
            Self::Watch(args) => &args.labels,
            Self::List(args) => &args.labels,
            Self::Get(_) | Self::Cancel(_) | Self::Delete(_) => &[],
        }
    }
}

/// The first key that is given twice.
fn repeated(labels: &[(String, String)]) -> Option<&str> {
    let mut keys = labels.iter().map(|(key, _)| key.as_str()).enumerate();
    keys.find(|(n, key)| labels[..*n].iter().any(|(earlier, _)| earlier == key)).map(|(_, key)| key)
}

/// How long to retry, and how much to print.
#[derive(Debug, Clone, Args)]
pub struct RetryArgs {
    /// How long to retry after a connection broke or a server shut down, without a new update in
    /// between; if the first connection fails, the command doesn't retry [default: 5m, and for ever
    /// with --all]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub give_up_after: Option<Duration>,
    /// Print progress and heartbeats too; on a terminal the live line shows them anyway
    #[arg(long)]
    pub progress: bool,
}

/// Arguments of `match`.
#[derive(Debug, Clone, Args)]
#[command(group = ArgGroup::new("source").required(true))]
pub struct MatchArgs {
    /// The Oz folder with the person's liveness video
    #[arg(long, value_name = "ID", value_parser = given)]
    pub folder: String,
    /// The reference photo: a JPEG or PNG of at most 10 MiB; - reads it from standard input
    #[arg(long, value_name = "FILE", group = "source")]
    pub photo: Option<PathBuf>,
    /// The key of a photo in the operator's photo library, from which the server reads it, instead
    /// of a file
    #[arg(long, value_name = "KEY", group = "source", value_parser = given)]
    pub reference: Option<String>,
    /// A photo that the folder already holds, instead of a file
    #[arg(long, value_name = "ID", group = "source", value_parser = given)]
    pub folder_media: Option<String>,
    /// What the photo shows
    #[arg(long, value_enum, default_value_t = KindArg::Selfie)]
    pub kind: KindArg,
    /// Your own id of the match, which makes the command safe to repeat; without one, a UUID
    #[arg(long, value_name = "ID", value_parser = given)]
    pub request_id: Option<String>,
    /// How long the match may take, and the command with it; without it, the server decides
    #[arg(long, value_name = "DURATION", value_parser = limit)]
    pub timeout: Option<Duration>,
    /// A label to find the match by; may be repeated
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = label)]
    pub labels: Vec<(String, String)>,
    /// What the folder's liveness analysis has to do with the match
    #[arg(long, value_name = "POLICY", value_enum, default_value_t = PolicyArg::Report)]
    pub liveness_policy: PolicyArg,
    /// Compare with this medium instead of the newest liveness video; may be repeated
    #[arg(long = "liveness-media", value_name = "ID", value_parser = given)]
    pub liveness_media: Vec<String>,
    #[command(flatten)]
    pub patience: RetryArgs,
    #[command(flatten)]
    pub common: Common,
}

/// What a reference photo shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum KindArg {
    /// A plain photo of a face
    Selfie,
    /// The front of an identity document
    IdFront,
}

impl From<KindArg> for PhotoKind {
    fn from(kind: KindArg) -> Self {
        match kind {
            KindArg::Selfie => Self::Selfie,
            KindArg::IdFront => Self::IdFront,
        }
    }
}

/// What the folder's liveness analysis has to do with a match.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PolicyArg {
    /// Tell what the newest one says
    Report,
    /// It must say SUCCESS before the photo is sent
    Require,
    /// Start one together with the match
    Run,
}

impl From<PolicyArg> for LivenessPolicy {
    fn from(policy: PolicyArg) -> Self {
        match policy {
            PolicyArg::Report => Self::Report,
            PolicyArg::Require => Self::Require,
            PolicyArg::Run => Self::Run,
        }
    }
}

/// Names one match by either id.
#[derive(Debug, Clone, Args)]
#[group(required = true, multiple = false, args = ["match_id", "request_id"])]
pub struct Which {
    /// The server's id of the match
    #[arg(value_name = "ID", value_parser = given)]
    pub match_id: Option<String>,
    /// Your own id of the match
    #[arg(long, value_name = "ID", value_parser = given)]
    pub request_id: Option<String>,
}

/// Arguments of `get`, `cancel` and `delete`.
#[derive(Debug, Clone, Args)]
pub struct OneArgs {
    #[command(flatten)]
    pub which: Which,
    #[command(flatten)]
    pub limit: TimeoutArg,
    #[command(flatten)]
    pub common: Common,
}

/// Arguments of `watch`.
#[derive(Debug, Clone, Args)]
#[command(group = ArgGroup::new("what").required(true))]
pub struct WatchArgs {
    /// The server's id of the match
    #[arg(value_name = "ID", group = "what", value_parser = given)]
    pub match_id: Option<String>,
    /// Your own id of the match
    #[arg(long, value_name = "ID", group = "what", value_parser = given)]
    pub request_id: Option<String>,
    /// Follow all matches
    #[arg(long, group = "what")]
    pub all: bool,
    /// Only updates after this number of one match
    #[arg(long, value_name = "NUMBER", default_value_t = 0, conflicts_with = "all")]
    pub after: u64,
    /// With --all, where to resume: a token, or "earliest"; without one, from now on
    #[arg(long, value_name = "TOKEN", value_parser = given, conflicts_with_all = ["match_id", "request_id"])]
    pub resume_token: Option<String>,
    /// With --all, what to do if updates after the token are not kept any more
    #[arg(long, value_name = "WHAT", value_enum, default_value_t = ExpiredArg::Fail, conflicts_with_all = ["match_id", "request_id"])]
    pub on_expired: ExpiredArg,
    /// With --all, only matches of this Oz folder
    #[arg(long, value_name = "ID", value_parser = given, conflicts_with_all = ["match_id", "request_id"])]
    pub folder: Option<String>,
    /// With --all, only matches with this label; may be repeated
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = label, conflicts_with_all = ["match_id", "request_id"])]
    pub labels: Vec<(String, String)>,
    /// How long to follow; without it, until the match ends, or with --all until Ctrl-C
    #[arg(long, value_name = "DURATION", value_parser = limit)]
    pub timeout: Option<Duration>,
    #[command(flatten)]
    pub patience: RetryArgs,
    #[command(flatten)]
    pub common: Common,
}

/// What to do about a token whose updates are not kept any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ExpiredArg {
    /// End with the error
    Fail,
    /// Continue with the oldest update that is kept
    Earliest,
    /// Continue with what happens from now on
    Now,
}

impl ExpiredArg {
    /// The token to continue with.
    pub const fn token(self) -> Option<&'static str> {
        match self {
            Self::Fail => None,
            Self::Earliest => Some("earliest"),
            Self::Now => Some(""),
        }
    }
}

/// Arguments of `list`.
#[derive(Debug, Clone, Args)]
pub struct ListArgs {
    /// Only matches of this Oz folder
    #[arg(long, value_name = "ID", value_parser = given)]
    pub folder: Option<String>,
    /// Only matches with this label; may be repeated
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = label)]
    pub labels: Vec<(String, String)>,
    /// Only matches accepted at this time or later, such as 2027-01-15T08:00:00Z
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub created_after: Option<Timestamp>,
    /// Only matches accepted before this time
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub created_before: Option<Timestamp>,
    /// Only matches in this state; may be repeated
    #[arg(long = "state", value_name = "STATE", value_enum)]
    pub states: Vec<StateArg>,
    /// How many at once, up to 1,000; without it, 50
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    pub page_size: i32,
    /// Where to continue: the token that the previous page printed
    #[arg(long, value_name = "TOKEN", value_parser = given)]
    pub page_token: Option<String>,
    /// All pages instead of one
    #[arg(long)]
    pub all: bool,
    #[command(flatten)]
    pub limit: TimeoutArg,
    #[command(flatten)]
    pub common: Common,
}

/// The state of a match.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum StateArg {
    Accepted,
    Uploaded,
    Processing,
    Finished,
    Failed,
    Cancelled,
}

impl From<StateArg> for MatchState {
    fn from(state: StateArg) -> Self {
        match state {
            StateArg::Accepted => Self::Accepted,
            StateArg::Uploaded => Self::Uploaded,
            StateArg::Processing => Self::Processing,
            StateArg::Finished => Self::Finished,
            StateArg::Failed => Self::Failed,
            StateArg::Cancelled => Self::Cancelled,
        }
    }
}
