//! Walks the chunks of a PNG (W3C PNG specification, section 5) from IHDR to IEND.
//!
//! It accepts what libpng decodes, and refuses what libpng refuses because of a header, an order,
//! or the checksum of a chunk that libpng reads. It deliberately doesn't look into the compressed
//! pixels.

mod chunk;
mod header;
mod pixels;
#[cfg(test)]
mod tests;

use chunk::Chunk;
use header::Header;
use pixels::Pixels;

use super::{Format, Size, Unreadable};

/// The first eight bytes of every PNG.
pub const SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";

const FORMAT: Format = Format::Png;

/// The most colours in a palette.
const COLOURS_MAX: usize = 256;

const fn unsound(why: &'static str) -> Unreadable {
    Unreadable::Unsound { format: FORMAT, why }
}

const fn unsupported(why: &'static str) -> Unreadable {
    Unreadable::Unsupported { format: FORMAT, why }
}

const fn cut_off() -> Unreadable {
    Unreadable::CutOff("the PNG's last chunk (IEND) is missing or not whole")
}

/// The size in pixels of a whole PNG. The bytes start with the signature.
pub fn size(bytes: &[u8]) -> Result<Size, Unreadable> {
    let first = Chunk::read(&bytes[SIGNATURE.len()..])?;
    let mut picture = Picture::begin(Header::read(&first)?);
    let mut rest = first.after;
    loop {
        let chunk = Chunk::read(rest)?;
        if chunk.name == *b"IEND" {
            return picture.size();
        }
        picture.read(&chunk)?;
        rest = chunk.after;
    }
}

/// What the chunks have said so far.
struct Picture {
    header: Header,
    has_palette: bool,
    is_animated: bool,
    pixels: Pixels,
}

impl Picture {
    fn begin(header: Header) -> Self {
        Self { header, has_palette: false, is_animated: false, pixels: Pixels::default() }
    }

    fn read(&mut self, chunk: &Chunk<'_>) -> Result<(), Unreadable> {
        if chunk.name == *b"IDAT" && !self.pixels.are_over() {
            return self.read_pixels(chunk);
        }
        self.pixels.end();
        if chunk.name == *b"IDAT" {
            return Err(unsound("other chunks lie between its pixels (IDAT)"));
        }
        // Decoders read only the first picture of an animation, and nothing after it.
        if self.is_animated && self.pixels.are_over() {
            return Ok(());
        }
        chunk.check_name()?;
        match &chunk.name {
            b"acTL" => self.is_animated = !self.pixels.are_over(),
            b"PLTE" if self.header.has_palette && !self.pixels.are_over() => {
                self.read_palette(chunk)?;
            }
            b"PLTE" => {}
            b"IHDR" => return Err(unsound("it has two headers (IHDR)")),
            _ if chunk.is_critical() => {
                return Err(unsupported("it has a critical chunk that is not in the standard"));
            }
            _ => {}
        }
        Ok(())
    }

    fn read_pixels(&mut self, chunk: &Chunk<'_>) -> Result<(), Unreadable> {
        if self.header.has_palette && !self.has_palette {
            return Err(unsound("its palette (PLTE) is missing"));
        }
        // Decoders of animations don't check this checksum.
        if !self.is_animated {
            chunk.check()?;
        }
        self.pixels.take(chunk.data)
    }

    fn read_palette(&mut self, chunk: &Chunk<'_>) -> Result<(), Unreadable> {
        if self.has_palette {
            return Err(unsound("it has two palettes (PLTE)"));
        }
        let (colours, rest) = chunk.data.as_chunks::<3>();
        if colours.is_empty() || colours.len() > COLOURS_MAX || !rest.is_empty() {
            return Err(unsound("its palette (PLTE) is not 1 to 256 colours"));
        }
        self.has_palette = true;
        chunk.check()
    }

    fn size(&self) -> Result<Size, Unreadable> {
        self.pixels.check(&self.header)?;
        Ok(self.header.size)
    }
}
