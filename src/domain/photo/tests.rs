//! The judgement of whole files: samples from public bug reports, and the limits.

use std::{fs, path::Path};

use super::*;

/// The pictures made after public bug reports, each with its refusal. An empty sentence stands for
/// "accepted".
const FIELD: [(&str, &str); 16] = [
    (
        "avif-with-brand-mif1.jpg",
        "is neither a JPEG nor a PNG but an AVIF; convert it to JPEG or PNG",
    ),
    ("control-sound.jpg", ""),
    ("control-sound.png", ""),
    (
        "cut-in-half-then-a-whole-second-jpeg.jpg",
        "is cut off: another JPEG starts before this one has ended; send the whole file",
    ),
    (
        "height-0-with-dnl.jpg",
        "is a JPEG of a kind that is not supported: its header gives no height (as with a DNL \
         marker); re-save it as JPEG or PNG",
    ),
    ("idat-empty.png", "is not a sound PNG: it has no pixels (IDAT); re-save it as JPEG or PNG"),
    (
        "iend-without-crc.png",
        "is cut off: the PNG's last chunk (IEND) is missing or not whole; send the whole file",
    ),
    (
        "ihdr-colour-5.png",
        "is not a sound PNG: its colour type doesn't exist, or not in this bit depth; re-save it \
         as JPEG or PNG",
    ),
    ("junk-1-zero-byte-after-app0.jpg", ""),
    ("junk-7-bytes-between-segments.jpg", ""),
    ("no-eoi-then-trailer-that-holds-ffd9.jpg", ""),
    ("no-eoi.jpg", "is cut off: the JPEG's end-of-image marker is missing; send the whole file"),
    (
        "no-tables.jpg",
        "is not a sound JPEG: a quantization table is missing; re-save it as JPEG or PNG",
    ),
    (
        "palette-without-plte.png",
        "is not a sound PNG: its palette (PLTE) is missing; re-save it as JPEG or PNG",
    ),
    ("segment-00e1-instead-of-ffe1.jpg", ""),
    (
        "sof-precision-0.jpg",
        "is a JPEG of a kind that is not supported: its samples have other than 8 bits; re-save \
         it as JPEG or PNG",
    ),
];

fn sentence(bytes: &[u8]) -> String {
    inspect(bytes).map_or_else(|refusal| refusal.to_string(), |_| String::new())
}

#[test]
fn each_picture_from_a_bug_report_gets_its_sentence() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/photo");
    for (name, expected) in FIELD {
        let bytes = fs::read(folder.join(name)).unwrap();
        assert_eq!(sentence(&bytes), expected, "{name}");
    }
}

#[test]
fn sizes_are_limited_by_side_and_by_area() {
    let check = |width, height| Size { width, height }.check(Format::Png);
    assert_eq!(check(1, 1), Ok(()));
    assert_eq!([check(20_000, 5_000), check(5_000, 20_000)], [Ok(()); 2]);
    let nothing = Unreadable::Unsound { format: Format::Png, why: "it has no pixels" };
    assert_eq!([check(0, 5), check(5, 0)], [Err(nothing); 2]);
    for (width, height) in [(20_001, 1), (1, 20_001), (20_000, 5_001), (u32::MAX, u32::MAX)] {
        let refusal = Unreadable::TooManyPixels { width, height };
        assert_eq!(check(width, height), Err(refusal));
    }
}

#[test]
fn a_photo_may_be_as_large_as_oz_accepts() {
    assert_eq!(BYTES_MAX, 10_485_760);
}

#[test]
fn formats_have_the_names_that_oz_knows() {
    let named = |format: Format| (format.content_type(), format.extension());
    assert_eq!(named(Format::Jpeg), ("image/jpeg", "jpg"));
    assert_eq!(named(Format::Png), ("image/png", "png"));
}

#[test]
fn kinds_have_the_tags_that_oz_knows() {
    assert_eq!(PhotoKind::Selfie.tags(), ["photo_selfie"]);
    assert_eq!(PhotoKind::IdFront.tags(), ["photo_id", "photo_id_front"]);
}
