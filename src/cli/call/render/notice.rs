//! The notices of a command: messages that are neither its answer nor an error.

use std::time::Duration;

use crate::cli::call::{
    args::{Server, shown},
    render::failure::FailureDetails,
    resume::Acceptance,
};

/// A notice.
#[derive(Debug, Clone, Copy)]
pub enum Notice<'a> {
    /// A call broke off, and the command will retry it.
    Reconnecting {
        /// The cause, in a few words.
        cause: &'a str,
        /// The error with all its details.
        failure: &'a FailureDetails,
        /// The pause before the retry.
        pause: Duration,
    },
    /// The command ends before its match.
    MatchLeft {
        /// Whether the server has accepted the match.
        acceptance: Acceptance,
        /// The caller's own id of the match.
        request_id: &'a str,
        /// The server that runs the match.
        server: &'a Server,
    },
    /// The resume token from which a watch of all matches can continue.
    ResumeFrom(&'a str),
    /// The token of the next page of a list.
    ListGoesOn(&'a str),
    /// The photo is read from a terminal.
    ReadingPhoto,
    /// The match has ended with a result that this version doesn't know.
    UnknownVerdict,
    /// The updates after the resume token are not kept any more.
    UpdatesMissed,
}

impl Notice<'_> {
    /// The notice in one or more lines for people.
    pub fn text(&self) -> String {
        let sentence = self.sentence();
        match self {
            Self::MatchLeft { acceptance: Acceptance::No, .. }
            | Self::Reconnecting { .. }
            | Self::ReadingPhoto
            | Self::UnknownVerdict
            | Self::UpdatesMissed => sentence,
            Self::MatchLeft { request_id, server, .. } => {
                let (request_id, files) = (quoted(request_id), files(server));
                let which =
                    format!("--request-id {request_id} --server {}{files}", shown(&server.url));
                format!(
                    "{sentence}; to follow or to end it:\n  facematch watch {which}\n  facematch \
                     cancel {which}"
                )
            }
            Self::ResumeFrom(token) => format!("{sentence}: --resume-token {token}"),
            Self::ListGoesOn(token) => format!("{sentence}: --all, or --page-token {token}"),
        }
    }

    /// The notice in one sentence, without its variable parts.
    pub fn sentence(&self) -> String {
        match self {
            Self::Reconnecting { cause, .. } => format!("{cause}; trying again"),
            Self::MatchLeft { acceptance, .. } => match acceptance {
                Acceptance::No => "the match was not accepted",
                Acceptance::Perhaps => "the match may have been accepted, and then it goes on",
                Acceptance::Yes => "the match goes on",
            }
            .to_owned(),
            Self::ResumeFrom(_) => "to continue from here".to_owned(),
            Self::ListGoesOn(_) => "there are more matches".to_owned(),
            Self::ReadingPhoto => "reading the photo from the terminal; Ctrl-C leaves".to_owned(),
            Self::UnknownVerdict => {
                "the match has ended with a result that this version doesn't know; a newer \
                 facematch shows it"
                    .to_owned()
            }
            Self::UpdatesMissed => {
                "updates after the resume token are not kept any more, and are missed".to_owned()
            }
        }
    }
}

/// The flags with the files that a server needs.
fn files(server: &Server) -> String {
    let (cert, key) = server.identity.as_ref().map(|files| (&files.cert, &files.key)).unzip();
    let flags = [
        ("ca", server.ca_file.as_ref()),
        ("cert", cert),
        ("key", key),
        ("token", server.token_file.as_ref()),
    ];
    let given = flags.into_iter().filter_map(|(flag, path)| Some((flag, path?)));
    given
        .map(|(flag, path)| format!(" --{flag}-file {}", quoted(&path.to_string_lossy())))
        .collect()
}

/// The text quoted for a shell, if it needs quotes.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@%+=,".contains(c);
    match !word.is_empty() && word.chars().all(is_plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use tonic::transport::Uri;

    use super::*;
    use crate::cli::call::{args::IdentityFiles, render::json};

    fn server(url: &'static str, ca_file: Option<&str>) -> Server {
        Server {
            url: Uri::from_static(url),
            ca_file: ca_file.map(Into::into),
            identity: None,
            token_file: None,
        }
    }

    fn left(acceptance: Acceptance, request_id: &str) -> String {
        let server = server("http://127.0.0.1:50051", None);
        Notice::MatchLeft { acceptance, request_id, server: &server }.text()
    }

    #[test]
    fn only_an_accepted_match_is_said_to_go_on() {
        assert_eq!(left(Acceptance::No, "r"), "the match was not accepted");
        let perhaps = left(Acceptance::Perhaps, "r");
        assert!(perhaps.starts_with("the match may have been accepted, and then it goes on; to "));
        assert_eq!(
            left(Acceptance::Yes, "r"),
            "the match goes on; to follow or to end it:\n  facematch watch --request-id r --server \
             http://127.0.0.1:50051\n  facematch cancel --request-id r --server \
             http://127.0.0.1:50051"
        );
    }

    #[test]
    fn a_suggested_command_is_safe_to_paste() {
        assert!(left(Acceptance::Yes, "it's; rm -rf").contains(r"--request-id 'it'\''s; rm -rf' "));
    }

    #[test]
    fn programs_get_the_variable_parts_as_fields() {
        assert_eq!(
            json::notice(&Notice::ResumeFrom("t")),
            r#"{"notice":"to continue from here","resume_token":"t"}"#
        );
        let failure = FailureDetails::own("no such thing");
        let pause = Duration::from_millis(200);
        assert_eq!(
            json::notice(&Notice::Reconnecting { cause: "gone", failure: &failure, pause }),
            r#"{"notice":"gone; trying again","cause":{"code":"INVALID_ARGUMENT","message":"no such thing"},"retry_in":"0.200s"}"#
        );
        let (cert, key) = ("c.pem".into(), "k.pem".into());
        let with_files = Server {
            identity: Some(IdentityFiles { cert, key }),
            token_file: Some("t".into()),
            ..server("https://h", None)
        };
        assert_eq!(files(&with_files), " --cert-file c.pem --key-file k.pem --token-file t");
        let server = server("https://h", Some("my ca.pem"));
        let left =
            Notice::MatchLeft { acceptance: Acceptance::Yes, request_id: "r", server: &server };
        assert!(left.text().ends_with(" --server https://h --ca-file 'my ca.pem'"));
        assert_eq!(json::notice(&left), r#"{"notice":"the match goes on","request_id":"r"}"#);
        assert_eq!(
            json::notice(&Notice::ListGoesOn("p")),
            r#"{"notice":"there are more matches","next_page_token":"p"}"#
        );
    }
}
