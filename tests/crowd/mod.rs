//! Fills a store with very many matches, as the first version wrote them. The store itself
//! generates them, a million within seconds.
//!
//! It deliberately knows nothing of the journal but its schema. The crate's unit tests, `tests/it`
//! and the benchmark mount it as `crate::crowd`.

#![allow(dead_code, reason = "no crate that mounts it uses everything")]

/// A range of numbered matches, oldest first.
#[derive(Clone, Copy, Debug)]
pub struct Crowd {
    /// The caller that the matches belong to.
    pub caller: &'static str,
    /// The number of the first match.
    pub first: u64,
    /// How many matches there are.
    pub count: u64,
    /// When match 0 was created, in milliseconds since 1970.
    pub start_ms: u64,
    /// How many milliseconds later each further match was created.
    pub step_ms: u64,
}

/// The state of a match.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stands {
    Processing,
    Failed,
    Finished,
}

/// How many matches each folder has.
pub const FOLDER_OF: u64 = 20;

/// How many matches the tests of lists make: `FACEMATCH_LIST_MATCHES` if it is set, else `usual`.
#[expect(clippy::disallowed_methods, reason = "the environment sets the size of a test")]
pub fn count(usual: u64) -> u64 {
    let told = std::env::var("FACEMATCH_LIST_MATCHES");
    told.map_or(usual, |told| told.parse().expect("FACEMATCH_LIST_MATCHES is a number"))
}

const ACCEPTED: &str = r#"{"accepted":{"caller":"{caller}","folder_id":"@folder@","photo":{"folder_media":"p"},"kind":"selfie","timeout":{"micros":1200000000,"named":false},"liveness_policy":"report","labels":{"rank":"@rank@","shop":"@shop@"}}}"#;
const UPLOADED: &str = r#"{"photo_uploaded":{"photo_media_id":"p","liveness_media":["v"]}}"#;
const STARTED: &str = r#"{"analysis_started":{"analysis_id":"a"}}"#;
const FINISHED: &str = r#"{"finished":{"result":{"resolution":"SUCCESS","min_confidence":0.5,"max_confidence":0.75},"keep_micros":{keep}}}"#;
const FAILED: &str = r#"{"failed":{"error":{"reason":"OZ_FOLDER_NOT_FOUND","message":"Oz knows no such folder","retryable":false},"keep_micros":{keep}}}"#;

/// Ten years: no match expires meanwhile.
const KEEP_MICROS: u64 = 315_360_000_000_000;

/// What follows from a match's number.
impl Crowd {
    /// The number after the last.
    pub fn end(&self) -> u64 {
        self.first + self.count
    }

    /// The bits of the match's id.
    pub fn id(&self, number: u64) -> u128 {
        let millis = u128::from(self.start_ms + number * self.step_ms);
        millis << 80 | 0x7000_u128 << 64 | 0x8_u128 << 60 | u128::from(number)
    }

    /// When the match was created, in microseconds since 1970.
    pub fn create_micros(&self, number: u64) -> u64 {
        (self.start_ms + number * self.step_ms) * 1000
    }

    /// The bits of the folder's id.
    pub fn folder(number: u64) -> u128 {
        u128::from(number / FOLDER_OF)
    }

    /// The value of the label `shop`: each value is on a third of the matches.
    pub fn shop(number: u64) -> String {
        format!("s{}", number % 3)
    }

    /// The value of the label `rank`: one match in 5,000 is a `vip`.
    pub fn rank(number: u64) -> &'static str {
        if number % 5000 == 5 { "vip" } else { "plain" }
    }

    /// The match's state: nearly all matches have finished, and none is cancelled.
    pub fn stands(number: u64) -> Stands {
        match number % 4000 {
            11 => Stands::Processing,
            7 | 2007 => Stands::Failed,
            _ => Stands::Finished,
        }
    }
}

/// The SQL that makes the crowd.
impl Crowd {
    /// For a SQLite file that is empty but for its schema and other crowds.
    pub fn sqlite(&self) -> String {
        self.filled(include_str!("sqlite.sql"))
    }

    /// For a PostgreSQL database that holds at most other crowds.
    pub fn postgres(&self) -> String {
        self.filled(include_str!("postgres.sql"))
    }

    fn filled(&self, sql: &str) -> String {
        sql.replace("{accepted}", ACCEPTED)
            .replace("{uploaded}", UPLOADED)
            .replace("{started}", STARTED)
            .replace("{finished}", FINISHED)
            .replace("{failed}", FAILED)
            .replace("{keep}", &KEEP_MICROS.to_string())
            .replace("{caller}", self.caller)
            .replace("{first}", &self.first.to_string())
            .replace("{last}", &(self.end() - 1).to_string())
            .replace("{start}", &self.start_ms.to_string())
            .replace("{step}", &self.step_ms.to_string())
            .replace("{folder_of}", &FOLDER_OF.to_string())
    }
}
