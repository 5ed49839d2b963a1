//! The script that the simulator runs: switches for the whole of Oz, rules for single requests.
//!
//! A script is a public interface: it has a version, and unknown keys are refused.
//! `docs/simulator.md` describes every key. Keys are added, never removed or given another meaning.

mod gateway;
mod outcome;
mod rule;
mod switches;
mod unknown;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub(in crate::simulator) use gateway::GATEWAY;
pub use gateway::Gateway;
pub use outcome::Outcome;
pub use rule::{Action, RequestMatch, Rule};
pub use switches::{AnalysisIdName, LoginCode, Switches, TooFewMedia, TrailingSlash, Unlicensed};
pub(in crate::simulator) use unknown::shortened;

/// The only version of the schema.
pub const VERSION: u32 = 1;
/// Rules that a script may hold: each request is matched against all of them.
pub const RULES_MAX: usize = 1_000;

/// A whole script.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Script {
    /// Always 1, the only version.
    pub version: u32,
    /// How the simulated Oz differs from the documented one.
    #[serde(default)]
    pub switches: Switches,
    /// The rules for single requests. Of those that apply, the first that sets a key wins.
    #[serde(default)]
    pub rules: Vec<Rule>,
}

impl Default for Script {
    fn default() -> Script {
        Script { version: VERSION, switches: Switches::default(), rules: Vec::new() }
    }
}

/// Why a script was refused, in one line.
#[derive(Debug, thiserror::Error)]
pub enum ScriptError {
    /// The file can't be opened or read.
    #[error("{}: {source}", path.display())]
    Unread {
        /// The script's file.
        path: PathBuf,
        /// The operating system's error.
        source: std::io::Error,
    },
    /// The file is not a valid script.
    #[error("{}: {message}", path.display())]
    Invalid {
        /// The script's file.
        path: PathBuf,
        /// What is wrong, with the line and the key.
        message: String,
    },
}

impl Script {
    /// Reads a script from a file: TOML if its name ends in `.toml`, else JSON.
    pub fn load(path: impl AsRef<Path>) -> Result<Script, ScriptError> {
        let path = path.as_ref();
        let text = std::fs::read_to_string(path)
            .map_err(|source| ScriptError::Unread { path: path.to_owned(), source })?;
        let is_toml = path.extension().is_some_and(|it| it.eq_ignore_ascii_case("toml"));
        let script = if is_toml { Script::from_toml(&text) } else { Script::from_json(&text) };
        script.map_err(|message| ScriptError::Invalid { path: path.to_owned(), message })
    }

    /// Reads a script from JSON; the error is one line.
    pub fn from_json(text: &str) -> Result<Script, String> {
        let script: Script = serde_json::from_str(text).map_err(|error| match error.line() {
            0 => shortened(&error.to_string()),
            line => at_line(text, line, &shortened(&without_position(&error.to_string()))),
        })?;
        script.checked()
    }

    /// Reads a script from TOML; the error is one line.
    pub fn from_toml(text: &str) -> Result<Script, String> {
        let script: Script = toml::from_str(text).map_err(|error| {
            let message = shortened(&error.message().replace('\n', ", "));
            match error.span() {
                Some(span) => at_line(text, line_of(text, span.start), &message),
                None => message,
            }
        })?;
        script.checked()
    }

    /// Checks the ranges and limits that types can't express; the error names the key.
    pub fn checked(self) -> Result<Script, String> {
        if self.version != VERSION {
            return Err(format!("version: {} is unknown, only {VERSION} exists", self.version));
        }
        if self.rules.len() > RULES_MAX {
            return Err(format!("rules: more than {RULES_MAX}"));
        }
        self.switches.check()?;
        for (index, rule) in self.rules.iter().enumerate() {
            rule.check().map_err(|message| format!("rules[{index}].{message}"))?;
        }
        Ok(self)
    }
}

fn at_line(text: &str, line: usize, message: &str) -> String {
    let source = text.lines().nth(line.saturating_sub(1)).unwrap_or_default().trim();
    let source: String = source.chars().take(LINE_SHOWN_MAX).collect();
    format!("line {line}, `{source}`: {message}")
}

/// Characters of a faulty line that an error shows: enough to find the key.
const LINE_SHOWN_MAX: usize = 60;

fn line_of(text: &str, offset: usize) -> usize {
    1 + text.bytes().take(offset).filter(|byte| *byte == b'\n').count()
}

fn without_position(message: &str) -> String {
    message.rsplit_once(" at line ").map_or(message, |(message, _)| message).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulator::Endpoint;

    const TOML: &str = r#"
version = 1
[switches]
session_ttl_seconds = 60
[[rules]]
match = { endpoint = "add_media", nth = 2 }
then = { drop_after_acting = true }
"#;

    #[test]
    fn toml_and_json_say_the_same() {
        let toml = Script::from_toml(TOML).expect("the script is valid");
        let json = serde_json::to_string(&toml).expect("a script serialises");
        assert_eq!(Script::from_json(&json), Ok(toml.clone()));
        assert_eq!(toml.rules[0].when.endpoint, Some(Endpoint::AddMedia));
        assert_eq!(toml.switches.session_ttl_seconds, 60);
    }

    #[test]
    fn unknown_keys_are_refused_by_name() {
        for (text, key) in [
            (r#"{"version":1,"swiches":{}}"#, "swiches"),
            (r#"{"version":1,"switches":{"ttl":1}}"#, "ttl"),
            (r#"{"version":1,"rules":[{"match":{"when":1},"then":{}}]}"#, "when"),
            (r#"{"version":1,"rules":[{"match":{},"then":{"sleep":1}}]}"#, "sleep"),
        ] {
            let message = Script::from_json(text).expect_err("the key is unknown");
            assert!(message.contains(key) && !message.contains('\n'), "{message}");
        }
        let message = Script::from_toml("version = 1\nswiches = 3\n").expect_err("unknown");
        assert!(message.starts_with("line 2") && message.contains("swiches"), "{message}");
    }

    #[test]
    fn an_unknown_name_is_reported_with_the_nearest_known_one() {
        for (text, expected) in [
            (r#"{"version":1,"swiches":{}}"#, "unknown key `swiches`; did you mean `switches`?"),
            (
                r#"{"version":1,"switches":{"procesing_ms":1}}"#,
                "unknown key `procesing_ms`; did you mean `processing_ms`?",
            ),
            (
                r#"{"version":1,"switches":{"ttl":1}}"#,
                "unknown key `ttl`: none of the 54 in docs/simulator.md",
            ),
            (
                r#"{"version":1,"odd":1}"#,
                "unknown key `odd`, expected one of `version`, `switches`, `rules`",
            ),
            (
                r#"{"version":1,"rules":[{"match":{"endpoint":"ad_media"},"then":{}}]}"#,
                "unknown word `ad_media`; did you mean `add_media`?",
            ),
        ] {
            let message = Script::from_json(text).expect_err("the name is unknown");
            assert!(message.ends_with(expected), "{message}");
        }
        let toml = "version = 1\n[switches]\nprocesing_ms = 3\n";
        let message = Script::from_toml(toml).expect_err("the key is unknown");
        assert!(message.ends_with("did you mean `processing_ms`?"), "{message}");
    }

    #[test]
    fn values_out_of_range_name_their_key() {
        let rule = r#"{"version":1,"rules":[{"then":{"status":42}}]}"#;
        let message = Script::from_json(rule).expect_err("42 is no status");
        assert!(message.contains("rules[0].then.status"), "{message}");
        let message = Script::from_json(r#"{"version":2}"#).expect_err("version 2 is unknown");
        assert!(message.contains("version"), "{message}");
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = Script::load("/nowhere/script.toml").expect_err("there is no such file");
        assert!(error.to_string().starts_with("/nowhere/script.toml: "));
    }
}
