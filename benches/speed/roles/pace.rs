//! A replica's journal in a database, to which matches are written at a steady rate, as by a busy
//! fleet.

use std::{sync::Arc, time::Duration};

use facematch::{
    clock::Clock,
    domain::{
        Event, MatchId, MatchResult, Resolution, Sequence,
        event::{AnalysisStarted, Finished, PhotoUploaded},
    },
    journal::{
        Admitted, Appended, Writer,
        postgres::{self, Postgres},
    },
};
use serde::{Deserialize, Serialize};
use tokio::{
    task::JoinSet,
    time::{MissedTickBehavior, interval, sleep},
};
use uuid::Uuid;

use crate::{
    Result,
    process::{heard, say},
    roles::fill::spec,
};

/// The default of the service's setting.
const LEASE: Duration = Duration::from_secs(10);
/// The pause before each further event of a match: as long as Oz takes to answer an upload, a
/// start, and the third poll.
const APART: [Duration; 3] =
    [Duration::from_millis(300), Duration::from_millis(200), Duration::from_millis(2_500)];
/// Longer than the run.
const KEEP: Duration = Duration::from_secs(86_400);

/// Matches from their first event to their last.
#[derive(Debug, Serialize, Deserialize)]
pub struct Pace {
    pub store: String,
    pub per_second: u64,
    pub seconds: u64,
}

/// What was written.
#[derive(Debug, Serialize, Deserialize)]
pub struct Paced {
    pub events: u64,
    pub per_second: f64,
}

impl Pace {
    pub async fn play(self) -> Result<()> {
        let clock = Clock::system();
        let config = postgres::Config {
            url: self.store.into(),
            password: None,
            clock: clock.clone(),
            ticks: clock,
            lease: LEASE,
            readers: postgres::READERS,
        };
        let journal = Arc::new(Postgres::open(config).await?);
        say(&"ready")?;
        heard()?;
        let started = std::time::Instant::now();
        let mut ticks = interval(Duration::from_secs(1) / u32::try_from(self.per_second)?);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let mut running = JoinSet::new();
        for _ in 0..self.per_second * self.seconds {
            ticks.tick().await;
            running.spawn(live(Arc::clone(&journal)));
        }
        let seconds = started.elapsed().as_secs_f64();
        let mut events = 0;
        while let Some(lived) = running.join_next().await {
            events += lived??;
        }
        say(&Paced { events, per_second: (self.per_second * self.seconds) as f64 / seconds })?;
        heard()?;
        Ok(())
    }
}

/// Writes a match, and says how many events it has.
async fn live(journal: Arc<Postgres>) -> Result<u64> {
    let id = MatchId::from_uuid(Uuid::now_v7());
    let Admitted::New(_, claim) = journal.admit(id, Arc::new(spec())).await? else {
        return Err("a new match was known".into());
    };
    let uploaded = PhotoUploaded {
        photo_media_id: format!("photo-{id}").parse()?,
        liveness_media: vec![format!("liveness-{id}").parse()?],
        liveness: None,
        earlier_analyses: Vec::new(),
        adopted: false,
    };
    let started = AnalysisStarted {
        analysis_id: format!("analysis-{id}").parse()?,
        liveness_analysis_id: None,
        adopted: false,
        oz: None,
    };
    let result = MatchResult {
        resolution: Resolution::Success,
        min_confidence: 0.9,
        max_confidence: None,
        liveness: None,
    };
    let events = [
        Event::PhotoUploaded(uploaded),
        Event::AnalysisStarted(started),
        Event::Finished(Finished { result, oz: None, keep: KEEP }),
    ];
    let mut sequence = Sequence::FIRST;
    for (event, pause) in events.into_iter().zip(APART) {
        sleep(pause).await;
        match journal.append(claim, sequence, event).await? {
            Appended::Done(recorded) => sequence = recorded.sequence,
            Appended::Lost | Appended::Taken => return Err("an event was refused".into()),
        }
    }
    Ok(sequence.0)
}
