//! The calls to Oz that one match takes, as lean as reqwest allows: answers of fixed types, no
//! checks, no second try. What the service does beyond these calls is its own.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use reqwest::{
    Client, RequestBuilder,
    multipart::{Form, Part},
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::json;
use tokio::time::{Instant, sleep_until};

use crate::{
    Result,
    oz::{TOKEN, TOKEN_HEADER},
};

/// A client of Oz.
#[derive(Clone)]
pub struct LeanOz {
    url: Arc<str>,
    http: Client,
}

#[derive(Deserialize)]
struct Folder {
    media: Vec<Medium>,
}

#[derive(Deserialize)]
struct Medium {
    media_id: String,
}

#[derive(Deserialize)]
struct Analysis {
    analyse_id: String,
    state: String,
}

impl LeanOz {
    pub fn at(url: &str) -> Result<Self> {
        // As the service does: a process has one provider of cryptography.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = Client::builder().no_proxy().build()?;
        Ok(Self { url: url.trim_end_matches('/').into(), http })
    }

    /// The first media of a folder.
    pub async fn liveness(&self, folder: &str) -> Result<String> {
        let url = format!("{}/api/folders/{folder}?with_analyses=true", self.url);
        let folder: Folder = answer(self.http.get(url)).await?;
        Ok(folder.media.into_iter().next().ok_or("no liveness media")?.media_id)
    }

    /// Uploads a photo, and returns the id of its media.
    pub async fn upload(&self, folder: &str, photo: Bytes, mime: &str) -> Result<String> {
        let length = photo.len() as u64;
        let file = Part::stream_with_length(photo, length).file_name("photo").mime_str(mime)?;
        let tags = json!({"media:tags": {"file1": ["photo_selfie"]}});
        let form = Form::new().text("payload", tags.to_string()).part("file1", file);
        let url = format!("{}/api/folders/{folder}/media/", self.url);
        let uploaded: Vec<Medium> = answer(self.http.post(url).multipart(form)).await?;
        Ok(uploaded.into_iter().next().ok_or("no photo")?.media_id)
    }

    /// Starts an analysis, and returns its id.
    pub async fn start(&self, folder: &str, liveness: &str, photo: &str) -> Result<String> {
        let asked = json!({"analyses": [{"type": "biometry", "source_media": [liveness, photo]}]});
        let url = format!("{}/api/folders/{folder}/analyses/", self.url);
        let started: Vec<Analysis> = answer(self.http.post(url).json(&asked)).await?;
        Ok(started.into_iter().next().ok_or("no analysis")?.analyse_id)
    }

    /// Polls an analysis until it has ended.
    pub async fn wait(&self, analysis: &str, pause: Duration) -> Result<()> {
        let url = format!("{}/api/analyses/{analysis}", self.url);
        let mut due = Instant::now();
        loop {
            due = (due + pause).max(Instant::now());
            sleep_until(due).await;
            let analysis: Analysis = answer(self.http.get(&url)).await?;
            if analysis.state != "PROCESSING" {
                return Ok(());
            }
        }
    }
}

async fn answer<T: DeserializeOwned>(request: RequestBuilder) -> Result<T> {
    let answer = request.header(TOKEN_HEADER, TOKEN).send().await?.error_for_status()?;
    Ok(answer.json().await?)
}
