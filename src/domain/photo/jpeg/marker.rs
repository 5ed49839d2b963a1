//! Finds the markers of a JPEG and splits off its segments, as tolerantly as libjpeg does.
//!
//! It deliberately knows the meaning of no marker, except of those without a segment, which it
//! skips.

use super::{Unreadable, cut_off, unsound};

/// The smallest second byte of a marker that matters: 0 is a stuffed byte within a scan, and 1 is
/// TEM, a marker without a segment and without a meaning.
pub const LEAST: u8 = 0x02;

/// The smallest marker that ends a scan with restart markers. libjpeg skips the reserved markers
/// below it in search of the next restart.
pub const LEAST_AMONG_RESTARTS: u8 = 0xc0;

/// How many bytes are examined together, so that the compiler can emit vector instructions.
const BLOCK_BYTES: usize = 64;

/// The next marker that is at least `least`, and the bytes after it.
///
/// Skips junk between segments, the data of a scan, fill bytes and restart markers.
pub fn next(bytes: &[u8], least: u8) -> Result<(u8, &[u8]), Unreadable> {
    let at = find(bytes, least).ok_or(cut_off())?;
    Ok((bytes[at + 1], &bytes[at + 2..]))
}

fn find(bytes: &[u8], least: u8) -> Option<usize> {
    let is_marker = |pair: &[u8]| {
        let [prefix, marker] = [pair[0], pair[1]];
        prefix == 0xff && marker >= least && marker != 0xff && marker & 0xf8 != 0xd0
    };
    let in_part = |part: &[u8]| part.windows(2).position(is_marker);
    // Fast path: segments mostly follow one another directly.
    if bytes.len() >= 2 && is_marker(&bytes[..2]) {
        return Some(0);
    }
    let mut at = 0;
    while let Some(block) = bytes.get(at..=at + BLOCK_BYTES) {
        let pairs = block[..BLOCK_BYTES].iter().zip(&block[1..]);
        let may_be =
            pairs.fold(false, |any, (prefix, marker)| any | (*prefix == 0xff) & (*marker != 0));
        if may_be && let Some(offset) = in_part(block) {
            return Some(at + offset);
        }
        at += BLOCK_BYTES;
    }
    in_part(&bytes[at..]).map(|offset| at + offset)
}

/// Splits off the payload of a segment whose marker was read. Its length is big-endian and counts
/// its own two bytes.
pub fn payload(bytes: &[u8]) -> Result<(&[u8], &[u8]), Unreadable> {
    let [high, low, rest @ ..] = bytes else {
        return Err(cut_off());
    };
    let length = usize::from(u16::from_be_bytes([*high, *low]));
    let length = length.checked_sub(2).ok_or(unsound("a segment is shorter than its length"))?;
    rest.split_at_checked(length).ok_or(cut_off())
}

/// Like [`payload`], for segments that a decoder doesn't need: an impossible length counts as
/// empty.
pub fn optional_payload(bytes: &[u8]) -> Result<(&[u8], &[u8]), Unreadable> {
    match bytes {
        [0, 0 | 1, rest @ ..] => Ok((&[], rest)),
        _ => payload(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_marker_is_found_at_any_distance() {
        for distance in (0..200).chain([1000, 4095]) {
            for (filler, pair) in [(0x00, [0xff, 0xe0]), (0xff, [0xff, 0xd9]), (0xd7, [0xff, 2])] {
                let bytes = [&vec![filler; distance][..], &pair, &[7]].concat();
                assert_eq!(next(&bytes, LEAST), Ok((pair[1], &[7][..])), "{filler:x} {distance}");
            }
        }
    }

    #[test]
    fn markers_without_a_segment_are_skipped_and_so_are_reserved_ones_among_restarts() {
        let alone = (0xd0..=0xd7).chain([0x00, 0x01, 0xff]).flat_map(|second| [0xff, second]);
        let alone: Vec<u8> = alone.collect();
        assert_eq!(next(&alone, LEAST), Err(cut_off()));
        let bytes = [&alone[..], &[0xff, 0xbf, 0xff, 0xc0]].concat();
        assert_eq!(next(&bytes, LEAST).map(|(marker, _)| marker), Ok(0xbf));
        assert_eq!(next(&bytes, LEAST_AMONG_RESTARTS).map(|(marker, _)| marker), Ok(0xc0));
    }

    #[test]
    fn a_segment_is_as_long_as_it_says() {
        assert_eq!(payload(&[0, 4, 1, 2, 3]), Ok((&[1, 2][..], &[3][..])));
        assert_eq!(payload(&[0, 2]), Ok((&[][..], &[][..])));
        for cut in [&[][..], &[0], &[0, 3], &[1, 0, 9]] {
            assert_eq!(payload(cut), Err(cut_off()), "{cut:?}");
            assert_eq!(optional_payload(cut), Err(cut_off()), "{cut:?}");
        }
        for short in [0, 1] {
            assert!(matches!(payload(&[0, short, 9]), Err(Unreadable::Unsound { .. })));
            assert_eq!(optional_payload(&[0, short, 9]), Ok((&[][..], &[9][..])));
        }
    }
}
