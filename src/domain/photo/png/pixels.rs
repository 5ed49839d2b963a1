//! The pixels of a PNG: one zlib stream in one run of IDAT chunks.
//!
//! It reads the stream's header, and compares the stream's length with the least that the pixels
//! need. It deliberately doesn't decompress it.

use super::{Unreadable, header::Header, unsound};

/// The highest compression ratio of deflate: 258 bytes in two bits.
const DEFLATE_RATIO_MAX: u64 = 1032;

/// The size of zlib's own header.
const ZLIB_HEADER_BYTES: usize = 2;

/// The part of the stream read so far.
#[derive(Default)]
pub struct Pixels {
    have_begun: bool,
    bytes: usize,
    zlib_header: [u8; ZLIB_HEADER_BYTES],
    are_over: bool,
}

impl Pixels {
    /// Whether another chunk has followed the run of IDAT chunks.
    pub const fn are_over(&self) -> bool {
        self.are_over
    }

    /// Takes the data of the next IDAT, which may be empty.
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

    /// Notes a chunk other than IDAT: it ends the run of IDAT chunks if one has begun, even an
    /// empty one.
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

/// Checks zlib's header (RFC 1950): deflate, a window of up to 32 KiB, no dictionary, and a
/// multiple of 31.
fn check_zlib([method, flags]: [u8; ZLIB_HEADER_BYTES]) -> Result<(), Unreadable> {
    let is_sound = method & 0x0f == 8
        && method >> 4 <= 7
        && flags & 0x20 == 0
        && u16::from_be_bytes([method, flags]) % 31 == 0;
    if is_sound { Ok(()) } else { Err(unsound("its pixels (IDAT) are not compressed with zlib")) }
}
