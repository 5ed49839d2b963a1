//! The pixels of a PNG: one stream of zlib's, in one run of IDAT chunks.
//!
//! Its header is read and its length compared with the least that the pixels need. It is not
//! decompressed.

use super::{Unreadable, header::Header, unsound};

/// By how much deflate makes bytes fewer at the most: 258 of them for two bits.
const DEFLATE_RATIO_MAX: u64 = 1032;

/// The bytes of zlib's own header.
const ZLIB_HEADER_BYTES: usize = 2;

/// What there was of the stream.
#[derive(Default)]
pub struct Pixels {
    have_begun: bool,
    bytes: usize,
    zlib_header: [u8; ZLIB_HEADER_BYTES],
    are_over: bool,
}

impl Pixels {
    /// Whether another chunk has followed them.
    pub const fn are_over(&self) -> bool {
        self.are_over
    }

    /// The data of the next IDAT, which may be empty.
    pub fn take(&mut self, data: &[u8]) -> Result<(), Unreadable> {
        self.have_begun = true;
        for (at, byte) in (self.bytes..ZLIB_HEADER_BYTES).zip(data) {
            self.zlib_header[at] = *byte;
            if at + 1 == ZLIB_HEADER_BYTES {
                check_zlib(self.zlib_header)?;
            }
        }
        self.bytes += data.len();
        Ok(())
    }

    /// A chunk that is no IDAT: it ends the run, if there was one, were it empty.
    pub const fn end(&mut self) {
        self.are_over = self.have_begun;
    }

    pub fn check(&self, header: &Header) -> Result<(), Unreadable> {
        if self.bytes <= ZLIB_HEADER_BYTES {
            return Err(unsound("it has no pixels (IDAT)"));
        }
        let bytes_max =
            u64::try_from(self.bytes).unwrap_or(u64::MAX).saturating_mul(DEFLATE_RATIO_MAX);
        if bytes_max < header.bytes_min() {
            return Err(unsound("its pixels (IDAT) are fewer than its header says"));
        }
        Ok(())
    }
}

/// RFC 1950: deflate with a window of up to 32 KiB, no dictionary, and a remainder of 31.
fn check_zlib([method, flags]: [u8; ZLIB_HEADER_BYTES]) -> Result<(), Unreadable> {
    let is_sound = method & 0x0f == 8
        && method >> 4 <= 7
        && flags & 0x20 == 0
        && u16::from_be_bytes([method, flags]) % 31 == 0;
    if is_sound { Ok(()) } else { Err(unsound("its pixels (IDAT) are not compressed with zlib")) }
}
