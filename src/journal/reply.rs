//! Reply channels of the writer task.
//!
//! A reply that its caller never receives may carry claims. The writer releases them: otherwise
//! their matches would have no driver until the process restarts.

use std::{
    mem,
    sync::{Arc, Mutex},
};

use tokio::sync::oneshot;

use crate::{
    domain::Match,
    journal::{Admitted, Appended, CancelledAs, Claim, Erased, Error, Takeover},
    sync::lock,
};

/// A reply, which may carry claims.
pub(super) trait CarriesClaims: Send + Sync + 'static {
    /// The claims that the caller holds once it has received the reply.
    fn claims(&self) -> Vec<Claim> {
        Vec::new()
    }
}

/// Claims whose reply was not received. The writer takes and releases them.
#[derive(Default)]
pub(super) struct Orphans(Mutex<Vec<Claim>>);

/// The writer's end of a reply channel.
pub(super) struct ReplySender<T: CarriesClaims> {
    sender: oneshot::Sender<Result<T, Error>>,
    orphans: Arc<Orphans>,
}

/// The caller's end of a reply channel. If it is dropped before it has returned the reply, the
/// claims in the reply become orphans.
pub(super) struct ReplyReceiver<T: CarriesClaims> {
    receiver: oneshot::Receiver<Result<T, Error>>,
    orphans: Arc<Orphans>,
}

/// Makes a reply channel.
pub(super) fn pair<T: CarriesClaims>(orphans: &Arc<Orphans>) -> (ReplySender<T>, ReplyReceiver<T>) {
    let (sender, receiver) = oneshot::channel();
    let reply = ReplySender { sender, orphans: Arc::clone(orphans) };
    (reply, ReplyReceiver { receiver, orphans: Arc::clone(orphans) })
}

impl<T: CarriesClaims> ReplySender<T> {
    /// Whether the receiver is gone.
    pub(super) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Sends the reply. If the receiver is gone, the claims in it become orphans.
    pub(super) fn send(self, answer: Result<T, Error>) {
        if let Err(Ok(unheard)) = self.sender.send(answer) {
            self.orphans.add(unheard.claims());
        }
    }

    /// Sends an error for a write whose outcome is unknown. `doubtful` is the reply to send if the
    /// write took place: the claims in it become orphans.
    pub(super) fn fail(self, doubtful: &T, error: Error) {
        self.orphans.add(doubtful.claims());
        self.send(Err(error));
    }
}

impl<T: CarriesClaims> ReplyReceiver<T> {
    /// Waits for the reply.
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

/// Holds a claim that is about to be returned to a caller. If the guard is dropped without being
/// disarmed, the claim becomes an orphan.
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

    /// Drops the guard without effect, since the caller has received the claim.
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
        lock(&self.0).extend(claims);
    }

    pub(super) fn take(&self) -> Vec<Claim> {
        mem::take(&mut lock(&self.0))
    }
}

impl CarriesClaims for Appended {}
impl CarriesClaims for CancelledAs {}
impl CarriesClaims for Erased {}
impl CarriesClaims for usize {}
impl CarriesClaims for () {}

/// The reply to `confirm`. It carries no new claim: the caller held the lent one before.
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

/// The error of a request to a journal that is closed.
pub(super) fn closed() -> Error {
    Error::Unavailable(Arc::new(Closed))
}
