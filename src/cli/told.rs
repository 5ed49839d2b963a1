//! Reports errors of `serve`, `sim`, `testserver` and `demo`: as a line for people or, if the log is
//! JSON, as a line of JSON like all others.

use std::ffi::OsString;

use crate::config::{ALWAYS_LOGGED, Environment, LogFormat};

/// Reports errors in the log's format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reporter(LogFormat);

impl Reporter {
    /// A reporter for a log of this format.
    pub const fn with(format: LogFormat) -> Self {
        Self(format)
    }

    /// Guesses the log format from arguments that can't be parsed.
    pub fn guess(args: &[OsString], environment: &Environment) -> Self {
        let is = |name: &str| args.get(1).is_some_and(|command| command == name);
        let by_flag = args.windows(2).any(|pair| pair[0] == "--log" && pair[1] == "json")
            || args.iter().any(|arg| arg == "--log=json");
        let is_json = match (is("serve"), is("sim") || is("testserver")) {
            (true, _) => by_flag || environment.has("FACEMATCH_LOG", "json"),
            (false, true) => by_flag,
            (false, false) => false,
        };
        Self(if is_json { LogFormat::Json } else { LogFormat::Text })
    }

    /// Whether errors are reported as JSON.
    pub fn in_json(self) -> bool {
        self.0 == LogFormat::Json
    }

    /// Reports why a part can't start, or why it failed.
    pub fn error(self, text: &str) {
        // With an invalid log level, the log could not be started.
        let has_log = tracing::dispatcher::has_been_set();
        match self.0 {
            LogFormat::Json if has_log => tracing::error!(target: ALWAYS_LOGGED, "{text}"),
            LogFormat::Json | LogFormat::Text => super::tell(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_guessed_from_the_flags_of_serve_and_sim_and_the_environment_of_serve() {
        let guess = |line: &str, variables: &[(&str, &str)]| {
            let args: Vec<OsString> = line.split(' ').map(Into::into).collect();
            Reporter::guess(&args, &variables.iter().copied().collect()).in_json()
        };
        let json = [("FACEMATCH_LOG", "json")];
        assert!(guess("facematch serve --log json --nonsense", &[]));
        assert!(guess("facematch serve --log=json --nonsense", &[]));
        assert!(guess("facematch serve --nonsense", &json));
        assert!(guess("facematch testserver --log json --nonsense", &[]));
        assert!(!guess("facematch testserver --nonsense", &json));
        assert!(
            guess("facematch sim --log json --nonsense", &[]) && !guess("facematch sim", &json)
        );
        assert!(!guess("facematch serve --log text", &[]));
        assert!(!guess("facematch get --log json", &[]));
        assert!(!guess("facematch list", &json));
        assert!(!guess("facematch", &[]));
    }
}
