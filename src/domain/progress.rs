//! The progress of a match between its events: best effort, and deliberately never stored.

/// What the driver of a match knows at this moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Bytes of the photo sent in the current attempt.
    pub bytes_sent: u64,
    /// Bytes of the photo to send; 0 if there is none.
    pub bytes_total: u64,
    /// How often the analysis has been polled.
    pub polls: u64,
    /// How many requests to Oz have failed in a row.
    pub failed_attempts: u64,
}
