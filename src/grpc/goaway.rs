//! Reads from what a server wrote last why it ended a connection.
//!
//! Where a peer breaks HTTP/2's rules or limits, the transport says so in a last GOAWAY frame and
//! closes; it tells nobody else. It deliberately understands no other frame.

/// The head of any frame: three bytes of length, type, flags, four bytes of stream (RFC 9113,
/// section 4.1).
const HEAD_BYTES: usize = 9;
/// The type of a GOAWAY frame, on stream 0 without flags.
const GOAWAY: [u8; 6] = [7, 0, 0, 0, 0, 0];
/// The last stream and the error code.
const FIXED_BYTES: usize = 8;
/// The longest text behind them, which the transport chooses.
const TEXT_BYTES_MAX: usize = 64;
const TAIL_BYTES: usize = HEAD_BYTES + FIXED_BYTES + TEXT_BYTES_MAX;

/// The last bytes that were written.
pub struct Tail {
    bytes: [u8; TAIL_BYTES],
    length: usize,
}

impl Tail {
    /// Nothing was written yet.
    pub const fn new() -> Self {
        Self { bytes: [0; TAIL_BYTES], length: 0 }
    }

    /// These were written.
    pub fn write(&mut self, bytes: &[u8]) {
        let new = &bytes[bytes.len().saturating_sub(TAIL_BYTES)..];
        let kept = self.length.min(TAIL_BYTES - new.len());
        self.bytes.copy_within(self.length - kept..self.length, 0);
        self.length = kept + new.len();
        self.bytes[kept..self.length].copy_from_slice(new);
    }

    /// The error code of the GOAWAY frame that was written last, if one was and it has one.
    pub fn error(&self) -> Option<u32> {
        let written = &self.bytes[..self.length];
        (FIXED_BYTES..=FIXED_BYTES + TEXT_BYTES_MAX).find_map(|length| {
            let frame = &written[written.len().checked_sub(HEAD_BYTES + length)?..];
            let (size, rest) = frame.split_at(3);
            let is_it = size == [0, 0, u8::try_from(length).ok()?] && rest.starts_with(&GOAWAY);
            let code = frame.get(HEAD_BYTES + 4..HEAD_BYTES + FIXED_BYTES)?.try_into().ok()?;
            is_it.then_some(u32::from_be_bytes(code)).filter(|code| *code != 0)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(code: u32, text: &[u8]) -> Vec<u8> {
        let length = u8::try_from(FIXED_BYTES + text.len()).unwrap();
        [&[0, 0, length][..], &GOAWAY, &[0, 0, 0, 1], &code.to_be_bytes(), text].concat()
    }

    #[test]
    fn the_error_is_read_whatever_was_written_before_and_however() {
        for text in [&b""[..], b"too_many_resets", &[b'x'; TEXT_BYTES_MAX]] {
            let whole = [&[7; 500][..], &frame(0xb, text)].concat();
            for size in [1, 3, 7, 80, 81, 82, 1000] {
                let mut tail = Tail::new();
                whole.chunks(size).for_each(|chunk| tail.write(chunk));
                assert_eq!(tail.error(), Some(0xb), "{} bytes at once", size);
            }
        }
    }

    #[test]
    fn a_connection_that_ends_in_order_has_no_error() {
        let graceful = frame(0, b"");
        for written in [&b""[..], b"x", &graceful, &[0; 200], &[7; 17]] {
            let mut tail = Tail::new();
            tail.write(written);
            assert_eq!(tail.error(), None, "{written:?}");
        }
        let mut tail = Tail::new();
        tail.write(&frame(0xb, b""));
        tail.write(b"and more");
        assert_eq!(tail.error(), None, "it was not the last");
    }
}
