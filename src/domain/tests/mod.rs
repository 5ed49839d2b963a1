//! The whole domain at once: a match is driven against a scripted Oz, and the test moves the time.
//!
//! The promises of a single file are tested at the end of that file.

mod chance;
pub mod oz;
pub mod scene;

mod adoption;
mod deadline;
mod happy;
mod held;
mod library;
mod outage;
mod policies;
mod stored;
mod takeover;
mod transitions;
mod trouble;
mod verdicts;
mod walks;
