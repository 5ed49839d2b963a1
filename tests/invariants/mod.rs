//! The invariants of a match, checked over plain values: what a watcher of one match receives, what
//! a follower of all matches receives, and what Oz holds.
//!
//! It deliberately knows neither the domain's types nor those of the wire, and starts no caller:
//! the simulation and `tests/it` hand over what their callers have received and what their Oz holds.
//! The crate's unit tests and `tests/it` mount it, both as `crate::invariants`.

#![allow(dead_code, unused_imports, reason = "no crate that mounts this module uses all of it")]

mod at_oz;
mod follower;
mod updates;

pub use self::{
    at_oz::{HeldAnalysis, ShownMatch, ShownVerdict, check_analyses, check_sent_photo},
    follower::{Difference, FollowerHistory, UpdateKey},
    updates::{DurableUpdate, UpdateChecker},
};
