//! JPEGs made only of headers. No decoder could turn them into a picture, but the walk finds all
//! that it examines.

use super::*;
use crate::domain::photo::inspect;

/// A frame header of 3 x 2 pixels with these components: their ids, sampling factors and tables.
fn frame(marker: u8, components: &[[u8; 3]]) -> Vec<u8> {
    let count = u8::try_from(components.len()).unwrap();
    let head = [8, 0, 2, 0, 3, count];
    segment(marker, &[&head[..], components.as_flattened()].concat())
}

fn segment(marker: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len() + 2).unwrap().to_be_bytes();
    [&[0xff, marker], &length[..], payload].concat()
}

/// A quantization table with one byte a value.
fn quantization(slot: u8) -> Vec<u8> {
    segment(0xdb, &[&[slot][..], &[1; 64]].concat())
}

/// A Huffman table with one 8-bit code for each of these symbols.
fn huffman(head: u8, symbols: &[u8]) -> Vec<u8> {
    let mut counts = [0; 16];
    counts[7] = u8::try_from(symbols.len()).unwrap();
    segment(0xc4, &[&[head][..], &counts, symbols].concat())
}

/// A scan with these components and parameters, and a little data.
fn scan(components: &[[u8; 2]], parameters: [u8; 3]) -> Vec<u8> {
    let count = u8::try_from(components.len()).unwrap();
    let header = [&[count][..], components.as_flattened(), &parameters].concat();
    [&segment(START_OF_SCAN, &header)[..], &[0xff, 0x00, 0xff, 0xd0, 9]].concat()
}

const GREY: [[u8; 3]; 1] = [[1, 0x11, 0]];
const COLOUR: [[u8; 3]; 3] = [[1, 0x22, 0], [2, 0x11, 0], [3, 0x11, 0]];
const ALL: [u8; 3] = [0, 63, 0];

fn grey_scan() -> Vec<u8> {
    scan(&[[1, 0]], ALL)
}

fn colour_scan() -> Vec<u8> {
    scan(&[[1, 0], [2, 0], [3, 0]], ALL)
}

/// Judges a JPEG made of these segments and an end.
fn judged(segments: &[Vec<u8>]) -> Result<Size, Unreadable> {
    size(&[&[0xff, 0xd8][..], &segments.concat(), &[0xff, 0xd9]].concat())
}

/// A sound grey JPEG with extra bytes before its scan.
fn with(extra: &[u8]) -> Result<Size, Unreadable> {
    judged(&[quantization(0), frame(0xc0, &GREY), extra.to_vec(), grey_scan()])
}

const SIZE: Result<Size, Unreadable> = Ok(Size { width: 3, height: 2 });

/// The reason why a JPEG is refused.
fn why(judgement: Result<Size, Unreadable>) -> &'static str {
    match judgement {
        Err(
            Unreadable::Unsound { why, .. }
            | Unreadable::Unsupported { why, .. }
            | Unreadable::CutOff(why),
        ) => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_size_is_read_past_exif_and_before_trailing_bytes() {
    let exif = segment(0xe1, &[0xd9; 60_000]);
    assert_eq!(judged(&[exif, quantization(0), frame(0xc0, &GREY), grey_scan()]), SIZE);
    let trailer = b"\xff\xd9 a trailer \xff\xd8 and another".to_vec();
    assert_eq!(judged(&[quantization(0), frame(0xc0, &GREY), grey_scan(), trailer]), SIZE);
}

#[test]
fn every_cut_is_noticed() {
    let parts = [quantization(0), frame(0xc2, &GREY), huffman(0, &[1]), scan(&[[1, 0]], [0; 3])];
    let jpeg = [&[0xff, 0xd8][..], &parts.concat(), &[0xff, 0xd9]].concat();
    for length in 3..jpeg.len() {
        assert_eq!(inspect(&jpeg[..length]), Err(cut_off()), "cut at {length}");
    }
    assert_eq!(size(&jpeg), SIZE);
}

#[test]
fn a_picture_that_another_one_interrupts_is_cut_off() {
    let whole = [quantization(0), frame(0xc0, &GREY), grey_scan()].concat();
    let start = vec![0xff, 0xd8];
    let behind = judged(&[whole.clone(), start.clone(), whole.clone()]);
    assert_eq!(why(behind), "another JPEG starts before this one has ended");
    assert_eq!(why(judged(&[start.clone(), whole.clone()])), "it starts twice");
    assert_eq!(judged(&[whole.clone(), vec![0xff, 0xd9], start, whole]), SIZE, "one after another");
}

#[test]
fn decoders_look_for_the_next_marker_and_so_does_the_walk() {
    for junk in [&b"junk"[..], &[0], &[0xff, 0], &[0xff; 5], &[0x00, 0xe1, 0, 4, 7, 7], &[0xff, 1]]
    {
        assert_eq!(with(junk), SIZE, "{junk:x?}");
    }
    for marker in 0xd0..=0xd7 {
        assert_eq!(with(&[0xff, marker]), SIZE, "{marker:x}");
    }
}

#[test]
fn segments_that_no_picture_depends_on_are_skipped() {
    for marker in (0xe0..=0xef).chain([0xdc, 0xfe]) {
        assert_eq!(with(&segment(marker, b"anything")), SIZE, "{marker:x}");
        for length in [0, 1] {
            assert_eq!(with(&[0xff, marker, 0, length]), SIZE, "{marker:x} of length {length}");
        }
    }
}

#[test]
fn segments_that_cannot_precede_a_scan_are_refused() {
    for marker in (0x02..=0xbf).chain([0xc8, 0xde, 0xdf]).chain(0xf0..=0xfd) {
        assert!(with(&segment(marker, b"anything")).is_err(), "{marker:x}");
    }
    assert_eq!(why(with(&[0xff, 0xd9])), "it ends before its first scan");
    assert_eq!(why(with(&[0xff, 0xdb, 0, 1])), "a segment is shorter than its length");
    assert_eq!(why(with(&frame(0xc0, &GREY))), "it has two frame headers");
    let early = judged(&[quantization(0), grey_scan(), frame(0xc0, &GREY)]);
    assert_eq!(why(early), "a scan comes before its frame header");
}

#[test]
fn only_kinds_of_frames_that_decoders_know_are_accepted() {
    let tables = [quantization(0), huffman(0x00, &[1]), huffman(0x10, &[1])].concat();
    for marker in (0xc0..=0xcf).filter(|marker| ![0xc4, 0xc8, 0xcc].contains(marker)) {
        let parameters = match marker {
            0xc2 | 0xca => [0, 0, 0],
            0xc3 => [1, 0, 0],
            _ => ALL,
        };
        let scan = scan(&[[1, 0]], parameters);
        let judgement = judged(&[tables.clone(), frame(marker, &GREY), scan]);
        let is_decoded = [0xc0, 0xc1, 0xc2, 0xc3, 0xc9, 0xca].contains(&marker);
        assert_eq!(judgement.is_ok(), is_decoded, "{marker:x}: {judgement:?}");
    }
}

#[test]
fn a_frame_header_that_decoders_cannot_handle_is_refused() {
    let judge = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut frame = frame(0xc0, &COLOUR);
        change(&mut frame);
        judged(&[quantization(0), frame, colour_scan()])
    };
    assert_eq!(judge(&|_| {}), SIZE);
    for bits in [0, 7, 9, 12, 16] {
        assert_eq!(why(judge(&|f| f[4] = bits)), "its samples have other than 8 bits");
    }
    let no_height = "its header gives no height (as with a DNL marker)";
    assert_eq!(why(judge(&|f| f[6] = 0)), no_height);
    assert_eq!(why(judge(&|f| f[8] = 0)), "it has no pixels");
    assert!(matches!(judge(&|f| f[7] = 0xff), Err(Unreadable::TooManyPixels { .. })));
    for count in [0, 2, 5, 255] {
        assert_eq!(why(judge(&|f| f[9] = count)), "it has other than 1, 3 or 4 colour components");
    }
    let length = "its frame header has the wrong length for its components";
    assert_eq!(why(judge(&|f| f[9] = 4)), length);
    assert_eq!(why(judged(&[segment(0xc0, &[8, 0, 2, 0, 3])])), "its frame header is too short");
    for sampling in [0x00, 0x01, 0x10, 0x15, 0x51] {
        assert_eq!(why(judge(&|f| f[11] = sampling)), "a sampling factor is not 1 to 4");
    }
    let uneven = "its sampling factors don't divide each other";
    assert_eq!(why(judge(&|f| f[14] = 0x31)), uneven);
    assert_eq!(judge(&|f| f[14] = 0x41), SIZE);
    assert_eq!(why(judge(&|f| f[11] = 0x44)), "a scan interleaves over 10 blocks");
}

#[test]
fn a_scan_names_components_in_the_order_of_the_frame() {
    let judge = |components: &[[u8; 2]]| {
        judged(&[quantization(0), frame(0xc0, &COLOUR), scan(components, ALL)])
    };
    for sound in [&[[1, 0], [2, 0], [3, 0]][..], &[[3, 0]], &[[1, 0], [3, 0]]] {
        assert_eq!(judge(sound), SIZE, "{sound:?}");
    }
    let unknown = "a scan names components that its frame doesn't have";
    for wrong in [&[[4, 0]][..], &[[2, 0], [1, 0]], &[[1, 0], [1, 0]]] {
        assert_eq!(why(judge(wrong)), unknown, "{wrong:?}");
    }
    let length = "a scan header has the wrong length for its components";
    assert_eq!(why(judge(&[])), length);
    for payload in [&[][..], &[1], &[1, 1, 0, 0, 63], &[1, 1, 0, 0, 63, 0, 0], &[2, 1, 0, 0, 63, 0]]
    {
        let judgement =
            judged(&[quantization(0), frame(0xc0, &GREY), segment(START_OF_SCAN, payload)]);
        assert_eq!(why(judgement), length, "{payload:?}");
    }
}

#[test]
fn only_a_picture_with_split_components_has_several_scans() {
    let parts = [scan(&[[1, 0]], ALL), scan(&[[2, 0], [3, 0]], ALL)];
    let [first, second] = parts;
    assert_eq!(judged(&[quantization(0), frame(0xc0, &COLOUR), first, second]), SIZE);
    let twice = judged(&[quantization(0), frame(0xc0, &GREY), grey_scan(), grey_scan()]);
    assert_eq!(why(twice), "it has one scan too many");
}

#[test]
fn a_scan_needs_its_tables() {
    let missing = "a quantization table is missing";
    assert_eq!(why(judged(&[frame(0xc0, &GREY), grey_scan()])), missing);
    assert_eq!(why(judged(&[quantization(1), frame(0xc0, &GREY), grey_scan()])), missing);
    // Decoders have default Huffman tables, but not for a progressive picture.
    assert_eq!(with(&[]), SIZE);
    let missing = "a Huffman table is missing";
    let third = judged(&[quantization(0), frame(0xc0, &GREY), scan(&[[1, 0x20]], ALL)]);
    assert_eq!(why(third), missing);
    let progressive = |tables: &[u8], parameters| {
        let scan = scan(&[[1, 0]], parameters);
        judged(&[quantization(0), tables.to_vec(), frame(0xc2, &GREY), scan])
    };
    let (dc, ac) = (huffman(0x00, &[1]), huffman(0x10, &[1]));
    assert_eq!(why(progressive(&[], [0, 0, 0])), missing);
    assert_eq!(progressive(&dc, [0, 0, 0]), SIZE);
    assert_eq!(progressive(&[], [0, 0, 0x10]), SIZE, "raw bits");
    assert_eq!(why(progressive(&dc, [1, 63, 0])), missing);
    assert_eq!(progressive(&ac, [1, 63, 0]), SIZE);
    let arithmetic = judged(&[quantization(0), frame(0xc9, &GREY), scan(&[[1, 0x33]], ALL)]);
    assert_eq!(arithmetic, SIZE);
}

#[test]
fn progressive_scans_must_name_possible_coefficients() {
    let tables = [quantization(0), huffman(0x00, &[1]), huffman(0x10, &[1])].concat();
    let judge = |components: &[[u8; 2]], parameters| {
        judged(&[tables.clone(), frame(0xc2, &COLOUR), scan(components, parameters)])
    };
    for sound in [[0, 0, 0], [0, 0, 13], [0, 0, 0x21], [1, 63, 0], [63, 63, 0x10]] {
        assert_eq!(judge(&[[1, 0]], sound), SIZE, "{sound:x?}");
    }
    let impossible = "a scan header asks for coefficients that can't exist";
    for wrong in [[0, 63, 0], [2, 1, 0], [1, 64, 0], [0, 0, 14], [0, 0, 0x20], [0, 0, 0x11]] {
        assert_eq!(why(judge(&[[1, 0]], wrong)), impossible, "{wrong:x?}");
    }
    assert_eq!(judge(&[[1, 0], [2, 0]], [0, 0, 0]), SIZE);
    assert_eq!(why(judge(&[[1, 0], [2, 0]], [1, 63, 0])), impossible);
}

#[test]
fn broken_tables_are_refused() {
    let broken = "a quantization table is broken";
    for payload in [&[4][..], &[0], &[0; 64], &[0x10; 65], &[0; 66]] {
        assert_eq!(why(with(&segment(0xdb, payload))), broken, "{payload:?}");
    }
    assert_eq!(with(&segment(0xdb, &[])), SIZE);
    assert_eq!(with(&segment(0xdb, &[0x10; 129])), SIZE, "with pairs of bytes");
    let broken = "a Huffman table is broken";
    let counts = |count: u8, symbols: usize| {
        let mut table = vec![3; 17 + symbols];
        table[1..17].fill(count);
        segment(0xc4, &table)
    };
    for table in [counts(1, 15), counts(17, 272), segment(0xc4, &[3; 16]), huffman(0x04, &[1])] {
        assert_eq!(why(with(&table)), broken, "{table:?}");
    }
    assert_eq!(with(&segment(0xc4, &[])), SIZE);
    assert_eq!(with(&counts(1, 16)), SIZE, "a table that no scan needs may be impossible");
    let symbols: Vec<u8> = (0..=255).collect();
    for (head, symbols) in [(0x00, &[16][..]), (0x10, &symbols[..255]), (0x10, &symbols[1..])] {
        let is_sound = head == 0x10;
        assert_eq!(with(&huffman(head, symbols)).is_ok(), is_sound, "{head:x} {symbols:?}");
    }
    let mut full = [0; 19];
    (full[1], full[18]) = (2, 1);
    assert_eq!(why(with(&segment(0xc4, &full))), broken, "the code of all ones");
    for payload in [&[1][..], &[32, 0], &[0, 0x01]] {
        let broken = "a table for arithmetic coding is broken";
        assert_eq!(why(with(&segment(0xcc, payload))), broken, "{payload:?}");
    }
    assert_eq!(with(&segment(0xcc, &[0, 0x10, 31, 0x01])), SIZE);
    for payload in [&[][..], &[1], &[0, 0, 0]] {
        assert_eq!(why(with(&segment(0xdd, payload))), "its DRI is broken", "{payload:?}");
    }
}

#[test]
fn a_scan_with_restarts_is_searched_past_reserved_markers() {
    let stray = vec![0xff, 0x05, 1, 2, 3];
    let plain = [quantization(0), frame(0xc0, &GREY), grey_scan(), stray];
    assert!(judged(&plain).is_err());
    assert_eq!(judged(&[&[segment(0xdd, &[0, 1])], &plain[..]].concat()), SIZE);
}

#[test]
fn a_lossless_picture_is_accepted_if_decoders_need_not_convert_colours() {
    let colour = [[1, 0x11, 0], [2, 0x11, 0], [3, 0x11, 0]];
    let judge = |extra: &[u8], parameters| {
        let scan = scan(&[[1, 0], [2, 0], [3, 0]], parameters);
        judged(&[extra.to_vec(), huffman(0, &[16]), frame(0xc3, &colour), scan])
    };
    assert_eq!(judge(&[], [1, 0, 0]), SIZE);
    assert_eq!(judge(&[], [7, 0, 7]), SIZE);
    for wrong in [[0, 0, 0], [8, 0, 0], [1, 1, 0], [1, 0, 8], [1, 0, 0x10]] {
        assert!(judge(&[], wrong).is_err(), "{wrong:x?}");
    }
    let jfif = segment(0xe0, b"JFIF\0\x01\x01\0\0\x01\0\x01\0\0");
    let adobe = |transform| segment(0xee, &[b"Adobe\0\0\0\0\0\0", &[transform][..]].concat());
    let colours = "it is lossless and its colours are not RGB";
    assert_eq!(why(judge(&jfif, [1, 0, 0])), colours);
    assert_eq!(why(judge(&adobe(1), [1, 0, 0])), colours);
    assert_eq!(judge(&adobe(0), [1, 0, 0]), SIZE);
    assert_eq!(judge(&segment(0xdd, &[0, 6]), [1, 0, 0]), SIZE);
    let restarts = "it is lossless and restarts within a row of pixels";
    assert_eq!(why(judge(&segment(0xdd, &[0, 2]), [1, 0, 0])), restarts);
}
