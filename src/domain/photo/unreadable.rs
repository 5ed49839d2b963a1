//! Why bytes are not a photo that can be matched, as a sentence for the caller.
//!
//! It deliberately holds none of the caller's bytes.

use super::{Format, PIXELS_MAX, SIDE_PIXELS_MAX};

/// Why bytes are not a photo that can be matched. Its text completes the sentence "the photo …".
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Unreadable {
    /// There are no bytes.
    #[error("is empty; a JPEG or PNG is needed")]
    Empty,
    /// The bytes are recognised as another format.
    #[error("is neither a JPEG nor a PNG but {what}; {remedy}")]
    Other {
        /// The name of that format, with its article.
        what: &'static str,
        /// What the sender should do.
        remedy: &'static str,
    },
    /// Neither a JPEG's or PNG's magic number, nor that of another known format.
    #[error("is neither a JPEG nor a PNG")]
    UnknownFormat,
    /// The bytes end before the picture does.
    #[error("is cut off: {0}; send the whole file")]
    CutOff(&'static str),
    /// The bytes break their format in a way that no decoder accepts.
    #[error("is not a sound {format}: {why}; re-save it as JPEG or PNG")]
    Unsound {
        /// The format that the bytes start as.
        format: Format,
        /// What is wrong with the bytes.
        why: &'static str,
    },
    /// The format allows it, but the common decoders don't accept it.
    #[error("is a {format} of a kind that is not supported: {why}; re-save it as JPEG or PNG")]
    Unsupported {
        /// The format that the bytes start as.
        format: Format,
        /// The feature that is not supported.
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
