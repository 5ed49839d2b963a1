//! How far a match is, between its facts: never stored, best effort.

/// What the replica that drives a match knows of it at this moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Bytes of the photo that were sent in the present try.
    pub bytes_sent: u64,
    /// Bytes of the photo to send; 0 if there is none.
    pub bytes_total: u64,
    /// How often the analysis has been polled.
    pub polls: u64,
    /// How many requests to Oz have failed in a row.
    pub failed_attempts: u64,
}
