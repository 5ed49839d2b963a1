//! Collects the body of a photo, within its room and the size that a photo may have.

use bytes::Bytes;
use futures_util::{Stream, StreamExt};

use crate::{
    domain::{LibraryFault, photo},
    library::{Room, SourceError},
};

/// How much room is made at once for a body whose length isn't known.
const STEP_BYTES: usize = 256 * 1024;

/// Collects a body, whose length the library may have announced. A body that is too large is left
/// as soon as that is known.
///
/// # Errors
/// Those of the body; [`SourceError::NoRoom`]; `TooLarge`; `Protocol` if the announced length is not
/// that of the body.
pub async fn collect(
    announced: Option<u64>,
    body: impl Stream<Item = Result<Bytes, SourceError>>,
    room: &mut dyn Room,
) -> Result<Bytes, SourceError> {
    let announced = announced.map(checked_length).transpose()?;
    let mut room = Growing { room, bytes: 0 };
    room.grow_to(announced.unwrap_or(0))?;
    let mut collected = Vec::with_capacity(announced.unwrap_or(0));
    let mut body = std::pin::pin!(body);
    while let Some(piece) = body.next().await {
        let piece = piece?;
        let length = collected.len() + piece.len();
        match announced {
            Some(announced) if length > announced => return Err(lies(announced, "more")),
            Some(_) => {}
            None => room.grow_to(checked_length(length as u64)?)?,
        }
        collected.extend_from_slice(&piece);
    }
    match announced {
        Some(announced) if collected.len() < announced => Err(lies(announced, "fewer")),
        Some(_) | None => {
            // Room that growing has left would be kept as long as the photo, and not counted.
            collected.shrink_to_fit();
            Ok(collected.into())
        }
    }
}

/// A length, if a photo may have it.
///
/// # Errors
/// `TooLarge`.
pub fn checked_length(bytes: u64) -> Result<usize, SourceError> {
    let length = usize::try_from(bytes).ok().filter(|length| *length <= photo::BYTES_MAX);
    length.ok_or_else(|| {
        SourceError::Fault(LibraryFault::TooLarge, format!("the photo has {bytes} bytes or more"))
    })
}

fn lies(announced: usize, what: &str) -> SourceError {
    let text = format!("{announced} bytes were announced, and {what} came");
    SourceError::Fault(LibraryFault::Protocol, text)
}

/// Makes room in steps.
struct Growing<'a> {
    room: &'a mut dyn Room,
    bytes: usize,
}

impl Growing<'_> {
    fn grow_to(&mut self, bytes: usize) -> Result<(), SourceError> {
        if bytes <= self.bytes {
            return Ok(());
        }
        let wanted = match self.bytes {
            0 => bytes,
            _ => bytes.next_multiple_of(STEP_BYTES).min(photo::BYTES_MAX),
        };
        if !self.room.grow_to(wanted) {
            return Err(SourceError::NoRoom);
        }
        self.bytes = wanted;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;

    use super::*;
    use crate::library::tests::Memory;

    async fn collected(
        announced: Option<u64>,
        pieces: &[usize],
        room: usize,
    ) -> Result<usize, SourceError> {
        let pieces: Vec<_> =
            pieces.iter().map(|bytes| Ok(Bytes::from(vec![b'p'; *bytes]))).collect();
        let mut memory = Memory::of(room);
        let body = collect(announced, stream::iter(pieces), &mut memory).await?;
        assert!(memory.bytes >= body.len(), "every byte has its room");
        let (length, whole) = (body.len(), Vec::from(body));
        assert_eq!(whole.capacity(), length, "no other room is kept");
        Ok(length)
    }

    fn fault(outcome: Result<usize, SourceError>) -> Option<LibraryFault> {
        match outcome {
            Err(SourceError::Fault(fault, _)) => Some(fault),
            Ok(_) | Err(SourceError::NoRoom) => None,
        }
    }

    #[tokio::test]
    async fn a_body_of_the_announced_length_takes_exactly_its_room() {
        assert_eq!(collected(Some(30), &[10, 20], 30).await, Ok(30));
        assert_eq!(collected(Some(30), &[10, 20], 29).await, Err(SourceError::NoRoom));
        assert_eq!(collected(Some(0), &[], 0).await, Ok(0));
    }

    #[tokio::test]
    async fn a_length_that_lies_is_found_out() {
        assert_eq!(fault(collected(Some(30), &[10], 100).await), Some(LibraryFault::Protocol));
        assert_eq!(fault(collected(Some(30), &[31], 100).await), Some(LibraryFault::Protocol));
    }

    #[tokio::test]
    async fn a_body_without_a_length_grows_within_its_room() {
        assert_eq!(collected(None, &[10, 20], 2 * STEP_BYTES).await, Ok(30));
        assert_eq!(collected(None, &[10, 20], 20).await, Err(SourceError::NoRoom));
    }

    #[tokio::test]
    async fn a_body_over_the_limit_is_left_as_soon_as_that_is_known() {
        let max = photo::BYTES_MAX as u64;
        assert_eq!(
            fault(collected(Some(max + 1), &[], usize::MAX).await),
            Some(LibraryFault::TooLarge)
        );
        let endless = stream::repeat_with(|| Ok(Bytes::from_static(&[0; 65_536])));
        let mut memory = Memory::of(usize::MAX);
        let outcome = collect(None, endless, &mut memory).await.map(|body| body.len());
        assert_eq!(fault(outcome), Some(LibraryFault::TooLarge));
        assert!(memory.bytes <= photo::BYTES_MAX);
        let whole = [photo::BYTES_MAX / 2; 2];
        assert_eq!(collected(None, &whole, usize::MAX).await, Ok(photo::BYTES_MAX));
    }
}
