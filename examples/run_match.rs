//! Runs one match and prints its updates, across broken connections.
//!
//! ```sh
//! cargo run --example run_match -- http://127.0.0.1:50051 FOLDER_ID PHOTO
//! ```
//!
//! It follows the rules of `docs/clients.md`: one `request_id`, the photo until Oz has it, then
//! `WatchMatch` from the last update, and the server's own word on whether a repeat may help.

#![allow(clippy::disallowed_methods, reason = "a client of its own reads the clock itself")]

use std::{
    env,
    error::Error,
    fs,
    time::{Duration, Instant},
};

use facematch::pb::{
    MatchRequest, MatchState, MatchUpdate, PhotoKind, ReferencePhoto, WatchMatchRequest,
    face_match_client::FaceMatchClient, reference_photo::Source, watch_match_request::Id,
};
use tonic::{
    Code, Status, Streaming,
    transport::{Channel, Endpoint},
};
use tonic_types::StatusExt;

/// How long the client goes on without a new update.
const PATIENCE: Duration = Duration::from_secs(5 * 60);

/// The longest pause of the client's own.
const PAUSE_MAX: Duration = Duration::from_secs(5);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let [server, folder_id, photo] =
        env::args().skip(1).collect::<Vec<_>>().try_into().map_err(|_| "SERVER FOLDER_ID PHOTO")?;
    let last = run(server, folder_id, fs::read(photo)?, |update| {
        println!(
            "{} {}",
            update.sequence,
            update.r#match.as_ref().map_or("", |m| m.state().as_str_name())
        );
    })
    .await?;
    let ended = last.r#match.unwrap_or_default();
    match (&ended.result, &ended.error) {
        (Some(result), _) => {
            println!("{} {:?}", result.resolution().as_str_name(), result.min_confidence)
        }
        (None, Some(error)) => println!("{} {}", error.reason, error.message),
        (None, None) => println!("{}", ended.state().as_str_name()),
    }
    Ok(())
}

/// Calls the service until the match has ended, and shows each update once. The last update.
pub async fn run(
    server: String,
    folder_id: String,
    photo: Vec<u8>,
    mut show: impl FnMut(&MatchUpdate),
) -> Result<MatchUpdate, Box<dyn Error>> {
    let channel = Endpoint::new(server)?
        .http2_keep_alive_interval(Duration::from_secs(30))
        .keep_alive_while_idle(true)
        .connect_lazy();
    let mut client = FaceMatchClient::new(channel);
    let request = MatchRequest {
        request_id: uuid::Uuid::new_v4().to_string(),
        folder_id,
        photo: Some(ReferencePhoto {
            source: Some(Source::Content(photo.into())),
            kind: PhotoKind::Selfie.into(),
            ..Default::default()
        }),
        ..Default::default()
    };
    let mut seen = 0;
    let mut is_uploaded = false;
    let mut tries = 0;
    let mut news = Instant::now();
    loop {
        let stream = open(&mut client, &request, is_uploaded, seen).await;
        let ended = match stream {
            Ok(mut updates) => loop {
                match updates.message().await {
                    Ok(Some(update)) if update.sequence <= seen => {}
                    Ok(Some(update)) => {
                        (seen, tries, news) = (update.sequence, 0, Instant::now());
                        let now = update.r#match.clone().unwrap_or_default();
                        is_uploaded = !now.photo_media_id.is_empty();
                        show(&update);
                        if has_ended(now.state()) {
                            return Ok(update);
                        }
                    }
                    // A proxy has ended the stream before the match did.
                    Ok(None) => break None,
                    Err(status) => break Some(status),
                }
            },
            Err(status) => Some(status),
        };
        let wait = match &ended {
            Some(status) => pause(status, tries),
            None => Some(Duration::from_secs(1)),
        };
        match (wait, ended) {
            (Some(wait), _) if news.elapsed() + wait <= PATIENCE => {
                tries += 1;
                tokio::time::sleep(wait).await;
            }
            (_, Some(status)) => return Err(status.into()),
            (_, None) => return Err("the stream ends before its match, again and again".into()),
        }
    }
}

/// The same `request_id` is the same match: with the photo until Oz has it, then without.
async fn open(
    client: &mut FaceMatchClient<Channel>,
    request: &MatchRequest,
    is_uploaded: bool,
    seen: u64,
) -> Result<Streaming<MatchUpdate>, Status> {
    let answered = if is_uploaded {
        let id = Some(Id::RequestId(request.request_id.clone()));
        client
            .watch_match(WatchMatchRequest { id, after_sequence: seen, ..Default::default() })
            .await
    } else {
        client.run_match(request.clone()).await
    };
    Ok(answered?.into_inner())
}

/// How long to wait before the next call; `None` if a repeat can't help.
fn pause(status: &Status, tries: u32) -> Option<Duration> {
    let details = status.get_error_details();
    if details.error_info().is_some_and(|info| info.domain == "facematch") {
        // The server answered: it sets a delay wherever a repeat may help.
        return details.retry_info().and_then(|info| info.retry_delay);
    }
    // How clients report a broken connection: the server has said nothing.
    let is_broken = matches!(
        status.code(),
        Code::Unavailable | Code::Unknown | Code::Internal | Code::Aborted | Code::Cancelled
    );
    let longest = PAUSE_MAX.min(Duration::from_millis(200) * 2_u32.saturating_pow(tries));
    is_broken.then(|| longest.mul_f64(rand::random()))
}

fn has_ended(state: MatchState) -> bool {
    matches!(state, MatchState::Finished | MatchState::Failed | MatchState::Cancelled)
}
