//! The header of a PNG (IHDR): its size, and the format of its pixels.

use super::{FORMAT, Size, Unreadable, chunk::Chunk, unsound, unsupported};

/// The colour type whose pixels are palette indices.
const PALETTE: u8 = 3;

/// The contents of IHDR.
#[derive(Clone, Copy, Debug)]
pub struct Header {
    pub size: Size,
    /// Whether its pixels are indices into a palette.
    pub has_palette: bool,
    pixel_bits: u8,
}

impl Header {
    pub fn read(chunk: &Chunk<'_>) -> Result<Self, Unreadable> {
        match &chunk.name {
            b"IHDR" => {}
            b"CgBI" => return Err(unsupported("it is made only for Apple devices")),
            _ => return Err(unsound("it doesn't start with its header (IHDR)")),
        }
        let &[w3, w2, w1, w0, h3, h2, h1, h0, depth, colour, compression, filter, interlace] =
            chunk.data
        else {
            return Err(unsound("its header (IHDR) is not 13 bytes long"));
        };
        let size = Size {
            width: u32::from_be_bytes([w3, w2, w1, w0]),
            height: u32::from_be_bytes([h3, h2, h1, h0]),
        };
        // Before the checksum, so that a picture that is too large is reported as such.
        size.check(FORMAT)?;
        chunk.check()?;
        if compression != 0 || filter != 0 || interlace > 1 {
            return Err(unsound("its compression, filter or interlace method doesn't exist"));
        }
        let pixel_bits = pixel_bits(colour, depth)?;
        Ok(Self { size, has_palette: colour == PALETTE, pixel_bits })
    }

    /// The fewest bytes of the uncompressed pixels: each row has one more for its filter.
    pub fn bytes_min(&self) -> u64 {
        let row = (u64::from(self.size.width) * u64::from(self.pixel_bits)).div_ceil(8);
        u64::from(self.size.height) * (1 + row)
    }
}

/// The bits of a pixel, for the combinations that the standard allows.
fn pixel_bits(colour: u8, depth: u8) -> Result<u8, Unreadable> {
    let samples = match (colour, depth) {
        (0, 1 | 2 | 4 | 8 | 16) | (PALETTE, 1 | 2 | 4 | 8) => 1,
        (4, 8 | 16) => 2,
        (2, 8 | 16) => 3,
        (6, 8 | 16) => 4,
        _ => return Err(unsound("its colour type doesn't exist, or not in this bit depth")),
    };
    Ok(samples * depth)
}
