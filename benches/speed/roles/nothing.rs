//! A service that does nothing: it shows how many matches the load generator reaches when no
//! service slows it down.

use std::pin::Pin;

use facematch::pb::{
    Accepted, CancelMatchRequest, DeleteMatchRequest, DeleteMatchResponse, Finished,
    GetMatchRequest, ListMatchesRequest, ListMatchesResponse, Match, MatchRequest, MatchUpdate,
    WaitMatchRequest, WatchMatchRequest, WatchMatchesRequest,
    face_match_server::{FaceMatch, FaceMatchServer},
    match_update::Event,
};
use futures_util::{Stream, stream};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tonic::{
    Request, Response, Status,
    transport::{Server, server::TcpIncoming},
};

use crate::{
    Result,
    process::{heard, say},
    roles::WINDOW_BYTES,
};

/// Answers every match at once.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Nothing;

/// How many updates an ordinary match has.
const UPDATES: u64 = 4;

impl Nothing {
    pub async fn play(self) -> Result<()> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        say(&format!("http://{}", listener.local_addr()?))?;
        let service = FaceMatchServer::new(self).max_decoding_message_size(usize::MAX);
        let serving = Server::builder()
            .initial_stream_window_size(WINDOW_BYTES)
            .initial_connection_window_size(4 * WINDOW_BYTES)
            .add_service(service)
            .serve_with_incoming(TcpIncoming::from(listener).with_nodelay(Some(true)));
        tokio::select! {
            served = serving => Ok(served?),
            told = tokio::task::spawn_blocking(heard) => told?.map(drop),
        }
    }
}

type Updates = Pin<Box<dyn Stream<Item = Result<MatchUpdate, Status>> + Send>>;

#[tonic::async_trait]
impl FaceMatch for Nothing {
    type RunMatchStream = Updates;
    type WatchMatchStream = Updates;
    type WatchMatchesStream = Updates;

    async fn run_match(&self, _: Request<MatchRequest>) -> Result<Response<Updates>, Status> {
        let update = |sequence| {
            let event = match sequence == UPDATES {
                true => Event::Finished(Finished::default()),
                false => Event::Accepted(Accepted::default()),
            };
            let m = Some(Match::default());
            Ok(MatchUpdate { sequence, r#match: m, event: Some(event), ..Default::default() })
        };
        Ok(Response::new(Box::pin(stream::iter((1..=UPDATES).map(update)))))
    }

    async fn create_match(&self, _: Request<MatchRequest>) -> Result<Response<Match>, Status> {
        Err(nothing())
    }

    async fn get_match(&self, _: Request<GetMatchRequest>) -> Result<Response<Match>, Status> {
        Err(nothing())
    }

    async fn wait_match(&self, _: Request<WaitMatchRequest>) -> Result<Response<Match>, Status> {
        Err(nothing())
    }

    async fn watch_match(
        &self,
        _: Request<WatchMatchRequest>,
    ) -> Result<Response<Updates>, Status> {
        Err(nothing())
    }

    async fn watch_matches(
        &self,
        _: Request<WatchMatchesRequest>,
    ) -> Result<Response<Updates>, Status> {
        Err(nothing())
    }

    async fn list_matches(
        &self,
        _: Request<ListMatchesRequest>,
    ) -> Result<Response<ListMatchesResponse>, Status> {
        Err(nothing())
    }

    async fn cancel_match(
        &self,
        _: Request<CancelMatchRequest>,
    ) -> Result<Response<Match>, Status> {
        Err(nothing())
    }

    async fn delete_match(
        &self,
        _: Request<DeleteMatchRequest>,
    ) -> Result<Response<DeleteMatchResponse>, Status> {
        Err(nothing())
    }
}

fn nothing() -> Status {
    Status::unimplemented("it does nothing")
}
