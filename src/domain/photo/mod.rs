//! Judges a photo by its bytes: what it is, how large, and whether it is whole.
//!
//! No pixel is decoded: headers and segment lengths are enough to refuse what Oz would refuse
//! later, and a decoder is no place for a stranger's bytes.

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod jpeg;
mod png;

use serde::{Deserialize, Serialize};

/// The most bytes a photo may have: Oz's own limit for one file (`OZ_ATTACHMENT_MAX_SIZE`,
/// configuration page of its administrator guide).
pub const BYTES_MAX: usize = 10 * 1024 * 1024;

/// The most pixels a side may have: beyond any camera, well within a decoder's reach.
pub const SIDE_PIXELS_MAX: u32 = 20_000;

/// The most pixels a photo may have in all: a decoder needs three bytes or more for each.
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
    /// The MIME type, which decides at Oz what a file is (its data format page).
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
        }
    }

    /// The ending of a file's name, without the dot.
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Jpeg => "jpg",
            Self::Png => "png",
        }
    }
}

/// What a reference photo shows.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A plain photo of a face.
    #[default]
    Selfie,
    /// The front of an identity document.
    IdFront,
}

impl Kind {
    /// Oz's tags for such a photo (media tags page).
    pub const fn tags(self) -> &'static [&'static str] {
        match self {
            Self::Selfie => &["photo_selfie"],
            Self::IdFront => &["photo_id", "photo_id_front"],
        }
    }
}

/// Why bytes are not a photo that can be matched.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Unreadable {
    /// There is nothing.
    #[error("is empty; a JPEG or PNG is needed")]
    Empty,
    /// An iPhone's own format, the commonest mistake.
    #[error("is a HEIC photo; convert it to JPEG or PNG")]
    Heic,
    /// Neither magic number.
    #[error("is neither a JPEG nor a PNG")]
    UnknownFormat,
    /// The bytes end before the picture does.
    #[error("is cut off: the {0} ends before its picture does")]
    Truncated(&'static str),
    /// The bytes don't follow their format.
    #[error("is not a sound {0}")]
    Broken(&'static str),
    /// A side of zero pixels.
    #[error("has no pixels")]
    NoPixels,
    /// Larger than any camera makes.
    #[error(
        "has {width} x {height} pixels; at most 20,000 a side and 100 million in all are taken"
    )]
    TooManyPixels {
        /// Pixels across.
        width: u32,
        /// Pixels down.
        height: u32,
    },
}

/// Pixels across and down.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Size {
    width: u32,
    height: u32,
}

/// Tells the format of a whole photo, or why it is none.
///
/// # Errors
/// An [`Unreadable`] whose text completes the sentence "the photo …".
pub fn inspect(bytes: &[u8]) -> Result<Format, Unreadable> {
    let (format, size) = match bytes {
        [] => return Err(Unreadable::Empty),
        [0xff, 0xd8, 0xff, ..] => (Format::Jpeg, jpeg::size(bytes)?),
        _ if bytes.starts_with(png::SIGNATURE) => (Format::Png, png::size(bytes)?),
        _ if is_heic(bytes) => return Err(Unreadable::Heic),
        _ => return Err(Unreadable::UnknownFormat),
    };
    size.check()?;
    Ok(format)
}

impl Size {
    fn check(self) -> Result<(), Unreadable> {
        let Self { width, height } = self;
        if width == 0 || height == 0 {
            return Err(Unreadable::NoPixels);
        }
        let pixels = u64::from(width) * u64::from(height);
        if width > SIDE_PIXELS_MAX || height > SIDE_PIXELS_MAX || pixels > PIXELS_MAX {
            return Err(Unreadable::TooManyPixels { width, height });
        }
        Ok(())
    }
}

/// ISO base media files name their brand at byte 8 (ISO/IEC 23008-12 lists HEIF's).
fn is_heic(bytes: &[u8]) -> bool {
    const BRANDS: [&[u8]; 8] =
        [b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"];
    bytes.get(4..8) == Some(b"ftyp") && bytes.get(8..12).is_some_and(|b| BRANDS.contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_photo_is_judged_by_its_bytes() {
        let pdf = b"%PDF-1.7 \xff\xd8\xff";
        let svg = b"<svg xmlns='http://www.w3.org/2000/svg'/>";
        let heic = b"\0\0\0\x18ftypheic\0\0\0\0";
        let video = b"\0\0\0\x18ftypmp42\0\0\0\0";
        let table: [(&[u8], Unreadable); 9] = [
            (b"", Unreadable::Empty),
            (b"\xff", Unreadable::UnknownFormat),
            (b"hello", Unreadable::UnknownFormat),
            (pdf, Unreadable::UnknownFormat),
            (svg, Unreadable::UnknownFormat),
            (heic, Unreadable::Heic),
            (video, Unreadable::UnknownFormat),
            (b"a note on heic", Unreadable::UnknownFormat),
            (b"\xff\xd8\xff", Unreadable::Truncated("JPEG")),
        ];
        for (bytes, expected) in table {
            assert_eq!(inspect(bytes), Err(expected), "{bytes:?}");
        }
    }

    #[test]
    fn sizes_are_bounded_by_side_and_in_all() {
        let check = |width, height| Size { width, height }.check();
        assert_eq!(check(1, 1), Ok(()));
        assert_eq!([check(20_000, 5_000), check(5_000, 20_000)], [Ok(()); 2]);
        assert_eq!([check(0, 5), check(5, 0)], [Err(Unreadable::NoPixels); 2]);
        for (width, height) in [(20_001, 1), (1, 20_001), (20_000, 5_001), (u32::MAX, u32::MAX)] {
            let refusal = Unreadable::TooManyPixels { width, height };
            assert_eq!(check(width, height), Err(refusal));
        }
    }

    #[test]
    fn a_photo_may_be_as_large_as_a_file_at_oz() {
        assert_eq!(BYTES_MAX, 10_485_760);
    }

    #[test]
    fn formats_are_named_as_oz_knows_them() {
        let named = |format: Format| (format.content_type(), format.extension());
        assert_eq!(named(Format::Jpeg), ("image/jpeg", "jpg"));
        assert_eq!(named(Format::Png), ("image/png", "png"));
    }

    #[test]
    fn kinds_are_tagged_as_oz_knows_them() {
        assert_eq!(Kind::Selfie.tags(), ["photo_selfie"]);
        assert_eq!(Kind::IdFront.tags(), ["photo_id", "photo_id_front"]);
    }
}
