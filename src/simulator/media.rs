//! Media: the type of a file, the fingerprints of its pictures, and the bytes that are kept.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use serde_json::{Map, Value};
use tokio::sync::{Semaphore, SemaphorePermit};
use uuid::Uuid;

use crate::simulator::clock::Millis;
use crate::simulator::lock;
use crate::simulator::picture::{Fingerprint, NoFingerprint};

/// The type of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MediaKind {
    /// A JPEG or PNG.
    Image,
    /// A video. The simulator can decode only those that it has made itself.
    Video,
    /// A ZIP of frames.
    ShotSet,
}

impl MediaKind {
    /// Decides by the MIME type; if that is missing or `application/octet-stream`, by the file's
    /// name. `None` for any other type.
    pub fn read(content_type: &str, file_name: &str) -> Option<MediaKind> {
        let mime = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match mime.as_str() {
            "image/jpeg" | "image/jpg" | "image/png" => Some(MediaKind::Image),
            "application/zip" | "application/x-zip-compressed" | "application/x-zip" => {
                Some(MediaKind::ShotSet)
            }
            "" | "application/octet-stream" => MediaKind::by_name(file_name),
            video if video.starts_with("video/") => Some(MediaKind::Video),
            _ => None,
        }
    }

    fn by_name(file_name: &str) -> Option<MediaKind> {
        let (_, extension) = file_name.rsplit_once('.')?;
        match extension.to_ascii_lowercase().as_str() {
            "jpg" | "jpeg" | "png" => Some(MediaKind::Image),
            "zip" => Some(MediaKind::ShotSet),
            "mp4" | "mpeg" | "mpg" | "ogg" | "ogv" | "mov" | "webm" | "wmv" | "avi" => {
                Some(MediaKind::Video)
            }
            _ => None,
        }
    }

    /// The name in `/sim/folders`.
    pub fn word(self) -> &'static str {
        match self {
            MediaKind::Image => "image",
            MediaKind::Video => "video",
            MediaKind::ShotSet => "shot_set",
        }
    }

    /// The key under which an analysis' results name a medium of this kind.
    pub fn result_key(self) -> &'static str {
        match self {
            MediaKind::Image => "source_image_id",
            MediaKind::Video => "source_video_id",
            MediaKind::ShotSet => "source_shots_set_id",
        }
    }
}

/// A file as it arrived.
#[derive(Clone, Debug)]
pub struct File {
    /// The multipart part's name.
    pub part: String,
    /// As the client sent it.
    pub file_name: String,
    /// The MIME type, as the client sent it.
    pub content_type: String,
    pub bytes: Bytes,
}

impl File {
    /// BLAKE3 of its bytes, in hexadecimal.
    pub fn digest(&self) -> String {
        blake3::hash(&self.bytes).to_hex().to_string()
    }
}

/// What the simulator knows of a file's contents.
#[derive(Clone, Debug)]
pub struct FileContents {
    /// BLAKE3 of the bytes, in hexadecimal.
    pub digest: String,
    /// The size in bytes.
    pub bytes: u64,
    /// The fingerprints of its pictures, or why there are none.
    pub fingerprints: Arc<Result<Vec<Fingerprint>, NoFingerprint>>,
}

impl FileContents {
    /// Bytes of memory that the fingerprints take.
    pub fn looks_bytes(&self) -> usize {
        self.fingerprints.as_ref().as_ref().map_or(0, |looks| looks.len() * Fingerprint::BYTES)
    }
}

/// A medium of a folder. Its bytes are kept elsewhere, in the [`Gallery`].
#[derive(Clone, Debug)]
pub struct Medium {
    pub id: Uuid,
    pub kind: MediaKind,
    /// Oz's tags.
    pub tags: Vec<String>,
    pub meta_data: Map<String, Value>,
    /// As the client sent it.
    pub file_name: String,
    /// The MIME type, as the client sent it.
    pub content_type: String,
    pub contents: FileContents,
    pub created: Millis,
    /// The last change.
    pub updated: Millis,
}

/// A medium that an analysis compares or checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceMedium {
    pub id: Uuid,
    pub kind: MediaKind,
}

impl Medium {
    /// The reference to it that analyses keep.
    pub fn source(&self) -> SourceMedium {
        SourceMedium { id: self.id, kind: self.kind }
    }

    /// Whether it is a photo of an identity document: liveness checks leave these out.
    pub fn is_document(&self) -> bool {
        self.tags.iter().any(|tag| tag.starts_with("photo_id"))
    }

    /// The fingerprints of its pictures, or why there are none.
    pub fn fingerprints(&self) -> Result<&[Fingerprint], NoFingerprint> {
        match self.contents.fingerprints.as_ref() {
            Ok(looks) => Ok(looks),
            Err(unreadable) => Err(*unreadable),
        }
    }
}

/// Files decoded at once: each picture may take hundreds of megabytes.
const DECODINGS_MAX: usize = 2;
/// Files whose fingerprints are kept, by digest: about a kilobyte for each picture.
const LOOKS_MAX: usize = 20_000;

type Looks = Arc<Result<Vec<Fingerprint>, NoFingerprint>>;

/// Takes the fingerprints of files, once for each content, and keeps their bytes up to a limit.
#[derive(Debug)]
pub struct Gallery {
    looks: Mutex<Bounded<Looks>>,
    files: Mutex<Bounded<(String, Bytes)>>,
    decodings: Semaphore,
}

impl Gallery {
    /// A gallery that keeps up to this many bytes of files, for downloads.
    pub fn new(file_bytes_max: usize) -> Gallery {
        Gallery {
            looks: Mutex::new(Bounded::new(LOOKS_MAX)),
            files: Mutex::new(Bounded::new(file_bytes_max)),
            decodings: Semaphore::new(DECODINGS_MAX),
        }
    }

    /// Takes the fingerprints of a file. Slow only for contents that are not cached.
    pub async fn look(&self, file: &File, kind: MediaKind) -> FileContents {
        let digest = file.digest();
        let looks = match self.known(&digest, kind) {
            Some(looks) => looks,
            None => self.learn(&digest, kind, self.decode(file.bytes.clone(), kind).await),
        };
        self.keep(&digest, file);
        FileContents { digest, bytes: file.bytes.len() as u64, fingerprints: looks }
    }

    /// Takes the fingerprints of a file on the calling thread. It takes no permit: a caller that
    /// has to respect the limit holds one.
    pub fn look_here(&self, file: &File, kind: MediaKind) -> FileContents {
        let digest = file.digest();
        let looks = match self.known(&digest, kind) {
            Some(looks) => looks,
            None => self.learn(&digest, kind, decode(&file.bytes, kind)),
        };
        self.keep(&digest, file);
        FileContents { digest, bytes: file.bytes.len() as u64, fingerprints: looks }
    }

    fn known(&self, digest: &str, kind: MediaKind) -> Option<Looks> {
        lock(&self.looks).get(&looks_key(digest, kind)).cloned()
    }

    fn learn(
        &self,
        digest: &str,
        kind: MediaKind,
        looks: Result<Vec<Fingerprint>, NoFingerprint>,
    ) -> Looks {
        let looks = Arc::new(looks);
        lock(&self.looks).insert(looks_key(digest, kind), 1, looks.clone());
        looks
    }

    /// The MIME type and the bytes of the file with this digest, if they are still kept.
    pub fn file(&self, digest: &str) -> Option<(String, Bytes)> {
        lock(&self.files).get(digest).cloned()
    }

    /// Waits for a permit to decode pictures; dropping the permit returns it.
    pub async fn decode_permit(&self) -> Option<SemaphorePermit<'_>> {
        self.decodings.acquire().await.ok()
    }

    async fn decode(
        &self,
        bytes: Bytes,
        kind: MediaKind,
    ) -> Result<Vec<Fingerprint>, NoFingerprint> {
        let Some(_permit) = self.decode_permit().await else {
            return Err(NoFingerprint::Picture);
        };
        let decoding = tokio::task::spawn_blocking(move || decode(&bytes, kind));
        // If the decoder panics, the bytes were not a valid picture.
        decoding.await.unwrap_or(Err(NoFingerprint::Picture))
    }

    fn keep(&self, digest: &str, file: &File) {
        let mut files = lock(&self.files);
        if files.get(digest).is_none() {
            // Copied: a slice would keep the whole request in memory.
            let bytes = Bytes::copy_from_slice(&file.bytes);
            files.insert(digest.to_owned(), bytes.len(), (file.content_type.clone(), bytes));
        }
    }
}

/// The key includes the type: the same bytes decode differently as a photo and as a shot set.
fn looks_key(digest: &str, kind: MediaKind) -> String {
    format!("{}/{digest}", kind.result_key())
}

fn decode(bytes: &[u8], kind: MediaKind) -> Result<Vec<Fingerprint>, NoFingerprint> {
    match kind {
        MediaKind::Image => Fingerprint::of_picture(bytes).map(|it| vec![it]),
        MediaKind::ShotSet => Fingerprint::of_shot_set(bytes),
        MediaKind::Video => Fingerprint::of_video(bytes),
    }
}

/// A map that drops its oldest values once all together weigh too much.
#[derive(Debug)]
struct Bounded<V> {
    values: HashMap<String, (usize, V)>,
    oldest_first: VecDeque<String>,
    weight: usize,
    weight_max: usize,
}

impl<V> Bounded<V> {
    fn new(weight_max: usize) -> Bounded<V> {
        Bounded { values: HashMap::new(), oldest_first: VecDeque::new(), weight: 0, weight_max }
    }

    fn get(&self, key: &str) -> Option<&V> {
        self.values.get(key).map(|(_, value)| value)
    }

    fn insert(&mut self, key: String, weight: usize, value: V) {
        if weight > self.weight_max || self.values.contains_key(&key) {
            return;
        }
        while self.weight + weight > self.weight_max {
            let Some(oldest) = self.oldest_first.pop_front() else {
                break;
            };
            if let Some((weight, _)) = self.values.remove(&oldest) {
                self.weight -= weight;
            }
        }
        self.weight += weight;
        self.oldest_first.push_back(key.clone());
        self.values.insert(key, (weight, value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mime_type_decides_and_the_file_name_is_a_fallback() {
        assert_eq!(MediaKind::read("image/png", "a.zip"), Some(MediaKind::Image));
        assert_eq!(MediaKind::read("video/mp4", "a"), Some(MediaKind::Video));
        assert_eq!(MediaKind::read("application/octet-stream", "a.ZIP"), Some(MediaKind::ShotSet));
        assert_eq!(MediaKind::read("image/heic", "a.jpg"), None);
    }

    #[test]
    fn a_bounded_map_drops_its_oldest_values() {
        let mut map = Bounded::new(10);
        for key in ["a", "b", "c"] {
            map.insert(key.to_owned(), 4, key);
        }
        assert_eq!((map.get("a"), map.get("c"), map.weight), (None, Some(&"c"), 8));
        map.insert("huge".to_owned(), 11, "huge");
        assert_eq!(map.get("huge"), None);
    }
}
