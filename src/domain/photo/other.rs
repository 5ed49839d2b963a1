//! Names bytes that are neither a JPEG nor a PNG, so that their sender can see the mistake.
//!
//! It looks only at how they start, and deliberately judges nothing: all bytes that reach it are
//! refused.

use super::Unreadable;

const CONVERT: &str = "convert it to JPEG or PNG";
const AS_BYTES: &str = "send the bytes that it stands for";
const RELOAD: &str = "check what the photo's server answered";
const ALONE: &str = "send only the bytes of the photo";

/// How many bytes are searched for a word.
const BEGINNING_BYTES: usize = 256;

/// The refusal for bytes that start neither as a JPEG nor as a PNG.
pub fn name(bytes: &[u8]) -> Unreadable {
    let named = picture(bytes)
        .map(|what| (what, CONVERT))
        .or_else(|| mangled(bytes).or_else(|| wrapped(bytes)).or_else(|| text(bytes)));
    named.map_or(Unreadable::UnknownFormat, |(what, remedy)| Unreadable::Other { what, remedy })
}

/// Pictures, films and documents, recognised by their magic numbers.
fn picture(bytes: &[u8]) -> Option<&'static str> {
    const MAGIC: [(&[u8], &str); 14] = [
        (b"GIF8", "a GIF"),
        (b"BM", "a BMP"),
        (b"II*\0", "a TIFF or a camera's raw picture"),
        (b"MM\0*", "a TIFF or a camera's raw picture"),
        (b"II+\0", "a TIFF"),
        (b"MM\0+", "a TIFF"),
        (b"\xff\x0a", "a JPEG XL"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "a JPEG XL"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "a JPEG 2000"),
        (b"\xff\x4f\xff\x51", "a JPEG 2000"),
        (b"8BPS", "a Photoshop file"),
        (b"%PDF-", "a PDF"),
        (b"\0\0\x01\0", "an icon (ICO)"),
        (b"\x1aE\xdf\xa3", "a film"),
    ];
    let magic = MAGIC.iter().find(|(magic, _)| bytes.starts_with(magic));
    magic.map(|(_, what)| *what).or_else(|| match bytes {
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some("a WebP"),
        [_, _, _, _, b'f', b't', b'y', b'p', brands @ ..] => Some(base_media(brands)),
        _ => None,
    })
}

/// An ISO base media file, recognised by its brands (HEIF's are in ISO/IEC 23008-12). `mif1` and
/// `msf1` stand for both HEIC and AVIF, so the compatible brands are examined as well.
fn base_media(brands: &[u8]) -> &'static str {
    let (brands, _) = brands[..brands.len().min(BEGINNING_BYTES)].as_chunks::<4>();
    // The second word is a version.
    let mut brands = brands.iter().enumerate().filter(|(at, _)| *at != 1).map(|(_, brand)| brand);
    let named = brands.clone().find_map(|brand| match brand {
        b"avif" | b"avis" => Some("an AVIF"),
        b"heic" | b"heix" | b"heim" | b"heis" | b"hevc" | b"hevx" | b"hevm" | b"hevs" => {
            Some("a HEIC photo")
        }
        b"crx " => Some("a camera's raw picture"),
        _ => None,
    });
    let is_heif = brands.any(|brand| matches!(brand, b"mif1" | b"msf1" | b"mif2"));
    named.unwrap_or(if is_heif { "a HEIF photo" } else { "a film" })
}

/// Pictures that were read or sent as text, and so damaged.
fn mangled(bytes: &[u8]) -> Option<(&'static str, &'static str)> {
    const MANGLED: [&[u8]; 8] = [
        // U+FFFD for each byte that is not UTF-8.
        b"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd",
        b"\xef\xbf\xbdPNG",
        // Latin-1 or Windows-1252 written as UTF-8.
        b"\xc3\xbf\xc3\x98\xc3\xbf",
        b"\xc2\x89PNG",
        b"\xe2\x80\xb0PNG",
        // Line breaks changed, or the eighth bit lost.
        b"\x89PNG",
        b"\x09PNG",
        // Question marks in place of bytes that are not ASCII.
        b"?PNG",
    ];
    let is_mangled = MANGLED.iter().any(|start| bytes.starts_with(start));
    is_mangled
        .then_some(("a picture that was changed as if it were text", "send its bytes unchanged"))
}

/// Photos wrapped in another format.
fn wrapped(bytes: &[u8]) -> Option<(&'static str, &'static str)> {
    let beginning = &bytes[..bytes.len().min(BEGINNING_BYTES)];
    let has = |part: &[u8]| beginning.windows(part.len()).any(|window| window == part);
    match bytes {
        [0x1f, 0x8b, ..] => Some(("compressed with gzip", AS_BYTES)),
        [b'P', b'K', 3, 4, ..] => Some(("a ZIP archive or an office document", ALONE)),
        [b'-', b'-', ..] if has(b"\nContent-Disposition:") => {
            Some(("the body of a multipart form", ALONE))
        }
        _ if beginning.is_ascii() => None,
        _ if has(b"\xff\xd8\xff") || has(b"\x89PNG\r\n\x1a\n") => {
            Some(("a JPEG or PNG behind other bytes", ALONE))
        }
        _ => None,
    }
}

/// Text formats by how they start, in lower case, after white space, a byte order mark and a
/// quotation mark. The first match wins.
const TEXTS: [(&[&[u8]], &str, &str); 10] = [
    (&[b"data:"], "a data URI", "send the bytes that its base64 stands for"),
    (&[b"\\x", b"ffd8ff", b"0xffd8ff", b"89504e47", b"0x89504e47"], "hexadecimal text", AS_BYTES),
    (&[b"b'", b"b\""], "bytes printed as text", AS_BYTES),
    (&[b"<!doctype html", b"<html", b"<head", b"<body"], "an HTML page", RELOAD),
    (&[b"<svg"], "an SVG", CONVERT),
    (&[b"<"], "XML", RELOAD),
    (&[b"version https://git-lfs"], "a Git LFS pointer", "fetch the file itself (git lfs pull)"),
    (&[b"[255,", b"255,216,", b"[137,", b"137,80,", NODE_BUFFER], "a list of numbers", AS_BYTES),
    (&[b"{", b"["], "JSON", RELOAD),
    (
        &[b"http://", b"https://", b"file://", b"s3://"],
        "an address",
        "send the file at that address",
    ),
];

/// A Buffer of Node.js as JSON.
const NODE_BUFFER: &[u8] = b"{\"type\":\"buffer\"";

fn text(bytes: &[u8]) -> Option<(&'static str, &'static str)> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let beginning = bytes[..bytes.len().min(BEGINNING_BYTES)].trim_ascii_start();
    let unquoted = beginning.strip_prefix(b"\"").unwrap_or(beginning);
    let lower = unquoted.to_ascii_lowercase();
    if lower.starts_with(b"<?xml") && lower.windows(4).any(|part| part == b"<svg") {
        return Some(("an SVG", CONVERT));
    }
    let starts = |starts: &[&[u8]]| starts.iter().any(|start| lower.starts_with(start));
    let named = TEXTS.iter().find(|(beginnings, ..)| starts(beginnings));
    named.map(|(_, what, remedy)| (*what, *remedy)).or_else(|| {
        if is_base64(unquoted) {
            Some(("base64 text", AS_BYTES))
        } else if is_text(beginning) {
            Some(("text", "send the bytes of a JPEG or PNG"))
        } else {
            None
        }
    })
}

/// Whether it is a JPEG or PNG in base64, or any long run of base64 characters.
fn is_base64(beginning: &[u8]) -> bool {
    const PICTURES: [&[u8]; 3] = [b"/9j/", b"_9j_", b"iVBORw0KGg"];
    const FEWEST: usize = 64;
    let is_of_it = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/-_=\r\n".contains(byte);
    PICTURES.iter().any(|start| beginning.starts_with(start))
        || beginning.len() >= FEWEST && beginning.iter().all(is_of_it)
}

fn is_text(beginning: &[u8]) -> bool {
    !beginning.is_empty()
        && beginning.iter().all(|byte| byte.is_ascii_graphic() || byte.is_ascii_whitespace())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(bytes: &[u8]) -> (&'static str, &'static str) {
        match name(bytes) {
            Unreadable::Other { what, remedy } => (what, remedy),
            other => panic!("{bytes:?}: {other:?}"),
        }
    }

    /// An ISO base media file with a major brand and two compatible ones.
    fn base_media(major: &[u8; 4], compatible: &[u8; 8]) -> Vec<u8> {
        [&b"\0\0\0\x18ftyp"[..], major, b"\0\0\0\0", compatible, b"\0\0\0\x08free"].concat()
    }

    #[test]
    fn other_picture_formats_are_named() {
        let table: [(&[u8], &str); 16] = [
            (b"GIF89a\x01\0\x01\0\0\0\0;", "a GIF"),
            (b"BM\x36\0\0\0", "a BMP"),
            (b"II*\0\x08\0\0\0", "a TIFF or a camera's raw picture"),
            (b"MM\0*\0\0\0\x08", "a TIFF or a camera's raw picture"),
            (b"RIFF\x1a\0\0\0WEBPVP8L", "a WebP"),
            (b"\xff\x0a\xfa\x1f", "a JPEG XL"),
            (b"\0\0\0\x0cJXL \r\n\x87\n", "a JPEG XL"),
            (b"\0\0\0\x0cjP  \r\n\x87\n", "a JPEG 2000"),
            (b"\xff\x4f\xff\x51\0", "a JPEG 2000"),
            (b"%PDF-1.7\n%\xff\xd8\xff", "a PDF"),
            (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "an SVG"),
            (b"<?xml version='1.0'?>\n<svg/>", "an SVG"),
            (b"8BPS\0\x01", "a Photoshop file"),
            (b"\0\0\x01\0\x01\0", "an icon (ICO)"),
            (b"\x1aE\xdf\xa3\x01", "a film"),
            (b"\xef\xbb\xbf<svg/>", "an SVG"),
        ];
        for (bytes, what) in table {
            assert_eq!(named(bytes), (what, CONVERT), "{bytes:?}");
        }
    }

    #[test]
    fn base_media_formats_are_told_apart_by_their_brands() {
        for (major, compatible, what) in [
            (b"heic", b"mif1heic", "a HEIC photo"),
            (b"mif1", b"mif1heic", "a HEIC photo"),
            (b"msf1", b"hevcmsf1", "a HEIC photo"),
            (b"avif", b"mif1miaf", "an AVIF"),
            (b"mif1", b"avifmif1", "an AVIF"),
            (b"avis", b"msf1miaf", "an AVIF"),
            (b"mif1", b"miafMiHB", "a HEIF photo"),
            (b"crx ", b"crx isom", "a camera's raw picture"),
            (b"mp42", b"isommp42", "a film"),
            (b"qt  ", b"qt  qt  ", "a film"),
        ] {
            let bytes = base_media(major, compatible);
            assert_eq!(named(&bytes), (what, CONVERT), "{:?}", bytes.escape_ascii().to_string());
        }
        // The second word is a version, even if it reads as a brand.
        assert_eq!(named(b"\0\0\0\x18ftypisomheic").0, "a film");
        assert_eq!(named(b"\0\0\0\x08ftyp").0, "a film");
    }

    #[test]
    fn mistakes_in_sending_a_photo_are_named() {
        let jpeg_in_latin_1 = "\u{ff}\u{d8}\u{ff}\u{e0}".as_bytes();
        let jpeg_replaced = "\u{fffd}\u{fffd}\u{fffd}\u{fffd}\0\u{10}JFIF".as_bytes();
        let long_base64 = b"QUJD".repeat(20);
        let form = b"--x\r\nContent-Disposition: form-data; name=a\r\n\r\n\xff\xd8\xff";
        let table: [(&[u8], &str); 33] = [
            (b"/9j/4AAQSkZJRgABAQ==", "base64 text"),
            (b"\"/9j/4AAQSkZJRgABAQ==\"", "base64 text"),
            (b"\n _9j_4AAQ", "base64 text"),
            (b"iVBORw0KGgoAAAANSUhEUg", "base64 text"),
            (&long_base64, "base64 text"),
            (b"data:image/jpeg;base64,/9j/4AAQ", "a data URI"),
            (b"Data:image/png;base64,iVBOR", "a data URI"),
            (b"\\xffd8ffe000104a46", "hexadecimal text"),
            (b"FFD8FFE000104A46", "hexadecimal text"),
            (b"89504e470d0a1a0a", "hexadecimal text"),
            (b"0xFFD8FFE0", "hexadecimal text"),
            (b"b'\\xff\\xd8\\xff'", "bytes printed as text"),
            (b"<!DOCTYPE html><html>", "an HTML page"),
            (b"\n  <html lang=en>", "an HTML page"),
            (b"<?xml version='1.0'?><Error><Code>NoSuchKey</Code>", "XML"),
            (b"<Error><Code>AccessDenied</Code>", "XML"),
            (b"{\"error\":\"not found\"}", "JSON"),
            (b"[{\"a\":1}]", "JSON"),
            (b"{\"type\":\"Buffer\",\"data\":[255,216]}", "a list of numbers"),
            (b"[255,216,255,224]", "a list of numbers"),
            (b"255,216,255,224", "a list of numbers"),
            (b"version https://git-lfs.github.com/spec/v1\noid", "a Git LFS pointer"),
            (b"https://example.org/photo.jpg", "an address"),
            (b"hello", "text"),
            (b"\x1f\x8b\x08\0", "compressed with gzip"),
            (b"PK\x03\x04\x14\0", "a ZIP archive or an office document"),
            (form, "the body of a multipart form"),
            (b"\xef\xbb\xbf\xff\xd8\xff\xe0", "a JPEG or PNG behind other bytes"),
            (b" \x89PNG\r\n\x1a\n", "a JPEG or PNG behind other bytes"),
            (jpeg_in_latin_1, "a picture that was changed as if it were text"),
            (jpeg_replaced, "a picture that was changed as if it were text"),
            ("\u{fffd}PNG\r\n".as_bytes(), "a picture that was changed as if it were text"),
            (b"\x89PNG\n\x1a\n\0", "a picture that was changed as if it were text"),
        ];
        for (bytes, what) in table {
            assert_eq!(named(bytes).0, what, "{:?}", bytes.escape_ascii().to_string());
        }
    }

    #[test]
    fn bytes_of_an_unknown_format_get_no_name() {
        for bytes in [&b"\xff"[..], b"\0", &[0; 100], b"\xff\xd8", b"\x80\x81 binary"] {
            assert_eq!(name(bytes), Unreadable::UnknownFormat, "{bytes:?}");
        }
    }
}
