//! A client of the simulator with plain requests, for the set-up of rows.

use std::sync::Arc;

use facematch::simulator::sample;
use futures_util::{StreamExt, TryStreamExt, stream};
use image::{DynamicImage, ImageFormat, RgbImage, codecs::jpeg::JpegEncoder};
use reqwest::{
    Client, Response,
    multipart::{Form, Part},
};
use serde_json::{Value, json};

use crate::Result;

/// The service account's token at every simulator.
pub const TOKEN: &str = "simulated-service-token";
/// The header that carries it.
pub const TOKEN_HEADER: &str = "X-Forensic-Access-Token";
/// How many folders are created at once.
const FOLDERS_AT_ONCE: usize = 16;

/// A client of one simulator.
#[derive(Clone)]
pub struct Oz {
    url: Arc<str>,
    http: Client,
}

impl Oz {
    pub fn at(url: &str) -> Result<Self> {
        // As the service does: a process has one provider of cryptography.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = Client::builder().no_proxy().build()?;
        Ok(Self { url: url.trim_end_matches('/').into(), http })
    }

    fn path(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    pub async fn get(&self, path: &str) -> Result<Value> {
        read(self.http.get(self.path(path)).header(TOKEN_HEADER, TOKEN).send().await?).await
    }

    pub async fn upload(&self, path: &str, payload: &Value, file: Part) -> Result<Value> {
        let form = Form::new().text("payload", payload.to_string()).part("file1", file);
        let request = self.http.post(self.path(path)).header(TOKEN_HEADER, TOKEN);
        read(request.multipart(form).send().await?).await
    }

    /// Sets switches of the simulator.
    pub async fn switch(&self, switches: &Value) -> Result<()> {
        let request = self.http.patch(self.path("/sim/switches")).json(switches);
        read(request.send().await?).await.map(drop)
    }

    /// How many requests the simulator has had.
    pub async fn requests(&self) -> Result<u64> {
        Ok(self.get("/sim/health").await?["requests"].as_u64().ok_or("no count of requests")?)
    }

    /// The times of a folder's polls that the simulator has recorded, in milliseconds.
    pub async fn polls(&self, folder: &str) -> Result<Vec<f64>> {
        let query = format!("/sim/record?endpoint=get_analysis&limit=1000&folder={folder}");
        let page = self.get(&query).await?;
        let requests = page["items"].as_array().ok_or("no requests")?;
        Ok(requests.iter().filter_map(|request| request["at_ms"].as_f64()).collect())
    }

    /// Creates `count` folders, each with the same person's liveness media.
    pub async fn folders(&self, count: usize) -> Result<Vec<String>> {
        let media: Arc<[u8]> = sample::shot_set(sample::portrait_jpeg()).into();
        let made = stream::iter(0..count).map(|_| self.folder(Arc::clone(&media)));
        made.buffered(FOLDERS_AT_ONCE).try_collect().await
    }

    async fn folder(&self, media: Arc<[u8]>) -> Result<String> {
        let tags = ["video_selfie", "video_selfie_blank", "orientation_portrait"];
        let file = Part::bytes(media.to_vec()).file_name("liveness.zip");
        let file = file.mime_str("application/zip")?;
        let payload = json!({"media:tags": {"file1": tags}});
        let made = self.upload("/api/folders/", &payload, file).await?;
        Ok(made["folder_id"].as_str().ok_or("a folder without an id")?.to_owned())
    }
}

async fn read(answer: Response) -> Result<Value> {
    let status = answer.status();
    let body = answer.bytes().await?;
    if !status.is_success() {
        let body = String::from_utf8_lossy(&body);
        return Err(format!("the simulator answers {status}: {body}").into());
    }
    Ok(if body.is_empty() { Value::Null } else { serde_json::from_slice(&body)? })
}

/// A JPEG of about 100 KB, most of it the picture itself, as with a phone's photo.
pub fn photo() -> Result<Vec<u8>> {
    let mut photo = Vec::new();
    let noise = DynamicImage::ImageRgb8(noise(320));
    JpegEncoder::new_with_quality(&mut photo, 80).encode_image(&noise)?;
    Ok(photo)
}

/// A PNG of nearly 10 MiB.
pub fn large_photo() -> Result<Vec<u8>> {
    let mut photo = std::io::Cursor::new(Vec::new());
    DynamicImage::ImageRgb8(noise(1_860)).write_to(&mut photo, ImageFormat::Png)?;
    Ok(photo.into_inner())
}

/// A square picture that can't be compressed.
fn noise(side: u32) -> RgbImage {
    let mut state = 0x2545_f491_u32;
    RgbImage::from_fn(side, side, |_, _| {
        // Marsaglia's xorshift: any noise does, as long as it is the same each time.
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        let [a, b, c, _] = state.to_le_bytes();
        image::Rgb([a, b, c])
    })
}
