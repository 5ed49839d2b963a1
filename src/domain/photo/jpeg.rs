//! Walks the segments of a JPEG (ITU T.81, annex B) to its scan, and finds the end behind it.

use super::{Size, Unreadable};

const TRUNCATED: Unreadable = Unreadable::Truncated("JPEG");
const BROKEN: Unreadable = Unreadable::Broken("JPEG");

const START_OF_SCAN: u8 = 0xda;
const END_OF_IMAGE: [u8; 2] = [0xff, 0xd9];

/// The size in pixels of a whole JPEG. The bytes start with the start-of-image marker.
pub fn size(bytes: &[u8]) -> Result<Size, Unreadable> {
    let mut rest = &bytes[2..];
    let mut size = None;
    loop {
        let (marker, payload, after) = segment(rest)?;
        if is_frame_header(marker) {
            size = Some(frame_size(payload)?);
        }
        if marker == START_OF_SCAN {
            return if ends(after) { size.ok_or(BROKEN) } else { Err(TRUNCATED) };
        }
        rest = after;
    }
}

/// Splits the first segment off: its marker, its payload, and what follows.
fn segment(bytes: &[u8]) -> Result<(u8, &[u8], &[u8]), Unreadable> {
    let [0xff, after_prefix @ ..] = bytes else {
        return Err(if bytes.is_empty() { TRUNCATED } else { BROKEN });
    };
    // Any number of fill bytes may stand before a marker.
    let fill = after_prefix.iter().take_while(|&&byte| byte == 0xff).count();
    let [marker, after_marker @ ..] = &after_prefix[fill..] else {
        return Err(TRUNCATED);
    };
    match *marker {
        // TEM and the restart markers stand alone.
        0x01 | 0xd0..=0xd7 => Ok((*marker, &[], after_marker)),
        // A second start, an end before any scan, and the reserved zero.
        0x00 | 0xd8 | 0xd9 => Err(BROKEN),
        marker => {
            let (payload, after) = split_payload(after_marker)?;
            Ok((marker, payload, after))
        }
    }
}

/// A segment's length is big-endian and counts its own two bytes.
fn split_payload(bytes: &[u8]) -> Result<(&[u8], &[u8]), Unreadable> {
    let [high, low, rest @ ..] = bytes else {
        return Err(TRUNCATED);
    };
    let length = usize::from(u16::from_be_bytes([*high, *low]));
    let payload = length.checked_sub(2).ok_or(BROKEN)?;
    rest.split_at_checked(payload).ok_or(TRUNCATED)
}

/// SOF0 to SOF15, without DHT, JPG and DAC that lie among them.
fn is_frame_header(marker: u8) -> bool {
    matches!(marker, 0xc0..=0xcf) && !matches!(marker, 0xc4 | 0xc8 | 0xcc)
}

/// A frame header: a byte of precision, then height and width, big-endian.
fn frame_size(payload: &[u8]) -> Result<Size, Unreadable> {
    let [_precision, y1, y0, x1, x0, ..] = payload else {
        return Err(BROKEN);
    };
    let height = u32::from(u16::from_be_bytes([*y1, *y0]));
    let width = u32::from(u16::from_be_bytes([*x1, *x0]));
    Ok(Size { width, height })
}

/// Within a scan 0xff is always followed by a zero or a restart marker, so an end marker is one.
/// Searched from the back: it is the last thing of nearly every file.
fn ends(scan: &[u8]) -> bool {
    scan.windows(2).rev().any(|pair| pair == END_OF_IMAGE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::photo::inspect;

    /// A JPEG's skeleton: nothing a decoder would take, all that the walk looks at.
    fn skeleton(width: u16, height: u16, exif_bytes: u16, trailer: &[u8]) -> Vec<u8> {
        let mut jpeg = vec![0xff, 0xd8];
        jpeg.extend([0xff, 0xe1]);
        jpeg.extend((exif_bytes + 2).to_be_bytes());
        jpeg.extend(std::iter::repeat_n(0xd9, exif_bytes.into()));
        jpeg.extend([0xff, 0xff, 0xc2, 0, 8, 8]);
        jpeg.extend(height.to_be_bytes());
        jpeg.extend(width.to_be_bytes());
        jpeg.push(3);
        jpeg.extend([0xff, 0xda, 0, 2, 1, 2, 3, 0xff, 0x00, 0xff, 0xd0, 9]);
        jpeg.extend(END_OF_IMAGE);
        jpeg.extend(trailer);
        jpeg
    }

    #[test]
    fn the_size_is_read_past_exif_and_before_trailing_bytes() {
        let jpeg = skeleton(4000, 3000, 60_000, b"a trailer of the phone's own");
        assert_eq!(size(&jpeg), Ok(Size { width: 4000, height: 3000 }));
        assert_eq!(inspect(&jpeg), Ok(crate::domain::photo::Format::Jpeg));
    }

    #[test]
    fn every_cut_is_noticed() {
        let jpeg = skeleton(64, 64, 100, b"");
        for length in 3..jpeg.len() {
            assert_eq!(inspect(&jpeg[..length]), Err(TRUNCATED), "cut at {length}");
        }
        assert!(inspect(&jpeg).is_ok());
    }

    /// What is made of a JPEG of these segments, with a scan behind them.
    fn size_of(segments: &[&[u8]]) -> Result<Size, Unreadable> {
        let scan: &[u8] = &[0xff, 0xda, 0, 2, 7, 0xff, 0xd9];
        size(&[&[0xff, 0xd8], &segments.concat()[..], scan].concat())
    }

    /// A frame header of 3 x 2 pixels, under some marker.
    const fn frame(marker: u8) -> [u8; 9] {
        [0xff, marker, 0, 7, 8, 0, 2, 0, 3]
    }

    const SIZE: Result<Size, Unreadable> = Ok(Size { width: 3, height: 2 });

    #[test]
    fn frames_of_all_kinds_have_a_size_and_what_lies_among_them_has_none() {
        for marker in 0xc0..=0xcf {
            let expected = if [0xc4, 0xc8, 0xcc].contains(&marker) { Err(BROKEN) } else { SIZE };
            assert_eq!(size_of(&[&frame(marker)]), expected, "{marker:x}");
        }
        for marker in [0xbf, 0xdb, 0xe0, 0xfe] {
            assert_eq!(size_of(&[&frame(marker)]), Err(BROKEN), "{marker:x}");
            assert_eq!(size_of(&[&frame(marker), &frame(0xc0)]), SIZE, "{marker:x}");
        }
    }

    #[test]
    fn markers_without_a_segment_and_fill_bytes_are_passed_over() {
        for marker in (0xd0..=0xd7).chain([0x01]) {
            assert_eq!(size_of(&[&[0xff, marker], &frame(0xc0)]), SIZE, "{marker:x}");
        }
        assert_eq!(size_of(&[&[0xff; 5], &frame(0xc0)]), SIZE);
    }

    #[test]
    fn what_cannot_stand_before_a_scan_is_refused() {
        for wrong in [[0xff, 0x00], [0xff, 0xd8], [0xff, 0xd9], [0x00, 0xe0]] {
            assert_eq!(size_of(&[&wrong, &frame(0xc0)]), Err(BROKEN), "{wrong:x?}");
        }
    }

    #[test]
    fn a_segment_is_as_long_as_it_says() {
        assert_eq!(size_of(&[&[0xff, 0xe0, 0, 2], &frame(0xc0)]), SIZE);
        for length in [0, 1] {
            assert_eq!(size_of(&[&[0xff, 0xe0, 0, length], &frame(0xc0)]), Err(BROKEN));
        }
        let [.., x1, _] = frame(0xc0);
        let short = [0xff, 0xc0, 0, 6, 8, 0, 2, x1];
        assert_eq!(size_of(&[&short]), Err(BROKEN), "a frame header without its last byte");
    }

    #[test]
    fn zero_sized_and_headless_pictures_are_refused() {
        assert_eq!(inspect(&skeleton(0, 64, 0, b"")), Err(Unreadable::NoPixels));
        let headless = [0xff, 0xd8, 0xff, 0xda, 0, 2, 1, 0xff, 0xd9];
        assert_eq!(inspect(&headless), Err(BROKEN));
        let short_length = [0xff, 0xd8, 0xff, 0xe0, 0, 1, 0xff, 0xd9];
        assert_eq!(inspect(&short_length), Err(BROKEN));
    }
}
