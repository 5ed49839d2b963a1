//! The connection to a server.
//!
//! It reconnects by itself once it has been up; whether to call again is `resume`'s to say.

use std::time::Duration;

use tonic::transport::{Channel, Endpoint, Error, Uri};

use crate::cli::pb::face_match_client::FaceMatchClient;

/// A client of the service.
pub type Client = FaceMatchClient<Channel>;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A connection that is gone without a word is noticed within this time, twice at most.
const PING_INTERVAL: Duration = Duration::from_secs(20);

/// The largest answer: a page of 1,000 matches, each with 16 labels of the longest kind.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// Connects to a server that is there.
pub async fn connect(server: &Uri) -> Result<Client, Error> {
    let endpoint = Endpoint::from(server.clone())
        .connect_timeout(CONNECT_TIMEOUT)
        .http2_keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_INTERVAL);
    let channel = endpoint.connect().await?;
    Ok(FaceMatchClient::new(channel).max_decoding_message_size(ANSWER_BYTES_MAX))
}
