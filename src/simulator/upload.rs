//! Parses an upload: multipart with any part names, and a `payload` that refers to them.

use axum::body::Body;
use axum::extract::{DefaultBodyLimit, FromRequest, Multipart};
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Request};
use serde_json::{Map, Value};

use crate::simulator::answer::Refusal;
use crate::simulator::media::{File, MediaKind};
use crate::simulator::script::Switches;

/// Bytes of a `payload`: its metadata and tags stay in memory with the folder.
const PAYLOAD_BYTES_MAX: usize = 256 * 1024;
/// Parts of one request: more than the files that a folder may ever hold.
const PARTS_MAX: usize = 1_100;

/// A parsed upload.
#[derive(Debug, Default)]
pub struct Upload {
    /// Tags, metadata and analyses, as JSON.
    pub payload: Map<String, Value>,
    /// The files, in the order of their parts.
    pub files: Vec<(File, MediaKind)>,
    /// Bytes of the payload, and of the names and types of the files.
    pub payload_bytes: usize,
}

impl Upload {
    /// Parses the body of a request: multipart, form-encoded, empty or JSON.
    pub async fn read(headers: &HeaderMap, body: Bytes, on: &Switches) -> Result<Upload, Refusal> {
        let mime = headers.get(CONTENT_TYPE).and_then(|it| it.to_str().ok()).unwrap_or_default();
        match mime.split(';').next().unwrap_or_default().trim() {
            "multipart/form-data" => Upload::read_multipart(headers, body, on).await,
            "application/octet-stream" => Err(Refusal::not_realized("An OzCapsula container")),
            "application/x-www-form-urlencoded" => Ok(Upload::default()),
            _ if body.is_empty() => Ok(Upload::default()),
            _ => Ok(Upload {
                payload: read_payload(&body)?,
                files: Vec::new(),
                payload_bytes: body.len(),
            }),
        }
    }

    async fn read_multipart(
        headers: &HeaderMap,
        body: Bytes,
        on: &Switches,
    ) -> Result<Upload, Refusal> {
        let mut parts = open(headers, body).await?;
        let (mut payload, mut files, mut payload_bytes) = (None, Vec::new(), 0);
        for _ in 0..PARTS_MAX {
            let part = parts.next_field().await.map_err(|_| broken())?;
            let Some(part) = part else {
                let upload = Upload::assembled(payload, files, on)?;
                return Ok(Upload { payload_bytes, ..upload });
            };
            let name = part.name().unwrap_or_default().to_owned();
            match part.file_name().map(str::to_owned) {
                Some(file_name) => {
                    let content_type = part.content_type().unwrap_or_default().to_owned();
                    payload_bytes += name.len() + file_name.len() + content_type.len();
                    let bytes = part.bytes().await.map_err(|_| broken())?;
                    files.push(File { part: name, file_name, content_type, bytes });
                }
                None if name == "payload" => {
                    let bytes = part.bytes().await.map_err(|_| broken())?;
                    payload_bytes += bytes.len();
                    payload = Some(read_payload(&bytes)?);
                }
                None => {}
            }
        }
        Err(Refusal::value("Too many parts in the request"))
    }

    fn assembled(
        payload: Option<Map<String, Value>>,
        files: Vec<File>,
        on: &Switches,
    ) -> Result<Upload, Refusal> {
        let payload = match payload {
            Some(payload) => payload,
            None if on.payload_required => return Err(Refusal::missing("payload")),
            None => Map::new(),
        };
        let typed = |file: File| {
            if file.bytes.len() as u64 > on.file_bytes_max {
                return Err(Refusal::value(format!("File {} is too large", file.part)));
            }
            match MediaKind::read(&file.content_type, &file.file_name) {
                Some(kind) => Ok((file, kind)),
                None => Err(Refusal::value(format!("File {} has no known type", file.part))),
            }
        };
        Ok(Upload {
            payload,
            files: files.into_iter().map(typed).collect::<Result<_, _>>()?,
            payload_bytes: 0,
        })
    }

    /// The tags that the payload gives to the file in this part.
    pub fn tags(&self, part: &str) -> Vec<String> {
        let tags = self.payload.get("media:tags").and_then(|tags| tags.get(part));
        let tags = tags.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        tags.iter().filter_map(Value::as_str).map(str::to_owned).collect()
    }

    /// The metadata that the payload gives to the file in this part.
    pub fn media_meta_data(&self, part: &str) -> Map<String, Value> {
        let all = self.payload.get("media:meta_data");
        all.and_then(|all| all.get(part)).and_then(Value::as_object).cloned().unwrap_or_default()
    }

    /// The metadata that the payload gives to the folder.
    pub fn folder_meta_data(&self) -> Map<String, Value> {
        let meta_data = self.payload.get("folder:meta_data").and_then(Value::as_object);
        meta_data.cloned().unwrap_or_default()
    }
}

async fn open(headers: &HeaderMap, body: Bytes) -> Result<Multipart, Refusal> {
    let mut request = Request::new(Body::from(body));
    *request.headers_mut() = headers.clone();
    // The limit of the body was enforced when it was received.
    DefaultBodyLimit::disable().apply(&mut request);
    Multipart::from_request(request, &()).await.map_err(|_| broken())
}

fn read_payload(bytes: &[u8]) -> Result<Map<String, Value>, Refusal> {
    if bytes.len() > PAYLOAD_BYTES_MAX {
        return Err(Refusal::value("Payload is too large"));
    }
    match serde_json::from_slice(bytes) {
        Ok(Value::Object(payload)) => Ok(payload),
        Ok(Value::Array(_)) => Ok(Map::new()),
        Ok(_) => Err(Refusal::structure("Invalid body structure")),
        Err(_) => Err(Refusal::structure("Could not parse body as JSON object")),
    }
}

fn broken() -> Refusal {
    Refusal::structure("Could not parse body as multipart/form-data")
}
