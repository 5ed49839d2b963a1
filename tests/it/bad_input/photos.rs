//! Photos that are none, or too large.

use bytes::Bytes;
use facematch::simulator::sample;

use super::{Case, Expected, uuid};
use crate::support::request;

/// The most bytes of a photo.
pub const BYTES_MAX: usize = 10 * 1024 * 1024;

/// Every row of this table.
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

fn unreadable() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    const NEITHER: &str = "neither a JPEG nor a PNG";
    let (jpeg, png) = (sample::portrait_jpeg(), sample::portrait_png());
    vec![
        ("an empty photo", vec![], "is empty"),
        ("one byte", vec![0xff], NEITHER),
        ("text", b"hello".to_vec(), NEITHER),
        ("a PDF", b"%PDF-1.7\n%\xff\xd8\xff".to_vec(), NEITHER),
        ("an SVG", b"<svg xmlns='http://www.w3.org/2000/svg'/>".to_vec(), NEITHER),
        ("a GIF", b"GIF89a\x01\0\x01\0\0\0\0;".to_vec(), NEITHER),
        ("a WebP", b"RIFF\x1a\0\0\0WEBPVP8L\x0d\0\0\0\x2f\0\0\0".to_vec(), NEITHER),
        ("a ZIP", b"PK\x03\x04\x14\0\0\0\x08\0".to_vec(), NEITHER),
        ("a photo in base64", b"/9j/4AAQSkZJRgABAQAAAQABAAD/2wBD".to_vec(), NEITHER),
        ("a JPEG behind a byte", [b" ", jpeg].concat(), NEITHER),
        ("10 MiB of nothing", vec![0; BYTES_MAX], NEITHER),
        ("a HEIC", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic".to_vec(), "HEIC"),
        ("a PNG of 100,000 x 100,000", png_header(100_000, 100_000), "100000 x 100000 pixels"),
        ("a PNG of all the pixels there are", png_header(u32::MAX, u32::MAX), "pixels"),
        ("a PNG without pixels", png_header(0, 10), "no pixels"),
        ("a JPEG's first bytes", jpeg[..3].to_vec(), "cut off"),
        ("half a JPEG", jpeg[..jpeg.len() / 2].to_vec(), "cut off"),
        ("a JPEG without its end", jpeg[..jpeg.len() - 2].to_vec(), "cut off"),
        ("half a PNG", png[..png.len() / 2].to_vec(), "cut off"),
        ("a PNG without its end", png[..png.len() - 12].to_vec(), "cut off"),
        ("1 MB of EXIF, then nothing", with_exif(&jpeg[..2], 1_000_000), "cut off"),
        ("10 MiB of a JPEG's beginning", with_exif(&jpeg[..2], 10_000_000), "cut off"),
    ]
}

/// A JPEG with this much EXIF, in as many segments as it takes.
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

/// The portrait with trailing bytes up to a size.
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
