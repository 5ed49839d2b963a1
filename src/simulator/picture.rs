//! Fingerprints of pictures, under a kilobyte each: enough to tell one picture from another.
//!
//! A fingerprint survives rescaling, recompression and a change of file format.
//! It is deliberately not a face comparison: two photos of one person are two pictures.

use std::io::{Cursor, Read};

use image::imageops::FilterType;
use image::{DynamicImage, ImageDecoder, ImageReader, Limits, RgbImage};

/// Largest picture that is decoded, in pixels: as many as the largest phone cameras make.
const PIXELS_MAX: u64 = 100_000_000;
/// Memory that one decoding may take, in bytes: four for each pixel.
const DECODE_BYTES_MAX: u64 = 4 * PIXELS_MAX;
/// Frames of a shot set that are decoded; SDKs send fewer than this.
const FRAMES_MAX: usize = 32;
/// Unpacked bytes of one frame: a frame is a photo, and Oz takes photos of up to 10 MiB.
const FRAME_BYTES_MAX: u64 = 10 * 1024 * 1024;

/// Side of the largest picture that is resized as it is. A larger one is reduced first, by a loop
/// that is quick in builds without optimisation, too: a phone's photo would take seconds there.
const REDUCED_SIDE: u32 = 128;

/// Side of the grid on which the brightness of neighbouring cells is compared.
const GRID: u32 = 16;
/// Side of the grid on which colours are compared.
const TILES: u32 = 8;
/// Brightness steps (of 255) below which two neighbours count as equally bright.
const STEP_MIN: i16 = 3;
/// With fewer slopes than this, both pictures count as flat, and colour alone decides.
const SLOPES_MIN: usize = 16;
/// Mean colour distance (of 255) that compression may cause.
const COLOUR_NEAR: f64 = 12.0;
/// Mean colour distance (of 255) at which two pictures have nothing in common.
const COLOUR_FAR: f64 = 60.0;
/// Agreement of slopes between unrelated pictures, by chance.
const AGREEMENT_CHANCE: f64 = 0.5;
/// Agreement of slopes from which the likeness is 1.
const AGREEMENT_FULL: f64 = 0.87;

/// The first bytes of a video that the simulator makes: an MP4's `ftyp` box with its own brand. The
/// `mdat` box behind it holds a shot set, so that such a video can be compared.
const VIDEO_HEAD: [u8; 24] = *b"\0\0\0\x18ftypisom\0\0\0\0isomozsm";
/// The head of a box in an MP4: four bytes of length and four of type.
const BOX_HEAD_BYTES: usize = 8;

/// Wraps a shot set in the boxes of an MP4. No player can show it.
pub fn video(shot_set: &[u8]) -> Vec<u8> {
    let length = u32::try_from(BOX_HEAD_BYTES + shot_set.len()).unwrap_or(u32::MAX);
    [&VIDEO_HEAD[..], &length.to_be_bytes(), b"mdat", shot_set].concat()
}

/// A picture's look: the signs of its brightness slopes, and its coarse colours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fingerprint {
    slopes: Vec<i8>,
    colours: Vec<u8>,
}

/// Why a medium has no fingerprint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoFingerprint {
    /// A video: the simulator has no video decoder.
    #[error("the simulator cannot decode video")]
    Video,
    /// Neither a picture nor a ZIP of pictures that could be decoded.
    #[error("the simulator could not decode the picture")]
    Picture,
}

impl Fingerprint {
    /// Memory that one fingerprint takes, in bytes.
    pub const BYTES: usize = (2 * GRID * GRID + 3 * TILES * TILES) as usize;

    /// Decodes a JPEG or PNG and takes its fingerprint. Slow: keep it off the runtime's threads.
    pub fn of_picture(bytes: &[u8]) -> Result<Fingerprint, NoFingerprint> {
        decode(bytes).map(|picture| Fingerprint::of(&picture)).ok_or(NoFingerprint::Picture)
    }

    /// Takes the fingerprints of all pictures in a ZIP, in the archive's order.
    pub fn of_shot_set(bytes: &[u8]) -> Result<Vec<Fingerprint>, NoFingerprint> {
        let frames: Vec<_> =
            frames(bytes).iter().filter_map(|frame| Self::of_picture(frame).ok()).collect();
        if frames.is_empty() { Err(NoFingerprint::Picture) } else { Ok(frames) }
    }

    /// Takes the fingerprints of a video that the simulator has made; it can't decode any other.
    pub fn of_video(bytes: &[u8]) -> Result<Vec<Fingerprint>, NoFingerprint> {
        match bytes.strip_prefix(&VIDEO_HEAD).and_then(|rest| rest.get(BOX_HEAD_BYTES..)) {
            Some(shot_set) => Self::of_shot_set(shot_set),
            None => Err(NoFingerprint::Video),
        }
    }

    /// Takes the fingerprint of a decoded picture.
    pub fn of(picture: &DynamicImage) -> Fingerprint {
        let small = picture.resize_exact(GRID * 4, GRID * 4, FilterType::Triangle).to_rgb8();
        let small = DynamicImage::ImageRgb8(small);
        Fingerprint { slopes: slopes(&small), colours: colours(&small) }
    }

    /// The likeness of two pictures, 0 to 1: above 0.9 for the same picture, below 0.6 for others.
    pub fn likeness(&self, other: &Fingerprint) -> f64 {
        self.slope_likeness(other) * self.colour_likeness(other)
    }

    fn slope_likeness(&self, other: &Fingerprint) -> f64 {
        let pairs = self.slopes.iter().zip(&other.slopes);
        let (count, apart) = pairs
            .filter(|(a, b)| **a != 0 || **b != 0)
            .fold((0, 0), |(count, apart), (a, b)| (count + 1, apart + a.abs_diff(*b) as usize));
        if count < SLOPES_MIN {
            return 1.0;
        }
        let agreement = 1.0 - apart as f64 / (2 * count) as f64;
        ((agreement - AGREEMENT_CHANCE) / (AGREEMENT_FULL - AGREEMENT_CHANCE)).clamp(0.0, 1.0)
    }

    fn colour_likeness(&self, other: &Fingerprint) -> f64 {
        let pairs = self.colours.iter().zip(&other.colours);
        let sum: f64 = pairs.map(|(a, b)| f64::from(a.abs_diff(*b))).sum();
        let distance = sum / self.colours.len().max(1) as f64;
        (1.0 - (distance - COLOUR_NEAR) / (COLOUR_FAR - COLOUR_NEAR)).clamp(0.0, 1.0)
    }
}

/// The compressed pictures in a shot set, up to the limits above.
pub fn frames(bytes: &[u8]) -> Vec<Vec<u8>> {
    let Ok(mut archive) = zip::ZipArchive::new(Cursor::new(bytes)) else {
        return Vec::new();
    };
    let mut frames = Vec::new();
    for index in 0..archive.len().min(FRAMES_MAX) {
        let Ok(entry) = archive.by_index(index) else {
            continue;
        };
        let mut frame = Vec::new();
        let read = entry.take(FRAME_BYTES_MAX).read_to_end(&mut frame);
        if read.is_ok() && !frame.is_empty() {
            frames.push(frame);
        }
    }
    frames
}

fn decode(bytes: &[u8]) -> Option<DynamicImage> {
    let mut limits = Limits::default();
    limits.max_alloc = Some(DECODE_BYTES_MAX);
    let mut reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format().ok()?;
    reader.limits(limits);
    let mut decoder = reader.into_decoder().ok()?;
    let (width, height) = decoder.dimensions();
    if u64::from(width) * u64::from(height) > PIXELS_MAX {
        return None;
    }
    let orientation = decoder.orientation().ok()?;
    let mut picture = reduced(DynamicImage::from_decoder(decoder).ok()?);
    picture.apply_orientation(orientation);
    Some(picture)
}

/// A picture whose sides are divided by the whole number that makes them no longer than
/// [`REDUCED_SIDE`]. Each pixel is the mean of its block; blocks that aren't whole are left out.
fn reduced(picture: DynamicImage) -> DynamicImage {
    let factor = picture.width().max(picture.height()).div_ceil(REDUCED_SIDE);
    let (width, height) = (picture.width() / factor, picture.height() / factor);
    if factor == 1 || width == 0 || height == 0 {
        return picture;
    }
    let picture = picture.into_rgb8();
    let row_bytes = 3 * picture.width() as usize;
    let (factor, width, height) = (factor as usize, width as usize, height as usize);
    let mut means = Vec::with_capacity(3 * width * height);
    for rows in picture.as_raw().chunks_exact(factor * row_bytes).take(height) {
        let mut sums = vec![[0_usize; 3]; width];
        for row in rows.chunks_exact(row_bytes) {
            for (sum, block) in sums.iter_mut().zip(row.chunks_exact(3 * factor)) {
                for pixel in block.chunks_exact(3) {
                    sum[0] += usize::from(pixel[0]);
                    sum[1] += usize::from(pixel[1]);
                    sum[2] += usize::from(pixel[2]);
                }
            }
        }
        means.extend(sums.as_flattened().iter().map(|sum| (sum / (factor * factor)) as u8));
    }
    let reduced = RgbImage::from_raw(width as u32, height as u32, means);
    DynamicImage::ImageRgb8(reduced.expect("there are three bytes for each pixel"))
}

/// For each cell of the grid: whether its right and its lower neighbour are brighter (1), darker
/// (-1) or equally bright (0).
fn slopes(picture: &DynamicImage) -> Vec<i8> {
    let side = GRID + 1;
    let grid = picture.resize_exact(side, side, FilterType::Triangle).to_luma8();
    let light = |x, y| i16::from(grid.get_pixel(x, y).0[0]);
    let cells = (0..GRID).flat_map(|y| (0..GRID).map(move |x| (x, y)));
    cells
        .flat_map(|(x, y)| {
            let here = light(x, y);
            [slope(here, light(x + 1, y)), slope(here, light(x, y + 1))]
        })
        .collect()
}

fn slope(here: i16, there: i16) -> i8 {
    match there - here {
        step if step >= STEP_MIN => 1,
        step if step <= -STEP_MIN => -1,
        _ => 0,
    }
}

fn colours(picture: &DynamicImage) -> Vec<u8> {
    picture.resize_exact(TILES, TILES, FilterType::Triangle).to_rgb8().into_raw()
}

#[cfg(test)]
mod tests {
    use image::Rgb;
    use image::codecs::jpeg::JpegEncoder;

    use super::*;
    use crate::simulator::sample;

    fn portrait() -> DynamicImage {
        image::load_from_memory(sample::portrait_jpeg()).expect("the sample is a JPEG")
    }

    fn jpeg(picture: &DynamicImage, quality: u8) -> Vec<u8> {
        let mut bytes = Vec::new();
        let encoder = JpegEncoder::new_with_quality(&mut bytes, quality);
        picture.to_rgb8().write_with_encoder(encoder).expect("a buffer takes every JPEG");
        bytes
    }

    fn likeness(left: &[u8], right: &[u8]) -> f64 {
        let left = Fingerprint::of_picture(left).expect("the left picture decodes");
        left.likeness(&Fingerprint::of_picture(right).expect("the right picture decodes"))
    }

    #[test]
    fn a_recompressed_picture_is_the_same_picture() {
        for quality in [10, 30, 60, 95] {
            let score = likeness(sample::portrait_jpeg(), &jpeg(&portrait(), quality));
            assert!(score > 0.9, "quality {quality}: {score}");
        }
    }

    #[test]
    fn a_rescaled_picture_is_the_same_picture() {
        for side in [64, 150, 256, 1_024] {
            let scaled = portrait().resize_exact(side, side, FilterType::Lanczos3);
            let score = likeness(sample::portrait_jpeg(), &jpeg(&scaled, 70));
            assert!(score > 0.9, "{side} pixels: {score}");
        }
    }

    #[test]
    fn a_large_picture_is_reduced_to_the_means_of_its_blocks() {
        let stripes = |x: u32, y: u32| Rgb([(x % 3) as u8, (3 * (y % 3)) as u8, 200]);
        let picture = DynamicImage::ImageRgb8(RgbImage::from_fn(300, 8, stripes));
        let reduced = reduced(picture).into_rgb8();
        assert_eq!(reduced.dimensions(), (100, 2));
        assert!(reduced.pixels().all(|pixel| *pixel == Rgb([1, 3, 200])));
    }

    #[test]
    fn a_picture_without_a_whole_block_is_not_reduced() {
        let line = DynamicImage::ImageRgb8(RgbImage::new(300, 2));
        assert_eq!(reduced(line.clone()), line);
    }

    #[test]
    fn the_file_format_does_not_matter() {
        let score = likeness(sample::portrait_jpeg(), sample::portrait_png());
        assert!(score > 0.9, "{score}");
    }

    #[test]
    fn another_person_is_another_picture() {
        let score = likeness(sample::portrait_jpeg(), sample::stranger_jpeg());
        assert!(score < 0.6, "{score}");
    }

    #[test]
    fn flat_pictures_differ_by_their_colour() {
        let flat =
            |colour| jpeg(&DynamicImage::ImageRgb8(RgbImage::from_pixel(64, 64, Rgb(colour))), 90);
        assert!(likeness(&flat([200, 30, 30]), &flat([200, 30, 30])) > 0.9);
        assert!(likeness(&flat([200, 30, 30]), &flat([30, 30, 200])) < 0.6);
    }

    #[test]
    fn bytes_that_are_no_picture_have_no_fingerprint() {
        assert_eq!(Fingerprint::of_picture(b"no picture"), Err(NoFingerprint::Picture));
        assert_eq!(Fingerprint::of_shot_set(b"no archive"), Err(NoFingerprint::Picture));
    }

    #[test]
    fn a_shot_set_holds_the_picture_it_was_made_from() {
        let shot_set = sample::shot_set(sample::portrait_jpeg());
        let frames = Fingerprint::of_shot_set(&shot_set).expect("the shot set has frames");
        let photo = Fingerprint::of_picture(sample::portrait_jpeg()).expect("a JPEG");
        assert!(frames.len() >= 3);
        assert!(frames.iter().all(|frame| frame.likeness(&photo) > 0.9));
    }
}
