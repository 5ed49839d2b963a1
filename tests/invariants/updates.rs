//! The updates of one match: dense and in order, with one closing update at the end.

/// An event, and the match after it.
#[derive(Clone, Copy, Debug)]
pub struct DurableUpdate<'a> {
    pub sequence: u64,
    /// The event's time, in microseconds since 1970.
    pub time_micros: i64,
    /// The event's name.
    pub event: &'a str,
    /// The name of the match's state after the event.
    pub state: &'a str,
    pub has_result: bool,
    pub has_error: bool,
}

/// The events that close a match. Each has the name of the state that it leads to.
const CLOSING: [&str; 3] = ["finished", "failed", "cancelled"];

/// Checks the updates of one match, over any number of streams: dense and in order, times that
/// never go back, one closing update, which is the last, and a match that agrees with its events.
#[derive(Clone, Debug, Default)]
pub struct UpdateChecker {
    sequence: u64,
    time_micros: i64,
    has_closed: bool,
}

impl UpdateChecker {
    /// The checker of a stream that resumes after a sequence.
    pub fn after(sequence: u64) -> Self {
        Self { sequence, ..Self::default() }
    }

    /// Checks the next durable update.
    pub fn check(&mut self, update: &DurableUpdate<'_>) {
        let DurableUpdate { event, state, .. } = *update;
        assert!(!self.has_closed, "{event} comes after the closing update");
        assert_eq!(update.sequence, self.sequence + 1, "dense and in order");
        self.check_time(update.time_micros);
        let closes = CLOSING.contains(&event);
        assert_eq!(CLOSING.contains(&state), closes, "{event} leads to {state}");
        assert!(!closes || state == event, "{event} leads to {state}");
        assert_eq!(update.has_result, state == "finished", "a verdict, and no other end, has one");
        assert_eq!(update.has_error, state == "failed", "a failure, and no other end, has one");
        self.sequence = update.sequence;
        self.time_micros = update.time_micros;
        self.has_closed = closes;
    }

    /// Checks an update that is not durable: it names the last durable one.
    pub fn check_transient(&self, sequence: u64) {
        assert!(!self.has_closed, "an update comes after the closing update");
        assert_eq!(sequence, self.sequence, "the last durable sequence");
    }

    /// Checks that a time is not before that of the last durable update.
    pub fn check_time(&self, time_micros: i64) {
        let last = self.time_micros;
        assert!(time_micros >= last, "time goes back: {time_micros} after {last}");
    }

    /// Checks a read of the match at any replica: it is not behind the streams.
    pub fn check_read(&self, sequence: u64) {
        assert!(sequence >= self.sequence, "a read is behind a stream");
    }

    /// Checks the regular end of a stream.
    pub fn check_end(&self) {
        assert!(self.has_closed, "the stream ends before the closing update");
    }

    /// The sequence of the last durable update.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Whether the closing update was seen.
    pub fn has_closed(&self) -> bool {
        self.has_closed
    }
}
