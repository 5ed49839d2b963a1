//! Walks the chunks of a PNG (W3C PNG specification, section 5) from IHDR to IEND.

use super::{Size, Unreadable};

/// The first eight bytes of every PNG.
pub const SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";

const TRUNCATED: Unreadable = Unreadable::Truncated("PNG");
const BROKEN: Unreadable = Unreadable::Broken("PNG");

/// Bytes of the checksum behind each chunk. It is not checked: Oz's decoder does.
const CHECKSUM_BYTES: usize = 4;

/// The size in pixels of a whole PNG. The bytes start with the signature.
pub fn size(bytes: &[u8]) -> Result<Size, Unreadable> {
    let header = chunk(&bytes[SIGNATURE.len()..])?;
    if header.name != *b"IHDR" {
        return Err(BROKEN);
    }
    let size = header_size(header.data)?;
    // Judged before the walk: the header alone says that there are too many pixels.
    size.check()?;
    let mut has_pixels = false;
    let mut rest = header.after;
    loop {
        let Chunk { name, after, .. } = chunk(rest)?;
        match &name {
            b"IDAT" => has_pixels = true,
            b"IEND" => return if has_pixels { Ok(size) } else { Err(BROKEN) },
            _ => {}
        }
        rest = after;
    }
}

/// A chunk, and what follows its checksum.
struct Chunk<'a> {
    name: [u8; 4],
    data: &'a [u8],
    after: &'a [u8],
}

/// Splits the first chunk off.
fn chunk(bytes: &[u8]) -> Result<Chunk<'_>, Unreadable> {
    let (length, rest) = bytes.split_first_chunk::<4>().ok_or(TRUNCATED)?;
    let (name, rest) = rest.split_first_chunk::<4>().ok_or(TRUNCATED)?;
    if !name.iter().all(u8::is_ascii_alphabetic) {
        return Err(BROKEN);
    }
    let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| TRUNCATED)?;
    let (data, rest) = rest.split_at_checked(length).ok_or(TRUNCATED)?;
    let (_, after) = rest.split_at_checked(CHECKSUM_BYTES).ok_or(TRUNCATED)?;
    Ok(Chunk { name: *name, data, after })
}

/// IHDR: width and height, big-endian, then five bytes of no interest here.
fn header_size(header: &[u8]) -> Result<Size, Unreadable> {
    let [w3, w2, w1, w0, h3, h2, h1, h0, _, _, _, _, _] = header else {
        return Err(BROKEN);
    };
    let width = u32::from_be_bytes([*w3, *w2, *w1, *w0]);
    let height = u32::from_be_bytes([*h3, *h2, *h1, *h0]);
    Ok(Size { width, height })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::photo::{Format, inspect};

    fn skeleton(width: u32, height: u32) -> Vec<u8> {
        let mut png = SIGNATURE.to_vec();
        let mut header = [width.to_be_bytes(), height.to_be_bytes()].concat();
        header.extend([8, 2, 0, 0, 0]);
        for (name, data) in [(b"IHDR", header), (b"IDAT", vec![0; 40]), (b"IEND", vec![])] {
            png.extend(u32::try_from(data.len()).unwrap().to_be_bytes());
            png.extend(name);
            png.extend(data);
            png.extend([0; CHECKSUM_BYTES]);
        }
        png
    }

    #[test]
    fn a_whole_png_is_taken_with_trailing_bytes_and_no_cut_is() {
        let png = skeleton(300, 200);
        assert_eq!(inspect(&[&png[..], b"trailer"].concat()), Ok(Format::Png));
        for length in 8..png.len() {
            assert_eq!(inspect(&png[..length]), Err(TRUNCATED), "cut at {length}");
        }
        assert_eq!(size(&png), Ok(Size { width: 300, height: 200 }));
    }

    #[test]
    fn a_png_is_its_header_then_its_pixels_then_its_end() {
        let chunk = |name: &[u8; 4], data: &[u8]| {
            let length = u32::try_from(data.len()).unwrap().to_be_bytes();
            [&length[..], name, data, &[0; CHECKSUM_BYTES]].concat()
        };
        let size_of = |chunks: &[Vec<u8>]| size(&[SIGNATURE, &chunks.concat()].concat());
        let header = [0, 0, 0, 3, 0, 0, 0, 2, 8, 2, 0, 0, 0];
        let [ihdr, text, idat, iend] =
            [(b"IHDR", &header[..]), (b"tEXt", b"a"), (b"IDAT", b"pixels"), (b"IEND", b"")]
                .map(|(name, data)| chunk(name, data));
        let whole = [ihdr.clone(), text.clone(), idat.clone(), iend.clone()];
        assert_eq!(size_of(&whole), Ok(Size { width: 3, height: 2 }));
        let (short, odd) = (chunk(b"IHDR", &header[1..]), chunk(b"ID4T", b"pixels"));
        for wrong in [
            vec![text.clone(), ihdr.clone(), idat.clone(), iend.clone()],
            vec![short, idat.clone(), iend.clone()],
            vec![ihdr.clone(), text, iend.clone()],
            vec![ihdr, odd, idat, iend],
        ] {
            assert_eq!(size_of(&wrong), Err(BROKEN));
        }
    }

    #[test]
    fn a_bomb_is_known_by_its_header_alone() {
        let bomb = &skeleton(100_000, 100_000)[..40];
        let expected = Unreadable::TooManyPixels { width: 100_000, height: 100_000 };
        assert_eq!(inspect(bomb), Err(expected));
    }
}
