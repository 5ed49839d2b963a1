//! A caller that follows all matches in one stream, and measures how far it is behind.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use facematch::pb::{MatchUpdate, WatchMatchesRequest, match_update::Event};
use serde::{Deserialize, Serialize};

use crate::{
    Result,
    process::{heard, say},
    roles::{Percentiles, clients},
};

/// Follows from a token on, until `updates` updates have arrived.
#[derive(Debug, Serialize, Deserialize)]
pub struct Follower {
    pub server: String,
    pub token: String,
    pub updates: u64,
}

/// What the follower measured.
#[derive(Debug, Serialize, Deserialize)]
pub struct Followed {
    pub per_second: f64,
    /// From an update's own time to its arrival.
    pub behind: Percentiles,
}

impl Follower {
    pub async fn play(self) -> Result<()> {
        let mut client = clients(&self.server, 1).await?.remove(0);
        let request = WatchMatchesRequest { resume_token: self.token, ..Default::default() };
        let mut updates = client.watch_matches(request).await?.into_inner();
        updates.message().await?.ok_or("the stream has no first message")?;
        say(&"follows")?;
        let (started, mut behind) = (Instant::now(), Vec::new());
        while (behind.len() as u64) < self.updates {
            let update = updates.message().await?.ok_or("the stream has ended")?;
            if !matches!(update.event, Some(Event::Heartbeat(_))) {
                behind.push(age(&update)?);
            }
        }
        let per_second = self.updates as f64 / started.elapsed().as_secs_f64();
        say(&Followed { per_second, behind: Percentiles::of(behind) })?;
        heard()?;
        Ok(())
    }
}

/// How long ago an update became durable.
fn age(update: &MatchUpdate) -> Result<Duration> {
    let time = update.time.ok_or("an update without its time")?;
    let since = Duration::new(time.seconds.unsigned_abs(), time.nanos.unsigned_abs());
    Ok(SystemTime::now().duration_since(UNIX_EPOCH)?.saturating_sub(since))
}
