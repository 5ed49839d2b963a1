//! Splits off the chunks of a PNG (W3C PNG specification, section 5), deliberately without knowing
//! their meaning.

use super::{Unreadable, cut_off, unsound};

/// A chunk, and the bytes after it.
pub struct Chunk<'a> {
    pub name: [u8; 4],
    pub data: &'a [u8],
    /// The name and the data, which the checksum covers.
    named_data: &'a [u8],
    checksum: [u8; 4],
    pub after: &'a [u8],
}

impl<'a> Chunk<'a> {
    /// Reads the first chunk of `bytes`.
    pub fn read(bytes: &'a [u8]) -> Result<Self, Unreadable> {
        let (length, named) = bytes.split_first_chunk::<4>().ok_or(cut_off())?;
        let name = named.first_chunk::<4>().ok_or(cut_off())?;
        let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| cut_off())?;
        let end = name.len().checked_add(length).ok_or(cut_off())?;
        let (named_data, rest) = named.split_at_checked(end).ok_or(cut_off())?;
        let (checksum, after) = rest.split_first_chunk::<4>().ok_or(cut_off())?;
        let data = &named_data[name.len()..];
        Ok(Self { name: *name, data, named_data, checksum: *checksum, after })
    }

    pub fn check_name(&self) -> Result<(), Unreadable> {
        if self.name.iter().all(u8::is_ascii_alphabetic) {
            Ok(())
        } else {
            Err(unsound("a chunk's name is not four letters"))
        }
    }

    /// Whether a decoder that doesn't know the chunk must give up.
    pub const fn is_critical(&self) -> bool {
        self.name[0].is_ascii_uppercase()
    }

    /// Compares the checksum. Decoders skip a damaged ancillary chunk, so only other chunks are
    /// checked.
    pub fn check(&self) -> Result<(), Unreadable> {
        if crc32fast::hash(self.named_data) == u32::from_be_bytes(self.checksum) {
            Ok(())
        } else {
            Err(unsound("a checksum is wrong, so its bytes were changed"))
        }
    }
}
