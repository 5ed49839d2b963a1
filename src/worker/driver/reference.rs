//! Reads the reference photo of a match from the photo library, for one attempt to upload it.
//!
//! A driver that waits for its turn holds no memory, and a driver that holds a photo uploads it at
//! once or drops it. So however many matches name photos by keys, few photos are in memory, and no
//! library takes memory from callers who send their photos.

use std::time::Duration;

use crate::{
    domain::{
        Ask, Deferred, Failure, Format, LibraryFault, ReferenceKey, Reply, Spec, Timestamp,
        request_traits,
    },
    library::{self, Library, ReadSlot, Room, Unread},
    worker::{
        driver::{Driver, request::Answered},
        photo_memory::{Photo, Reservation},
    },
};

/// How long a read is put off that finds photo memory full: uploads under way have given memory
/// back by then.
const NO_ROOM_PAUSE: Duration = Duration::from_secs(1);

/// A photo from the library, and the right to hold it.
pub struct ReferencePhoto {
    photo: Photo,
    _slot: ReadSlot,
}

impl ReferencePhoto {
    /// The photo.
    pub fn photo(&self) -> &Photo {
        &self.photo
    }
}

impl Room for Reservation {
    fn grow_to(&mut self, bytes: usize) -> bool {
        Self::grow_to(self, bytes)
    }
}

impl Driver {
    /// Reads the photo, and holds it. Reading changes nothing, so it is given up at once whenever
    /// the driver must leave.
    pub(super) async fn read_reference(
        &mut self,
        key: &ReferenceKey,
        ask: &Ask,
        asked: Timestamp,
    ) -> Answered {
        let Some(library) = self.context.libraries.library(self.tenant()) else {
            return Answered::Settled(Err(no_library()));
        };
        let reading = async {
            let slot = library.slot().await;
            // After the wait for the slot: the lease may have expired meanwhile, and Oz failed.
            if !self.is_entitled(ask) {
                return Err(Answered::NotEntitled);
            }
            match self.foresees_hold(asked) {
                Some(hold) => Err(Answered::UploadHeldBack(hold)),
                None => self.read_from(&library, key, ask, asked, slot).await,
            }
        };
        let read = tokio::select! {
            biased;
            () = self.leaving() => return Answered::Abandoned,
            read = reading => read,
            () = self.context.clock.sleep_until(self.sent_by(asked)) => return self.unsent(asked),
        };
        match read {
            Ok((reference, reply)) => {
                self.reference = Some(reference);
                Answered::Settled(Ok(reply))
            }
            Err(answered) => answered,
        }
    }

    async fn read_from(
        &self,
        library: &Library,
        key: &ReferenceKey,
        ask: &Ask,
        asked: Timestamp,
        slot: ReadSlot,
    ) -> Result<(ReferencePhoto, Reply), Answered> {
        let mut reservation = self.context.photo_memory.reservation(self.tenant());
        let traits = request_traits(&self.m, &self.volatile, ask, asked);
        match library.read(key, traits, self.ask_trace(ask), &mut reservation).await {
            Ok((bytes, format)) => {
                let photo = Photo::new(bytes, reservation);
                Ok((ReferencePhoto { photo, _slot: slot }, Reply::Reference(format)))
            }
            Err(Unread::HeldBack(deferred)) => Err(Answered::HeldBack(deferred)),
            Err(Unread::NoRoom) => Err(Answered::HeldBack(self.no_room())),
            Err(Unread::Failed(failure)) => Err(Answered::Settled(Err(failure))),
        }
    }

    /// Whether the upload would be held back: no photo is read then, so that the library rests while
    /// Oz is out.
    fn foresees_hold(&self, asked: Timestamp) -> Option<Deferred> {
        let traits = request_traits(&self.m, &self.volatile, &self.next_upload(), asked);
        self.context.limiter.foresee(traits)
    }

    /// The upload for which the photo is read. Its format is not known yet, and decides nothing about
    /// when it is sent.
    pub(super) fn next_upload(&self) -> Ask {
        let Spec { folder_id, kind, .. } = *self.m.spec;
        Ask::UploadPhoto { folder_id, match_id: self.m.id, kind, format: Format::Jpeg }
    }

    /// Photo memory is full: the match waits for it, and its callers are told nothing, since
    /// nothing has failed.
    fn no_room(&self) -> Deferred {
        let until = self.context.clock.now().after(NO_ROOM_PAUSE).after(self.context.spread());
        Deferred { until, why: None, look_first: false }
    }

    /// Drops the photo from the library unless it is uploaded next.
    pub(super) fn drop_unneeded_reference(&mut self) {
        if self.volatile.reference.is_none() {
            self.reference = None;
        }
    }
}

/// The tenant had a library when the match was accepted. The operator may be changing it, so the
/// match waits.
fn no_library() -> Failure {
    let causes = "no library is configured for the tenant".into();
    library::failure(LibraryFault::Unreachable, causes)
}
