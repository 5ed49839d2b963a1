//! Pictures to test with: a portrait, another person, and liveness media made from any picture.
//!
//! `SOURCES.md` has their sources and their terms: they are free to use.

use std::io::{Cursor, Write};
use std::sync::LazyLock;

use image::DynamicImage;
use image::codecs::jpeg::JpegEncoder;
use image::imageops::FilterType;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use crate::simulator::seed::{FolderSeed, LivenessSeed, MediaSeed};

/// Longest side of a frame in pixels: that of an SDK's camera preview.
const FRAME_SIDE_MAX: u32 = 720;
/// The frames of a shot set: size in percent, and JPEG quality.
const FRAMES: [(u32, u8); 3] = [(100, 80), (92, 70), (85, 60)];

/// The tags that an SDK gives to its liveness media.
pub const LIVENESS_TAGS: [&str; 3] = ["video_selfie", "video_selfie_blank", "orientation_portrait"];

/// A portrait, 512 × 512 pixels, as a JPEG.
pub fn portrait_jpeg() -> &'static [u8] {
    include_bytes!("portrait.jpg")
}

/// The same portrait, 256 × 256 pixels, as a PNG.
pub fn portrait_png() -> &'static [u8] {
    include_bytes!("portrait.png")
}

/// Another person, 512 × 512 pixels, as a JPEG.
pub fn stranger_jpeg() -> &'static [u8] {
    include_bytes!("stranger.jpg")
}

/// Makes a shot set: a ZIP of JPEG frames, rescaled and recompressed from one picture.
/// A picture that can't be decoded is packed as it is; the result can't be decoded either.
pub fn shot_set(picture: &[u8]) -> Vec<u8> {
    // Most tests begin with these pictures, and encoding is slow in debug builds.
    static PORTRAIT: LazyLock<Vec<u8>> = LazyLock::new(|| encode_shot_set(portrait_jpeg()));
    static STRANGER: LazyLock<Vec<u8>> = LazyLock::new(|| encode_shot_set(stranger_jpeg()));
    match picture {
        picture if picture == portrait_jpeg() => PORTRAIT.clone(),
        picture if picture == stranger_jpeg() => STRANGER.clone(),
        picture => encode_shot_set(picture),
    }
}

/// A folder as an SDK leaves it: a shot set made from a picture, with a passed liveness check.
pub fn liveness_folder(picture: &[u8]) -> FolderSeed {
    FolderSeed {
        media: vec![MediaSeed {
            bytes: shot_set(picture).into(),
            file_name: "liveness.zip".to_owned(),
            content_type: "application/zip".to_owned(),
            tags: LIVENESS_TAGS.map(str::to_owned).to_vec(),
        }],
        liveness: Some(LivenessSeed::default()),
    }
}

fn encode_shot_set(picture: &[u8]) -> Vec<u8> {
    let frames = match image::load_from_memory(picture) {
        Ok(picture) => FRAMES.iter().map(|frame| self::frame(&picture, *frame)).collect(),
        Err(_) => vec![picture.to_vec()],
    };
    pack(&frames)
}

fn frame(picture: &DynamicImage, (percent, quality): (u32, u8)) -> Vec<u8> {
    let longest = picture.width().max(picture.height()).clamp(1, FRAME_SIDE_MAX);
    let side = (longest * percent / 100).max(1);
    let scaled = picture.resize(side, side, FilterType::Triangle).to_rgb8();
    let mut bytes = Vec::new();
    let encoder = JpegEncoder::new_with_quality(&mut bytes, quality);
    scaled.write_with_encoder(encoder).expect("a buffer takes every JPEG");
    bytes
}

fn pack(frames: &[Vec<u8>]) -> Vec<u8> {
    // Not compressed again: JPEG already is.
    let options = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    for (index, frame) in frames.iter().enumerate() {
        let name = format!("frame_{index:03}.jpg");
        archive.start_file(name, options).expect("a buffer takes every file");
        archive.write_all(frame).expect("a buffer takes every byte");
    }
    archive.finish().expect("a buffer takes the directory").into_inner()
}
