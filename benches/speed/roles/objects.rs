//! An object store that has one photo: the other end of a photo library with S3's protocol.
//!
//! It deliberately checks no signature: the service's work is measured, not the store's.

use std::convert::Infallible;

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

use crate::{
    Result, oz,
    process::{heard, say},
};

/// Answers each request with the photo.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Objects;

impl Objects {
    pub async fn play(self) -> Result<()> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        say(&format!("http://{}", listener.local_addr()?))?;
        tokio::select! {
            served = serve(listener, oz::photo()?.into()) => served,
            told = tokio::task::spawn_blocking(heard) => told?.map(drop),
        }
    }
}

async fn serve(listener: TcpListener, photo: Bytes) -> Result<()> {
    let mut connections = JoinSet::new();
    loop {
        let (connection, _) = listener.accept().await?;
        connection.set_nodelay(true)?;
        connections.spawn(answer(connection, photo.clone()));
        while connections.try_join_next().is_some() {}
    }
}

async fn answer(connection: TcpStream, photo: Bytes) {
    let answer = service_fn(|_: Request<Incoming>| {
        let photo = Full::new(photo.clone());
        async { Ok::<_, Infallible>(Response::new(photo)) }
    });
    // An error means that the service has closed the connection.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(connection), answer).await;
}
