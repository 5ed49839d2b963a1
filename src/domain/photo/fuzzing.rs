//! What holds of a photo whatever its bytes are.
//!
//! It compares with the bytes themselves and with the limits as they are documented, not with
//! the constants that the code goes by.

use super::{Format, Size, Unreadable, inspect, jpeg, png};

/// As many of the last bytes as are cut off one by one.
const CUTS: usize = 16;

/// Judges bytes as a photo, then the same photo cut and with something behind it.
pub fn photo(bytes: &[u8]) {
    match inspect(bytes) {
        Ok(format) => {
            check_start(bytes, format);
            check_size(bytes, format);
            check_longer(bytes, format);
            check_cuts(bytes, format);
        }
        Err(refusal) => {
            let text = refusal.to_string();
            assert!(text.len() < 120 && !text.contains(char::is_control), "{text:?}");
        }
    }
}

fn check_start(bytes: &[u8], format: Format) {
    let magic: &[u8] = match format {
        Format::Jpeg => b"\xff\xd8\xff",
        Format::Png => b"\x89PNG\r\n\x1a\n",
    };
    assert!(bytes.starts_with(magic), "{format:?} begins otherwise");
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

/// Phones write trailers of their own behind a picture.
fn check_longer(bytes: &[u8], format: Format) {
    let longer = [bytes, b"\xff\xda trailer"].concat();
    assert_eq!(inspect(&longer), Ok(format), "with a trailer");
}

/// A cut photo is still whole, where only what lies behind its picture was cut; or it is said to
/// be cut off, and nothing else.
fn check_cuts(bytes: &[u8], format: Format) {
    let (name, end): (_, &[u8]) = match format {
        Format::Jpeg => ("JPEG", b"\xff\xd9"),
        Format::Png => ("PNG", b"IEND"),
    };
    let last = (0..bytes.len()).rev().take(CUTS);
    for length in last.chain([bytes.len() / 2, bytes.len() / 3]).filter(|length| *length >= 8) {
        let cut = &bytes[..length];
        match inspect(cut) {
            Ok(found) => {
                assert_eq!(found, format);
                let whole = cut.windows(end.len()).any(|part| part == end);
                assert!(whole, "cut at {length}, without an end, and accepted");
            }
            Err(refusal) => assert_eq!(refusal, Unreadable::Truncated(name), "cut at {length}"),
        }
    }
}
