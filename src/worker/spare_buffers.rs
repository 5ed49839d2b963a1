//! Buffers that the largest photos have left, for the photos that follow.
//!
//! The allocator gives memory of this size back to the system at once, and the system clears each
//! page that it hands out: two fifths of the processor time of a photo of 10 MiB. Smaller buffers are
//! the allocator's business: it keeps some.

use std::{
    mem,
    ops::{Deref, DerefMut},
    sync::{Arc, Mutex},
};

use bytes::Bytes;

use crate::sync::lock;

/// The most buffers that are used again, those in use included. A photo in such a buffer takes more
/// memory than it is counted with, so there must be few.
const SPARES_MAX: usize = 2;

/// Buffers of the same size. Cheap to clone; clones share them.
#[derive(Clone)]
pub struct SpareBuffers(Arc<Inner>);

struct Inner {
    /// The size of each, in bytes.
    bytes: usize,
    spares: Mutex<Spares>,
}

#[derive(Default)]
struct Spares {
    /// Those that are not in use.
    kept: Vec<Vec<u8>>,
    /// How many there are, those in use included.
    count: usize,
    /// Whether one was taken since [`SpareBuffers::drop_unused`] was last called.
    were_used: bool,
}

/// A growing buffer. If it is one of the spare buffers, it is kept once it is dropped.
#[derive(Default)]
pub struct Buffer {
    bytes: Vec<u8>,
    of: Option<SpareBuffers>,
}

impl SpareBuffers {
    /// Buffers of this size in bytes, none of them made yet.
    pub fn new(bytes: usize) -> Self {
        Self(Arc::new(Inner { bytes, spares: Mutex::default() }))
    }

    /// An empty buffer with room for so many bytes: a spare one if one is free, unless it would be
    /// twice as large as needed, or more.
    pub fn buffer(&self, bytes: usize) -> Buffer {
        let fits = (self.0.bytes / 2..=self.0.bytes).contains(&bytes);
        match fits.then(|| self.take()).flatten() {
            Some(spare) => Buffer { bytes: spare, of: Some(self.clone()) },
            None => Buffer { bytes: Vec::with_capacity(bytes), of: None },
        }
    }

    /// A spare buffer, a new one if there are few. `None` if all are in use.
    fn take(&self) -> Option<Vec<u8>> {
        let mut spares = lock(&self.0.spares);
        spares.were_used = true;
        if let Some(kept) = spares.kept.pop() {
            return Some(kept);
        }
        (spares.count < SPARES_MAX).then(|| {
            spares.count += 1;
            Vec::with_capacity(self.0.bytes)
        })
    }

    /// Drops the buffers that are not in use if none was taken since the last call.
    pub fn drop_unused(&self) {
        let mut spares = lock(&self.0.spares);
        if !mem::take(&mut spares.were_used) {
            spares.count -= spares.kept.len();
            spares.kept.clear();
        }
    }

    /// How many are not in use.
    #[cfg(test)]
    pub fn kept(&self) -> usize {
        lock(&self.0.spares).kept.len()
    }
}

impl Buffer {
    /// The bytes, to be shared. The buffer is dropped once nothing refers to them any more.
    pub fn shared(mut self) -> Bytes {
        match self.of {
            Some(_) => Bytes::from_owner(self),
            None => mem::take(&mut self.bytes).into(),
        }
    }
}

impl Deref for Buffer {
    type Target = Vec<u8>;

    fn deref(&self) -> &Vec<u8> {
        &self.bytes
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if let Some(of) = &self.of {
            let mut bytes = mem::take(&mut self.bytes);
            bytes.clear();
            lock(&of.0.spares).kept.push(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_used_again_once_nothing_refers_to_its_bytes() {
        let spares = SpareBuffers::new(1_000);
        let mut first = spares.buffer(900);
        first.extend_from_slice(b"photo");
        let (place, shared) = (first.as_ptr(), first.shared());
        let part = shared.slice(1..3);
        drop(shared);
        assert_eq!((spares.kept(), &*part), (0, &b"ho"[..]));
        drop(part);
        let again = spares.buffer(600);
        assert_eq!((again.as_ptr(), again.len(), spares.kept()), (place, 0, 0));
        drop(again);
        assert_eq!(spares.kept(), 1, "one that was never shared is kept, too");
    }

    #[test]
    fn a_buffer_that_would_be_mostly_empty_or_too_small_is_another() {
        let spares = SpareBuffers::new(1_000);
        drop(spares.buffer(1_000));
        assert_eq!(spares.buffer(499).capacity(), 499);
        assert_eq!(spares.buffer(1_001).capacity(), 1_001);
        assert_eq!(spares.kept(), 1);
    }

    #[test]
    fn however_many_photos_there_are_few_buffers_are_used_again() {
        let spares = SpareBuffers::new(1_000);
        let mut photos: Vec<_> = (0..50).map(|_| spares.buffer(1_000)).collect();
        for _ in 0..50 {
            // Each photo that ends is followed by a smaller one.
            drop(photos.remove(0));
            photos.push(spares.buffer(600));
        }
        let large = photos.iter().filter(|photo| photo.capacity() > 600).count();
        assert_eq!(large, SPARES_MAX);
        drop(photos);
        assert_eq!(spares.kept(), SPARES_MAX);
        spares.drop_unused();
        assert_eq!(spares.kept(), SPARES_MAX, "they were used in the meantime");
        spares.drop_unused();
        assert_eq!(spares.kept(), 0);
        assert_eq!(spares.buffer(600).capacity(), 1_000, "a new one");
    }
}
