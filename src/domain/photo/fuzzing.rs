//! Properties that hold for every photo, of any bytes.
//!
//! It compares with the bytes themselves and with the documented limits, deliberately not with the
//! constants that the code uses.

use super::{Format, Size, Unreadable, inspect, jpeg, png};

/// How many of the last bytes are cut off, one by one.
const CUTS: usize = 16;

/// Judges bytes as a photo, then the same photo cut and with a trailer.
///
/// A PNG is judged once more with corrected checksums, because no fuzzer finds them.
pub fn photo(bytes: &[u8]) {
    judge(bytes);
    if bytes.starts_with(png::SIGNATURE) {
        judge(&with_checksums(bytes));
    }
}

fn with_checksums(png: &[u8]) -> Vec<u8> {
    let (signature, mut rest) = png.split_at(png::SIGNATURE.len());
    let mut repaired = signature.to_vec();
    while let Some((length, named)) = rest.split_first_chunk::<4>() {
        let end = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
        let Some((named, after)) = named.split_at_checked(end.saturating_add(4)) else { break };
        repaired.extend(length);
        repaired.extend(named);
        repaired.extend(crc32fast::hash(named).to_be_bytes());
        rest = after.get(4..).unwrap_or_default();
    }
    repaired.extend(rest);
    repaired
}

fn judge(bytes: &[u8]) {
    match inspect(bytes) {
        Ok(format) => {
            check_start(bytes, format);
            check_size(bytes, format);
            check_longer(bytes, format);
            check_cuts(bytes, format);
            match format {
                Format::Jpeg => check_junk(bytes),
                Format::Png => check_checksum(bytes),
            }
        }
        Err(refusal) => {
            let text = refusal.to_string();
            assert!(text.len() < 160 && !text.contains(char::is_control), "{text:?}");
            assert!(text.starts_with("is ") || text.starts_with("has "), "{text:?}");
            check_start_is_named(bytes, refusal);
        }
    }
}

fn check_start(bytes: &[u8], format: Format) {
    let magic: &[u8] = match format {
        Format::Jpeg => b"\xff\xd8\xff",
        Format::Png => b"\x89PNG\r\n\x1a\n",
    };
    assert!(bytes.starts_with(magic), "{format:?} starts with other bytes");
}

/// Bytes that start as a JPEG or PNG are never reported as another format.
fn check_start_is_named(bytes: &[u8], refusal: Unreadable) {
    let is_started = bytes.starts_with(b"\xff\xd8\xff") || bytes.starts_with(png::SIGNATURE);
    let is_named = !matches!(
        refusal,
        Unreadable::Empty | Unreadable::Other { .. } | Unreadable::UnknownFormat
    );
    assert_eq!(is_started, is_named, "{refusal:?}");
}

fn check_size(bytes: &[u8], format: Format) {
    let size = match format {
        Format::Jpeg => jpeg::size(bytes),
        Format::Png => png::size(bytes),
    };
    let Size { width, height } = size.expect("an accepted photo has a size");
    assert!((1..=20_000).contains(&width) && (1..=20_000).contains(&height), "{size:?}");
    assert!(u64::from(width) * u64::from(height) <= 100_000_000, "{size:?}");
}

/// Phones append trailers of their own to a picture.
fn check_longer(bytes: &[u8], format: Format) {
    let longer = [bytes, b"\xff\xda trailer"].concat();
    assert_eq!(inspect(&longer), Ok(format), "with a trailer");
}

/// Decoders skip anything that is not a marker.
fn check_junk(bytes: &[u8]) {
    let (start, rest) = bytes.split_at(2);
    for junk in [&b"\xff\x00"[..], b"\xff\xff\xff", b"\xff\xd3 junk", b"\xff\xfe\0\x04ab"] {
        let filled = [start, junk, rest].concat();
        assert_eq!(inspect(&filled), Ok(Format::Jpeg), "{junk:x?} after the start");
    }
}

/// The checksum covers each bit of the header.
fn check_checksum(bytes: &[u8]) {
    let header = png::SIGNATURE.len() + 8..png::SIGNATURE.len() + 21;
    for at in header {
        let mut flipped = bytes.to_vec();
        flipped[at] ^= 1;
        assert!(inspect(&flipped).is_err(), "header with a flipped bit in byte {at} accepted");
    }
}

/// A cut photo is accepted only if the cut removed nothing but its trailer. Otherwise it is
/// reported as cut off, and as nothing else.
fn check_cuts(bytes: &[u8], format: Format) {
    let end: &[u8] = match format {
        Format::Jpeg => b"\xff\xd9",
        Format::Png => b"IEND",
    };
    let last = (0..bytes.len()).rev().take(CUTS);
    for length in last.chain([bytes.len() / 2, bytes.len() / 3]).filter(|length| *length >= 8) {
        let cut = &bytes[..length];
        match inspect(cut) {
            Ok(found) => {
                assert_eq!(found, format);
                let whole = cut.windows(end.len()).any(|part| part == end);
                assert!(whole, "cut at {length}: accepted without an end");
            }
            Err(refusal) => {
                assert!(matches!(refusal, Unreadable::CutOff(_)), "cut at {length}: {refusal}");
            }
        }
    }
}
