//! The runner's commands. An unknown key is refused, so that no scenario passes by being ignored.

use std::{collections::BTreeMap, path::PathBuf};

use serde::Deserialize;

/// A command.
#[derive(Debug, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
pub enum RunnerCommand {
    /// Makes a client.
    Open { client: String, target: String, options: Option<Box<OpenOptions>> },
    /// Starts a call.
    Call(Box<CallWish>),
    /// Continues a paused call.
    Go { call: String },
    /// Cancels a call.
    Cancel { call: String },
    /// Closes a client.
    Close { client: String },
}

/// The options of a client, as far as the command line has them.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OpenOptions {
    pub tls: Option<TlsOptions>,
    pub token: Option<String>,
    pub token_file: Option<PathBuf>,
    pub backoff_first_ms: Option<u64>,
    pub backoff_longest_ms: Option<u64>,
    pub give_up_after_ms: Option<u64>,
    pub give_up_tries: Option<u32>,
    pub silence_least_ms: Option<u64>,
    pub silence_unknown_ms: Option<u64>,
    pub call_timeout_ms: Option<u64>,
}

/// The files of TLS.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsOptions {
    pub ca_file: Option<PathBuf>,
    pub cert_file: Option<PathBuf>,
    pub key_file: Option<PathBuf>,
}

/// A call.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CallWish {
    pub call: String,
    pub client: String,
    pub deadline_ms: Option<u64>,
    pub verb: VerbName,
    pub request: Option<MatchWish>,
    pub id: Option<IdWish>,
    pub after_sequence: Option<u64>,
    pub include_progress: Option<bool>,
    pub resume_token: Option<String>,
    pub folder_id: Option<String>,
    pub labels: Option<BTreeMap<String, String>>,
    pub states: Option<Vec<String>>,
    pub page_size: Option<i32>,
    pub on_expired: Option<OnExpired>,
    pub heartbeats: Option<bool>,
    #[serde(default)]
    pub pause_after: Vec<u64>,
    pub stop_after: Option<u64>,
}

impl CallWish {
    /// Whether the call follows all matches, and so has no end of its own.
    pub fn follows_all(&self) -> bool {
        match self.verb {
            VerbName::WatchAll => true,
            VerbName::Match
            | VerbName::Run
            | VerbName::Watch
            | VerbName::Create
            | VerbName::Get
            | VerbName::List
            | VerbName::Cancel
            | VerbName::Delete => false,
        }
    }
}

/// What a call does. All but `create` are commands.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VerbName {
    Match,
    Run,
    Watch,
    WatchAll,
    Create,
    Get,
    List,
    Cancel,
    Delete,
}

/// What an expired token does.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnExpired {
    Raise,
    Earliest,
    Now,
}

/// A match, by either id.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IdWish {
    MatchId(String),
    RequestId(String),
}

/// A match to run.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MatchWish {
    pub folder_id: String,
    pub photo: PhotoWish,
    pub kind: Option<KindWish>,
    pub request_id: Option<String>,
    pub timeout_ms: Option<u64>,
    pub liveness_policy: Option<PolicyWish>,
    #[serde(default)]
    pub liveness_media_ids: Vec<String>,
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    pub include_progress: Option<bool>,
}

/// A photo.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PhotoWish {
    pub path: Option<PathBuf>,
    /// How a library would be given the file. The command line reads it in any case.
    #[serde(rename = "as")]
    #[expect(dead_code, reason = "known, so that it is no unknown key")]
    pub form: Option<PhotoForm>,
    pub reference_key: Option<String>,
    pub folder_media_id: Option<String>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PhotoForm {
    Path,
    Bytes,
    Stream,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KindWish {
    Selfie,
    IdFront,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PolicyWish {
    Report,
    Require,
    Run,
}
