//! The folder that a tester asks for: its person, its kind of media, and how its analyses end.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::simulator::folders::Endings;
use crate::simulator::picture::{self, Fingerprint};
use crate::simulator::sample;
use crate::simulator::script::{Outcome, Switches};
use crate::simulator::seed::MediaSeed;
use crate::simulator::world::{NewFolder, NewMedium, World};

/// Bytes of all metadata of one folder, as JSON.
const META_DATA_BYTES_MAX: usize = 64 * 1024;

/// The body of `POST /sim/folders`. All keys are optional.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FolderRequest {
    person: Option<Person>,
    picture: Option<String>,
    kind: LivenessKind,
    tags: Option<Vec<String>>,
    meta_data: Map<String, Value>,
    media_meta_data: Map<String, Value>,
    photos: Vec<PhotoRequest>,
    verdict: Option<Outcome>,
    quality: Option<Outcome>,
    quality_analysis: Option<bool>,
}

/// A further photo in the folder, such as a document that the SDK captured.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct PhotoRequest {
    person: Option<Person>,
    picture: Option<String>,
    tags: Option<Vec<String>>,
    meta_data: Map<String, Value>,
}

/// The sample person in a picture.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Person {
    #[default]
    Portrait,
    Stranger,
}

/// The form of the liveness media.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum LivenessKind {
    #[default]
    ShotSet,
    Video,
    None,
}

impl FolderRequest {
    /// Checks the ranges; the error names the key.
    pub fn check(&self, on: &Switches) -> Result<(), String> {
        let media = self.photos.len() + usize::from(!matches!(self.kind, LivenessKind::None));
        if media > on.folder_files_max {
            return Err(format!("photos: a folder holds at most {} media", on.folder_files_max));
        }
        let words = self.photos.iter().map(|photo| &photo.meta_data);
        let words = words.chain([&self.meta_data, &self.media_meta_data]);
        let bytes: usize = words.map(|it| serde_json::to_vec(it).map_or(0, |it| it.len())).sum();
        if bytes > META_DATA_BYTES_MAX {
            return Err(format!("meta_data: more than {META_DATA_BYTES_MAX} bytes in all"));
        }
        let outcomes = [("verdict", &self.verdict), ("quality", &self.quality)];
        outcomes.into_iter().try_for_each(|(key, outcome)| match outcome {
            Some(outcome) => outcome.check(key),
            None => Ok(()),
        })
    }

    /// Makes the media and the endings of the folder. Decodes pictures on the calling thread, so
    /// call it from a blocking task.
    ///
    /// # Errors
    /// One line that names the key of a picture that is invalid or too large.
    pub fn prepare(self, world: &World, on: &Switches) -> Result<NewFolder, String> {
        let mut media = Vec::new();
        if let Some(seed) = self.liveness_media(on)? {
            let meta_data = self.media_meta_data.clone();
            media.push(NewMedium { meta_data, ..world.look(seed) });
        }
        for (index, photo) in self.photos.into_iter().enumerate() {
            let key = format!("photos[{index}]");
            media.push(photo.prepare(&key, world, on)?);
        }
        let has_liveness = !matches!(self.kind, LivenessKind::None);
        let liveness = self.quality_analysis.unwrap_or(has_liveness).then(|| {
            let outcome = self.quality.clone().unwrap_or_default();
            let takes_ms = outcome.processing_ms.unwrap_or(0);
            (outcome, takes_ms)
        });
        Ok(NewFolder {
            meta_data: self.meta_data,
            media,
            endings: Endings { biometry: self.verdict, quality: self.quality },
            liveness,
        })
    }

    fn liveness_media(&self, on: &Switches) -> Result<Option<MediaSeed>, String> {
        let shot_set = || {
            let picture = read_picture("", self.person, self.picture.as_deref(), on)?;
            Ok::<_, String>(sample::shot_set(&picture))
        };
        let (bytes, file_name, content_type) = match self.kind {
            LivenessKind::None => return Ok(None),
            LivenessKind::ShotSet => (shot_set()?, "liveness.zip", "application/zip"),
            LivenessKind::Video => (picture::video(&shot_set()?), "liveness.mp4", "video/mp4"),
        };
        Ok(Some(MediaSeed {
            bytes: bytes.into(),
            file_name: file_name.to_owned(),
            content_type: content_type.to_owned(),
            tags: self
                .tags
                .clone()
                .unwrap_or_else(|| sample::LIVENESS_TAGS.map(str::to_owned).to_vec()),
        }))
    }
}

impl PhotoRequest {
    fn prepare(self, key: &str, world: &World, on: &Switches) -> Result<NewMedium, String> {
        let bytes = read_picture(&format!("{key}."), self.person, self.picture.as_deref(), on)?;
        let is_png = bytes.starts_with(b"\x89PNG");
        let (file_name, content_type) =
            if is_png { ("photo.png", "image/png") } else { ("photo.jpg", "image/jpeg") };
        let seed = MediaSeed {
            bytes,
            file_name: file_name.to_owned(),
            content_type: content_type.to_owned(),
            tags: self.tags.unwrap_or_else(|| vec!["photo_selfie".to_owned()]),
        };
        Ok(NewMedium { meta_data: self.meta_data, ..world.look(seed) })
    }
}

/// The picture of a sample person, or the tester's own; an error names its key with this prefix.
fn read_picture(
    prefix: &str,
    person: Option<Person>,
    picture: Option<&str>,
    on: &Switches,
) -> Result<Bytes, String> {
    let Some(text) = picture else {
        return Ok(Bytes::from_static(match person.unwrap_or_default() {
            Person::Portrait => sample::portrait_jpeg(),
            Person::Stranger => sample::stranger_jpeg(),
        }));
    };
    if person.is_some() {
        return Err(format!("{prefix}picture: give either it or {prefix}person, not both"));
    }
    let bytes = BASE64_STANDARD.decode(text.trim_ascii());
    let bytes = bytes.map_err(|error| format!("{prefix}picture: not base64: {error}"))?;
    if bytes.len() as u64 > on.file_bytes_max {
        return Err(format!("{prefix}picture: more than {} bytes", on.file_bytes_max));
    }
    match Fingerprint::of_picture(&bytes) {
        Ok(_) => Ok(bytes.into()),
        Err(_) => Err(format!("{prefix}picture: neither a JPEG nor a PNG that can be decoded")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invalid_request_is_refused_with_its_key() {
        let on = Switches::default();
        let stranger = BASE64_STANDARD.encode(b"no picture");
        let both = read_picture("", Some(Person::Portrait), Some(&stranger), &on);
        assert!(both.is_err_and(|error| error.starts_with("picture: give either it or person")));
        let unread = read_picture("photos[1].", None, Some(&stranger), &on);
        assert!(unread.is_err_and(|error| error.starts_with("photos[1].picture: neither")));
        let odd = read_picture("", None, Some("***"), &on);
        assert!(odd.is_err_and(|error| error.starts_with("picture: not base64")));
        let many = FolderRequest {
            photos: (0..10).map(|_| PhotoRequest::default()).collect(),
            ..FolderRequest::default()
        };
        assert!(many.check(&on).is_err_and(|error| error.contains("at most 10 media")));
    }
}
