//! Tries the photo library: whether it can be reached and is set up as needed, and one photo of it.
//!
//! It reads like the service does, and keeps neither the key nor the photo.

use std::sync::Arc;

use crate::{
    clock::Clock,
    doctor::{DoctorStep, Finding, examiner::Examiner, judge::library as judge},
    domain::{LibraryFault, ReferenceKey, photo},
    library::{LibrarySource, READ_TIMEOUT, Room, SourceError},
};

/// The photo library to try.
pub struct LibraryPlan {
    /// What is behind it.
    pub source: Arc<dyn LibrarySource>,
    /// The key of a photo to read.
    pub key: Option<ReferenceKey>,
    /// Limits the wait for its answers.
    pub clock: Clock,
}

/// Memory for one photo of any allowed size.
struct OnePhoto;

impl Room for OnePhoto {
    fn grow_to(&mut self, bytes: usize) -> bool {
        bytes <= photo::BYTES_MAX
    }
}

/// Tries the library of the settings, if they name one.
pub async fn library(it: &mut Examiner<'_>, plan: Option<&LibraryPlan>) {
    let Some(plan) = plan else {
        it.tell(Finding::not_tried(DoctorStep::Library, "--library is not set"));
        return;
    };
    let checked = within(&plan.clock, plan.source.check()).await;
    it.tell(judge::reach(plan.source.kind(), checked));
    let Some(key) = &plan.key else {
        let finding = Finding::not_tried(DoctorStep::Reference, "no key was given");
        it.tell(finding.advised("--reference KEY reads the photo of that key"));
        return;
    };
    // Also after a library that can't be checked: a service may be allowed to read and nothing else.
    let read = within(&plan.clock, plan.source.read(key, &mut OnePhoto)).await;
    it.tell(judge::photo(read));
}

/// Waits for an answer as long as the service does.
async fn within<T>(
    clock: &Clock,
    asking: impl Future<Output = Result<T, SourceError>>,
) -> Result<T, SourceError> {
    let until = clock.now().after(READ_TIMEOUT);
    clock.before(until, asking).await.unwrap_or_else(|| {
        let what = format!("no whole answer within {READ_TIMEOUT:?}");
        Err(SourceError::Fault(LibraryFault::Unreachable, what))
    })
}
