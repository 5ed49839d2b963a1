//! How whoever asks a writer for something gets the answer.
//!
//! An answer that nobody is there to hear may hold claims; they are let go, since otherwise these
//! matches would be driven by nobody for as long as this process lives.

use std::{
    mem,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::oneshot;

use crate::{
    domain::Match,
    journal::{Admitted, Appended, CancelledAs, Claim, Erased, Error, Takeover},
};

/// What may be answered.
pub(super) trait CarriesClaims: Send + Sync + 'static {
    /// Which matches its hearer holds by it.
    fn claims(&self) -> Vec<Claim> {
        Vec::new()
    }
}

/// Claims that nobody knows to be theirs: nobody drives these matches unless they are let go.
#[derive(Default)]
pub(super) struct Orphans(Mutex<Vec<Claim>>);

/// Gives the answer.
pub(super) struct ReplySender<T: CarriesClaims> {
    sender: oneshot::Sender<Result<T, Error>>,
    orphans: Arc<Orphans>,
}

/// Waits for the answer; should its hearer go meanwhile, the claims in it are let go.
pub(super) struct ReplyReceiver<T: CarriesClaims> {
    receiver: oneshot::Receiver<Result<T, Error>>,
    orphans: Arc<Orphans>,
}

/// Where an answer is given, and where it is heard.
pub(super) fn pair<T: CarriesClaims>(orphans: &Arc<Orphans>) -> (ReplySender<T>, ReplyReceiver<T>) {
    let (sender, receiver) = oneshot::channel();
    let reply = ReplySender { sender, orphans: Arc::clone(orphans) };
    (reply, ReplyReceiver { receiver, orphans: Arc::clone(orphans) })
}

impl<T: CarriesClaims> ReplySender<T> {
    /// Whether nobody waits any more.
    pub(super) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Answers.
    pub(super) fn send(self, answer: Result<T, Error>) {
        if let Err(Ok(unheard)) = self.sender.send(answer) {
            self.orphans.add(unheard.claims());
        }
    }

    /// Answers that it failed, where it may have been done all the same.
    pub(super) fn fail(self, doubtful: &T, error: Error) {
        self.orphans.add(doubtful.claims());
        self.send(Err(error));
    }
}

impl<T: CarriesClaims> ReplyReceiver<T> {
    /// What became of it.
    pub(super) async fn wait(mut self) -> Result<T, Error> {
        (&mut self.receiver).await.map_err(|_| closed())?
    }
}

impl<T: CarriesClaims> Drop for ReplyReceiver<T> {
    fn drop(&mut self) {
        self.receiver.close();
        if let Ok(Ok(unheard)) = self.receiver.try_recv() {
            self.orphans.add(unheard.claims());
        }
    }
}

/// A claim that somebody may be about to hear of. It is let go of unless they do.
pub(super) struct ClaimGuard {
    claim: Option<Claim>,
    orphans: Arc<Orphans>,
}

impl ClaimGuard {
    pub(super) fn new(claim: Option<Claim>, orphans: &Arc<Orphans>) -> Self {
        Self { claim, orphans: Arc::clone(orphans) }
    }

    pub(super) fn claim(&self) -> Option<Claim> {
        self.claim
    }

    /// It is theirs.
    pub(super) fn disarm(mut self) {
        self.claim = None;
    }
}

impl Drop for ClaimGuard {
    fn drop(&mut self) {
        self.orphans.add(self.claim.take().into_iter().collect());
    }
}

impl Orphans {
    pub(super) fn add(&self, claims: Vec<Claim>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(claims);
    }

    pub(super) fn take(&self) -> Vec<Claim> {
        mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl CarriesClaims for Appended {}
impl CarriesClaims for CancelledAs {}
impl CarriesClaims for Erased {}
impl CarriesClaims for usize {}
impl CarriesClaims for () {}

/// Whose hold it is was known before.
impl CarriesClaims for Option<Claim> {}

impl CarriesClaims for Admitted {
    fn claims(&self) -> Vec<Claim> {
        match self {
            Self::New(_, claim) => vec![*claim],
            Self::Known(_) => Vec::new(),
        }
    }
}

impl CarriesClaims for Vec<(Match, Claim)> {
    fn claims(&self) -> Vec<Claim> {
        self.iter().map(|(_, claim)| *claim).collect()
    }
}

impl CarriesClaims for Takeover {
    fn claims(&self) -> Vec<Claim> {
        match self {
            Self::Now(_, claim) => vec![*claim],
            Self::Held | Self::Past => Vec::new(),
        }
    }
}

/// The journal was closed before anything was done.
#[derive(Debug, thiserror::Error)]
#[error("the journal is closed")]
struct Closed;

/// The error of whoever comes too late.
pub(super) fn closed() -> Error {
    Error::Unavailable(Arc::new(Closed))
}
