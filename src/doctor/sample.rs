//! The media of a rehearsal, if the operator gives none: a portrait as photo, the same portrait as
//! a shot set, and another person's picture.
//!
//! The pictures are the simulator's, whose `SOURCES.md` has their terms. They are no liveness
//! video, so a real Oz may well decline them.

use std::io::{Cursor, Write};

use bytes::Bytes;
use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

use crate::{
    doctor::{RehearsalMedia, RehearsalPhoto},
    domain::Format,
    oz::LivenessFile,
};

const PORTRAIT: &[u8] = include_bytes!("../simulator/sample/portrait.jpg");
const STRANGER: &[u8] = include_bytes!("../simulator/sample/stranger.jpg");

/// Frames of the shot set, all alike.
const FRAMES: usize = 3;

/// The media of a rehearsal with the sample pictures.
pub fn media() -> RehearsalMedia {
    RehearsalMedia {
        video: LivenessFile {
            name: "facematch-rehearsal.zip".to_owned(),
            content_type: "application/zip".to_owned(),
            bytes: shot_set(PORTRAIT).into(),
        },
        photo: RehearsalPhoto { bytes: Bytes::from_static(PORTRAIT), format: Format::Jpeg },
        is_own: false,
    }
}

/// A photo that is unlike every photo of a rehearsal.
pub fn stranger() -> RehearsalPhoto {
    RehearsalPhoto { bytes: Bytes::from_static(STRANGER), format: Format::Jpeg }
}

fn shot_set(picture: &[u8]) -> Vec<u8> {
    // JPEG is compressed already.
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    for frame in 0..FRAMES {
        let name = format!("frame_{frame:03}.jpg");
        archive.start_file(name, options).expect("a buffer takes every file");
        archive.write_all(picture).expect("a buffer takes every byte");
    }
    archive.finish().expect("a buffer takes the directory").into_inner()
}

#[cfg(test)]
mod tests {
    use zip::ZipArchive;

    use super::*;
    use crate::domain::photo;

    #[test]
    fn the_sample_is_what_a_match_takes() {
        let media = media();
        for photo in [&media.photo, &stranger()] {
            assert_eq!(photo::inspect(&photo.bytes), Ok(photo.format));
        }
        let archive = ZipArchive::new(Cursor::new(media.video.bytes)).unwrap();
        assert_eq!(archive.len(), FRAMES);
    }
}
