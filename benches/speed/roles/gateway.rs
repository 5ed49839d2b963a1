//! A bare gateway: tonic in front of the bare loop, in memory, with no journal, no checks and no
//! second try. Without Oz it answers every match at once, which shows how many matches the load
//! generator reaches when no service slows it down.

use std::{pin::Pin, time::Duration};

use bytes::Bytes;
use facematch::pb::{
    Accepted, AnalysisStarted, CancelMatchRequest, DeleteMatchRequest, DeleteMatchResponse,
    Finished, GetMatchRequest, ListMatchesRequest, ListMatchesResponse, Match, MatchRequest,
    MatchUpdate, PhotoUploaded, WaitMatchRequest, WatchMatchRequest, WatchMatchesRequest,
    face_match_server::{FaceMatch, FaceMatchServer},
    match_update::Event,
    reference_photo::Source,
};
use futures_util::Stream;
use serde::{Deserialize, Serialize};
use tokio::{net::TcpListener, sync::mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{
    Request, Response, Status,
    transport::{Server, server::TcpIncoming},
};

use crate::{
    Result,
    lean::LeanOz,
    process::{heard, say},
    roles::WINDOW_BYTES,
};

/// A gateway to Oz.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Gateway {
    /// `None`: it answers every match at once.
    pub oz: Option<String>,
    /// The pause between two polls, in milliseconds.
    pub poll_ms: u64,
}

/// How many updates an ordinary match has.
const UPDATES: usize = 4;
/// As many streams as a connection may ask for.
const STREAMS: u32 = 100_000;
const FRAME_BYTES: u32 = 1024 * 1024;

impl Gateway {
    pub async fn play(self) -> Result<()> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        say(&format!("http://{}", listener.local_addr()?))?;
        let oz = self.oz.as_deref().map(LeanOz::at).transpose()?;
        let served = Served { oz, poll: Duration::from_millis(self.poll_ms) };
        let serving = Server::builder()
            .max_concurrent_streams(STREAMS)
            .max_frame_size(FRAME_BYTES)
            .initial_stream_window_size(WINDOW_BYTES)
            .initial_connection_window_size(4 * WINDOW_BYTES)
            .add_service(FaceMatchServer::new(served).max_decoding_message_size(usize::MAX))
            .serve_with_incoming(TcpIncoming::from(listener).with_nodelay(Some(true)));
        tokio::select! {
            served = serving => Ok(served?),
            told = tokio::task::spawn_blocking(heard) => told?.map(drop),
        }
    }
}

/// What the gateway serves.
#[derive(Clone)]
struct Served {
    oz: Option<LeanOz>,
    poll: Duration,
}

/// A match that is under way, and its caller.
struct Run {
    state: Match,
    updates: mpsc::Sender<Result<MatchUpdate, Status>>,
}

impl Run {
    async fn tell(&mut self, event: Event) {
        self.state.sequence += 1;
        let update = MatchUpdate {
            match_id: self.state.match_id.clone(),
            sequence: self.state.sequence,
            r#match: Some(self.state.clone()),
            event: Some(event),
            ..MatchUpdate::default()
        };
        // An error means that the caller has gone.
        let _ = self.updates.send(Ok(update)).await;
    }

    async fn drive(mut self, served: Served, photo: Bytes) {
        self.tell(Event::Accepted(Accepted::default())).await;
        let ended = match &served.oz {
            Some(oz) => self.ask(oz, photo, served.poll).await,
            None => self.answer_at_once().await,
        };
        match ended {
            Ok(()) => self.tell(Event::Finished(Finished::default())).await,
            Err(failure) => {
                let _ = self.updates.send(Err(Status::internal(failure.to_string()))).await;
            }
        }
    }

    async fn ask(&mut self, oz: &LeanOz, photo: Bytes, poll: Duration) -> Result<()> {
        let folder = self.state.folder_id.clone();
        let liveness = oz.liveness(&folder).await?;
        let mime = if photo.starts_with(b"\x89PNG") { "image/png" } else { "image/jpeg" };
        let photo = oz.upload(&folder, photo, mime).await?;
        self.tell(Event::PhotoUploaded(PhotoUploaded::default())).await;
        let analysis = oz.start(&folder, &liveness, &photo).await?;
        self.state.photo_media_id = photo;
        self.state.analysis_id.clone_from(&analysis);
        self.tell(Event::AnalysisStarted(AnalysisStarted::default())).await;
        oz.wait(&analysis, poll).await
    }

    async fn answer_at_once(&mut self) -> Result<()> {
        self.tell(Event::PhotoUploaded(PhotoUploaded::default())).await;
        self.tell(Event::AnalysisStarted(AnalysisStarted::default())).await;
        Ok(())
    }
}

type Updates = Pin<Box<dyn Stream<Item = Result<MatchUpdate, Status>> + Send>>;

#[tonic::async_trait]
impl FaceMatch for Served {
    type RunMatchStream = Updates;
    type WatchMatchStream = Updates;
    type WatchMatchesStream = Updates;

    async fn run_match(&self, request: Request<MatchRequest>) -> Result<Response<Updates>, Status> {
        let request = request.into_inner();
        let Some(Source::Content(photo)) = request.photo.and_then(|photo| photo.source) else {
            return Err(Status::invalid_argument("no photo"));
        };
        let (updates, told) = mpsc::channel(UPDATES);
        let state = Match {
            match_id: uuid::Uuid::now_v7().to_string(),
            folder_id: request.folder_id,
            ..Match::default()
        };
        tokio::spawn(Run { state, updates }.drive(self.clone(), photo));
        Ok(Response::new(Box::pin(ReceiverStream::new(told))))
    }

    async fn create_match(&self, _: Request<MatchRequest>) -> Result<Response<Match>, Status> {
        Err(absent())
    }

    async fn get_match(&self, _: Request<GetMatchRequest>) -> Result<Response<Match>, Status> {
        Err(absent())
    }

    async fn wait_match(&self, _: Request<WaitMatchRequest>) -> Result<Response<Match>, Status> {
        Err(absent())
    }

    async fn watch_match(
        &self,
        _: Request<WatchMatchRequest>,
    ) -> Result<Response<Updates>, Status> {
        Err(absent())
    }

    async fn watch_matches(
        &self,
        _: Request<WatchMatchesRequest>,
    ) -> Result<Response<Updates>, Status> {
        Err(absent())
    }

    async fn list_matches(
        &self,
        _: Request<ListMatchesRequest>,
    ) -> Result<Response<ListMatchesResponse>, Status> {
        Err(absent())
    }

    async fn cancel_match(
        &self,
        _: Request<CancelMatchRequest>,
    ) -> Result<Response<Match>, Status> {
        Err(absent())
    }

    async fn delete_match(
        &self,
        _: Request<DeleteMatchRequest>,
    ) -> Result<Response<DeleteMatchResponse>, Status> {
        Err(absent())
    }
}

fn absent() -> Status {
    Status::unimplemented("a bare gateway has RunMatch alone")
}
