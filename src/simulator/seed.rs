//! Folders that a test prepares, and the source of randomness for ids, tokens and chances.

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use uuid::Uuid;

/// A folder as an SDK would leave it.
#[derive(Clone, Debug, Default)]
pub struct FolderSeed {
    /// The captured media.
    pub media: Vec<MediaSeed>,
    /// A liveness check of all these media but documents; `None` for a folder without analyses.
    pub liveness: Option<LivenessSeed>,
}

/// One file of a folder.
#[derive(Clone, Debug)]
pub struct MediaSeed {
    /// The contents of the file.
    pub bytes: Bytes,
    /// The name that the SDK gives it.
    pub file_name: String,
    /// The MIME type. It decides whether the file is an image, a video or a shot set.
    pub content_type: String,
    /// Oz's tags.
    pub tags: Vec<String>,
}

/// How a liveness check has ended, or will end.
#[derive(Clone, Debug)]
pub struct LivenessSeed {
    /// SUCCESS or DECLINED, or any other word.
    pub resolution: String,
    /// Oz's confidence that the media are a spoofing attack, 0 to 1.
    pub confidence_spoofing: f64,
    /// Milliseconds from the creation of the folder until the check ends; 0 for a finished one.
    pub processing_ms: u64,
}

impl Default for LivenessSeed {
    fn default() -> LivenessSeed {
        LivenessSeed {
            resolution: "SUCCESS".to_owned(),
            confidence_spoofing: 0.02,
            processing_ms: 0,
        }
    }
}

/// The source of ids, tokens, jitter and chances.
#[derive(Debug)]
pub struct Random(StdRng);

impl Random {
    /// Two with the same seed draw the same values; without a seed, no two are alike.
    pub fn new(seed: Option<u64>) -> Random {
        Random(StdRng::seed_from_u64(seed.unwrap_or_else(|| rand::rng().random())))
    }

    /// A version 4 UUID.
    pub fn id(&mut self) -> Uuid {
        uuid::Builder::from_random_bytes(self.0.random()).into_uuid()
    }

    /// 128 hexadecimal digits, as Oz's tokens have.
    pub fn token(&mut self) -> String {
        use std::fmt::Write;
        let bytes: [u8; 64] = self.0.random();
        bytes.iter().fold(String::with_capacity(128), |mut text, byte| {
            write!(text, "{byte:02x}").expect("a string takes every byte");
            text
        })
    }

    /// A number below `end`; 0 if `end` is 0.
    pub fn below(&mut self, end: u64) -> u64 {
        if end == 0 { 0 } else { self.0.random_range(0..end) }
    }

    /// True with this probability.
    pub fn chance(&mut self, probability: f64) -> bool {
        self.0.random::<f64>() < probability
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_seeds_draw_equal_values_and_no_seed_does_not() {
        assert_eq!(Random::new(Some(7)).id(), Random::new(Some(7)).id());
        assert_ne!(Random::new(None).token(), Random::new(None).token());
    }
}
