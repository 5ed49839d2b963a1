//! PNGs whose pixels are never decompressed: zlib's header and a few bytes are enough.

use super::*;
use crate::domain::photo::inspect;

const PIXELS: &[u8] = b"\x78\x9cpixels";

fn chunk(name: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let length = u32::try_from(data.len()).unwrap().to_be_bytes();
    let checksum = crc32fast::hash(&[&name[..], data].concat()).to_be_bytes();
    [&length[..], name, data, &checksum].concat()
}

fn header(width: u32, height: u32, last: [u8; 5]) -> Vec<u8> {
    let data = [&width.to_be_bytes()[..], &height.to_be_bytes(), &last].concat();
    chunk(b"IHDR", &data)
}

/// A header of 3 x 2 pixels.
fn small(depth: u8, colour: u8) -> Vec<u8> {
    header(3, 2, [depth, colour, 0, 0, 0])
}

fn idat() -> Vec<u8> {
    chunk(b"IDAT", PIXELS)
}

fn iend() -> Vec<u8> {
    chunk(b"IEND", b"")
}

fn png(chunks: &[Vec<u8>]) -> Vec<u8> {
    [SIGNATURE, &chunks.concat()].concat()
}

fn judged(chunks: &[Vec<u8>]) -> Result<Size, Unreadable> {
    size(&png(chunks))
}

/// The reason why a PNG is refused.
fn why(chunks: &[Vec<u8>]) -> &'static str {
    match judged(chunks) {
        Err(
            Unreadable::Unsound { why, .. }
            | Unreadable::Unsupported { why, .. }
            | Unreadable::CutOff(why),
        ) => why,
        other => panic!("{other:?}"),
    }
}

const SIZE: Result<Size, Unreadable> = Ok(Size { width: 3, height: 2 });

#[test]
fn a_whole_png_with_a_trailer_is_accepted_and_a_cut_one_is_not() {
    let png = png(&[small(8, 2), chunk(b"tEXt", b"a"), idat(), chunk(b"tEXt", b"b"), iend()]);
    assert_eq!(inspect(&[&png[..], b"trailer"].concat()), Ok(Format::Png));
    for length in 8..png.len() {
        assert_eq!(inspect(&png[..length]), Err(cut_off()), "cut at {length}");
    }
    assert_eq!(size(&png), SIZE);
}

#[test]
fn a_png_is_its_header_then_its_pixels_then_its_end() {
    let text = || chunk(b"tEXt", b"a");
    assert_eq!(judged(&[small(8, 2), text(), idat(), idat(), text(), iend()]), SIZE);
    let start = "it doesn't start with its header (IHDR)";
    assert_eq!(why(&[text(), small(8, 2), idat(), iend()]), start);
    assert_eq!(why(&[small(8, 2), text(), iend()]), "it has no pixels (IDAT)");
    for second in [[small(8, 2), idat()], [idat(), small(8, 2)]] {
        assert_eq!(why(&[small(8, 2), second.concat(), iend()]), "it has two headers (IHDR)");
    }
    let between = "other chunks lie between its pixels (IDAT)";
    assert_eq!(why(&[small(8, 2), idat(), text(), idat(), iend()]), between);
    let empty = chunk(b"IDAT", b"");
    assert_eq!(why(&[small(8, 2), empty, text(), idat(), iend()]), between);
    let name = "a chunk's name is not four letters";
    assert_eq!(why(&[small(8, 2), chunk(b"tE4t", b"a"), idat(), iend()]), name);
    let critical = "it has a critical chunk that is not in the standard";
    assert_eq!(why(&[small(8, 2), chunk(b"ABCD", b"a"), idat(), iend()]), critical);
    let apple = "it is made only for Apple devices";
    assert_eq!(why(&[chunk(b"CgBI", b"a"), small(8, 2), idat(), iend()]), apple);
}

#[test]
fn only_bit_depths_of_the_standard_are_accepted() {
    let palette = || chunk(b"PLTE", &[0; 6]);
    for depth in 0..=32 {
        for colour in 0..=8 {
            let is_sound = matches!(
                (colour, depth),
                (0, 1 | 2 | 4 | 8 | 16) | (2 | 4 | 6, 8 | 16) | (3, 1 | 2 | 4 | 8)
            );
            let judgement = judged(&[small(depth, colour), palette(), idat(), iend()]);
            assert_eq!(judgement.is_ok(), is_sound, "{colour} {depth}: {judgement:?}");
        }
    }
}

#[test]
fn the_header_has_thirteen_bytes_and_known_methods() {
    for (last, is_sound) in [([8, 2, 0, 0, 1], true), ([8, 2, 0, 0, 2], false)].into_iter().chain([
        ([8, 2, 1, 0, 0], false),
        ([8, 2, 0, 1, 0], false),
        ([8, 2, 0, 64, 0], false),
    ]) {
        assert_eq!(judged(&[header(3, 2, last), idat(), iend()]).is_ok(), is_sound, "{last:?}");
    }
    for length in [0, 12, 14] {
        let header = chunk(b"IHDR", &[1; 14][..length]);
        assert_eq!(why(&[header, idat(), iend()]), "its header (IHDR) is not 13 bytes long");
    }
    for (width, height) in [(0, 1), (1, 0)] {
        assert_eq!(why(&[header(width, height, [8, 2, 0, 0, 0])]), "it has no pixels");
    }
}

#[test]
fn an_indexed_picture_has_one_palette_before_its_pixels() {
    let palette = |bytes: usize| chunk(b"PLTE", &vec![7; bytes]);
    for bytes in [3, 765, 768] {
        assert_eq!(judged(&[small(8, 3), palette(bytes), idat(), iend()]), SIZE, "{bytes}");
    }
    for bytes in [0, 1, 4, 769, 771] {
        let colours = "its palette (PLTE) is not 1 to 256 colours";
        assert_eq!(why(&[small(8, 3), palette(bytes), idat(), iend()]), colours, "{bytes}");
        assert_eq!(judged(&[small(8, 2), palette(bytes), idat(), iend()]), SIZE, "{bytes}");
    }
    assert_eq!(why(&[small(8, 3), idat(), iend()]), "its palette (PLTE) is missing");
    assert_eq!(why(&[small(8, 3), idat(), palette(3), iend()]), "its palette (PLTE) is missing");
    let two = [small(8, 3), palette(3), palette(3), idat(), iend()];
    assert_eq!(why(&two), "it has two palettes (PLTE)");
    assert_eq!(judged(&[small(8, 3), palette(3), idat(), palette(3), iend()]), SIZE);
}

#[test]
fn the_checksums_of_chunks_that_decoders_read_are_compared() {
    let wrong = "a checksum is wrong, so its bytes were changed";
    let damaged = |mut chunk: Vec<u8>, at: usize| {
        chunk[at] ^= 1;
        chunk
    };
    let palette = || chunk(b"PLTE", &[7; 3]);
    let (header, length) = (small(8, 3), small(8, 3).len());
    assert_eq!(why(&[damaged(header, length - 1), palette(), idat(), iend()]), wrong);
    assert_eq!(why(&[small(8, 3), damaged(palette(), 8), idat(), iend()]), wrong);
    for at in 10..idat().len() {
        assert_eq!(why(&[small(8, 2), damaged(idat(), at), iend()]), wrong, "{at}");
    }
    let text = chunk(b"tEXt", b"title");
    let is_taken = |text| judged(&[small(8, 2), text, idat(), iend()]) == SIZE;
    assert!((8..text.len()).all(|at| is_taken(damaged(text.clone(), at))));
}

#[test]
fn of_an_animation_only_the_first_picture_counts() {
    let control = chunk(b"acTL", &[0, 0, 0, 2, 0, 0, 0, 0]);
    let behind = [chunk(b"ABCD", b"a"), chunk(b"fd4T", b"a"), small(8, 2)].concat();
    let mut pixels = idat();
    pixels[10] ^= 1;
    let animated = [small(8, 2), control.clone(), pixels, behind.clone(), iend()];
    assert_eq!(judged(&animated), SIZE);
    assert!(judged(&[small(8, 2), idat(), control.clone(), behind, iend()]).is_err());
    let between = "other chunks lie between its pixels (IDAT)";
    for chunks in [[control.clone(), idat(), control.clone()], [idat(), control.clone(), control]] {
        assert_eq!(why(&[small(8, 2), chunks.concat(), idat(), iend()]), between);
    }
}

#[test]
fn the_pixels_are_one_zlib_stream() {
    let judge = |parts: &[&[u8]]| {
        let pixels: Vec<_> = parts.iter().map(|part| chunk(b"IDAT", part)).collect();
        judged(&[small(8, 2), pixels.concat(), iend()])
    };
    for sound in [&[PIXELS][..], &[b"", PIXELS], &[&PIXELS[..1], b"", &PIXELS[1..], b""]] {
        assert_eq!(judge(sound), SIZE, "{sound:?}");
    }
    for empty in [&[&b""[..]][..], &[b"", b""], &[&PIXELS[..1]], &[&PIXELS[..2]]] {
        assert!(judge(empty).is_err(), "{empty:?}");
    }
    for sound in [[0x08, 0x1d], [0x78, 0x01], [0x78, 0xda]] {
        assert_eq!(judge(&[&sound, b"pixels"]), SIZE, "{sound:x?}");
    }
    for wrong in [[0x78, 0x9d], [0x88, 0x1c], [0x77, 0x09], [0x78, 0xbb]] {
        assert!(judge(&[&wrong, b"pixels"]).is_err(), "{wrong:x?}");
    }
}

#[test]
fn streams_too_short_for_the_pixels_are_refused() {
    // 8 bytes become 8,256 at the most.
    let sized = |width, height| judged(&[header(width, height, [8, 0, 0, 0, 0]), idat(), iend()]);
    assert!(sized(8255, 1).is_ok() && sized(1, 4128).is_ok());
    for (width, height) in [(8256, 1), (1, 4129), (10_000, 10_000)] {
        let fewer = "its pixels (IDAT) are fewer than its header says";
        let judgement = sized(width, height);
        assert_eq!(judgement, Err(unsound(fewer)), "{width} x {height}");
    }
    let bits = |width| judged(&[header(width, 1, [1, 0, 0, 0, 0]), idat(), iend()]);
    assert!(bits(20_000).is_ok(), "eight pixels a byte");
}

#[test]
fn a_decompression_bomb_is_recognised_by_its_header() {
    let bomb = &png(&[header(100_000, 100_000, [8, 2, 0, 0, 0])])[..33];
    let expected = Unreadable::TooManyPixels { width: 100_000, height: 100_000 };
    assert_eq!(inspect(bomb), Err(expected));
}
