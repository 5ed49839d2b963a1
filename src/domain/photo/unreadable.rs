//! Why bytes are not a photo that can be matched, as a sentence for their sender.
//!
//! It holds no byte of what was sent.

use super::{Format, PIXELS_MAX, SIDE_PIXELS_MAX};

/// Why bytes are not a photo that can be matched. Its text completes the sentence "the photo …".
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Unreadable {
    /// There is nothing.
    #[error("is empty; a JPEG or PNG is needed")]
    Empty,
    /// They are known to be something else.
    #[error("is neither a JPEG nor a PNG but {what}; {remedy}")]
    Other {
        /// What they are, with its article.
        what: &'static str,
        /// What the sender should do.
        remedy: &'static str,
    },
    /// Neither magic number, nor that of anything else known.
    #[error("is neither a JPEG nor a PNG")]
    UnknownFormat,
    /// The bytes end before the picture does.
    #[error("is cut off: {0}; send the whole file")]
    CutOff(&'static str),
    /// No decoder takes bytes that break their format like this.
    #[error("is not a sound {format}: {why}; re-save it as JPEG or PNG")]
    Unsound {
        /// What they start as.
        format: Format,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The format allows it, and the common decoders don't take it.
    #[error("is a {format} of a kind that is not supported: {why}; re-save it as JPEG or PNG")]
    Unsupported {
        /// What they start as.
        format: Format,
        /// What is rare about it.
        why: &'static str,
    },
    /// Larger than any camera makes.
    #[error(
        "has {width} x {height} pixels; at most {} a side and {} million in all are taken",
        thousands(SIDE_PIXELS_MAX),
        PIXELS_MAX / 1_000_000
    )]
    TooManyPixels {
        /// Pixels across.
        width: u32,
        /// Pixels down.
        height: u32,
    },
}

fn thousands(number: u32) -> String {
    format!("{},{:03}", number / 1000, number % 1000)
}
