//! A minimal client: it sends a request and returns the answer.

use std::sync::Once;

use reqwest::multipart::{Form, Part};
use reqwest::{Client, RequestBuilder, Response};
use serde_json::{Value, json};

use crate::simulator::{Config, FolderSeed, Simulator, sample};

/// A simulator, and a client with a valid token.
pub struct Lab {
    pub simulator: Simulator,
    pub http: Client,
    pub token: String,
}

/// A client for plain HTTP. reqwest needs a TLS provider even without TLS.
pub fn http() -> Client {
    static PROVIDER: Once = Once::new();
    PROVIDER.call_once(|| {
        // Tests of another module may have installed it first.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
    Client::builder().no_proxy().build().expect("a plain client can be built")
}

impl Lab {
    pub async fn new() -> Lab {
        Lab::with(Config::default()).await
    }

    pub async fn with(config: Config) -> Lab {
        let simulator = Simulator::start_with(config).await.expect("the loopback is free");
        let token = simulator.service_token().to_owned();
        Lab { simulator, http: http(), token }
    }

    /// A lab, and a folder whose liveness media show the sample person.
    pub async fn with_folder() -> (Lab, String) {
        let lab = Lab::new().await;
        let folder = lab.simulator.add_folder(sample::liveness_folder(sample::portrait_jpeg()));
        (lab, folder)
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.simulator.url())
    }

    pub fn get(&self, path: &str) -> RequestBuilder {
        self.http.get(self.url(path)).header("X-Forensic-Access-Token", &self.token)
    }

    pub fn post(&self, path: &str) -> RequestBuilder {
        self.http.post(self.url(path)).header("X-Forensic-Access-Token", &self.token)
    }

    pub fn patch(&self, path: &str) -> RequestBuilder {
        http().patch(self.url(path))
    }

    pub fn delete(&self, path: &str) -> RequestBuilder {
        self.http.delete(self.url(path)).header("X-Forensic-Access-Token", &self.token)
    }

    pub fn upload(&self, folder: &str, photo: &[u8]) -> RequestBuilder {
        let payload = json!({
            "media:tags": { "photo1": ["photo_selfie"] },
            "media:meta_data": { "photo1": { "match_id": "m-1" } },
        });
        let form = Form::new()
            .text("payload", payload.to_string())
            .part("photo1", file(photo, "selfie.jpg", "image/jpeg"));
        self.post(&format!("/api/folders/{folder}/media/")).multipart(form)
    }

    pub fn analyse(&self, folder: &str, analyses: &Value) -> RequestBuilder {
        let body = json!({ "analyses": analyses });
        self.post(&format!("/api/folders/{folder}/analyses/")).json(&body)
    }

    /// Uploads a photo, compares all media of the folder, and returns the analysis a minute later.
    pub async fn match_photo(&self, folder: &str, photo: &[u8]) -> Value {
        answer(self.upload(folder, photo)).await.expect(201);
        self.compare(folder).await
    }

    /// Compares all media of the folder, and returns the analysis a minute later.
    pub async fn compare(&self, folder: &str) -> Value {
        let started = answer(self.analyse(folder, &json!([{ "type": "biometry" }]))).await;
        let id = started.expect(201)[0]["analyse_id"].as_str().expect("an id").to_owned();
        self.simulator.skip(std::time::Duration::from_secs(60));
        answer(self.get(&format!("/api/analyses/{id}"))).await.expect(200)
    }

    pub fn empty_folder(&self) -> String {
        self.simulator.add_folder(FolderSeed::default())
    }
}

pub fn file(bytes: &[u8], name: &str, mime: &str) -> Part {
    let part = Part::bytes(bytes.to_vec()).file_name(name.to_owned());
    part.mime_str(mime).expect("the type is valid")
}

/// A received answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub body: Value,
}

impl Answer {
    /// The body; panics if the status is another one.
    #[track_caller]
    pub fn expect(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.body);
        self.body
    }

    /// Status and `error_code`; `u64::MAX` without a code.
    pub fn error(&self) -> (u16, u64) {
        (self.status, self.body["error_code"].as_u64().unwrap_or(u64::MAX))
    }
}

/// Sends a request. A body that is not JSON is returned as a string.
pub async fn answer(request: RequestBuilder) -> Answer {
    let response: Response = request.send().await.expect("the simulator answers");
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let text = response.text().await.expect("the body is complete");
    let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
    Answer { status, headers, body }
}
