//! The events of matches, written by the journal's engine for SQLite to a new file.

use std::{path::PathBuf, sync::Arc};

use facematch::{
    clock::Clock,
    domain::{AnalysisId, Event, MatchId, RequestId, Spec, event::AnalysisStarted},
    journal::{
        Admitted, Appended, Writer,
        sqlite::{self, Sqlite},
    },
};
use uuid::Uuid;

use crate::{Result, inputs};

/// Opens a journal in a new file, by a clock that stands still.
pub async fn open(path: PathBuf) -> Result<Sqlite> {
    let (clock, _) = Clock::manual(inputs::START);
    Ok(Sqlite::open(sqlite::Config { path, clock, ticks: Clock::system(), readers: 1 }).await?)
}

/// Writes the n-th match: its first event and each that follows, in a commit of its own.
pub async fn a_match(journal: &Sqlite, n: u64, spec: &Spec, following: &[Event]) -> Result<()> {
    let id = |of: u64| Uuid::from_u64_pair(of << 16 | 0x7000, 1 << 63 | n);
    let request_id: RequestId = format!("order-{n}").parse()?;
    // Callers choose folders in any order.
    let folder_id = id(n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 16).to_string().parse()?;
    let spec = Spec { request_id: Some(request_id), folder_id, ..spec.clone() };
    let admitted = journal.admit(MatchId::from_uuid(id(n)), Arc::new(spec)).await?;
    let Admitted::New(first, claim) = admitted else {
        return Err("a new match was known".into());
    };
    let mut after = first.sequence;
    for event in following {
        let event = with_analysis(event.clone(), folder_id.to_string().parse()?);
        match journal.append(claim, after, event).await? {
            Appended::Done(recorded) => after = recorded.sequence,
            Appended::Lost | Appended::Taken => return Err("an event was not written".into()),
        }
    }
    Ok(())
}

/// The event with another analysis: no two matches have the same.
fn with_analysis(event: Event, analysis_id: AnalysisId) -> Event {
    match event {
        Event::AnalysisStarted(started) => {
            Event::AnalysisStarted(AnalysisStarted { analysis_id, ..started })
        }
        other => other,
    }
}
