//! Judges a photo by its bytes: its format, its size, and whether it is whole.
//!
//! It accepts what libjpeg-turbo and libpng decode. It deliberately decodes no pixels: headers and
//! end markers are enough to refuse what no decoder accepts, and a decoder should not be exposed to
//! untrusted bytes. `tests/python/test_photos.py` compares its judgement with the decoders'.

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod jpeg;
mod other;
mod png;
#[cfg(test)]
mod tests;
mod unreadable;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use unreadable::Unreadable;

/// The largest photo in bytes: Oz's own limit for one file (`OZ_ATTACHMENT_MAX_SIZE`, configuration
/// page of its administrator guide).
pub const BYTES_MAX: usize = 10 * 1024 * 1024;

/// The most pixels of a side: more than any camera makes, and well within a decoder's reach.
pub const SIDE_PIXELS_MAX: u32 = 20_000;

/// The most pixels of a photo in all: a decoder needs three bytes or more for each.
pub const PIXELS_MAX: u64 = 100_000_000;

/// The file formats that a reference photo may have.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// JPEG, also with EXIF and trailing bytes.
    Jpeg,
    /// PNG.
    Png,
}

impl Format {
    /// The MIME type, by which Oz decides what a file is (its data format page).
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
        }
    }

    /// The file name extension, without the dot.
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Jpeg => "jpg",
            Self::Png => "png",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Jpeg => "JPEG",
            Self::Png => "PNG",
        })
    }
}

/// What a reference photo shows.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PhotoKind {
    /// A plain photo of a face.
    #[default]
    Selfie,
    /// The front of an identity document.
    IdFront,
    /// A kind from a later version.
    #[serde(other, skip_serializing)]
    Unknown,
}

impl PhotoKind {
    /// Oz's tags for a photo of this kind (media tags page).
    pub const fn tags(self) -> &'static [&'static str] {
        match self {
            Self::Selfie => &["photo_selfie"],
            Self::IdFront => &["photo_id", "photo_id_front"],
            // A photo of unknown kind is never uploaded.
            Self::Unknown => &[],
        }
    }
}

/// Pixels across and down.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Size {
    width: u32,
    height: u32,
}

/// The format of a whole photo, or why the bytes are not one.
///
/// # Errors
/// An [`Unreadable`] whose text completes the sentence "the photo …".
pub fn inspect(bytes: &[u8]) -> Result<Format, Unreadable> {
    let (format, size) = match bytes {
        [] => return Err(Unreadable::Empty),
        [0xff, 0xd8, 0xff, ..] => (Format::Jpeg, jpeg::size(bytes)?),
        _ if bytes.starts_with(png::SIGNATURE) => (Format::Png, png::size(bytes)?),
        _ => return Err(other::name(bytes)),
    };
    size.check(format)?;
    Ok(format)
}

impl Size {
    const fn check(self, format: Format) -> Result<(), Unreadable> {
        let Self { width, height } = self;
        if width == 0 || height == 0 {
            return Err(Unreadable::Unsound { format, why: "it has no pixels" });
        }
        let pixels = width as u64 * height as u64;
        if width > SIDE_PIXELS_MAX || height > SIDE_PIXELS_MAX || pixels > PIXELS_MAX {
            return Err(Unreadable::TooManyPixels { width, height });
        }
        Ok(())
    }
}
