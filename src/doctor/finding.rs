//! A finding: one assumption about Oz or the photo library that was tried, or could not be, and how that ended.

use std::fmt;

use serde::Serialize;

/// How an assumption fared.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum FindingVerdict {
    /// The installation is as FaceMatch assumes.
    #[serde(rename = "holds")]
    Holds,
    /// It is not.
    #[serde(rename = "differs")]
    Differs,
    /// It could not be tried.
    #[serde(rename = "not tried")]
    NotTried,
}

impl FindingVerdict {
    /// The words that a line begins with.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Holds => "holds",
            Self::Differs => "differs",
            Self::NotTried => "not tried",
        }
    }
}

/// What was tried, by the word that lines and `docs/doctor.md` have for it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(into = "&'static str")]
pub enum DoctorStep {
    /// The host's name has an address.
    Name,
    /// The host accepts connections.
    Connection,
    /// The host's certificate is accepted.
    Tls,
    /// Oz answers, and no other server.
    Oz,
    /// Oz's version.
    Version,
    /// Oz's clock agrees with this machine's.
    Clock,
    /// The login or the token is accepted.
    SignIn,
    /// The token is read from the header that FaceMatch uses.
    TokenHeader,
    /// A refusal is an error object of Oz.
    Refusals,
    /// Folders may be read.
    Reading,
    /// Paths are spelt as FaceMatch spells them.
    Paths,
    /// A session can be refreshed.
    Refresh,
    /// An account may have several sessions.
    Sessions,
    /// Each use prolongs a session.
    Extension,
    /// A folder can be read.
    Folder,
    /// The folder has liveness media.
    LivenessMedia,
    /// The folder takes another photo.
    Room,
    /// Media have the members that FaceMatch needs.
    Media,
    /// Analyses have the members that FaceMatch needs.
    Analyses,
    /// What only `--rehearse` can show.
    Rehearsal,
    /// All that an earlier finding leaves no way to try.
    Rest,
    /// Folders may be made, and photos added.
    Uploading,
    /// The metadata of a photo comes back.
    MetaData,
    /// Times in answers are seconds by Oz's clock.
    Times,
    /// Biometry may be started.
    Biometry,
    /// Quality may be started.
    Quality,
    /// An analysis comes to an end that FaceMatch can read.
    Verdict,
    /// A liveness check comes to an end that FaceMatch can read.
    Liveness,
    /// Only the named media are compared.
    SourceMedia,
    /// A lost start of an analysis can be found.
    StartedAnalyses,
    /// What the rehearsal leaves at Oz.
    Leftovers,
    /// The photo library can be reached, and is set up as needed.
    Library,
    /// The photo library has a photo for a key.
    Reference,
}

impl DoctorStep {
    /// All subjects, in the order of `docs/doctor.md`.
    pub const ALL: [Self; 33] = [
        Self::Name,
        Self::Connection,
        Self::Tls,
        Self::Oz,
        Self::Version,
        Self::Clock,
        Self::SignIn,
        Self::TokenHeader,
        Self::Refusals,
        Self::Reading,
        Self::Paths,
        Self::Refresh,
        Self::Sessions,
        Self::Extension,
        Self::Folder,
        Self::LivenessMedia,
        Self::Room,
        Self::Media,
        Self::Analyses,
        Self::Rehearsal,
        Self::Uploading,
        Self::MetaData,
        Self::Times,
        Self::Biometry,
        Self::Quality,
        Self::Verdict,
        Self::Liveness,
        Self::SourceMedia,
        Self::StartedAnalyses,
        Self::Leftovers,
        Self::Rest,
        Self::Library,
        Self::Reference,
    ];

    /// Its word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Connection => "connection",
            Self::Tls => "TLS",
            Self::Oz => "Oz",
            Self::Version => "version",
            Self::Clock => "clock",
            Self::SignIn => "sign-in",
            Self::TokenHeader => "token header",
            Self::Refusals => "refusals",
            Self::Reading => "right to read",
            Self::Paths => "paths",
            Self::Refresh => "session refresh",
            Self::Sessions => "several sessions",
            Self::Extension => "session extension",
            Self::Folder => "folder",
            Self::LivenessMedia => "liveness media",
            Self::Room => "room for a photo",
            Self::Media => "media",
            Self::Analyses => "analyses",
            Self::Rehearsal => "rehearsal",
            Self::Rest => "the rest",
            Self::Uploading => "right to upload",
            Self::MetaData => "metadata of a photo",
            Self::Times => "times",
            Self::Biometry => "right to start biometry",
            Self::Quality => "right to start quality",
            Self::Verdict => "verdict",
            Self::Liveness => "liveness",
            Self::SourceMedia => "source_media",
            Self::StartedAnalyses => "started analyses",
            Self::Leftovers => "left at Oz",
            Self::Library => "photo library",
            Self::Reference => "reference photo",
        }
    }
}

impl From<DoctorStep> for &'static str {
    fn from(subject: DoctorStep) -> Self {
        subject.as_str()
    }
}

/// One finding, which is one line.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Finding {
    /// How it fared.
    pub verdict: FindingVerdict,
    /// What was tried.
    pub step: DoctorStep,
    /// What was found, or why it was not tried.
    pub what: String,
    /// What to do; always there if it differs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
}

impl Finding {
    /// It is as FaceMatch assumes.
    pub fn holds(step: DoctorStep, what: impl Into<String>) -> Self {
        Self { verdict: FindingVerdict::Holds, step, what: what.into(), advice: None }
    }

    /// It is not, and this is what to do.
    pub fn differs(step: DoctorStep, what: impl Into<String>, advice: impl Into<String>) -> Self {
        let advice = Some(advice.into());
        Self { verdict: FindingVerdict::Differs, step, what: what.into(), advice }
    }

    /// It was not tried, and this is why.
    pub fn not_tried(step: DoctorStep, why: impl Into<String>) -> Self {
        Self { verdict: FindingVerdict::NotTried, step, what: why.into(), advice: None }
    }

    /// The same, with what to do.
    pub fn advised(self, advice: impl Into<String>) -> Self {
        Self { advice: Some(advice.into()), ..self }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { verdict, step, what, advice } = self;
        write!(f, "{:<9}  {}: {what}", verdict.as_str(), step.as_str())?;
        match advice {
            Some(advice) => write!(f, ". What to do: {advice}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_begins_with_how_it_fared_and_ends_with_what_to_do() {
        let finding = Finding::differs(DoctorStep::Clock, "an hour ahead", "set it");
        assert_eq!(finding.to_string(), "differs    clock: an hour ahead. What to do: set it");
        let finding = Finding::not_tried(DoctorStep::Version, "Oz has none");
        assert_eq!(finding.to_string(), "not tried  version: Oz has none");
        let json = serde_json::to_string(&finding).unwrap();
        assert_eq!(json, r#"{"verdict":"not tried","step":"version","what":"Oz has none"}"#);
    }

    #[test]
    fn each_subject_has_a_word_of_its_own() {
        let words: std::collections::BTreeSet<_> = DoctorStep::ALL.map(DoctorStep::as_str).into();
        assert_eq!(words.len(), DoctorStep::ALL.len());
    }
}
