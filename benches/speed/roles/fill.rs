//! Fills a journal with many matches in progress, as a process that died leaves it.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use facematch::{
    clock::Clock,
    domain::{
        Digest, Event, FolderId, Format, LivenessPolicy, MatchId, PhotoKind, PhotoSource, Sequence,
        Spec, TenantId, Timeout,
        event::{AnalysisStarted, PhotoUploaded},
    },
    journal::{
        Admitted, Claim, Writer,
        sqlite::{self, Sqlite},
    },
};
use futures_util::{StreamExt, TryStreamExt, stream};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{Result, process::say};

/// How many matches are written at once: more than fit into one commit.
const AT_ONCE: usize = 512;
/// Longer than the run, so that no match ends.
const TIMEOUT: Duration = Duration::from_secs(86_400);

/// Matches whose analyses are in progress.
#[derive(Debug, Serialize, Deserialize)]
pub struct Fill {
    pub store: PathBuf,
    pub count: usize,
}

impl Fill {
    pub async fn play(self) -> Result<()> {
        let journal = open(self.store).await?;
        let filling = stream::iter(0..self.count).map(|n| under_way(&journal, n));
        filling.buffer_unordered(AT_ONCE).try_collect::<()>().await?;
        journal.close().await;
        say(&"filled")
    }
}

pub(super) async fn open(path: PathBuf) -> Result<Sqlite> {
    let readers = sqlite::READERS;
    let clock = Clock::system();
    Ok(Sqlite::open(sqlite::Config { path, clock: clock.clone(), ticks: clock, readers }).await?)
}

async fn under_way(journal: &Sqlite, n: usize) -> Result<()> {
    let claim = admit(journal).await?;
    let uploaded = PhotoUploaded {
        photo_media_id: format!("photo-{n}").parse()?,
        liveness_media: vec![format!("liveness-{n}").parse()?],
        liveness: None,
        earlier_analyses: Vec::new(),
        adopted: false,
    };
    let started = AnalysisStarted {
        analysis_id: format!("analysis-{n}").parse()?,
        liveness_analysis_id: None,
        adopted: false,
        oz: None,
    };
    journal.append(claim, Sequence(1), Event::PhotoUploaded(uploaded)).await?;
    journal.append(claim, Sequence(2), Event::AnalysisStarted(started)).await?;
    Ok(())
}

/// Admits a new match.
pub(super) async fn admit(journal: &Sqlite) -> Result<Claim> {
    match journal.admit(MatchId::from_uuid(Uuid::now_v7()), Arc::new(spec())).await? {
        Admitted::New(_, claim) => Ok(claim),
        Admitted::Known(_) => Err("a new match was known".into()),
    }
}

pub(super) fn spec() -> Spec {
    Spec {
        tenant: TenantId::default_tenant(),
        request_id: None,
        folder_id: FolderId::from_uuid(Uuid::new_v4()),
        photo: PhotoSource::Content { digest: Digest([7; 32]), format: Format::Jpeg },
        kind: PhotoKind::Selfie,
        timeout: Timeout { duration: TIMEOUT, named: true },
        liveness_media: Vec::new(),
        liveness_policy: LivenessPolicy::Report,
        labels: BTreeMap::new(),
        trace: None,
    }
}
