//! Bytes that are no photo, and photos that are too large.

use base64::Engine;
use bytes::Bytes;
use facematch::simulator::sample;

use super::{Case, Expected, uuid};
use crate::support::request;

/// The maximum size of a photo in bytes.
pub const BYTES_MAX: usize = 10 * 1024 * 1024;

/// All rows of this file.
pub fn cases() -> Vec<Case> {
    let unreadable = unreadable().into_iter().flat_map(|(name, bytes, words)| {
        both(name, bytes.into(), move || {
            Expected::named("PHOTO_UNREADABLE", &["photo.content"], words)
        })
    });
    let sizes = [BYTES_MAX + 1, BYTES_MAX + 300 * 1024, 3 * BYTES_MAX];
    let too_large = sizes.into_iter().flat_map(|bytes| {
        both(&format!("{bytes} bytes"), padded(bytes), || {
            Expected::named("PHOTO_TOO_LARGE", &["photo.content"], "10 MiB")
        })
    });
    unreadable.chain(too_large).collect()
}

fn both(name: &str, photo: Bytes, expected: impl Fn() -> Expected) -> [Case; 2] {
    let request = request(&uuid(), photo);
    ["RunMatch", "CreateMatch"].map(|rpc| Case::request(name, rpc, &request, expected()))
}

fn unreadable() -> Vec<Row> {
    [no_picture(), other_formats(), wrongly_encoded(), cut_off(), from_bug_reports()].concat()
}

type Row = (&'static str, Vec<u8>, &'static str);

fn no_picture() -> Vec<Row> {
    const NEITHER: &str = "neither a JPEG nor a PNG";
    vec![
        ("an empty photo", vec![], "is empty"),
        ("one byte", vec![0xff], NEITHER),
        ("10 MiB of zeros", vec![0; BYTES_MAX], NEITHER),
        ("text", b"hello".to_vec(), "but text"),
        ("a PNG of 100,000 x 100,000", png_header(100_000, 100_000), "100000 x 100000 pixels"),
        ("a PNG of the maximum dimensions", png_header(u32::MAX, u32::MAX), "pixels"),
        ("a PNG without pixels", png_header(0, 10), "no pixels"),
    ]
}

fn other_formats() -> Vec<Row> {
    vec![
        ("a PDF", b"%PDF-1.7\n%\xff\xd8\xff".to_vec(), "a PDF; convert it"),
        ("an SVG", b"<svg xmlns='http://www.w3.org/2000/svg'/>".to_vec(), "an SVG; convert it"),
        ("a GIF", b"GIF89a\x01\0\x01\0\0\0\0;".to_vec(), "a GIF; convert it"),
        ("a BMP", b"BM\x36\0\0\0\0\0\0\0".to_vec(), "a BMP; convert it"),
        ("a TIFF", b"II*\0\x08\0\0\0".to_vec(), "a TIFF or a camera's raw picture; convert it"),
        ("a WebP", b"RIFF\x1a\0\0\0WEBPVP8L\x0d\0\0\0".to_vec(), "a WebP; convert it"),
        ("a HEIC", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic".to_vec(), "a HEIC photo; convert it"),
        ("a JPEG XL", b"\xff\x0a\xfa\x1f\x01\x90".to_vec(), "a JPEG XL; convert it"),
        ("a JPEG 2000", b"\0\0\0\x0cjP  \r\n\x87\n".to_vec(), "a JPEG 2000; convert it"),
        ("a film", b"\0\0\0\x18ftypmp42\0\0\0\0isom".to_vec(), "a film; convert it"),
        ("a ZIP", b"PK\x03\x04\x14\0\0\0\x08\0".to_vec(), "a ZIP archive"),
    ]
}

/// Photos in another encoding, and error pages: mistakes that callers make.
fn wrongly_encoded() -> Vec<Row> {
    let jpeg = sample::portrait_jpeg();
    let base64 = base64::engine::general_purpose::STANDARD.encode(jpeg);
    let hex: String = jpeg.iter().map(|byte| format!("{byte:02x}")).collect();
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n";
    let changed = "changed as if it were text";
    let latin_1: String = jpeg.iter().copied().map(char::from).collect();
    let table = [
        ("a photo in base64", base64.clone(), "base64 text"),
        ("a data URI", format!("data:image/jpeg;base64,{base64}"), "a data URI"),
        ("PostgreSQL's hex", format!("\\x{hex}"), "hexadecimal text"),
        ("plain hex", hex, "hexadecimal text"),
        ("an HTML page", "<!DOCTYPE html>\n<html><title>404</title>".into(), "an HTML page"),
        ("a JSON error", r#"{"error":"not found"}"#.into(), "JSON"),
        ("an XML error", "<?xml version=\"1.0\"?>\n<Error/>".into(), "XML"),
        ("a Git LFS pointer", pointer.into(), "a Git LFS pointer"),
        ("a URL", "https://example.org/photo.jpg".into(), "an address"),
        ("a JPEG read as UTF-8", String::from_utf8_lossy(jpeg).into(), changed),
        ("a PNG read as UTF-8", String::from_utf8_lossy(sample::portrait_png()).into(), changed),
        ("a JPEG read as Latin-1", latin_1, changed),
    ];
    let behind = ("a JPEG after a stray byte", [b" ", jpeg].concat(), "behind other bytes");
    table
        .map(|(name, text, words)| (name, text.into_bytes(), words))
        .into_iter()
        .chain([behind])
        .collect()
}

fn cut_off() -> Vec<Row> {
    let (jpeg, png) = (sample::portrait_jpeg(), sample::portrait_png());
    vec![
        ("a JPEG's first bytes", jpeg[..3].to_vec(), "cut off"),
        ("half a JPEG", jpeg[..jpeg.len() / 2].to_vec(), "cut off"),
        ("a JPEG without its end", jpeg[..jpeg.len() - 2].to_vec(), "cut off"),
        ("half a JPEG before a whole one", [&jpeg[..jpeg.len() / 2], jpeg].concat(), "cut off"),
        ("half a PNG", png[..png.len() / 2].to_vec(), "cut off"),
        ("a PNG without its end", png[..png.len() - 12].to_vec(), "cut off"),
        ("1 MB of EXIF, then nothing", with_exif(&jpeg[..2], 1_000_000), "cut off"),
        ("10 MiB of a JPEG's beginning", with_exif(&jpeg[..2], 10_000_000), "cut off"),
    ]
}

/// Pictures made after public bug reports.
fn from_bug_reports() -> Vec<Row> {
    [
        ("avif-with-brand-mif1.jpg", "an AVIF; convert it"),
        ("cut-in-half-then-a-whole-second-jpeg.jpg", "cut off: another JPEG starts"),
        ("height-0-with-dnl.jpg", "of a kind that is not supported: its header gives no height"),
        ("idat-empty.png", "not a sound PNG: it has no pixels (IDAT)"),
        ("iend-without-crc.png", "last chunk (IEND) is missing or not whole"),
        ("ihdr-colour-5.png", "not a sound PNG: its colour type doesn't exist"),
        ("no-eoi.jpg", "cut off: the JPEG's end-of-image marker is missing"),
        ("no-tables.jpg", "not a sound JPEG: a quantization table is missing"),
        ("palette-without-plte.png", "not a sound PNG: its palette (PLTE) is missing"),
        ("sof-precision-0.jpg", "not supported: its samples have other than 8 bits"),
    ]
    .map(|(name, words)| (name, field(name), words))
    .into()
}

/// The other pictures made after bug reports: decoders accept them, so they are accepted unchanged.
pub const SOUND: [&str; 6] = [
    "control-sound.jpg",
    "control-sound.png",
    "junk-1-zero-byte-after-app0.jpg",
    "junk-7-bytes-between-segments.jpg",
    "no-eoi-then-trailer-that-holds-ffd9.jpg",
    "segment-00e1-instead-of-ffe1.jpg",
];

/// A picture made after a bug report, from the fuzzer's corpus.
pub fn field(name: &str) -> Vec<u8> {
    let path = format!("{}/fuzz/corpus/photo/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A JPEG with `bytes` bytes of EXIF, in as many segments as needed.
pub fn with_exif(jpeg: &[u8], bytes: usize) -> Vec<u8> {
    const SEGMENT_BYTES_MAX: usize = 0xffff - 2;
    let exif = b"Exif\0\0MM\0\x2a\0\0\0\x08\0\0\0\0\0\0".to_vec();
    let payload: Vec<u8> = exif.into_iter().chain(std::iter::repeat(0xd9)).take(bytes).collect();
    let segments = payload.chunks(SEGMENT_BYTES_MAX).flat_map(|part| {
        let length = u16::try_from(part.len() + 2).expect("a segment's length").to_be_bytes();
        [&[0xff, 0xe1], &length[..], part].concat()
    });
    let (start, rest) = jpeg.split_at(2);
    start.iter().copied().chain(segments).chain(rest.iter().copied()).collect()
}

/// The portrait, padded at its end to `bytes` bytes.
pub fn padded(bytes: usize) -> Bytes {
    let mut photo = sample::portrait_jpeg().to_vec();
    photo.resize(bytes, 0);
    photo.into()
}

fn png_header(width: u32, height: u32) -> Vec<u8> {
    let mut png = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR".to_vec();
    png.extend(width.to_be_bytes());
    png.extend(height.to_be_bytes());
    png.extend([8, 2, 0, 0, 0, 0, 0, 0, 0]);
    png
}
