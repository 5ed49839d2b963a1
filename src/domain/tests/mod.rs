//! The whole core at once: a match is driven by a scripted Oz, and time is moved by hand.
//!
//! What one file promises by itself is tested at its own foot.

mod chance;
pub mod oz;
pub mod scene;

mod adoption;
mod deadline;
mod happy;
mod held;
mod outage;
mod policies;
mod stored;
mod takeover;
mod transitions;
mod trouble;
mod verdicts;
mod walks;
